/* What daemon/profile.c does with lifecycle.c and account.c, in virtual time. */
#include "tests/simulation/world.h"

#include <stddef.h>

static const uint64_t request_time = 15 * SECOND + SECOND / 2;

static struct lifecycle_actions step(struct world *w, struct profile *p,
                                     struct lifecycle_event event);

static account_digest digest_of(unsigned password)
{
    return password * 0x9e3779b97f4a7c15;
}

static struct provider *provider_of(struct world *w, const struct profile *p)
{
    return &w->providers[p->provider];
}

static bool alive(const struct profile *p, uint64_t now)
{
    return p->token.id > 0 && lifecycle_alive(&p->lc, now);
}

uint64_t daemon_hand_over(const struct profile *p, uint64_t now)
{
    return p->lc.hand_over > now + 10 * SECOND ? p->lc.hand_over : p->lc.death;
}

/* ---- waiting clients ----------------------------------------------------------------------------
 */

static void enqueue(struct world *w, struct profile *p, const struct call *call)
{
    uint16_t n = w->free_waiter;
    struct waiter *new = &w->waiters[n];

    w->free_waiter = new->next;
    *new = (struct waiter){ .call = *call, .previous = p->last_waiter };
    if (p->last_waiter)
        w->waiters[p->last_waiter].next = n;
    else
        p->first_waiter = n;
    p->last_waiter = n;
    p->waiters++;
    p->slot.urgent = true;
    if (p->flight == FLIGHT_STARTING && p->delayed)
        queue_set(&w->queue, SOURCE_START + p->number, w->now);
    p->delayed = false;
    if (call->deadline < p->first_deadline)
        p->first_deadline = call->deadline;
}

static void take_off(struct world *w, struct profile *p, uint16_t n)
{
    struct waiter *gone = &w->waiters[n];

    if (gone->next)
        w->waiters[gone->next].previous = gone->previous;
    else
        p->last_waiter = gone->previous;
    if (gone->previous)
        w->waiters[gone->previous].next = gone->next;
    else
        p->first_waiter = gone->next;
    p->waiters--;
    gone->next = w->free_waiter;
    w->free_waiter = n;
    p->deadline_gone |= gone->call.deadline <= p->first_deadline;
}

static void look_for_first_deadline(const struct world *w, struct profile *p)
{
    p->deadline_gone = false;
    p->first_deadline = NEVER;
    for (uint16_t i = p->first_waiter; i; i = w->waiters[i].next)
        if (w->waiters[i].call.deadline < p->first_deadline)
            p->first_deadline = w->waiters[i].call.deadline;
}

/* A token goes to a client: account.c wants to know, unless it has been told when it was asked. */
static void tell(struct world *w, struct profile *p, const struct call *call, bool token)
{
    if (token && call->pid && call->noted != p->lc.sent)
        suspicion_note(&p->suspicion, call->pid, p->lc.sent, w->now);
    if (token && call->pid)
        p->hand_outs++;
    check(w, p,
          &(struct fact){ .kind = FACT_TOLD, .call = call, .token = token ? &p->token : NULL });
    client_told(w, call, token ? &p->token : NULL);
}

static void tell_waiter(struct world *w, struct profile *p, uint16_t n, bool token)
{
    struct call call = w->waiters[n].call;

    take_off(w, p, n);
    tell(w, p, &call, token);
}

static bool served(const struct world *w, const struct profile *p, const struct call *call)
{
    return !call->wants_new && alive(p, w->now) && p->lc.death - w->now >= call->min_validity;
}

static void conclude(struct world *w, struct profile *p, uint16_t n)
{
    const struct call *call = &w->waiters[n].call;
    bool asking = p->lc.state == LIFECYCLE_ASKING;

    if (call->wants_new && asking && w->now < call->deadline)
        return; /* what ended was begun before it was asked for */
    tell_waiter(w, p, n, call->wants_new ? !p->error && !asking : served(w, p, call));
}

