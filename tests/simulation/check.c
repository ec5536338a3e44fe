/* The promises P1 to P8 and P11, held against each step. What is known here is known from what
 * happened, not from struct lifecycle: the ledger is a second opinion. */
#include "tests/simulation/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/rejection.h"

#define SLACK MSEC

_Noreturn void check_broken(const struct world *w, const struct model *p, const char *promise,
                            const char *what)
{
    trace_print(w);
    printf("\nBROKEN %s: %s\n", promise, what);
    printf("seed %" PRIu64 ", step %" PRIu64 ", virtual day %" PRIu64 ".%03u", w->seed, w->step,
           w->now / DAY, (unsigned)(w->now % DAY / (DAY / 1000)));
    if (p)
        printf(", profile %u at provider %s (state %s, token %" PRIu64 " s, password %u of %u)",
               p->number, w->providers[p->provider].name,
               p->lc ? lifecycle_state_name(p->lc->state) : "not configured",
               p->ledger.token.lifetime / SECOND, p->password, w->providers[p->provider].right);
    printf("\nonce more, with all its steps: --seed %" PRIu64 " --trace\n", w->seed);
    exit(1);
}

/* ---- what follows from docs/design.md §1 and §4 --------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > NEVER - b ? NEVER : a + b;
}

/* Renewal is due so long before the death, at the latest. */
static uint64_t lead_of(const struct model *p, const struct token *t)
{
    uint64_t lead = t->lifetime / 5;

    if (p->policy->refresh_before_percent > 0)
        lead = t->lifetime * p->policy->refresh_before_percent / 100;
    else if (p->policy->refresh_before > 0)
        lead = least(p->policy->refresh_before, t->lifetime / 2);
    else
        lead = least(least(lead < MINUTE ? MINUTE : lead, HOUR), t->lifetime / 2);
    return least(lead, t->lifetime - least(t->lifetime, SECOND));
}

/* And a few percent sooner, at the earliest. */
static uint64_t longest_lead_of(const struct model *p, const struct token *t)
{
    return lead_of(p, t) + t->lifetime / 20;
}

static uint64_t left_of(const struct world *w, const struct token *t)
{
    uint64_t death = t->sent + t->lifetime;

    return t->id > 0 && death > w->now ? death - w->now : 0;
}

/* Whether the token serves that client. */
static bool enough(const struct world *w, const struct model *p, const struct call *call)
{
    uint64_t left = left_of(w, &p->ledger.token);

    return left > 0 && left >= call->min_validity;
}

static bool plain(const struct call *call)
{
    return !call->min_validity && !call->rejected && !call->suspected && !call->wants_new;
}

/* Whether somebody has asked for it within keep-fresh before that. */
static bool in_use(const struct model *p, uint64_t at)
{
    return p->policy->keep_fresh == NEVER || grants_use(p, at) ||
           (p->ledger.last_use > 0 && at <= plus(p->ledger.last_use, p->policy->keep_fresh));
}

/* The same, also if the daemon knows of no use since the crash. */
static bool is_known_in_use(const struct model *p, uint64_t at)
{
    uint64_t last = p->ledger.last_use - least(p->ledger.last_use, p->ledger.use_unknown);

    return p->policy->keep_fresh == NEVER || (last > 0 && at <= plus(last, p->policy->keep_fresh));
}

/* The same of a time that has passed, without what was asked after it. */
static bool was_in_use(const struct model *p, uint64_t due)
{
    uint64_t last = p->ledger.use_before_due;

    return p->policy->keep_fresh == NEVER || (last > 0 && due <= plus(last, p->policy->keep_fresh));
}

static uint64_t due_of(const struct model *p)
{
    const struct token *t = &p->ledger.token;

    return t->sent + t->lifetime - lead_of(p, t);
}

/* Nothing has gone wrong since, as far as provider and machine are concerned. */
static bool peaceful_since(const struct world *w, const struct model *p, uint64_t when)
{
    const struct ledger *l = &p->ledger;

    return w->providers[p->provider].well_since <= when && !l->failing && l->disturbed_at < when;
}

/* What would be sent now; 0 = none is known, or it is worth nothing without a code. */
static unsigned password_of(const struct world *w, const struct model *p)
{
    if (codes_wanted(p) && !p->code.given)
        return 0;
    return p->typed && w->now < p->typed_until ? p->typed : p->source;
}

/* ---- P1 fresh -------------------------------------------------------------------------------- */

static void p1_fresh(const struct world *w, const struct model *p, const struct fact *f)
{
    const struct ledger *l = &p->ledger;

    if (f->kind != FACT_TOLD || !f->token || f->call->wants_new)
        return; /* a person gets a word, not the token */
    uint64_t left = left_of(w, f->token);
    if (left == 0)
        check_broken(w, p, "P1 fresh", "a dead token is served");
    if (left + SLACK >= lead_of(p, f->token) / 2 || f->token->lifetime < 2 * SECOND)
        return;
    bool nothing_newer = l->failing || l->failed_before || f->call->deadline <= w->now ||
                         f->call->asked <= l->got_at ||
                         (l->rested_at > 0 && w->now - l->rested_at <= SECOND) ||
                         (l->gave_up_at > 0 && w->now - l->gave_up_at < 5 * SECOND);
    if (!nothing_newer)
        check_broken(w, p, "P1 fresh",
                     "a token about to die is served though none newer was tried for");
}

/* ---- P2 ahead -------------------------------------------------------------------------------- */

static void p2_ahead(const struct world *w, const struct model *p, const struct fact *f)
{
    const struct token *t = &p->ledger.token;

    if (f->kind != FACT_WANTED || !plain(f->call) || t->id == 0 || t->lifetime < 2 * MINUTE)
        return;
    if (f->verdict != LIFECYCLE_QUEUE && f->verdict != LIFECYCLE_FAIL)
        return;
    uint64_t due = due_of(p);
    if (lead_of(p, t) < 40 * SECOND)
        return; /* configured to come late */
    if (p->ledger.rested_at > t->sent)
        return; /* there was nothing newer, and there may not be yet */
    if (was_in_use(p, due) && peaceful_since(w, p, due - least(due, t->lifetime / 20 + SECOND)))
        check_broken(w, p, "P2 ahead",
                     "a client has to wait: a token in use was not renewed in time");
}

