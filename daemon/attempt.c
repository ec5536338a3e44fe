#define _GNU_SOURCE
#include "daemon/attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/container.h"
#include "common/time.h"
#include "daemon/config_keys.h"
#include "daemon/digest.h"
#include "daemon/fetcher.h"
#include "daemon/new_password.h"
#include "daemon/permit.h"
#include "daemon/secret_command.h"
#include "daemon/secret_remark.h"
#include "daemon/secret_source.h"
#include "daemon/subject.h"

/* Where an attempt is; the drawing in the header has them in this order. */
enum attempt_stage {
    STAGE_NONE,          /* there is none */
    STAGE_DELAYED,       /* nobody waits for it: it begins when the timer comes */
    STAGE_SUBJECT,       /* another profile's token is waited for */
    STAGE_CLIENT_SECRET, /* read, or its command is running */
    STAGE_PASSWORD,      /* the same */
    STAGE_TOOL,          /* or, instead of both: token-command is running */
    STAGE_QUEUED,        /* for a slot; with it, the accounts are asked */
    STAGE_TURN,          /* waits, without a slot, for the end of another's login */
    STAGE_FETCHING,      /* until its output has ended, or the timer comes */
};

/* What stands against sending the same again, since the last attempt. */
struct obstacle {
    struct permit permit;             /* the accounts that refuse it, or have it wait */
    uint64_t password, client_secret; /* digests; the first may be of a refresh token, */
    bool local;                       /* of what no account knows: refused for this request */
    bool typed;                       /* not what a source gave */
    enum error_code code;
    char *said;     /* its detail; NULL: none, or there was no memory for it */
    uint64_t stamp; /* of the sources, when they were read */
    uint64_t until; /* when the user's account lets it go */
    uint64_t at;    /* 0 = nothing stands against it */
};

struct attempt {
    struct context *shared;
    attempt_sending_fn sending;
    attempt_done_fn done;
    void *context;
    struct obstacle obstacle;
    struct secret_remark remark; /* of the secrets that were read last */

    enum attempt_stage stage;
    struct attempt_order order;
    struct permit permit;
    const struct account *turn_of; /* STAGE_TURN: the account whose login is under way */
    bool woken; /* since then it is its turn there: what comes of it has the next one go */
    sd_event_source *timer;  /* when advance() is wanted next, if nothing comes before */
    uint64_t stamp;          /* of the sources, before they are read: a change meanwhile is seen */
    struct subject *subject; /* whose token is given; NULL: nobody's */
    uint64_t spent; /* when the one that was refused had been asked for, until another one is
                       judged, be that in a later attempt; 0 = none was */
    struct secret *client_secret, *password;
    struct secret *printed; /* by token-command */
    struct secret *otp;     /* wiped at the end, whatever that is */
    struct secret_command *command;
    struct fetch_slot slot;
    TAILQ_ENTRY(attempt) turn; /* while STAGE_TURN */
    struct fetcher *fetcher;
    sd_event_source *input;
    uint64_t deadline;     /* of the fetcher */
    uint64_t gives_way_at; /* from then on it ends where it is in the way of who waits */
};

/* There is one for each profile. */
_Static_assert(sizeof(struct attempt) <= 688, "an attempt is small");

/* How often a source whose change cannot be seen (a command) is asked again after a refusal. */
static const uint64_t look_again = 10 * USEC_PER_SEC;
/* What the fetcher gets beyond its own deadline to say so itself. */
static const uint64_t grace = 500 * USEC_PER_MSEC;

static void advance(struct attempt *a);
static void wake_others(struct attempt *a);
static void end(struct attempt *a, struct attempt_end *how);
static void fail(struct attempt *a, enum lifecycle_failure kind, const struct error *why,
                 uint64_t retry_after);

static void set_timer(struct attempt *a, uint64_t when, int64_t priority)
{
    sd_event_source_set_priority(a->timer, priority);
    sd_event_source_set_time(a->timer, when);
    sd_event_source_set_enabled(a->timer, SD_EVENT_ONESHOT);
}

/* The timer brings advance() at that time. One that is past: once this turn of the loop is over, so
 * that a failure here does not run into another attempt's. */
static void advance_at(struct attempt *a, uint64_t when)
{
    set_timer(a, when, SD_EVENT_PRIORITY_NORMAL);
}

/* The same, at once and before all others: of those that are due together the loop takes any. */
static void advance_first(struct attempt *a)
{
    set_timer(a, 0, SD_EVENT_PRIORITY_IMPORTANT);
}

/* Before the first order there is no configuration. */
static bool by_exchange(const struct attempt *a)
{
    return a->order.config && a->order.config->grant == GRANT_EXCHANGE;
}

static bool by_password(const struct attempt *a)
{
    return a->order.refresh_token == NULL && !by_exchange(a) && !a->order.device;
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
    a->stage = by_exchange(a)                            ? STAGE_SUBJECT
               : a->order.config->grant == GRANT_COMMAND ? STAGE_TOOL
                                                         : STAGE_CLIENT_SECRET;
}