static void answer_waiters(struct world *w, struct profile *p, uint64_t ending_before)
{
    for (uint16_t n = p->first_waiter, next; n; n = next) {
        const struct call *call = &w->waiters[n].call;
        next = w->waiters[n].next;
        if (call->deadline < ending_before ||
            (p->lc.state != LIFECYCLE_ASKING && served(w, p, call)))
            conclude(w, p, n);
    }
}

/* ---- the request
 * --------------------------------------------------------------------------------- */

static void arm(struct world *w, struct profile *p)
{
    uint64_t next = lifecycle_next(&p->lc, &p->policy);

    if (p->deadline_gone)
        look_for_first_deadline(w, p);
    if (p->first_deadline < next)
        next = p->first_deadline;
    if (p->flight == FLIGHT_SENT && p->request_deadline < next)
        next = p->request_deadline;
    queue_set(&w->queue, SOURCE_TIMER + p->number, next);
}

/* Those who waited for a trial may ask now. */
static void trial_is_over(struct world *w, const struct provider *v)
{
    for (unsigned i = 0; i < w->n_profiles; i++) {
        struct profile *p = &w->profiles[i];
        if (p->flight == FLIGHT_TRIAL && provider_of(w, p) == v)
            queue_set(&w->queue, SOURCE_START + i, w->now);
    }
}

static void give_slot(struct world *w, struct profile *p)
{
    struct slot *next;

    slots_give(&w->slots, &p->slot);
    while ((next = slots_next(&w->slots))) {
        p = (struct profile *)(void *)((char *)next - offsetof(struct profile, slot));
        queue_set(&w->queue, SOURCE_START + p->number, w->now);
    }
}

static void end_request(struct world *w, struct profile *p, enum account_end end)
{
    struct provider *v = provider_of(w, p);
    bool sent = p->flight == FLIGHT_SENT;

    p->flight = FLIGHT_NONE;
    queue_set(&w->queue, SOURCE_START + p->number, NEVER);
    queue_set(&w->queue, SOURCE_ANSWER + p->number, NEVER);
    give_slot(w, p);
    /* a person's word counts for one request by password, one token, one word of the account */
    if (sent && p->sent_forced &&
        (end == ACCOUNT_TOOK || (!p->by_refresh_token && end != ACCOUNT_NOT_SENT)))
        p->forced = false;
    if (sent && !p->by_refresh_token) {
        account_ended(&v->account, digest_of(p->password), p, end, w->now);
        trial_is_over(w, v);
    }
}

static void fail(struct world *w, struct profile *p, enum lifecycle_failure kind,
                 const struct reply *r)
{
    p->error = true;
    if ((kind == LIFECYCLE_REFUSED || kind == LIFECYCLE_DOUBTFUL) && !p->by_refresh_token) {
        p->refused_stamp = p->read_stamp;
        p->refused_typed = p->typed > 0;
        if (kind == LIFECYCLE_REFUSED)
            p->typed = 0;
    }
    check(w, p, &(struct fact){ .kind = FACT_ENDED, .failed = true, .failure = kind });
    end_request(w, p, r->end);
    step(w, p,
         (struct lifecycle_event){ .type = LIFECYCLE_FAILED,
                                   .failed = { .kind = kind,
                                               .retry_after = r->retry_after,
                                               .refresh_without_token = r->refresh_without_token,
                                               .password_at_hand = p->typed || p->source } });
}

static void fail_unsent(struct world *w, struct profile *p, enum lifecycle_failure kind,
                        uint64_t retry_after)
{
    p->reply = (struct reply){ .kind = kind, .end = ACCOUNT_NOT_SENT, .retry_after = retry_after };
    fail(w, p, kind, &p->reply);
}

