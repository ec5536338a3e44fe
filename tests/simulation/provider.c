/* Providers as they were seen to be: locks, limits, rotated refresh tokens, and their faults. */
#include "tests/simulation/world.h"

enum { LOGINS_AT_ONCE = 20, WRONG_TO_LOCK = 10 };
static const uint64_t login_step = 6 * SECOND;

static const char *const regime_names[REGIMES] = {
    [REGIME_WELL] = "well",
    [REGIME_DOWN] = "down",
    [REGIME_DESERTED] = "deserted",
    [REGIME_BLACKHOLE] = "black hole",
    [REGIME_5XX] = "5xx",
    [REGIME_429] = "429",
    [REGIME_GATEWAY] = "behind a gateway",
    [REGIME_SLOW] = "slow",
    [REGIME_LOST] = "loses answers",
    [REGIME_FLAKY] = "now this, now that",
};

static uint64_t some_lifetime(struct world *w)
{
    static const uint64_t usual[] = { 5 * MINUTE, 5 * MINUTE, HOUR, HOUR, 10 * HOUR, DAY };

    switch (chance_below(w, 8)) {
    case 0:
        return chance_span(w, 5 * SECOND, 2 * MINUTE);
    case 1:
    case 2:
        return chance_span(w, 2 * MINUTE, 30 * DAY);
    case 3:
        return chance_permille(w, 200) ? chance_span(w, SECOND / 2, 5 * SECOND) : 2 * MINUTE;
    default:
        return usual[chance_below(w, sizeof usual / sizeof *usual)];
    }
}

void provider_init(struct world *w, struct provider *v)
{
    static const char *const names[PROVIDERS_MAX] = { "https://a/", "https://b/", "https://c/" };
    unsigned number = (unsigned)(v - w->providers);

    v->name = names[number];
    v->refresh = (enum refresh_kind)chance_below(w, REFRESH_KINDS);
    v->lifetime = some_lifetime(w);
    v->latency = chance_span(w, 20 * MSEC, 600 * MSEC);
    v->silent = chance_permille(w, 200);
    v->limits_logins = chance_permille(w, 500);
    v->rejects_overlap = chance_permille(w, 300);
    v->flawless = chance_permille(w, 250);
    v->keys_every = chance_span(w, 6 * HOUR, 60 * DAY);
    v->right = v->newest = 1;
    v->key = 1;
    v->well_since = 0;
    v->login_at = w->now;
    if (w->codes)
        codes_init_provider(w, v);
    queue_set(&w->queue, EVENT_KEYS + number, w->now + chance_span(w, HOUR, v->keys_every));
    if (chance_permille(w, 400))
        queue_set(&w->queue, EVENT_FOREIGN + number, w->now + chance_span(w, SECOND, DAY));
    if (v->flawless)
        return;
    queue_set(&w->queue, EVENT_REGIME + number, w->now + chance_span(w, MINUTE, 5 * DAY));
    queue_set(&w->queue, EVENT_PASSWORD + number, w->now + chance_span(w, HOUR, 60 * DAY));
}

/* ---- what happens to it ---------------------------------------------------------------------- */

void provider_regime(struct world *w, struct provider *v)
{
    unsigned source = EVENT_REGIME + (unsigned)(v - w->providers);

    check_classes(w);
    if (v->regime == REGIME_WELL) {
        v->regime = (enum regime)(1 + chance_below(w, REGIMES - 1));
        v->retry_after = chance_permille(w, 600) ? chance_span(w, SECOND, 2 * HOUR) : 0;
        v->well_since = NEVER;
        queue_set(&w->queue, source, w->now + chance_span(w, SECOND, 4 * DAY));
    } else {
        v->regime = REGIME_WELL;
        v->well_since = w->now;
        queue_set(&w->queue, source, w->now + chance_span(w, 10 * MINUTE, 20 * DAY));
    }
    trace(w, NULL, "provider is now", regime_names[v->regime], NEVER, NEVER);
}

unsigned provider_new_password(struct provider *v)
{
    return v->newest + 1 < PASSWORDS_MAX ? ++v->newest : 0;
}

/* The password changes; the sources follow later, sooner, or never. */
void provider_password(struct world *w, struct provider *v)
{
    unsigned password = provider_new_password(v);

    if (password == 0)
        return;
    check_classes(w);
    if (chance_permille(w, 800))
        v->right = password; /* else somebody mistypes the source */
    trace(w, NULL, "a password changes", v->right == password ? "" : "at the source alone", NEVER,
          NEVER);
    for (unsigned i = 0; i < w->n_profiles; i++) {
        struct model *p = &w->profiles[i];
        if (&w->providers[p->provider] != v || p->source == 0 || chance_permille(w, 100))
            continue;
        p->source_next = password;
        queue_set(&w->queue, EVENT_CREDENTIAL + i,
                  w->now + (chance_permille(w, 300) ? 0 : chance_span(w, SECOND, 2 * DAY)));
    }
    queue_set(&w->queue, EVENT_PASSWORD + (unsigned)(v - w->providers),
              w->now + chance_span(w, HOUR, 60 * DAY));
}

