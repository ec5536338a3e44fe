#define _GNU_SOURCE
#include "daemon/attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/container.h"
#include "common/time.h"
#include "daemon/config_keys.h"
#include "daemon/digest.h"
#include "daemon/fetcher.h"
#include "daemon/secret_command.h"
#include "daemon/secret_source.h"

/* Where an attempt is; the drawing in the header has them in this order. */
enum attempt_stage {
    STAGE_NONE,          /* there is none */
    STAGE_DELAYED,       /* nobody waits for it: it begins when the timer comes */
    STAGE_CLIENT_SECRET, /* read, or its command is running */
    STAGE_PASSWORD,      /* the same */
    STAGE_QUEUED,        /* for a slot; with it, the account is asked */
    STAGE_PROBE,         /* waits, without a slot, for what comes of another's try */
    STAGE_FETCHING,      /* until its output has ended, or the timer comes */
};

/* What was sent and refused: it is not sent a second time. Digests; 0 = nothing was refused. */
struct refused {
    uint64_t password, client_secret;
    struct error why;
    uint64_t stamp; /* of the sources, when they were read */
    uint64_t at;
    bool typed;      /* not what a source gave */
    bool by_account; /* account.c knows of it, and decides */
    bool soft;       /* no refusal, but given up */
};

struct attempt {
    struct context *shared;
    attempt_done_fn done;
    void *context;
    struct refused refused; /* by the last one that was */

    enum attempt_stage stage;
    struct attempt_order order;
    struct account *account;
    sd_event_source *timer; /* when advance() is wanted next, if nothing comes before */
    uint64_t stamp;         /* of the sources, before they are read: a change meanwhile is seen */
    struct secret *client_secret, *password;
    struct secret_command *command;
    struct fetch_slot slot;
    TAILQ_ENTRY(attempt) probe; /* while STAGE_PROBE */
    struct fetcher *fetcher;
    sd_event_source *input;
    uint64_t deadline; /* of the fetcher */
};

/* How often a source whose change cannot be seen (a command) is asked again after a refusal. */
static const uint64_t look_again = 10 * USEC_PER_SEC;
/* What the fetcher gets beyond its own deadline to say so itself. */
static const uint64_t grace = 500 * USEC_PER_MSEC;

static void advance(struct attempt *a);
static void fail(struct attempt *a, enum lifecycle_failure kind, const struct error *why,
                 uint64_t retry_after);

/* The timer brings advance() at that time. One that is past: once this turn of the loop is over, so
 * that a failure here does not run into another attempt's; the longer past first. */
static void advance_at(struct attempt *a, uint64_t when)
{
    sd_event_source_set_time(a->timer, when);
    sd_event_source_set_enabled(a->timer, SD_EVENT_ONESHOT);
}

static bool by_password(const struct attempt *a)
{
    return a->order.refresh_token == NULL;
}

/* ---- the credentials: each stage returns whether it is over, and the next one has begun ------ */

static uint64_t sources_stamp(const struct profile_config *config)
{
    return secret_source_stamp(&config->password) * 31 +
           secret_source_stamp(&config->client_secret);
}

static void begin(struct attempt *a)
{
    a->stamp = sources_stamp(a->order.config);
    a->stage = STAGE_CLIENT_SECRET;
}

static void on_command(void *context, struct secret *output, const struct error *why)
{
    struct attempt *a = context;
    bool password = a->stage == STAGE_PASSWORD;
    struct error fault;
    int r = -1;

    a->command = secret_command_free(a->command);
    if (output)
        r = secret_source_accept(password ? "password" : "client secret", output,
                                 password ? &a->password : &a->client_secret, &fault);
    else
        error_set(&fault, why->code, "%s: %s",
                  password ? "password-command" : "client-secret-command", why->detail);
    if (r < 0)
        fail(a, LIFECYCLE_LOCAL, &fault, 0);
    else
        advance(a);
}

/* Whether the secret is there, or absent by design. False: its command is running, or the attempt
 * has failed. */
static bool read_source(struct attempt *a, const struct source *source, const char *what,
                        struct secret **ret)
{
    struct error why;
    int r;

    if (*ret || source->kind == SOURCE_NONE)
        return true;
    if (a->command)
        return false;
    if (source->kind == SOURCE_COMMAND)
        r = secret_command_start(a->shared->event, source->text, SECRET_COMMAND_TIME, on_command, a,
                                 &a->command, &why);
    else
        r = secret_source_read(source, what, ret, &why);
    if (r < 0)
        fail(a, LIFECYCLE_LOCAL, &why, 0);
    return r == 0 && source->kind != SOURCE_COMMAND;
}

