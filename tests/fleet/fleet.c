/*
 * fleet - thousands of kubetokens (the real lifecycle.c and account.c) against one provider, in
 * virtual time: does the provider come back to its feet, do users get tokens while it has room?
 *
 *   fleet                  runs every scenario, prints a line each, fails where a bound is broken
 *   fleet NAME [key=value] runs one, with other parameters, and prints its course
 *   fleet --curve NAME     runs one, and prints what plot.py draws
 *
 * The provider is one queue: `cap` logins a second, fewer as the queue grows (`drag`), answers that
 * come after the client has hung up are work all the same (but for `hangs-up`), beyond `room` it
 * says 503.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/container.h"
#include "daemon/account.h"
#include "daemon/fetch_queue.h"
#include "daemon/lifecycle.h"

#define SECOND 1000000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define NEVER UINT64_MAX

enum outage { REFUSES, HANGS, SAYS_503, SAYS_404, SAYS_403 };

struct scenario {
    const char *name, *what;
    double n, life, hours;            /* clients, life of a token in s, how long it is watched */
    double cap, drag, room, hangs_up; /* of the provider */
    double out, kind;                 /* an outage of so many s, enum outage */
    double retry, date;               /* Retry-After in s, or that of its return */
    double cold, within;         /* no tokens, passwords not accepted yet; first use within s */
    double uses;                 /* of each client an hour, by its user */
    double slow;                 /* s that any answer takes, of a provider with room for all */
    double ahead;                /* all want a token from the beginning, and nobody waits for it */
    double profiles;             /* so many clients are of one daemon; 0 = one */
    double shared;               /* and of one account; 2: of these one alone is used */
    double refresh;              /* all have refresh tokens; 2: and no passwords */
    double world, sleep, rotate; /* all hear of the network; all sleep; the signing key changes */
    /* bounds; 0 = none */
    double most_second;   /* requests in the busiest second after it */
    double most_wait;     /* s that 99 of 100 gets wait for a token, once it is back */
    double most_alone;    /* s that any get waits, where no other one of that daemon does */
    double most_login;    /* logins in the last two lives, x those that the renewals make */
    double most_minute;   /* the busiest minute after it, x cap */
    double most_empty;    /* s after the return until nobody is without a token */
    double most_failed;   /* gets in vain after the return, of 1,000 clients */
    double most_wasted;   /* of 1,000 logins done */
    double most_lockstep; /* busiest minute, x the mean, from the second life on */
};

/* Tokens of 1 h are renewed 3.6 times a second by 10,000. A queue of 2,000 is more than anybody
 * waits for, where 30 are served a second. */
