/*
 * secret - counted byte strings in locked, undumpable memory, wiped when freed.
 *
 * Passwords, client secrets and tokens have this type and no other: no format string
 * takes it, and whoever wants the bytes has to ask for them by name.
 *
 * Locking is best effort (RLIMIT_MEMLOCK); secret_locked() tells whether all of it held.
 * The memory is excluded from core dumps and empty in a forked child.
 */
#ifndef KUBETOKEN_SECRET_H
#define KUBETOKEN_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct secret;

/* An empty secret with room for capacity bytes and a final NUL. NULL: no memory. */
struct secret *secret_new(size_t capacity);

/* A secret that holds a copy of the bytes; the caller wipes the original. NULL: no memory. */
struct secret *secret_copy(const void *bytes, size_t length);

/* Wipes and frees; takes NULL. Returns NULL, so that p = secret_free(p) forgets it. */
struct secret *secret_free(struct secret *secret);

/* The bytes, always followed by a NUL; they live as long as the secret. */
char *secret_bytes(struct secret *secret);
const char *secret_peek(const struct secret *secret);

/* The length that was set, 0 for NULL; the capacity that was asked for. */
size_t secret_length(const struct secret *secret);
size_t secret_capacity(const struct secret *secret);

/* Sets the length (at most the capacity), puts the NUL there and wipes what follows. */
void secret_set_length(struct secret *secret, size_t length);

/* Compares in a time that depends on the lengths alone. NULL equals only NULL. */
bool secret_equal(const struct secret *a, const struct secret *b);

/* Locks memory of somebody else's that is to hold secrets, and keeps it out of core dumps. */
void secret_lock(void *memory, size_t size);

/* Makes a secret of bytes that lie in such memory, with a NUL behind them, right after a place for
 * its head (aligned to 16 bytes). It is that memory's, and must not be freed or changed. */
enum { SECRET_PLACE = 16 };
const struct secret *secret_place(void *place, size_t length);

/* False once any page could not be locked. */
bool secret_locked(void);

/* For destructors by scope: __attribute__((cleanup(secret_cleanup))). */
void secret_cleanup(struct secret **secret);
#define _secret_ __attribute__((cleanup(secret_cleanup)))

#endif