void provider_keys(struct world *w, struct provider *v)
{
    v->key++;
    trace(w, NULL, "the cluster takes no older tokens", NULL, NEVER, NEVER);
    if (chance_permille(w, 100))
        v->cluster_broken_until = w->now + chance_span(w, MINUTE, DAY);
    codes_rule_changes(w, v);
    queue_set(&w->queue, EVENT_KEYS + (unsigned)(v - w->providers),
              w->now + chance_span(w, HOUR, v->keys_every));
}

bool provider_accepts(const struct world *w, const struct provider *v, const struct token *token)
{
    return token->key == v->key && w->now >= v->cluster_broken_until;
}

/* Another machine of the same user, which behaves as we do: it renews ahead, and when it is refused
 * for an overlap it tries once more. Now and then it rests. */
void provider_foreign(struct world *w, struct provider *v)
{
    unsigned source = EVENT_FOREIGN + (unsigned)(v - w->providers);
    uint64_t period = v->lifetime / 2 + chance_below(w, v->lifetime / 4 + 1);

    if (v->rejects_overlap && (w->now < v->login_until || w->now < v->foreign_until)) {
        queue_set(&w->queue, source, w->now + 5 * SECOND + chance_below(w, 15 * SECOND));
        return;
    }
    v->foreign_until = w->now + v->latency;
    if (chance_permille(w, 50))
        period = chance_span(w, period, 20 * DAY);
    queue_set(&w->queue, source, w->now + (period > SECOND ? period : SECOND));
}

/* ---- a request ------------------------------------------------------------------------------- */

static struct reply failure(enum lifecycle_failure kind, uint64_t at, enum account_end end)
{
    return (struct reply){ .kind = kind, .at = at, .end = end, .reached = end != ACCOUNT_NOT_SENT };
}

void provider_issue(struct world *w, struct model *p, struct provider *v, struct reply *r)
{
    r->token = true;
    r->end = ACCOUNT_TOOK;
    r->key = v->key;
    r->lifetime = v->lifetime;
    if (chance_permille(w, 100))
        r->lifetime -= chance_below(w, v->lifetime / 10 + 1);
    if (v->refresh == REFRESH_SESSION && by_password(p))
        p->session_until = w->now + v->lifetime + chance_below(w, 4 * v->lifetime);
    if (v->refresh == REFRESH_SESSION && p->job != JOB_EXCHANGE &&
        p->session_until - w->now < r->lifetime)
        r->lifetime = p->session_until - w->now;
    if (p->job != JOB_EXCHANGE && v->refresh != REFRESH_NONE &&
        (!p->by_refresh_token || v->refresh == REFRESH_ROTATES))
        p->valid_refresh_token = r->refresh_token = ++w->last_refresh_token;
}

static struct reply by_refresh_token(struct world *w, struct model *p, struct provider *v,
                                     uint64_t at)
{
    struct reply r = failure(LIFECYCLE_REFUSED, at, ACCOUNT_UNKNOWN);
    bool ended = v->refresh == REFRESH_SESSION && w->now + SECOND / 2 >= p->session_until;

    if (v->refresh == REFRESH_FAULTY) {
        r.http_status = chance_permille(w, 700) ? 500 : 200;
        r.kind = r.http_status == 500 ? LIFECYCLE_TEMPORARY : LIFECYCLE_SOFT;
        return r;
    }
    if (p->refresh_token != p->valid_refresh_token || ended || chance_permille(w, 10)) {
        p->valid_refresh_token = 0; /* used twice, or too old: the whole family dies */
        return r;
    }
    if (v->refresh == REFRESH_WITHOUT_ID_TOKEN)
        r.refresh_without_token = true;
    else if (v->refresh == REFRESH_STALE)
        r.kind = LIFECYCLE_STALE;
    else
        provider_issue(w, p, v, &r);
    return r;
}

static void count_wrong(struct world *w, const struct model *p, struct provider *v)
{
    if (++v->wrong_in_row < WRONG_TO_LOCK)
        return;
    v->wrong_in_row = 0;
    v->locked_until = w->now + chance_span(w, 15 * MINUTE, 2 * DAY);
    v->well_since = v->locked_until;
    trace(w, p, "the account is locked", NULL, v->locked_until - w->now, NEVER);
}

static struct reply by_login(struct world *w, struct model *p, struct provider *v, uint64_t at)
{
    struct reply r = failure(LIFECYCLE_REFUSED, at, ACCOUNT_REJECTED);
    bool busy = w->now < v->login_until || w->now < v->foreign_until;

