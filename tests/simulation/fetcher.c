/* Instead of daemon's fetcher.c: no process, but what the provider makes of the job, when its
 * answer would come. The job is decoded as kubetoken-fetch does it. */
#include "tests/simulation/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetcher.h"

enum { FIRST_FD = 7000 };

struct fetcher {
    struct model *p;
    sd_event_source *answer;
    struct reply reply;
    enum job_kind kind;
    uint64_t sent;
    bool has_answered, was_read, crashes;
};

static int on_answer(sd_event_source *source, uint64_t usec, void *context)
{
    struct fetcher *f = context;

    (void)source, (void)usec;
    f->has_answered = true;
    loop_ready(fetcher_fd(f));
    return 0;
}

static bool is_numbered(const char *text, const char *letters, uint32_t number)
{
    char wanted[24];

    snprintf(wanted, sizeof wanted, "%s%u", letters, number);
    return strcmp(text, wanted) == 0;
}

/* What it is asked to send has to be what the profile has in hand. */
static void take_job(struct world *w, struct model *p, const struct job *job)
{
    p->job = job->kind;
    p->by_refresh_token = job->kind == JOB_REFRESH;
    if (!job->issuer || strcmp(job->issuer, w->providers[p->provider].name) != 0)
        check_broken(w, p, "the job", "it names another provider");
    if ((job->previous ? daemon_number(job->previous) : 0) != p->token.id)
        check_broken(w, p, "the job", "the token of before is not the one in hand");
    grants_take_job(w, p, job);
    codes_take_job(w, p, job);
    if (job->kind != JOB_PASSWORD)
        return;
    p->password = job->password ? daemon_number(job->password) : 0;
    if (p->password == 0 || !is_numbered(job->password, "pw", p->password))
        check_broken(w, p, "the job", "its password is none that anybody gave");
    if (p->origin == ORIGIN_TYPED && p->password != p->begun_with)
        check_broken(w, p, "the job", "its password is not the typed one");
    if (p->origin == ORIGIN_TYPED && p->begun > p->typed_until)
        check_broken(w, p, "the job", "a typed password is sent after its time");
    if (p->has_secret && !job->client_secret)
        check_broken(w, p, "the job", "the client's secret is missing");
}

int fetcher_find(struct fetcher_program *program, struct error *why)
{
    (void)program, (void)why;
    return 0;
}

int fetcher_start(struct children *children, int program, const char *profile,
                  const struct secret *encoded, struct fetcher **ret, struct error *why)
{
    struct world *w = the_world;
    struct job job;

    (void)children, (void)program, (void)profile, (void)why;
    if (job_decode(secret_peek(encoded), secret_length(encoded), &job) < 0)
        check_broken(w, w->acting, "the job", "it cannot be decoded");
    struct model *p = daemon_model(w, job.client_id);
    bool device = job.kind == JOB_DEVICE || job.kind == JOB_POLL;
    enum job_kind kind = job.kind;
    struct reply reply = { .at = 0 };
    if (device)
        reply = grants_device(w, p, &job);
    else
        take_job(w, p, &job);
    job_clear(&job);

    struct fetcher *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    if (!device)
        reply = p->reply = provider_receive(w, p);
    *f = (struct fetcher){
        .p = p, .reply = reply, .kind = kind, .sent = w->now, .crashes = chance_permille(w, 1)
    };
    if (device)
        trace(w, p, kind == JOB_POLL ? "a poll" : "a code is asked for", NULL, NEVER, NEVER);
    else
        daemon_sent(w, p);
    w->acting = p;
    sd_event_add_time(NULL, &f->answer, CLOCK_BOOTTIME, reply.at, 1, on_answer, f);
    *ret = f;
    return 0;
}

static bool of_device(const struct fetcher *f)
{
    return f->kind == JOB_DEVICE || f->kind == JOB_POLL;
}

struct fetcher *fetcher_free(struct fetcher *f)
{
    if (!f)
        return NULL;
    struct reply *r = &f->p->reply;
    if (of_device(f)) {
        if (f->kind == JOB_POLL)
            grants_device_ended(the_world, f->p, &f->reply, f->was_read);
    } else if (!f->was_read) { /* nobody will ever know what the provider said */
        grants_unread(the_world, f->p, r);
        r->token = r->refresh_without_token = r->nobody_listens = r->subject_refused = false;
        r->retry_after = 0;
        r->end = f->reply.reached ? ACCOUNT_SILENCE : ACCOUNT_NOT_SENT;
        r->http_status = 0;
        r->otp_sent = f->p->code.sent > 0; /* for all one knows */
        r->otp_required = r->otp_refused = false;
    }
    sd_event_source_disable_unref(f->answer);
    free(f);
    return NULL;
}

int fetcher_fd(const struct fetcher *f)
{
    return FIRST_FD + f->p->number + (of_device(f) ? PROFILES_MAX : 0);
}

bool fetcher_sent_grant(const struct fetcher *f)
{
    return f->reply.reached;
}