static void take_token(struct world *w, struct profile *p)
{
    const struct reply *r = &p->reply;
    uint64_t replaced = p->lc.sent;

    check(w, p, &(struct fact){ .kind = FACT_ENDED });
    p->token = (struct token){ ++w->last_token, r->key, p->sent, r->lifetime };
    w->statistics.tokens++;
    if (r->refresh_token)
        p->refresh_token = r->refresh_token;
    p->error = false;
    end_request(w, p, r->end);
    if (replaced)
        suspicion_calm(&p->suspicion, replaced);
    step(w, p,
         (struct lifecycle_event){ .type = LIFECYCLE_TOKEN,
                                   .token = { .sent = p->sent,
                                              .lifetime = r->lifetime,
                                              .refresh_token = p->refresh_token > 0 } });
}

void daemon_answer(struct world *w, struct profile *p)
{
    trace(w, p, "answer:", p->reply.token ? "token" : "failure", p->reply.retry_after, NEVER);
    if (p->reply.token)
        take_token(w, p);
    else
        fail(w, p, p->reply.kind, &p->reply);
}

/* Nothing came in time. */
static void fail_stuck(struct world *w, struct profile *p)
{
    trace(w, p, "no answer in time", NULL, NEVER, NEVER);
    enum lifecycle_failure kind = LIFECYCLE_TEMPORARY;
    const struct account *account = &provider_of(w, p)->account;

    if (p->reply.reached && !p->by_refresh_token && account_doubts(account, digest_of(p->password)))
        kind = LIFECYCLE_DOUBTFUL;
    p->reply.token = false;
    p->reply.kind = kind;
    p->reply.retry_after = 0;
    p->reply.refresh_without_token = false;
    if (p->reply.reached)
        p->reply.end = ACCOUNT_SILENCE;
    p->reply.at = NEVER;
    fail(w, p, kind, &p->reply);
}

static void send(struct world *w, struct profile *p)
{
    p->flight = FLIGHT_SENT;
    p->sent = w->now;
    p->request_deadline = w->now + request_time;
    p->reply = provider_receive(w, p);
    trace(w, p, "request by", p->by_refresh_token ? "refresh token" : "password",
          p->by_refresh_token ? NEVER : p->password * SECOND, NEVER);
    check(w, p, &(struct fact){ .kind = FACT_SENT });
    queue_set(&w->queue, SOURCE_ANSWER + p->number, p->reply.at);
    arm(w, p);
}

/* It is its turn. The account is asked last, when nothing stands between its word and the
 * request: what it learnt while this one waited counts. */
static void send_if_allowed(struct world *w, struct profile *p)
{
    struct provider *v = provider_of(w, p);
    uint64_t when = 0;
    bool said = p->forced && account_hears(&v->account, digest_of(p->password), p->said);

    p->sent_forced = p->forced;
    if (p->by_refresh_token) {
        send(w, p);
        return;
    }
    switch (account_ask(&v->account, digest_of(p->password), said, p, w->now, &when)) {
    case ACCOUNT_GO:
        send(w, p);
        return;
    case ACCOUNT_REFUSED:
        trace(w, p, "the account: refused before", NULL, NEVER, NEVER);
        p->forced = false;
        fail_unsent(w, p, LIFECYCLE_REFUSED, 0);
        return;
    case ACCOUNT_TRIAL:
        trace(w, p, "the account: somebody else tries", NULL, NEVER, NEVER);
        p->flight = FLIGHT_TRIAL;
        give_slot(w, p);
        return;
    case ACCOUNT_EMPTY:
        trace(w, p, "the account: enough logins", NULL, when - w->now, NEVER);
        fail_unsent(w, p, LIFECYCLE_THROTTLED, when - w->now);
        return;
    }
}

static void gather(struct world *w, struct profile *p)
{
    p->by_refresh_token = p->lc.by_refresh_token;
    p->read_stamp = p->stamp;
    p->password = p->typed ? p->typed : p->source;
    if (!p->by_refresh_token && !p->typed) {
        if (p->source == 0) {
            fail_unsent(w, p, LIFECYCLE_NO_LOGIN, 0);
            return;
        }
        if (p->source_broken) {
            fail_unsent(w, p, LIFECYCLE_LOCAL, 0);
            return;
        }
    }
    p->slot.provider = provider_of(w, p)->name;
    p->slot.urgent = p->first_waiter > 0;
    p->flight = FLIGHT_SLOT;
    if (slots_take(&w->slots, &p->slot))
        send_if_allowed(w, p);
}

