#include "daemon/fetch/jws.h"

#include <jwt.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/jwks.h"

enum family { FAMILY_RS, FAMILY_ES, FAMILY_PS, FAMILY_EDDSA };

static const struct algorithm {
    const char *name;
    enum family family;
    const char *digest, *group;
    size_t size; /* of r and of s, RFC 7518 §3.4 */
} algorithms[] = {
    { "RS256", FAMILY_RS, "SHA256", NULL, 0 },
    { "RS384", FAMILY_RS, "SHA384", NULL, 0 },
    { "RS512", FAMILY_RS, "SHA512", NULL, 0 },
    { "ES256", FAMILY_ES, "SHA256", "prime256v1", 32 },
    { "ES384", FAMILY_ES, "SHA384", "secp384r1", 48 },
    { "ES512", FAMILY_ES, "SHA512", "secp521r1", 66 },
    { "PS256", FAMILY_PS, "SHA256", NULL, 0 },
    { "PS384", FAMILY_PS, "SHA384", NULL, 0 },
    { "PS512", FAMILY_PS, "SHA512", NULL, 0 },
    { "EdDSA", FAMILY_EDDSA, NULL, NULL, 0 },
};

static const struct algorithm *find(const char *alg)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (strcmp(algorithms[i].name, alg) == 0)
            return &algorithms[i];
    return NULL;
}

bool jws_supported(const char *alg)
{
    return find(alg) != NULL;
}

/* libjwt looks at no curve: it takes SHA-256 with P-384 for ES256. */
static bool key_suits(const struct algorithm *a, EVP_PKEY *key)
{
    char group[32];

    if (a->family == FAMILY_EDDSA)
        return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
    if (a->family != FAMILY_ES)
        return EVP_PKEY_is_a(key, "RSA");
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           strcmp(group, a->group) == 0;
}

/* ---- by libjwt ------------------------------------------------------------------------------- */

static bool libjwt_verifies(const struct algorithm *a, const char *token, EVP_PKEY *key)
{
    BIO *pem = BIO_new(BIO_s_mem());
    jwt_t *jwt = NULL;
    char *bytes;
    bool valid = false;

    if (pem && PEM_write_bio_PUBKEY(pem, key) == 1) {
        long length = BIO_get_mem_data(pem, &bytes);
        /* libjwt lets the token choose the algorithm and returns 0 when it runs out of
         * memory on the key: only the comparison afterwards says what was checked. */
        if (jwt_decode(&jwt, token, (unsigned char *)bytes, (int)length) == 0)
            valid = jwt && jwt_get_alg(jwt) == jwt_str_alg(a->name);
    }
    jwt_free(jwt);
    BIO_free(pem);
    return valid;
}

/* ---- by libcrypto ---------------------------------------------------------------------------- */

/* r and s side by side as the DER that libcrypto wants. Returns its length, or -1. */
static int ecdsa_der(const struct algorithm *a, const unsigned char *raw, size_t length,
                     unsigned char **ret)
{
    if (length != 2 * a->size)
        return -1;
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, (int)a->size, NULL);
    BIGNUM *s = BN_bin2bn(raw + a->size, (int)a->size, NULL);
    int n = -1;

    if (signature && r && s && ECDSA_SIG_set0(signature, r, s) == 1) {
        r = s = NULL; /* the signature's now */
        n = i2d_ECDSA_SIG(signature, ret);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(signature);
    return n;
}

static bool digest_verifies(const struct algorithm *a, const char *text, size_t text_length,
                            const unsigned char *signature, size_t length, EVP_PKEY *key)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *parameters; /* the context's */
    bool ready = context && EVP_DigestVerifyInit_ex(context, &parameters, a->digest, NULL, NULL,
                                                    key, NULL) == 1;

    /* RFC 7518 §3.5: a salt as long as the digest; MGF1 takes the same digest by itself */
    if (ready && a->family == FAMILY_PS)
        ready = EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
                EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1;
    bool valid = ready && EVP_DigestVerify(context, signature, length, (const unsigned char *)text,
                                           text_length) == 1;
    EVP_MD_CTX_free(context);
    return valid;
}

static bool libcrypto_verifies(const struct algorithm *a, const char *token, EVP_PKEY *key)
{
    const char *dot = strrchr(token, '.');
    unsigned char *raw = malloc(strlen(token)), *der = NULL;
    long n = dot && raw ? base64url_decode(dot + 1, strlen(dot + 1), raw) : -1;
    bool valid = false;

    /* RFC 8017 §8.1.2, step 1, which libcrypto leaves out for PSS: a leading zero byte belongs to
     * it */
    bool rsa = a->family == FAMILY_RS || a->family == FAMILY_PS;
    if (rsa && n != EVP_PKEY_get_size(key))
        n = -1;
    if (n > 0 && a->family != FAMILY_ES) {
        valid = digest_verifies(a, token, (size_t)(dot - token), raw, (size_t)n, key);
    } else if (n > 0) {
        int length = ecdsa_der(a, raw, (size_t)n, &der);
        if (length > 0)
            valid = digest_verifies(a, token, (size_t)(dot - token), der, (size_t)length, key);
    }
    OPENSSL_free(der);
    free(raw);
    return valid;
}

/*
 * RS and ES are libjwt's. What it takes is good; what it refuses need not be bad: 1.10 wants typ
 * to be JWT (at+jwt is as good for kube-apiserver, as in RFC 9068), and jansson, which reads the
 * claims for it, knows no integer over 63 bits, no half of a surrogate pair and no broken UTF-8,
 * all of which Go reads. It gives the same EINVAL for that as for a forged signature, and other
 * versions have other such limits. So a refusal is put to libcrypto, which sees bytes and no
 * JSON; it does PS and EdDSA alone, for which no libjwt 1.x can be relied on.
 */
bool jws_verify(const char *token, const char *alg, EVP_PKEY *key)
{
    const struct algorithm *a = find(alg);
    bool valid = false;

    if (a && key_suits(a, key)) {
        if (a->family == FAMILY_RS || a->family == FAMILY_ES)
            valid = libjwt_verifies(a, token, key);
        valid = valid || libcrypto_verifies(a, token, key);
    }
    ERR_clear_error();
    return valid;
}
