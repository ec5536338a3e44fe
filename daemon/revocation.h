/*
 * revocation - tells providers that refresh tokens are not needed any more (RFC 7009), after a
 * logout: once, within some seconds, and it is no harm to the logout where that fails.
 */
#ifndef KUBETOKEN_REVOCATION_H
#define KUBETOKEN_REVOCATION_H

#include "daemon/config.h"
#include "daemon/context.h"

struct revocation;

/* How long it takes at most, in usec. */
#define REVOCATION_TIME (3 * USEC_PER_SEC)

/* Told once, never from within revocation_start(): a line for each that failed, "" = none did. The
 * revocation is gone after that. */
typedef void (*revocation_done_fn)(void *context, const char *failures);

/* NULL: no memory. */
struct revocation *revocation_new(struct context *shared, revocation_done_fn done, void *context);

/* One more to revoke. What is given is copied; cache is what the profile's fetchers learnt. */
void revocation_add(struct revocation *revocation, const struct profile_config *config,
                    const struct secret *refresh_token, const void *cache, size_t cache_length);

/* False: there is none to revoke, or no memory, and the revocation is gone. */
bool revocation_start(struct revocation *revocation);

/* What it waits for now, in words. */
void revocation_words(const struct revocation *revocation, char *out, size_t size);

/* Nobody wants to be told any more: it goes on without. Takes NULL. */
struct revocation *revocation_leave(struct revocation *revocation);

/* Ends all that are under way: the daemon ends. */
void revocation_end_all(struct context *shared);

#endif