static bool read_client_secret(struct attempt *a)
{
    if (!read_source(a, &a->order.config->client_secret, "client secret", &a->client_secret))
        return false;
    a->stage = STAGE_PASSWORD;
    return true;
}

/* Whether the password is there: a typed one (attempt_start() took it), or the source's. */
static bool have_password(struct attempt *a)
{
    const struct source *source = &a->order.config->password;
    struct error why;

    if (!a->password && a->order.typed) {
        error_set(&why, ERROR_INTERNAL, "no memory");
        fail(a, LIFECYCLE_LOCAL, &why, 0);
        return false;
    }
    if (!a->password && source->kind == SOURCE_NONE) {
        error_set(&why, ERROR_LOGIN_NEEDED, "%s", "");
        fail(a, LIFECYCLE_NO_LOGIN, &why, 0);
        return false;
    }
    return read_source(a, source, "password", &a->password);
}

static bool read_password(struct attempt *a)
{
    struct error why;

    if (by_password(a) && !have_password(a))
        return false;
    if (secret_source_check_key(a->order.config, &why) < 0) {
        fail(a, LIFECYCLE_LOCAL, &why, 0);
        return false;
    }
    a->stage = STAGE_QUEUED;
    return true;
}

/* ---- the slot and the account ---------------------------------------------------------------- */

static const char *provider_of(const struct profile_config *config)
{
    return config->token_endpoint ? config->token_endpoint : config->issuer;
}

static bool has_slot(struct attempt *a)
{
    if (a->slot.held || a->slot.queued)
        return a->slot.held;
    a->slot.provider = provider_of(a->order.config);
    a->slot.urgent = a->order.urgent;
    return fetch_queue_take(&a->shared->fetch_queue, &a->slot);
}

/* Gives the slot back, or leaves the queue; those whose turn it is go on. */
static void give_slot(struct attempt *a)
{
    struct fetch_slot *next;

    fetch_queue_give(&a->shared->fetch_queue, &a->slot);
    while ((next = fetch_queue_next(&a->shared->fetch_queue)))
        advance_at(container_of(next, struct attempt, slot), 0);
}

/* What was refused for reasons that lie in this profile, or might: its client, its grant. */
static bool was_refused(const struct attempt *a)
{
    return a->refused.at > 0 && !a->refused.by_account && !a->refused.soft &&
           a->order.forced_at == 0 && a->refused.password == digest_secret(a->password) &&
           a->refused.client_secret == digest_secret(a->client_secret);
}

/* A refusal without a reason may have been one of the client's secret, which is another now. */
static bool may_have_been_the_client(const struct attempt *a)
{
    return a->refused.at > 0 && error_class(a->refused.why.code) == ERROR_CLASS_REFUSED_EITHER &&
           a->refused.password == digest_secret(a->password) &&
           a->refused.client_secret != digest_secret(a->client_secret);
}

static void refused_by_account(struct attempt *a)
{
    uint64_t digest = digest_secret(a->password);
    struct error why;

    if (a->account->refused[0] == digest && a->account->why.code != ERROR_NONE)
        why = a->account->why; /* not known any more after a restart */
    else if (a->refused.at > 0 && a->refused.password == digest)
        why = a->refused.why;
    else
        error_set(&why, ERROR_REFUSED, "this password of %s was refused before, and is not sent",
                  a->order.config->username);
    fail(a, LIFECYCLE_REFUSED, &why, 0);
}

static void throttled(struct attempt *a, uint64_t wait)
{
    char span[24];
    struct error why;

    time_format_duration(span, sizeof span, wait + USEC_PER_SEC - 1);
    error_set(&why, ERROR_THROTTLED, "the next one of %s is made in %s", a->order.config->username,
              span);
    fail(a, LIFECYCLE_THROTTLED, &why, wait);
}

/* A password is sent with its account's leave alone, asked for last: what the account learnt while
 * this one waited for its slot counts. */
