/*
 * world - tells when a failed request may go well now: the network came up, the clock was set.
 */
#ifndef KUBETOKEN_WORLD_H
#define KUBETOKEN_WORLD_H

#include <stdbool.h>
#include <systemd/sd-event.h>

struct world;

typedef void (*world_fn)(void *context);

/* NULL: no memory. What this kernel does not tell is done without. */
struct world *world_new(sd_event *event, world_fn changed, void *context);
struct world *world_free(struct world *world);

/* One more, or one less, whom it would interest. While there is nobody the network is not
 * listened to: on many machines addresses and routes change all day. Takes NULL. */
void world_want(struct world *world, bool more);

#endif
