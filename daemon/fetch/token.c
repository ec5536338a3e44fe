#define _GNU_SOURCE
#include "daemon/fetch/token.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/fetch/cache.h"
#include "daemon/fetch/grant.h"
#include "daemon/fetch/id_token.h"

#define MINUTE (60 * USEC_PER_SEC)
/* How long what is known is used without a look; after that, as long as there is no newer. */
static const uint64_t document_life = 24 * 60 * MINUTE, keys_life = 60 * MINUTE;
/* Keys are asked for again, for a token that they do not fit, at most that often. */
static const uint64_t keys_floor = 1 * MINUTE;
/* For requests that the token does not hang on. */
static const uint64_t patience = 5 * USEC_PER_SEC;

struct run {
    struct http *http;
    const struct job *job;
    http_step_fn on_step;
    struct cache cache;
    struct discovery endpoints; /* borrowed from job and cache */
    struct jwks keys;
    bool keys_cached; /* from an earlier job */
};

/* ---- endpoints ------------------------------------------------------------------------------- */

static int look_up_document(struct run *r, struct result *ret)
{
    struct discovery document;
    bool optional = r->job->token_endpoint || r->cache.has_document;

    if (cache_fresh(r->cache.discovered, document_life))
        return 0;
    if (optional)
        http_hurry(r->http, patience);
    if (discovery_fetch(r->http, r->job, &document, ret) == 0) {
        discovery_clear(&r->cache.document);
        r->cache.document = document;
        r->cache.has_document = true;
        r->cache.discovered = time_boottime();
        return 0;
    }
    discovery_clear(&document);
    if (!optional || ret->error.code == ERROR_TLS_FILE) /* no request goes well without those */
        return -1;
    ret->retry_after = 0; /* the token endpoint did not say so */
    return 0;
}

/* Those of the configuration, and for the rest those of the discovery document. */
static int find_endpoints(struct run *r, struct result *ret)
{
    const struct job *job = r->job;
    const struct discovery *document = &r->cache.document;

    if (!(job->token_endpoint && job->jwks_uri) && look_up_document(r, ret) < 0)
        return -1;
    r->endpoints = *document;
    if (job->token_endpoint)
        r->endpoints.token_endpoint = (char *)(uintptr_t)job->token_endpoint;
    if (job->jwks_uri)
        r->endpoints.jwks_uri = (char *)(uintptr_t)job->jwks_uri;
    return 0;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static int fetch_keys(struct run *r, struct error *why)
{
    const char *uri = r->endpoints.jwks_uri;
    struct http_reply reply;
    struct jwks keys;

    if (!uri) {
        error_set(why, ERROR_KEYS_INVALID, "no jwks_uri is known");
        return -1;
    }
    http_hurry(r->http, patience);
    if (http_request(r->http, "keys", uri, NULL, &reply, why) < 0)
        return -1;
    if (reply.status != 200) {
        error_set(why, ERROR_KEYS_INVALID, "HTTP %ld for %s", reply.status, uri);
        return -1;
    }
    if (jwks_parse(reply.body, reply.length, &keys, why) < 0)
        return -1;
    jwks_clear(&r->keys);
    r->keys = keys;
    r->keys_cached = false;
    free(r->cache.keys);
    r->cache.keys = jwks_distill(reply.body, reply.length);
    r->cache.keyed = time_boottime();
    return 0;
}

/* Returns 0, or -1 with *why: a token straight from the token endpoint needs no signature to be
 * believed (OpenID Connect Core §3.1.3.7, 6), so this is no reason to fail. */
static int find_keys(struct run *r, struct error *why)
{
    const char *known = r->cache.keys;
    struct error broken;

    if (known && jwks_parse(known, strlen(known), &r->keys, &broken) == 0)
        r->keys_cached = true;
    if (r->keys_cached && cache_fresh(r->cache.keyed, keys_life))
        return 0;
    return fetch_keys(r, why) < 0 && !r->keys_cached ? -1 : 0;
}

/* ---- the token ------------------------------------------------------------------------------- */

static int check(struct run *r, bool with_keys, int64_t date, struct result *ret)
{
    return id_token_check(r->job, secret_peek(ret->id_token), secret_length(ret->id_token),
                          with_keys ? &r->keys : NULL, date, ret);
}

/* The keys at hand are older than the token: the provider may have others by now. */
static int check_again(struct run *r, int64_t date, struct result *ret)
{
    struct error why;

    error_set(&why, ERROR_KEYS_INVALID, "they were asked for less than a minute ago");
    if (!cache_fresh(r->cache.keyed, keys_floor) && fetch_keys(r, &why) == 0)
        return check(r, true, date, ret);
    if (id_token_key_known(secret_peek(ret->id_token), secret_length(ret->id_token), &r->keys) ||
        check(r, false, date, ret) < 0)
        return -1;
    id_token_warn(ret, ERROR_NOT_VERIFIED, "its key is new, and new keys cannot be had: %s",
                  why.detail);
    return 0;
}

/* Failures of a token endpoint that the provider may have given up. */
static bool may_have_moved(enum error_code code)
{
    return code == ERROR_DNS || code == ERROR_CONNECT || code == ERROR_TLS ||
           code == ERROR_PROVIDER_ERROR || code == ERROR_ANSWER_INVALID;
}

static void get_token(struct run *r, struct result *ret)
{
    struct error why;
    int64_t date = 0;
    bool keys = find_keys(r, &why) == 0;

    if (grant_run(r->http, r->job, &r->endpoints, ret, &date) < 0) {
        if (may_have_moved(ret->error.code))
            r->cache.discovered = 0;
        return;
    }
    r->on_step(NULL, "verify", "");
    int result = check(r, keys, date, ret);
    if (result < 0 && ret->error.code == ERROR_TOKEN_SIGNATURE && r->keys_cached)
        result = check_again(r, date, ret);
    if (result < 0) {
        ret->id_token = secret_free(ret->id_token);
        return;
    }
    ret->outcome = OUTCOME_TOKEN;
    if (r->job->previous)
        id_token_changes(r->job->previous, secret_peek(ret->id_token), ret->changed,
                         sizeof ret->changed);
    if (!keys)
        id_token_warn(ret, ERROR_NOT_VERIFIED, "%s", why.detail);
}

void token_run(struct http *http, const struct job *job, http_step_fn on_step, struct result *ret)
{
    struct run r = { .http = http, .job = job, .on_step = on_step };

    cache_read(job, &r.cache);
    if (find_endpoints(&r, ret) == 0)
        get_token(&r, ret);
    cache_write(job, &r.cache, ret);
    jwks_clear(&r.keys);
    cache_clear(&r.cache);
}