static bool may_log_in(struct attempt *a)
{
    uint64_t digest = digest_secret(a->password), now = time_boottime(), when = 0;
    bool forced = a->order.forced_at > 0 &&
                  account_is_forced(a->account, digest, a->order.forced_at);
    bool anyway = forced || may_have_been_the_client(a);

    if (was_refused(a)) {
        refused_by_account(a);
        return false;
    }
    switch (account_ask(a->account, digest, anyway, a, now, &when)) {
    case ACCOUNT_GO:
        account_table_save(a->shared->accounts, a->account);
        return true;
    case ACCOUNT_REFUSED:
        refused_by_account(a);
        return false;
    case ACCOUNT_PROBE: /* whose end needs a slot */
        give_slot(a);
        TAILQ_INSERT_TAIL(&a->shared->probes, a, probe);
        a->stage = STAGE_PROBE;
        return false;
    case ACCOUNT_EMPTY:
        throttled(a, when - now);
        return false;
    }
    return false;
}

static void start_fetcher(struct attempt *a);

static bool leave_queue(struct attempt *a)
{
    if (!has_slot(a) || (by_password(a) && !may_log_in(a)))
        return false;
    a->stage = STAGE_FETCHING;
    start_fetcher(a);
    return false;
}

static bool leave_probe(struct attempt *a)
{
    TAILQ_REMOVE(&a->shared->probes, a, probe);
    a->stage = STAGE_QUEUED;
    return true;
}

/* ---- the fetcher ----------------------------------------------------------------------------- */

static struct secret *build_job(const struct attempt *a)
{
    char room[CONFIG_KEYS_ROOM];
    struct job job = { .kind = JOB_PASSWORD };

    config_keys_fill(&job, a->order.config, room);
    job.deadline = a->deadline - grace;
    job.client_secret = a->client_secret ? secret_peek(a->client_secret) : NULL;
    job.password = a->password ? secret_peek(a->password) : NULL;
    if (a->order.refresh_token) {
        job.kind = JOB_REFRESH;
        job.refresh_token = secret_peek(a->order.refresh_token);
    }
    job.previous = a->order.previous ? secret_peek(a->order.previous) : NULL;
    job.cache = a->order.cache;
    job.cache_length = a->order.cache_length;
    struct secret *encoded = job_encode(&job);
    explicit_bzero(room, sizeof room); /* a proxy's URL may hold a password */
    return encoded;
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *context)
{
    (void)source, (void)fd, (void)events;
    advance(context);
    return 0;
}

static void start_fetcher(struct attempt *a)
{
    struct error why;

    a->deadline = time_boottime() + a->order.config->timeout + grace;
    advance_at(a, a->deadline);
    _secret_ struct secret *job = build_job(a);
    int r = job ? fetcher_start(a->shared->fetcher, job, &a->fetcher) : -1;
    if (r == 0)
        r = sd_event_add_io(a->shared->event, &a->input, fetcher_fd(a->fetcher), EPOLLIN, on_output,
                            a);
    if (r < 0) {
        error_set(&why, ERROR_FETCHER, "%s", job ? strerror(-r) : "the request is too large");
        fail(a, LIFECYCLE_LOCAL, &why, 0);
    }
}

static void end(struct attempt *a, struct attempt_end *how);

static void take_result(struct attempt *a, struct result *result)
{
    static const enum lifecycle_failure kinds[] = {
        [OUTCOME_REFUSED] = LIFECYCLE_REFUSED,     [OUTCOME_SOFT] = LIFECYCLE_SOFT,
        [OUTCOME_TEMPORARY] = LIFECYCLE_TEMPORARY, [OUTCOME_INVALID] = LIFECYCLE_TEMPORARY,
        [OUTCOME_CONFIG] = LIFECYCLE_LOCAL,        [OUTCOME_REPORT] = LIFECYCLE_TEMPORARY,
        [OUTCOME_STALE] = LIFECYCLE_STALE,
    };
    if (result->outcome == OUTCOME_REPORT)
        error_set(&result->error, ERROR_FETCHER, "it sent a report and no token");
    struct attempt_end how = { .result = result,
                               .kind = kinds[result->outcome],
                               .error = result->error,
                               .retry_after = result->retry_after };

    end(a, &how);
}

static void expire(struct attempt *a)
{
    struct error why;
    char where[320];

    fetcher_where(a->fetcher, where, sizeof where);
    error_set(&why, ERROR_TIMEOUT, "stuck %s", where);
    fail(a, LIFECYCLE_TEMPORARY, &why, 0);
}

