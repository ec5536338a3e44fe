/*
 * digest - a short print of a secret, to see later whether it is the same one. Keyed by random
 * bytes of this daemon's own (SipHash-2-4), so that it tells nobody else anything.
 */
#ifndef KUBETOKEN_DIGEST_H
#define KUBETOKEN_DIGEST_H

#include <stdint.h>

#include "common/secret.h"

enum { DIGEST_KEY_SIZE = 16 };

/* Sets the key, once, before anything else; else one is made at the first use. */
void digest_set_key(const unsigned char key[DIGEST_KEY_SIZE]);

/* Of a secret; NULL is told from an empty one. Never 0. */
uint64_t digest_secret(const struct secret *secret);

/* Of a text, and of what two digests are of together. Never 0. */
uint64_t digest_text(const char *text);
uint64_t digest_pair(uint64_t one, uint64_t other);

/* SipHash-2-4 of the bytes (Aumasson, Bernstein: SipHash, 2012). */
uint64_t digest_bytes(const unsigned char key[DIGEST_KEY_SIZE], const void *bytes, size_t length);

#endif
