/*
 * simulation - drives lifecycle.c and account.c through virtual years, with all that goes wrong in
 * them, and holds the promises P1 to P8 against each step.
 *
 * usage: simulation [--seed N | --seeds A-B] [--steps N] [--trace]
 *
 * Each seed is a world of its own, of N steps; the same seed gives the same steps. Exits 1 with
 * the last lines of the trace when a promise is broken.
 */
#define _GNU_SOURCE
#include "tests/simulation/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STANDSTILL = 100000 };

static struct world world;

/* ---- what happens around the daemon
 * ---------------------------------------------------------------- */

static void sleeps(struct world *w)
{
    uint64_t span = chance_permille(w, 800) ? chance_span(w, MINUTE, 14 * HOUR)
                                            : chance_span(w, MINUTE, 10 * DAY);

    w->now += span;
    w->slept_at = w->now;
    trace(w, NULL, "woken after", NULL, span, NEVER);
    for (unsigned i = 0; i < w->n_profiles; i++)
        check(w, &w->profiles[i], &(struct fact){ .kind = FACT_SLEPT });
    if (chance_permille(w, 800))
        queue_set(&w->queue, SOURCE_NETWORK, w->now + chance_span(w, MSEC, 20 * SECOND));
    queue_set(&w->queue, SOURCE_SLEEP, w->now + chance_span(w, HOUR, 10 * DAY));
}

/* Network events come in crowds. */
static void network(struct world *w)
{
    daemon_network(w);
    queue_set(&w->queue, SOURCE_NETWORK_CHECK, w->now + 3 * SECOND + 10 * MSEC);
    queue_set(&w->queue, SOURCE_NETWORK,
              w->now + (chance_permille(w, 500) ? chance_span(w, MSEC, 5 * SECOND)
                                                : chance_span(w, MINUTE, 10 * DAY)));
}

static bool in_trouble(const struct profile *p)
{
    return p->lc.state == LIFECYCLE_STOPPED || p->lc.state == LIFECYCLE_NEED_LOGIN;
}

/* Whom a person cares for: mostly what does not work. */
static struct profile *some_profile(struct world *w)
{
    unsigned first = (unsigned)chance_below(w, w->n_profiles);

    if (chance_permille(w, 800))
        for (unsigned i = 0; i < w->n_profiles; i++) {
            struct profile *p = &w->profiles[(first + i) % w->n_profiles];
            if (in_trouble(p))
                return p;
        }
    return &w->profiles[first];
}

static void person(struct world *w)
{
    struct profile *p = some_profile(w);
    struct provider *v = &w->providers[p->provider];
    uint64_t next = in_trouble(p) ? 3 * HOUR : 10 * DAY;
    unsigned password = v->right;

    check_classes(w);
    switch (chance_below(w, 10)) {
    case 0:
        daemon_logout(w, p);
        break;
    case 1:
        daemon_reload(w);
        break;
    case 2: /* all that hangs on the account */
        for (unsigned i = 0; i < w->n_profiles; i++)
            if (w->profiles[i].provider == p->provider)
                daemon_renew(w, &w->profiles[i], 0);
        break;
    case 3:
    case 4:
        daemon_renew(w, p, 0);
        break;
    case 5: /* mistyped */
        password = provider_new_password(v);
        daemon_renew(w, p, password ? password : v->right);
        break;
    case 6: /* one of before */
        daemon_renew(w, p, (unsigned)(1 + chance_below(w, v->newest)));
        break;
    default:
        daemon_renew(w, p, v->right);
        break;
    }
    if (p->lc.state == LIFECYCLE_ASKING && chance_permille(w, 100)) {
        queue_set(&w->queue, SOURCE_PERSON, w->now + chance_span(w, MSEC, SECOND));
        return; /* and once more, while that is under way */
    }
    queue_set(&w->queue, SOURCE_PERSON,
              w->now + chance_span(w, chance_permille(w, 100) ? SECOND : MINUTE, next));
}

static void restart(struct world *w)
{
    daemon_restart(w);
    queue_set(&w->queue, SOURCE_RESTART,
              w->now + chance_span(w, chance_permille(w, 100) ? SECOND : DAY, 60 * DAY));
}

