/* What there is beside the password: profiles that live by a refresh token alone, people who give
 * one, other programs' tokens, tokens that are exchanged for another's. What is right for each of
 * them is held against each step here, as check.c does for all. */
#include "tests/simulation/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool grants_need_person(const struct model *p)
{
    return p->grant == GRANT_REFRESH_TOKEN || p->grant == GRANT_DEVICE;
}

bool grants_are_in(uint64_t seed)
{
    return seed % 3 == 0;
}

/* Another profile at the same provider, which somebody logs in to. */
static bool find_source(struct world *w, struct model *p)
{
    unsigned first = p->number ? (unsigned)chance_below(w, p->number) : 0;

    for (unsigned i = 0; i < p->number; i++) {
        const struct model *s = &w->profiles[(first + i) % p->number];
        p->source_profile = s->number;
        if (s->provider == p->provider && (s->grant == GRANT_PASSWORD || grants_need_person(s)))
            return true;
    }
    return false;
}

void grants_init(struct world *w, struct model *p)
{
    static const enum grant grants[] = { GRANT_REFRESH_TOKEN, GRANT_EXCHANGE, GRANT_COMMAND,
                                         GRANT_DEVICE };
    enum grant grant = grants[chance_below(w, sizeof grants / sizeof *grants)];

    if (!chance_permille(w, 500) || (grant == GRANT_EXCHANGE && !find_source(w, p)))
        return;
    p->grant = grant;
    p->origin = grants_need_person(p) ? ORIGIN_TYPED : ORIGIN_NONE;
    p->source = 0;
    p->use_refresh_token = true;
    p->tool.lazy = chance_permille(w, 200);
    queue_set(&w->queue, EVENT_CREDENTIAL + p->number, NEVER);
}

/* ---- people ---------------------------------------------------------------------------------- */

/* One that another program got, on this machine or elsewhere: it may be void by now. */
static uint32_t some_refresh_token(struct world *w, struct model *p)
{
    const struct provider *v = &w->providers[p->provider];

    switch (chance_below(w, 8)) {
    case 0:
        return ++w->last_refresh_token;
    case 1:
        return 1 + (uint32_t)chance_below(w, w->last_refresh_token + 1);
    default:
        p->session_until = w->now + v->lifetime + chance_below(w, 4 * v->lifetime);
        return p->valid_refresh_token = ++w->last_refresh_token;
    }
}

bool grants_person(struct world *w, struct model *p)
{
    unsigned n = (unsigned)chance_below(w, 10);

    if (p->grant == GRANT_PASSWORD && n > 0)
        return false;
    if (p->grant == GRANT_EXCHANGE && n < 6)
        p = &w->profiles[p->source_profile];
    if (p->grant == GRANT_PASSWORD && n > 0) {
        daemon_renew(w, p, w->providers[p->provider].right);
        return true;
    }
    if (p->device.caller && n < 3)
        daemon_leave_login(w, p);
    else if (p->grant == GRANT_DEVICE && n < 6)
        daemon_login_by_device(w, p);
    else if (n < 6)
        daemon_renew_by_token(w, p, some_refresh_token(w, p));
    else if (n < 8)
        daemon_renew(w, p, n == 6 ? w->providers[p->provider].right : 0);
    return n < 8;
}

/* ---- the job --------------------------------------------------------------------------------- */

static bool is_alive(const struct world *w, const struct model *p)
{
    return p->token.id > 0 && p->token.sent + p->token.lifetime > w->now;
}

static void take_subject(const struct world *w, struct model *p, const struct job *job)
{
    const struct model *source = &w->profiles[p->source_profile];

    p->subject = job->subject_token ? daemon_number(job->subject_token) : 0;
    if (p->subject == 0 || p->subject != source->token.id || !is_alive(w, source))
        check_broken(w, p, "P1 fresh", "what is exchanged is not the other profile's live token");
}