void daemon_start(struct world *w, struct profile *p)
{
    if (p->flight == FLIGHT_SLOT && p->slot.held)
        send_if_allowed(w, p);
    else if (p->flight == FLIGHT_STARTING || p->flight == FLIGHT_TRIAL)
        gather(w, p);
    arm(w, p);
}

/* ---- lifecycle
 * ------------------------------------------------------------------------------------ */

/* The extremes of the jitter are the cases that hurt. */
static uint32_t jitter(struct world *w)
{
    uint64_t r = chance(w);

    return r >> 60 == 0 ? 0 : r >> 60 == 1 ? UINT32_MAX : (uint32_t)r;
}

static void carry_out(struct world *w, struct profile *p, const struct lifecycle_actions *actions)
{
    if (actions->drop_token)
        p->token.id = 0;
    if (actions->drop_refresh_token)
        p->refresh_token = 0;
    if (actions->request) {
        check(w, p, &(struct fact){ .kind = FACT_REQUEST });
        p->flight = FLIGHT_STARTING;
        bool at_once = p->first_waiter || p->forced;
        uint64_t delay = at_once ? 0 : lifecycle_delay(&p->lc, jitter(w), w->now);
        p->delayed = delay > 0;
        /* a command may have to give the password */
        queue_set(&w->queue, SOURCE_START + p->number,
                  w->now + delay + (chance_permille(w, 900) ? 0 : chance_span(w, MSEC, SECOND)));
    }
    if (actions->waiters != LIFECYCLE_KEEP)
        answer_waiters(w, p, actions->waiters == LIFECYCLE_ANSWER_ALL ? NEVER : p->lc.retry_at);
    arm(w, p);
}

static const char *const event_names[] = {
    [LIFECYCLE_WANTED] = "wanted ->",   [LIFECYCLE_TIMER] = "timer ->",
    [LIFECYCLE_TOKEN] = "token ->",     [LIFECYCLE_FAILED] = "failed ->",
    [LIFECYCLE_CHANGED] = "changed ->", [LIFECYCLE_FORGET] = "forget ->",
    [LIFECYCLE_GAVE_UP] = "gave up ->", [LIFECYCLE_WORLD] = "world ->",
};

static uint64_t until(const struct world *w, uint64_t when)
{
    return when == NEVER ? NEVER : when > w->now ? when - w->now : 0;
}

static struct lifecycle_actions just_step(struct world *w, struct profile *p,
                                          struct lifecycle_event *event)
{
    struct cause cause = { .type = event->type };

    event->random = jitter(w);
    if (event->type == LIFECYCLE_FAILED) {
        cause.fallback = p->by_refresh_token && event->failed.kind != LIFECYCLE_TEMPORARY;
        cause.again = p->ledger.change_pending;
        cause.person = p->ledger.person_pending;
    } else if (event->type == LIFECYCLE_TOKEN) {
        cause.again = p->ledger.change_pending;
        cause.person = p->ledger.person_pending;
    } else if (event->type == LIFECYCLE_CHANGED) {
        cause.person = event->changed.person;
    } else if (event->type == LIFECYCLE_WANTED) {
        cause.suspected = event->wanted.suspected;
        cause.rejected = event->wanted.rejected;
        cause.min_validity = event->wanted.min_validity > 0;
    }
    p->cause = cause;
    struct lifecycle_actions actions = lifecycle_step(&p->lc, &p->policy, event, w->now);
    trace(w, p, event_names[event->type], lifecycle_state_name(p->lc.state),
          until(w, lifecycle_next(&p->lc, &p->policy)), NEVER);
    return actions;
}

static struct lifecycle_actions step(struct world *w, struct profile *p,
                                     struct lifecycle_event event)
{
    struct lifecycle_actions actions = just_step(w, p, &event);

    carry_out(w, p, &actions);
    return actions;
}

