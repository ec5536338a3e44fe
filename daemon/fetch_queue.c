#include "daemon/fetch_queue.h"

#include <string.h>

void fetch_queue_init(struct fetch_queue *slots)
{
    TAILQ_INIT(&slots->held);
    TAILQ_INIT(&slots->queued);
}

static bool has_room(const struct fetch_queue *slots, const char *provider)
{
    const struct fetch_slot *s;
    unsigned all = 0, same = 0;

    TAILQ_FOREACH (s, &slots->held, entry) {
        all++;
        // cppcheck-suppress uninitvar; it does not follow TAILQ_FOREACH
        same += strcmp(s->provider, provider) == 0;
    }
    return all < FETCH_QUEUE_MAX && same < FETCH_QUEUE_PER_PROVIDER;
}

static void hold(struct fetch_queue *slots, struct fetch_slot *slot)
{
    TAILQ_INSERT_TAIL(&slots->held, slot, entry);
    slot->held = true;
}

bool fetch_queue_take(struct fetch_queue *slots, struct fetch_slot *slot)
{
    if (has_room(slots, slot->provider)) {
        hold(slots, slot);
        return true;
    }
    TAILQ_INSERT_TAIL(&slots->queued, slot, entry);
    slot->queued = true;
    return false;
}

/* The first in the queue that may go, those with waiting clients before others. */
static struct fetch_slot *first(const struct fetch_queue *slots)
{
    struct fetch_slot *s, *other = NULL;

    TAILQ_FOREACH (s, &slots->queued, entry) {
        // cppcheck-suppress uninitvar
        if (!has_room(slots, s->provider))
            continue;
        if (s->urgent)
            return s;
        if (!other)
            other = s;
    }
    return other;
}

void fetch_queue_give(struct fetch_queue *slots, struct fetch_slot *slot)
{
    if (slot->held)
        TAILQ_REMOVE(&slots->held, slot, entry);
    if (slot->queued)
        TAILQ_REMOVE(&slots->queued, slot, entry);
    slot->held = slot->queued = false;
}

struct fetch_slot *fetch_queue_next(struct fetch_queue *slots)
{
    struct fetch_slot *s = first(slots);

    if (!s)
        return NULL;
    TAILQ_REMOVE(&slots->queued, s, entry);
    s->queued = false;
    hold(slots, s);
    return s;
}