void grants_take_job(struct world *w, struct model *p, const struct job *job)
{
    if (p->grant != GRANT_PASSWORD && (job->kind == JOB_PASSWORD || job->password))
        check_broken(w, p, "P4 no lock-out", "a password is sent for a profile that has none");
    if ((job->kind == JOB_EXCHANGE) != (p->grant == GRANT_EXCHANGE) ||
        (job->kind == JOB_VERIFY) != (p->grant == GRANT_COMMAND))
        check_broken(w, p, "the job", "it is none of that profile's");
    if (job->kind == JOB_EXCHANGE)
        take_subject(w, p, job);
    if (job->kind == JOB_VERIFY && daemon_number(job->token) != p->tool.printed)
        check_broken(w, p, "the job", "it has not what the command printed");
    if (job->kind != JOB_REFRESH)
        return;
    p->refresh_token = daemon_number(job->refresh_token);
    if (p->refresh_token == p->by_token.refused && p->newest_refresh_token == 0)
        check_broken(w, p, "P4 no lock-out", "a refused refresh token is sent again");
    if (p->refresh_token != p->newest_refresh_token)
        check_broken(w, p, "the job", "its refresh token is not the newest");
}

void grants_unread(struct world *w, struct model *p, const struct reply *reply)
{
    if (!reply->refresh_token || !p->by_refresh_token)
        return;
    p->by_token.rotated = true;
    w->statistics.rotations_lost++;
}

/* ---- token-command --------------------------------------------------------------------------- */

enum { TOOL_PRINTS, TOOL_FAILS, TOOL_HANGS, TOOL_BABBLES };

/* It keeps its own token until little is left of that, or longer. */
static void renew_tool(struct world *w, struct model *p)
{
    const struct provider *v = &w->providers[p->provider];
    struct tool *t = &p->tool;
    uint64_t left = t->expires_at > w->now ? t->expires_at - w->now : 0;
    bool due = left < v->lifetime / (2 + p->number % 6) && !(t->lazy && chance_permille(w, 700));

    if (t->serial > 0 && !due && !chance_permille(w, 20))
        return;
    t->serial++;
    t->key = v->key;
    t->expires_at = w->now + v->lifetime - chance_below(w, v->lifetime / 20 + 1);
}

uint64_t grants_run(struct world *w, struct model *p, uint64_t time)
{
    struct tool *t = &p->tool;
    unsigned n = (unsigned)chance_below(w, 100);

    w->statistics.runs++;
    t->outcome = n < 6 ? TOOL_FAILS : n < 8 ? TOOL_HANGS : n < 10 ? TOOL_BABBLES : TOOL_PRINTS;
    if (t->outcome != TOOL_PRINTS)
        p->ledger.disturbed_at = w->now + (t->outcome == TOOL_HANGS ? time : 0);
    return t->outcome == TOOL_HANGS ? time : chance_span(w, MSEC, 5 * SECOND);
}

bool grants_print(struct world *w, struct model *p, char *text, size_t size)
{
    struct tool *t = &p->tool;

    if (t->outcome == TOOL_FAILS || t->outcome == TOOL_HANGS) {
        w->statistics.commands_failed++;
        return false;
    }
    renew_tool(w, p);
    t->printed = t->outcome == TOOL_BABBLES ? 0 : t->serial;
    snprintf(text, size, "tool%u", t->printed);
    return true;
}

struct reply grants_verify(struct world *w, struct model *p, uint64_t at)
{
    struct tool *t = &p->tool;
    struct reply r = { .at = at, .kind = LIFECYCLE_STALE, .end = ACCOUNT_NOT_SENT };

    if (t->printed == 0) {
        r.kind = LIFECYCLE_LOCAL;
    } else if (p->token.id > 0 && t->serial == t->in_hand) {
        w->statistics.printed_again++;
    } else if (t->expires_at <= w->now + SECOND) {
        w->statistics.printed_expired++;
    } else {
        w->statistics.prints++;
        r.token = true;
        r.key = t->key;
        r.lifetime = t->expires_at - w->now;
    }
    return r;
}

/* ---- from ------------------------------------------------------------------------------------ */

static bool comes_from(const struct model *d, const struct model *p)
{
    return d->grant == GRANT_EXCHANGE && d->source_profile == p->number;
}

struct reply grants_exchange(struct world *w, struct model *p, uint64_t at)
{
    struct provider *v = &w->providers[p->provider];
    struct exchange *e = &p->exchange;
    struct reply r = {
        .at = at, .kind = LIFECYCLE_REFUSED, .end = ACCOUNT_UNKNOWN, .reached = true
    };

