/* Starts the daemon's own code in the world, asks it as its server does, and sees from outside what
 * it does: each step of a lifecycle passes here, by the linker's --wrap. */
#include "tests/simulation/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/digest.h"
#include "daemon/private_file.h"
#include "daemon/rejection.h"

unsigned daemon_number(const char *text)
{
    return (unsigned)strtoul(text + strcspn(text, "0123456789"), NULL, 10);
}

struct model *daemon_model(struct world *w, const char *name)
{
    unsigned n = daemon_number(name);

    if (n >= w->n_profiles || strcmp(w->profiles[n].name, name) != 0)
        check_broken(w, NULL, "the simulation", "there is no such profile");
    return &w->profiles[n];
}

uint64_t daemon_advertised_expiry(const struct model *p, uint64_t now)
{
    static const struct request plain;

    return profile_advertised_expiry(p->real, &plain, now);
}

/* ---- those who wait -------------------------------------------------------------------------- */

static void enqueue(struct model *p, struct caller *c)
{
    TAILQ_INSERT_TAIL(&p->callers, c, entry);
    p->waiters++;
    if (c->call.deadline < p->first_deadline)
        p->first_deadline = c->call.deadline;
}

static void look_for_first_deadline(struct model *p)
{
    const struct caller *c;

    p->first_deadline = NEVER;
    TAILQ_FOREACH (c, &p->callers, entry)
        if (c->call.deadline < p->first_deadline)
            p->first_deadline = c->call.deadline;
}

static void give_back(struct world *w, struct caller *c)
{
    secret_free(c->waiter.secret);
    c->waiter.secret = NULL;
    TAILQ_INSERT_HEAD(&w->free_callers, c, entry);
}

static void take_off(struct world *w, struct model *p, struct caller *c)
{
    TAILQ_REMOVE(&p->callers, c, entry);
    p->waiters--;
    if (c->call.deadline <= p->first_deadline)
        look_for_first_deadline(p);
    give_back(w, c);
}

/* The token that the daemon would hand out: it has to be the newest that came. */
static const struct token *token_of(struct world *w, struct model *p)
{
    const struct secret *token = profile_token(p->real, w->now);

    if (!token)
        check_broken(w, p, "P1 fresh", "there is a token, says the daemon, and has none");
    if (daemon_number(secret_peek(token)) != p->token.id)
        check_broken(w, p, "P1 fresh", "not the newest token is handed out");
    return &p->token;
}

static void tell(struct world *w, struct model *p, const struct call *call, bool good)
{
    const struct token *token = !good ? NULL : call->wants_new ? &p->token : token_of(w, p);

    if (token && call->pid)
        p->hand_outs++;
    check(w, p, &(struct fact){ .kind = FACT_TOLD, .call = call, .token = token });
    client_told(w, call, token);
}

static void on_ready(struct waiter *waiter, struct profile *profile, const struct error *why)
{
    struct caller *c = (struct caller *)(void *)waiter; /* its first member */
    struct world *w = the_world;
    struct model *p = &w->profiles[c->call.profile];
    struct call call = c->call;

    (void)profile;
    take_off(w, p, c);
    tell(w, p, &call, why == NULL);
}

/* A caller for that call, NULL: the house is full. */
static struct caller *receive(struct world *w, const struct call *call, enum protocol_verb verb)
{
    struct caller *c = TAILQ_FIRST(&w->free_callers);

    if (!c)
        return NULL;
    TAILQ_REMOVE(&w->free_callers, c, entry);
    *c = (struct caller){ .call = *call,
                          .waiter = { .request = { .verb = verb,
                                                   .min_validity = call->min_validity,
                                                   .rejected = call->rejected,
                                                   .client_go = call->pid },
                                      .peer = -call->pid,
                                      .deadline = call->deadline,
                                      .ready = on_ready } };
    return c;
}

static void answer(struct world *w, struct model *p, struct caller *c, bool good)
{
    struct call call = c->call;

    give_back(w, c);
    tell(w, p, &call, good);
}

