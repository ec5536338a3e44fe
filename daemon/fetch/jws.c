#include "daemon/fetch/jws.h"

#include <jwt.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

bool jws_supported(const char *alg)
{
    static const char *const algs[] = { "RS256", "RS384", "RS512", "ES256", "ES384", "ES512" };

    for (size_t i = 0; i < sizeof algs / sizeof *algs; i++)
        if (strcmp(algs[i], alg) == 0)
            return true;
    return false;
}

bool jws_verify(const char *token, const char *alg, EVP_PKEY *key)
{
    BIO *pem = BIO_new(BIO_s_mem());
    jwt_t *jwt = NULL;
    char *bytes;
    bool valid = false;

    if (jws_supported(alg) && pem && PEM_write_bio_PUBKEY(pem, key) == 1) {
        long length = BIO_get_mem_data(pem, &bytes);
        /* libjwt lets the token choose the algorithm and returns 0 when it runs out of
         * memory on the key: only the comparison afterwards says what was checked. */
        if (jwt_decode(&jwt, token, (unsigned char *)bytes, (int)length) == 0)
            valid = jwt && jwt_get_alg(jwt) == jwt_str_alg(alg);
    }
    jwt_free(jwt);
    BIO_free(pem);
    ERR_clear_error();
    return valid;
}
