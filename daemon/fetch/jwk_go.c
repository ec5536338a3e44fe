#define _GNU_SOURCE
#include "daemon/fetch/jwk_go.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/json.h"
#include "daemon/fetch/jwks.h"

__attribute__((format(printf, 2, 3))) static bool unread(char why[JWK_GO_WHY], const char *format,
                                                         ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(why, JWK_GO_WHY, format, ap);
    va_end(ap);
    return false;
}

/* null is absent for Go. */
static const cJSON *given(const cJSON *jwk, const char *name)
{
    const cJSON *member = json_get(jwk, name);
    return cJSON_IsNull(member) ? NULL : member;
}

/* ---- base64 ---------------------------------------------------------------------------------- */

/* Without the line ends, which Go passes over. The caller frees it. */
static char *bare_text(const char *text)
{
    char *bare = malloc(strlen(text) + 1), *out = bare;

    for (const char *p = text; bare && *p; p++)
        if (!strchr("\r\n", *p))
            *out++ = *p;
    if (bare)
        *out = '\0';
    return bare;
}

/* As base64url without padding. Returns the length, or -1; *ret is the caller's to free. */
static long decode_url(const char *text, unsigned char **ret)
{
    char *bare = bare_text(text);
    long n = -1;

    *ret = malloc(strlen(text) + 1);
    if (bare && *ret)
        n = base64url_decode(bare, strlen(bare), *ret);
    free(bare);
    return n;
}

/* As base64 of the common alphabet, with padding. */
static long decode_standard(const char *text, unsigned char **ret)
{
    char *bare = bare_text(text);
    long n = -1;

    *ret = malloc(strlen(text) + 3);
    if (bare && *ret) {
        size_t length = strlen(bare), kept = length;
        while (kept > 0 && length - kept < 2 && bare[kept - 1] == '=')
            kept--;
        bool good = length % 4 == 0 && !strpbrk(bare, "-_");
        for (char *p = bare; *p; p++)
            *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
        if (good)
            n = base64url_decode(bare, kept, *ret);
    }
    free(bare);
    return n;
}

/* ---- certificates ---------------------------------------------------------------------------- */

static X509 *certificate_from(const cJSON *entry)
{
    unsigned char *der = NULL;
    long n = cJSON_IsString(entry) ? decode_standard(entry->valuestring, &der) : -1;
    const unsigned char *end = der;
    X509 *certificate = n > 0 ? d2i_X509(NULL, &end, n) : NULL;

    if (certificate && end != der + n) {
        X509_free(certificate);
        certificate = NULL;
    }
    free(der);
    ERR_clear_error();
    return certificate;
}

/* The first of the list as *ret, for the caller to free; NULL: the list is empty. */
static bool read_chain(const cJSON *x5c, X509 **ret)
{
    const cJSON *entry;

    *ret = NULL;
    if (!x5c || cJSON_IsNull(x5c))
        return true;
    bool good = cJSON_IsArray(x5c);
    for (entry = good ? x5c->child : NULL; good && entry; entry = entry->next) {
        X509 *certificate = certificate_from(entry);
        good = certificate != NULL;
        if (*ret)
            X509_free(certificate);
        else
            *ret = certificate;
    }
    if (!good) {
        X509_free(*ret);
        *ret = NULL;
    }
    return good;
}

bool jwk_go_certificates(const cJSON *x5c)
{
    X509 *leaf;
    bool good = read_chain(x5c, &leaf);

    X509_free(leaf);
    return good;
}

/* A thumbprint: bytes, or the hexadecimal digits of them. */
static bool read_thumbprint(const cJSON *jwk, const char *name, const EVP_MD *digest, X509 *leaf,
                            char why[JWK_GO_WHY])
{
    const char *text = json_string(jwk, name);
    unsigned char *bytes = NULL, own[EVP_MAX_MD_SIZE];
    unsigned size = (unsigned)EVP_MD_get_size(digest), own_size = 0;
    long n = text ? decode_url(text, &bytes) : 0;

    if (bytes && n == 2 * (long)size) {
        bytes[n] = '\0';
        long hex = 0;
        unsigned char *raw = OPENSSL_hexstr2buf((char *)bytes, &hex);
        bool colon = memchr(bytes, ':', (size_t)n) != NULL; /* libcrypto's own */
        if (raw && !colon && hex == (long)size)
            memcpy(bytes, raw, size);
        n = raw && !colon ? hex : -1;
        OPENSSL_free(raw);
        ERR_clear_error();
    }
    bool same = n != (long)size || !leaf ||
                (X509_digest(leaf, digest, own, &own_size) == 1 && memcmp(own, bytes, size) == 0);
    free(bytes);
    if (n != 0 && n != (long)size)
        return unread(why, "its %s is no thumbprint", name);
    return same || unread(why, "its %s is not that of its x5c", name);
}