/* Asks the profile as the server does. */
static enum profile_verdict ask(struct world *w, struct model *p, struct profile *real,
                                struct caller *c)
{
    enum profile_verdict verdict = PROFILE_ERROR;
    struct error why;

    w->acting = p;
    w->asking = &c->call;
    if (c->waiter.request.verb == VERB_GET && profile_serve(real, &c->waiter.request, w->now))
        verdict = PROFILE_TOKEN;
    else
        verdict = profile_want(real, &c->waiter, w->now, &why);
    w->asking = NULL;
    if (verdict == PROFILE_ERROR)
        check(w, p, &(struct fact){ .kind = FACT_EXPLAINED, .call = &c->call, .why = &why });
    if (verdict == PROFILE_QUEUED)
        enqueue(p, c);
    else
        answer(w, p, c, verdict == PROFILE_TOKEN);
    return verdict;
}

void daemon_get(struct world *w, struct call call)
{
    struct model *p = &w->profiles[call.profile];
    struct error why;
    struct profile *real = profiles_find(w->configured, p->name, &why);

    call.after_failure = p->ledger.failing;
    struct caller *c = real ? receive(w, &call, VERB_GET) : NULL;
    if (!real != p->absent && !w->config_broken)
        check_broken(w, p, "the profiles",
                     "a profile is there that is not, or the other way round");
    if (c)
        ask(w, p, real, c);
    else
        client_told(w, &call, NULL);
}

/* A person, who waits for half a minute. */
static struct caller *receive_person(struct world *w, struct model *p, enum protocol_verb verb)
{
    struct call call = { .client = NOBODY,
                         .profile = p->number,
                         .wants_new = true,
                         .asked = w->now,
                         .deadline = w->now + 30 * SECOND };

    return p->real ? receive(w, &call, verb) : NULL;
}

static void say(struct world *w, struct model *p, struct caller *c, bool taken)
{
    w->speaking = true;
    enum profile_verdict verdict = ask(w, p, p->real, c);
    w->speaking = false;
    if ((verdict != PROFILE_ERROR) != taken)
        check_broken(w, p, "the profiles",
                     "somebody logs in by what it has no use for, or is not let");
}

void daemon_renew(struct world *w, struct model *p, unsigned password)
{
    if (password) {
        daemon_log_in(w, p, password, 0, false);
        return;
    }
    struct caller *c = receive_person(w, p, VERB_REFRESH);
    if (!c)
        return;
    trace(w, p, "a person says", "refresh", NEVER, NEVER);
    say(w, p, c, true);
}

static void type(struct caller *c, unsigned password, unsigned code)
{
    char text[32] = "";
    int n = password ? snprintf(text, sizeof text, "pw%u", password) : 0;
    int m = code ? snprintf(text + n, sizeof text - (size_t)n, "c%u", code) : 0;

    c->waiter.secret = secret_copy(text, (size_t)(n + m));
    c->waiter.request.otp = (size_t)m;
}

/* What is in hand from then on. Returns whether the daemon has all that it needs. */
static bool typed(struct world *w, struct model *p, unsigned password, unsigned code, bool alone)
{
    bool known = password || p->source || (p->typed && w->now < p->typed_until);

    if (p->grant != GRANT_PASSWORD || !known)
        return false;
    if (alone)
        p->code.need = CODE_UNWANTED;
    if (password) {
        p->typed = password;
        p->typed_until = p->password_lifetime == NEVER ? NEVER : w->now + p->password_lifetime;
    }
    w->statistics.codes_waived += alone;
    w->statistics.codes_demanded += !code && codes_wanted(p);
    if (!code && codes_wanted(p))
        return false;
    p->code.given = code;
    p->code.typed_at = w->now;
    return true;
}

