/*
 * jws - one signature, checked by libjwt. Nothing else sees libjwt's types, so that another
 * version of it touches this file alone.
 */
#ifndef KUBETOKEN_FETCH_JWS_H
#define KUBETOKEN_FETCH_JWS_H

#include <openssl/evp.h>
#include <stdbool.h>

/* Whether the installed libjwt can check that algorithm (RFC 7518 §3.1). Symmetric ones and
 * "none" it must not: a public key is no secret. */
bool jws_supported(const char *alg);

/* Checks a compact JWS whose shape (job_token_shaped) and header were checked before: alg is
 * what the header says and what the key was chosen for. Returns whether it is valid. */
bool jws_verify(const char *token, const char *alg, EVP_PKEY *key);

#endif
