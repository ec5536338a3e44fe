/*
 * simulation - drives the daemon's own code through virtual years, with all that goes wrong in
 * them, and holds the promises P1 to P8, and P11, against each step.
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
#include <unistd.h>

enum { STANDSTILL = 100000 };
/* So many of so many steps see all that is looked for. */
enum { STANDARD_SEEDS = 500, STANDARD_STEPS = 20000 };

static struct world world;

/* ---- what happens around the daemon ---------------------------------------------------------- */

static void sleeps(struct world *w)
{
    uint64_t span = chance_permille(w, 800) ? chance_span(w, MINUTE, 14 * HOUR)
                                            : chance_span(w, MINUTE, 10 * DAY);

    w->now += span;
    w->slept_at = w->now;
    trace(w, NULL, "woken after", NULL, span, NEVER);
    for (unsigned i = 0; i < w->n_profiles; i++)
        check(w, &w->profiles[i], &(struct fact){ .kind = FACT_SLEPT });
    daemon_resume(w);
    if (chance_permille(w, 800))
        queue_set(&w->queue, EVENT_NETWORK, w->now + chance_span(w, MSEC, 20 * SECOND));
    queue_set(&w->queue, EVENT_SLEEP, w->now + chance_span(w, HOUR, 10 * DAY));
}

/* Network events come in crowds. */
static void network(struct world *w)
{
    daemon_network(w);
    queue_set(&w->queue, EVENT_NETWORK_CHECK, w->now + 3 * SECOND + 10 * MSEC);
    queue_set(&w->queue, EVENT_NETWORK,
              w->now + (chance_permille(w, 500) ? chance_span(w, MSEC, 5 * SECOND)
                                                : chance_span(w, MINUTE, 10 * DAY)));
}

static bool in_trouble(const struct model *p)
{
    return p->lc && (p->lc->state == LIFECYCLE_STOPPED || p->lc->state == LIFECYCLE_NEED_LOGIN);
}

/* Whom a person cares for: mostly what does not work. */
static struct model *some_profile(struct world *w)
{
    unsigned first = (unsigned)chance_below(w, w->n_profiles);

    if (chance_permille(w, 800))
        for (unsigned i = 0; i < w->n_profiles; i++) {
            struct model *p = &w->profiles[(first + i) % w->n_profiles];
            if (in_trouble(p))
                return p;
        }
    return &w->profiles[first];
}

