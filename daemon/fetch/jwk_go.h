/*
 * jwk_go - whether the library of kube-apiserver (go-jose 2.6) can read a JWK.
 *
 * One that it cannot read spoils the whole set for it: 401 for each token, whichever key signed it.
 * What it takes is not what is any good: it passes over alg, use and key_ops, and reads private
 * keys, which verify nothing then.
 */
#ifndef KUBETOKEN_FETCH_JWK_GO_H
#define KUBETOKEN_FETCH_JWK_GO_H

#include <cjson/cJSON.h>
#include <openssl/evp.h>
#include <stdbool.h>

enum { JWK_GO_WHY = 80 };

/* key: what libcrypto made of its public half, NULL: nothing. Fills why where it returns false. */
bool jwk_go_reads(const cJSON *jwk, EVP_PKEY *key, char why[JWK_GO_WHY]);

/* Whether an RSA key has an exponent that Go takes for one: it looks at the lowest 64 bits. True
 * for other types. */
bool jwk_go_has_exponent(const cJSON *jwk);

/* Whether it has a private part, however good. */
bool jwk_go_private(const cJSON *jwk);

/* Whether x5c (of a JWK or a token's header) is a list of certificates in DER and base64, or null
 * or missing. */
bool jwk_go_certificates(const cJSON *x5c);

#endif
