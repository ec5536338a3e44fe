/*
 * provider - what has to be known of a provider: its endpoints and its keys, from the
 * configuration, from what earlier fetchers learnt, or from the provider itself.
 */
#ifndef KUBETOKEN_FETCH_PROVIDER_H
#define KUBETOKEN_FETCH_PROVIDER_H

#include "daemon/fetch/cache.h"
#include "daemon/fetch/jwks.h"

struct provider {
    struct http *http;
    const struct job *job;
    struct cache cache;
    struct discovery endpoints; /* borrowed from job and cache */
    struct jwks keys;
    bool keys_cached;     /* from an earlier job */
    uint64_t retry_after; /* usec; as the last answer said that brought no keys */
};

/* Takes up the job's cache; http and job have to outlive it. provider_close() puts the cache
 * into the result. */
void provider_open(struct provider *provider, struct http *http, const struct job *job);
void provider_close(struct provider *provider, struct result *ret);

/* The endpoints: those of the configuration, and for the rest those of the discovery document.
 * Returns 0, or -1 with outcome, error and retry_after of *ret. */
int provider_find_endpoints(struct provider *provider, struct result *ret);

/* Where a token is revoked: p->cache.document.revocation_endpoint, looked up anew where none is
 * known. As above; -1 also where the provider publishes none. */
int provider_find_revocation(struct provider *provider, struct result *ret);

/* Where a device code is asked for: the configured URL, or that of the discovery document, borrowed
 * from job and cache. As above; -1 also where the provider publishes none. */
int provider_find_device(struct provider *provider, const char **ret_url, struct result *ret);

/* The keys. Returns 0, or -1 with *why: a token straight from the token endpoint needs no
 * signature to be believed (OpenID Connect Core §3.1.3.7, 6), so this is no reason to fail. */
int provider_find_keys(struct provider *provider, struct error *why);

/* Newer keys, for a token that came just now, where those at hand are of an earlier job and do not
 * fit it: one look-up a job, as kube-apiserver does, however new they are. As above. */
int provider_renew_keys(struct provider *provider, struct error *why);

/* The provider's clock now, in seconds since 1970: by the Date of the last answer that brought
 * keys, in this job or an earlier one, and CLOCK_BOOTTIME since; never behind it. 0: none told. */
int64_t provider_clock(const struct provider *provider);

#endif