/* That time, or the end of the last sleep, if that came later. */
static uint64_t awake_since(const struct world *w, uint64_t when)
{
    return when > w->slept_at ? when : w->slept_at;
}

/* ---- P3 one flight --------------------------------------------------------------------------- */

static void p3_one_flight(const struct world *w, const struct model *p, const struct fact *f)
{
    if (f->kind == FACT_REQUEST && p->flight != FLIGHT_NONE)
        check_broken(w, p, "P3 one flight", "a second request while one is under way");
    if (f->kind == FACT_ENDED && p->flight == FLIGHT_NONE)
        check_broken(w, p, "P3 one flight", "a request ends that nobody has begun");
    if (f->kind != FACT_REST)
        return;
    /* others may be before it: 20 profiles, two at once, a black hole */
    if (p->flight == FLIGHT_BEGUN && awake_since(w, p->begun) + 15 * MINUTE < w->now)
        check_broken(w, p, "P3 one flight", "a request that was begun gets nowhere");
    uint64_t patience = (p->ledger.lost && is_patient(p) ? 121 : 16) * SECOND;
    if (p->flight == FLIGHT_SENT && awake_since(w, p->sent) + patience < w->now)
        check_broken(w, p, "P3 one flight", "a request that gets no answer has no end");
    if (p->waiters == 0)
        return;
    if (p->first_deadline < w->now && w->now > w->slept_at)
        check_broken(w, p, "P3 one flight", "a client waits beyond its deadline");
    if (p->flight == FLIGHT_NONE && p->first_deadline < lifecycle_next(p->lc, p->policy))
        check_broken(w, p, "P3 one flight", "a client waits though nothing is going to be tried");
}

/* ---- P4 no lock-out -------------------------------------------------------------------------- */

/* When it was refused though accepted; 0 = it was not. Where no reason is given it may have been
 * for the client's sake, which is another's: then it concerns others until it is taken again. */
static uint64_t doubt_of(const struct world *w, const struct model *p, const struct password *pw)
{
    const struct provider *v = &w->providers[p->provider];
    uint64_t last = 0;

    if (v->silent && pw->accepted)
        return pw->doubted_at[p->number];
    for (unsigned i = 0; i < PROFILES_MAX; i++)
        last = pw->doubted_at[i] > last ? pw->doubted_at[i] : last;
    return last;
}

static struct password *sent_password(struct world *w, const struct model *p)
{
    return &w->providers[p->provider].passwords[p->password];
}

/* Others of the account whose login is under way. */
static unsigned others_sending(const struct world *w, const struct model *p)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->n_profiles; i++) {
        const struct model *o = &w->profiles[i];
        n += o != p && o->provider == p->provider && o->flight == FLIGHT_SENT && by_password(o);
    }
    return n;
}

/* What a person said lifts a refusal that came before, but not within 5 s of one that a person's
 * word has brought. */
static bool is_lifted(const struct provider *v, const struct model *p)
{
    const struct ledger *l = &p->ledger;
    uint64_t until = v->refused_at + (v->was_forced ? 5 * SECOND : 0);

    return l->credit &&
           (v->last_refused != p->password || v->refused_at == 0 || l->said_at > until);
}

/* Whether the oldest of a ring of so many lies within that span. */
static bool is_full(const struct world *w, const uint64_t *ring, unsigned filled, unsigned size,
                    uint64_t span)
{
    return filled >= size && w->now - ring[filled % size] < span;
}

/* A login by the daemon's own doing, after answers that say nothing of the password, or none. */
static void p4_seldom(const struct world *w, const struct model *p, const struct password *pw)
{
    bool known = pw->accepted || doubt_of(w, p, pw) > 0;

    if (!p->sent_by_route && is_full(w, pw->odd_at, pw->odd, ODD_A_DAY, DAY))
        check_broken(w, p, "P4 no lock-out", "a gateway is asked more than 26 times a day");
    if (!known && is_full(w, pw->denied_at, pw->denied, ACCOUNT_DENIALS, DAY))
        check_broken(w, p, "P4 no lock-out", "a password never taken is sent after three denials");
    if (is_full(w, pw->lost_at, pw->lost, LOST_A_DAY, DAY))
        check_broken(w, p, "P4 no lock-out", "silence is asked more than 30 times a day");
    if (pw->accepted || pw->silences < ACCOUNT_LOST)
        return;
    if (w->now < pw->silent_since + DAY ||
        w->now < pw->lost_at[(pw->lost - 1) % LOST_A_DAY] + 6 * HOUR)
        check_broken(w, p, "P4 no lock-out", "a password never taken is sent on in silence");
}

static void p4_sent(struct world *w, const struct model *p)
{
    const struct password *pw = sent_password(w, p);
    bool lifted = is_lifted(&w->providers[p->provider], p);
    uint64_t doubt = doubt_of(w, p, pw);

    if (others_sending(w, p) > 0)
        check_broken(w, p, "P4 no lock-out", "two logins of an account at the same time");
    if (p->code.sent) /* by a person, who knows better what is right with it */
        return;
    if (pw->tried && pw->chances == 0 && !lifted)
        check_broken(w, p, "P4 no lock-out", "a refused password is sent again");
    if (doubt > 0 && w->now < doubt + 5 * SECOND && !lifted)
        check_broken(w, p, "P4 no lock-out", "a doubted password is sent again at once");
    if (p->sent_by_route && pw->route_at > 0 && w->now < pw->route_at + MINUTE)
        check_broken(w, p, "P4 no lock-out", "two tries within a minute for a route's sake");
    if (!p->sent_forced)
        p4_seldom(w, p, pw);
}

