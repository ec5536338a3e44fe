#define _GNU_SOURCE
#include "daemon/fetch/jwks.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/json.h"
#include "daemon/fetch/jwk_go.h"

enum { KEY_BYTES_MAX = 2048 }; /* RSA of 16384 bits */

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

long base64url_decode(const char *text, size_t length, unsigned char *out)
{
    unsigned bits = 0, value = 0;
    long n = 0;

    if (length % 4 == 1)
        return -1;
    for (size_t i = 0; i < length; i++) {
        int s = sextet(text[i]);
        if (s < 0)
            return -1;
        value = (value << 6 | (unsigned)s) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (unsigned char)(value >> bits);
        }
    }
    return n;
}

/* A member in base64url, within which Go passes over line ends. Returns its length, or -1. */
static long member_bytes(const cJSON *jwk, const char *name, unsigned char out[KEY_BYTES_MAX])
{
    const char *text = json_string(jwk, name);
    char bare[KEY_BYTES_MAX / 3 * 4];
    size_t n = 0;

    for (const char *p = text ? text : ""; *p; p++) {
        if (*p == '\r' || *p == '\n')
            continue;
        if (n == sizeof bare)
            return -1;
        bare[n++] = *p;
    }
    return n > 0 ? base64url_decode(bare, n, out) : -1;
}

static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(build);

    if (!context || !parameters || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        key = NULL;
    OSSL_PARAM_free(parameters);
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return key;
}

static EVP_PKEY *rsa_key(const cJSON *jwk)
{
    unsigned char n[KEY_BYTES_MAX], e[KEY_BYTES_MAX];
    long n_length = member_bytes(jwk, "n", n), e_length = member_bytes(jwk, "e", e);
    EVP_PKEY *key = NULL;

    if (n_length <= 0 || e_length <= 0)
        return NULL;
    BIGNUM *modulus = BN_bin2bn(n, (int)n_length, NULL),
           *exponent = BN_bin2bn(e, (int)e_length, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build && modulus && exponent &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        key = key_from("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

static const struct curve {
    const char *name, *group;
    long size; /* of a coordinate; RFC 7518 §6.2.1.2 wants it whole */
} curves[] = { { "P-256", "prime256v1", 32 },
               { "P-384", "secp384r1", 48 },
               { "P-521", "secp521r1", 66 } };

static EVP_PKEY *ec_key(const cJSON *jwk, char ret_curve[CURVE_SIZE])
{
    unsigned char point[1 + 2 * KEY_BYTES_MAX] = { 4 /* uncompressed */ };
    const char *crv = json_string(jwk, "crv");
    const struct curve *curve = NULL;
    EVP_PKEY *key = NULL;

    for (size_t i = 0; crv && i < sizeof curves / sizeof *curves; i++)
        if (strcmp(curves[i].name, crv) == 0)
            curve = &curves[i];
    if (!curve || member_bytes(jwk, "x", point + 1) != curve->size ||
        member_bytes(jwk, "y", point + 1 + curve->size) != curve->size)
        return NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         (size_t)(1 + 2 * curve->size)) == 1)
        key = key_from("EC", build);
    OSSL_PARAM_BLD_free(build);
    memcpy(ret_curve, curve->name, strlen(curve->name) + 1);
    return key;
}

/* RFC 8037 §2. By name: a key of X25519, which signs nothing, is 32 bytes too. */
static EVP_PKEY *okp_key(const cJSON *jwk, char ret_curve[CURVE_SIZE])
{
    static const struct {
        const char *name, *type;
        long size;
    } okps[] = { { "Ed25519", "ED25519", 32 }, { "Ed448", "ED448", 57 } };
    const char *crv = json_string(jwk, "crv");
    unsigned char x[KEY_BYTES_MAX];
    EVP_PKEY *key = NULL;

    for (size_t i = 0; crv && i < sizeof okps / sizeof *okps; i++) {
        if (strcmp(okps[i].name, crv) != 0 || member_bytes(jwk, "x", x) != okps[i].size)
            continue;
        key = EVP_PKEY_new_raw_public_key_ex(NULL, okps[i].type, NULL, x, (size_t)okps[i].size);
        memcpy(ret_curve, okps[i].name, strlen(okps[i].name) + 1);
    }
    ERR_clear_error();
    return key;
}

EVP_PKEY *jwks_key(const cJSON *jwk, char ret_curve[CURVE_SIZE])
{
    const char *kty = json_string(jwk, "kty");

    if (kty && strcmp(kty, "RSA") == 0)
        return rsa_key(jwk);
    if (kty && strcmp(kty, "EC") == 0)
        return ec_key(jwk, ret_curve);
    return kty && strcmp(kty, "OKP") == 0 ? okp_key(jwk, ret_curve) : NULL;
}

/* Go's rule: the token that e = 1 verifies is forged without any key. */
static bool has_good_exponent(EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    bool good = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
                !BN_is_one(e) && BN_num_bits(e) <= 31;

    BN_free(e);
    ERR_clear_error();
    return good;
}

/* Of order 1, 2, 4 or 8, in every encoding that libcrypto reads but for the sign, which is in the
 * last bit: signatures by such a point are made without any key. */
static bool is_small_order(EVP_PKEY *key)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000000000000000000000000",
        "fefffffffffffffffffffffffffffffffffffffffffffffffffffffffe"
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffff00",
    };
    unsigned char point[57];
    char hex[2 * sizeof point + 1];
    size_t n = sizeof point;

    if (EVP_PKEY_get_raw_public_key(key, point, &n) != 1)
        return false;
    point[n - 1] &= 0x7f;
    for (size_t i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", point[i]);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        if (strcmp(points[i], hex) == 0)
            return true;
    return false;
}

