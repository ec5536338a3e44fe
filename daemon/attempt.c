#define _GNU_SOURCE
#include "daemon/attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fetcher.h"
#include "common/time.h"
#include "daemon/command.h"
#include "daemon/credential.h"
#include "daemon/digest.h"
#include "daemon/jobs.h"

/* What was sent and refused: it is not sent a second time. Digests; 0 = nothing was refused. */
struct refused {
    uint64_t password, client_secret;
    struct error why;
    uint64_t stamp; /* of the sources, when they were read */
    uint64_t at;
    bool typed;      /* not what a source gave */
    bool by_account; /* account.c knows of it, and decides */
    bool doubtful;   /* no refusal, but given up */
};

struct attempt {
    struct profile_shared *shared;
    attempt_done_fn done;
    void *context;
    struct attempt_order order;
    struct refused refused;
    struct account *account;
    sd_event_source *starter; /* goes on once this turn of the loop is over */
    sd_event_source *timer;   /* of the fetcher, and before that of the delay */
    struct secret *client_secret, *password;
    bool client_secret_done;
    bool in_trials;
    TAILQ_ENTRY(attempt) trial;
    uint64_t stamp;
    uint64_t login; /* the digest that the account gave leave for, 0 = none */
    struct command *command;
    struct slot slot;
    struct fetcher *fetcher;
    sd_event_source *input;
    uint64_t deadline; /* while the fetcher runs */
    bool delayed;      /* until the timer comes */
};

/* How often a source whose change cannot be seen (a command) is asked again after a refusal. */
static const uint64_t look_again = 10 * USEC_PER_SEC;
/* What the fetcher gets beyond its own deadline to say so itself. */
static const uint64_t grace = 500 * USEC_PER_MSEC;

static void go_on(struct attempt *a);

static void later(struct attempt *a)
{
    sd_event_source_set_enabled(a->starter, SD_EVENT_ONESHOT);
}

/* Whatever has a deadline has its timer: nobody else looks. */
static void end_at(struct attempt *a, uint64_t deadline)
{
    sd_event_source_set_time(a->timer, deadline);
    sd_event_source_set_enabled(a->timer, SD_EVENT_ONESHOT);
}