/* ---- members --------------------------------------------------------------------------------- */

static bool read_texts(const cJSON *jwk, char why[JWK_GO_WHY])
{
    static const char *const names[] = { "use", "kty", "kid", "crv", "alg", "x5t", "x5t#S256" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cJSON *member = given(jwk, names[i]);
        if (member && !cJSON_IsString(member))
            return unread(why, "its %s is no string", names[i]);
    }
    return !given(jwk, "x5u") || cJSON_IsObject(given(jwk, "x5u")) ||
           unread(why, "it has an x5u"); /* a URL, which is no structure to decode into */
}

/* Whatever its type, and whether it has a use for them. */
static bool read_numbers(const cJSON *jwk, char why[JWK_GO_WHY])
{
    static const char *const names[] = { "k", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cJSON *member = given(jwk, names[i]);
        unsigned char *bytes = NULL;
        long n = cJSON_IsString(member) ? decode_url(member->valuestring, &bytes) : -1;
        if (bytes)
            explicit_bzero(bytes, strlen(member->valuestring));
        free(bytes);
        if (member && n < 0)
            return unread(why, "its %s is not base64url without padding", names[i]);
    }
    return true;
}

static long size_of(const cJSON *jwk, const char *name)
{
    unsigned char *bytes = NULL;
    const char *text = json_string(jwk, name);
    long n = text ? decode_url(text, &bytes) : -1;

    free(bytes);
    return n;
}

/* ---- by type --------------------------------------------------------------------------------- */

static bool has_all(const cJSON *jwk, const char *names, char why[JWK_GO_WHY])
{
    char name[2] = "";

    for (const char *p = names; *p; p++) {
        *name = *p;
        if (!given(jwk, name))
            return unread(why, "it has no %s", name);
    }
    return true;
}

bool jwk_go_has_exponent(const cJSON *jwk)
{
    unsigned char *bytes = NULL, any = 0;

    if (strcmp(json_string(jwk, "kty"), "RSA") != 0)
        return true;
    long n = decode_url(json_string(jwk, "e"), &bytes);
    for (long i = n > 8 ? n - 8 : 0; i < n; i++)
        any |= bytes[i];
    free(bytes);
    return any != 0;
}

static BIGNUM *number(const cJSON *jwk, const char *name)
{
    unsigned char *bytes = NULL;
    long n = decode_url(json_string(jwk, name), &bytes);
    BIGNUM *ret = n >= 0 ? BN_bin2bn(bytes, (int)n, NULL) : NULL;

    free(bytes);
    return ret;
}

/* Whether a b = 1 modulo m. */
static bool are_inverse(const BIGNUM *a, const BIGNUM *b, const BIGNUM *m, BN_CTX *context)
{
    BIGNUM *product = BN_new();
    bool good = product && !BN_is_zero(m) && BN_mod_mul(product, a, b, m, context) == 1 &&
                BN_is_one(product);

    BN_clear_free(product);
    return good;
}

/* d for one of the primes; crt: the member that has it modulo p - 1, NULL: none is looked at. */
static bool is_exponent(const cJSON *jwk, const BIGNUM *e, const BIGNUM *d, const BIGNUM *p,
                        const char *crt, BN_CTX *context)
{
    BIGNUM *below = BN_dup(p), *rest = BN_new(), *kept = crt ? number(jwk, crt) : NULL;
    bool good = below && rest && BN_sub_word(below, 1) == 1 && are_inverse(e, d, below, context) &&
                BN_mod(rest, d, below, context) == 1 && (!crt || (kept && BN_cmp(rest, kept) == 0));

    BN_clear_free(below);
    BN_clear_free(rest);
    BN_clear_free(kept);
    return good;
}

/* q to the power of p - 2, which Go takes for the inverse of q modulo p. */
static bool is_inverted(const BIGNUM *q, const BIGNUM *p, BN_CTX *context)
{
    BIGNUM *exponent = BN_dup(p), *inverse = BN_new();
    bool good = exponent && inverse && BN_is_odd(p) && BN_sub_word(exponent, 2) == 1 &&
                BN_mod_exp(inverse, q, exponent, p, context) == 1 &&
                are_inverse(q, inverse, p, context);

    BN_clear_free(exponent);
    BN_clear_free(inverse);
    return good;
}

