#include "daemon/fetch/get_token.h"

#include <string.h>

#include "daemon/fetch/grant.h"
#include "daemon/fetch/id_token.h"
#include "daemon/fetch/provider.h"

static int check(struct provider *p, bool with_keys, int64_t date, struct result *ret)
{
    return id_token_check(p->job, secret_peek(ret->id_token), secret_length(ret->id_token),
                          with_keys ? &p->keys : NULL, date, ret);
}

/* Of keys that are there and serve nobody the API server has no more use, unless it asks elsewhere
 * than a jwks-uri that somebody has set. */
static void warn_unverified(const struct provider *p, const struct error *why, const char *before,
                            struct result *ret)
{
    bool unreadable = why->code == ERROR_KEYS_UNREADABLE && !p->job->jwks_uri;

    id_token_warn(ret, unreadable ? ERROR_KEYS_UNREADABLE : ERROR_NOT_VERIFIED, "%s%s", before,
                  why->detail);
}

/* The keys at hand are older than the token: the provider may have others by now, also one of the
 * same name. */
static int check_again(struct provider *p, int64_t date, http_step_fn on_step, struct result *ret)
{
    struct error why;
    int renewed = provider_renew_keys(p, &why);

    on_step(NULL, "verify", "");
    if (renewed == 0)
        return check(p, true, date, ret);
    if (id_token_key_known(secret_peek(ret->id_token), secret_length(ret->id_token), &p->keys) ||
        check(p, false, date, ret) < 0)
        return -1;
    warn_unverified(p, &why, "its key is new, and new keys cannot be had: ", ret);
    return 0;
}

/* Failures of a token endpoint that the provider may have given up. */
static bool may_have_moved(enum error_code code)
{
    enum error_class class = error_class(code);

    return class == ERROR_CLASS_UNSENT || class == ERROR_CLASS_SOFT;
}

/* OpenID Connect Core §12.2: iat of a refreshed token is the time of its own issue. */
static bool is_stale(const struct provider *p, int64_t date, struct result *ret)
{
    if (p->job->kind != JOB_REFRESH || !p->job->previous ||
        id_token_is_newer(secret_peek(ret->id_token), p->job->previous, date))
        return false;
    ret->outcome = OUTCOME_STALE;
    error_set(&ret->error, ERROR_TOKEN_STALE, "%s",
              strcmp(secret_peek(ret->id_token), p->job->previous) == 0 ? "it is the one in hand"
                                                                        : "its iat is not later");
    return true;
}

void get_token_compare(const struct provider *p, struct result *ret)
{
    const char *previous = p->job->previous, *token = secret_peek(ret->id_token);

    id_token_key(token, secret_length(ret->id_token), ret->key, sizeof ret->key);
    if (!previous)
        return;
    id_token_changes(previous, token, ret->changed, sizeof ret->changed);
    ret->key_gone = p->keys.n > 0 && !p->keys_cached &&
                    !id_token_key_known(previous, strlen(previous), &p->keys);
}

static void get_token(struct provider *p, http_step_fn on_step, struct result *ret)
{
    struct error why;
    int64_t date = 0;
    bool keys = provider_find_keys(p, &why) == 0;

    if (grant_run(p->http, p->job, &p->endpoints, ret, &date) < 0) {
        if (may_have_moved(ret->error.code))
            p->cache.discovered = 0;
        return;
    }
    on_step(NULL, "verify", "");
    int result = is_stale(p, date, ret) ? -1 : check(p, keys, date, ret);
    if (result < 0 && ret->error.code == ERROR_TOKEN_SIGNATURE && p->keys_cached)
        result = check_again(p, date, on_step, ret);
    if (result < 0) {
        ret->id_token = secret_free(ret->id_token);
        ret->access_token = secret_free(ret->access_token);
        return;
    }
    ret->outcome = OUTCOME_TOKEN;
    get_token_compare(p, ret);
    if (!keys)
        warn_unverified(p, &why, "", ret);
    if (*p->endpoints.unreadable)
        id_token_warn(ret, ERROR_DISCOVERY_UNREADABLE, "%s", p->endpoints.unreadable);
    size_t length = secret_length(ret->id_token);
    if (length >= RESULT_TOKEN_LONG)
        id_token_warn(ret, ERROR_TOKEN_LONG, "%zu bytes", length);
}

void get_token_run(struct http *http, const struct job *job, http_step_fn on_step,
                   struct result *ret)
{
    struct provider provider;

    provider_open(&provider, http, job);
    if (provider_find_endpoints(&provider, ret) == 0)
        get_token(&provider, on_step, ret);
    ret->nobody_listens = ret->error.code == ERROR_CONNECT && http_refused_connection(http);
    provider_close(&provider, ret);
}