static uint64_t patience(const struct world *w, const struct profile *p)
{
    uint64_t most = 0;

    for (uint16_t n = p->first_waiter; n; n = w->waiters[n].next) {
        const struct call *call = &w->waiters[n].call;
        if (call->deadline <= w->now && call->deadline - call->asked > most)
            most = call->deadline - call->asked;
    }
    return most;
}

void daemon_timer(struct world *w, struct profile *p)
{
    if (p->flight == FLIGHT_SENT && w->now >= p->request_deadline)
        fail_stuck(w, p);
    if (p->first_deadline <= w->now) {
        struct lifecycle_event event = { .type = LIFECYCLE_GAVE_UP,
                                         .gave_up.patience = patience(w, p) };
        answer_waiters(w, p, w->now + 1);
        check(w, p, &(struct fact){ .kind = FACT_GAVE_UP });
        step(w, p, event);
    }
    step(w, p, (struct lifecycle_event){ .type = LIFECYCLE_TIMER });
}

/* ---- clients and persons
 * --------------------------------------------------------------------------- */

/* deadline: that of a person who says so, 0 where nobody does. */
static void changed(struct world *w, struct profile *p, uint64_t deadline, bool password)
{
    bool person = deadline > 0;

    check(w, p, &(struct fact){ .kind = FACT_CHANGED, .person = person, .password = password });
    step(w, p,
         (struct lifecycle_event){ .type = LIFECYCLE_CHANGED,
                                   .changed = { person, password, deadline } });
}

static bool source_may_have_changed(const struct profile *p)
{
    return (p->refused_typed && p->source > 0) || p->refused_stamp != p->stamp;
}

/* Whoever comes for a token whose hand-over has passed was told to come: in whole seconds. */
static void suspect(struct world *w, struct profile *p, struct call *call)
{
    if (!call->pid || !alive(p, w->now) || w->now + SECOND >= p->lc.hand_over)
        return;
    const struct suspicion_client *c = suspicion_note(&p->suspicion, call->pid, p->lc.sent, w->now);
    call->noted = p->lc.sent;
    if (!c || !suspicion_confirm(&p->suspicion, c, call->calls, w->now))
        return;
    call->suspected = true;
    trace(w, p, "the token is suspected", NULL, NEVER, NEVER);
    w->statistics.suspicions++;
    check(w, p, &(struct fact){ .kind = FACT_SUSPECTED, .call = call });
}

void daemon_get(struct world *w, struct call call)
{
    struct profile *p = &w->profiles[call.profile];

    if (w->free_waiter == 0) { /* a full house */
        client_told(w, &call, NULL);
        return;
    }
    if (p->lc.state == LIFECYCLE_STOPPED && source_may_have_changed(p))
        changed(w, p, 0, false);
    suspect(w, p, &call);
    call.after_failure = p->ledger.failing;
    struct lifecycle_event event = { .type = LIFECYCLE_WANTED,
                                     .wanted = { .deadline = call.deadline,
                                                 .min_validity = call.min_validity,
                                                 .rejected = call.rejected,
                                                 .suspected = call.suspected } };
    struct lifecycle_actions a = just_step(w, p, &event);
    check(w, p, &(struct fact){ .kind = FACT_WANTED, .call = &call, .verdict = a.verdict });
    if (a.verdict == LIFECYCLE_QUEUE)
        enqueue(w, p, &call);
    if (a.verdict == LIFECYCLE_QUEUE || a.request)
        carry_out(w, p, &a);
    else
        arm(w, p); /* what nobody used is in use again: its renewal may be due some day */
    if (a.verdict != LIFECYCLE_QUEUE)
        tell(w, p, &call, a.verdict == LIFECYCLE_SERVE);
}

void daemon_renew(struct world *w, struct profile *p, unsigned password)
{
    struct call call = { .client = NOBODY,
                         .profile = p->number,
                         .wants_new = true,
                         .asked = w->now,
                         .deadline = w->now + 30 * SECOND };

    if (w->free_waiter == 0)
        return;
    trace(w, p, "a person says", password ? "login" : "refresh", NEVER, NEVER);
    if (password)
        p->typed = password;
    p->forced = true;
    p->said = w->now;
    p->error = false;
    enqueue(w, p, &call);
    changed(w, p, call.deadline, password > 0);
}

