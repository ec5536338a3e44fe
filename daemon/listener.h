/*
 * listener - the listening socket: handed over by systemd, or made at its path and watched.
 */
#ifndef KUBETOKEN_LISTENER_H
#define KUBETOKEN_LISTENER_H

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "common/error.h"

struct listener;

/* Takes the socket that was handed over, or (-1) makes one at paths_socket(): a living daemon there
 * is not replaced, a dead one's socket is. Returns the listener, or NULL with *why set. */
struct listener *listener_open(int handed_over, struct error *why);

/* Whether it was made here: then nobody starts the daemon again for who connects. */
bool listener_is_own(const struct listener *listener);

/* No request to that socket brings a descriptor, where the kernel can see to that. */
void listener_refuse_descriptors(int fd);

/* Removes the socket, if it was made here and is still the one at its path. Takes NULL. */
struct listener *listener_close(struct listener *listener);

/* The descriptor; it goes to the caller, who closes it. */
int listener_take(struct listener *listener);

/* Ends the event loop once the path of a socket made here is another's or gone: nobody could
 * reach the daemon any more. Returns 0, or a negative errno. */
int listener_watch(struct listener *listener, sd_event *event);

#endif