struct result *attempt_token(const struct attempt_end *end)
{
    return end->result && end->result->outcome == OUTCOME_TOKEN ? end->result : NULL;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void leave_trials(struct attempt *a)
{
    if (a->in_trials)
        TAILQ_REMOVE(&a->shared->trials, a, trial);
    a->in_trials = false;
}

/* Tells the account what came of the login, and those who waited for that. */
static void settle(struct attempt *a, enum account_end end)
{
    struct attempt *other, *next;

    if (a->login == 0)
        return;
    account_ended(a->account, a->login, a, end, time_boottime());
    accounts_save(a->shared->accounts, a->account);
    a->login = 0;
    for (other = TAILQ_FIRST(&a->shared->trials); other; other = next) {
        next = TAILQ_NEXT(other, trial);
        if (other->account != a->account)
            continue;
        leave_trials(other);
        later(other);
    }
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

void attempt_cancel(struct attempt *a)
{
    const struct error given_up = { ERROR_INTERRUPTED, "" };

    settle(a, end_of(a, &given_up));
    leave_trials(a);
    sd_event_source_set_enabled(a->starter, SD_EVENT_OFF);
    slots_give(&a->shared->slots, &a->slot);
    a->input = sd_event_source_disable_unref(a->input);
    a->fetcher = fetcher_free(a->fetcher);
    a->command = command_free(a->command);
    a->client_secret = secret_free(a->client_secret);
    a->password = secret_free(a->password);
    a->client_secret_done = false;
    a->delayed = false;
    sd_event_source_set_enabled(a->timer, SD_EVENT_OFF);
}

static void remember_end(struct attempt *a, const struct attempt_end *how)
{
    bool doubtful = how->kind == LIFECYCLE_DOUBTFUL;

    if (attempt_token(how) || a->order.refresh_token ||
        (how->kind != LIFECYCLE_REFUSED && !doubtful))
        return;
    a->refused = (struct refused){ .password = digest_secret(a->password),
                                   .client_secret = digest_secret(a->client_secret),
                                   .why = how->error,
                                   .doubtful = doubtful,
                                   .stamp = a->stamp,
                                   .at = time_boottime(),
                                   .typed = a->order.typed != NULL,
                                   .by_account = account_refuses(a->account,
                                                                 digest_secret(a->password)) };
}

static void end(struct attempt *a, struct attempt_end *how)
{
    enum account_end account = attempt_token(how) ? ACCOUNT_TOOK : end_of(a, &how->error);

    if (account == ACCOUNT_REJECTED && a->login != 0)
        a->account->why = how->error;
    if (account == ACCOUNT_SILENCE && how->kind == LIFECYCLE_TEMPORARY && a->login != 0 &&
        account_doubts(a->account, a->login))
        how->kind = LIFECYCLE_DOUBTFUL;
    how->reached = account != ACCOUNT_NOT_SENT;
    if (a->fetcher)
        how->step = *fetcher_step(a->fetcher);
    settle(a, account);
    remember_end(a, how);
    attempt_cancel(a);
    a->done(a->context, how);
}

static void fail(struct attempt *a, enum lifecycle_failure kind, const struct error *why,
                 uint64_t retry_after)
{
    struct attempt_end how = { .kind = kind, .error = *why, .retry_after = retry_after };

    end(a, &how);
}

static void begin(struct attempt *a)
{
    a->delayed = false;
    sd_event_source_set_enabled(a->timer, SD_EVENT_OFF);
    later(a);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct attempt *a = context;
    struct error why;
    char where[320];

    (void)source, (void)usec;
    if (a->delayed) {
        begin(a);
        return 0;
    }
    fetcher_where(a->fetcher, where, sizeof where);
    error_set(&why, ERROR_TIMEOUT, "stuck %s", where);
    fail(a, LIFECYCLE_TEMPORARY, &why, 0);
    return 0;
}

/* ---- the fetcher ----------------------------------------------------------------------------- */

static void take_result(struct attempt *a, struct result *result)
{
    static const enum lifecycle_failure kinds[] = {
        [OUTCOME_REFUSED] = LIFECYCLE_REFUSED,     [OUTCOME_DOUBTFUL] = LIFECYCLE_DOUBTFUL,
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

static int on_fetcher(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct attempt *a = context;
    struct result result;
    struct error why;

    (void)source, (void)fd, (void)events;
    int r = fetcher_read(a->fetcher, &result, &why);
    if (r > 0) {
        take_result(a, &result);
        result_clear(&result);
    } else if (r < 0) {
        fail(a, LIFECYCLE_TEMPORARY, &why, 0);
    }
    return 0;
}

static struct secret *build_job(const struct attempt *a)
{
    char room[JOBS_ROOM];
    struct job job = { .kind = JOB_PASSWORD };

    jobs_fill(&job, a->order.config, room);
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

static void start_fetcher(struct attempt *a)
{
    struct error why;

    a->deadline = time_boottime() + a->order.config->timeout + grace;
    end_at(a, a->deadline);
    _secret_ struct secret *job = build_job(a);
    int r = job ? fetcher_start(a->shared->fetcher, job, &a->fetcher) : -1;
    if (r == 0)
        r = sd_event_add_io(a->shared->event, &a->input, fetcher_fd(a->fetcher), EPOLLIN,
                            on_fetcher, a);
    if (r < 0) {
        error_set(&why, ERROR_FETCHER, "%s", job ? strerror(-r) : "the request is too large");
        fail(a, LIFECYCLE_LOCAL, &why, 0);
    }
}

/* ---- the account ----------------------------------------------------------------------------- */

/* What was refused for reasons that lie in this profile, or might: its client, its grant. */
static bool was_refused(const struct attempt *a)
{
    return a->refused.at > 0 && !a->refused.by_account && !a->refused.doubtful &&
           a->order.said == 0 && a->refused.password == digest_secret(a->password) &&
           a->refused.client_secret == digest_secret(a->client_secret);
}

/* A refusal without a reason may have been one of the client's secret, which is another now. */
static bool may_have_been_the_client(const struct attempt *a)
{
    return a->refused.at > 0 && a->refused.why.code == ERROR_REFUSED_SILENTLY &&
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
static void ask_account(struct attempt *a)
{
    uint64_t digest = digest_secret(a->password), now = time_boottime(), when = 0;
    bool said = a->order.said > 0 && account_hears(a->account, digest, a->order.said);
    bool anyway = said || may_have_been_the_client(a);

    if (a->order.refresh_token) {
        start_fetcher(a);
        return;
    }
    if (was_refused(a)) {
        refused_by_account(a);
        return;
    }
    switch (account_ask(a->account, digest, anyway, a, now, &when)) {
    case ACCOUNT_GO:
        a->login = digest;
        accounts_save(a->shared->accounts, a->account);
        start_fetcher(a);
        return;
    case ACCOUNT_REFUSED:
        refused_by_account(a);
        return;
    case ACCOUNT_TRIAL: /* whose end needs a slot */
        slots_give(&a->shared->slots, &a->slot);
        TAILQ_INSERT_TAIL(&a->shared->trials, a, trial);
        a->in_trials = true;
        return;
    case ACCOUNT_EMPTY:
        throttled(a, when - now);
        return;
    }
}

/* ---- the slot ---------------------------------------------------------------------------------
 */

static void on_turn(struct slot *slot)
{
    /* once this turn of the loop is over: a failure here must not run into another attempt's */
    later((struct attempt *)(void *)((char *)slot - offsetof(struct attempt, slot)));
}

static const char *provider_of(const struct profile_config *config)
{
    return config->token_endpoint ? config->token_endpoint : config->issuer;
}

static void ask_for_slot(struct attempt *a)
{
    a->slot.provider = provider_of(a->order.config);
    a->slot.urgent = a->order.urgent;
    a->slot.turn = on_turn;
    if (slots_take(&a->shared->slots, &a->slot))
        ask_account(a);
}

/* ---- credentials ----------------------------------------------------------------------------- */

static void on_command(void *context, struct secret *output, const struct error *why)
{
    struct attempt *a = context;
    bool password = a->client_secret_done;
    struct error fault;

    a->command = command_free(a->command);
    if (!output) {
        error_set(&fault, why->code, "%s: %s",
                  password ? "password-command" : "client-secret-command", why->detail);
        fail(a, LIFECYCLE_LOCAL, &fault, 0);
        return;
    }
    struct secret **slot = password ? &a->password : &a->client_secret;
    if (credential_accept(password ? "password" : "client secret", output, slot, &fault) < 0)
        fail(a, LIFECYCLE_LOCAL, &fault, 0);
    else
        go_on(a);
}

/* Reads one source. Returns 1 when it is there (or absent by design), 0 when it will come
 * later, -1 on failure, which is dealt with. */
static int read_source(struct attempt *a, const struct source *source, const char *what,
                       struct secret **slot)
{
    struct error why;
    int r;

    if (*slot || source->kind == SOURCE_NONE)
        return 1;
    if (source->kind == SOURCE_COMMAND)
        r = command_start(a->shared->event, source->text, COMMAND_TIME, on_command, a, &a->command,
                          &why);
    else
        r = credential_read(source, what, slot, &why) < 0 ? -1 : 1;
    if (r < 0)
        fail(a, LIFECYCLE_LOCAL, &why, 0);
    return r;
}

/* The password: a typed one (attempt_start() took it), or the source's. As read_source(). */
static int read_password(struct attempt *a)
{
    const struct source *source = &a->order.config->password;
    struct error why;

    if (!a->password && a->order.typed) {
        error_set(&why, ERROR_INTERNAL, "no memory");
        fail(a, LIFECYCLE_LOCAL, &why, 0);
        return -1;
    }
    if (!a->password && source->kind == SOURCE_NONE) {
        error_set(&why, ERROR_LOGIN_NEEDED, "%s", "");
        fail(a, LIFECYCLE_NO_LOGIN, &why, 0);
        return -1;
    }
    return read_source(a, source, "password", &a->password);
}

/* Takes the next steps. Comes back here after each command. */
static void go_on(struct attempt *a)
{
    struct error why;

    if (!a->client_secret_done) {
        const struct source *source = &a->order.config->client_secret;
        if (read_source(a, source, "client secret", &a->client_secret) <= 0)
            return;
        a->client_secret_done = true;
    }
    if (!a->order.refresh_token && read_password(a) <= 0)
        return;
    if (credential_check_key(a->order.config, &why) < 0)
        fail(a, LIFECYCLE_LOCAL, &why, 0);
    else
        ask_for_slot(a);
}

static uint64_t sources_stamp(const struct profile_config *config)
{
    return credential_stamp(&config->password) * 31 + credential_stamp(&config->client_secret);
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

/* ---- life ------------------------------------------------------------------------------------ */

static int on_start(sd_event_source *source, void *context)
{
    struct attempt *a = context;

    (void)source;
    if (a->slot.held) {
        ask_account(a);
        return 0;
    }
    if (!a->client_secret_done) /* before they are read, so that a change meanwhile is seen */
        a->stamp = sources_stamp(a->order.config);
    go_on(a);
    return 0;
}

struct attempt *attempt_new(struct profile_shared *shared, attempt_done_fn done, void *context)
{
    struct attempt *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    *a = (struct attempt){ .shared = shared, .done = done, .context = context };
    if (sd_event_add_defer(shared->event, &a->starter, on_start, a) < 0 ||
        sd_event_add_time(shared->event, &a->timer, CLOCK_BOOTTIME, 0, 1, on_timer, a) < 0) {
        sd_event_source_disable_unref(a->starter);
        free(a);
        return NULL;
    }
    sd_event_source_set_enabled(a->starter, SD_EVENT_OFF);
    sd_event_source_set_enabled(a->timer, SD_EVENT_OFF);
    return a;
}

struct attempt *attempt_free(struct attempt *a)
{
    if (!a)
        return NULL;
    attempt_cancel(a);
    sd_event_source_disable_unref(a->starter);
    sd_event_source_disable_unref(a->timer);
    free(a);
    return NULL;
}

void attempt_start(struct attempt *a, const struct attempt_order *order)
{
    attempt_cancel(a);
    a->order = *order;
    a->account = accounts_get(a->shared->accounts, order->config->issuer, order->config->username);
    if (!a->account)
        abort(); /* two names */
    /* copied: another may be typed, or its time may end, before it is its turn to be sent */
    if (order->typed && !order->refresh_token)
        a->password = secret_copy(secret_peek(order->typed), secret_length(order->typed));
    if (order->delay == 0 || order->urgent) {
        begin(a);
        return;
    }
    a->delayed = true;
    end_at(a, time_boottime() + order->delay);
}

void attempt_configure(struct attempt *a, const struct profile_config *config)
{
    a->order.config = config;
    if (a->slot.provider)
        a->slot.provider = provider_of(config); /* the old text is about to go */
}

void attempt_hurry(struct attempt *a)
{
    a->order.urgent = a->slot.urgent = true;
    if (a->delayed)
        begin(a);
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
                  a->in_trials ? "another profile that tries the same account" : "its turn");
    }
}

const struct step *attempt_step(const struct attempt *a)
{
    return a->fetcher ? fetcher_step(a->fetcher) : NULL;
}
