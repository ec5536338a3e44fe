#include "daemon/slots.h"

#include <string.h>

void slots_init(struct slots *slots)
{
    TAILQ_INIT(&slots->held);
    TAILQ_INIT(&slots->queued);
}

static bool has_room(const struct slots *slots, const char *provider)
{
    const struct slot *s;
    unsigned all = 0, same = 0;

    TAILQ_FOREACH (s, &slots->held, entry) {
        all++;
        // cppcheck-suppress uninitvar; it does not follow TAILQ_FOREACH
        same += strcmp(s->provider, provider) == 0;
    }
    return all < SLOTS_MAX && same < SLOTS_PER_PROVIDER;
}

static void hold(struct slots *slots, struct slot *slot)
{
    TAILQ_INSERT_TAIL(&slots->held, slot, entry);
    slot->held = true;
}

bool slots_take(struct slots *slots, struct slot *slot)
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
static struct slot *first(const struct slots *slots)
{
    struct slot *s, *other = NULL;

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

void slots_give(struct slots *slots, struct slot *slot)
{
    if (slot->held)
        TAILQ_REMOVE(&slots->held, slot, entry);
    if (slot->queued)
        TAILQ_REMOVE(&slots->queued, slot, entry);
    slot->held = slot->queued = false;
}

struct slot *slots_next(struct slots *slots)
{
    struct slot *s = first(slots);

    if (!s)
        return NULL;
    TAILQ_REMOVE(&slots->queued, s, entry);
    s->queued = false;
    hold(slots, s);
    return s;
}
