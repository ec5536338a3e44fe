/*
 * offspring - which processes are fetchers, or theirs: no client of the daemon.
 *
 * A fetcher meets the network, and has no socket to come here by. Should one get here all the same,
 * it is told by its pid, or by its process group, which it leads and cannot leave.
 */
#ifndef KUBETOKEN_OFFSPRING_H
#define KUBETOKEN_OFFSPRING_H

#include <stdbool.h>
#include <sys/types.h>

/* A fetcher was started, and leads a process group; and it was collected. */
void offspring_add(pid_t pid);
void offspring_remove(pid_t pid);

/* Whether that peer is one of them. For a second after its end too, since a connection may have
 * waited meanwhile: its number is nobody else's so soon. */
bool offspring_is(pid_t peer);

#endif
