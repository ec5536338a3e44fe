#include "daemon/fetch_queue.h"

#include <stddef.h>

/* A command that yields a credential may be a child that takes much more than a fetcher. */
static const uint64_t rest_most = 1000000;

void fetch_queue_init(struct fetch_queue *queue)
{
    queue->busy = queue->rests_until = 0;
    TAILQ_INIT(&queue->held);
    TAILQ_INIT(&queue->urgent);
    TAILQ_INIT(&queue->ahead);
}

static struct fetch_slots *list_of(struct fetch_queue *queue, const struct fetch_slot *slot)
{
    return slot->urgent ? &queue->urgent : &queue->ahead;
}

/* Whether there is a slot for any of them. */
static bool has_slots(const struct fetch_queue *queue, bool urgent, uint64_t now)
{
    const struct fetch_slot *s;
    unsigned n = 0;

    if (!urgent && now < queue->rests_until)
        return false;
    TAILQ_FOREACH (s, &queue->held, entry)
        n++;
    return n < (urgent ? FETCH_QUEUE_MAX : FETCH_QUEUE_AHEAD);
}

/* Whether its provider has one. */
static bool has_room(const struct fetch_queue *queue, const struct fetch_slot *slot)
{
    const struct fetch_slot *s;
    unsigned same = 0;

    TAILQ_FOREACH (s, &queue->held, entry)
        // cppcheck-suppress uninitvar; it does not follow TAILQ_FOREACH
        same += (s->urgent || !slot->urgent) && s->provider == slot->provider;
    return same < FETCH_QUEUE_PER_PROVIDER;
}

static void hold(struct fetch_queue *queue, struct fetch_slot *slot)
{
    TAILQ_INSERT_TAIL(&queue->held, slot, entry);
    slot->held = true;
}

bool fetch_queue_take(struct fetch_queue *queue, struct fetch_slot *slot, uint64_t now)
{
    if (has_slots(queue, slot->urgent, now) && has_room(queue, slot)) {
        hold(queue, slot);
        return true;
    }
    TAILQ_INSERT_TAIL(list_of(queue, slot), slot, entry);
    slot->queued = true;
    return false;
}

void fetch_queue_set_urgent(struct fetch_queue *queue, struct fetch_slot *slot, bool urgent)
{
    if (urgent == slot->urgent)
        return;
    if (slot->queued)
        TAILQ_REMOVE(list_of(queue, slot), slot, entry);
    slot->urgent = urgent;
    if (slot->queued && urgent)
        TAILQ_INSERT_TAIL(&queue->urgent, slot, entry);
    else if (slot->queued)
        TAILQ_INSERT_HEAD(&queue->ahead, slot, entry); /* it came before most */
}

/* The first of them that may go. Thousands may be of one provider: that is looked at once. */
static struct fetch_slot *first_of(const struct fetch_queue *queue, const struct fetch_slots *list,
                                   uint64_t now)
{
    const struct fetch_slot *full = NULL;
    struct fetch_slot *s;

    if (!has_slots(queue, list == &queue->urgent, now))
        return NULL;
    TAILQ_FOREACH (s, list, entry) {
        // cppcheck-suppress uninitvar
        if (full && s->provider == full->provider)
            continue;
        // cppcheck-suppress uninitvar; it does not follow TAILQ_FOREACH
        if (has_room(queue, s))
            return s;
        full = s;
    }
    return NULL;
}

/* Those with waiting clients before others. */
static struct fetch_slot *first(const struct fetch_queue *queue, uint64_t now)
{
    struct fetch_slot *s = first_of(queue, &queue->urgent, now);

    return s ? s : first_of(queue, &queue->ahead, now);
}

void fetch_queue_give(struct fetch_queue *queue, struct fetch_slot *slot)
{
    if (slot->held)
        TAILQ_REMOVE(&queue->held, slot, entry);
    if (slot->queued)
        TAILQ_REMOVE(list_of(queue, slot), slot, entry);
    slot->held = slot->queued = false;
}

struct fetch_slot *fetch_queue_next(struct fetch_queue *queue, uint64_t now)
{
    struct fetch_slot *s = first(queue, now);

    if (!s)
        return NULL;
    TAILQ_REMOVE(list_of(queue, s), s, entry);
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
    return !TAILQ_EMPTY(&queue->urgent);
}

struct fetch_slot *fetch_queue_before(const struct fetch_queue *queue,
                                      const struct fetch_slot *slot)
{
    struct fetch_slot *s;

    TAILQ_FOREACH (s, &queue->held, entry)
        // cppcheck-suppress uninitvar
        if (s->provider == slot->provider)
            return s;
    return TAILQ_FIRST(&queue->held);
}
