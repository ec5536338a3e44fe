/* Providers that want a one-time password beside the password, people who type one, and what is
 * right for both, held against each step. It is "c" and a number here; odd ones are wrong. */
#include "tests/simulation/world.h"

#include <inttypes.h>
#include <stdio.h>

enum { CODE_LIFE = 90 }; /* seconds */

bool codes_are_in(uint64_t seed)
{
    return seed % 3 == 1 || seed % 12 == 0; /* in some beside the other grants */
}

void codes_init_provider(struct world *w, struct provider *v)
{
    uint64_t n = chance_below(w, 100);

    v->codes = n < 25 ? CODES_NONE : n < 70 ? CODES_ASKED : CODES_BESIDE;
    v->wants_code = v->codes != CODES_NONE && chance_permille(w, 900);
}

/* Where it has one though the provider asks by itself nobody gets in with a code. */
void codes_init_profile(struct world *w, struct model *p)
{
    static const unsigned chances[] = {
        [CODES_NONE] = 100, [CODES_ASKED] = 30, [CODES_BESIDE] = 1000
    };

    p->code.parameter = chance_permille(w, chances[w->providers[p->provider].codes]);
}

void codes_rule_changes(struct world *w, struct provider *v)
{
    if (v->codes == CODES_NONE || !chance_permille(w, 100))
        return;
    v->wants_code = !v->wants_code;
    trace(w, NULL, "a provider wants one-time passwords:", v->wants_code ? "yes" : "no", NEVER,
          NEVER);
}

bool codes_wanted(const struct model *p)
{
    return p->grant == GRANT_PASSWORD &&
           (p->code.need == CODE_UNKNOWN ? p->code.parameter : p->code.need == CODE_WANTED);
}

bool codes_spared(const struct model *p)
{
    return p->newest_refresh_token > 0 && p->use_refresh_token && !p->ledger.stale &&
           !p->by_token.useless;
}

/* ---- people ---------------------------------------------------------------------------------- */

static unsigned some_code(struct world *w)
{
    w->last_code += 2;
    return w->last_code + chance_permille(w, 200);
}

/* All that hangs on the account, one after the other. */
static void log_in_to_all(struct world *w, const struct provider *v)
{
    for (unsigned i = 0; i < w->n_profiles; i++)
        if (&w->providers[w->profiles[i].provider] == v)
            daemon_log_in(w, &w->profiles[i], v->right, some_code(w), false);
}

bool codes_person(struct world *w, struct model *p)
{
    struct provider *v = &w->providers[p->provider];
    bool knows = v->codes != CODES_NONE || p->code.parameter;

    if (chance_permille(w, knows ? 250 : 950))
        return false;
    unsigned password = chance_permille(w, 500) ? v->right : 0;
    switch (chance_below(w, 12)) {
    case 0:
    case 1:
        daemon_log_in(w, p, password, 0, true);
        break;
    case 2: /* mistyped */
        daemon_log_in(w, p, provider_new_password(v), some_code(w), false);
        break;
    case 3:
        log_in_to_all(w, v);
        break;
    case 4: /* and once more, at once */
        daemon_log_in(w, p, v->right, some_code(w), false);
        daemon_log_in(w, p, password, some_code(w), false);
        break;
    case 5: /* the password first: it is kept */
        daemon_log_in(w, p, v->right, 0, false);
        daemon_log_in(w, p, 0, some_code(w), false);
        break;
    default:
        daemon_log_in(w, p, p->typed || p->source ? password : v->right, some_code(w), false);
        break;
    }
    return true;
}

/* ---- the provider ---------------------------------------------------------------------------- */

/* The code goes by a second request, which may fare otherwise than the first. */
static bool second_request(struct world *w, const struct provider *v, struct reply *r)
{
    r->otp_sent = true;
    if (v->regime != REGIME_FLAKY || chance_permille(w, 500))
        return true;
    r->kind = LIFECYCLE_TEMPORARY;
    switch (chance_below(w, 3)) {
    case 0:
        r->http_status = 503;
        r->retry_after = v->retry_after;
        break;
    case 1:
        r->kind = LIFECYCLE_SOFT;
        r->http_status = 403;
        break;
    default:
        r->at = NEVER;
        r->end = ACCOUNT_SILENCE;
        break;
    }
    return false;
}