    if (chance_permille(w, 10))
        e->forbidden_until = w->now + chance_span(w, MINUTE, 2 * DAY);
    if (chance_permille(w, 20))
        e->dead_subject = p->subject; /* its session has ended */
    r.subject_refused = e->dead_subject == p->subject && w->now >= e->forbidden_until;
    if (w->now >= e->forbidden_until && !r.subject_refused)
        provider_issue(w, p, v, &r);
    w->statistics.exchanges += r.token;
    w->statistics.subjects_refused += r.subject_refused;
    w->statistics.exchanges_refused += !r.token && !r.subject_refused;
    return r;
}

bool grants_count(const struct model *p)
{
    const struct model *source = &the_world->profiles[p->source_profile];

    return by_password(p) || (p->job == JOB_EXCHANGE && source->grant == GRANT_PASSWORD);
}

bool grants_use(const struct model *p, uint64_t at)
{
    for (unsigned i = 0; i < the_world->n_profiles; i++) {
        const struct model *d = &the_world->profiles[i];
        uint64_t last = d->ledger.last_use;
        if (comes_from(d, p) && d->real &&
            (d->keep_fresh == NEVER || (last > 0 && at <= last + d->keep_fresh)))
            return true;
    }
    return false;
}

/* One that had its token refused asks for another, and has sent nothing any more. */
struct call grants_call(struct world *w, struct model *p, const struct lifecycle_event *event)
{
    bool waits = false;

    for (unsigned i = 0; i < w->n_profiles; i++) {
        struct model *d = &w->profiles[i];
        if (!comes_from(d, p) || d->flight == FLIGHT_NONE)
            continue;
        waits |= d->flight == FLIGHT_BEGUN || d->reply.subject_refused;
        if (d->flight == FLIGHT_BEGUN || !d->reply.subject_refused)
            continue;
        d->flight = FLIGHT_BEGUN;
        d->begun = w->now;
        d->reply.subject_refused = false;
    }
    if (!waits)
        check_broken(w, p, "the profiles", "it is asked by nobody");
    return (struct call){ .client = NOBODY,
                          .profile = p->number,
                          .suspected = event->wanted.suspected,
                          .min_validity = event->wanted.min_validity,
                          .asked = w->now,
                          .deadline = event->wanted.deadline };
}

/* Whether the daemon knows that it is in use. */
static bool is_used(const struct world *w, const struct model *d)
{
    const struct ledger *l = &d->ledger;

    return d->keep_fresh == NEVER ||
           (l->last_use > 0 && l->use_unknown == 0 && w->now - l->last_use <= d->keep_fresh);
}

/* It has a token: those that lacked one go on. */
static void wake(struct world *w, const struct model *p)
{
    for (unsigned i = 0; i < w->n_profiles; i++) {
        struct model *d = &w->profiles[i];
        if (comes_from(d, p) && d->real && d->exchange.lacks && d->flight == FLIGHT_NONE &&
            is_used(w, d))
            d->exchange.woken_at = w->now;
    }
}

static void exchange_ended(struct world *w, struct model *p, const struct fact *f)
{
    struct exchange *e = &p->exchange;
    enum error_code code = profile_error(p->real)->code;
    bool sent = p->flight == FLIGHT_SENT;

    e->refused = f->failed && (sent ? f->failure == LIFECYCLE_REFUSED : e->refused);
    if (sent && e->forgiven_at <= p->sent) /* a word that came later counts for the next */
        e->forgiven_at = 0;
    e->lacks = f->failed && !sent &&
               (code == ERROR_SOURCE_LOGIN || code == ERROR_SOURCE_REFUSED ||
                (f->failure == LIFECYCLE_DEFERRED && code != ERROR_THROTTLED));
    w->statistics.sources_lacking += e->lacks;
}

/* A person's word for a profile is one for those that come from it. */
static void forgive(struct world *w, struct model *p)
{
    for (unsigned i = 0; i < w->n_profiles; i++)
        if (comes_from(&w->profiles[i], p) || i == p->number)
            w->profiles[i].exchange.forgiven_at = w->now;
}

static void exchange_begins(struct world *w, struct model *p)
{
    w->statistics.woken += p->exchange.woken_at > 0;
    p->exchange.woken_at = 0;
    p->exchange.lacks = false;
}