/* Why Go verifies nothing with it, or NULL. */
static const char *why_refused(const cJSON *jwk, EVP_PKEY *key, const char *curve)
{
    if (jwk_go_private(jwk))
        return "its private part is published, with which anybody signs";
    if (*curve == 'E')
        return is_small_order(key) ? "it is a point of small order" : NULL;
    if (*curve)
        return NULL;
    /* RFC 7518 §3.3 wants 2048; but whether 1024 will do is for the provider and the API server
     * to say: Go's verification takes it. */
    if (EVP_PKEY_get_bits(key) < 1024)
        return "it has fewer than 1024 bits";
    return has_good_exponent(key) ? NULL : "its e is no odd number from 3 to 2147483647";
}

static void note_unreadable(struct jwks *ret, const cJSON *jwk, size_t number, const char *why)
{
    const char *kid = json_string(jwk, "kid");
    char name[64] = "", text[JWKS_UNREADABLE];

    if (*ret->unreadable)
        return;
    if (kid)
        error_clean(name, sizeof name, kid, strlen(kid));
    snprintf(text, sizeof text, "key %zu of its set%s%s%s: %s", number, kid ? ", \"" : "", name,
             kid ? "\"" : "", why);
    error_clean(ret->unreadable, sizeof ret->unreadable, text, strlen(text)); /* as it is kept */
}

/* Takes the JWK over where it is a key. */
static bool take_key(cJSON *jwk, size_t number, struct jwks *ret)
{
    char why[JWK_GO_WHY];
    struct jwk k = { .json = jwk };

    k.key = jwks_key(jwk, k.curve);
    if (!jwk_go_reads(jwk, k.key, why))
        note_unreadable(ret, jwk, number, why);
    if (!k.key)
        return false;
    k.kid = json_string(jwk, "kid");
    k.why = why_refused(jwk, k.key, k.curve);
    if (k.why) {
        EVP_PKEY_free(k.key);
        k.key = NULL;
        ret->refused[ret->n_refused++] = k;
    } else {
        ret->keys[ret->n++] = k;
    }
    return true;
}

