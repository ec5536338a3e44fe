/*
 * cache - what a fetcher learnt of the provider, for the next one: endpoints and bare keys.
 *
 * It goes through the daemon as bytes that mean nothing there, and is read again with the same
 * mistrust as what came from the network. A print of all that it depends on stands in it:
 * another issuer, CA file or client certificate makes it void.
 */
#ifndef KUBETOKEN_FETCH_CACHE_H
#define KUBETOKEN_FETCH_CACHE_H

#include "daemon/fetch/discovery.h"

struct cache {
    bool has_document;
    struct discovery document;
    uint64_t discovered; /* usec of CLOCK_BOOTTIME; 0: it is time to look again */
    char *keys;          /* a JWK Set, NULL: none known */
    uint64_t keyed;
    int64_t date;   /* the provider's clock in seconds since 1970, 0: not told, */
    uint64_t dated; /* by an answer that was asked for then */
    bool keys_used; /* they are those that were used, and not all that there were */
};

/* Takes what the job brings; *ret is empty when there is nothing, or nothing that fits. */
void cache_read(const struct job *job, struct cache *ret);
void cache_clear(struct cache *cache);

/* Puts it into the result. What is too large is left out. */
void cache_write(const struct job *job, const struct cache *cache, struct result *ret);

/* Whether something learnt then is not older than limit (usec), nor from another boot. */
bool cache_fresh(uint64_t learnt, uint64_t limit);

#endif