static const struct scenario all[] = {
#define OF(lives, watched, logins, queue)                                                          \
    .n = 10000, .life = lives, .hours = watched, .cap = logins, .room = queue, .uses = 6
/* No lockstep: from the second life after it on as even as chance has it. */
#define PARTS .most_lockstep = 1.5
    { "steady", "nothing happens", OF(3600, 4, 30, 2000), .most_minute = 0.25, .most_failed = 0.01,
      .most_login = 1.03, PARTS },
    { "outage", "refuses connections for 30 min", OF(3600, 8, 30, 2000), .out = 1800,
      .most_empty = 1200, .most_wasted = 200, PARTS },
    { "outage-2h", "the same for 2 h, 8.5 times the steady load", OF(3600, 8, 30, 2000),
      .out = 7200, .most_empty = 2100, .most_wasted = 200, PARTS },
    { "outage-4x", "the same, 4.2 times the steady load", OF(3600, 10, 15, 2000), .out = 7200,
      .most_empty = 7200, .most_wasted = 500, PARTS },
    { "outage-13x", "the same, 13 times", OF(3600, 8, 46, 2000), .out = 7200, .most_empty = 900,
      .most_wasted = 200, PARTS },
    { "outage-17x", "the same, 17 times", OF(3600, 8, 61, 2000), .out = 7200, .most_empty = 300,
      .most_wasted = 10, PARTS },
    { "black-hole", "takes connections, says nothing for 2 h", OF(3600, 8, 30, 2000), .out = 7200,
      .kind = HANGS, .most_empty = 2100, .most_wasted = 200, PARTS },
    { "tight", "outage-2h, 10 logins/s", OF(3600, 10, 10, 2000), .out = 7200, .most_empty = 9000,
      .most_wasted = 500 },
    { "endless", "outage-2h, an endless queue", OF(3600, 8, 30, 0), .out = 7200, .most_empty = 2400,
      .most_wasted = 400, PARTS },
    { "drag", "outage-2h, slower under load", OF(3600, 8, 30, 2000), .out = 7200, .drag = 500,
      .most_empty = 14400, .most_wasted = 600 },
    { "shed", "outage-2h, 503 beyond 300", OF(3600, 8, 30, 300), .out = 7200, .most_empty = 1200,
      .most_wasted = 50, PARTS },
    { "hangs-up", "outage-2h, drops what nobody waits for", OF(3600, 8, 30, 2000), .out = 7200,
      .hangs_up = 1, .most_empty = 1200, PARTS },
    { "ample", "outage-2h, ten times the room", OF(3600, 8, 300, 2000), .out = 7200,
      .most_empty = 300, PARTS },
    { "network", "outage-2h, all hear of its end", OF(3600, 8, 30, 2000), .out = 7200, .world = 1,
      .most_second = 400, .most_empty = 2100, .most_wasted = 200, PARTS },
    { "network-ample", "the same, 100 times the room: who waits is served", OF(3600, 8, 3000, 0),
      .out = 7200, .world = 1, .most_second = 400, .most_wait = 3.1, PARTS },
    { "refresh", "outage-2h, by refresh tokens", OF(3600, 8, 30, 2000), .out = 7200, .refresh = 1,
      .most_empty = 2100, .most_wasted = 200, PARTS },
    { "refresh-4x", "the same, 4.2 times the steady load", OF(3600, 10, 15, 2000), .out = 7200,
      .refresh = 1, .most_empty = 7200, .most_wasted = 500, PARTS },
    { "refresh-only", "outage-2h, by refresh tokens, without passwords", OF(3600, 8, 30, 2000),
      .out = 7200, .refresh = 2, .most_empty = 2100, .most_wasted = 200, PARTS },
    { "monday", "all start within 10 min", OF(3600, 10, 30, 2000), .cold = 1, .within = 600,
      .most_empty = 900, .most_failed = 50, .most_wasted = 100, PARTS },
    { "monday-tight", "the same, at 10 logins/s", OF(3600, 10, 10, 2000), .cold = 1, .within = 600,
      .most_empty = 9000, .most_wasted = 500 },
    { "monday-shed", "the same, 503 beyond 100", OF(3600, 10, 10, 100), .cold = 1, .within = 600,
      .most_empty = 1800, .most_wasted = 50, PARTS },
    { "date", "503, Retry-After: when it is back", OF(3600, 4, 30, 2000), .out = 1800,
      .kind = SAYS_503, .date = 1, .most_second = 250, .most_minute = 8, .most_empty = 1200,
      .most_wasted = 250, PARTS },
    { "date-ample", "the same, ten times the room", OF(3600, 4, 300, 2000), .out = 1800,
      .kind = SAYS_503, .date = 1, .most_second = 250, .most_minute = 0.5, .most_empty = 300,
      .most_wait = 12.5, .most_wasted = 10, PARTS },
    { "seconds", "503, Retry-After: 600", OF(3600, 4, 30, 2000), .out = 1800, .kind = SAYS_503,
      .retry = 600, .most_empty = 1200, .most_wasted = 100, PARTS },
    { "resume", "all sleep for 10 h, wake at once", OF(3600, 18, 30, 2000), .sleep = 36000,
      .most_second = 400, .most_minute = 12, .most_empty = 1200, .most_wasted = 200, PARTS },
    { "resume-ample", "the same, 100 times the room: who waits is served", OF(3600, 18, 3000, 0),
      .sleep = 36000, .most_second = 400, .most_wait = 3, PARTS },
    { "rotate", "the signing key changes", OF(3600, 4, 30, 2000), .rotate = 1, .most_minute = 2,
      .most_wasted = 50 },
    { "rotate-busy", "the same, each client is used once a minute", OF(3600, 6, 30, 2000),
      .rotate = 1, .most_empty = 2400, .most_wasted = 200 },
    { "short", "tokens of 5 min, an outage of 10", OF(300, 2, 90, 2000), .out = 600,
      .most_empty = 600, .most_wasted = 500 },
    { "long", "tokens of 10 h, an outage of 12 h", OF(36000, 52, 10, 2000), .out = 43200,
      .most_empty = 14400, .most_wasted = 600, PARTS },
    /* a pause after the last of these may last an hour and a quarter */
    { "not-found", "404 for 3 h", OF(3600, 8, 30, 2000), .out = 10800, .kind = SAYS_404,
      .most_empty = 4500 },
    { "forbidden", "403 and a web page for 1 min", OF(3600, 4, 30, 2000), .out = 60,
      .kind = SAYS_403, .most_empty = 1800 },
    { "silence", "connections are taken, nothing is said for 1 min", OF(3600, 4, 30, 2000),
      .out = 60, .kind = HANGS, .most_empty = 300, .most_wasted = 20, PARTS },
    /* no get waits behind a profile that nobody waits for */
    { "five", "five profiles a client, started ahead; answers take 12 s", OF(3600, 2, 30, 0),
      .profiles = 5, .cold = 1, .ahead = 1, .within = 60, .slow = 12, .most_alone = 12.5 },
    /* but for the login that is under way: those of an account go one after another */
    { "five-shared", "the same, the five of one account", OF(3600, 2, 30, 0), .profiles = 5,
      .shared = 1, .cold = 1, .ahead = 1, .within = 60, .slow = 12, .most_alone = 24.5 },
    { "forty-shared", "forty of one account, of which one is used; answers take 1 s",
      OF(3600, 2, 30, 0), .profiles = 40, .shared = 2, .cold = 1, .ahead = 1, .within = 300,
      .slow = 1, .most_alone = 3.1, .most_empty = 400 },
#undef OF
#undef PARTS
};

