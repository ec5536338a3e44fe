#define _GNU_SOURCE
#include "daemon/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/fetcher.h"
#include "common/time.h"
#include "daemon/command.h"
#include "daemon/credential.h"
#include "daemon/journal.h"

TAILQ_HEAD(waiters, waiter);

/* What was sent and refused: it is not sent a second time. */
struct refused {
    struct secret *password, *client_secret;
    uint64_t stamp; /* of the sources, when they were read */
    uint64_t at;
    bool typed; /* not what a source gave */
};

struct profile {
    struct profile_shared *shared;
    const struct profile_config *config;
    struct lifecycle lifecycle;
    struct lifecycle_policy policy;
    struct waiters waiters;
    struct secret *token, *refresh_token;
    struct secret *typed; /* a password that somebody typed: it goes before the source's */
    uint64_t typed_until;
    struct result facts; /* without secrets and cache */
    void *cache;         /* the fetchers' */
    size_t cache_length;
    struct error error;
    struct refused refused;
    bool forced; /* a person asked: also what was refused is sent */
    sd_event_source *timer;
    sd_event_source *starter; /* begins a request once this turn of the loop is over */
    /* the request under way */
    struct secret *client_secret, *password;
    bool client_secret_done;
    uint64_t stamp;
    struct command *command;
    struct slot slot;
    struct fetcher *fetcher;
    sd_event_source *input;
    uint64_t request_deadline;
};

/* How often a source whose change cannot be seen (a command) is asked again after a refusal. */
static const uint64_t look_again = 10 * USEC_PER_SEC;
/* What the fetcher gets beyond its own deadline to say so itself. */
static const uint64_t grace = 500 * USEC_PER_MSEC;

static void step(struct profile *p, struct lifecycle_event event);
static void gather(struct profile *p);

/* ---- waiting clients ---------------------------------------------------------------------- */

/* The cause in words: the last failure, or else where the first request is stuck. */
static void cause(const struct profile *p, struct error *ret)
{
    char where[320] = "waiting for its turn";

    *ret = p->error;
    if (ret->code != ERROR_NONE)
        return;
    if (p->fetcher)
        fetcher_where(p->fetcher, where, sizeof where);
    else if (p->command)
        snprintf(where, sizeof where, "waiting for the command that gives a credential");
    error_set(ret, ERROR_TIMEOUT, "still %s", where);
}

static void too_short(const struct profile *p, struct error *ret)
{
    error_set(ret, ERROR_TOO_SHORT_LIVED, "%llu s",
              (unsigned long long)(p->facts.lifetime / USEC_PER_SEC));
}

static void tell(struct waiter *w, const struct error *why)
{
    struct profile *p = w->profile;

    TAILQ_REMOVE(&p->waiters, w, entry);
    w->profile = NULL;
    w->ready(w, p, why);
}

/* Whether the waiter came for a new token, not for one that is good. */
static bool wants_new(const struct waiter *w)
{
    return w->request.verb == VERB_REFRESH || w->request.verb == VERB_LOGIN;
}

/* Whether the token in hand is what the waiter came for. */
static bool served(const struct profile *p, const struct waiter *w, uint64_t now)
{
    const struct lifecycle *lc = &p->lifecycle;

    return !wants_new(w) && lifecycle_alive(lc, now) && lc->death - now >= w->request.min_validity;
}

/* Tells the waiter how it ended: the token, if one lives that serves it, else the cause. */
static void conclude(struct profile *p, struct waiter *w, uint64_t now)
{
    const struct lifecycle *lc = &p->lifecycle;
    bool alive = lifecycle_alive(lc, now), refresh = wants_new(w);
    struct error why;

    if (refresh && lc->state == LIFECYCLE_ASKING && now < w->deadline)
        return; /* what ended was begun before it was asked for */
    if (refresh ? p->error.code == ERROR_NONE && lc->state != LIFECYCLE_ASKING
                : served(p, w, now)) {
        tell(w, NULL);
        return;
    }
    if (alive && p->error.code == ERROR_NONE && !refresh)
        too_short(p, &why);
    else
        cause(p, &why);
    tell(w, &why);
}