static void forget(struct world *w, struct profile *p)
{
    end_request(w, p, p->reply.reached ? ACCOUNT_SILENCE : ACCOUNT_NOT_SENT);
    p->typed = 0;
    p->error = true;
    p->forced = false;
    check(w, p, &(struct fact){ .kind = FACT_FORGOTTEN });
    step(w, p, (struct lifecycle_event){ .type = LIFECYCLE_FORGET, .forget = { p->source == 0 } });
    p->error = p->source == 0;
}

void daemon_logout(struct world *w, struct profile *p)
{
    trace(w, p, "a person says", "logout", NEVER, NEVER);
    forget(w, p);
}

void daemon_init(struct world *w, struct profile *p)
{
    p->first_deadline = NEVER;
    p->policy.keep_fresh = 12 * HOUR;
    p->policy.use_refresh_token = !chance_permille(w, 200);
    if (chance_permille(w, 250))
        p->policy.keep_fresh = chance_permille(w, 500) ? NEVER : chance_span(w, SECOND, 3 * DAY);
    if (chance_permille(w, 20))
        p->policy.keep_fresh = 0;
    if (chance_permille(w, 150))
        p->policy.refresh_before_percent = (unsigned)(1 + chance_below(w, 90));
    else if (chance_permille(w, 150))
        p->policy.refresh_before = chance_span(w, SECOND, 2 * HOUR);
    lifecycle_init(&p->lc, w->now);
    forget(w, p);
}

void daemon_reload(struct world *w)
{
    trace(w, NULL, "reload", NULL, NEVER, NEVER);
    for (unsigned i = 0; i < w->n_profiles; i++) {
        struct profile *p = &w->profiles[i];
        enum lifecycle_state s = p->lc.state;
        bool credential = s == LIFECYCLE_ASKING && chance_permille(w, 500);
        if (s == LIFECYCLE_WAITING || s == LIFECYCLE_STOPPED || credential ||
            (s == LIFECYCLE_NEED_LOGIN && p->source > 0))
            changed(w, p, 0, false);
    }
}

/* What the daemon knows of the accounts outlives it; who was trying is gone. */
void daemon_restart(struct world *w)
{
    trace(w, NULL, "the daemon is started again", NULL, NEVER, NEVER);
    for (unsigned i = 0; i < w->n_profiles; i++) {
        struct profile *p = &w->profiles[i];
        forget(w, p);
        lifecycle_init(&p->lc, w->now);
        if (p->source == 0)
            step(w, p, (struct lifecycle_event){ .type = LIFECYCLE_FORGET, .forget = { true } });
        p->suspicion = (struct suspicion){ 0 };
        p->ledger.suspected_at = 0;
        arm(w, p);
    }
    for (unsigned i = 0; i < w->n_providers; i++) {
        struct provider *v = &w->providers[i];
        v->account.trying = v->account.latest = NULL;
        v->account.refused_at = v->refused_at = 0;
    }
}

void daemon_network(struct world *w)
{
    trace(w, NULL, "the network comes up", NULL, NEVER, NEVER);
    for (unsigned i = 0; i < w->n_profiles; i++) {
        check(w, &w->profiles[i], &(struct fact){ .kind = FACT_NETWORK });
        step(w, &w->profiles[i], (struct lifecycle_event){ .type = LIFECYCLE_WORLD });
    }
}

void daemon_client_gone(struct world *w, unsigned client)
{
    struct profile *p = &w->profiles[w->clients[client].profile];

    for (uint16_t n = p->first_waiter; n; n = w->waiters[n].next)
        if (w->waiters[n].call.client == client) {
            trace(w, p, "a client is gone", NULL, NEVER, NEVER);
            take_off(w, p, n);
            arm(w, p);
            return;
        }
}