static void mark_leaked(struct jwks *set, const struct jwk *private)
{
    char curve[CURVE_SIZE];
    EVP_PKEY *key = jwks_key(private->json, curve);

    for (size_t i = 0; key && i < set->n; i++)
        set->keys[i].leaked |= EVP_PKEY_eq(key, set->keys[i].key) == 1;
    EVP_PKEY_free(key);
    ERR_clear_error();
}

static void mark_all_leaked(struct jwks *set)
{
    for (size_t i = 0; i < set->n_refused; i++)
        if (jwk_go_private(set->refused[i].json))
            mark_leaked(set, &set->refused[i]);
}

static void take_keys(cJSON *list, struct jwks *ret)
{
    size_t number = 0;

    for (cJSON *jwk = list->child, *next; jwk; jwk = next) {
        next = jwk->next;
        if (take_key(jwk, ++number, ret))
            cJSON_DetachItemViaPointer(list, jwk);
    }
}

/* What jwks_distill() wrote of a set that was unreadable; what it left of it may be readable. */
static const char unreadable_member[] = "kubetoken-unreadable";

static void take_note(const cJSON *doc, struct jwks *ret)
{
    const char *kept = json_string(doc, unreadable_member);

    if (kept)
        error_clean(ret->unreadable, sizeof ret->unreadable, kept, strlen(kept));
}

int jwks_parse(const char *text, size_t length, struct jwks *ret, struct error *why)
{
    cJSON *doc = json_object(text, length);
    cJSON *list = (cJSON *)(uintptr_t)json_get_as_go(doc, "keys");
    struct jwks keys = { .n = 0 };

    if (!cJSON_IsArray(list)) {
        error_set(why, ERROR_KEYS_UNREADABLE, "the answer is not a JWK Set");
        cJSON_Delete(doc);
        return -1;
    }
    size_t room = (size_t)cJSON_GetArraySize(list) + 1;
    keys.keys = calloc(room, sizeof *keys.keys);
    keys.refused = calloc(room, sizeof *keys.refused);
    take_note(doc, &keys);
    if (json_has_mark(text))
        snprintf(keys.unreadable, sizeof keys.unreadable, "its set begins with a byte order mark");
    if (keys.keys && keys.refused)
        take_keys(list, &keys);
    mark_all_leaked(&keys);
    cJSON_Delete(doc);
    if (keys.n + keys.n_refused == 0) {
        error_set(why, ERROR_KEYS_UNREADABLE, "its set holds no RSA, EC or OKP key for signatures");
        jwks_clear(&keys);
        return -1;
    }
    *ret = keys;
    return 0;
}

void jwks_clear(struct jwks *jwks)
{
    for (size_t i = 0; jwks->keys && i < jwks->n; i++) {
        EVP_PKEY_free(jwks->keys[i].key);
        cJSON_Delete(jwks->keys[i].json);
    }
    for (size_t i = 0; jwks->refused && i < jwks->n_refused; i++)
        cJSON_Delete(jwks->refused[i].json);
    free(jwks->keys);
    free(jwks->refused);
    *jwks = (struct jwks){ .n = 0 };
}

/* ---- what is kept ---------------------------------------------------------------------------- */

static bool same_name(const struct jwk *a, const struct jwk *b)
{
    return a->kid && b->kid && strcmp(a->kid, b->kid) == 0;
}

void jwks_mark_used(struct jwks *jwks, size_t index)
{
    const struct jwk *key = &jwks->keys[index];

    for (size_t i = 0; i < jwks->n; i++)
        if (i == index || same_name(&jwks->keys[i], key))
            jwks->keys[i].used = true;
}

/* A key without a name is known by itself alone. */
static bool was_used(const struct jwk *key, const struct jwks *before)
{
    for (size_t i = 0; i < before->n; i++) {
        const struct jwk *b = &before->keys[i];
        if ((b->used || b->used_before) &&
            (same_name(key, b) || (!key->kid && !b->kid && EVP_PKEY_eq(key->key, b->key) == 1)))
            return true;
    }
    return false;
}