/* Those whose time ends before that; and those who waited for a newer token and are served by
 * the old one, now that there will be none soon. */
static void answer_waiters(struct profile *p, uint64_t ending_before, uint64_t now)
{
    struct waiter *w, *next;

    for (w = TAILQ_FIRST(&p->waiters); w; w = next) {
        next = TAILQ_NEXT(w, entry);
        if (w->deadline < ending_before ||
            (p->lifecycle.state != LIFECYCLE_ASKING && served(p, w, now)))
            conclude(p, w, now);
    }
}

static uint64_t first_deadline(const struct profile *p)
{
    uint64_t first = USEC_INFINITY;
    const struct waiter *w;

    TAILQ_FOREACH (w, &p->waiters, entry)
        if (w->deadline < first)
            first = w->deadline;
    return first;
}

/* ---- the one timer -------------------------------------------------------------------------- */

static void arm(struct profile *p)
{
    uint64_t next = lifecycle_next(&p->lifecycle, &p->policy), client = first_deadline(p);

    if (client < next)
        next = client;
    if (p->fetcher && p->request_deadline < next)
        next = p->request_deadline;
    if (p->typed && p->typed_until < next)
        next = p->typed_until;
    if (next == USEC_INFINITY) {
        sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time(p->timer, next);
    sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static void end_request(struct profile *p)
{
    slots_give(&p->shared->slots, &p->slot);
    sd_event_source_set_enabled(p->starter, SD_EVENT_OFF);
    p->input = sd_event_source_disable_unref(p->input);
    p->fetcher = fetcher_free(p->fetcher);
    p->command = command_free(p->command);
    p->client_secret = secret_free(p->client_secret);
    p->password = secret_free(p->password);
    p->client_secret_done = false;
}

static void fail(struct profile *p, enum lifecycle_failure kind, const struct error *why,
                 uint64_t retry_after, bool refresh_without_token)
{
    p->error = *why;
    if (kind == LIFECYCLE_REFUSED && !p->lifecycle.by_refresh_token) {
        secret_free(p->refused.password);
        secret_free(p->refused.client_secret);
        p->refused = (struct refused){ p->password, p->client_secret, p->stamp, time_boottime(),
                                       p->typed != NULL };
        p->password = p->client_secret = NULL;
        if (why->code == ERROR_REFUSED || why->code == ERROR_REFUSED_SILENTLY)
            p->typed = secret_free(p->typed);
    }
    end_request(p);
    step(p, (struct lifecycle_event){
                .type = LIFECYCLE_FAILED,
                .failed = { .kind = kind,
                            .client_refused = why->code == ERROR_CLIENT_REFUSED,
                            .retry_after = retry_after,
                            .refresh_without_token = refresh_without_token },
            });
}

static void fail_stuck(struct profile *p)
{
    struct error why;
    char where[320];

    fetcher_where(p->fetcher, where, sizeof where);
    error_set(&why, ERROR_TIMEOUT, "stuck %s", where);
    fail(p, LIFECYCLE_TEMPORARY, &why, 0, false);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct profile *p = context;
    uint64_t now = time_boottime();

    (void)source, (void)usec;
    if (p->fetcher && now >= p->request_deadline)
        fail_stuck(p);
    if (p->typed && now >= p->typed_until)
        p->typed = secret_free(p->typed);
    if (first_deadline(p) <= now) {
        answer_waiters(p, now + 1, now);
        step(p, (struct lifecycle_event){ .type = LIFECYCLE_GAVE_UP });
    }
    step(p, (struct lifecycle_event){ .type = LIFECYCLE_TIMER });
    return 0;
}

/* ---- the request: credentials, then the fetcher ------------------------------------------------
 */

static void take_token(struct profile *p, struct result *result)
{
    bool first = !p->token;

    secret_free(p->token);
    p->token = result->id_token;
    if (result->refresh_token) { /* a new one replaces the old; none means keep it */
        secret_free(p->refresh_token);
        p->refresh_token = result->refresh_token;
    }
    result->id_token = result->refresh_token = NULL;
    p->facts = *result;
    p->error = (struct error){ ERROR_NONE, "" };
    p->forced = false;
    end_request(p);
    journal_write(first ? LOG_INFO : LOG_DEBUG, p->config->name, "token", "%s for %s, %llu s",
                  first ? "token" : "token renewed", *p->facts.user ? p->facts.user : "?",
                  (unsigned long long)(result->lifetime / USEC_PER_SEC));
    for (unsigned i = 0; first && i < result->n_warnings; i++)
        journal_write(LOG_WARNING, p->config->name, "warning", "%s: %s",
                      error_sentence(result->warnings[i].code), result->warnings[i].detail);
    step(p, (struct lifecycle_event){
                .type = LIFECYCLE_TOKEN,
                .token = { .sent = result->sent,
                           .lifetime = result->lifetime,
                           .refresh_token = p->refresh_token != NULL },
            });
}

static void take_result(struct profile *p, struct result *result)
{
    static const enum lifecycle_failure kinds[] = {
        [OUTCOME_REFUSED] = LIFECYCLE_REFUSED,     [OUTCOME_DOUBTFUL] = LIFECYCLE_DOUBTFUL,
        [OUTCOME_TEMPORARY] = LIFECYCLE_TEMPORARY, [OUTCOME_INVALID] = LIFECYCLE_TEMPORARY,
        [OUTCOME_CONFIG] = LIFECYCLE_LOCAL,
    };

    if (result->cache) {
        free(p->cache);
        p->cache = result->cache;
        p->cache_length = result->cache_length;
        result->cache = NULL;
    }
    if (result->outcome == OUTCOME_TOKEN)
        take_token(p, result);
    else
        fail(p, kinds[result->outcome], &result->error, result->retry_after,
             result->refresh_without_token);
}

static int on_fetcher(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct profile *p = context;
    struct result result;
    struct error why;

    (void)source, (void)fd, (void)events;
    int r = fetcher_read(p->fetcher, &result, &why);
    if (r > 0) {
        take_result(p, &result);
        result_clear(&result);
    } else if (r < 0) {
        fail(p, LIFECYCLE_TEMPORARY, &why, 0, false);
    }
    return 0;
}

/* The proxy variables, for the fetcher whose own environment is empty. */
static size_t proxy_environment(const char **list, char *room, size_t size)
{
    static const char *const names[] = { "https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
                                         "ALL_PROXY",   "no_proxy",    "NO_PROXY" };
    size_t n = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        size_t length = strlen(names[i]) + 1 + (value ? strlen(value) : 0) + 1;
        if (!value || length > size)
            continue;
        list[n++] = room;
        room = stpcpy(stpcpy(stpcpy(room, names[i]), "="), value) + 1;
        size -= length;
    }
    return n;
}

static struct secret *build_job(const struct profile *p)
{
    const struct profile_config *c = p->config;
    char room[8192];
    struct job job = {
        .kind = p->lifecycle.by_refresh_token ? JOB_REFRESH : JOB_PASSWORD,
        .deadline = p->request_deadline - grace,
        .issuer = c->issuer,
        .token_endpoint = c->token_endpoint,
        .jwks_uri = c->jwks_uri,
        .client_id = c->client_id,
        .client_auth = c->client_auth,
        .client_secret = p->client_secret ? secret_peek(p->client_secret) : NULL,
        .username = c->username,
        .password = p->password ? secret_peek(p->password) : NULL,
        .scope = c->scope,
        .audience = c->audience,
        .resource = c->resource,
        .realm = c->realm,
        .ca_file = c->ca_file,
        .tls_client_cert = c->tls_client_cert,
        .tls_client_key = c->tls_client_key,
        .proxy = c->proxy,
        .signing_algs = c->signing_algs,
        .allow_http_loopback = c->allow_http_loopback,
        .cache = p->cache,
        .cache_length = p->cache_length,
    };

    if (job.kind == JOB_REFRESH)
        job.refresh_token = secret_peek(p->refresh_token);
    for (size_t i = 0; c->parameters && c->parameters[i] && i < JOB_LIST_MAX; i++)
        job.parameters[i] = c->parameters[i];
    if (strcmp(c->proxy, "auto") == 0)
        proxy_environment(job.environment, room, sizeof room);
    struct secret *encoded = job_encode(&job);
    explicit_bzero(room, sizeof room); /* a proxy's URL may hold a password */
    return encoded;
}

static void start_fetcher(struct profile *p)
{
    struct error why;

    p->request_deadline = time_boottime() + p->config->timeout + grace;
    _secret_ struct secret *job = build_job(p);
    int r = job ? fetcher_start(p->shared->fetcher, job, &p->fetcher) : -1;
    if (r == 0)
        r = sd_event_add_io(p->shared->event, &p->input, fetcher_fd(p->fetcher), EPOLLIN,
                            on_fetcher, p);
    if (r < 0) {
        error_set(&why, ERROR_FETCHER, "%s", job ? strerror(-r) : "the request is too large");
        fail(p, LIFECYCLE_LOCAL, &why, 0, false);
    }
}

static void on_turn(struct slot *slot)
{
    struct profile *p = (struct profile *)(void *)((char *)slot - offsetof(struct profile, slot));

    /* once this turn of the loop is over: a failure here must not run into another profile's */
    sd_event_source_set_enabled(p->starter, SD_EVENT_ONESHOT);
}

static const char *provider_of(const struct profile_config *config)
{
    return config->token_endpoint ? config->token_endpoint : config->issuer;
}

/* The credentials are there: now, or when it is this profile's turn. */
static void ask_for_slot(struct profile *p)
{
    p->slot.provider = provider_of(p->config);
    p->slot.urgent = !TAILQ_EMPTY(&p->waiters);
    p->slot.turn = on_turn;
    if (slots_take(&p->shared->slots, &p->slot))
        start_fetcher(p);
}

static bool was_refused(const struct profile *p)
{
    return p->refused.at > 0 && !p->forced && !p->lifecycle.by_refresh_token &&
           secret_equal(p->refused.password, p->password) &&
           secret_equal(p->refused.client_secret, p->client_secret);
}

static void on_command(void *context, struct secret *output, const struct error *why)
{
    struct profile *p = context;
    bool password = p->client_secret_done;
    struct error fault;
    char detail[ERROR_DETAIL_MAX + 1];

    p->command = command_free(p->command);
    if (!output) {
        memcpy(detail, why->detail, sizeof detail);
        error_set(&fault, why->code, "%s: %s",
                  password ? "password-command" : "client-secret-command", detail);
        fail(p, LIFECYCLE_LOCAL, &fault, 0, false);
        return;
    }
    struct secret **slot = password ? &p->password : &p->client_secret;
    if (credential_accept(password ? "password" : "client secret", output, slot, &fault) < 0)
        fail(p, LIFECYCLE_LOCAL, &fault, 0, false);
    else
        gather(p);
}

/* Reads one source. Returns 1 when it is there (or absent by design), 0 when it will come
 * later, -1 on failure, which is dealt with. */
static int read_source(struct profile *p, const struct source *source, const char *what,
                       struct secret **slot)
{
    struct error why;
    int r;

    if (*slot || source->kind == SOURCE_NONE)
        return 1;
    if (source->kind == SOURCE_COMMAND)
        r = command_start(p->shared->event, source->text, on_command, p, &p->command, &why);
    else
        r = credential_read(source, what, slot, &why) < 0 ? -1 : 1;
    if (r < 0)
        fail(p, LIFECYCLE_LOCAL, &why, 0, false);
    return r;
}

static bool password_is_typed(const struct profile *p)
{
    return p->config->password.kind == SOURCE_NONE;
}

/* The password: a typed one, or the source's. As read_source(). */
static int read_password(struct profile *p)
{
    struct error why;

    if (!p->password && p->typed) {
        p->password = secret_copy(secret_peek(p->typed), secret_length(p->typed));
        if (p->password)
            return 1;
        error_set(&why, ERROR_INTERNAL, "no memory");
        fail(p, LIFECYCLE_LOCAL, &why, 0, false);
        return -1;
    }
    if (!p->password && password_is_typed(p)) {
        error_set(&why, ERROR_LOGIN_NEEDED, "%s", "");
        fail(p, LIFECYCLE_NO_LOGIN, &why, 0, false);
        return -1;
    }
    return read_source(p, &p->config->password, "password", &p->password);
}

/* Goes on with the request: client secret, then password, then the fetcher. Comes back here
 * after each command. */
static void gather(struct profile *p)
{
    struct error why;

    if (!p->client_secret_done) {
        if (read_source(p, &p->config->client_secret, "client secret", &p->client_secret) <= 0)
            return;
        p->client_secret_done = true;
    }
    if (!p->lifecycle.by_refresh_token && read_password(p) <= 0)
        return;
    if (credential_check_key(p->config, &why) < 0) {
        fail(p, LIFECYCLE_LOCAL, &why, 0, false);
        return;
    }
    if (was_refused(p)) {
        why = p->error;
        fail(p, LIFECYCLE_REFUSED, &why, 0, false);
        return;
    }
    ask_for_slot(p);
}

static uint64_t sources_stamp(const struct profile *p)
{
    return credential_stamp(&p->config->password) * 31 +
           credential_stamp(&p->config->client_secret);
}

/* ---- lifecycle ------------------------------------------------------------------------------- */

static void log_change(const struct profile *p)
{
    static const char *const next[] = {
        [LIFECYCLE_IDLE] = "",
        [LIFECYCLE_ASKING] = "",
        [LIFECYCLE_WAITING] = "; it is tried again",
        [LIFECYCLE_STOPPED] = "; it is not tried again until the credential changes",
        [LIFECYCLE_NEED_LOGIN] = "",
    };

    journal_write(LOG_WARNING, p->config->name, error_name(p->error.code), "%s%s%s%s",
                  error_sentence(p->error.code), *p->error.detail ? ": " : "", p->error.detail,
                  next[p->lifecycle.state]);
}

static void carry_out(struct profile *p, const struct lifecycle_actions *actions, uint64_t now)
{
    if (actions->drop_token)
        p->token = secret_free(p->token);
    if (actions->drop_refresh_token)
        p->refresh_token = secret_free(p->refresh_token);
    if (actions->newly_waiting)
        log_change(p);
    if (actions->request)
        sd_event_source_set_enabled(p->starter, SD_EVENT_ONESHOT);
    if (actions->waiters != LIFECYCLE_KEEP)
        answer_waiters(
            p, actions->waiters == LIFECYCLE_ANSWER_ALL ? USEC_INFINITY : p->lifecycle.retry_at,
            now);
    arm(p);
}

static void step(struct profile *p, struct lifecycle_event event)
{
    uint64_t now = time_boottime();

    if (getrandom(&event.random, sizeof event.random, GRND_NONBLOCK) < 0)
        event.random = (uint32_t)now;
    struct lifecycle_actions actions = lifecycle_step(&p->lifecycle, &p->policy, &event, now);
    carry_out(p, &actions, now);
}

static int on_start(sd_event_source *source, void *context)
{
    struct profile *p = context;

    (void)source;
    if (p->slot.held) {
        start_fetcher(p);
        arm(p);
        return 0;
    }
    p->stamp = sources_stamp(p); /* before they are read, so that a change meanwhile is seen */
    gather(p);
    arm(p);
    return 0;
}

/* In the state Stopped: has the credential changed at its source? */
static bool source_may_have_changed(const struct profile *p, uint64_t now)
{
    bool hidden = p->config->password.kind == SOURCE_COMMAND ||
                  p->config->client_secret.kind == SOURCE_COMMAND;

    if (p->refused.typed && !password_is_typed(p))
        return true;
    return p->refused.stamp != sources_stamp(p) || (hidden && now - p->refused.at >= look_again);
}

static void enqueue(struct profile *p, struct waiter *w)
{
    p->slot.urgent = true;
    w->profile = p;
    TAILQ_INSERT_TAIL(&p->waiters, w, entry);
}

static enum profile_verdict want_new(struct profile *p, struct waiter *w, uint64_t now,
                                     struct error *why)
{
    bool login = w->request.verb == VERB_LOGIN;

    if (login) {
        struct secret *given = w->secret, *typed;
        w->secret = NULL;
        if (credential_accept("password", given, &typed, why) < 0)
            return PROFILE_ERROR;
        secret_free(p->typed);
        p->typed = typed;
        p->typed_until = p->config->password_lifetime == USEC_INFINITY
                             ? USEC_INFINITY
                             : now + p->config->password_lifetime;
    }
    p->forced = true;
    p->error = (struct error){ ERROR_NONE, "" }; /* the answer speaks of this attempt */
    enqueue(p, w);
    step(p, (struct lifecycle_event){ .type = LIFECYCLE_CHANGED, .changed = { true, login } });
    return PROFILE_QUEUED;
}

enum profile_verdict profile_want(struct profile *p, struct waiter *w, uint64_t now,
                                  struct error *why)
{
    const struct lifecycle_event event = {
        .type = LIFECYCLE_WANTED,
        .wanted = { .deadline = w->deadline,
                    .min_validity = w->request.min_validity,
                    .rejected = w->request.rejected },
    };

    w->profile = NULL;
    if (wants_new(w))
        return want_new(p, w, now, why);
    if (p->lifecycle.state == LIFECYCLE_STOPPED && source_may_have_changed(p, now))
        step(p, (struct lifecycle_event){ .type = LIFECYCLE_CHANGED });

    struct lifecycle_actions actions = lifecycle_step(&p->lifecycle, &p->policy, &event, now);
    if (actions.verdict == LIFECYCLE_QUEUE)
        enqueue(p, w);
    if (actions.verdict == LIFECYCLE_QUEUE || actions.request)
        carry_out(p, &actions, now);
    switch (actions.verdict) {
    case LIFECYCLE_SERVE:
        return PROFILE_TOKEN;
    case LIFECYCLE_QUEUE:
        return PROFILE_QUEUED;
    case LIFECYCLE_TOO_SHORT:
        too_short(p, why);
        return PROFILE_ERROR;
    case LIFECYCLE_FAIL:
        break;
    }
    cause(p, why);
    return PROFILE_ERROR;
}

void profile_forget(struct waiter *w)
{
    struct profile *p = w->profile;

    if (!p)
        return;
    TAILQ_REMOVE(&p->waiters, w, entry);
    w->profile = NULL;
    arm(p);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Back to the start: whatever was got or typed is void. Who waits is told why. */
static void forget_all(struct profile *p, const char *reason)
{
    end_request(p);
    p->typed = secret_free(p->typed);
    p->facts = (struct result){ 0 };
    error_set(&p->error, ERROR_INTERRUPTED, "%s", reason);
    step(p,
         (struct lifecycle_event){ .type = LIFECYCLE_FORGET, .forget = { password_is_typed(p) } });
    error_set(&p->error, password_is_typed(p) ? ERROR_LOGIN_NEEDED : ERROR_NONE, "%s", "");
}

void profile_logout(struct profile *p)
{
    forget_all(p, "somebody said logout");
    journal_write(LOG_INFO, p->config->name, "logout", "logged out");
}

static void take_policy(struct profile *p)
{
    p->policy = (struct lifecycle_policy){
        .refresh_before = p->config->refresh_before,
        .refresh_before_percent = p->config->refresh_before_percent,
        .keep_fresh = p->config->keep_fresh,
        .use_refresh_token = p->config->use_refresh_token,
    };
}

struct profile *profile_new(struct profile_shared *shared, const struct profile_config *config)
{
    struct profile *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->shared = shared;
    p->config = config;
    TAILQ_INIT(&p->waiters);
    take_policy(p);
    lifecycle_init(&p->lifecycle, time_boottime());
    if (sd_event_add_time(shared->event, &p->timer, CLOCK_BOOTTIME, 0, 1, on_timer, p) < 0 ||
        sd_event_add_defer(shared->event, &p->starter, on_start, p) < 0) {
        sd_event_source_disable_unref(p->timer);
        free(p);
        return NULL;
    }
    sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
    sd_event_source_set_enabled(p->starter, SD_EVENT_OFF);
    forget_all(p, "");
    return p;
}

struct profile *profile_free(struct profile *p)
{
    struct error gone;

    if (!p)
        return NULL;
    error_set(&gone, ERROR_NO_PROFILE, "%s is no longer configured", p->config->name);
    while (!TAILQ_EMPTY(&p->waiters))
        tell(TAILQ_FIRST(&p->waiters), &gone);
    end_request(p);
    sd_event_source_disable_unref(p->timer);
    sd_event_source_disable_unref(p->starter);
    secret_free(p->token);
    secret_free(p->refresh_token);
    secret_free(p->typed);
    free(p->cache);
    secret_free(p->refused.password);
    secret_free(p->refused.client_secret);
    free(p);
    return NULL;
}

static bool same_source(const struct source *a, const struct source *b)
{
    return a->kind == b->kind && secret_equal(a->value, b->value) &&
           (a->text && b->text ? strcmp(a->text, b->text) == 0 : a->text == b->text);
}

void profile_configure(struct profile *p, const struct profile_config *config)
{
    const struct profile_config *old = p->config;
    bool identity = !config_same_identity(old, config);
    bool credential = !same_source(&old->password, &config->password) ||
                      !same_source(&old->client_secret, &config->client_secret) ||
                      strcmp(old->client_auth, config->client_auth) != 0;

    p->config = config;
    p->slot.provider = provider_of(config); /* the old text is about to go */
    take_policy(p);
    if (identity) {
        forget_all(p, "the configuration names another identity now");
        return;
    }
    bool stopped = p->lifecycle.state == LIFECYCLE_WAITING ||
                   p->lifecycle.state == LIFECYCLE_STOPPED ||
                   (p->lifecycle.state == LIFECYCLE_NEED_LOGIN && !password_is_typed(p));
    if (stopped || (credential && p->lifecycle.state == LIFECYCLE_ASKING))
        step(p, (struct lifecycle_event){ .type = LIFECYCLE_CHANGED });
    arm(p);
}

const struct profile_config *profile_config(const struct profile *p)
{
    return p->config;
}

const struct lifecycle *profile_lifecycle(const struct profile *p)
{
    return &p->lifecycle;
}

const struct secret *profile_token(const struct profile *p, uint64_t now)
{
    return lifecycle_alive(&p->lifecycle, now) ? p->token : NULL;
}

const struct error *profile_error(const struct profile *p)
{
    return &p->error;
}

uint64_t profile_hand_over(const struct profile *p, uint64_t now)
{
    const struct lifecycle *lc = &p->lifecycle;

    /* Within seconds of now, client-go would run the plugin on every request. */
    return lc->hand_over > now + 10 * USEC_PER_SEC ? lc->hand_over : lc->death;
}

const struct result *profile_facts(const struct profile *p)
{
    return &p->facts;
}
