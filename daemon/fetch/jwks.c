#define _GNU_SOURCE
#include "daemon/fetch/jwks.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
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

static char *copy_or_null(const char *text)
{
    return text ? strdup(text) : NULL;
}

static bool take_key(const cJSON *jwk, struct jwk *ret)
{
    const char *kty = json_string(jwk, "kty");
    struct jwk k = { 0 };

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
    k.kid = copy_or_null(json_string(jwk, "kid"));
    k.alg = copy_or_null(json_string(jwk, "alg"));
    *ret = k;
    return true;
}

int jwks_parse(const char *text, size_t length, struct jwks *ret, struct error *why)
{
    cJSON *doc = json_object(text, length);
    const cJSON *jwk, *list = doc ? json_get(doc, "keys") : NULL;
    struct jwks keys = { .n = 0 };

    if (!cJSON_IsArray(list)) {
        error_set(why, ERROR_KEYS_INVALID, "the answer is not a JWK Set");
        cJSON_Delete(doc);
        return -1;
    }
    cJSON_ArrayForEach (jwk, list)
        if (keys.n < JWKS_MAX && take_key(jwk, &keys.keys[keys.n]))
            keys.n++;
    cJSON_Delete(doc);
    if (keys.n == 0) {
        error_set(why, ERROR_KEYS_INVALID, "it holds no RSA, EC or OKP key for signatures");
        return -1;
    }
    *ret = keys;
    return 0;
}

char *jwks_distill(const char *text, size_t length)
{
    static const char *const members[] = { "kty", "use", "kid", "alg", "n", "e", "crv", "x", "y" };
    cJSON *doc = json_object(text, length), *out = cJSON_CreateObject();
    const cJSON *jwk, *keys = doc ? json_get(doc, "keys") : NULL;
    cJSON *list = cJSON_AddArrayToObject(out, "keys");

    cJSON_ArrayForEach (jwk, keys) {
        if (!signs(jwk)) /* key_ops is no string, and so not kept below */
            continue;
        cJSON *bare = cJSON_CreateObject();
        for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
            const char *value = json_string(jwk, members[i]);
            if (value)
                cJSON_AddStringToObject(bare, members[i], value);
        }
        cJSON_AddItemToArray(list, bare);
    }
    char *distilled = cJSON_IsArray(keys) ? cJSON_PrintUnformatted(out) : NULL;
    cJSON_Delete(doc);
    cJSON_Delete(out);
    return distilled;
}

void jwks_clear(struct jwks *jwks)
{
    for (size_t i = 0; i < jwks->n; i++) {
        free(jwks->keys[i].kid);
        free(jwks->keys[i].alg);
        EVP_PKEY_free(jwks->keys[i].key);
    }
    *jwks = (struct jwks){ .n = 0 };
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