const struct step *fetcher_step(const struct fetcher *f)
{
    static const struct step grant = { "grant", "" }, connect = { "connect", "" };

    return f->reply.reached ? &grant : &connect;
}

void fetcher_where(const struct fetcher *f, char *out, size_t size)
{
    snprintf(out, size, "waiting for profile %s's token", f->p->name);
}

static struct secret *numbered(const char *letters, uint32_t number)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%s%u", letters, number);

    return secret_copy(text, (size_t)n);
}

/* Of the form of a JWT. */
static struct secret *token_of(uint32_t number)
{
    char text[32];
    int n = snprintf(text, sizeof text, "hh.pp.tt%010u", number);

    return secret_copy(text, (size_t)n);
}

static void set_failure(const struct world *w, const struct fetcher *f, struct result *ret)
{
    const struct reply *r = &f->reply;
    const struct provider *v = &w->providers[f->p->provider];

    ret->retry_after = r->retry_after;
    ret->http_status = r->http_status;
    ret->refresh_without_token = r->refresh_without_token;
    ret->nobody_listens = r->nobody_listens;
    switch (r->kind) {
    case LIFECYCLE_REFUSED:
        ret->outcome = OUTCOME_REFUSED;
        if (f->kind == JOB_POLL) {
            error_set(&ret->error, ERROR_LOGIN_DENIED, "no");
            return;
        }
        if (f->kind == JOB_EXCHANGE) {
            error_set(&ret->error,
                      r->subject_refused ? ERROR_SUBJECT_REFUSED : ERROR_EXCHANGE_REFUSED, "no");
            return;
        }
        error_set(&ret->error,
                  r->otp_required            ? ERROR_OTP_REQUIRED
                  : r->otp_refused           ? ERROR_OTP_REFUSED
                  : r->refresh_without_token ? ERROR_NO_ID_TOKEN
                  : v->silent                ? ERROR_REFUSED_SILENTLY
                                             : ERROR_REFUSED,
                  "no");
        return;
    case LIFECYCLE_STALE:
        ret->outcome = OUTCOME_STALE;
        error_set(&ret->error, f->kind == JOB_VERIFY ? ERROR_COMMAND_STALE : ERROR_TOKEN_STALE,
                  "old");
        return;
    case LIFECYCLE_LOCAL:
        ret->outcome = OUTCOME_CONFIG;
        error_set(&ret->error, ERROR_COMMAND_TOKEN, "none");
        return;
    case LIFECYCLE_SOFT:
        ret->outcome = OUTCOME_SOFT;
        error_set(&ret->error, ERROR_GATEWAY, "odd");
        return;
    default:
        ret->outcome = OUTCOME_TEMPORARY;
        error_set(&ret->error,
                  !r->reached             ? ERROR_CONNECT
                  : r->http_status == 429 ? ERROR_RATE_LIMITED
                                          : ERROR_PROVIDER_FAULT,
                  "down");
        return;
    }
}

static void set_device(const struct fetcher *f, struct result *ret)
{
    const struct device_login *d = &f->p->device;

    ret->sent = f->sent;
    ret->outcome = f->kind == JOB_POLL ? OUTCOME_PENDING : OUTCOME_DEVICE;
    ret->interval = f->kind == JOB_POLL ? (f->reply.slow_down ? 5 * SECOND : 0) : d->interval;
    if (f->kind == JOB_POLL)
        return;
    ret->device_code = numbered("dc", d->code);
    ret->code_lifetime = d->ends_at - f->sent;
    snprintf(ret->user_code, sizeof ret->user_code, "ABCD");
    snprintf(ret->verification_uri, sizeof ret->verification_uri, "https://a/device");
}

int fetcher_read(struct fetcher *f, struct result *ret, struct error *why)
{
    const struct reply *r = &f->reply;

    if (!f->has_answered)
        return 0;
    if (f->crashes) {
        error_set(why, ERROR_FETCHER, "it was killed by signal 11");
        return -1;
    }
    f->was_read = true;
    *ret = (struct result){ .outcome = OUTCOME_TOKEN, .otp_sent = r->otp_sent };
    if (r->pending) {
        set_device(f, ret);
        return 1;
    }
    if (!r->token) {
        set_failure(the_world, f, ret);
        return 1;
    }
    ret->id_token = token_of(the_world->last_token + 1);
    if (r->refresh_token) {
        ret->refresh_token = numbered("r", r->refresh_token);
        f->p->newest_refresh_token = r->refresh_token;
    }
    if (f->kind == JOB_POLL) {
        /* none: the old one is dropped */
        f->p->newest_refresh_token = f->p->by_token.useless ? 0 : r->refresh_token;
        f->p->sent = f->sent;
        f->p->reply = *r;
    }
    ret->sent = f->sent;
    ret->lifetime = r->lifetime;
    ret->verified = true;
    ret->cache = malloc(1);
    ret->cache_length = 1;
    memset(ret->cache, 0, 1);
    return 1;
}