void daemon_log_in(struct world *w, struct model *p, unsigned password, unsigned code, bool alone)
{
    struct caller *c = receive_person(w, p, VERB_LOGIN);

    if (!c)
        return;
    trace(w, p, "a person says login", alone ? "without a code" : NULL, password * SECOND,
          code ? code * SECOND : NEVER);
    type(c, password, code);
    c->waiter.request.no_otp = alone;
    bool taken = typed(w, p, password, code, alone);
    if (!taken && codes_wanted(p) && !profile_wants_otp(p->real))
        check_broken(w, p, "P4 no lock-out", "that a code is wanted is forgotten");
    say(w, p, c, taken);
}

void daemon_renew_by_token(struct world *w, struct model *p, uint32_t refresh_token)
{
    struct caller *c = receive_person(w, p, VERB_LOGIN);
    bool taken = p->use_refresh_token && p->grant != GRANT_COMMAND && p->grant != GRANT_EXCHANGE;
    char text[16];

    if (!c)
        return;
    trace(w, p, "a person gives the refresh token", NULL, refresh_token * SECOND, NEVER);
    int n = snprintf(text, sizeof text, "r%u", refresh_token);
    c->waiter.secret = secret_copy(text, (size_t)n);
    c->waiter.request.format = FORMAT_REFRESH_TOKEN;
    if (taken) {
        w->statistics.gifts++;
        w->statistics.gifts_under_way += p->flight != FLIGHT_NONE;
        p->by_token.given = refresh_token;
        p->code.given = 0; /* that is another login */
    }
    say(w, p, c, taken);
}

static void on_shown(struct waiter *waiter, struct profile *profile)
{
    (void)waiter, (void)profile;
}

/* Not in the queue of its profile: it waits as long as the code lives. */
static void on_login_ready(struct waiter *waiter, struct profile *profile, const struct error *why)
{
    struct caller *c = (struct caller *)(void *)waiter; /* its first member */
    struct world *w = the_world;
    struct model *p = &w->profiles[c->call.profile];

    (void)profile;
    trace(w, p, "a login elsewhere ends:", why ? error_name(why->code) : "confirmed", NEVER, NEVER);
    w->statistics.confirmed += !why;
    w->statistics.denied += why && why->code == ERROR_LOGIN_DENIED;
    w->statistics.expired += why && why->code == ERROR_CODE_EXPIRED;
    p->device.caller = NULL;
    give_back(w, c);
}

void daemon_login_by_device(struct world *w, struct model *p)
{
    struct caller *c = p->device.caller ? NULL : receive_person(w, p, VERB_LOGIN);
    struct error why;

    if (!c)
        return;
    trace(w, p, "a person begins a login elsewhere", NULL, NEVER, NEVER);
    c->waiter.request.format = FORMAT_DEVICE;
    c->waiter.ready = on_login_ready;
    c->waiter.shown = on_shown;
    p->device.caller = c;
    w->acting = p;
    if (profile_want(p->real, &c->waiter, w->now, &why) != PROFILE_QUEUED)
        check_broken(w, p, "the profiles", "no login elsewhere is begun");
}

void daemon_leave_login(struct world *w, struct model *p)
{
    struct caller *c = p->device.caller;

    trace(w, p, "who has the code shown leaves", NULL, NEVER, NEVER);
    w->statistics.abandoned++;
    p->device.caller = NULL;
    w->acting = p;
    profile_forget(&c->waiter);
    give_back(w, c);
}

void daemon_logout(struct world *w, struct model *p)
{
    if (!p->real)
        return;
    trace(w, p, "a person says", "logout", NEVER, NEVER);
    profile_logout(p->real, NULL);
}

void daemon_client_gone(struct world *w, unsigned client)
{
    struct model *p = &w->profiles[w->clients[client].profile];
    struct caller *c;

    TAILQ_FOREACH (c, &p->callers, entry)
        if (c->call.client == client) {
            trace(w, p, "a client is gone", NULL, NEVER, NEVER);
            profile_forget(&c->waiter);
            take_off(w, p, c);
            return;
        }
}

void daemon_network(struct world *w)
{
    bool route = chance_permille(w, 500);

    if (w->wanting == 0 && !route)
        return; /* then that is not listened to */
    trace(w, NULL, "the network comes up", route ? "by another way out" : NULL, NEVER, NEVER);
    profiles_system_changed(w->configured, route ? SYSTEM_ROUTE : SYSTEM_NETWORK);
}