enum phase { QUIET, PUT_OFF, QUEUED, TURN, ASKED };

/* One kubetoken of one profile. */
struct client {
    struct lifecycle lc;
    struct account *account;
    enum phase phase;
    uint64_t until; /* the end of that phase */
    uint64_t since; /* TURN: when it came */
    uint64_t sent;
    unsigned serial;    /* of the request */
    uint64_t use_at;    /* when its user comes next */
    uint64_t waits;     /* until when a get waits, 0 = none does */
    uint64_t came;      /* when that one came */
    bool alone;         /* since then no other one of the daemon waited */
    uint64_t suspected; /* the token that was last thought to be rejected */
    uint64_t wake;
    unsigned place; /* in the heap */
    struct fetch_slot slot;
    uint64_t gives_way_at;
};

struct waiting {
    unsigned client, serial;
};

static struct scenario s;
static struct client *clients;
static struct account *accounts;
static unsigned *heap, n_clients;
static struct fetch_queue *daemons;
static struct waiting *queue;
static size_t queue_room, queue_first, queue_n;
static uint64_t served_at; /* when the first in the queue is done with */
static uint64_t now, begin, down_at, back_at, end_at, rotated_at;
/* What a login may take: the fetcher's time, and the daemon's grace; and where the answer before
 * did not come in time. */
static const uint64_t patience = 15 * SECOND + SECOND / 2,
                      long_patience = 120 * SECOND + SECOND / 2;
static struct lifecycle_policy policy = { .keep_fresh = 12 * HOUR, .password_at_hand = true };
static const struct account_credential password = { .password = 1 };
static uint64_t seed;
static unsigned *asked, *done; /* by second from the beginning */
static unsigned *empty;        /* clients in use without a token, by second */
static unsigned long served, wasted, shed, gets, failed, lost, useless;
static double *waited, longest_alone;
static size_t n_waited;

static uint32_t chance(void)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

static double fraction(void)
{
    return chance() / 4294967296.0;
}

static uint64_t seconds(double n)
{
    return (uint64_t)(n * (double)SECOND);
}

static bool is_up(void)
{
    return now < down_at || now >= back_at;
}

/* ---- the heap: who is due next --------------------------------------------------------------- */

static void place(unsigned at, unsigned client)
{
    heap[at] = client;
    clients[client].place = at;
}

