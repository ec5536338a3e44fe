/*
 * autostart - a daemon where none answers and no systemd offers one.
 */
#ifndef KUBETOKEN_CLIENT_AUTOSTART_H
#define KUBETOKEN_CLIENT_AUTOSTART_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* Starts a daemon and waits until it is ready, at most timeout (usec). Returns 0 when it, or
 * one that was quicker, serves; 1 when none is to be started (*why as it was, or that there is no
 * runtime directory); -1 when it failed (*why says how). */
int autostart_start(uint64_t timeout, struct error *why);

/* The same whatever KUBETOKEN_AUTOSTART says: a person asked for it. */
int autostart_now(uint64_t timeout, struct error *why);

/* Whether systemd keeps the daemon: its manager has the socket enabled. */
bool autostart_is_systemds(void);

/* Has remedies speak of systemd only where that is so. */
void autostart_set_keeper(void);

/* Starts a daemon that serves this process alone and ends with it, whatever systemd and
 * KUBETOKEN_AUTOSTART say; from now on it is the one that is asked. Once only. Returns
 * 0, or -1 with *why. */
int autostart_own(uint64_t timeout, struct error *why);

/* Whether a user manager of systemd runs where the socket is: it is probably who serves it. */
bool autostart_systemd_runs(void);

/* Where kubetokend is looked for first; by default beside this program. */
void autostart_from(const char *folder);

#endif