/* Not from within what the other profile is at. */
static void on_subject(void *context)
{
    advance_at(context, 0);
}

/* Whether the other profile's token is there. */
static bool have_subject(struct attempt *a)
{
    struct attempt_end lack = { .kind = LIFECYCLE_LOCAL, .by_source = true };

    error_set(&lack.error, ERROR_INTERNAL, "no memory");
    if (!a->subject)
        a->subject = subject_new(a->shared, a->order.config, a->spent, on_subject, a);
    if (a->subject)
        switch (subject_ask(a->subject, a->order.wait_until, &lack)) {
        case SUBJECT_HERE:
            a->stage = STAGE_CLIENT_SECRET;
            return true;
        case SUBJECT_AWAITED:
            return false;
        case SUBJECT_LACKING:
            break;
        }
    end(a, &lack);
    return false;
}

static void on_command(void *context, struct secret *output, const struct error *why)
{
    struct attempt *a = context;
    bool password = a->stage == STAGE_PASSWORD;
    const struct profile_config *config = a->order.config;
    struct error fault;
    int r = -1;

    a->command = secret_command_free(a->command);
    if (output)
        r = secret_source_accept(password ? "password" : "client secret",
                                 password ? &config->password : &config->client_secret, output,
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
        r = secret_command_start(a->shared->children, a->order.config->name, source->text,
                                 SECRET_COMMAND_TIME, on_command, a, &a->command, &why);
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
    if (a->order.needs_otp && !a->otp) {
        error_set(&why, ERROR_OTP_REQUIRED, "%s", "");
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
    secret_remark_note(&a->remark, a->password, a->client_secret);
    permit_open(&a->permit, a->shared->accounts, a->order.config, a->client_secret, a->password);
    if (by_exchange(a))
        subject_join(a->subject, &a->permit);
    a->permit.with_otp = a->otp != NULL;
    a->stage = STAGE_QUEUED;
    return true;
}

/* What it is, the fetcher says: here nothing of it is read. A job ends at a NUL. */
static void on_token_command(void *context, struct secret *output, const struct error *why)
{
    struct attempt *a = context;
    struct error fault = { ERROR_NONE, "" };

    a->command = secret_command_free(a->command);
    if (!output)
        error_set(&fault, why->code, "token-command: %s", why->detail);
    else if (memchr(secret_peek(output), '\0', secret_length(output)))
        error_set(&fault, ERROR_COMMAND_TOKEN, "it has a NUL in it");
    else if (!(a->printed = secret_copy(secret_peek(output), secret_length(output))))
        error_set(&fault, ERROR_INTERNAL, "no memory");
    secret_free(output);
    if (fault.code != ERROR_NONE)
        fail(a, LIFECYCLE_LOCAL, &fault, 0);
    else
        advance(a);
}

static bool read_printed(struct attempt *a)
{
    const struct profile_config *config = a->order.config;
    struct error why;
    int r = 0;

    if (a->command)
        return false;
    if (!a->printed)
        r = secret_command_start(a->shared->children, config->name, config->token_command,
                                 SECRET_COMMAND_TIME, on_token_command, a, &a->command, &why);
    else
        r = secret_source_check_key(config, &why);
    if (r < 0)
        fail(a, LIFECYCLE_LOCAL, &why, 0);
    if (r < 0 || !a->printed)
        return false;
    permit_open(&a->permit, a->shared->accounts, config, NULL, NULL);
    a->stage = STAGE_QUEUED;
    return true;
}

/* ---- the slot and the account ---------------------------------------------------------------- */

static const char *provider_of(const struct profile_config *config)
{
    return config->token_endpoint ? config->token_endpoint : config->issuer;
}

/* Who waits longer than usual for an answer does not any more. */
static void give_way(struct attempt *a)
{
    if (a->stage != STAGE_FETCHING || a->gives_way_at >= a->deadline)
        return;
    a->deadline = a->gives_way_at;
    advance_at(a, a->deadline);
}

/* Those who do, and for whom nobody waits, have had their time where somebody waits for a slot, or
 * for the turn of an account. */
static void press(const struct attempt *a)
{
    const struct fetch_queue *queue = &a->shared->fetch_queue;
    bool slots_wanted = fetch_queue_is_pressed(queue);
    bool turn_wanted = a->stage == STAGE_TURN && a->order.urgent;
    struct fetch_slot *slot;

    TAILQ_FOREACH (slot, &queue->held, entry) {
        // cppcheck-suppress uninitvar; it does not follow TAILQ_FOREACH
        struct attempt *other = container_of(slot, struct attempt, slot);
        if (!slot->urgent && (slots_wanted || (turn_wanted && other == a->turn_of->holder)))
            give_way(other);
    }
}

/* Those whose turn it is now, and the one whose turn it is when they have rested. */
static void wake_queued(struct attempt *a)
{
    struct fetch_queue *queue = &a->shared->fetch_queue;
    uint64_t now = time_boottime();
    struct fetch_slot *next;

    while ((next = fetch_queue_next(queue, now)))
        advance_at(container_of(next, struct attempt, slot), 0);
    if ((next = fetch_queue_rested(queue, now)))
        advance_at(container_of(next, struct attempt, slot), queue->rests_until);
}

static bool has_slot(struct attempt *a)
{
    struct fetch_queue *queue = &a->shared->fetch_queue;

    if (a->slot.held)
        return true;
    if (!a->slot.queued) {
        a->slot.provider = digest_text(provider_of(a->order.config));
        a->slot.urgent = a->order.urgent;
        if (fetch_queue_take(queue, &a->slot, time_boottime()))
            return true;
        if (a->slot.urgent)
            press(a);
    }
    wake_queued(a);
    return a->slot.held;
}

/* One ends: the others rest for what it, or those that ended before it, took of the processors. */
static void rest(struct fetch_queue *queue)
{
    struct rusage of;

    if (getrusage(RUSAGE_CHILDREN, &of) < 0)
        return;
    uint64_t s = (uint64_t)(of.ru_utime.tv_sec + of.ru_stime.tv_sec);
    uint64_t us = (uint64_t)(of.ru_utime.tv_usec + of.ru_stime.tv_usec);
    fetch_queue_rest(queue, s * USEC_PER_SEC + us, time_boottime());
}

/* Gives the slot back, or leaves the queue; those whose turn it is go on. */
static void give_slot(struct attempt *a)
{
    if (a->slot.held)
        rest(&a->shared->fetch_queue);
    fetch_queue_give(&a->shared->fetch_queue, &a->slot);
    wake_queued(a);
}

/* Of what is sent for the user: another refresh token is another request. */
static uint64_t digest_of_grant(const struct attempt *a)
{
    return digest_secret(by_password(a) ? a->password : a->order.refresh_token);
}

/* Refused for reasons that lie in this profile's request, so that no account knows of it. */
static bool was_refused(const struct attempt *a)
{
    const struct obstacle *o = &a->obstacle;

    return o->at > 0 && o->local && a->order.forced_at == 0 && o->password == digest_of_grant(a) &&
           o->client_secret == digest_secret(a->client_secret);
}

/* What was said then, as far as that is known. */
static void fail_as_before(struct attempt *a)
{
    const struct obstacle *o = &a->obstacle;
    struct error why;

    if (o->code != ERROR_NONE)
        error_set(&why, o->code, "%s", o->said ? o->said : "");
    else
        error_set(&why, by_exchange(a) ? ERROR_EXCHANGE_REFUSED : ERROR_REFUSED,
                  "before kubetokend was started again");
    fail(a, LIFECYCLE_REFUSED, &why, 0);
}

/* What was said when it was refused, as far as that is known: not after a restart. */
static void refused_before(struct attempt *a, enum permit_part part)
{
    static const enum error_code codes[PERMIT_PARTS] = {
        [PERMIT_PROXY] = ERROR_PROXY_REFUSED,
        [PERMIT_CLIENT] = ERROR_CLIENT_REFUSED,
        [PERMIT_USER] = ERROR_REFUSED,
    };
    static const char *const what[PERMIT_PARTS] = { "user of the proxy", "client secret",
                                                    "password" };
    const struct account *account = permit_account(&a->permit, part);
    const struct account_credential *sent = &a->permit.parts[part].what;
    bool known = account->why_of == sent->password;
    struct error why;

    if (account_lacks_otp(account, sent))
        error_set(&why, ERROR_OTP_REQUIRED, "%s",
                  known && account->why.code == ERROR_OTP_REQUIRED ? account->why.detail : "");
    else if (known)
        why = account->why;
    else
        error_set(&why, codes[part], "this %s of %s was refused before, and is not sent",
                  what[part],
                  part == PERMIT_USER ? a->order.config->username : a->order.config->client_id);
    if (error_class(why.code) == ERROR_CLASS_SOFT)
        why.code = ERROR_DENIED; /* it was the third of these */
    fail(a, LIFECYCLE_REFUSED, &why, 0);
}

/* Not now, for the account's sake; it goes on at that time. */
static void put_off(struct attempt *a, enum account_verdict verdict, enum permit_part part,
                    uint64_t wait)
{
    const struct account *account = permit_account(&a->permit, part);
    bool known = account && account->why_of == a->permit.parts[part].what.password;
    const char *name = a->order.config->username;
    const char *said = known ? account->why.detail : "";
    int stem = (int)error_stem(said);
    char span[24];
    struct error why;

    time_format_duration(span, sizeof span, wait + USEC_PER_SEC - 1);
    if (verdict == ACCOUNT_EMPTY)
        error_set(&why, ERROR_THROTTLED, "the next one%s%s is made in %s", name ? " of " : "",
                  name ? name : "", span);
    else if (verdict == ACCOUNT_SILENT)
        error_set(&why, ERROR_SILENCE, "the next login%s%s is made in %s", name ? " of " : "",
                  name ? name : "", span);
    else if (verdict == ACCOUNT_GATEWAY)
        error_set(&why, known ? account->why.code : ERROR_GATEWAY,
                  "%.*s%sthe next login is made in %s", stem, said, *said ? "; " : "", span);
    else
        error_set(&why, part == PERMIT_PROXY ? ERROR_PROXY_REFUSED : ERROR_DOUBTED,
                  "%.*s%sonce more in %s", stem, said, *said ? "; " : "", span);
    bool soft = verdict == ACCOUNT_SILENT || verdict == ACCOUNT_GATEWAY;
    struct attempt_end how = { .kind = soft ? LIFECYCLE_SOFT : LIFECYCLE_DEFERRED,
                               .error = why,
                               .retry_after = wait,
                               .yielded = verdict == ACCOUNT_EMPTY && !a->order.urgent };
    end(a, &how);
}

static void wait_for_turn(struct attempt *a, const struct account *account)
{
    bool overtaken = a->woken && a->turn_of == account;

    give_slot(a); /* the end of the other one needs it */
    if (a->woken && !overtaken)
        wake_others(a); /* it goes on waiting elsewhere */
    a->woken = false;
    a->turn_of = account;
    if (overtaken)
        TAILQ_INSERT_HEAD(&a->shared->turns, a, turn);
    else
        TAILQ_INSERT_TAIL(&a->shared->turns, a, turn);
    a->stage = STAGE_TURN;
    press(a);
}

/* Credentials are sent with the leave of their accounts alone, asked for last: what those learnt
 * while this one waited for its slot counts. */
static bool has_leave(struct attempt *a)
{
    uint64_t when = 0;
    enum permit_part part = PERMIT_USER;
    struct error no_room;

    if (was_refused(a)) {
        fail_as_before(a);
        return false;
    }
    enum account_verdict verdict = permit_ask(&a->permit, a, a->order.urgent, a->order.by_route,
                                              a->order.forced_at, &part, &when);
    switch (verdict) {
    case ACCOUNT_GO:
        a->woken = false; /* the end of the request has the next one go */
        return true;
    case ACCOUNT_REFUSED:
        refused_before(a, part);
        return false;
    case ACCOUNT_BUSY:
        wait_for_turn(a, permit_account(&a->permit, part));
        return false;
    case ACCOUNT_DOUBTED:
    case ACCOUNT_GATEWAY:
    case ACCOUNT_SILENT:
    case ACCOUNT_EMPTY:
        put_off(a, verdict, part, when - time_boottime());
        return false;
    case ACCOUNT_NO_ROOM:
        error_set(&no_room, ERROR_INTERNAL, "no memory");
        fail(a, LIFECYCLE_LOCAL, &no_room, 0);
        return false;
    }
    return false;
}

static void start_fetcher(struct attempt *a);

/* Waits for the other profile's token again, with nothing in hand. */
static void return_to_subject(struct attempt *a)
{
    give_slot(a);
    a->permit = (struct permit){ .accounts = NULL };
    a->stage = STAGE_SUBJECT;
}

static bool leave_queue(struct attempt *a)
{
    if (!has_slot(a))
        return false;
    if (by_exchange(a) && !subject_token(a->subject)) { /* it has died in the queue */
        return_to_subject(a);
        return true;
    }
    if (!has_leave(a))
        return false;
    a->stage = STAGE_FETCHING;
    start_fetcher(a);
    return false;
}

static bool leave_turn(struct attempt *a)
{
    TAILQ_REMOVE(&a->shared->turns, a, turn);
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
    job.otp = a->otp ? secret_peek(a->otp) : NULL;
    if (a->order.refresh_token) {
        job.kind = JOB_REFRESH;
        job.refresh_token = secret_peek(a->order.refresh_token);
    }
    if (a->printed) {
        job.kind = JOB_VERIFY;
        job.token = secret_peek(a->printed);
    }
    job.subject_token_type = config_keys_subject_type(a->order.config);
    if (by_exchange(a)) {
        job.kind = JOB_EXCHANGE;
        job.subject_token = secret_peek(subject_token(a->subject));
    }
    job.wants_access_token = a->order.wants_access_token;
    if (a->order.device) {
        job.kind = a->order.device_code ? JOB_POLL : JOB_DEVICE;
        job.device_code = a->order.device_code ? secret_peek(a->order.device_code) : NULL;
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

    int program = fetcher_find(&a->shared->fetcher, &why);
    if (program < 0) {
        fail(a, LIFECYCLE_LOCAL, &why, 0);
        return;
    }
    const struct profile_config *config = a->order.config;
    uint64_t now = time_boottime();
    a->gives_way_at = now + config->timeout + grace;
    a->deadline = now + (a->order.patient ? config->patience : config->timeout) + grace;
    advance_at(a, a->deadline);
    _secret_ struct secret *job = build_job(a);
    a->sending(a->context);
    error_set(&why, ERROR_FETCHER, "the request is too large");
    int r = !job ? -1
                 : fetcher_start(a->shared->children, program, a->order.config->name, job,
                                 &a->fetcher, &why);
    if (r == 0 && (r = sd_event_add_io(a->shared->event, &a->input, fetcher_fd(a->fetcher), EPOLLIN,
                                       on_output, a)) < 0)
        error_set(&why, ERROR_FETCHER, "%s", strerror(-r));
    if (r < 0)
        fail(a, LIFECYCLE_LOCAL, &why, 0);
}

static enum account_end settle(struct attempt *a, const struct error *why, unsigned http_status,
                               bool with_otp);

/* A token that was refused may have ended before its time, with its session: another one is given,
 * once, also where that has to wait for its account. Whether it is. */
static bool renew_subject(struct attempt *a, const struct result *result)
{
    if (!by_exchange(a) || a->spent > 0 || result->outcome != OUTCOME_REFUSED ||
        result->error.code != ERROR_SUBJECT_REFUSED)
        return false;
    a->spent = subject_renew(a->subject);
    if (a->spent == 0)
        return false;
    settle(a, &result->error, result->http_status, false);
    a->input = sd_event_source_disable_unref(a->input);
    a->fetcher = fetcher_free(a->fetcher);
    return_to_subject(a);
    advance_at(a, 0);
    return true;
}

static void take_result(struct attempt *a, struct result *result)
{
    static const enum lifecycle_failure kinds[] = {
        [OUTCOME_REFUSED] = LIFECYCLE_REFUSED,     [OUTCOME_SOFT] = LIFECYCLE_SOFT,
        [OUTCOME_TEMPORARY] = LIFECYCLE_TEMPORARY, [OUTCOME_INVALID] = LIFECYCLE_TEMPORARY,
        [OUTCOME_CONFIG] = LIFECYCLE_LOCAL,        [OUTCOME_REPORT] = LIFECYCLE_TEMPORARY,
        [OUTCOME_STALE] = LIFECYCLE_STALE,         [OUTCOME_REVOKED] = LIFECYCLE_TEMPORARY,
        [OUTCOME_DEVICE] = LIFECYCLE_TEMPORARY,    [OUTCOME_PENDING] = LIFECYCLE_TEMPORARY,
    };
    bool device = result->outcome == OUTCOME_DEVICE || result->outcome == OUTCOME_PENDING;
    bool asked_for = a->order.device &&
                     (result->outcome == OUTCOME_PENDING) == (a->order.device_code != NULL);
    if (result->outcome == OUTCOME_REPORT || result->outcome == OUTCOME_REVOKED ||
        (device && !asked_for))
        error_set(&result->error, ERROR_FETCHER, "it did something else than to get a token");
    if (renew_subject(a, result))
        return;
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
    } else {
        sd_event_source_set_io_fd(a->input, fetcher_fd(a->fetcher));
    }
    return false;
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool waits_for(const struct attempt *a, const struct permit *permit)
{
    for (unsigned i = 0; i < PERMIT_PARTS; i++)
        if (permit_account(permit, i) == a->turn_of)
            return true;
    return false;
}

/* Whoever waited for the end of this one goes on. Of those who want to log in that is one, for whom
 * a client waits, else the one that came first: or some would never have their turn. A proxy may
 * let all in by now. */
static void wake_others(struct attempt *a)
{
    const struct account *user = permit_account(&a->permit, PERMIT_USER);
    struct attempt *other;
    bool one = false;

    for (int urgent = 1; urgent >= 0; urgent--)
        TAILQ_FOREACH (other, &a->shared->turns, turn) {
            // cppcheck-suppress uninitvar; it does not follow TAILQ_FOREACH
            bool logs_in = other->turn_of == user;
            if (other == a || other->order.urgent != urgent || !waits_for(other, &a->permit) ||
                (logs_in && one))
                continue;
            one |= logs_in;
            other->woken = true;
            advance_first(other);
        }
}

/* Whether anything was asked of the provider itself, and not of the proxy alone. */
static bool passed_proxy(const struct attempt *a)
{
    static const char *const before[] = { "", "dns", "connect", "tls" };

    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        if (strcmp(fetcher_step(a->fetcher)->name, before[i]) == 0)
            return fetcher_sent_grant(a->fetcher);
    return true;
}

/* Tells the accounts what came of it. */
static enum account_end settle(struct attempt *a, const struct error *why, unsigned http_status,
                               bool with_otp)
{
    const struct permit_outcome outcome = { .why = why,
                                            .by_password = by_password(a),
                                            .by_exchange = by_exchange(a),
                                            .sent_grant = a->fetcher &&
                                                          fetcher_sent_grant(a->fetcher),
                                            .with_otp = with_otp,
                                            .passed_proxy = a->fetcher && passed_proxy(a),
                                            .http_status = http_status };
    bool held = a->permit.held;
    enum account_end end = permit_end(&a->permit, a, &outcome);

    if (held || a->woken)
        wake_others(a);
    a->woken = false;
    return end;
}

/* What the account makes of a failure: it may doubt where the provider refused, give up where
 * nobody did, and it says when to go on. */
static void weigh(const struct attempt *a, enum account_end account, struct attempt_end *how)
{
    bool refused = permit_refuses(&a->permit);
    uint64_t next = permit_next(&a->permit), now = time_boottime();
    uint64_t wait = next > now ? next - now : 0;

    if (how->kind == LIFECYCLE_REFUSED && !refused &&
        (account == ACCOUNT_REJECTED || account == ACCOUNT_EITHER)) {
        how->kind = LIFECYCLE_DEFERRED;
        how->error.code = ERROR_DOUBTED;
        how->retry_after = wait;
    } else if (how->kind == LIFECYCLE_SOFT && refused && !a->otp) { /* which no refusal is of */
        how->kind = LIFECYCLE_REFUSED;
        how->error.code = ERROR_DENIED;
    } else if ((how->kind == LIFECYCLE_SOFT || how->kind == LIFECYCLE_TEMPORARY) &&
               (account == ACCOUNT_DENIED || account == ACCOUNT_ODD ||
                account == ACCOUNT_SILENCE)) {
        how->kind = LIFECYCLE_SOFT;
        how->retry_after = how->retry_after > wait ? how->retry_after : wait;
    }
}

/* A proxy's user has a doubt of its own. */
static void weigh_proxy(const struct attempt *a, struct attempt_end *how)
{
    const struct account *proxy = permit_account(&a->permit, PERMIT_PROXY);
    uint64_t next, now = time_boottime();

    if (!proxy || error_class(how->error.code) != ERROR_CLASS_PROXY || permit_refuses(&a->permit))
        return;
    next = account_next(proxy, &a->permit.parts[PERMIT_PROXY].what);
    how->kind = LIFECYCLE_DEFERRED;
    how->retry_after = next > now ? next - now : 0;
}

static void set_obstacle(struct attempt *a, const struct obstacle *obstacle,
                         const struct error *why)
{
    free(a->obstacle.said);
    a->obstacle = *obstacle;
    a->obstacle.code = why->code;
    a->obstacle.said = *why->detail ? strdup(why->detail) : NULL;
}

static void remember_end(struct attempt *a, const struct attempt_end *how)
{
    bool refused = how->kind == LIFECYCLE_REFUSED;

    if (a->permit.accounts == NULL)
        return; /* it came to nothing that could be refused */
    a->obstacle.at = 0;
    if (attempt_token(how) || attempt_device(how) || (!refused && how->kind != LIFECYCLE_SOFT))
        return;
    const struct obstacle o = { .permit = a->permit,
                                .password = digest_of_grant(a),
                                .client_secret = digest_secret(a->client_secret),
                                .local = refused && !permit_refuses(&a->permit),
                                .typed = a->order.typed != NULL && by_password(a),
                                .stamp = a->stamp,
                                .until = permit_next(&a->permit),
                                .at = time_boottime() };
    set_obstacle(a, &o, &how->error);
}

/* Whatever it held is given back. */
static void clear(struct attempt *a)
{
    if (a->stage == STAGE_TURN)
        TAILQ_REMOVE(&a->shared->turns, a, turn);
    if (a->stage != STAGE_NONE)
        notify_end_work(a->shared->notify);
    a->stage = STAGE_NONE;
    sd_event_source_set_enabled(a->timer, SD_EVENT_OFF);
    give_slot(a);
    a->input = sd_event_source_disable_unref(a->input);
    a->fetcher = fetcher_free(a->fetcher);
    a->command = secret_command_free(a->command);
    a->subject = subject_free(a->subject);
    a->client_secret = secret_free(a->client_secret);
    a->password = secret_free(a->password);
    a->printed = secret_free(a->printed);
    a->otp = secret_free(a->otp);
    a->permit = (struct permit){ .accounts = NULL };
    a->order.config = NULL; /* it may be freed before the next order */
}

static void end(struct attempt *a, struct attempt_end *how)
{
    bool token = attempt_token(how) || attempt_device(how), held = a->permit.held;
    const struct result *result = how->result;
    how->otp_sent = a->otp && (result ? result->otp_sent : a->fetcher != NULL);
    enum account_end account = settle(a, token ? NULL : &how->error,
                                      result ? result->http_status : 0, how->otp_sent);

    if (held && !token) {
        weigh(a, account, how);
        weigh_proxy(a, how);
    }
    how->reached = a->fetcher && fetcher_sent_grant(a->fetcher);
    how->lost = how->reached && !token && error_class(how->error.code) == ERROR_CLASS_LOST;
    if (a->fetcher)
        how->step = *fetcher_step(a->fetcher);
    if (token || how->kind == LIFECYCLE_REFUSED)
        a->spent = 0;
    remember_end(a, how);
    if (how->kind == LIFECYCLE_REFUSED &&
        !new_password_explain(a->order.config, a->order.typed, &how->error))
        secret_remark_explain(&a->remark, a->order.config, by_password(a), a->order.typed,
                              &how->error);
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
        case STAGE_SUBJECT:
            further = have_subject(a);
            break;
        case STAGE_CLIENT_SECRET:
            further = read_client_secret(a);
            break;
        case STAGE_PASSWORD:
            further = read_password(a);
            break;
        case STAGE_TOOL:
            further = read_printed(a);
            break;
        case STAGE_QUEUED:
            further = leave_queue(a);
            break;
        case STAGE_TURN:
            further = leave_turn(a);
            break;
        case STAGE_FETCHING:
            further = fetch(a);
            break;
        }
    context_progress(a->shared);
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
    a->otp = order->otp;
    a->order.otp = NULL;
    /* copied: another may be typed, or its time may end, before it is its turn to be sent */
    if (order->typed && by_password(a))
        a->password = secret_copy(secret_peek(order->typed), secret_length(order->typed));
    a->stage = STAGE_DELAYED;
    notify_begin_work(a->shared->notify);
    advance_at(a, order->delay == 0 || order->urgent ? 0 : time_boottime() + order->delay);
}

void attempt_hurry(struct attempt *a)
{
    a->order.urgent = true;
    fetch_queue_set_urgent(&a->shared->fetch_queue, &a->slot, true);
    press(a);
    if (a->stage == STAGE_DELAYED)
        advance_at(a, 0);
    else if (a->stage == STAGE_TURN && !a->turn_of->holder) /* whose turn it is has not begun */
        advance_first(a);
    else if (a->slot.queued) /* it may count less now */
        wake_queued(a);
}

void attempt_calm(struct attempt *a)
{
    a->order.urgent = false;
    fetch_queue_set_urgent(&a->shared->fetch_queue, &a->slot, false);
    if (a->woken)
        wake_others(a); /* it has not begun, and may have to wait for its slot now */
    wake_queued(a);
    press(a);
}

void attempt_network_changed(struct attempt *a)
{
    give_way(a);
}

void attempt_cancel(struct attempt *a)
{
    const struct error given_up = { ERROR_INTERRUPTED, "" };

    settle(a, &given_up, 0, a->otp != NULL);
    clear(a);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct attempt *attempt_new(struct context *shared, attempt_sending_fn sending,
                            attempt_done_fn done, void *context)
{
    struct attempt *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    *a = (struct attempt){ .shared = shared, .sending = sending, .done = done, .context = context };
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
    secret_remark_clear(&a->remark);
    free(a->obstacle.said);
    free(a);
    return NULL;
}

void attempt_update(struct attempt *a, const struct profile_config *config,
                    const struct secret *previous, const struct secret *refresh_token)
{
    if (a->stage == STAGE_NONE)
        return; /* it names nothing that would have to live */
    a->order.config = config;
    a->order.previous = previous;
    if (a->order.refresh_token)
        a->order.refresh_token = refresh_token;
}

/* ---- what others ask ------------------------------------------------------------------------- */

struct result *attempt_token(const struct attempt_end *end)
{
    return end->result && end->result->outcome == OUTCOME_TOKEN ? end->result : NULL;
}

struct result *attempt_device(const struct attempt_end *end)
{
    struct result *r = end->result;
    bool goes_on = r && (r->outcome == OUTCOME_DEVICE || r->outcome == OUTCOME_PENDING);

    return goes_on && end->error.code == ERROR_NONE ? r : NULL;
}

/* Who is before it: in the account, or in the queue for a slot. NULL: nobody. */
static const struct attempt *who_is_before(const struct attempt *a)
{
    struct fetch_slot *slot;

    if (a->stage == STAGE_TURN)
        return a->turn_of->holder;
    if (a->stage != STAGE_QUEUED || !a->slot.queued)
        return NULL;
    slot = fetch_queue_before(&a->shared->fetch_queue, &a->slot);
    return slot ? container_of(slot, struct attempt, slot) : NULL;
}

bool attempt_is_held_up(const struct attempt *a)
{
    return who_is_before(a) != NULL;
}

void attempt_words(const struct attempt *a, char *out, size_t size)
{
    const struct attempt *before = who_is_before(a), *at = before ? before : a;
    char where[320] = "busy";

    if (at->fetcher)
        fetcher_where(at->fetcher, where, sizeof where);
    if (before)
        snprintf(out, size, "waiting for %s of profile %s, which is %s",
                 a->stage == STAGE_TURN ? "the login" : "the request", before->order.config->name,
                 where);
    else if (a->fetcher)
        snprintf(out, size, "%s", where);
    else if (a->stage == STAGE_SUBJECT && a->subject)
        subject_words(a->subject, out, size);
    else if (a->command)
        snprintf(out, size, "waiting for the %s",
                 a->stage == STAGE_TOOL       ? "token-command"
                 : a->stage == STAGE_PASSWORD ? "password-command"
                                              : "client-secret-command");
    else
        snprintf(out, size, "waiting for its turn");
}

void attempt_where(const struct attempt *a, struct error *ret)
{
    char words[448];

    attempt_words(a, words, sizeof words);
    if (a->command)
        error_set(ret, ERROR_CREDENTIAL, "the command has not ended yet");
    else
        error_set(ret, ERROR_TIMEOUT, "still %s", words);
}

const struct step *attempt_step(const struct attempt *a)
{
    return a->fetcher ? fetcher_step(a->fetcher) : NULL;
}

bool attempt_worthwhile(const struct attempt *a, const struct profile_config *config, uint64_t now)
{
    const struct obstacle *o = &a->obstacle;
    bool hidden = config->password.kind == SOURCE_COMMAND ||
                  config->client_secret.kind == SOURCE_COMMAND;

    if (o->at == 0)
        return false;
    if (o->typed)
        return config->password.kind != SOURCE_NONE;
    if (o->stamp != sources_stamp(config) || (hidden && now - o->at >= look_again))
        return true;
    return !o->local && !permit_refuses(&o->permit); /* another profile had it lifted */
}

bool attempt_is_decided(const struct attempt *a, uint64_t now)
{
    const struct obstacle *o = &a->obstacle;

    return o->at > 0 && o->until > now &&
           (permit_refuses(&o->permit) || permit_next(&o->permit) <= now);
}

enum { NOTE_PLAIN = 5, NOTE_STAMP = ATTEMPT_NOTE - 3, NOTE_LOCAL, NOTE_TYPED };

/* The order is that of the numbers, for good. */
static uint64_t *number_of(struct obstacle *o, size_t i)
{
    uint64_t *const plain[] = { &o->at, &o->until, &o->stamp, &o->password, &o->client_secret };
    if (i < NOTE_PLAIN)
        return plain[i];
    size_t part = (i - NOTE_PLAIN) / 5;
    struct account_credential *what = &o->permit.parts[part].what;
    uint64_t *const of_part[] = { &o->permit.parts[part].id, &what->password, &what->client,
                                  &what->client_id, &what->profile };

    return of_part[(i - NOTE_PLAIN) % 5];
}

struct attempt_note attempt_note(const struct attempt *a)
{
    struct obstacle o = a->obstacle;
    struct attempt_note note;

    for (size_t i = 0; i < NOTE_STAMP; i++)
        note.numbers[i] = o.at > 0 ? *number_of(&o, i) : 0;
    note.numbers[NOTE_STAMP] = a->stamp;
    note.numbers[NOTE_LOCAL] = o.at > 0 && o.local;
    note.numbers[NOTE_TYPED] = o.at > 0 && o.typed;
    return note;
}

/* Whether it may be what the provider said of a request. */
static bool is_answer(enum error_code code)
{
    switch (error_class(code)) {
    case ERROR_CLASS_SOFT:
    case ERROR_CLASS_REFUSED_USER:
    case ERROR_CLASS_REFUSED_CLIENT:
    case ERROR_CLASS_REFUSED_EITHER:
    case ERROR_CLASS_PROXY:
    case ERROR_CLASS_ACCEPTED:
        return true;
    case ERROR_CLASS_NONE:
    case ERROR_CLASS_LOCAL:
    case ERROR_CLASS_UNSENT:
    case ERROR_CLASS_TRANSIENT:
    case ERROR_CLASS_LOST:
    case ERROR_CLASS_THROTTLED:
        break;
    }
    return false;
}

void attempt_restore(struct attempt *a, const struct attempt_note *note, const struct error *why,
                     uint64_t now)
{
    static const struct error nothing = { ERROR_NONE, "" };
    struct obstacle o = { .local = note->numbers[NOTE_LOCAL],
                          .typed = note->numbers[NOTE_TYPED],
                          .permit = { .accounts = a->shared->accounts } };

    for (size_t i = 0; i < NOTE_STAMP; i++)
        *number_of(&o, i) = note->numbers[i];
    o.at = o.at < now ? o.at : now;
    o.until = o.until < now + LIFECYCLE_PAUSE_MOST ? o.until : now + LIFECYCLE_PAUSE_MOST;
    set_obstacle(a, &o, is_answer(why->code) ? why : &nothing);
    a->stamp = note->numbers[NOTE_STAMP];
}

void attempt_forget(struct attempt *a)
{
    a->obstacle.at = 0;
    a->spent = 0;
}

void attempt_oddities(const struct attempt *a, const struct profile_config *config,
                      struct error *ret)
{
    static const struct secret_remark nothing;

    secret_remark_warn(attempt_is_outdated(a, config) ? &nothing : &a->remark, ret);
}

void attempt_forget_secrets(struct attempt *a)
{
    secret_remark_clear(&a->remark);
}

bool attempt_is_outdated(const struct attempt *a, const struct profile_config *config)
{
    return a->stamp != sources_stamp(config);
}