/* What a right password meets. */
static void p4_ended(struct world *w, const struct model *p, const struct fact *f)
{
    const struct password *pw = sent_password(w, p);
    const struct provider *v = &w->providers[p->provider];
    bool settled = v->well_since == NEVER || v->well_since + 2 * MINUTE < w->now;

    if (!f->failed || f->failure != LIFECYCLE_REFUSED || p->flight != FLIGHT_SENT ||
        p->by_refresh_token)
        return;
    /* a person's word, and no answer to that: it stays refused, if it was for this client's sake */
    bool stays = p->sent_forced && v->silent && p->reply.end != ACCOUNT_REJECTED;
    if (pw->accepted && doubt_of(w, p, pw) == 0 && p->reply.end != ACCOUNT_TOOK && !stays)
        check_broken(w, p, "P4 no lock-out",
                     "a password that was taken is stopped without a probe");
    if (p->reply.overlap && v->lifetime >= MINUTE && settled && pw->overlaps > 0 &&
        p->password == v->right)
        check_broken(w, p, "P4 no lock-out", "a right password is stopped by overlapping logins");
}

/* What is refused though nothing was sent was refused before, and not for the want of a code. */
static void p4_unsent(const struct world *w, const struct model *p, const struct fact *f)
{
    bool typed = p->begun_with && p->begun < p->typed_until;
    unsigned number = typed ? p->begun_with : p->source;
    const struct provider *v = &w->providers[p->provider];
    const struct password *pw = &v->passwords[number];

    if (!f->failed || f->failure != LIFECYCLE_REFUSED || p->flight != FLIGHT_BEGUN ||
        p->lc->by_refresh_token || p->grant != GRANT_PASSWORD)
        return;
    if (pw->alone)
        check_broken(w, p, "P4 no lock-out", "a password that lacks a code is held for refused");
    if (!v->silent && pw->tried && pw->chances > 0) /* else it may be another client's */
        check_broken(w, p, "P4 no lock-out", "a password that nobody refused is held for refused");
}

static void p4_no_lock_out(struct world *w, const struct model *p, const struct fact *f)
{
    if (f->kind == FACT_SENT && by_password(p))
        p4_sent(w, p);
    if (f->kind == FACT_ENDED) {
        p4_ended(w, p, f);
        p4_unsent(w, p, f);
    }
    const struct ledger *l = &p->ledger;
    bool stopped = p->lc && p->lc->state == LIFECYCLE_STOPPED;
    bool put_off = p->lc && p->lc->state == LIFECYCLE_WAITING && l->failing &&
                   (l->failure == LIFECYCLE_SOFT || l->failure == LIFECYCLE_DEFERRED);

    if (f->kind == FACT_WANTED && f->verdict == LIFECYCLE_FAIL && p->origin == ORIGIN_FILE &&
        (stopped || put_off) && p->stamp != l->failed_stamp)
        check_broken(w, p, "P4 no lock-out", "a password that changed at its source is not tried");
}

/* ---- P5 polite ------------------------------------------------------------------------------- */

/* A token may come so late that its renewal was due, and the profile in use, before. So may what
 * has a retry made up for: a network that comes up, long after it was put off for want of a use. */
static uint64_t when_due(const struct world *w, const struct model *p)
{
    const struct ledger *l = &p->ledger;

    if (l->failing && p->lc)
        return least(w->now, p->lc->retry_at);
    return l->failing || l->token.id == 0 ? w->now : least(w->now, l->due_from);
}

static void p5_request(const struct world *w, const struct model *p)
{
    const struct ledger *l = &p->ledger;
    const struct cause *c = &p->cause;
    bool told_to = c->type == LIFECYCLE_CHANGED || c->again;
    /* one for which nothing was sent, and that the next life of the daemon need not know */
    bool unknown = l->failure == LIFECYCLE_NO_LOGIN && l->restarted_at >= l->failed_at;
    bool sends = p->lc->by_refresh_token || !codes_wanted(p) || p->code.given;

    if (w->now < l->not_before && !c->person && !c->fallback && sends)
        check_broken(w, p, "P5 polite", "Retry-After is not obeyed");
    if (l->failing && !told_to && !c->fallback && !l->put_off && !unknown &&
        w->now - l->failed_at < SECOND)
        check_broken(w, p, "P5 polite", "less than a second after a failure");
    if (c->type == LIFECYCLE_WANTED && l->failing && l->deserted_at > 0 &&
        w->now - l->failed_at < 5 * SECOND && l->restarted_at <= l->failed_at)
        check_broken(w, p, "P5 polite", "clients knock more often than each 5 s");
    if (!l->failing && l->token.id > 0 && !told_to && !c->fallback && !c->suspected &&
        !c->rejected && !c->min_validity && w->now - l->token.sent < SECOND &&
        l->restarted_at <= l->token.sent)
        check_broken(w, p, "P5 polite", "less than a second after the last token was asked for");
    /* what a restart cut off is asked for again, whatever had begun it */
    if (c->type == LIFECYCLE_TIMER && w->now > w->slept_at && w->now > l->restarted_at &&
        !in_use(p, when_due(w, p)) && l->waited_until < w->now)
        check_broken(w, p, "P5 polite", "a request though nobody has used the profile for long");
}

/* 6 at once, one more each 10 s; here as a debt that is paid off. */
static void p5_bucket(const struct world *w, const struct model *p)
{
    const struct provider *v = &w->providers[p->provider];
    uint64_t paid = w->now - v->login_at;
    uint64_t debt = v->login_debt > paid ? v->login_debt - paid : 0;

    if (grants_count(p) && p->reply.reached && debt + 10 * SECOND > ACCOUNT_BURST * 10 * SECOND)
        check_broken(w, p, "P5 polite", "more logins than 6, and one each 10 s");
}

static bool is_fault_login(const struct model *p)
{
    return p->cause.fallback && !p->cause.again && p->ledger.faulty && !p->lc->by_refresh_token;
}

/* A refresh token that brings only faults costs one login in a token's life, and one in 15 min. */
static void p5_faults(const struct world *w, const struct model *p)
{
    const struct ledger *l = &p->ledger;

    if (!is_fault_login(p) || left_of(w, &l->token) == 0)
        return;
    if (l->fault_login || (l->fault_login_at > 0 && w->now < l->fault_login_at + 15 * MINUTE))
        check_broken(w, p, "P5 polite", "too many logins for a refresh token's faults");
}

