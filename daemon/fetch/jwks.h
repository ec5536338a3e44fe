/*
 * jwks - the provider's public keys (RFC 7517).
 */
#ifndef KUBETOKEN_FETCH_JWKS_H
#define KUBETOKEN_FETCH_JWKS_H

#include <cjson/cJSON.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

enum { CURVE_SIZE = sizeof "Ed25519" };

struct jwk {
    const char *kid; /* NULL: it has none */
    const char *alg; /* NULL: it may serve any that fits its type */
    EVP_PKEY *key;
    char curve[CURVE_SIZE]; /* "P-256" ..., "Ed25519", empty for RSA */
    cJSON *json;            /* as it was published; kid and alg are in it */
    bool used, used_before; /* it verified the token, or one of an earlier job; or its name did */
};

/* As many as the set has: what http.c takes bounds them. */
struct jwks {
    struct jwk *keys;
    size_t n;
};

/* Reads a JWK Set. Keys of other types or uses, and broken ones, are passed over: a provider
 * may have more than we know. Returns 0, or -1 with *why set when no key is left. */
int jwks_parse(const char *text, size_t length, struct jwks *ret, struct error *why);
void jwks_clear(struct jwks *jwks);

/* Marks the key as used, and those of the same name with it. */
void jwks_mark_used(struct jwks *jwks, size_t index);
/* Marks as used before what `before` has as used, now or before. */
void jwks_inherit_use(struct jwks *jwks, const struct jwks *before);
bool jwks_any_used(const struct jwks *jwks);

/* What is worth keeping, as a JWK Set of at most so many bytes that the caller frees: of keys that
 * were used as many as fit, the latest first; where none was, all, if they fit. Of each the members
 * that matter. NULL: nothing, or no memory. */
char *jwks_distill(const struct jwks *jwks, size_t most);

/* Whether the key may check a token with that alg and kid (NULL: the token names none; a key
 * without a kid serves any). */
bool jwks_fits(const struct jwk *key, const char *alg, const char *kid);

/* Strict base64url without padding (RFC 7515 §2). Returns the length, or -1. out has room for
 * length * 3 / 4 bytes. Unused bits of the last character may be set, as in Go. */
long base64url_decode(const char *text, size_t length, unsigned char *out);

#endif
