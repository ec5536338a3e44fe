#include "daemon/fetch_queue.h"

#include <string.h>

/* A command that yields a credential may be a child that takes much more than a fetcher. */
static const uint64_t rest_most = 1000000;

void fetch_queue_init(struct fetch_queue *queue)
{
    queue->busy = queue->rests_until = 0;
    TAILQ_INIT(&queue->held);
    TAILQ_INIT(&queue->queued);
}

static bool has_room(const struct fetch_queue *queue, const struct fetch_slot *slot, uint64_t now)
{
    const struct fetch_slot *s;
    unsigned all = 0, same = 0;

    if (!slot->urgent && now < queue->rests_until)
        return false;

    TAILQ_FOREACH (s, &queue->held, entry) {
        all++;
        // cppcheck-suppress uninitvar; it does not follow TAILQ_FOREACH
        same += (s->urgent || !slot->urgent) && strcmp(s->provider, slot->provider) == 0;
    }
    return all < (slot->urgent ? FETCH_QUEUE_MAX : FETCH_QUEUE_AHEAD) &&
           same < FETCH_QUEUE_PER_PROVIDER;
}

static void hold(struct fetch_queue *queue, struct fetch_slot *slot)
{
    TAILQ_INSERT_TAIL(&queue->held, slot, entry);
    slot->held = true;
}

bool fetch_queue_take(struct fetch_queue *queue, struct fetch_slot *slot, uint64_t now)
{
    if (has_room(queue, slot, now)) {
        hold(queue, slot);
        return true;
    }
    TAILQ_INSERT_TAIL(&queue->queued, slot, entry);
    slot->queued = true;
    return false;
}

/* The first in the queue that may go, those with waiting clients before others. */
static struct fetch_slot *first(const struct fetch_queue *queue, uint64_t now)
{
    struct fetch_slot *s, *other = NULL;

    TAILQ_FOREACH (s, &queue->queued, entry) {
        // cppcheck-suppress uninitvar
        if (!has_room(queue, s, now))
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

struct fetch_slot *fetch_queue_next(struct fetch_queue *queue, uint64_t now)
{
    struct fetch_slot *s = first(queue, now);

    if (!s)
        return NULL;
    TAILQ_REMOVE(&queue->queued, s, entry);
    s->queued = false;
    hold(queue, s);
    return s;
}

void fetch_queue_rest(struct fetch_queue *queue, uint64_t busy, uint64_t now)
{
    uint64_t from = queue->rests_until > now ? queue->rests_until : now;
    uint64_t until = from + (busy - queue->busy);

    queue->busy = busy;
    queue->rests_until = until < now + rest_most ? until : now + rest_most;
}

struct fetch_slot *fetch_queue_rested(const struct fetch_queue *queue, uint64_t now)
{
    return now < queue->rests_until ? first(queue, queue->rests_until) : NULL;
}

bool fetch_queue_is_pressed(const struct fetch_queue *queue)
{
    const struct fetch_slot *s;

    TAILQ_FOREACH (s, &queue->queued, entry)
        // cppcheck-suppress uninitvar
        if (s->urgent)
            return true;
    return false;
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