static bool is_right(const struct world *w, const struct code *c)
{
    return c->sent % 2 == 0 && w->now < c->given_at + CODE_LIFE * SECOND;
}

bool codes_pass(struct world *w, struct model *p, struct provider *v, struct reply *r)
{
    bool sent = p->code.sent > 0, asks = v->codes == CODES_ASKED;

    if (!v->wants_code)
        return true;
    if (asks && (!sent || p->code.parameter)) {
        r->otp_required = true;
        r->end = ACCOUNT_ALONE;
        return false;
    }
    if (asks && !second_request(w, v, r))
        return false;
    if (sent && is_right(w, &p->code))
        return true;
    r->counted = true; /* as a wrong password, for which a person is to blame */
    r->otp_refused = sent;
    return false;
}

/* Whatever it says of what the user sent may be said of the code. */
void codes_judge(struct model *p, struct reply *r)
{
    bool beside = p->code.sent > 0 && p->code.parameter;

    r->otp_sent |= beside;
    if (!r->otp_sent || !r->reached)
        return;
    r->otp_refused |= !r->token && r->end == ACCOUNT_REJECTED;
    if (r->end != ACCOUNT_SILENCE)
        r->end = ACCOUNT_UNKNOWN;
}

/* ---- the job --------------------------------------------------------------------------------- */

void codes_begin(struct model *p, bool by_refresh_token)
{
    p->code.begun = by_refresh_token ? 0 : p->code.given;
    if (!p->code.begun)
        return;
    p->code.given_at = p->code.typed_at;
    p->code.given = 0;
}

void codes_take_job(struct world *w, struct model *p, const struct job *job)
{
    struct code *c = &p->code;

    c->sent = job->otp ? daemon_number(job->otp) : 0;
    if (c->sent && c->sent <= c->latest)
        check_broken(w, p, "P4 no lock-out", "a one-time password is sent twice");
    if (c->sent != c->begun)
        check_broken(w, p, "the job", "its one-time password is not the one that was typed for it");
    if ((job->otp_parameter != NULL) != c->parameter)
        check_broken(w, p, "the job", "it says otherwise how the one-time password is sent");
    if (c->sent)
        c->latest = c->sent;
}

/* ---- the checks ------------------------------------------------------------------------------ */

static void sends(struct world *w, struct model *p)
{
    const struct code *c = &p->code;

    if (!by_password(p))
        return;
    if (!c->sent && codes_wanted(p))
        check_broken(w, p, "P4 no lock-out", "a password goes without the code that is wanted");
    w->statistics.code_logins += c->sent > 0;
}

static void learn(const struct model *p, struct code *c, const struct fact *f)
{
    const struct reply *r = &p->reply;
    bool sent = p->flight == FLIGHT_SENT;
    enum error_code code = profile_error(p->real)->code;

    if (!f->failed && r->otp_sent)
        c->need = CODE_WANTED;
    else if (!f->failed && (c->need != CODE_UNKNOWN || c->parameter))
        c->need = CODE_UNWANTED;
    else if (f->failed && sent && (r->otp_required || r->otp_refused))
        c->need = CODE_WANTED;
    else if (f->failed && c->begun && f->failure != LIFECYCLE_REFUSED && code != ERROR_LOGIN_NEEDED)
        c->need = CODE_WANTED; /* it is used up */
    else if (f->failed && !sent && code == ERROR_OTP_REQUIRED)
        c->need = CODE_WANTED; /* another profile of the account has found out */
}