/* A source gets another password, or cannot be read for a while. */
static void credential(struct world *w, struct profile *p)
{
    check_classes(w);
    if (p->source_next) {
        p->source = p->source_next;
        p->source_next = 0;
        p->stamp++;
        trace(w, p, "the source has another password", NULL, NEVER, NEVER);
    } else {
        p->source_broken = !p->source_broken;
        trace(w, p, "the source can be read:", p->source_broken ? "no" : "yes", NEVER, NEVER);
    }
    queue_set(&w->queue, SOURCE_CREDENTIAL + p->number,
              w->now + (p->source_broken ? chance_span(w, SECOND, 6 * HOUR)
                                         : chance_span(w, DAY, 90 * DAY)));
}

/* ---- a world
 * ----------------------------------------------------------------------------------------- */

static void init_profile(struct world *w, unsigned i)
{
    struct profile *p = &w->profiles[i];

    p->number = (uint8_t)i;
    p->provider = (uint8_t)chance_below(w, w->n_providers);
    if (!chance_permille(w, 200))
        p->source = chance_permille(w, 50) ? 2 : 1; /* 2: wrong from the start */
    p->class_since = w->now;
    if (p->source && !w->providers[p->provider].flawless)
        queue_set(&w->queue, SOURCE_CREDENTIAL + i, w->now + chance_span(w, HOUR, 90 * DAY));
    daemon_init(w, p);
}

static void init(struct world *w, uint64_t seed, bool tracing)
{
    memset(w, 0, offsetof(struct world, statistics));
    w->seed = seed;
    w->tracing = tracing;
    w->now = DAY;
    chance_seed(w, seed);
    slots_init(&w->slots);
    for (unsigned i = 1; i <= WAITERS_MAX; i++)
        w->waiters[i].next = (uint16_t)(i < WAITERS_MAX ? i + 1 : 0);
    w->free_waiter = 1;
    w->n_providers = (unsigned)(1 + chance_below(w, PROVIDERS_MAX));
    w->n_profiles = (unsigned)chance_span(w, 1, 20);
    w->n_clients = (unsigned)chance_span(w, 1, CLIENTS_MAX);
    for (unsigned i = 0; i < w->n_providers; i++)
        provider_init(w, &w->providers[i]);
    for (unsigned i = 0; i < w->n_profiles; i++)
        init_profile(w, i);
    for (unsigned i = 0; i < w->n_clients; i++)
        client_init(w, i);
    if (chance_permille(w, 700))
        queue_set(&w->queue, SOURCE_SLEEP, w->now + chance_span(w, HOUR, 5 * DAY));
    if (chance_permille(w, 800))
        queue_set(&w->queue, SOURCE_NETWORK, w->now + chance_span(w, MINUTE, 5 * DAY));
    queue_set(&w->queue, SOURCE_PERSON, w->now + chance_span(w, MINUTE, 5 * DAY));
    if (chance_permille(w, 500))
        queue_set(&w->queue, SOURCE_RESTART, w->now + chance_span(w, HOUR, 30 * DAY));
}

static void happens_to_profile(struct world *w, unsigned source)
{
    struct profile *p = &w->profiles[(source - SOURCE_TIMER) % PROFILES_MAX];

    if (source < SOURCE_START)
        daemon_timer(w, p);
    else if (source < SOURCE_ANSWER)
        daemon_start(w, p);
    else if (source < SOURCE_CREDENTIAL)
        daemon_answer(w, p);
    else
        credential(w, p);
    check(w, p, &(struct fact){ .kind = FACT_REST });
}

static void happens_to_all(struct world *w, unsigned source)
{
    if (source < SOURCE_PASSWORD)
        provider_regime(w, &w->providers[source - SOURCE_REGIME]);
    else if (source < SOURCE_KEYS)
        provider_password(w, &w->providers[source - SOURCE_PASSWORD]);
    else if (source < SOURCE_SLEEP)
        provider_keys(w, &w->providers[source - SOURCE_KEYS]);
    else if (source == SOURCE_SLEEP)
        sleeps(w);
    else if (source == SOURCE_NETWORK)
        network(w);
    else if (source == SOURCE_NETWORK_CHECK)
        check_network(w);
    else if (source == SOURCE_PERSON)
        person(w);
    else
        restart(w);
    for (unsigned i = 0; i < w->n_profiles; i++)
        check(w, &w->profiles[i], &(struct fact){ .kind = FACT_REST });
}