void daemon_resume(struct world *w)
{
    profiles_system_changed(w->configured, SYSTEM_RESUME);
}

/* ---- what it does ---------------------------------------------------------------------------- */

struct profile *__real_profile_new(struct context *shared, const struct profile_config *config);
struct profile *__wrap_profile_new(struct context *shared, const struct profile_config *config);
struct profile *__wrap_profile_new(struct context *shared, const struct profile_config *config)
{
    struct model *p = daemon_model(the_world, config->name);

    the_world->acting = p;
    p->real = __real_profile_new(shared, config);
    return p->real;
}

void __real_lifecycle_init(struct lifecycle *lc, uint64_t now);
void __wrap_lifecycle_init(struct lifecycle *lc, uint64_t now);
void __wrap_lifecycle_init(struct lifecycle *lc, uint64_t now)
{
    the_world->acting->lc = lc;
    __real_lifecycle_init(lc, now);
}

static struct model *model_of(struct world *w, const struct lifecycle *lc)
{
    for (unsigned i = 0; i < w->n_profiles; i++)
        if (w->profiles[i].lc == lc)
            return &w->profiles[i];
    check_broken(w, NULL, "the simulation", "a lifecycle that nobody has begun");
}

enum account_verdict __real_account_ask(struct account *account,
                                        const struct account_credential *what,
                                        enum account_leave leave, const void *who, uint32_t random,
                                        uint64_t now, uint64_t *ret_when);
enum account_verdict __wrap_account_ask(struct account *account,
                                        const struct account_credential *what,
                                        enum account_leave leave, const void *who, uint32_t random,
                                        uint64_t now, uint64_t *ret_when);
enum account_verdict __wrap_account_ask(struct account *account,
                                        const struct account_credential *what,
                                        enum account_leave leave, const void *who, uint32_t random,
                                        uint64_t now, uint64_t *ret_when)
{
    bool unneeded = leave == ACCOUNT_BY_ROUTE && account_next(account, what) <= now;

    the_world->leave = unneeded ? ACCOUNT_BY_RULE : leave;
    return __real_account_ask(account, what, leave, who, random, now, ret_when);
}

void daemon_sent(struct world *w, struct model *p)
{
    p->flight = FLIGHT_SENT;
    p->sent = w->now;
    p->sent_forced = by_password(p) && w->leave == ACCOUNT_BY_PERSON;
    p->sent_by_route = by_password(p) && w->leave == ACCOUNT_BY_ROUTE;
    trace(w, p, "request by",
          p->job == JOB_REFRESH    ? "refresh token"
          : p->job == JOB_EXCHANGE ? "exchange"
          : p->job == JOB_VERIFY   ? "command"
                                   : "password",
          by_password(p) ? p->password * SECOND : NEVER, NEVER);
    check(w, p, &(struct fact){ .kind = FACT_SENT });
    if (w->queue.place[EVENT_RESTART] && chance_permille(w, 2)) /* in the middle of it */
        queue_set(&w->queue, EVENT_RESTART, w->now + chance_span(w, MSEC, SECOND));
}

bool __real_rejection_confirm(struct rejection *s, const struct rejection_client *client,
                              unsigned calls, uint64_t now);
bool __wrap_rejection_confirm(struct rejection *s, const struct rejection_client *client,
                              unsigned calls, uint64_t now);
bool __wrap_rejection_confirm(struct rejection *s, const struct rejection_client *client,
                              unsigned calls, uint64_t now)
{
    struct world *w = the_world;
    bool suspected = __real_rejection_confirm(s, client, calls, now);

    if (!suspected)
        return false;
    struct model *p = &w->profiles[w->asking->profile];
    w->asking->suspected = true;
    trace(w, p, "the token is suspected", NULL, NEVER, NEVER);
    w->statistics.suspicions++;
    check(w, p, &(struct fact){ .kind = FACT_SUSPECTED, .call = w->asking });
    return true;
}

