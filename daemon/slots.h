/*
 * slots - how many fetchers run at once: 8 in all, 2 for each provider, those with waiting
 * clients first. Holds no process itself: it says whose turn it is.
 */
#ifndef KUBETOKEN_SLOTS_H
#define KUBETOKEN_SLOTS_H

#include <stdbool.h>
#include <sys/queue.h>

enum { SLOTS_MAX = 8, SLOTS_PER_PROVIDER = 2 };

/* One request for a slot, part of its owner. */
struct slot {
    const char *provider; /* belongs to the owner; the same while the slot is asked for or held */
    bool urgent;          /* a client waits for it */
    bool held, queued;
    TAILQ_ENTRY(slot) entry;
};

TAILQ_HEAD(slot_list, slot);

struct slots {
    struct slot_list held, queued;
};

/* Nobody holds or wants one. */
void slots_init(struct slots *slots);

/* Takes a slot, or puts it on the queue. Returns whether it is held now. slot->provider and urgent
 * are the owner's to set before. */
bool slots_take(struct slots *slots, struct slot *slot);

/* Gives it back, or leaves the queue. Takes a slot that is neither held nor queued, too. After that
 * slots_next() is to be asked. */
void slots_give(struct slots *slots, struct slot *slot);

/* Whose turn it is now: a slot that was queued and is held from now on. NULL: nobody's. */
struct slot *slots_next(struct slots *slots);

#endif
