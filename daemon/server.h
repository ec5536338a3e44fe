/*
 * server - the listening socket, its peers, their requests, and those who wait.
 *
 * Only this user is served, and root the status, by the kernel's word (SO_PEERCRED). A peer that is
 * slow or stuck holds one slot and nobody else: everything has a limit and a time.
 */
#ifndef KUBETOKEN_SERVER_H
#define KUBETOKEN_SERVER_H

#include "daemon/share.h"

struct server;

/* Serves on a listening socket, which it takes over. NULL: no memory. */
struct server *server_new(sd_event *event, int listener, struct profiles *profiles);
struct server *server_free(struct server *server);

/* The shares that an earlier life left: share_take_up(), with its rule of when. */
void server_take_up_shares(struct server *server, const struct share_kept *kept, size_t n);

/* What `stop` does, which is refused without it. It has to give the socket's path free at once, so
 * that who is answered can start another daemon, and to have the loop end. */
void server_on_stop(struct server *server, void (*stop)(void *context), void *context);

/* When a peer last came or asked, usec of CLOCK_BOOTTIME; at first when it was made. */
uint64_t server_last_asked(const struct server *server);

#endif