static struct cause cause_of(const struct model *p, const struct lifecycle_event *event)
{
    struct cause cause = { .type = event->type };

    if (event->type == LIFECYCLE_FAILED || event->type == LIFECYCLE_TOKEN) {
        cause.fallback = event->type == LIFECYCLE_FAILED && p->by_refresh_token &&
                         p->reply.retry_after == 0;
        cause.min_validity = event->type == LIFECYCLE_TOKEN && p->by_refresh_token;
        cause.again = p->ledger.change_pending;
        cause.person = p->ledger.person_pending;
    } else if (event->type == LIFECYCLE_CHANGED) {
        cause.person = event->changed.person;
    } else if (event->type == LIFECYCLE_WANTED) {
        cause.suspected = event->wanted.suspected;
        cause.rejected = event->wanted.rejected;
        cause.min_validity = event->wanted.min_validity > 0;
    }
    return cause;
}

static bool is_of_the_user(enum error_code code)
{
    enum error_class class = error_class(code);

    return class == ERROR_CLASS_REFUSED_USER || class == ERROR_CLASS_REFUSED_EITHER;
}

/* A refresh token that was refused is gone; so is one that brings nothing newer, when the token is
 * dead or there is a password. */
static void token_refused(struct world *w, struct model *p, const struct lifecycle_event *event)
{
    bool dead = p->token.id == 0 || p->token.sent + p->token.lifetime <= w->now;

    if (event->type != LIFECYCLE_FAILED)
        return;
    if (event->failed.kind == LIFECYCLE_REFUSED ||
        (event->failed.kind == LIFECYCLE_STALE && (dead || p->ledger.stale))) {
        p->by_token.refused = p->refresh_token;
        p->newest_refresh_token = 0;
    }
}

static void request_ended(struct world *w, struct model *p, const struct lifecycle_event *event)
{
    bool failed = event->type == LIFECYCLE_FAILED;

    check(w, p,
          &(struct fact){ .kind = FACT_ENDED,
                          .failed = failed,
                          .rests = failed && event->failed.nobody_waits,
                          .failure = failed ? event->failed.kind : LIFECYCLE_TEMPORARY });
    /* one that was refused is not sent again: it has its answer already */
    bool answered = p->newest_refresh_token > 0 && p->newest_refresh_token == p->by_token.refused;
    if (p->flight == FLIGHT_SENT ? p->by_refresh_token : p->lc->by_refresh_token && answered)
        token_refused(w, p, event);
    if (failed && event->failed.kind == LIFECYCLE_REFUSED && !p->lc->by_refresh_token &&
        is_of_the_user(profile_error(p->real)->code))
        p->typed = 0;
    p->flight = FLIGHT_NONE;
    if (failed)
        return;
    p->token = (struct token){ ++w->last_token, p->reply.key, p->sent, p->reply.lifetime };
    p->tool.in_hand = p->tool.serial;
    w->statistics.tokens++;
}

static void forgotten(struct world *w, struct model *p)
{
    check(w, p, &(struct fact){ .kind = FACT_FORGOTTEN });
    p->flight = FLIGHT_NONE;
    p->typed = 0;
    p->token.id = 0;
    p->newest_refresh_token = 0; /* none that may be sent any more */
    p->by_token.given = 0;
}

/* The last poll was the request, whatever had been begun beside it. */
static void by_device(struct model *p)
{
    p->flight = FLIGHT_SENT;
    p->job = JOB_POLL;
    p->by_refresh_token = false;
}