static void p5_polite(const struct world *w, const struct model *p, const struct fact *f)
{
    const struct ledger *l = &p->ledger;

    if (f->kind == FACT_REQUEST) {
        p5_request(w, p);
        p5_faults(w, p);
    } else if (f->kind == FACT_SENT) {
        p5_bucket(w, p);
        if (p->by_refresh_token && l->stale)
            check_broken(w, p, "P5 polite", "a refresh token is used that brings nothing newer");
        /* full jitter up to 5 minutes is 150 s in the mean; 30 more is seven standard deviations */
        if (l->outage_since > 0 &&
            l->outage_requests >= 30 + (w->now - l->outage_since) / (111 * SECOND))
            check_broken(w, p, "P5 polite", "too many requests in an outage");
    } else if (f->kind == FACT_WANTED && l->failing && l->failure == LIFECYCLE_TEMPORARY &&
               !l->forgiven && p->flight == FLIGHT_NONE) {
        /* lost answers make it longer; that they do is the fleet's affair */
        uint64_t most = l->lost ? HOUR : 5 * MINUTE;
        uint64_t due = plus(l->failed_at, most + SLACK), told = l->not_before;
        if (told > l->failed_at) /* and they part behind it */
            told += least((told - l->failed_at) / 2, 2 * MINUTE) + SLACK;
        due = due > told ? due : told;
        if (due < w->now && w->slept_at < w->now && l->last_use < w->now && is_known_in_use(p, due))
            check_broken(w, p, "P5 polite", "a retry is overdue");
    }
}

/* ---- P6 outlives outages --------------------------------------------------------------------- */

/* A refresh token that is no longer of use does not stand in the way of the password. */
static void p6_refresh(const struct world *w, const struct model *p)
{
    const struct ledger *l = &p->ledger;

    if (!p->lc->by_refresh_token || password_of(w, p) == 0)
        return;
    if (l->faulty && w->now > l->token.sent + l->token.lifetime + MINUTE)
        check_broken(w, p, "P6 outlives outages", "refresh tokens that bring faults have no end");
    if (l->short_life)
        check_broken(w, p, "P6 outlives outages", "the end of a session is not told");
}

/* Connections were refused twice, 2 s apart, and there was neither a resume nor a change of the
 * network in the 30 s before. */
static bool settled(const struct ledger *l)
{
    return l->unsettled_at == 0 || l->still_at >= l->unsettled_at + 30 * SECOND;
}

static bool deserted(const struct ledger *l)
{
    return l->deserted_at > 0 && l->still_at - l->deserted_at >= 2 * SECOND && settled(l);
}

/* Where nobody listens nobody waits: as soon as that is certain, which is soon. */
static void p6_deserted(const struct world *w, const struct model *p)
{
    const struct ledger *l = &p->ledger;

    if (p->waiters == 0 || p->flight != FLIGHT_NONE || l->deserted_at == 0 || !settled(l))
        return;
    uint64_t certain = l->deserted_at + 2 * SECOND, soonest = l->still_at + SECOND;
    if (deserted(l))
        check_broken(w, p, "P6 outlives outages", "a client waits though nobody listens");
    if (lifecycle_next(p->lc, p->policy) > (certain > soonest ? certain : soonest) + SLACK)
        check_broken(w, p, "P6 outlives outages",
                     "a client waits longer than it takes to know that nobody listens");
}

/* Whether a client with as much time as this one was told just before. */
static bool gave_up_just_now(const struct world *w, const struct ledger *l)
{
    return l->gave_up_at > 0 && w->now - l->gave_up_at < 5 * SECOND;
}

/* Until it is certain that nobody listens a client waits for the retry: the host may be starting,
 * the network coming up. (Not for a token that lives longer than any.) */
static void p7_told(const struct world *w, const struct model *p, const struct fact *f)
{
    const struct ledger *l = &p->ledger;

    if (f->call->min_validity > 0 && left_of(w, &l->token) > 0)
        return;
    if (f->token || f->call->wants_new || p->absent || l->deserted_at == 0 || deserted(l) ||
        gave_up_just_now(w, l))
        return;
    if (f->call->deadline > w->now && f->call->deadline > lifecycle_next(p->lc, p->policy))
        check_broken(w, p, "P7 any clock", "a client is not let wait for the retry");
}

/* Nor does who asks after a resume get the error of before it. */
static void p7_resumed(const struct world *w, const struct model *p, const struct fact *f)
{
    const struct ledger *l = &p->ledger;

    if (f->verdict == LIFECYCLE_FAIL && l->failing && l->failure == LIFECYCLE_TEMPORARY &&
        w->slept_at > 0 && w->now < w->slept_at + 3 * SECOND &&
        f->call->deadline > (w->now > l->not_before ? w->now : l->not_before) + 10 * SECOND &&
        !gave_up_just_now(w, l))
        check_broken(w, p, "P7 any clock", "after a resume a client does not wait for the retry");
}

/* A client that only a token by password can serve. */
static bool password_serves(const struct world *w, const struct model *p, const struct call *call)
{
    const struct ledger *l = &p->ledger;

    return password_of(w, p) > 0 && l->password_life > 0 &&
           call->min_validity + SECOND + (w->now - call->asked) <= l->password_life;
}

static void p6_outlives(const struct world *w, const struct model *p, const struct fact *f)
{
    const struct ledger *l = &p->ledger;

    if (f->kind == FACT_REQUEST)
        p6_refresh(w, p);
    if (f->kind == FACT_REST)
        p6_deserted(w, p);
    if (f->kind == FACT_WANTED && f->verdict == LIFECYCLE_TOO_SHORT &&
        password_serves(w, p, f->call))
        check_broken(w, p, "P6 outlives outages", "no token lives that long, but by password");

    if (f->kind == FACT_TOLD && !f->token && !f->call->wants_new && !p->absent &&
        enough(w, p, f->call))
        check_broken(w, p, "P6 outlives outages", "an error though a token lives");
    if (f->kind != FACT_WANTED || !enough(w, p, f->call))
        return;
    if (f->verdict != LIFECYCLE_SERVE && f->verdict != LIFECYCLE_QUEUE)
        check_broken(w, p, "P6 outlives outages", "an error though a token lives");
    if (f->verdict != LIFECYCLE_QUEUE || f->call->suspected || f->call->rejected)
        return;
    if (left_of(w, &l->token) > longest_lead_of(p, &l->token) / 2 + SLACK)
        check_broken(w, p, "P6 outlives outages",
                     "a client has to wait though a good token is there");
    /* the password, for which a refresh token's faults are reason enough, has not failed yet */
    bool other_way = p->flight != FLIGHT_NONE && p->begun == l->failed_at;
    if (l->failing && !l->forgiven && !l->put_off && !other_way)
        check_broken(w, p, "P6 outlives outages", "a client has to wait for what has just failed");
}