static void exchange_sent(const struct world *w, const struct model *p)
{
    if (p->job == JOB_EXCHANGE && p->exchange.refused && p->exchange.forgiven_at == 0)
        check_broken(w, p, "P4 no lock-out", "a refused exchange is sent again");
}

/* ---- the checks ------------------------------------------------------------------------------ */

/* A command is not run like mad, whatever it prints. */
static void command_begins(const struct world *w, const struct model *p)
{
    const struct cause *c = &p->cause;
    const struct ledger *l = &p->ledger;
    uint64_t since = w->now - p->tool.ended_at;

    if (p->grant != GRANT_COMMAND || p->tool.ended_at == 0 || c->again ||
        l->restarted_at >= p->tool.ended_at)
        return;
    if ((c->type == LIFECYCLE_TIMER || c->type == LIFECYCLE_FAILED) && since < SECOND)
        check_broken(w, p, "P5 polite", "a command is run again within a second");
    if (c->type == LIFECYCLE_WANTED && l->failing && !l->forgiven && since < 5 * SECOND)
        check_broken(w, p, "P5 polite", "a command that failed is run again within five seconds");
}

static void command_ended(const struct world *w, struct model *p, const struct fact *f)
{
    p->tool.ended_at = f->failed ? w->now : p->sent;
    bool bad = p->ledger.failing && !p->ledger.forgiven;

    if (f->rests && (p->waiters > 0 || !is_alive(w, p) || bad))
        check_broken(w, p, "P1 fresh", "nothing newer came, and that is held for no failure");
}

/* What somebody gave is next; where none is left only a person helps, and is asked for. */
static void rests(const struct world *w, const struct model *p)
{
    bool asked_for = p->lc->state == LIFECYCLE_NEED_LOGIN;

    if (p->flight != FLIGHT_NONE)
        return;
    if (p->by_token.given)
        check_broken(w, p, "the job", "a refresh token that somebody gave is never sent");
    if (p->exchange.woken_at > 0 && p->exchange.woken_at + SECOND < w->now)
        check_broken(w, p, "P6 outlives outages",
                     "the other profile has a token, and nobody goes on");
    if (!grants_need_person(p))
        return;
    /* a login may have brought no refresh token: then that is known when the renewal is due, or,
     * with a token that has next to no life, when another is waited for */
    bool unasked = p->grant == GRANT_DEVICE &&
                   (p->lc->state == LIFECYCLE_IDLE ||
                    (p->lc->state == LIFECYCLE_WAITING && !p->ledger.failing));
    if (p->newest_refresh_token == 0 && !asked_for && !unasked)
        check_broken(w, p, "P14 explained", "no refresh token is left, and no login asked for");
    if (p->newest_refresh_token > 0 && asked_for)
        check_broken(w, p, "P6 outlives outages", "a login is asked for, though none is needed");
}

static void explained(const struct world *w, const struct model *p, const struct fact *f)
{
    if (!grants_need_person(p) || p->newest_refresh_token > 0 || f->call->wants_new ||
        p->flight != FLIGHT_NONE || is_alive(w, p) || p->lc->state != LIFECYCLE_NEED_LOGIN)
        return;
    if (f->why->code != ERROR_NOT_LOGGED_IN)
        check_broken(w, p, "P14 explained", "a login is needed, and something else told");
    if (p->by_token.has_cause && !p->device.caller && !strchr(f->why->detail, ';'))
        check_broken(w, p, "P14 explained", "a login is needed, and nobody told why");
}

/* ---- a login that is confirmed elsewhere ----------------------------------------------------- */

static struct reply code_given(struct world *w, struct model *p, uint64_t at)
{
    struct device_login *d = &p->device;

    d->code = ++w->last_refresh_token;
    d->ends_at = w->now + chance_span(w, MINUTE, 30 * MINUTE);
    d->interval = 5 * SECOND;
    d->polled_at = 0;
    d->confirmed_at = chance_permille(w, 500) ? w->now + chance_span(w, SECOND, HOUR) : NEVER;
    d->denied_at = chance_permille(w, 100) ? w->now + chance_span(w, SECOND, HOUR) : NEVER;
    w->statistics.codes++;
    return (struct reply){ .at = at, .reached = true, .pending = true };
}

