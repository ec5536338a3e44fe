/*
 * jws - one signature, checked by libjwt or libcrypto. Nothing else sees libjwt's types, so that
 * another version of it touches this file alone.
 */
#ifndef KUBETOKEN_FETCH_JWS_H
#define KUBETOKEN_FETCH_JWS_H

#include <openssl/evp.h>
#include <stdbool.h>

/* Whether that algorithm can be checked: RS, ES and PS (RFC 7518 §3.1), EdDSA (RFC 8037 §3.1).
 * Symmetric ones and "none" it must not: a public key is no secret. */
bool jws_supported(const char *alg);

/* Checks a compact JWS whose shape (job_token_shaped) and header were checked before: alg is
 * what the header says and what the key was chosen for. A key of another type or curve than the
 * algorithm's verifies nothing. Returns whether it is valid. */
bool jws_verify(const char *token, const char *alg, EVP_PKEY *key);

#endif