/* What a person says for the sake of a profile by password. */
static void speak(struct world *w, struct model *p)
{
    struct provider *v = &w->providers[p->provider];
    unsigned password = v->right;

    switch (chance_below(w, 10)) {
    case 0:
        daemon_logout(w, p);
        break;
    case 1:
        daemon_reload(w);
        break;
    case 2: /* all that hangs on the account, by one word or, typed one after the other, by two */
        password = chance_permille(w, 500) ? v->right : 0;
        for (unsigned i = 0; i < w->n_profiles; i++)
            if (w->profiles[i].provider == p->provider) {
                daemon_renew(w, &w->profiles[i], password);
                if (password)
                    daemon_renew(w, &w->profiles[i], password);
            }
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
}

static void person(struct world *w)
{
    struct model *p = some_profile(w);
    uint64_t next = in_trouble(p) ? 3 * HOUR : 10 * DAY;

    check_classes(w);
    if (!(w->grants && grants_person(w, p)) && !(w->codes && codes_person(w, p)))
        speak(w, p);
    if (p->lc && p->lc->state == LIFECYCLE_ASKING && chance_permille(w, 100)) {
        queue_set(&w->queue, EVENT_PERSON, w->now + chance_span(w, MSEC, SECOND));
        return; /* and once more, while that is under way */
    }
    queue_set(&w->queue, EVENT_PERSON,
              w->now + chance_span(w, chance_permille(w, 100) ? SECOND : MINUTE, next));
}

static void restart(struct world *w)
{
    daemon_restart(w);
    queue_set(&w->queue, EVENT_RESTART,
              w->now + chance_span(w, chance_permille(w, 100) ? SECOND : DAY, 60 * DAY));
}

/* A source gets another password, or cannot be read for a while. */
static void credential(struct world *w, struct model *p)
{
    check_classes(w);
    if (p->source_next) {
        p->source = p->source_next;
        p->source_next = 0;
        trace(w, p, "the source has another password", NULL, NEVER, NEVER);
    } else {
        p->source_broken = !p->source_broken;
        trace(w, p, "the source can be read:", p->source_broken ? "no" : "yes", NEVER, NEVER);
    }
    stand_ins_source_changed(w, p);
    queue_set(&w->queue, EVENT_CREDENTIAL + p->number,
              w->now + (p->source_broken ? chance_span(w, SECOND, 6 * HOUR)
                                         : chance_span(w, DAY, 90 * DAY)));
}

/* ---- a world --------------------------------------------------------------------------------- */

static void init_policy(struct world *w, struct model *p)
{
    p->keep_fresh = 12 * HOUR;
    p->password_lifetime = NEVER;
    p->use_refresh_token = !chance_permille(w, 200);
    if (chance_permille(w, 250))
        p->keep_fresh = chance_permille(w, 500) ? NEVER : chance_span(w, SECOND, 3 * DAY);
    if (chance_permille(w, 20))
        p->keep_fresh = 0;
    if (chance_permille(w, 150))
        p->refresh_before_percent = (unsigned)(1 + chance_below(w, 90));
    else if (chance_permille(w, 150))
        p->refresh_before = chance_span(w, SECOND, 2 * HOUR);
    if (chance_permille(w, 200))
        p->password_lifetime = chance_span(w, SECOND, 3 * DAY);
    p->with_daemon = chance_permille(w, 100);
    p->has_secret = chance_permille(w, 300);
    p->keep = daemon_some_keep(w);
}

static void init_profile(struct world *w, unsigned i)
{
    struct model *p = &w->profiles[i];

    p->number = (uint8_t)i;
    snprintf(p->name, sizeof p->name, "p%02u", i % 100);
    TAILQ_INIT(&p->callers);
    p->first_deadline = NEVER;
    p->provider = (uint8_t)chance_below(w, w->n_providers);
    if (!chance_permille(w, 200)) {
        p->origin = chance_permille(w, 200) ? ORIGIN_COMMAND : ORIGIN_FILE;
        p->source = chance_permille(w, 50) ? 2 : 1; /* 2: wrong from the start */
    }
    p->class_since = w->now;
    if (p->source && !w->providers[p->provider].flawless)
        queue_set(&w->queue, EVENT_CREDENTIAL + i, w->now + chance_span(w, HOUR, 90 * DAY));
    init_policy(w, p);
    if (w->grants)
        grants_init(w, p);
    if (w->codes)
        codes_init_profile(w, p);
}

static void init(struct world *w, uint64_t seed, bool tracing)
{
    memset(w, 0, offsetof(struct world, statistics));
    w->seed = seed;
    w->tracing = tracing;
    w->grants = grants_are_in(seed);
    w->codes = codes_are_in(seed);
    w->now = DAY;
    chance_seed(w, seed);
    w->kept = -1;
    TAILQ_INIT(&w->free_callers);
    for (unsigned i = 0; i < WAITERS_MAX; i++)
        TAILQ_INSERT_TAIL(&w->free_callers, &w->callers[i], entry);
    w->n_providers = (unsigned)(1 + chance_below(w, PROVIDERS_MAX));
    w->n_profiles = (unsigned)chance_span(w, 1, 20);
    w->n_clients = (unsigned)chance_span(w, 1, CLIENTS_MAX);
    for (unsigned i = 0; i < w->n_providers; i++)
        provider_init(w, &w->providers[i]);
    for (unsigned i = 0; i < w->n_profiles; i++)
        init_profile(w, i);
    for (unsigned i = 0; i < w->n_clients; i++)
        client_init(w, i);
    the_world = w;
    daemon_start(w);
    if (chance_permille(w, 700))
        queue_set(&w->queue, EVENT_SLEEP, w->now + chance_span(w, HOUR, 5 * DAY));
    if (chance_permille(w, 800))
        queue_set(&w->queue, EVENT_NETWORK, w->now + chance_span(w, MINUTE, 5 * DAY));
    queue_set(&w->queue, EVENT_PERSON, w->now + chance_span(w, MINUTE, 5 * DAY));
    if (chance_permille(w, 500))
        queue_set(&w->queue, EVENT_RESTART, w->now + chance_span(w, HOUR, 30 * DAY));
}

static void rest(struct world *w, struct model *p)
{
    if (p->real)
        check(w, p, &(struct fact){ .kind = FACT_REST });
}

static void happens_to_all(struct world *w, unsigned source)
{
    if (source < EVENT_PASSWORD)
        provider_regime(w, &w->providers[source - EVENT_REGIME]);
    else if (source < EVENT_KEYS)
        provider_password(w, &w->providers[source - EVENT_PASSWORD]);
    else if (source < EVENT_FOREIGN)
        provider_keys(w, &w->providers[source - EVENT_KEYS]);
    else if (source < EVENT_SLEEP)
        provider_foreign(w, &w->providers[source - EVENT_FOREIGN]);
    else if (source == EVENT_SLEEP)
        sleeps(w);
    else if (source == EVENT_NETWORK)
        network(w);
    else if (source == EVENT_NETWORK_CHECK)
        check_network(w);
    else if (source == EVENT_PERSON)
        person(w);
    else
        restart(w);
    for (unsigned i = 0; i < w->n_profiles; i++)
        rest(w, &w->profiles[i]);
}

/* Returns the profile that it happens to. */
static struct model *happens_to_one(struct world *w, unsigned source)
{
    if (source >= EVENT_LOOP) {
        loop_dispatch(w, source - EVENT_LOOP);
        return w->acting;
    }
    if (source >= EVENT_CLIENT) {
        client_act(w, source - EVENT_CLIENT);
        return &w->profiles[w->clients[source - EVENT_CLIENT].profile];
    }
    struct model *p = &w->profiles[source - EVENT_CREDENTIAL];
    credential(w, p);
    return p;
}

static void run(struct world *w, uint64_t steps)
{
    uint64_t time = 0, start = w->now, moved_at = 0;
    unsigned source;

    while (w->step < steps && (source = queue_take(&w->queue, &time)) < EVENTS) {
        if (time > w->now) {
            w->now = time;
            moved_at = w->step;
        }
        w->step++;
        if (source < EVENT_CREDENTIAL)
            happens_to_all(w, source);
        else
            rest(w, happens_to_one(w, source));
        if (w->step - moved_at > STANDSTILL)
            check_standstill(w);
    }
    check_classes(w);
    w->statistics.steps += w->step;
    w->statistics.time += w->now - start;
}

/* ---- the program ----------------------------------------------------------------------------- */

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
    printf(
        "one password in a day, by the daemon's own doing: %u odd answers, %u lost ones at most\n",
        s->most_odd, s->most_lost);
    printf("%" PRIu64 " logins refused for an overlap, %" PRIu64 " refusals doubted\n", s->overlaps,
           s->doubts);
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
        daemon_stop(&world, false);
        close(world.kept);
    }
    report(&world.statistics, now_seconds() - start);
    bool all = grants_report(&world.statistics);
    all &= codes_report(&world.statistics);
    if (all || last - first + 1 < STANDARD_SEEDS || steps < STANDARD_STEPS)
        return 0;
    printf("one of these has not happened\n");
    return 1;
}