/* Before lifecycle.c hears of it. */
static void before(struct world *w, struct model *p, const struct lifecycle_event *event)
{
    p->cause = cause_of(p, event);
    if (event->type == LIFECYCLE_TOKEN && event->token.login)
        by_device(p);
    switch (event->type) {
    case LIFECYCLE_TOKEN:
    case LIFECYCLE_FAILED:
        request_ended(w, p, event);
        return;
    case LIFECYCLE_CHANGED:
        check(w, p,
              &(struct fact){ .kind = FACT_CHANGED,
                              .person = w->speaking,
                              .password = event->changed.password,
                              .refresh_token = event->changed.refresh_token,
                              .use = event->changed.person });
        return;
    case LIFECYCLE_FORGET:
        forgotten(w, p);
        return;
    case LIFECYCLE_GAVE_UP:
        check(w, p, &(struct fact){ .kind = FACT_GAVE_UP });
        return;
    case LIFECYCLE_SYSTEM_CHANGED:
        check(w, p, &(struct fact){ .kind = FACT_NETWORK, .route = event->system_changed.route });
        return;
    case LIFECYCLE_WANTED:
    case LIFECYCLE_TIMER:
        return;
    }
}

/* Nothing is under way any more: from now on what somebody gave is the refresh token. */
static void take_given(struct world *w, struct model *p)
{
    p->newest_refresh_token = p->by_token.given;
    p->by_token.given = 0;
    check(w, p, &(struct fact){ .kind = FACT_GIVEN });
}

static const char *const event_names[] = {
    [LIFECYCLE_WANTED] = "wanted ->",   [LIFECYCLE_TIMER] = "timer ->",
    [LIFECYCLE_TOKEN] = "token ->",     [LIFECYCLE_FAILED] = "failed ->",
    [LIFECYCLE_CHANGED] = "changed ->", [LIFECYCLE_FORGET] = "forget ->",
    [LIFECYCLE_GAVE_UP] = "gave up ->", [LIFECYCLE_SYSTEM_CHANGED] = "world ->",
};

struct lifecycle_actions __real_lifecycle_step(struct lifecycle *lc,
                                               const struct lifecycle_policy *policy,
                                               const struct lifecycle_event *event, uint64_t now);
struct lifecycle_actions __wrap_lifecycle_step(struct lifecycle *lc,
                                               const struct lifecycle_policy *policy,
                                               const struct lifecycle_event *event, uint64_t now);
struct lifecycle_actions __wrap_lifecycle_step(struct lifecycle *lc,
                                               const struct lifecycle_policy *policy,
                                               const struct lifecycle_event *event, uint64_t now)
{
    struct world *w = the_world;
    struct model *p = model_of(w, lc);

    bool inside = event->type == LIFECYCLE_WANTED &&
                  (!w->asking || w->asking->profile != p->number);
    struct call call = inside ? grants_call(w, p, event) : (struct call){ .client = NOBODY };

    p->policy = policy;
    before(w, p, event);
    struct lifecycle_actions actions = __real_lifecycle_step(lc, policy, event, now);
    uint64_t next = lifecycle_next(lc, policy);
    trace(w, p, event_names[event->type], lifecycle_state_name(lc->state),
          next == NEVER ? NEVER
          : next > now  ? next - now
                        : 0,
          NEVER);
    if (event->type == LIFECYCLE_WANTED)
        check(w, p,
              &(struct fact){ .kind = FACT_WANTED,
                              .call = inside ? &call : w->asking,
                              .verdict = actions.verdict });
    if (actions.take_offered && !p->by_token.given)
        check_broken(w, p, "the job", "a refresh token is taken that nobody gave");
    if (actions.request && p->by_token.given)
        take_given(w, p);
    if (actions.request) {
        check(w, p, &(struct fact){ .kind = FACT_REQUEST });
        p->flight = FLIGHT_BEGUN;
        p->begun = now;
        p->begun_with = p->typed;
        codes_begin(p, lc->by_refresh_token);
    }
    return actions;
}

/* ---- its lives ------------------------------------------------------------------------------- */

static const char *const paths[] = { "/etc/kubetoken.conf" }; /* a name, nothing more */

static void unconfigured(struct world *w, struct model *p)
{
    p->real = NULL;
    p->lc = NULL;
    forgotten(w, p);
    p->code.need = CODE_UNKNOWN;
    p->ledger.unsettled_at = 0;
    p->ledger.suspected_at = p->ledger.suspected_token = 0;
}