/* ---- P7 any clock ---------------------------------------------------------------------------- */

static void p7_any_clock(const struct world *w, const struct model *p, const struct fact *f)
{
    if (f->kind == FACT_TOLD)
        p7_told(w, p, f);
    if (f->kind == FACT_WANTED)
        p7_resumed(w, p, f);
    if (f->kind == FACT_REST && p->ledger.retry_by < w->now && w->slept_at + 5 * SECOND < w->now)
        check_broken(w, p, "P7 any clock", "the network came up, and no retry was made in time");
}

void check_standstill(struct world *w)
{
    check_broken(w, NULL, "P7 any clock", "events without end in one moment");
}

void check_network(struct world *w)
{
    for (unsigned i = 0; i < w->n_profiles; i++)
        p7_any_clock(w, &w->profiles[i], &(struct fact){ .kind = FACT_REST });
}

/* ---- P8 healed ------------------------------------------------------------------------------- */

static void p8_suspected(const struct world *w, const struct model *p, const struct call *call)
{
    const struct ledger *l = &p->ledger;
    const struct client *c = &w->clients[call->client];

    if (c->token != l->token.id || !c->saw_rejection)
        check_broken(w, p, "P8 healed", "normal use is taken for a rejection");
    if (l->suspected_token == l->token.id)
        check_broken(w, p, "P8 healed", "a token is suspected twice");
    if (l->suspected_at > 0 && w->now - l->suspected_at < 10 * SECOND)
        check_broken(w, p, "P8 healed", "two suspicions within 10 s");
}

/* The process had this token before, more often than it asks with a good one, and saw that the
 * API server rejects it; nothing stood in the way of a newer one. */
static void p8_told(const struct world *w, const struct model *p, const struct fact *f)
{
    const struct call *call = f->call;
    const struct ledger *l = &p->ledger;

    if (call->client == NOBODY || !call->pid || !f->token || l->failing ||
        f->token->lifetime < 2 * SECOND)
        return;
    const struct client *c = &w->clients[call->client];
    if (c->token != f->token->id || !c->saw_rejection || c->times < call->calls ||
        p->lc->advertised_expiry <= call->asked + SECOND)
        return; /* or it came because it was told to come */
    bool heard_before = l->suspected_token == f->token->id ||
                        (l->suspected_at > 0 && l->suspected_at + HOUR > call->asked);
    bool forgotten = p->hand_outs - c->hand_outs > REJECTION_CLIENTS - 2;
    if (peaceful_since(w, p, call->asked - least(call->asked, MINUTE)) && !forgotten &&
        (call->suspected || !heard_before) && w->now < call->deadline)
        check_broken(w, p, "P8 healed", "a client is handed the rejected token again");
}

static void p8_healed(const struct world *w, const struct model *p, const struct fact *f)
{
    const struct ledger *l = &p->ledger;

    if (f->kind == FACT_SUSPECTED)
        p8_suspected(w, p, f->call);
    else if (f->kind == FACT_TOLD)
        p8_told(w, p, f);
    else if (f->kind == FACT_REQUEST && p->cause.rejected &&
             left_of(w, &l->token) > longest_lead_of(p, &l->token) + SLACK &&
             w->now - l->token.sent < 10 * SECOND)
        check_broken(w, p, "P8 healed", "a token just fetched is fetched again");
}

/* ---- the ledger ------------------------------------------------------------------------------ */

/* Puts it first in a list of the latest, and returns what falls off its end; 0 = nothing. */
static unsigned put_first(unsigned *list, unsigned length, unsigned password)
{
    unsigned i = 0, last = password;

    for (; i < length && last != 0; i++) {
        unsigned next = list[i];
        list[i] = last;
        last = next;
        if (next == password)
            return 0;
    }
    return last;
}

static void take_out(unsigned *list, unsigned length, unsigned password)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < length; i++)
        if (list[i] != password)
            list[kept++] = list[i];
    while (kept < length)
        list[kept++] = 0;
}

static bool is_outage(enum regime regime)
{
    return regime == REGIME_DOWN || regime == REGIME_DESERTED || regime == REGIME_BLACKHOLE ||
           regime == REGIME_5XX;
}

static void note_sent(struct world *w, struct model *p)
{
    struct provider *v = &w->providers[p->provider];
    struct ledger *l = &p->ledger;

    w->statistics.requests[check_class(w, p)]++;
    bool met = p->job != JOB_VERIFY || p->reply.kind == LIFECYCLE_TEMPORARY; /* keys are known */

    if (is_outage(v->regime) && met) {
        if (l->outage_since == 0) {
            l->outage_since = w->now;
            l->outage_requests = 0;
        }
        if (!l->knocked || v->regime != REGIME_DESERTED)
            l->outage_requests++;
        else if (l->outage_requests > 0)
            l->outage_requests--; /* the pause begins anew, and that by chance */
    } else {
        l->outage_since = 0;
    }
    if (grants_count(p) && p->reply.reached) {
        uint64_t paid = w->now - v->login_at;
        v->login_debt = (v->login_debt > paid ? v->login_debt - paid : 0) + 10 * SECOND;
        v->login_at = w->now;
    }
    if (!by_password(p))
        return;
    struct password *pw = sent_password(w, p);
    if (!pw->tried)
        pw->chances = pw->accepted ? 2 : 1;
    pw->tried = true;
    if (p->sent_by_route)
        pw->route_at = w->now;
    if (p->reply.reached)
        l->credit = false;
}

