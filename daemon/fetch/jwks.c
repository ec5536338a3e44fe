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

/* A member in base64url. Returns its length, or -1. */
static long member_bytes(const cJSON *jwk, const char *name, unsigned char out[KEY_BYTES_MAX])
{
    const char *text = json_string(jwk, name);
    size_t length = text ? strlen(text) : 0;

    if (length == 0 || length / 4 * 3 + 3 > KEY_BYTES_MAX)
        return -1;
    return base64url_decode(text, length, out);
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
    /* RFC 7518 §3.3 wants 2048; but whether 1024 will do is for the provider and the API server
     * to say: Go's verification takes it. */
    if (build && modulus && exponent && BN_num_bits(modulus) >= 1024 &&
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

/* By use and key_ops, which may be missing (RFC 7517 §4.2, §4.3). */
static bool signs(const cJSON *jwk)
{
    const char *use = json_string(jwk, "use");
    const cJSON *operations = json_get(jwk, "key_ops");

    return (!use || strcmp(use, "sig") == 0) &&
           (!operations || cJSON_IsNull(operations) || json_holds(operations, "verify"));
}

/* Takes the JWK over where it is a key. */
static bool take_key(cJSON *jwk, struct jwk *ret)
{
    const char *kty = json_string(jwk, "kty");
    struct jwk k = { .json = jwk };

    if (!kty || !signs(jwk))
        return false;
    if (strcmp(kty, "RSA") == 0)
        k.key = rsa_key(jwk);
    else if (strcmp(kty, "EC") == 0)
        k.key = ec_key(jwk, k.curve);
    else if (strcmp(kty, "OKP") == 0)
        k.key = okp_key(jwk, k.curve);
    if (!k.key)
        return false;
    k.kid = json_string(jwk, "kid");
    k.alg = json_string(jwk, "alg");
    *ret = k;
    return true;
}

int jwks_parse(const char *text, size_t length, struct jwks *ret, struct error *why)
{
    cJSON *doc = json_object(text, length), *list = (cJSON *)(uintptr_t)json_get(doc, "keys");
    struct jwks keys = { .n = 0 };

    if (!cJSON_IsArray(list)) {
        error_set(why, ERROR_KEYS_INVALID, "the answer is not a JWK Set");
        cJSON_Delete(doc);
        return -1;
    }
    keys.keys = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *keys.keys);
    for (cJSON *jwk = list->child, *next; keys.keys && jwk; jwk = next) {
        next = jwk->next;
        if (take_key(jwk, &keys.keys[keys.n])) {
            cJSON_DetachItemViaPointer(list, jwk);
            keys.n++;
        }
    }
    cJSON_Delete(doc);
    if (keys.n == 0) {
        error_set(why, ERROR_KEYS_INVALID, "it holds no RSA, EC or OKP key for signatures");
        free(keys.keys);
        return -1;
    }
    *ret = keys;
    return 0;
}

void jwks_clear(struct jwks *jwks)
{
    for (size_t i = 0; i < jwks->n; i++) {
        EVP_PKEY_free(jwks->keys[i].key);
        cJSON_Delete(jwks->keys[i].json);
    }
    free(jwks->keys);
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

/* As JSON, with no member but those that matter; key_ops was looked at. NULL: no memory. */
static char *bare(const struct jwk *key)
{
    static const char *const members[] = { "kty", "use", "kid", "alg", "n", "e", "crv", "x", "y" };
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

static char *enclose(char *list)
{
    char *set = NULL;

    if (*list && asprintf(&set, "{\"keys\":[%s]}", list) < 0)
        set = NULL;
    free(list);
    return set;
}

/* The latest come first. */
static bool is_wanted(const struct jwk *key, bool any_used, int pass)
{
    if (!any_used)
        return pass == 0;
    return pass == 0 ? key->used : key->used_before && !key->used;
}

char *jwks_distill(const struct jwks *jwks, size_t most)
{
    bool any_used = jwks_any_used(jwks), whole = true;
    size_t size = most > 16 ? most - 12 : 0; /* what encloses them */
    char *list = size ? calloc(1, size) : NULL;

    for (int pass = 0; list && pass < 2; pass++)
        for (size_t i = 0; i < jwks->n; i++)
            if (is_wanted(&jwks->keys[i], any_used, pass))
                whole &= append_key(list, size, &jwks->keys[i]);
    if (list && !any_used && !whole) /* then which of them will be wanted? */
        *list = '\0';
    return list ? enclose(list) : NULL;
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
    if (!suits || (key->alg && strcmp(key->alg, alg) != 0))
        return false;
    return !kid || !*kid || !key->kid || strcmp(kid, key->kid) == 0;
}
