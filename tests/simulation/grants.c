/* What there is beside the password: profiles that live by a refresh token alone, and people who
 * give one. What is right for each of them is held against each step here, as check.c does for
 * all. */
#include "tests/simulation/world.h"

#include <inttypes.h>
#include <stdio.h>

bool grants_are_in(uint64_t seed)
{
    return seed % 3 == 0;
}

void grants_init(struct world *w, struct model *p)
{
    if (!chance_permille(w, 350))
        return;
    p->grant = GRANT_REFRESH_TOKEN;
    p->origin = ORIGIN_TYPED;
    p->source = 0;
    p->use_refresh_token = true;
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
    if (n < 6)
        daemon_renew_by_token(w, p, some_refresh_token(w, p));
    else if (n < 8)
        daemon_renew(w, p, n == 6 ? w->providers[p->provider].right : 0);
    return n < 8;
}

/* ---- the job --------------------------------------------------------------------------------- */

void grants_take_job(struct world *w, struct model *p, const struct job *job)
{
    if (p->grant != GRANT_PASSWORD && (job->kind == JOB_PASSWORD || job->password))
        check_broken(w, p, "P4 no lock-out", "a password is sent for a profile that has none");
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

/* ---- the checks ------------------------------------------------------------------------------ */

static bool is_alive(const struct world *w, const struct model *p)
{
    return p->token.id > 0 && p->token.sent + p->token.lifetime > w->now;
}

/* What somebody gave is next; where none is left only a person helps, and is asked for. */
static void rests(const struct world *w, const struct model *p)
{
    bool asked_for = p->lc->state == LIFECYCLE_NEED_LOGIN;

    if (p->flight != FLIGHT_NONE)
        return;
    if (p->by_token.given)
        check_broken(w, p, "the job", "a refresh token that somebody gave is never sent");
    if (p->grant != GRANT_REFRESH_TOKEN)
        return;
    if (p->newest_refresh_token == 0 && !asked_for)
        check_broken(w, p, "P14 explained", "no refresh token is left, and no login asked for");
    if (p->newest_refresh_token > 0 && asked_for)
        check_broken(w, p, "P6 outlives outages", "a login is asked for, though none is needed");
}

static void explained(const struct world *w, const struct model *p, const struct fact *f)
{
    if (p->grant != GRANT_REFRESH_TOKEN || p->newest_refresh_token > 0 || f->call->wants_new ||
        p->flight != FLIGHT_NONE || is_alive(w, p))
        return;
    if (f->why->code != ERROR_LOGIN_NEEDED)
        check_broken(w, p, "P14 explained", "a login is needed, and something else told");
    if (p->by_token.has_cause && !*f->why->detail)
        check_broken(w, p, "P14 explained", "a login is needed, and nobody told why");
}

/* After answers that were lost less and less is sent: full jitter up to an hour, in the end. */
static void sends(const struct world *w, const struct model *p)
{
    const struct by_token *t = &p->by_token;

    if (p->grant == GRANT_REFRESH_TOKEN && t->losses > 0 &&
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

    if (p->flight != FLIGHT_SENT || !p->by_refresh_token)
        return;
    note_loss(w, p, f->failed);
    if (!f->failed) {
        w->statistics.gifts_taken += t->is_gift;
        t->is_gift = t->has_cause = false;
        t->rotated &= !p->reply.refresh_token;
        return;
    }
    if (f->failure != LIFECYCLE_REFUSED || p->grant != GRANT_REFRESH_TOKEN)
        return;
    t->has_cause = true;
    w->statistics.tokens_refused++;
    w->statistics.rotations_missed += t->rotated;
    t->rotated = t->is_gift = false;
}

static void restarted(struct world *w, struct model *p)
{
    w->statistics.cut_off += p->grant == GRANT_REFRESH_TOKEN && p->flight == FLIGHT_SENT;
    p->by_token.has_cause = false;
    p->by_token.losses = 0;
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
        return;
    case FACT_ENDED:
        ended(w, p, f);
        return;
    case FACT_GIVEN:
        t->is_gift = true;
        t->rotated = t->has_cause = false;
        return;
    case FACT_RESTARTED:
        restarted(w, p);
        return;
    case FACT_CHANGED:
        t->has_cause &= !f->person; /* the answer speaks of what they say */
        t->losses = 0;
        return;
    case FACT_FORGOTTEN:
        t->has_cause = false;
        t->losses = 0;
        return;
    case FACT_NETWORK:
        t->losses = 0;
        return;
    case FACT_WANTED:
    case FACT_TOLD:
    case FACT_SUSPECTED:
    case FACT_REQUEST:
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
    };
    bool all = true;

    for (size_t i = 0; i < sizeof happened / sizeof *happened; i++) {
        printf("%s%" PRIu64 " %s", i ? ", " : "", happened[i].n, happened[i].what);
        all &= happened[i].n > 0;
    }
    printf("\n%s", all ? "" : "what is to be looked at has not happened\n");
    return all;
}