/* What has come; where that is not all, and its time is up, that is the end. */
static bool fetch(struct attempt *a)
{
    struct result result;
    struct error why;
    int r = fetcher_read(a->fetcher, &result, &why);

    if (r > 0) {
        take_result(a, &result);
        result_clear(&result);
    } else if (r < 0) {
        fail(a, LIFECYCLE_TEMPORARY, &why, 0);
    } else if (time_boottime() >= a->deadline) {
        expire(a);
    }
    return false;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Tells the account what came of the login, and those who waited for that: they go on in the order
 * in which they came, or some would never be the one that may try. */
static void settle(struct attempt *a, enum account_end end)
{
    struct attempt *other;
    uint64_t turn = 0;

    account_ended(a->account, digest_secret(a->password), a, end, time_boottime());
    account_table_save(a->shared->accounts, a->account);
    TAILQ_FOREACH (other, &a->shared->probes, probe)
        if (other->account == a->account)
            advance_at(other, turn++);
}

/* What the account is to think of a failure of which it was told nothing yet. Whether the grant was
 * sent is the step's to say, the rest the code's. */
static enum account_end end_of(const struct attempt *a, const struct error *why)
{
    if (!a->fetcher || !fetcher_sent_grant(a->fetcher))
        return ACCOUNT_NOT_SENT;
    switch (error_class(why->code)) {
    case ERROR_CLASS_REFUSED_USER:
    case ERROR_CLASS_REFUSED_EITHER:
        return ACCOUNT_REJECTED;
    case ERROR_CLASS_ACCEPTED:
        return ACCOUNT_TOOK;
    case ERROR_CLASS_TRANSIENT:
    case ERROR_CLASS_SOFT:
    case ERROR_CLASS_REFUSED_CLIENT:
        return ACCOUNT_UNKNOWN;
    /* Whatever else ends a grant under way (a fetcher that is killed, a second connection that
     * fails) leaves open what came of it. */
    case ERROR_CLASS_LOST:
    case ERROR_CLASS_LOCAL:
    case ERROR_CLASS_UNSENT:
    case ERROR_CLASS_PROXY:
    case ERROR_CLASS_THROTTLED:
    case ERROR_CLASS_NONE:
        break;
    }
    return ACCOUNT_SILENCE;
}

static bool is_login(const struct attempt *a)
{
    return a->stage == STAGE_FETCHING && by_password(a);
}

static void remember_end(struct attempt *a, const struct attempt_end *how)
{
    bool soft = how->kind == LIFECYCLE_SOFT;

    if (attempt_token(how) || !by_password(a) || (how->kind != LIFECYCLE_REFUSED && !soft))
        return;
    a->refused = (struct refused){ .password = digest_secret(a->password),
                                   .client_secret = digest_secret(a->client_secret),
                                   .why = how->error,
                                   .soft = soft,
                                   .stamp = a->stamp,
                                   .at = time_boottime(),
                                   .typed = a->order.typed != NULL,
                                   .by_account = account_refuses(a->account,
                                                                 digest_secret(a->password)) };
}

/* Whatever it held is given back. */
static void clear(struct attempt *a)
{
    if (a->stage == STAGE_PROBE)
        TAILQ_REMOVE(&a->shared->probes, a, probe);
    a->stage = STAGE_NONE;
    sd_event_source_set_enabled(a->timer, SD_EVENT_OFF);
    give_slot(a);
    a->input = sd_event_source_disable_unref(a->input);
    a->fetcher = fetcher_free(a->fetcher);
    a->command = secret_command_free(a->command);
    a->client_secret = secret_free(a->client_secret);
    a->password = secret_free(a->password);
}

static void end(struct attempt *a, struct attempt_end *how)
{
    enum account_end account = attempt_token(how) ? ACCOUNT_TOOK : end_of(a, &how->error);

    if (is_login(a)) {
        uint64_t digest = digest_secret(a->password);
        if (account == ACCOUNT_REJECTED)
            a->account->why = how->error;
        if (account == ACCOUNT_SILENCE && how->kind == LIFECYCLE_TEMPORARY &&
            account_is_soft(a->account, digest))
            how->kind = LIFECYCLE_SOFT;
        settle(a, account);
    }
    how->reached = account != ACCOUNT_NOT_SENT;
    if (a->fetcher)
        how->step = *fetcher_step(a->fetcher);
    remember_end(a, how);
    clear(a);
    a->done(a->context, how);
}

static void fail(struct attempt *a, enum lifecycle_failure kind, const struct error *why,
                 uint64_t retry_after)
{
    struct attempt_end how = { .kind = kind, .error = *why, .retry_after = retry_after };

    end(a, &how);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* The one way on, whatever has come: the timer, a command's end, the slot, another's end, output of
 * the fetcher. Goes as far as it can. */
static void advance(struct attempt *a)
{
    bool further = true;

    while (further)
        switch (a->stage) {
        case STAGE_NONE:
            further = false;
            break;
        case STAGE_DELAYED:
            begin(a);
            break;
        case STAGE_CLIENT_SECRET:
            further = read_client_secret(a);
            break;
        case STAGE_PASSWORD:
            further = read_password(a);
            break;
        case STAGE_QUEUED:
            further = leave_queue(a);
            break;
        case STAGE_PROBE:
            further = leave_probe(a);
            break;
        case STAGE_FETCHING:
            further = fetch(a);
            break;
        }
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    (void)source, (void)usec;
    advance(context);
    return 0;
}

void attempt_start(struct attempt *a, const struct attempt_order *order)
{
    attempt_cancel(a);
    a->order = *order;
    a->account = account_table_get(a->shared->accounts, order->config->issuer,
                                   order->config->username);
    if (!a->account)
        abort(); /* two names */
    /* copied: another may be typed, or its time may end, before it is its turn to be sent */
    if (order->typed && by_password(a))
        a->password = secret_copy(secret_peek(order->typed), secret_length(order->typed));
    a->stage = STAGE_DELAYED;
    advance_at(a, order->delay == 0 || order->urgent ? 0 : time_boottime() + order->delay);
}

void attempt_hurry(struct attempt *a)
{
    a->order.urgent = a->slot.urgent = true;
    if (a->stage == STAGE_DELAYED)
        advance_at(a, 0);
}

void attempt_cancel(struct attempt *a)
{
    const struct error given_up = { ERROR_INTERRUPTED, "" };

    if (is_login(a))
        settle(a, end_of(a, &given_up));
    clear(a);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct attempt *attempt_new(struct context *shared, attempt_done_fn done, void *context)
{
    struct attempt *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    *a = (struct attempt){ .shared = shared, .done = done, .context = context };
    if (sd_event_add_time(shared->event, &a->timer, CLOCK_BOOTTIME, 0, 1, on_timer, a) < 0) {
        free(a);
        return NULL;
    }
    sd_event_source_set_enabled(a->timer, SD_EVENT_OFF);
    return a;
}

struct attempt *attempt_free(struct attempt *a)
{
    if (!a)
        return NULL;
    attempt_cancel(a);
    sd_event_source_disable_unref(a->timer);
    free(a);
    return NULL;
}

void attempt_configure(struct attempt *a, const struct profile_config *config)
{
    a->order.config = config;
    if (a->slot.provider)
        a->slot.provider = provider_of(config); /* the old text is about to go */
}

/* ---- what others ask ------------------------------------------------------------------------- */

struct result *attempt_token(const struct attempt_end *end)
{
    return end->result && end->result->outcome == OUTCOME_TOKEN ? end->result : NULL;
}

void attempt_where(const struct attempt *a, struct error *ret)
{
    char where[320];

    if (a->fetcher) {
        fetcher_where(a->fetcher, where, sizeof where);
        error_set(ret, ERROR_TIMEOUT, "still %s", where);
    } else if (a->command) {
        error_set(ret, ERROR_CREDENTIAL, "the command has not ended yet");
    } else {
        error_set(ret, ERROR_TIMEOUT, "still waiting for %s",
                  a->stage == STAGE_PROBE ? "another profile that tries the same account"
                                          : "its turn");
    }
}

const struct step *attempt_step(const struct attempt *a)
{
    return a->fetcher ? fetcher_step(a->fetcher) : NULL;
}

bool attempt_worthwhile(const struct attempt *a, const struct profile_config *config, uint64_t now)
{
    bool hidden = config->password.kind == SOURCE_COMMAND ||
                  config->client_secret.kind == SOURCE_COMMAND;

    if (a->refused.typed)
        return config->password.kind != SOURCE_NONE;
    if (a->refused.stamp != sources_stamp(config) || (hidden && now - a->refused.at >= look_again))
        return true;
    /* another profile had the account's refusal lifted, by somebody's login */
    return a->refused.by_account && !account_refuses(a->account, a->refused.password);
}

bool attempt_is_outdated(const struct attempt *a, const struct profile_config *config)
{
    return a->stamp != sources_stamp(config);
}
