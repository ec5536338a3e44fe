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
    const char *kid;        /* NULL: it has none */
    EVP_PKEY *key;          /* NULL: it may not verify */
    const char *why;        /* why not */
    char curve[CURVE_SIZE]; /* "P-256" ..., "Ed25519", empty for RSA */
    cJSON *json;            /* as it was published; kid is in it */
    bool leaked;            /* the set has its private part too, as another key */
    bool used, used_before; /* it verified the token, or one of an earlier job; or its name did */
};

enum { JWKS_UNREADABLE = 160 };

/* As many as the set has: what http.c takes bounds them. */
struct jwks {
    struct jwk *keys;
    size_t n;
    struct jwk *refused; /* those that the API server takes for no signature, and we neither */
    size_t n_refused;
    char unreadable[JWKS_UNREADABLE]; /* which key spoils the set for the API server, and why */
};

/* Reads a JWK Set as kube-apiserver does: alg, use and key_ops of a key say nothing; but what it
 * cannot read, and so takes none of the others, is passed over here: a provider may have more than
 * we know. Returns 0, or -1 with *why set (ERROR_KEYS_UNREADABLE: nor can the API server) when no
 * key for signatures is left, good or refused. */
int jwks_parse(const char *text, size_t length, struct jwks *ret, struct error *why);
void jwks_clear(struct jwks *jwks);

/* The public half of an RSA, EC or OKP key, or NULL; the caller frees it. The curve becomes as in
 * struct jwk. */
EVP_PKEY *jwks_key(const cJSON *jwk, char ret_curve[CURVE_SIZE]);

/* Marks the key as used, and those of the same name with it. */
void jwks_mark_used(struct jwks *jwks, size_t index);
/* Marks as used before what `before` has as used, now or before. */
void jwks_inherit_use(struct jwks *jwks, const struct jwks *before);
bool jwks_any_used(const struct jwks *jwks);

/* What is worth keeping, as a JWK Set of at most so many bytes that the caller frees: of keys that
 * were used as many as fit, the latest first; where none was, all, if they fit. Of each the members
 * that matter; none that leaked. NULL: nothing, or no memory. */
char *jwks_distill(const struct jwks *jwks, size_t most);

/* Whether the key may check a token with that alg and kid (NULL: the token names none; a key
 * without a kid serves any). */
bool jwks_fits(const struct jwk *key, const char *alg, const char *kid);

/* Whether it serves by having no kid, which is nothing to the API server. */
bool jwks_unnamed(const struct jwk *key, const char *kid);

/* Strict base64url without padding (RFC 7515 §2). Returns the length, or -1. out has room for
 * length * 3 / 4 bytes. Unused bits of the last character may be set, as in Go. */
long base64url_decode(const char *text, size_t length, unsigned char *out);

#endif