static void clear_trouble(struct password *pw)
{
    pw->odd = pw->lost = pw->denied = pw->silences = 0;
    pw->route_at = 0;
}

/* What stands in the list of refusals: without a reason it is that of password and client. */
static unsigned refusal_of(const struct provider *v, const struct model *p)
{
    return p->password | (v->silent ? (p->number + 1U) << 16 : 0);
}

/* Too long ago, and nothing else is known of that password. */
static void forget_refusal(struct provider *v, unsigned forgotten)
{
    for (unsigned i = 0; i < ACCOUNT_REFUSALS; i++)
        if ((v->refused[i] & 0xffff) == (forgotten & 0xffff))
            return;
    v->passwords[forgotten & 0xffff].tried = false;
}

static void note_taken(struct provider *v, struct password *pw, const struct model *p)
{
    unsigned forgotten = put_first(v->accepted, ACCOUNT_ACCEPTED, p->password);

    if (forgotten)
        v->passwords[forgotten].accepted = false;
    take_out(v->refused, ACCOUNT_REFUSALS, refusal_of(v, p));
    clear_trouble(pw);
    pw->accepted = true;
    pw->alone = false;
    pw->chances = 2;
    pw->overlaps = 0;
    for (unsigned i = 0; i < PROFILES_MAX; i++)
        if (!v->silent || i == p->number)
            pw->doubted_at[i] = 0;
}

/* Puts it into the list of refusals. */
static void note_refusal(const struct world *w, struct provider *v, struct password *pw,
                         const struct model *p, unsigned refusal)
{
    unsigned forgotten = put_first(v->refused, ACCOUNT_REFUSALS, refusal);

    if (forgotten)
        forget_refusal(v, forgotten);
    clear_trouble(pw);
    v->was_forced = p->sent_forced;
    v->refused_at = w->now;
    v->last_refused = p->password;
}

static void note_rejected(struct world *w, struct provider *v, struct password *pw,
                          const struct model *p)
{
    bool doubted = doubt_of(w, p, pw) > 0, others = pw->accepted && doubted;
    /* a login of ours that was given up may have stood in its way */
    bool ours = v->silent_at > 0 && w->now < v->silent_at + MINUTE && (pw->accepted || doubted);

    note_refusal(w, v, pw, p, refusal_of(v, p));
    pw->alone = false;
    pw->chances -= pw->chances > 0 && !(ours && doubted);
    pw->overlaps += p->reply.overlap && (pw->accepted || doubted);
    if ((pw->accepted && !doubted) || ours) {
        pw->doubted_at[p->number] = w->now;
        w->statistics.doubts++;
    } else if (others) {
        pw->doubted_at[p->number] = 0;
    } else {
        memset(pw->doubted_at, 0, sizeof pw->doubted_at);
    }
    if (!others) {
        pw->accepted = false;
        take_out(v->accepted, ACCOUNT_ACCEPTED, p->password);
    }
}

/* It may be right, and is worth nothing alone: no probe. */
static void note_alone(const struct world *w, struct provider *v, struct password *pw,
                       const struct model *p)
{
    note_refusal(w, v, pw, p, p->password);
    pw->chances = 0;
    pw->accepted = false;
    pw->alone = true;
    take_out(v->accepted, ACCOUNT_ACCEPTED, p->password);
}

static void most_in_a_day(const struct world *w, const uint64_t *ring, uint64_t filled,
                          unsigned *most)
{
    unsigned n = 0;

    for (uint64_t i = 0; i < filled; i++)
        n += w->now - ring[i] < DAY;
    if (n > *most)
        *most = n;
}

static void note_odd(struct world *w, struct password *pw, const struct model *p)
{
    struct provider *v = &w->providers[p->provider];

    if (p->reply.end == ACCOUNT_DENIED)
        pw->denied_at[pw->denied++ % ACCOUNT_DENIALS] = w->now;
    if (p->reply.end == ACCOUNT_DENIED && !pw->accepted && doubt_of(w, p, pw) == 0 &&
        is_full(w, pw->denied_at, pw->denied, ACCOUNT_DENIALS, DAY)) { /* held for refused */
        note_refusal(w, v, pw, p, p->password);
        pw->chances = 0;
        pw->alone = false;
        return;
    }
    if (!p->sent_forced && !p->sent_by_route)
        pw->odd_at[pw->odd++ % ODD_A_DAY] = p->sent;
    most_in_a_day(w, pw->odd_at, least(pw->odd, ODD_A_DAY), &w->statistics.most_odd);
}

/* Nobody knows what became of it. */
static void note_lost(struct world *w, struct password *pw, const struct model *p)
{
    if (pw->silences++ == 0)
        pw->silent_since = p->sent;
    w->providers[p->provider].silent_at = w->now;
    if (!p->sent_forced)
        pw->lost_at[pw->lost++ % LOST_A_DAY] = p->sent;
    most_in_a_day(w, pw->lost_at, least(pw->lost, LOST_A_DAY), &w->statistics.most_lost);
}

static void note_answer(struct world *w, const struct model *p)
{
    struct provider *v = &w->providers[p->provider];
    struct password *pw = sent_password(w, p);

    switch (p->reply.end) {
    case ACCOUNT_TOOK:
        note_taken(v, pw, p);
        return;
    case ACCOUNT_REJECTED:
    case ACCOUNT_EITHER:
        note_rejected(w, v, pw, p);
        return;
    case ACCOUNT_DENIED:
    case ACCOUNT_ODD:
        note_odd(w, pw, p);
        return;
    case ACCOUNT_SILENCE:
        note_lost(w, pw, p);
        return;
    case ACCOUNT_ALONE:
        note_alone(w, v, pw, p);
        return;
    case ACCOUNT_UNKNOWN:
    case ACCOUNT_NOT_SENT:
        return;
    }
}