static void settle(unsigned client)
{
    unsigned at = clients[client].place;
    uint64_t wake = clients[client].wake;

    while (at > 0 && clients[heap[(at - 1) / 2]].wake > wake) {
        place(at, heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (unsigned child; (child = 2 * at + 1) < n_clients; at = child) {
        if (child + 1 < n_clients && clients[heap[child + 1]].wake < clients[heap[child]].wake)
            child++;
        if (clients[heap[child]].wake >= wake)
            break;
        place(at, heap[child]);
    }
    place(at, client);
}

static void arm(struct client *c)
{
    uint64_t next = lifecycle_next(&c->lc, &policy);

    if (c->phase != QUIET && c->until < next)
        next = c->until;
    if (c->use_at < next)
        next = c->use_at;
    if (c->waits > 0 && c->waits < next)
        next = c->waits;
    c->wake = next > now ? next : now;
    settle((unsigned)(c - clients));
}

/* ---- a client: what profile.c and attempt.c do ----------------------------------------------- */

static void step(struct client *c, struct lifecycle_event event);

static size_t profiles_each(void)
{
    return s.profiles > 0 ? (size_t)s.profiles : 1;
}

static struct fetch_queue *queue_of(const struct client *c)
{
    return &daemons[(size_t)(c - clients) / profiles_each()];
}

/* The first of its daemon. */
static struct client *first_of(const struct client *c)
{
    return &clients[(size_t)(c - clients) / profiles_each() * profiles_each()];
}

static void send(struct client *c);

/* Those of the daemon whose turn it is. */
static void wake_queued(const struct client *c)
{
    struct fetch_slot *next;

    while ((next = fetch_queue_next(queue_of(c), now))) {
        struct client *other = container_of(next, struct client, slot);
        send(other);
        arm(other);
    }
}

/* As press() in attempt.c. */
static void press(const struct client *c)
{
    bool turn_wanted = c->phase == TURN && c->slot.urgent;
    struct fetch_slot *slot;

    if (!turn_wanted && (!c->slot.queued || !c->slot.urgent))
        return;
    TAILQ_FOREACH (slot, &queue_of(c)->held, entry) {
        // cppcheck-suppress uninitvar; it does not follow TAILQ_FOREACH
        struct client *other = container_of(slot, struct client, slot);
        if (slot->urgent || other->phase != ASKED || other->gives_way_at >= other->until ||
            (turn_wanted && other != c->account->holder))
            continue;
        other->until = other->gives_way_at > now ? other->gives_way_at : now;
        arm(other);
    }
}

/* As wake_others() in attempt.c. */
static void wake_turn(const struct client *c)
{
    struct client *first = first_of(c), *next = NULL;

    for (struct client *other = first; other < first + profiles_each(); other++)
        if (other->phase == TURN && other->account == c->account &&
            (!next || (other->slot.urgent && !next->slot.urgent) ||
             (other->slot.urgent == next->slot.urgent && other->since < next->since)))
            next = other;
    if (!next)
        return;
    send(next);
    arm(next);
}

static void wait_for_turn(struct client *c)
{
    fetch_queue_give(queue_of(c), &c->slot);
    c->phase = TURN;
    c->since = now;
    c->until = NEVER;
    press(c);
    wake_queued(c);
}

static void set_urgent(struct client *c, bool urgent)
{
    fetch_queue_set_urgent(queue_of(c), &c->slot, urgent);
    press(c);
    wake_queued(c);
}

static void leave(struct client *c, bool in_vain)
{
    if (c->waits == 0)
        return;
    c->waits = 0;
    set_urgent(c, false);
    double wait = (double)(now - (c->came > back_at ? c->came : back_at)) / 1e6;
    if (now >= back_at && n_waited < (size_t)8e6)
        waited[n_waited++] = wait;
    if (now >= back_at && c->alone && wait > longest_alone)
        longest_alone = wait;
    if (in_vain && now >= back_at)
        failed++;
    if (in_vain) /* a person tries again within a minute */
        c->use_at = now + seconds(10 + 50 * fraction());
}

static void ended(struct client *c, enum account_end how, enum lifecycle_failure kind,
                  uint64_t retry_after)
{
    bool by_refresh_token = c->lc.by_refresh_token;

    c->phase = QUIET;
    fetch_queue_give(queue_of(c), &c->slot);
    if (!by_refresh_token)
        account_ended(c->account, &password, c, how, NULL, chance(), now);
    uint64_t next = account_next(c->account, &password);
    if (by_refresh_token && (how == ACCOUNT_ODD || how == ACCOUNT_DENIED)) {
        kind = LIFECYCLE_SOFT;
    } else if (!by_refresh_token &&
               (how == ACCOUNT_SILENCE || how == ACCOUNT_ODD || how == ACCOUNT_DENIED)) {
        kind = account_refuses(c->account, &password) ? LIFECYCLE_REFUSED : LIFECYCLE_SOFT;
        retry_after = next > now ? next - now : 0;
    }
    if (how == ACCOUNT_TOOK)
        step(c, (struct lifecycle_event){ .type = LIFECYCLE_TOKEN,
                                          .token = { .sent = c->sent,
                                                     .lifetime = seconds(s.life),
                                                     .refresh_token = s.refresh > 0 } });
    else
        step(c, (struct lifecycle_event){ .type = LIFECYCLE_FAILED,
                                          .failed = { .kind = kind,
                                                      .retry_after = retry_after,
                                                      .fault = how != ACCOUNT_NOT_SENT,
                                                      .lost = how == ACCOUNT_SILENCE } });
    wake_turn(c);
    wake_queued(c);
}

static void grow(void)
{
    struct waiting *more = calloc(2 * queue_room, sizeof *more);

    for (size_t i = 0; i < queue_n; i++)
        more[i] = queue[(queue_first + i) % queue_room];
    free(queue);
    queue = more, queue_first = 0, queue_room *= 2;
}

static void send(struct client *c)
{
    uint64_t when;

    if (!c->slot.held && !fetch_queue_take(queue_of(c), &c->slot, now)) {
        c->phase = QUEUED;
        c->until = NEVER;
        press(c);
        return;
    }
    enum account_verdict verdict = ACCOUNT_GO;
    if (!c->lc.by_refresh_token)
        verdict = account_ask(c->account, &password,
                              c->waits > 0 ? ACCOUNT_BY_RULE : ACCOUNT_FOR_NOBODY, c, chance(), now,
                              &when);
    if (verdict == ACCOUNT_BUSY) {
        wait_for_turn(c);
        return;
    }
    c->phase = QUIET;
    if (verdict != ACCOUNT_GO) {
        fetch_queue_give(queue_of(c), &c->slot);
        bool refused = verdict == ACCOUNT_REFUSED;
        step(c, (struct lifecycle_event){
                    .type = LIFECYCLE_FAILED,
                    .failed = { .kind = refused ? LIFECYCLE_REFUSED : LIFECYCLE_DEFERRED,
                                .yielded = verdict == ACCOUNT_EMPTY && c->waits == 0,
                                .retry_after = refused ? 0 : when - now } });
        if (s.shared > 0) {
            wake_turn(c);
            wake_queued(c);
        }
        return;
    }
    c->phase = ASKED;
    c->sent = now;
    c->serial++;
    asked[(now - begin) / SECOND]++;
    c->gives_way_at = now + patience;
    if (s.slow > 0) {
        c->until = now + seconds(s.slow);
        return;
    }
    if (!is_up() || (s.room > 0 && (double)queue_n >= s.room)) {
        c->until = now + (is_up() || s.kind != HANGS ? seconds(0.1) : seconds(15));
        return;
    }
    if (queue_n == queue_room)
        grow();
    queue[(queue_first + queue_n++) % queue_room] = (struct waiting){ (unsigned)(c - clients),
                                                                      c->serial };
    if (queue_n == 1)
        served_at = now + seconds(1 / s.cap);
    c->until = now + (c->lc.lost > 0 ? long_patience : patience);
}

static void request(struct client *c)
{
    uint64_t delay = c->waits > 0 ? 0 : lifecycle_delay(&c->lc, chance(), now);

    if (delay == 0) {
        send(c);
        return;
    }
    c->phase = PUT_OFF;
    c->until = now + delay;
}

static void carry_out(struct client *c, const struct lifecycle_actions *actions)
{
    if (actions->waiters != LIFECYCLE_KEEP && c->waits > 0) {
        bool alive = lifecycle_alive(&c->lc, now);
        if (alive || actions->waiters == LIFECYCLE_ANSWER_ALL || c->waits < c->lc.retry_at)
            leave(c, !alive);
    }
    if (actions->request)
        request(c);
}

static void step(struct client *c, struct lifecycle_event event)
{
    event.random = chance();
    struct lifecycle_actions actions = lifecycle_step(&c->lc, &policy, &event, now);
    carry_out(c, &actions);
}

/* Whether it is the only one of its daemon that somebody waits for. */
static void note_company(struct client *c)
{
    struct client *first = first_of(c);

    c->alone = true;
    for (struct client *other = first; other < first + profiles_each(); other++)
        if (other != c && other->waits > 0)
            c->alone = other->alone = false;
}

/* A get, that waits up to 30 s; and another at once where the API server refuses its token. */
static void use(struct client *c, bool suspected)
{
    struct lifecycle_event event = { .type = LIFECYCLE_WANTED,
                                     .wanted = { .deadline = now + seconds(30),
                                                 .suspected = suspected } };
    struct lifecycle_actions actions = lifecycle_step(&c->lc, &policy, &event, now);

    gets++;
    if (actions.verdict == LIFECYCLE_QUEUE) {
        if (c->phase == PUT_OFF)
            c->until = now;
        c->waits = event.wanted.deadline;
        c->came = now;
        note_company(c);
        set_urgent(c, true);
    }
    carry_out(c, &actions);
    if (actions.verdict == LIFECYCLE_FAIL) {
        failed += is_up() && now >= back_at;
        c->use_at = now + seconds(10 + 50 * fraction());
    } else if (actions.verdict == LIFECYCLE_SERVE && c->lc.sent < rotated_at && now >= rotated_at) {
        useless++;
        if (c->suspected != c->lc.sent && !suspected) {
            c->suspected = c->lc.sent;
            use(c, true);
        }
    }
}

static void due(struct client *c)
{
    if (c->waits > 0 && now >= c->waits) {
        step(c, (struct lifecycle_event){ .type = LIFECYCLE_GAVE_UP,
                                          .gave_up.patience = now - c->came });
        leave(c, !lifecycle_alive(&c->lc, now));
    } else if (c->phase == PUT_OFF && now >= c->until) {
        send(c);
    } else if (c->phase == ASKED && now >= c->until && s.slow > 0) {
        served++, done[(now - begin) / SECOND]++;
        ended(c, ACCOUNT_TOOK, LIFECYCLE_TEMPORARY, 0);
    } else if (c->phase == ASKED && now >= c->until) {
        bool answered = now - c->sent < seconds(1);
        uint64_t after = answered ? seconds(s.retry) : 0;
        if (answered && s.date > 0 && !is_up())
            after = (back_at - now + SECOND - 1) / SECOND * SECOND;
        bool arrived = is_up() || s.kind >= SAYS_503;
        enum account_end answer = ACCOUNT_UNKNOWN;
        if (!is_up() && s.kind >= SAYS_404)
            answer = s.kind == SAYS_404 ? ACCOUNT_ODD : ACCOUNT_DENIED;
        shed += answered && is_up();
        lost += !answered && is_up();
        ended(c,
              !arrived   ? ACCOUNT_NOT_SENT
              : answered ? answer
                         : ACCOUNT_SILENCE,
              LIFECYCLE_TEMPORARY, after);
    } else if (lifecycle_next(&c->lc, &policy) <= now) {
        step(c, (struct lifecycle_event){ .type = LIFECYCLE_TIMER });
    } else if (now >= c->use_at) {
        c->use_at = s.uses > 0 ? now + seconds(-log(1 - fraction()) * 3600 / s.uses) : NEVER;
        if (c->waits == 0)
            use(c, false);
    }
    arm(c);
}

/* ---- the provider ---------------------------------------------------------------------------- */

static void serve(void)
{
    struct waiting w = queue[queue_first];
    struct client *c = &clients[w.client];

    queue_first = (queue_first + 1) % queue_room;
    queue_n--;
    /* what nobody waits for any more costs as much, or next to nothing */
    bool stale = c->phase != ASKED || c->serial != w.serial;
    if (stale)
        wasted += s.hangs_up == 0;
    else
        served++, done[(now - begin) / SECOND]++;
    double rate = s.cap / (1 + (s.drag > 0 ? (double)queue_n / s.drag : 0));
    served_at = now + seconds(stale && s.hangs_up > 0 ? 0 : 1 / rate);
    if (stale)
        return;
    ended(c, ACCOUNT_TOOK, LIFECYCLE_TEMPORARY, 0);
    arm(c);
}

/* ---- the course ------------------------------------------------------------------------------ */

static void start(struct client *c, unsigned i)
{
    lifecycle_init(&c->lc, begin);
    place(i, i);
    c->wake = NEVER;
    c->use_at = s.uses > 0 ? begin + seconds(-log(1 - fraction()) * 3600 / s.uses) : NEVER;
    c->account = &accounts[s.shared > 0 ? (unsigned)(first_of(c) - clients) : i];
    if (s.cold > 0) {
        c->use_at = begin + seconds(s.within * fraction());
        if (s.shared == 2 && c != first_of(c) + profiles_each() - 1)
            c->use_at = NEVER;
        return;
    }
    /* in the steady state: somewhere between its last token and the renewal of that */
    struct lifecycle_event want = { .type = LIFECYCLE_WANTED, .wanted.deadline = begin };
    struct lifecycle_event token = {
        .type = LIFECYCLE_TOKEN,
        .random = chance(),
        .token = { .sent = begin, .lifetime = seconds(s.life), .refresh_token = s.refresh > 0 }
    };
    c->account->accepted[0] = 1;
    c->lc.sent = 1, c->lc.expires_at = NEVER; /* it had one before */
    lifecycle_step(&c->lc, &policy, &want, begin - 1);
    struct lifecycle ahead = c->lc;
    lifecycle_step(&ahead, &policy, &token, begin);
    uint64_t ago = seconds(fraction() * (double)(ahead.renew_at - begin) / 1e6);
    token.token.sent = begin - ago;
    lifecycle_step(&c->lc, &policy, &token, begin - ago);
}

static void count_empty(uint64_t second)
{
    unsigned n = 0;

    for (unsigned i = 0; i < n_clients; i++)
        n += clients[i].lc.last_use > 0 && !lifecycle_alive(&clients[i].lc, now);
    empty[second] = n;
}

static void run(void)
{
    uint64_t next_count = begin;
    bool back = false;

    while (true) {
        uint64_t next = clients[heap[0]].wake;
        bool provider = queue_n > 0 && is_up() && served_at <= next;
        if (provider)
            next = served_at > now ? served_at : now;
        if (next_count <= next)
            next = next_count, provider = false;
        if (next >= end_at)
            return;
        now = next;
        if (!back && now >= back_at) {
            back = true;
            for (unsigned i = 0; i < n_clients && s.world > 0; i++)
                step(&clients[i], (struct lifecycle_event){ .type = LIFECYCLE_SYSTEM_CHANGED }),
                    arm(&clients[i]);
        }
        if (next == next_count) {
            count_empty((now - begin) / SECOND);
            next_count += 10 * SECOND;
        } else if (provider) {
            serve();
        } else {
            due(&clients[heap[0]]);
        }
    }
}

/* All sleep, together: their clocks go on, nothing else does. */
static void sleep_all(void)
{
    now += seconds(s.sleep);
    for (unsigned i = 0; i < n_clients; i++) {
        if (clients[i].use_at < now)
            clients[i].use_at = now +
                                seconds(-log(1 - fraction()) * 3600 / (s.uses > 0 ? s.uses : 1));
        step(&clients[i], (struct lifecycle_event){ .type = LIFECYCLE_SYSTEM_CHANGED });
        arm(&clients[i]);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* A second of the busiest span of that length. */
static double busiest(const unsigned *by_second, size_t from, size_t to, size_t span)
{
    double most = 0;

    for (size_t m = from; m + span <= to; m += 10) {
        double sum = 0;
        for (size_t i = m; i < m + span; i++)
            sum += by_second[i];
        most = sum > most ? sum : most;
    }
    return most / (double)span;
}

static double busiest_minute(const unsigned *by_second, size_t from, size_t to)
{
    return busiest(by_second, from, to, 60);
}

static double mean(const unsigned *by_second, size_t from, size_t to)
{
    double sum = 0;

    for (size_t i = from; i < to; i++)
        sum += by_second[i];
    return sum / (double)(to - from);
}

/* The busiest minute of a life of 1 h, over its mean: the worst from the second life on, once there
 * are tokens for all. A longer life is looked at by so much longer spans, or chance would be seen
 * alone. */
static double lockstep_from(size_t at, size_t all_s)
{
    size_t life = (size_t)s.life, span = life > 3600 ? life / 60 : 60;
    double worst = 0;

    for (size_t next; (next = at + life) <= all_s; at = next) {
        double is = busiest(asked, at, next, span) / mean(asked, at, next);
        worst = is > worst ? is : worst;
    }
    return worst;
}

static bool over(const char *what, double is, double most)
{
    if (most <= 0 || is <= most)
        return false;
    printf("  BROKEN: %s %.3g > %.3g\n", what, is, most);
    return true;
}

/* Seconds after the return until so many of the clients, of 1,000, are without a token. */
static double empty_until(size_t back, size_t all_s, unsigned of_1000)
{
    size_t at = back;

    for (size_t i = back; i < all_s; i++)
        if (1000UL * empty[i] > (unsigned long)of_1000 * n_clients)
            at = i + 10;
    return (double)(at - back);
}

/* From the outage on, in steps of 30 s: when, requests/s, logins/s, clients without a token. */
static void print_curve(void)
{
    size_t all_s = (size_t)((end_at - begin) / SECOND),
           first = (size_t)((down_at - begin) / SECOND);

    if (down_at == NEVER)
        first = (size_t)((back_at - begin) / SECOND);
    printf("# %s: %s\n", s.name, s.what);
    printf("# back %g, life %g, cap %g, n %g\n", (double)(back_at - begin) / 1e6 - (double)first,
           s.life, s.cap, s.n);
    for (size_t at = first; at + 30 <= all_s; at += 30)
        printf("%zu %.2f %.2f %u\n", at - first, mean(asked, at, at + 30), mean(done, at, at + 30),
               empty[at / 10 * 10]);
}

static bool report(bool course)
{
    size_t all_s = (size_t)((end_at - begin) / SECOND), back = (size_t)((back_at - begin) / SECOND);
    size_t two = 2 * s.life < (double)all_s / 2 ? (size_t)(2 * s.life) : all_s / 2, peak = back;
    unsigned stopped = 0;

    for (size_t i = back; i < all_s; i++)
        if (asked[i] > asked[peak])
            peak = i;
    for (unsigned i = 0; i < n_clients; i++)
        stopped += clients[i].lc.state == LIFECYCLE_STOPPED;
    double minute = busiest_minute(asked, back, all_s), last = mean(asked, all_s - two, all_s);
    double full = empty_until(back, all_s, 10);
    double lockstep = lockstep_from(back + (size_t)s.life * (1 + (size_t)(full / s.life)), all_s);
    qsort(waited, n_waited, sizeof *waited, by_size);
    printf("%-12s %6u %6.1f %6.2f %5.1f %7lu %7lu %7lu %6lu %5u %6.0f %6.0f %6.0f %8lu %5.1f %5u\n",
           s.name, asked[peak], minute, last, lockstep, served, lost, wasted, shed,
           empty[back / 10 * 10], empty_until(back, all_s, 500), empty_until(back, all_s, 100),
           full, failed, n_waited ? waited[n_waited * 99 / 100] : 0, stopped);
    if (rotated_at != 0 && course)
        printf("  handed out though rejected: %lu\n", useless);
    if (course) {
        printf("  minute after the return: asks/s, logins/s, clients without a token\n");
        for (size_t m = 0, at; (at = back + 60 * m) + 60 <= all_s && m < 40; m++)
            printf("  %3zu %7.1f %6.1f %6u\n", m, mean(asked, at, at + 60), mean(done, at, at + 60),
                   empty[at / 10 * 10]);
        printf("  busiest minute / mean, by life after the return:");
        for (size_t at = back; at + (size_t)s.life <= all_s; at += (size_t)s.life)
            printf(" %.1f", busiest_minute(asked, at, at + (size_t)s.life) /
                                mean(asked, at, at + (size_t)s.life));
        printf("\n");
    }
    bool bad = over("busiest minute, x cap,", minute / s.cap, s.most_minute);
    bad |= over("busiest second", asked[peak], s.most_second);
    bad |= over("s that a get waits", n_waited ? waited[n_waited * 99 / 100] : 0, s.most_wait);
    bad |= over("s that a get waits alone", longest_alone, s.most_alone);
    bad |= over("logins, x one a renewal,", last / (s.n / (s.life * 0.8 * 0.975)), s.most_login);
    bad |= over("seconds until 99 % have a token", full, s.most_empty);
    bad |= over("gets in vain, of 1,000 clients,", 1000.0 * (double)failed / s.n, s.most_failed);
    bad |= over("logins wasted, of 1,000,", 1000.0 * (double)wasted / (double)(served + wasted + 1),
                s.most_wasted);
    bad |= over("lockstep", lockstep, s.most_lockstep);
    return over("clients stopped for good", stopped, 0.5) || bad;
}

static bool play(bool course, bool curve)
{
    n_clients = (unsigned)s.n;
    begin = now = 100 * HOUR;
    down_at = s.out > 0 ? begin : NEVER;
    back_at = begin + seconds(s.out);
    end_at = begin + seconds(s.hours * 3600);
    rotated_at = s.rotate > 0 ? begin : 0;
    size_t span = (size_t)(s.hours * 3600) + 1;
    queue_room = 1 << 16;
    queue_first = queue_n = 0;
    served = wasted = shed = gets = failed = lost = useless = 0, n_waited = 0, longest_alone = 0;
    policy.use_refresh_token = s.refresh > 0;
    policy.password_at_hand = s.refresh < 2;
    seed = 88172645463325252ULL;
    clients = calloc(n_clients, sizeof *clients);
    accounts = calloc(n_clients, sizeof *accounts);
    heap = calloc(n_clients, sizeof *heap);
    daemons = calloc(n_clients, sizeof *daemons);
    for (unsigned i = 0; i < n_clients; i++)
        fetch_queue_init(&daemons[i]);
    queue = calloc(queue_room, sizeof *queue);
    asked = calloc(span, sizeof *asked), done = calloc(span, sizeof *done);
    empty = calloc(span + 10, sizeof *empty);
    waited = calloc((size_t)8e6, sizeof *waited);
    for (unsigned i = 0; i < n_clients; i++)
        start(&clients[i], i);
    for (unsigned i = 0; i < n_clients; i++)
        arm(&clients[i]);
    for (unsigned i = 0; i < n_clients && s.ahead > 0; i++) {
        step(&clients[i],
             (struct lifecycle_event){ .type = LIFECYCLE_WANTED, .wanted.deadline = begin });
        arm(&clients[i]);
    }
    if (s.sleep > 0) {
        sleep_all();
        back_at = now;
    }
    run();
    bool bad = curve ? print_curve(), false : report(course);
    free(daemons), free(clients), free(accounts), free(heap), free(queue), free(asked), free(done),
        free(empty), free(waited);
    return bad;
}

static void set(const char *assignment)
{
    static const struct {
        const char *name;
        double *value;
    } keys[] = {
        { "n", &s.n },
        { "life", &s.life },
        { "hours", &s.hours },
        { "cap", &s.cap },
        { "drag", &s.drag },
        { "room", &s.room },
        { "hangs-up", &s.hangs_up },
        { "out", &s.out },
        { "kind", &s.kind },
        { "retry", &s.retry },
        { "date", &s.date },
        { "cold", &s.cold },
        { "within", &s.within },
        { "uses", &s.uses },
        { "world", &s.world },
        { "sleep", &s.sleep },
        { "rotate", &s.rotate },
        { "profiles", &s.profiles },
        { "shared", &s.shared },
        { "refresh", &s.refresh },
        { "slow", &s.slow },
        { "ahead", &s.ahead },
    };
    size_t length = strcspn(assignment, "=");

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strlen(keys[i].name) == length && strncmp(keys[i].name, assignment, length) == 0 &&
            assignment[length] == '=') {
            *keys[i].value = atof(assignment + length + 1);
            return;
        }
    fprintf(stderr, "no such key: %s\n", assignment);
    exit(2);
}

static void print_head(void)
{
    printf(
        "             asks after return: lock-  logins                      | without a token, +s"
        "     | gets:   waits stopped\n"
        "             peak/s minute   mean  step  served    lost  wasted   shed   n0    50%%    "
        "10%%     1%%  in vain   p99 for good\n");
}

int main(int argc, char **argv)
{
    unsigned found = 0, broken = 0;
    bool curve = argc > 1 && strcmp(argv[1], "--curve") == 0;

    argc -= curve, argv += curve;
    if (!curve)
        print_head();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (argc > 1 && strcmp(argv[1], all[i].name) != 0)
            continue;
        found++;
        s = all[i];
        if (strcmp(s.name, "rotate-busy") == 0)
            s.uses = 60;
        for (int k = 2; k < argc; k++)
            set(argv[k]);
        broken += play(argc > 1, curve);
        fflush(stdout);
    }
    if (found == 0) {
        fprintf(stderr, "no such scenario: %s\n", argc > 1 ? argv[1] : "");
        return 2;
    }
    if (!curve)
        printf("%u passed, %u broken\n", found - broken, broken);
    return broken > 0;
}