static void check_poll(const struct world *w, const struct model *p, const struct job *job)
{
    const struct device_login *d = &p->device;

    if (daemon_number(job->device_code) != d->code)
        check_broken(w, p, "the job", "it polls for another code than that which is shown");
    if (!d->caller)
        check_broken(w, p, "P5 polite", "it polls though nobody has the code before their eyes");
    if (w->now >= d->ends_at)
        check_broken(w, p, "P5 polite", "it polls for a code whose time is over");
    if (d->polled_at > 0 && w->now < d->polled_at + d->interval)
        check_broken(w, p, "P5 polite", "it polls more often than the provider allows");
    if (p->flight != FLIGHT_NONE)
        check_broken(w, p, "P3 one flight", "it polls while a request is under way");
}

static struct reply polled(struct world *w, struct model *p, uint64_t at)
{
    struct provider *v = &w->providers[p->provider];
    struct device_login *d = &p->device;
    struct reply r = {
        .at = at, .kind = LIFECYCLE_REFUSED, .end = ACCOUNT_UNKNOWN, .reached = true
    };

    if (w->now >= d->denied_at) {
        r.denied = true;
    } else if (w->now >= d->confirmed_at) {
        enum job_kind before = p->job;
        p->job = JOB_PASSWORD; /* it begins a session, as that does */
        provider_issue(w, p, v, &r);
        p->job = before;
    } else {
        r.pending = true;
        r.slow_down = chance_permille(w, 30);
    }
    return r;
}

struct reply grants_device(struct world *w, struct model *p, const struct job *job)
{
    const struct provider *v = &w->providers[p->provider];
    uint64_t at = w->now + v->latency / 2 + chance_below(w, v->latency);
    bool poll = job->kind == JOB_POLL, lost = v->regime == REGIME_LOST || chance_permille(w, 10);
    struct reply r = { .at = at, .kind = LIFECYCLE_TEMPORARY, .end = ACCOUNT_NOT_SENT };

    if (p->grant != GRANT_DEVICE || (job->device_code != NULL) != poll || job->password)
        check_broken(w, p, "the job", "it is none of a login that is confirmed elsewhere");
    if (poll) {
        check_poll(w, p, job);
        p->device.is_polling = true;
        p->device.polled_at = w->now;
        w->statistics.polls++;
    }
    if (v->regime != REGIME_WELL && v->regime != REGIME_LOST && v->regime != REGIME_SLOW)
        return r;
    r = poll ? polled(w, p, at) : code_given(w, p, at);
    if (lost)
        r.at = NEVER;
    return r;
}

/* What a poll was answered has the next ones come later, for good. */
void grants_device_ended(struct world *w, struct model *p, const struct reply *r, bool read)
{
    struct device_login *d = &p->device;

    d->is_polling = false;
    if (read && r->slow_down) {
        d->interval += 5 * SECOND;
        w->statistics.slowed_down++;
    } else if (!read && r->at == NEVER && d->caller) {
        d->interval *= 2;
        w->statistics.polls_lost++;
    }
    if (d->interval > 5 * MINUTE)
        d->interval = 5 * MINUTE;
}

/* After answers that were lost less and less is sent: full jitter up to an hour, in the end. */
static void sends(const struct world *w, const struct model *p)
{
    const struct by_token *t = &p->by_token;

    if (p->device.is_polling)
        check_broken(w, p, "P3 one flight", "a request while a poll is under way");
    if (grants_need_person(p) && t->losses > 0 &&
        t->losses >= 30 + (w->now - t->lost_since) / (20 * MINUTE))
        check_broken(w, p, "P5 polite", "a refresh token is sent into silence too often");
}

static void note_loss(const struct world *w, struct model *p, bool failed)
{
    struct by_token *t = &p->by_token;

    if (!failed || p->reply.end != ACCOUNT_SILENCE)
        t->losses = 0;
    else if (t->losses++ == 0)
        t->lost_since = w->now;
}