void daemon_start(struct world *w)
{
    struct sd_event *none = (struct sd_event *)w; /* never looked into */

    w->shared = (struct context){ .event = none, .fetcher.fd = -1 };
    fetch_queue_init(&w->shared.fetch_queue);
    TAILQ_INIT(&w->shared.turns);
    int kept = w->kept >= 0 ? dup(w->kept) : -1;
    w->shared.store = store_new(&kept, kept >= 0);
    w->shared.accounts = w->shared.store ? account_table_new(w->shared.store) : NULL;
    w->configured = profiles_new(&w->shared, paths, 1);
    if (!w->shared.accounts || !w->configured)
        abort();
    digest_set_key(store_key(w->shared.store));
    profiles_reload(w->configured);
}

/* Whoever waits is cut off. */
static void hang_up(struct world *w, struct model *p)
{
    struct caller *c;

    if (p->device.caller)
        daemon_leave_login(w, p);
    while ((c = TAILQ_FIRST(&p->callers))) {
        struct call call = c->call;
        profile_forget(&c->waiter);
        take_off(w, p, c);
        client_told(w, &call, NULL);
    }
}

/* What its next life takes up: more than it was told to keep is as wrong as less. */
static void restarted(struct world *w, struct model *p)
{
    bool in_flight = p->flight == FLIGHT_SENT && p->by_refresh_token;

    if (!p->real || p->kept == KEEP_NOTHING) {
        unconfigured(w, p);
        return;
    }
    p->real = NULL;
    p->lc = NULL;
    if (p->kept != KEEP_ALL || in_flight)
        p->newest_refresh_token = 0;
    p->by_token.given = 0;
    check(w, p, &(struct fact){ .kind = FACT_RESTARTED });
    p->flight = FLIGHT_NONE;
    if (p->kept != KEEP_ALL || (p->origin != ORIGIN_TYPED && !codes_wanted(p)))
        p->typed = 0;
    if (p->token.sent + p->token.lifetime <= w->now)
        p->token.id = 0; /* a dead one is of no use */
}

void daemon_stop(struct world *w, bool again)
{
    for (unsigned i = 0; i < w->n_profiles; i++)
        hang_up(w, &w->profiles[i]);
    profiles_free(w->configured);
    if (w->working != 0)
        check_broken(w, NULL, "P12 quiet", "work that nobody does keeps the watchdog awake");
    account_table_free(w->shared.accounts);
    store_free(w->shared.store);
    for (unsigned i = 0; i < w->n_profiles; i++)
        if (again)
            restarted(w, &w->profiles[i]);
        else
            unconfigured(w, &w->profiles[i]);
}

enum keep_over_restart daemon_some_keep(struct world *w)
{
    return chance_permille(w, 500)   ? KEEP_TOKENS
           : chance_permille(w, 800) ? KEEP_ALL
                                     : KEEP_NOTHING;
}

/* Edits the section of that profile. Returns whether it is the same identity as before. */
static bool edit(struct world *w, struct model *p)
{
    bool other = chance_permille(w, 30);

    if (chance_permille(w, 300))
        p->keep = daemon_some_keep(w);
    p->other_scope ^= other;
    if (other)
        p->code.need = CODE_UNKNOWN;
    p->other_path ^= chance_permille(w, 500);
    p->absent = chance_permille(w, p->absent ? 200 : 30);
    if (p->grant == GRANT_EXCHANGE) /* none without the other, which was looked at before it */
        p->absent |= w->profiles[p->source_profile].absent;
    return !other && !p->absent;
}

void daemon_reload(struct world *w)
{
    trace(w, NULL, "reload", NULL, NEVER, NEVER);
    w->private_file_stamp++;
    w->config_broken = chance_permille(w, 50);
    bool keeps[PROFILES_MAX], sames[PROFILES_MAX];
    for (unsigned i = 0; i < w->n_profiles; i++) {
        struct model *p = &w->profiles[i];
        bool same = w->config_broken || edit(w, p);
        if (p->grant == GRANT_EXCHANGE)
            same &= sames[p->source_profile];
        sames[i] = same;
        keeps[i] = same && p->real && profile_token(p->real, w->now);
    }
    w->acting = NULL;
    profiles_reload(w->configured);
    for (unsigned i = 0; i < w->n_profiles; i++) {
        struct model *p = &w->profiles[i];
        if (!w->config_broken && p->absent && p->real)
            unconfigured(w, p);
        if (keeps[i])
            token_of(w, p);
    }
}

