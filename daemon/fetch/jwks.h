/*
 * jwks - the provider's public keys (RFC 7517).
 */
#ifndef KUBETOKEN_FETCH_JWKS_H
#define KUBETOKEN_FETCH_JWKS_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

enum { JWKS_MAX = 64, CURVE_SIZE = sizeof "Ed25519" };

struct jwk {
    char *kid; /* NULL: it has none */
    char *alg; /* NULL: it may serve any that fits its type */
    EVP_PKEY *key;
    char curve[CURVE_SIZE]; /* "P-256" ..., "Ed25519", empty for RSA */
};

struct jwks {
    struct jwk keys[JWKS_MAX];
    size_t n;
};

/* Reads a JWK Set. Keys of other types or uses, and broken ones, are passed over: a provider
 * may have more than we know. Returns 0, or -1 with *why set when no key is left. */
int jwks_parse(const char *text, size_t length, struct jwks *ret, struct error *why);
/* The keys for signatures with no member but those that matter, as JSON that the caller frees.
 * NULL: no memory, or no JWK Set. */
char *jwks_distill(const char *text, size_t length);
void jwks_clear(struct jwks *jwks);

/* Whether the key may check a token with that alg and kid (NULL: the token names none; a key
 * without a kid serves any). */
bool jwks_fits(const struct jwk *key, const char *alg, const char *kid);

/* Strict base64url without padding (RFC 7515 §2). Returns the length, or -1. out has room for
 * length * 3 / 4 bytes. Unused bits of the last character may be set, as in Go. */
long base64url_decode(const char *text, size_t length, unsigned char *out);

#endif