/* As Go checks private keys: it looks at dp, dq and qi where all are there. */
static bool is_private_rsa(const cJSON *jwk)
{
    bool crt = given(jwk, "dp") && given(jwk, "dq") && given(jwk, "qi");
    BIGNUM *n = number(jwk, "n"), *e = number(jwk, "e"), *d = number(jwk, "d");
    BIGNUM *p = number(jwk, "p"), *q = number(jwk, "q"), *product = BN_new();
    BIGNUM *qi = crt ? number(jwk, "qi") : NULL;
    BN_CTX *context = BN_CTX_new();
    bool good = n && e && d && p && q && product && context &&
                BN_mul(product, p, q, context) == 1 && BN_cmp(n, product) == 0 &&
                BN_cmp(d, n) < 0 && is_exponent(jwk, e, d, p, crt ? "dp" : NULL, context) &&
                is_exponent(jwk, e, d, q, crt ? "dq" : NULL, context) &&
                (crt ? qi && BN_cmp(qi, p) < 0 && are_inverse(q, qi, p, context)
                     : is_inverted(q, p, context));

    BIGNUM *all[] = { n, e, d, p, q, product, qi };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        BN_clear_free(all[i]);
    BN_CTX_free(context);
    ERR_clear_error();
    return good;
}

static bool read_rsa(const cJSON *jwk, char why[JWK_GO_WHY])
{
    bool private = given(jwk, "d") != NULL;

    if (!has_all(jwk, private ? "nedpq" : "ne", why))
        return false;
    return !private || is_private_rsa(jwk) || unread(why, "its private part is none");
}

static bool read_ec(const cJSON *jwk, const EVP_PKEY *key, char why[JWK_GO_WHY])
{
    static const struct {
        const char *crv;
        long size;
    } curves[] = { { "P-256", 32 }, { "P-384", 48 }, { "P-521", 66 } };
    const char *crv = json_string(jwk, "crv");
    long size = 0;

    for (size_t i = 0; crv && i < sizeof curves / sizeof *curves; i++)
        if (strcmp(curves[i].crv, crv) == 0)
            size = curves[i].size;
    if (size == 0)
        return unread(why, "curve \"%.20s\" is not one of its", crv ? crv : "");
    if (!has_all(jwk, "xy", why))
        return false;
    for (const char *const *name = (const char *const[]){ "x", "y", "d", NULL }; *name; name++)
        if (given(jwk, *name) && size_of(jwk, *name) != size)
            return unread(why, "its %s is not of the curve's length", *name);
    return key || unread(why, "its point is not on its curve");
}

static bool read_by_type(const cJSON *jwk, const EVP_PKEY *key, char why[JWK_GO_WHY])
{
    const char *kty = json_string(jwk, "kty"), *crv = json_string(jwk, "crv");

    if (kty && strcmp(kty, "RSA") == 0)
        return read_rsa(jwk, why);
    if (kty && strcmp(kty, "EC") == 0)
        return read_ec(jwk, key, why);
    if (kty && strcmp(kty, "oct") == 0)
        return has_all(jwk, "k", why);
    if (!kty || strcmp(kty, "OKP") != 0)
        return unread(why, "kty \"%.20s\" is not one of its", kty ? kty : "");
    if (!crv || strcmp(crv, "Ed25519") != 0)
        return unread(why, "curve \"%.20s\" is not one of its", crv ? crv : "");
    return has_all(jwk, "x", why);
}

/* A symmetric key has none to compare; and where the key is none, there is none. */
static bool suits_certificate(const cJSON *jwk, EVP_PKEY *key, X509 *leaf)
{
    const char *kty = json_string(jwk, "kty");
    EVP_PKEY *certified = leaf ? X509_get0_pubkey(leaf) : NULL;
    bool suits = !leaf || (kty && strcmp(kty, "oct") != 0 && key && certified &&
                           EVP_PKEY_eq(key, certified) == 1);

    ERR_clear_error();
    return suits;
}

bool jwk_go_private(const cJSON *jwk)
{
    return given(jwk, "d") != NULL;
}

bool jwk_go_reads(const cJSON *jwk, EVP_PKEY *key, char why[JWK_GO_WHY])
{
    const char *twice = json_twice(jwk);
    X509 *leaf = NULL;

    if (!cJSON_IsObject(jwk))
        return unread(why, "it is no object");
    if (twice)
        return unread(why, "it has two %.30s", twice);
    if (!read_texts(jwk, why) || !read_numbers(jwk, why))
        return false;
    if (!read_chain(given(jwk, "x5c"), &leaf))
        return unread(why, "its x5c is no list of certificates");
    bool good = read_by_type(jwk, key, why);
    if (good && !suits_certificate(jwk, key, leaf))
        good = unread(why, "its x5c certifies another key");
    good = good && read_thumbprint(jwk, "x5t", EVP_sha1(), leaf, why) &&
           read_thumbprint(jwk, "x5t#S256", EVP_sha256(), leaf, why);
    X509_free(leaf);
    return good;
}