void jwks_inherit_use(struct jwks *jwks, const struct jwks *before)
{
    for (size_t i = 0; i < jwks->n; i++)
        jwks->keys[i].used_before = was_used(&jwks->keys[i], before);
    ERR_clear_error();
}

bool jwks_any_used(const struct jwks *jwks)
{
    for (size_t i = 0; i < jwks->n; i++)
        if (jwks->keys[i].used || jwks->keys[i].used_before)
            return true;
    return false;
}

/* As JSON, with no member but those that matter. NULL: no memory. */
static char *bare(const struct jwk *key)
{
    static const char *const members[] = { "kty", "kid", "n", "e", "crv", "x", "y" };
    cJSON *out = cJSON_CreateObject();

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const char *value = json_string(key->json, members[i]);
        if (value)
            cJSON_AddStringToObject(out, members[i], value);
    }
    char *text = cJSON_PrintUnformatted(out);
    cJSON_Delete(out);
    return text;
}

/* Puts it at the end of the list, which is size bytes long and has as many as it holds. False: it
 * does not fit. */
static bool append_key(char *list, size_t size, const struct jwk *key)
{
    char *text = bare(key);
    size_t used = strlen(list), length = text ? strlen(text) : 0;
    bool fits = length > 0 && used + length + 1 < size;

    if (fits)
        snprintf(list + used, size - used, "%s%s", used ? "," : "", text);
    cJSON_free(text);
    return fits;
}

/* The note on the whole set, as a member, or empty. NULL: no memory. */
static char *note_of(const struct jwks *jwks)
{
    cJSON *text = cJSON_CreateString(jwks->unreadable);
    char *printed = text ? cJSON_PrintUnformatted(text) : NULL, *note = NULL;

    if (printed && asprintf(&note, ",\"%s\":%s", unreadable_member, printed) < 0)
        note = NULL;
    if (note && !*jwks->unreadable)
        *note = '\0';
    cJSON_free(printed);
    cJSON_Delete(text);
    return note;
}

static char *enclose(char *list, const char *note)
{
    char *set = NULL;

    if (*list && asprintf(&set, "{\"keys\":[%s]%s}", list, note) < 0)
        set = NULL;
    free(list);
    return set;
}

/* The latest come first. */
static bool is_wanted(const struct jwk *key, bool any_used, int pass)
{
    if (key->leaked)
        return false;
    if (!any_used)
        return pass == 0;
    return pass == 0 ? key->used : key->used_before && !key->used;
}

char *jwks_distill(const struct jwks *jwks, size_t most)
{
    bool any_used = jwks_any_used(jwks), whole = true;
    char *note = note_of(jwks), *set = NULL;
    size_t around = note ? strlen(note) + 12 : 0; /* what encloses them */
    size_t size = note && most > around + 4 ? most - around : 0;
    char *list = size ? calloc(1, size) : NULL;

    for (int pass = 0; list && pass < 2; pass++)
        for (size_t i = 0; i < jwks->n; i++)
            if (is_wanted(&jwks->keys[i], any_used, pass))
                whole &= append_key(list, size, &jwks->keys[i]);
    if (list && !any_used && !whole) /* then which of them will be wanted? */
        *list = '\0';
    if (list)
        set = enclose(list, note);
    free(note);
    return set;
}

bool jwks_fits(const struct jwk *key, const char *alg, const char *kid)
{
    static const struct {
        const char *alg, *curve;
    } pairs[] = { { "ES256", "P-256" },
                  { "ES384", "P-384" },
                  { "ES512", "P-521" },
                  { "EdDSA", "Ed25519" },
                  { "EdDSA", "Ed448" } };
    bool suits = !*key->curve && (strncmp(alg, "RS", 2) == 0 || strncmp(alg, "PS", 2) == 0);

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        suits |= strcmp(pairs[i].alg, alg) == 0 && strcmp(pairs[i].curve, key->curve) == 0;
    return suits && (!kid || !*kid || !key->kid || strcmp(kid, key->kid) == 0);
}

bool jwks_unnamed(const struct jwk *key, const char *kid)
{
    return kid && *kid && !key->kid;
}
