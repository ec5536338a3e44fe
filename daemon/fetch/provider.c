#define _GNU_SOURCE
#include "daemon/fetch/provider.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"

#define MINUTE (60 * USEC_PER_SEC)
/* How long what is known is used without a look; after that, as long as there is no newer. */
static const uint64_t document_life = 24 * 60 * MINUTE, keys_life = 60 * MINUTE;
/* Bytes of keys that are kept: the endpoints have to fit beside them. */
enum { KEPT_KEYS_MAX = RESULT_CACHE_MAX - 8 * 1024 };
/* A clock of this machine is late by no more than one second in so many. */
enum { DRIFT = 5000 };
/* For requests that the token does not hang on. */
static const uint64_t patience = 5 * USEC_PER_SEC;

/* ---- endpoints ------------------------------------------------------------------------------- */

static int look_up_document(struct provider *p, struct result *ret)
{
    struct discovery document;
    bool optional = (p->job->token_endpoint && p->job->kind != JOB_VERIFY) || p->cache.has_document;

    if (cache_fresh(p->cache.discovered, document_life))
        return 0;
    if (optional)
        http_hurry(p->http, patience);
    if (discovery_fetch(p->http, p->job, &document, ret) == 0) {
        discovery_clear(&p->cache.document);
        p->cache.document = document;
        p->cache.has_document = true;
        p->cache.discovered = time_boottime();
        return 0;
    }
    discovery_clear(&document);
    if (!optional || ret->outcome == OUTCOME_CONFIG) /* no request goes well with that */
        return -1;
    ret->retry_after = 0; /* the token endpoint did not say so */
    return 0;
}

int provider_find_endpoints(struct provider *p, struct result *ret)
{
    const struct job *job = p->job;
    const struct discovery *document = &p->cache.document;

    bool known = job->jwks_uri && (job->token_endpoint || job->kind == JOB_VERIFY);
    if (!known && look_up_document(p, ret) < 0)
        return -1;
    p->endpoints = *document;
    if (job->token_endpoint)
        p->endpoints.token_endpoint = (char *)(uintptr_t)job->token_endpoint;
    if (job->jwks_uri)
        p->endpoints.jwks_uri = (char *)(uintptr_t)job->jwks_uri;
    return 0;
}

int provider_find_revocation(struct provider *p, struct result *ret)
{
    if (!p->cache.document.revocation_endpoint)
        p->cache.discovered = 0; /* what an older version has learnt has none */
    if (look_up_document(p, ret) < 0)
        return -1;
    if (p->cache.document.revocation_endpoint)
        return 0;
    if (ret->error.code == ERROR_NONE) { /* else the document could not be had */
        ret->outcome = OUTCOME_INVALID;
        error_set(&ret->error, ERROR_NOT_REVOKED, "the provider publishes no revocation_endpoint");
    }
    return -1;
}

/* What an older version has learnt of a provider has no such endpoint: where none is known, the
 * document is looked up anew. */
int provider_find_device(struct provider *p, const char **ret_url, struct result *ret)
{
    struct discovery *d = &p->cache.document;

    if (!p->job->device_endpoint && !d->device_endpoint)
        p->cache.discovered = 0;
    if (!(p->job->device_endpoint && p->job->token_endpoint) && look_up_document(p, ret) < 0)
        return -1;
    *ret_url = p->job->device_endpoint ? p->job->device_endpoint : d->device_endpoint;
    if (*ret_url)
        return 0;
    if (ret->error.code == ERROR_NONE) { /* else the document could not be had */
        ret->outcome = OUTCOME_INVALID;
        error_set(&ret->error, ERROR_NO_DEVICE_LOGIN, "%s", "");
    }
    return -1;
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* What a cache on the way hands out has the Date of when it came there. */
static void note_clock(struct provider *p, const struct http_reply *reply, uint64_t asked)
{
    if (reply->date <= 0)
        return;
    p->cache.date = reply->date + reply->age;
    p->cache.dated = asked;
}

int64_t provider_clock(const struct provider *p)
{
    uint64_t now = time_boottime(), dated = p->cache.dated;

    if (p->cache.date <= 0 || dated == 0 || dated > now)
        return 0;
    int64_t since = (int64_t)((now - dated + USEC_PER_SEC - 1) / USEC_PER_SEC);
    return p->cache.date + since + since / DRIFT;
}

int provider_renew_keys(struct provider *p, struct error *why)
{
    const char *uri = p->endpoints.jwks_uri;
    struct http_reply reply;
    struct jwks keys;

    if (!uri) {
        error_set(why, ERROR_KEYS_INVALID, "no jwks_uri is known");
        return -1;
    }
    if (p->job->kind != JOB_VERIFY || p->keys.n > 0)
        http_hurry(p->http, patience);
    p->retry_after = 0;
    uint64_t asked = time_boottime();
    if (http_request(p->http, "keys", uri, NULL, &reply, why) < 0)
        return -1;
    note_clock(p, &reply, asked);
    if (reply.status != 200) {
        p->retry_after = reply.retry_after;
        error_set(why, ERROR_KEYS_INVALID, "HTTP %ld for %s%s%s", reply.status, uri,
                  *reply.location ? ", to " : "", reply.location);
        return -1;
    }
    if (jwks_parse(reply.body, reply.length, &keys, why) < 0)
        return -1;
    jwks_inherit_use(&keys, &p->keys);
    jwks_clear(&p->keys);
    p->keys = keys;
    p->keys_cached = false;
    p->cache.keyed = time_boottime();
    return 0;
}

static void take_cached_keys(struct provider *p)
{
    const char *known = p->cache.keys;
    struct error broken;

    if (!known || jwks_parse(known, strlen(known), &p->keys, &broken) < 0)
        return;
    for (size_t i = 0; i < p->keys.n; i++)
        p->keys.keys[i].used_before = p->cache.keys_used;
    p->keys_cached = true;
}

int provider_find_keys(struct provider *p, struct error *why)
{
    take_cached_keys(p);
    if (p->keys_cached && cache_fresh(p->cache.keyed, keys_life))
        return 0;
    return provider_renew_keys(p, why) < 0 && !p->keys_cached ? -1 : 0;
}

/* Only what was used: a provider may have a thousand keys. */
static void keep_keys(struct provider *p)
{
    if (p->keys.n == 0)
        return;
    free(p->cache.keys);
    p->cache.keys = jwks_distill(&p->keys, KEPT_KEYS_MAX);
    p->cache.keys_used = jwks_any_used(&p->keys);
}

void provider_open(struct provider *p, struct http *http, const struct job *job)
{
    *p = (struct provider){ .http = http, .job = job };
    cache_read(job, &p->cache);
}

void provider_close(struct provider *p, struct result *ret)
{
    keep_keys(p);
    cache_write(p->job, &p->cache, ret);
    jwks_clear(&p->keys);
    cache_clear(&p->cache);
}
