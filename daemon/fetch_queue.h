/*
 * fetch_queue - how many fetchers run at once: 8 in all, 2 for each provider, those with waiting
 * clients first. Those for whom nobody waits stand in the way of nobody who does: they take 6 of
 * the 8, do not count in what a provider has, and rest for as long as processors were busy with
 * fetchers: a thousand that are due at once take one processor, however many there are. Holds no
 * process itself: it says whose turn it is. Times are usec of CLOCK_BOOTTIME.
 */
#ifndef KUBETOKEN_FETCH_QUEUE_H
#define KUBETOKEN_FETCH_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum { FETCH_QUEUE_MAX = 8, FETCH_QUEUE_AHEAD = 6, FETCH_QUEUE_PER_PROVIDER = 2 };

/* One request for a slot, part of its owner. */
struct fetch_slot {
    uint64_t provider; /* a digest of its name; the same while the slot is asked for or held */
    bool urgent;       /* a client waits for it */
    bool held, queued;
    TAILQ_ENTRY(fetch_slot) entry;
};

TAILQ_HEAD(fetch_slots, fetch_slot);

struct fetch_queue {
    struct fetch_slots held;
    struct fetch_slots urgent, ahead; /* those who wait, by slot->urgent; there may be thousands */
    uint64_t busy;                    /* usec that processors were, for fetchers that have ended */
    uint64_t rests_until;             /* until then those for whom nobody waits are not started */
};

/* Nobody holds or wants one. */
void fetch_queue_init(struct fetch_queue *queue);

/* Takes a slot, or puts it on the queue. Returns whether it is held now. slot->provider and urgent
 * are the owner's to set before. */
bool fetch_queue_take(struct fetch_queue *queue, struct fetch_slot *slot, uint64_t now);

/* A client waits for it now, or none does any more: for one that is neither held nor queued, too.
 */
void fetch_queue_set_urgent(struct fetch_queue *queue, struct fetch_slot *slot, bool urgent);

/* Gives it back, or leaves the queue. Takes a slot that is neither held nor queued, too. After that
 * fetch_queue_next() is to be asked. */
void fetch_queue_give(struct fetch_queue *queue, struct fetch_slot *slot);

/* Whose turn it is now: a slot that was queued and is held from now on. NULL: nobody's. */
struct fetch_slot *fetch_queue_next(struct fetch_queue *queue, uint64_t now);

/* busy: what all fetchers that have ended took of processors, usec. They rest for what is new of
 * that, up to a second. */
void fetch_queue_rest(struct fetch_queue *queue, uint64_t busy, uint64_t now);

/* Whose turn it is when they have rested (at rests_until). NULL: nobody waits for that. */
struct fetch_slot *fetch_queue_rested(const struct fetch_queue *queue, uint64_t now);

/* Whether one with waiting clients is on the queue. */
bool fetch_queue_is_pressed(const struct fetch_queue *queue);

/* A slot that is held and stands in the way of one that is queued, the one for its own provider
 * first. NULL: none. */
struct fetch_slot *fetch_queue_before(const struct fetch_queue *queue,
                                      const struct fetch_slot *slot);

#endif
