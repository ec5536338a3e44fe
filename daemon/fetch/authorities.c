#define _GNU_SOURCE
#include "daemon/fetch/authorities.h"

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdint.h>
#include <unistd.h>

const char *authorities_file(void)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

    return curl->capath && curl->cainfo && access(curl->cainfo, R_OK) == 0 ? curl->cainfo : NULL;
}

/* Whatever the failure is: the folder may hold an authority that has expired, and the file its
 * successor. */
static int verify(X509_STORE_CTX *peer, void *file)
{
    int verified;

    ERR_set_mark();
    verified = X509_verify_cert(peer);
    if (verified <= 0 && X509_STORE_load_file(X509_STORE_CTX_get0_store(peer), file) == 1) {
        X509_STORE_CTX_set0_verified_chain(peer, NULL); /* or it would not begin anew */
        X509_STORE_CTX_set_error(peer, X509_V_OK);
        verified = X509_verify_cert(peer);
    }
    ERR_pop_to_mark(); /* SSL_get_error() would take what is left there for its own */
    return verified;
}

void authorities_read_late(SSL_CTX *context, const char *file)
{
    SSL_CTX_set_cert_verify_callback(context, verify, (void *)(uintptr_t)file);
}
