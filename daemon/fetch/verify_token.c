#include "daemon/fetch/verify_token.h"

#include <string.h>

#include "daemon/fetch/get_token.h"
#include "daemon/fetch/id_token.h"
#include "daemon/fetch/json.h"
#include "daemon/fetch/printed_token.h"
#include "daemon/fetch/provider.h"

/* Why there are no keys, as what came of it. */
static void lack_keys(const struct provider *p, const struct error *why, struct result *ret)
{
    enum error_class class = error_class(why->code);

    ret->error = *why;
    ret->outcome = class == ERROR_CLASS_PROXY   ? OUTCOME_REFUSED
                   : class == ERROR_CLASS_LOCAL ? OUTCOME_CONFIG
                                                : OUTCOME_TEMPORARY;
    ret->retry_after = p->retry_after;
}

/* The program has somebody else's now, of whom the one in hand says nothing. */
static bool is_of_another(const struct job *job, const char *token)
{
    struct result ignored = { 0 };
    struct id_token here, before;
    bool other = false;

    if (id_token_open(&here, job, token, strlen(token), &ignored) == 0 &&
        id_token_open(&before, job, job->previous, strlen(job->previous), &ignored) == 0) {
        const char *sub = json_string(here.claims, "sub");
        const char *was = json_string(before.claims, "sub");
        other = sub && was && strcmp(sub, was) != 0;
        id_token_close(&before);
    }
    id_token_close(&here);
    return other;
}

static bool is_stale(const struct provider *p, struct result *ret)
{
    const char *token = secret_peek(ret->id_token), *before = p->job->previous;

    if (!before || is_of_another(p->job, token) ||
        id_token_is_newer(token, before, provider_clock(p)))
        return false;
    ret->outcome = OUTCOME_STALE;
    error_set(&ret->error, ERROR_COMMAND_STALE, "%s",
              strcmp(token, before) == 0 ? "it is the one in hand" : "its iat is not later");
    return true;
}

static int check(struct provider *p, struct result *ret)
{
    ret->sent = time_boottime(); /* its life is counted from here: when it was issued nobody told */
    int64_t date = provider_clock(p);

    if (date > 0) {
        ret->has_clock_offset = true;
        ret->clock_offset = date - time_realtime() / (int64_t)USEC_PER_SEC;
    }
    return id_token_check(p->job, secret_peek(ret->id_token), secret_length(ret->id_token),
                          &p->keys, date, ret);
}

/* Nothing of it was sent to anybody: what is wrong is this machine's, or the program's. */
static void refuse(struct result *ret)
{
    ret->outcome = OUTCOME_CONFIG;
    if (ret->error.code != ERROR_TOKEN_EXPIRED)
        return;
    const struct error expired = ret->error;
    ret->outcome = OUTCOME_STALE;
    error_set(&ret->error, ERROR_COMMAND_STALE, "it has expired: %s", expired.detail);
}

/* A key of which the private part is published vouches for nobody. */
static bool is_vouched_for(struct result *ret)
{
    if (ret->verified)
        return true;
    error_set(&ret->error, ERROR_KEY_UNSAFE, "%s",
              ret->n_warnings > 0 ? ret->warnings[0].detail : "");
    return false;
}

static void verify(struct provider *p, http_step_fn on_step, struct result *ret)
{
    struct error why;

    on_step(NULL, "verify", "");
    int r = check(p, ret);
    if (r < 0 && ret->error.code == ERROR_TOKEN_SIGNATURE && p->keys_cached) {
        if (provider_renew_keys(p, &why) < 0) { /* the one that signed it may be new */
            lack_keys(p, &why, ret);
            return;
        }
        on_step(NULL, "verify", "");
        r = check(p, ret);
    }
    if (r < 0 || !is_vouched_for(ret)) {
        refuse(ret);
        return;
    }
    if (is_stale(p, ret))
        return;
    ret->outcome = OUTCOME_TOKEN;
    get_token_compare(p, ret);
    if (*p->endpoints.unreadable)
        id_token_warn(ret, ERROR_DISCOVERY_UNREADABLE, "%s", p->endpoints.unreadable);
    if (secret_length(ret->id_token) >= RESULT_TOKEN_LONG)
        id_token_warn(ret, ERROR_TOKEN_LONG, "%zu bytes", secret_length(ret->id_token));
}

/* Keys, and the provider's clock: that of an earlier answer where the keys are of one. */
static int find_keys(struct provider *p, struct error *why)
{
    if (provider_find_keys(p, why) < 0)
        return -1;
    if (p->keys_cached && provider_clock(p) == 0) {
        struct error ignored;
        provider_renew_keys(p, &ignored);
    }
    return 0;
}

/* The token is touched last: nothing of it may be in what the dynamic linker saves on the stack as
 * libraries make a first connection. */
void verify_token_run(struct http *http, const struct job *job, http_step_fn on_step,
                      struct result *ret)
{
    struct provider p;
    struct error why;

    provider_open(&p, http, job);
    if (provider_find_endpoints(&p, ret) == 0) {
        ret->error = (struct error){ ERROR_NONE, "" };
        ret->outcome = OUTCOME_CONFIG;
        if (find_keys(&p, &why) < 0)
            lack_keys(&p, &why, ret);
        else if ((ret->id_token = printed_token_find(job->token, strlen(job->token), &ret->error)))
            verify(&p, on_step, ret);
    }
    if (ret->outcome != OUTCOME_TOKEN)
        ret->id_token = secret_free(ret->id_token);
    ret->nobody_listens = ret->error.code == ERROR_CONNECT && http_refused_connection(http);
    provider_close(&p, ret);
}
