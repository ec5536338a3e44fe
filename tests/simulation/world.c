/* Chance, the queue of events, and the trace. */
#include "tests/simulation/world.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- chance: xoshiro256**, begun by splitmix64 (Blackman, Vigna) ----------------------------- */

static uint64_t rotated(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

void chance_seed(struct world *w, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        w->chance[i] = z ^ z >> 31;
    }
}

uint64_t chance(struct world *w)
{
    uint64_t *s = w->chance, result = rotated(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotated(s[3], 45);
    return result;
}

uint64_t chance_below(struct world *w, uint64_t n)
{
    return n == 0 ? 0 : chance(w) % n;
}

bool chance_permille(struct world *w, unsigned n)
{
    return chance_below(w, 1000) < n;
}

uint64_t chance_span(struct world *w, uint64_t least, uint64_t most)
{
    uint64_t doublings = 0;

    if (least >= most)
        return least;
    while (least << (doublings + 1) <= most)
        doublings++;
    uint64_t low = least << chance_below(w, doublings + 1);
    uint64_t high = 2 * low < most ? 2 * low : most;
    return low + chance_below(w, high - low + 1);
}

/* ---- the queue: a binary heap that knows where each source stands ---------------------------- */

static bool sooner(const struct queue *q, unsigned a, unsigned b)
{
    return q->time[a] < q->time[b] || (q->time[a] == q->time[b] && a < b);
}

static void put(struct queue *q, unsigned index, unsigned source)
{
    q->heap[index] = (uint16_t)source;
    q->place[source] = (uint16_t)(index + 1);
}

static void rise(struct queue *q, unsigned index)
{
    unsigned source = q->heap[index];

    while (index > 0 && sooner(q, source, q->heap[(index - 1) / 2])) {
        put(q, index, q->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put(q, index, source);
}

static void sink(struct queue *q, unsigned index)
{
    unsigned source = q->heap[index];

    for (;;) {
        unsigned child = 2 * index + 1;
        if (child >= q->length)
            break;
        if (child + 1 < q->length && sooner(q, q->heap[child + 1], q->heap[child]))
            child++;
        if (!sooner(q, q->heap[child], source))
            break;
        put(q, index, q->heap[child]);
        index = child;
    }
    put(q, index, source);
}

static void take_off(struct queue *q, unsigned source)
{
    unsigned index = q->place[source] - 1U, last = q->heap[--q->length];

    q->place[source] = 0;
    if (last == source)
        return;
    put(q, index, last);
    rise(q, index);
    sink(q, q->place[last] - 1U);
}

void queue_set(struct queue *q, unsigned source, uint64_t time)
{
    if (time == NEVER) {
        if (q->place[source])
            take_off(q, source);
        return;
    }
    if (!q->place[source])
        put(q, q->length++, source);
    q->time[source] = time;
    rise(q, q->place[source] - 1U);
    sink(q, q->place[source] - 1U);
}

unsigned queue_take(struct queue *q, uint64_t *ret_time)
{
    if (q->length == 0)
        return EVENTS;
    unsigned source = q->heap[0];
    *ret_time = q->time[source];
    take_off(q, source);
    return source;
}

/* ---- the trace ------------------------------------------------------------------------------- */

static void print_line(const struct trace_line *l)
{
    uint64_t seconds = l->now / SECOND;

    printf("%7" PRIu64 " %4" PRIu64 "d %02u:%02u:%02u.%06u ", l->step, seconds / 86400,
           (unsigned)(seconds / 3600 % 24), (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60),
           (unsigned)(l->now % SECOND));
    if (l->profile == NOBODY)
        printf("          ");
    else
        printf("profile %-2u", l->profile);
    printf(" %s", l->what);
    if (l->detail)
        printf(" %s", l->detail);
    for (int i = 0; i < 2; i++)
        if (l->seconds[i] != NEVER)
            printf(" %" PRIu64 ".%06u", l->seconds[i] / SECOND, (unsigned)(l->seconds[i] % SECOND));
    printf("\n");
}

void trace(struct world *w, const struct model *p, const char *what, const char *detail,
           uint64_t usec, uint64_t usec2)
{
    struct trace_line *l = &w->trace[w->traced++ % TRACE_LINES];

    *l = (struct trace_line){ .now = w->now,
                              .step = w->step,
                              .what = what,
                              .detail = detail,
                              .profile = p ? p->number : NOBODY,
                              .seconds = { usec, usec2 } };
    if (w->tracing)
        print_line(l);
}

void trace_print(const struct world *w)
{
    uint64_t first = w->traced > TRACE_LINES ? w->traced - TRACE_LINES : 0;

    for (uint64_t i = first; i < w->traced; i++)
        print_line(&w->trace[i % TRACE_LINES]);
}