static void ended(struct world *w, struct model *p, const struct fact *f)
{
    struct by_token *t = &p->by_token;

    if (p->grant == GRANT_EXCHANGE)
        exchange_ended(w, p, f);
    if (p->grant == GRANT_COMMAND || f->rests)
        command_ended(w, p, f);
    if (!f->failed) {
        t->has_cause = false;
        wake(w, p);
    }
    if (p->flight != FLIGHT_SENT || !p->by_refresh_token)
        return;
    note_loss(w, p, f->failed);
    if (!f->failed) {
        w->statistics.gifts_taken += t->is_gift;
        t->is_gift = t->has_cause = false;
        t->rotated &= !p->reply.refresh_token;
        return;
    }
    if (f->failure != LIFECYCLE_REFUSED || !grants_need_person(p))
        return;
    t->has_cause = true;
    t->useless |= p->reply.refresh_without_token;
    w->statistics.tokens_refused++;
    w->statistics.rotations_missed += t->rotated;
    t->rotated = t->is_gift = false;
}

static void restarted(struct world *w, struct model *p)
{
    w->statistics.cut_off += grants_need_person(p) && p->flight == FLIGHT_SENT;
    p->by_token.has_cause = false;
    p->by_token.losses = 0;
    p->exchange.lacks = false;
    p->exchange.woken_at = 0;
}

void check_grant(struct world *w, struct model *p, const struct fact *f)
{
    struct by_token *t = &p->by_token;

    switch (f->kind) {
    case FACT_REST:
        rests(w, p);
        return;
    case FACT_EXPLAINED:
        explained(w, p, f);
        return;
    case FACT_SENT:
        sends(w, p);
        exchange_sent(w, p);
        return;
    case FACT_REQUEST:
        command_begins(w, p);
        exchange_begins(w, p);
        return;
    case FACT_ENDED:
        ended(w, p, f);
        if (!f->failed && (p->job == JOB_POLL || p->job == JOB_PASSWORD)) /* a login, perhaps */
            forgive(w, p);
        return;
    case FACT_GIVEN:
        t->is_gift = true;
        t->rotated = t->has_cause = t->useless = false;
        return;
    case FACT_RESTARTED:
        restarted(w, p);
        return;
    case FACT_CHANGED:
        t->has_cause &= !f->person; /* the answer speaks of what they say */
        t->losses = 0;
        if (f->person)
            forgive(w, p);
        return;
    case FACT_FORGOTTEN:
        t->has_cause = t->useless = false;
        t->losses = 0;
        p->exchange.lacks = p->exchange.refused = false;
        p->exchange.woken_at = 0;
        p->tool.ended_at = 0;
        return;
    case FACT_NETWORK:
        t->losses = 0;
        return;
    case FACT_WANTED:
    case FACT_TOLD:
    case FACT_SUSPECTED:
    case FACT_SLEPT:
    case FACT_GAVE_UP:
        return;
    }
}

/* ---- statistics ------------------------------------------------------------------------------ */

bool grants_report(const struct statistics *s)
{
    const struct {
        const char *what;
        uint64_t n;
    } happened[] = {
        { "logins by refresh token", s->gifts },
        { "of these while a request was under way", s->gifts_under_way },
        { "that brought a token", s->gifts_taken },
        { "refused where nothing else was left", s->tokens_refused },
        { "rotations whose answer was lost", s->rotations_lost },
        { "refused after that", s->rotations_missed },
        { "cut off by a restart", s->cut_off },
        { "runs of a token-command", s->runs },
        { "that printed another token", s->prints },
        { "that printed the one in hand", s->printed_again },
        { "that printed one that had expired", s->printed_expired },
        { "that printed none", s->commands_failed },
        { "codes of logins elsewhere", s->codes },
        { "polls", s->polls },
        { "whose answer was lost", s->polls_lost },
        { "that were told to slow down", s->slowed_down },
        { "confirmed logins", s->confirmed },
        { "denied ones", s->denied },
        { "that nobody confirmed in time", s->expired },
        { "that were left", s->abandoned },
        { "exchanges", s->exchanges },
        { "for a token that was dead", s->subjects_refused },
        { "refused exchanges", s->exchanges_refused },
        { "that had no token to give", s->sources_lacking },
        { "woken when there was one", s->woken },
    };
    bool all = true;

    for (size_t i = 0; i < sizeof happened / sizeof *happened; i++) {
        printf("%s%" PRIu64 " %s", i ? ", " : "", happened[i].n, happened[i].what);
        all &= happened[i].n > 0;
    }
    printf("\n");
    return all;
}