/* What a token, or the want of one, says of the refresh token. */
static void note_refresh(struct model *p, const struct fact *f)
{
    struct ledger *l = &p->ledger;
    unsigned status = p->reply.http_status;
    bool fault = status == 200 || status == 500 || status == 503 || p->reply.end == ACCOUNT_SILENCE;

    l->faulty = f->failed && p->flight == FLIGHT_SENT && p->by_refresh_token && p->reply.reached &&
                fault && (f->failure == LIFECYCLE_TEMPORARY || f->failure == LIFECYCLE_SOFT);
    if (f->failed)
        return;
    if (by_password(p))
        l->password_life = p->reply.lifetime;
    l->short_life = p->by_refresh_token && p->reply.lifetime < l->password_life / 2;
    l->fault_login = false;
}

static void note_refused_connection(const struct world *w, struct model *p, bool failed)
{
    struct ledger *l = &p->ledger;
    bool refused = failed && p->reply.nobody_listens;

    if (!refused)
        l->deserted_at = 0;
    else if (l->deserted_at == 0)
        l->deserted_at = w->now;
    l->still_at = w->now;
}

/* Those that a fleet may have got together, the first and the first after failures, are renewed
 * anywhere in nine tenths of their time. */
static uint64_t earliest_renewal(const struct world *w, const struct model *p,
                                 const struct token *t)
{
    const struct ledger *l = &p->ledger;
    bool parted = left_of(w, &l->token) > 0 && !l->failing && !l->failed_before;
    uint64_t wait = t->lifetime - lead_of(p, t), sooner = t->lifetime / 20;

    return t->sent + (parted ? wait - least(wait, sooner) : wait / 10);
}

static void note_ended(struct world *w, struct model *p, const struct fact *f)
{
    struct ledger *l = &p->ledger;
    bool sent = p->flight == FLIGHT_SENT;

    if (sent && by_password(p))
        note_answer(w, p);
    note_refresh(p, f);
    note_refused_connection(w, p, f->failed && sent);
    l->not_before = 0;
    if (!f->failed) {
        struct token token = { w->last_token + 1, p->reply.key, p->sent, p->reply.lifetime };
        l->due_from = earliest_renewal(w, p, &token);
        l->token = token;
        l->failing = l->failed_before = l->forgiven = l->lost = false;
        l->gave_up_at = 0;
        l->got_at = w->now;
        if (p->job == JOB_POLL) /* who logs in means to use it */
            l->last_use = w->now, l->use_unknown = 0;
        l->use_before_due = l->last_use - least(l->last_use, l->use_unknown);
        return;
    }
    bool password = password_of(w, p) > 0, alive = left_of(w, &l->token) > 0;
    l->stale |= f->failure == LIFECYCLE_STALE && password;
    if (f->rests) {
        l->disturbed_at = l->rested_at = w->now; /* it is asked for again later than usual */
        return;
    }
    if (sent && p->by_refresh_token &&
        (f->failure == LIFECYCLE_REFUSED ||
         (f->failure == LIFECYCLE_STALE && (password || !alive))))
        return; /* the password is next */
    l->failing = true;
    l->forgiven = l->change_pending;
    l->failure = f->failure;
    l->put_off = f->failure == LIFECYCLE_DEFERRED || (f->failure == LIFECYCLE_SOFT && !sent);
    l->failed_stamp = p->stamp;
    l->failed_at = l->disturbed_at = w->now;
    l->lost |= sent && p->reply.end == ACCOUNT_SILENCE;
    if ((f->failure == LIFECYCLE_TEMPORARY || f->failure == LIFECYCLE_NO_LOGIN) && sent &&
        p->reply.retry_after > 0)
        l->not_before = w->now + least(p->reply.retry_after, HOUR);
}

static void note_use(const struct world *w, struct model *p)
{
    const struct token *t = &p->ledger.token;

    p->ledger.last_use = w->now;
    p->ledger.use_unknown = 0;
    if (t->id > 0 && w->now + t->lifetime / 20 + SECOND <= due_of(p))
        p->ledger.use_before_due = w->now;
}

static void note_changed(const struct world *w, struct model *p, const struct fact *f)
{
    struct ledger *l = &p->ledger;

    l->disturbed_at = w->now;
    l->forgiven = true;
    l->gave_up_at = 0;
    l->outage_since = l->deserted_at = 0;
    l->change_pending = true;
    l->stale &= !f->password;
    if (f->use)
        note_use(w, p);
    if (!f->person)
        return;
    l->person_pending = true;
    l->credit |= !f->refresh_token; /* that says nothing for a password */
    l->said_at = w->now;
    l->waited_until = w->now + 30 * SECOND;
}

static void note_told(struct world *w, const struct model *p, const struct fact *f)
{
    struct statistics *s = &w->statistics;
    uint64_t waited = w->now - f->call->asked;

    if (!f->token)
        s->failed++;
    else
        s->served++;
    if (f->token && waited > s->longest_wait && !f->call->wants_new && p->grant != GRANT_COMMAND &&
        f->token->lifetime >= 2 * SECOND && !f->call->after_failure &&
        w->slept_at < f->call->asked && peaceful_since(w, p, f->call->asked)) {
        s->longest_wait = waited;
        s->longest_wait_seed = w->seed;
    }
}

/* One that waits since something odd answered tries another way out, the first time. */
static void note_route(const struct world *w, struct model *p)
{
    struct ledger *l = &p->ledger;
    uint64_t by = w->now + 30 * SECOND + SLACK;

    by = by > l->not_before + SLACK ? by : l->not_before + SLACK;
    if (p->flight == FLIGHT_NONE && l->failing && !l->forgiven && l->failure == LIFECYCLE_SOFT &&
        (l->route_at == 0 || l->route_at + MINUTE <= w->now) && is_known_in_use(p, by))
        l->retry_by = least(l->retry_by, by);
}

/* A profile that waits for a retry makes it soon, now that the network is up. */
static void note_network(const struct world *w, struct model *p)
{
    struct ledger *l = &p->ledger;
    uint64_t by = w->now + (p->waiters > 0 ? 3 : 90) * SECOND + SLACK;
    uint64_t told = l->not_before + (p->waiters > 0 ? 3 : 120) * SECOND + SLACK;

    by = l->not_before > 0 && told > by ? told : by;
    l->outage_since = l->deserted_at = 0;
    l->unsettled_at = w->now;
    if (p->flight != FLIGHT_NONE || !l->failing || l->forgiven ||
        l->failure != LIFECYCLE_TEMPORARY || (!is_known_in_use(p, by) && p->waiters == 0))
        return;
    l->retry_by = least(l->retry_by, by);
}