static void ended(struct world *w, struct model *p, const struct fact *f)
{
    const struct reply *r = &p->reply;
    struct code *c = &p->code;
    struct statistics *s = &w->statistics;
    bool sent = p->flight == FLIGHT_SENT;

    if (p->by_refresh_token && sent) {
        p->by_token.useless |= f->failed && r->refresh_without_token;
        return;
    }
    if (f->failed && f->failure == LIFECYCLE_REFUSED && c->begun &&
        !(sent && r->end == ACCOUNT_REJECTED))
        check_broken(w, p, "P4 no lock-out", "what met a code is held against the password");
    if (sent && r->otp_required && f->failed && f->failure != LIFECYCLE_NO_LOGIN)
        check_broken(w, p, "P4 no lock-out", "a code is wanted, and nobody is asked for it");
    if (sent && c->sent) {
        s->codes_taken += !f->failed && r->otp_sent;
        s->codes_refused += f->failed && r->otp_refused;
        s->codes_lost += f->failed && r->end == ACCOUNT_SILENCE;
        s->codes_in_vain += f->failed && !r->reached;
    }
    s->codes_required += sent && r->otp_required;
    learn(p, c, f);
    c->begun = 0;
}

/* What was typed is there, until its time is over or it is refused. */
static void keeps(const struct world *w, const struct model *p)
{
    bool in_time = p->typed && w->now < p->typed_until;
    bool over = !p->typed || (p->typed_until < w->now && p->typed_until > w->slept_at);
    bool there = profile_has_typed_password(p->real);

    if (in_time && !there)
        check_broken(w, p, "P4 no lock-out", "a typed password is dropped that nobody refused");
    if (over && there && w->now > w->slept_at + SECOND)
        check_broken(w, p, "the job", "a typed password outlives its time");
}

static void rests(const struct world *w, const struct model *p)
{
    bool asked_for = p->lc->state == LIFECYCLE_NEED_LOGIN;
    bool password = p->source || (p->typed && w->now < p->typed_until);

    if (p->flight != FLIGHT_NONE)
        return;
    if (p->code.given)
        check_broken(w, p, "the job", "a one-time password that somebody typed is never sent");
    keeps(w, p);
    if (asked_for && (codes_spared(p) || (password && !codes_wanted(p))))
        check_broken(w, p, "P6 outlives outages", "a login is asked for, though none is needed");
}

static void explained(const struct world *w, const struct model *p, const struct fact *f)
{
    bool password = p->source || (p->typed && w->now < p->typed_until);
    bool alive = p->token.id > 0 && p->token.sent + p->token.lifetime > w->now;
    enum error_code code = f->why->code;

    if (alive || f->call->wants_new || p->flight != FLIGHT_NONE ||
        p->lc->state != LIFECYCLE_NEED_LOGIN || !codes_wanted(p) || !password)
        return;
    if (code != ERROR_OTP_REQUIRED && code != ERROR_OTP_REFUSED)
        check_broken(w, p, "P14 explained", "a code is needed, and something else told");
}

void codes_check(struct world *w, struct model *p, const struct fact *f)
{
    switch (f->kind) {
    case FACT_SENT:
        sends(w, p);
        return;
    case FACT_ENDED:
        ended(w, p, f);
        return;
    case FACT_REST:
        rests(w, p);
        return;
    case FACT_EXPLAINED:
        explained(w, p, f);
        return;
    case FACT_FORGOTTEN:
    case FACT_RESTARTED:
        w->statistics.codes_cut_off += p->flight == FLIGHT_SENT && by_password(p) && p->code.begun;
        p->code.given = p->code.begun = 0;
        return;
    default:
        return;
    }
}

/* ---- statistics ------------------------------------------------------------------------------ */

bool codes_report(const struct statistics *s)
{
    const struct {
        const char *what;
        uint64_t n;
    } happened[] = {
        { "logins with a one-time password", s->code_logins },
        { "that brought a token", s->codes_taken },
        { "refused for it", s->codes_refused },
        { "whose answer was lost", s->codes_lost },
        { "that did not arrive", s->codes_in_vain },
        { "cut off by a restart", s->codes_cut_off },
        { "without one where it was wanted", s->codes_required },
        { "without one by a person's word", s->codes_waived },
        { "not sent for the want of one", s->codes_demanded },
    };
    bool all = true;

    for (size_t i = 0; i < sizeof happened / sizeof *happened; i++) {
        printf("%s%" PRIu64 " %s", i ? ", " : "", happened[i].n, happened[i].what);
        all &= happened[i].n > 0;
    }
    printf("\n");
    return all;
}