    if (v->limits_logins) {
        uint64_t full = (v->limit_full > w->now ? v->limit_full : w->now) + login_step;
        if (full > w->now + LOGINS_AT_ONCE * login_step) {
            r = failure(LIFECYCLE_TEMPORARY, at, ACCOUNT_UNKNOWN);
            r.retry_after = chance_permille(w, 500) ? login_step : 0;
            r.http_status = 429;
            return r;
        }
        v->limit_full = full;
    }
    if (w->now < v->locked_until)
        return r;
    if (v->rejects_overlap && busy) {
        r.overlap = true;
        w->statistics.overlaps++;
        return r;
    }
    v->login_until = at == NEVER ? w->now + v->latency : at;
    r.counted = p->password != v->right;
    if (r.counted || !codes_pass(w, p, v, &r)) {
        if (r.counted)
            count_wrong(w, p, v);
        return r;
    }
    v->wrong_in_row = 0;
    provider_issue(w, p, v, &r);
    return r;
}

static struct reply grant(struct world *w, struct model *p, struct provider *v, uint64_t at)
{
    if (p->job == JOB_EXCHANGE)
        return grants_exchange(w, p, at);
    return p->by_refresh_token ? by_refresh_token(w, p, v, at) : by_login(w, p, v, at);
}

/* A page or another odd answer, with one of the statuses that such come with. */
static struct reply by_gateway(struct world *w, uint64_t at)
{
    static const unsigned statuses[] = { 403, 403, 400, 401, 404, 405, 200, 302 };
    struct reply r = failure(LIFECYCLE_SOFT, at, ACCOUNT_ODD);

    r.http_status = statuses[chance_below(w, sizeof statuses / sizeof *statuses)];
    if (r.http_status == 400 || r.http_status == 401 || r.http_status == 403)
        r.end = ACCOUNT_DENIED;
    return r;
}

/* Its keys are asked for, and nothing else. */
static struct reply by_keys(struct world *w, struct model *p, enum regime regime, uint64_t at)
{
    switch (regime) {
    case REGIME_WELL:
        return grants_verify(w, p, at);
    case REGIME_SLOW:
        return grants_verify(w, p, w->now + chance_span(w, SECOND, 40 * SECOND));
    case REGIME_BLACKHOLE:
    case REGIME_LOST:
        return failure(LIFECYCLE_TEMPORARY, NEVER, ACCOUNT_NOT_SENT);
    default:
        return failure(LIFECYCLE_TEMPORARY, at, ACCOUNT_NOT_SENT);
    }
}

static struct reply receive(struct world *w, struct model *p)
{
    struct provider *v = &w->providers[p->provider];
    uint64_t at = w->now + v->latency / 2 + chance_below(w, v->latency);
    enum regime regime = v->regime;
    struct reply r;

    if (p->job == JOB_VERIFY && chance_permille(w, 700)) /* the keys are known */
        return grants_verify(w, p, w->now + chance_span(w, MSEC, 20 * MSEC));
    if (regime == REGIME_FLAKY)
        regime = (enum regime)chance_below(w, REGIME_FLAKY);
    if (p->job == JOB_VERIFY)
        return by_keys(w, p, regime, at);
    switch (regime) {
    case REGIME_DOWN:
        return failure(LIFECYCLE_TEMPORARY, w->now + chance_span(w, MSEC, SECOND),
                       ACCOUNT_NOT_SENT);
    case REGIME_DESERTED:
        r = failure(LIFECYCLE_TEMPORARY, w->now + chance_span(w, MSEC, SECOND), ACCOUNT_NOT_SENT);
        r.nobody_listens = true;
        return r;
    case REGIME_BLACKHOLE:
        return failure(LIFECYCLE_TEMPORARY, NEVER, ACCOUNT_NOT_SENT);
    case REGIME_5XX:
    case REGIME_429:
        r = failure(LIFECYCLE_TEMPORARY, at, ACCOUNT_UNKNOWN);
        r.retry_after = v->retry_after;
        r.http_status = regime == REGIME_429 ? 429 : 503;
        return r;
    case REGIME_GATEWAY:
        return by_gateway(w, at);
    case REGIME_SLOW:
        return grant(w, p, v, w->now + chance_span(w, SECOND, 40 * SECOND));
    case REGIME_LOST:
        r = grant(w, p, v, NEVER);
        r.end = ACCOUNT_SILENCE;
        return r;
    default:
        return grant(w, p, v, at);
    }
}

struct reply provider_receive(struct world *w, struct model *p)
{
    struct reply r = receive(w, p);

    if (by_password(p))
        codes_judge(p, &r);
    return r;
}
