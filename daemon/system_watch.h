/*
 * system_watch - tells when a failed request may go well now: the network came up, the way out of
 * this machine changed, it woke up, the clock was set.
 */
#ifndef KUBETOKEN_SYSTEM_WATCH_H
#define KUBETOKEN_SYSTEM_WATCH_H

#include <stdbool.h>
#include <systemd/sd-event.h>

struct system_watch;

enum system_change {
    SYSTEM_CLOCK,   /* it was set */
    SYSTEM_RESUME,  /* the machine slept, and woke up */
    SYSTEM_NETWORK, /* an address or a route came */
    SYSTEM_ROUTE,   /* a default one came or went */
};

typedef void (*system_watch_fn)(void *context, enum system_change what);

/* NULL: no memory. What this kernel does not tell is done without. */
struct system_watch *system_watch_new(sd_event *event, system_watch_fn changed, void *context);
struct system_watch *system_watch_free(struct system_watch *world);

/* One more, or one less, whom the network would interest. While there is nobody only another
 * default route is told: on many machines addresses and routes change all day. Takes NULL. */
void system_watch_want(struct system_watch *world, bool more);

#endif
