/* Clients as they were seen to be: kubectl, what lives long, what asks for every request. */
#include "tests/simulation/world.h"

static void later(struct world *w, unsigned n, uint64_t least, uint64_t most)
{
    queue_set(&w->queue, EVENT_CLIENT + n, w->now + chance_span(w, least, most));
}

/* Work goes on for some hours, then there is a night, or a holiday. */
static bool works(struct world *w, unsigned n)
{
    struct client *c = &w->clients[n];

    if (w->now < c->session_until)
        return true;
    uint64_t pause = chance_permille(w, 50) ? chance_span(w, DAY, 20 * DAY)
                                            : chance_span(w, 10 * MINUTE, DAY);
    if (c->seldom)
        pause *= 4;
    uint64_t work = c->kind == CLIENT_PYTHON || c->kind == CLIENT_SHELL
                        ? chance_span(w, 10 * SECOND, 20 * MINUTE)
                        : chance_span(w, MINUTE, 10 * HOUR);
    c->session_until = w->now + pause + work;
    c->in_command = false;
    queue_set(&w->queue, EVENT_CLIENT + n, w->now + pause);
    return false;
}

void client_init(struct world *w, unsigned n)
{
    static const enum client_kind kinds[] = { CLIENT_KUBECTL, CLIENT_KUBECTL, CLIENT_KUBECTL,
                                              CLIENT_KUBECTL, CLIENT_K9S,     CLIENT_K9S,
                                              CLIENT_PYTHON,  CLIENT_SHELL,   CLIENT_MIN_VALIDITY,
                                              CLIENT_REJECTED };
    struct client *c = &w->clients[n];

    c->kind = kinds[chance_below(w, sizeof kinds / sizeof *kinds)];
    if (n > 0 && chance_permille(w, 40))
        c->kind = CLIENT_BURST;
    c->profile = (uint8_t)chance_below(w, w->n_profiles);
    c->seldom = chance_permille(w, 300);
    later(w, n, SECOND, 8 * HOUR);
}

static void forget_token(struct client *c)
{
    c->token = 0;
    c->times = c->calls = c->errors = 0;
    c->saw_rejection = false;
}

static void new_process(struct world *w, struct client *c)
{
    forget_token(c);
    c->pid = ++w->last_pid;
    c->in_command = true;
}

static uint64_t patience(struct world *w)
{
    return chance_permille(w, 800) ? 30 * SECOND : (1 + chance_below(w, 30)) * SECOND;
}

static void ask(struct world *w, unsigned n)
{
    struct client *c = &w->clients[n];
    bool client_go = c->kind == CLIENT_KUBECTL || c->kind == CLIENT_K9S;
    struct call call = { .client = (uint8_t)n,
                         .profile = c->profile,
                         .pid = client_go ? c->pid : 0,
                         .calls = c->with_stdin ? 2 : 1,
                         .rejected = c->kind == CLIENT_REJECTED,
                         .asked = w->now };

    call.deadline = w->now + patience(w);
    if (c->kind == CLIENT_MIN_VALIDITY) {
        const struct provider *v = &w->providers[w->profiles[c->profile].provider];
        call.min_validity = chance_below(w, v->lifetime + v->lifetime / 8);
    }
    c->waits = true;
    daemon_get(w, call);
    if (c->waits && chance_permille(w, 50)) /* Ctrl-C */
        queue_set(&w->queue, EVENT_CLIENT + n, w->now + chance_below(w, 20 * SECOND));
}

/* ---- kubectl --------------------------------------------------------------------------------- */

/* How often it asks at most: warm, several resources, a cold cache, a manifest on stdin. */
static void begin_command(struct world *w, struct client *c)
{
    static const unsigned rejected[] = { 2, 2, 2, 4, 6, 6 }, failing[] = { 1, 1, 1, 2, 5, 5 };
    size_t kind = chance_below(w, sizeof rejected / sizeof *rejected);

    new_process(w, c);
    c->most_calls = rejected[kind];
    c->most_errors = failing[kind];
    c->with_stdin = chance_permille(w, 150);
    if (c->with_stdin)
        c->most_calls = 3;
}

static void end_command(struct world *w, unsigned n)
{
    w->clients[n].in_command = false;
    later(w, n, chance_permille(w, 300) ? SECOND : 20 * SECOND, 30 * MINUTE);
}

