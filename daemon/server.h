/*
 * server - the listening socket, its peers, their requests, and those who wait.
 *
 * Only this user and root are served, by the kernel's word (SO_PEERCRED). A peer that is slow
 * or stuck holds one slot and nobody else: everything has a limit and a time.
 */
#ifndef KUBETOKEN_SERVER_H
#define KUBETOKEN_SERVER_H

#include "daemon/profiles.h"

struct server;

/* Serves on a listening socket, which it takes over. NULL: no memory. */
struct server *server_new(sd_event *event, int listener, struct profiles *profiles);
struct server *server_free(struct server *server);

/* When a peer last came or asked, usec of CLOCK_BOOTTIME; at first when it was made. */
uint64_t server_last_asked(const struct server *server);

#endif
