/*
 * system_watch - tells when a failed request may go well now: the network came up, the way out of
 * this machine changed, the clock was set.
 */
#ifndef KUBETOKEN_SYSTEM_WATCH_H
#define KUBETOKEN_SYSTEM_WATCH_H

#include <stdbool.h>
#include <systemd/sd-event.h>

struct system_watch;

/* route: a default route came or went. */
typedef void (*system_watch_fn)(void *context, bool route);

/* NULL: no memory. What this kernel does not tell is done without. */
struct system_watch *system_watch_new(sd_event *event, system_watch_fn changed, void *context);
struct system_watch *system_watch_free(struct system_watch *world);

/* One more, or one less, whom it would interest. While there is nobody the network is not
 * listened to: on many machines addresses and routes change all day. Takes NULL. */
void system_watch_want(struct system_watch *world, bool more);

#endif