static void kubectl_told(struct world *w, unsigned n, const struct token *token, bool accepted)
{
    struct client *c = &w->clients[n];

    if (!token && ++c->errors < c->most_errors)
        later(w, n, 5 * MSEC, 200 * MSEC);
    else if (token && !accepted && c->calls < c->most_calls)
        later(w, n, 19 * MSEC, 61 * MSEC);
    else if (accepted && c->with_stdin && c->calls < 2)
        later(w, n, 21 * MSEC, 593 * MSEC);
    else
        end_command(w, n);
}

/* ---- k9s and the like ------------------------------------------------------------------------ */

static void k9s_goes_on(struct world *w, unsigned n)
{
    uint64_t request = w->now + chance_span(w, SECOND, HOUR);
    uint64_t expired = w->clients[n].expires + chance_below(w, SECOND / 2) + 1;

    queue_set(&w->queue, EVENT_CLIENT + n, request < expired ? request : expired);
}

static void k9s_told(struct world *w, unsigned n, const struct token *token, bool accepted)
{
    if (!token)
        later(w, n, SECOND, 15 * SECOND);
    else if (!accepted) /* at its next request */
        later(w, n, 20 * MSEC, 5 * SECOND);
    else
        k9s_goes_on(w, n);
}

/* It lives on with its token, till that expires or the cluster rejects it. */
static bool k9s_is_content(struct world *w, unsigned n)
{
    struct client *c = &w->clients[n];
    const struct provider *v = &w->providers[w->profiles[c->profile].provider];

    if (c->token == 0 || w->now > c->expires)
        return false;
    c->saw_rejection |= !provider_accepts(w, v, &c->held);
    if (c->saw_rejection)
        return false;
    k9s_goes_on(w, n);
    return true;
}

/* ---- all ------------------------------------------------------------------------------------- */

static void burst(struct world *w, unsigned n)
{
    uint64_t many = chance_span(w, 10, 3000);

    trace(w, NULL, "a burst of clients", NULL, many * SECOND, NEVER);
    for (uint64_t i = 0; i < many; i++) {
        struct call call = { .client = NOBODY,
                             .profile = w->clients[n].profile,
                             .asked = w->now,
                             .deadline = w->now + patience(w) };
        w->step++;
        daemon_get(w, call);
    }
    later(w, n, HOUR, 10 * DAY);
}

void client_act(struct world *w, unsigned n)
{
    struct client *c = &w->clients[n];

    if (c->waits) {
        daemon_client_gone(w, n);
        c->waits = false;
        end_command(w, n);
        return;
    }
    if (!c->in_command && c->kind != CLIENT_BURST && !works(w, n))
        return;
    switch (c->kind) {
    case CLIENT_BURST:
        burst(w, n);
        return;
    case CLIENT_KUBECTL:
        if (!c->in_command)
            begin_command(w, c);
        break;
    case CLIENT_K9S:
        if (!c->in_command)
            new_process(w, c);
        if (w->now >= c->session_until) {
            c->in_command = false;
            works(w, n);
            return;
        }
        if (k9s_is_content(w, n))
            return;
        break;
    default:
        break;
    }
    ask(w, n);
}

/* What its process has seen of that token. */
static void note_token(struct client *c, const struct model *p, const struct token *token)
{
    if (c->token != token->id) {
        c->token = token->id;
        c->times = 0;
        c->saw_rejection = false;
        c->hand_outs = p->hand_outs;
        c->held = *token;
    }
    c->times++;
}

/* Whole seconds of a wall clock, and never past. */
static uint64_t expiry(const struct world *w, const struct model *p)
{
    uint64_t at = daemon_advertised_expiry(p, w->now), wall = w->seed * 7919 % SECOND;

    at = (at + wall) / SECOND * SECOND - wall;
    return at > w->now + SECOND ? at : w->now + SECOND;
}

void client_told(struct world *w, const struct call *call, const struct token *token)
{
    const struct model *p = &w->profiles[call->profile];
    unsigned n = call->client;

    if (n == NOBODY)
        return;
    struct client *c = &w->clients[n];
    bool accepted = token && provider_accepts(w, &w->providers[p->provider], token);

    c->waits = false;
    c->calls++;
    if (token) {
        note_token(c, p, token);
        c->expires = expiry(w, p);
        c->saw_rejection |= !accepted;
    }
    switch (c->kind) {
    case CLIENT_KUBECTL:
        kubectl_told(w, n, token, accepted);
        return;
    case CLIENT_K9S:
        k9s_told(w, n, token, accepted);
        return;
    case CLIENT_PYTHON:
        later(w, n, 400 * MSEC, 5 * SECOND);
        return;
    case CLIENT_SHELL:
        later(w, n, SECOND, MINUTE);
        return;
    default:
        later(w, n, MINUTE, DAY);
        return;
    }
}