static void run(struct world *w, uint64_t steps)
{
    uint64_t time = 0, start = w->now, moved_at = 0;
    unsigned source;

    while (w->step < steps && (source = queue_take(&w->queue, &time)) < SOURCES) {
        if (time > w->now) {
            w->now = time;
            moved_at = w->step;
        }
        w->step++;
        if (source < SOURCE_TIMER) {
            happens_to_all(w, source);
        } else if (source < SOURCE_CLIENT) {
            happens_to_profile(w, source);
        } else {
            unsigned n = source - SOURCE_CLIENT;
            client_act(w, n);
            check(w, &w->profiles[w->clients[n].profile], &(struct fact){ .kind = FACT_REST });
        }
        if (w->step - moved_at > STANDSTILL)
            check_standstill(w);
    }
    check_classes(w);
    w->statistics.steps += w->step;
    w->statistics.time += w->now - start;
}

/* ---- the program
 * --------------------------------------------------------------------------------------- */

static double now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(const struct statistics *s, double seconds)
{
    static const char *const names[CLASSES] = {
        [CLASS_WELL] = "no fault",
        [CLASS_OUTAGE] = "outage",
        [CLASS_LIMITED] = "429",
        [CLASS_ODD] = "slow, lost, odd",
        [CLASS_WRONG_PASSWORD] = "wrong password",
        [CLASS_SHORT] = "short tokens",
    };
    double years = (double)s->time / (double)(365 * DAY);

    printf("%" PRIu64 " steps, %.1f virtual years, %.2f s: %.2f million steps and %.1f virtual "
           "years a second\n",
           s->steps, years, seconds, (double)s->steps / seconds / 1e6, years / seconds);
    printf("%" PRIu64 " tokens, %" PRIu64 " clients served, %" PRIu64 " told an error, %" PRIu64
           " suspicions\n",
           s->tokens, s->served, s->failed, s->suspicions);
    printf("requests of a profile in a virtual day:");
    for (int i = 0; i < CLASSES; i++)
        printf("%s %s %.1f", i ? "," : "", names[i],
               s->class_time[i] ? (double)s->requests[i] / ((double)s->class_time[i] / (double)DAY)
                                : 0.0);
    printf("\nlongest wait of a client while the provider was up: %.3f s (seed %" PRIu64 ")\n",
           (double)s->longest_wait / (double)SECOND, s->longest_wait_seed);
    printf("wrong passwords in a row whose refusal was lost: %u at most\n", s->most_wrong_lost);
}

static bool read_number(const char *text, const char **ret_end, uint64_t *ret)
{
    char *end;

    *ret = strtoull(text, &end, 10);
    *ret_end = end;
    return end != text && *text != '-';
}

static int usage(void)
{
    fprintf(stderr, "usage: simulation [--seed N | --seeds A-B] [--steps N] [--trace]\n");
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, last = 100, steps = 20000;
    bool tracing = false;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "", *end = "";
        if (strcmp(argv[i], "--trace") == 0) {
            tracing = true;
            continue;
        }
        bool good = false;
        if (strcmp(argv[i], "--seed") == 0) {
            good = read_number(value, &end, &first);
            last = first;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            good = read_number(value, &end, &first) && *end == '-' &&
                   read_number(end + 1, &end, &last);
        } else if (strcmp(argv[i], "--steps") == 0) {
            good = read_number(value, &end, &steps);
        }
        if (!good || *end)
            return usage();
        i++;
    }
    double start = now_seconds();
    for (uint64_t seed = first; seed <= last; seed++) {
        init(&world, seed, tracing);
        run(&world, steps);
    }
    report(&world.statistics, now_seconds() - start);
    return 0;
}