static void p11_restart(struct world *w, struct model *p)
{
    if (!p->real)
        return;
    if (p->token.id == 0 && profile_token(p->real, w->now))
        check_broken(w, p, "P11 restart", "a token is there that was not to be kept");
    if (p->token.id > 0 && p->token.sent + p->token.lifetime > w->now) {
        if (!profile_token(p->real, w->now))
            check_broken(w, p, "P11 restart", "a token is lost");
        token_of(w, p);
        w->statistics.kept++;
    }
    bool typed = p->typed && w->now < p->typed_until;
    if (typed && p->origin == ORIGIN_TYPED && !codes_wanted(p) &&
        p->lc->state == LIFECYCLE_NEED_LOGIN)
        check_broken(w, p, "P11 restart", "a typed password is lost");
    if (grants_need_person(p) && p->newest_refresh_token > 0 &&
        p->lc->state == LIFECYCLE_NEED_LOGIN)
        check_broken(w, p, "P11 restart", "a refresh token is lost");
    /* asking, since the configuration is another now, it is about to find out */
    if (!typed && p->origin == ORIGIN_TYPED && p->newest_refresh_token == 0 &&
        p->lc->state != LIFECYCLE_NEED_LOGIN && p->lc->state != LIFECYCLE_STOPPED &&
        p->lc->state != LIFECYCLE_ASKING)
        check_broken(w, p, "P11 restart", "what was not to be kept is there");
}

/* What is kept is what the last life was told to keep, and the next one is. */
static enum keep_over_restart least_of(enum keep_over_restart a, enum keep_over_restart b)
{
    return a == KEEP_NOTHING || b == KEEP_NOTHING ? KEEP_NOTHING : a == b ? a : KEEP_TOKENS;
}

/* Now and then somebody edits the file, before. */
static void end_life(struct world *w)
{
    bool edited = chance_permille(w, 300), same[PROFILES_MAX];

    for (unsigned i = 0; i < w->n_profiles; i++) {
        struct model *p = &w->profiles[i];
        p->kept = p->keep;
        same[i] = !edited || edit(w, p);
        p->kept = least_of(p->kept, p->keep);
    }
    daemon_stop(w, true);
    for (unsigned i = 0; i < w->n_profiles; i++)
        if (!same[i])
            unconfigured(w, &w->profiles[i]);
}

/* What the daemon knows of the accounts outlives it, and as much of the profiles as they say; who
 * was trying is gone. After a crash nobody has told them what became of the request under way. */
void daemon_restart(struct world *w)
{
    bool crash = chance_permille(w, 500);

    if (chance_permille(w, 200))
        daemon_reload(w);
    size_t size = (size_t)lseek(w->kept, 0, SEEK_END);
    void *before_it = malloc(size);

    trace(w, NULL, "the daemon is started again", crash ? "after a crash" : NULL, NEVER, NEVER);
    if (!before_it || pread(w->kept, before_it, size, 0) != (ssize_t)size)
        abort();
    w->crashing = crash;
    end_life(w);
    w->crashing = false;
    if (crash && pwrite(w->kept, before_it, size, 0) != (ssize_t)size)
        abort();
    free(before_it);
    for (unsigned i = 0; i < w->n_providers; i++)
        w->providers[i].refused_at = 0;
    w->config_broken = false;
    for (unsigned i = 0; i < w->n_clients; i++)
        w->clients[i].times = 0; /* it does not know who had which token */
    daemon_start(w);
    for (unsigned i = 0; i < w->n_profiles; i++)
        p11_restart(w, &w->profiles[i]);
}