static void note_forgotten(struct world *w, struct model *p)
{
    struct ledger *l = &p->ledger;

    /* after a crash nobody knows whether it arrived */
    if (p->flight == FLIGHT_SENT && by_password(p) && (p->reply.reached || w->crashing))
        note_lost(w, sent_password(w, p), p);

    *l = (struct ledger){ .last_use = l->last_use,
                          .disturbed_at = w->now,
                          .retry_by = NEVER,
                          .suspected_at = l->suspected_at,
                          .suspected_token = l->suspected_token,
                          .waited_until = l->waited_until,
                          .unsettled_at = l->unsettled_at };
}

/* A crash costs up to ten minutes of what is known of the last use. */
static void note_restarted(struct world *w, struct model *p)
{
    struct ledger *l = &p->ledger;
    uint64_t unknown = w->crashing ? 10 * MINUTE + SLACK : 0;

    if (p->flight == FLIGHT_SENT && by_password(p) && (p->reply.reached || w->crashing))
        note_lost(w, sent_password(w, p), p);
    l->failed_before |= l->failing;
    if (p->flight != FLIGHT_NONE)
        l->failing = false;
    bool token_kept = (grants_need_person(p) && p->newest_refresh_token > 0) ||
                      (codes_wanted(p) && codes_spared(p));
    if ((p->origin == ORIGIN_TYPED || codes_wanted(p)) && !token_kept &&
        (p->kept != KEEP_ALL || password_of(w, p) == 0)) {
        l->failing = true; /* only a login helps */
        l->failure = LIFECYCLE_NO_LOGIN;
    }
    l->forgiven = true;
    l->disturbed_at = l->restarted_at = w->now;
    l->retry_by = NEVER;
    l->gave_up_at = 0;
    l->change_pending = l->person_pending = l->credit = false;
    l->use_before_due -= least(l->use_before_due, unknown);
    l->use_unknown += unknown;
}

static void note(struct world *w, struct model *p, const struct fact *f)
{
    struct ledger *l = &p->ledger;

    switch (f->kind) {
    case FACT_WANTED:
        note_use(w, p);
        if (f->verdict == LIFECYCLE_QUEUE && f->call->deadline > l->waited_until)
            l->waited_until = f->call->deadline;
        break;
    case FACT_TOLD:
        note_told(w, p, f);
        break;
    case FACT_SUSPECTED:
        l->suspected_at = w->now;
        l->suspected_token = l->token.id;
        break;
    case FACT_REQUEST:
        l->change_pending = l->person_pending = false;
        l->knocked = p->cause.type == LIFECYCLE_WANTED;
        if (p->lc->by_route)
            l->route_at = w->now;
        if (is_fault_login(p)) {
            l->fault_login = true;
            l->fault_login_at = w->now;
        }
        l->retry_by = NEVER;
        break;
    case FACT_SENT:
        note_sent(w, p);
        break;
    case FACT_ENDED:
        note_ended(w, p, f);
        break;
    case FACT_CHANGED:
        note_changed(w, p, f);
        break;
    case FACT_NETWORK:
        note_network(w, p);
        if (f->route)
            note_route(w, p);
        break;
    case FACT_FORGOTTEN:
        note_forgotten(w, p);
        break;
    case FACT_RESTARTED:
        note_restarted(w, p);
        break;
    case FACT_SLEPT:
        l->disturbed_at = w->now;
        break;
    case FACT_GAVE_UP:
        l->gave_up_at = w->now;
        break;
    case FACT_GIVEN: /* nothing is known of it */
        l->stale = l->faulty = l->short_life = false;
        l->deserted_at = 0; /* what failed was another request */
        break;
    case FACT_EXPLAINED:
    case FACT_REST:
        break;
    }
}

void check(struct world *w, struct model *p, const struct fact *fact)
{
    p1_fresh(w, p, fact);
    p2_ahead(w, p, fact);
    p3_one_flight(w, p, fact);
    p4_no_lock_out(w, p, fact);
    p5_polite(w, p, fact);
    p6_outlives(w, p, fact);
    p7_any_clock(w, p, fact);
    p8_healed(w, p, fact);
    check_grant(w, p, fact);
    if (w->codes)
        codes_check(w, p, fact);
    note(w, p, fact);
}

/* ---- statistics ------------------------------------------------------------------------------ */

/* Whether the provider would take what it has to send. */
static bool has_right(const struct world *w, const struct model *p)
{
    if (p->grant == GRANT_EXCHANGE && w->now < p->exchange.forbidden_until)
        return false;
    if (p->grant == GRANT_EXCHANGE)
        p = &w->profiles[p->source_profile];
    if (grants_need_person(p))
        return p->newest_refresh_token && p->newest_refresh_token == p->valid_refresh_token;
    if (p->grant == GRANT_COMMAND)
        return true;
    return password_of(w, p) == w->providers[p->provider].right;
}

enum class check_class(const struct world *w, const struct model *p) {
    const struct provider *v = &w->providers[p->provider];

    switch (v->regime){
        case REGIME_WELL : if (!has_right(w, p)) return CLASS_WRONG_PASSWORD;
        return v->lifetime < 2 * MINUTE ? CLASS_SHORT : CLASS_WELL;
        case REGIME_DOWN : case REGIME_DESERTED : case REGIME_BLACKHOLE : case
        REGIME_5XX : return CLASS_OUTAGE;
        case REGIME_429 : return CLASS_LIMITED;
        default : return CLASS_ODD;
    }
}

void check_classes(struct world *w)
{
    for (unsigned i = 0; i < w->n_profiles; i++) {
        struct model *p = &w->profiles[i];
        w->statistics.class_time[check_class(w, p)] += w->now - p->class_since;
        p->class_since = w->now;
    }
}
