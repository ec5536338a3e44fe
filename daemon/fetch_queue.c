#include "daemon/fetch_queue.h"

#include <string.h>

void fetch_queue_init(struct fetch_queue *queue)
{
    TAILQ_INIT(&queue->held);
    TAILQ_INIT(&queue->queued);
}

static bool has_room(const struct fetch_queue *queue, const char *provider)
{
    const struct fetch_slot *s;
    unsigned all = 0, same = 0;

    TAILQ_FOREACH (s, &queue->held, entry) {
        all++;
        // cppcheck-suppress uninitvar; it does not follow TAILQ_FOREACH
        same += strcmp(s->provider, provider) == 0;
    }
    return all < FETCH_QUEUE_MAX && same < FETCH_QUEUE_PER_PROVIDER;
}

static void hold(struct fetch_queue *queue, struct fetch_slot *slot)
{
    TAILQ_INSERT_TAIL(&queue->held, slot, entry);
    slot->held = true;
}

bool fetch_queue_take(struct fetch_queue *queue, struct fetch_slot *slot)
{
    if (has_room(queue, slot->provider)) {
        hold(queue, slot);
        return true;
    }
    TAILQ_INSERT_TAIL(&queue->queued, slot, entry);
    slot->queued = true;
    return false;
}

/* The first in the queue that may go, those with waiting clients before others. */
static struct fetch_slot *first(const struct fetch_queue *queue)
{
    struct fetch_slot *s, *other = NULL;

    TAILQ_FOREACH (s, &queue->queued, entry) {
        // cppcheck-suppress uninitvar
        if (!has_room(queue, s->provider))
            continue;
        if (s->urgent)
            return s;
        if (!other)
            other = s;
    }
    return other;
}

void fetch_queue_give(struct fetch_queue *queue, struct fetch_slot *slot)
{
    if (slot->held)
        TAILQ_REMOVE(&queue->held, slot, entry);
    if (slot->queued)
        TAILQ_REMOVE(&queue->queued, slot, entry);
    slot->held = slot->queued = false;
}

struct fetch_slot *fetch_queue_next(struct fetch_queue *queue)
{
    struct fetch_slot *s = first(queue);

    if (!s)
        return NULL;
    TAILQ_REMOVE(&queue->queued, s, entry);
    s->queued = false;
    hold(queue, s);
    return s;
}

struct fetch_slot *fetch_queue_before(const struct fetch_queue *queue,
                                      const struct fetch_slot *slot)
{
    struct fetch_slot *s;

    TAILQ_FOREACH (s, &queue->held, entry)
        // cppcheck-suppress uninitvar
        if (strcmp(s->provider, slot->provider) == 0)
            return s;
    return TAILQ_FIRST(&queue->held);
}
