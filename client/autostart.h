/*
 * autostart - a daemon where none answers and no systemd offers one.
 */
#ifndef KUBETOKEN_CLIENT_AUTOSTART_H
#define KUBETOKEN_CLIENT_AUTOSTART_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/paths.h"

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

/* Starts a daemon that tries the profiles of that configuration file, each once, and ends with this
 * process; KUBETOKEN_SOCKET, which is set before, says where it listens. Returns 0 with its pid, or
 * -1 with *why; *ret > 0: it may run yet. */
int autostart_trial(const char *config, uint64_t timeout, pid_t *ret, struct error *why);

/* Whether a user manager of systemd runs where the socket is: it is probably who serves it. */
bool autostart_systemd_runs(void);

/* Which kubetokend that is: one in that folder, or the name alone. */
void autostart_program(char out[PATHS_MAX]);

/* Whether to connect would have systemd start a daemon: its socket is there, its service is not. */
bool autostart_would_wake(void);

/* Where kubetokend is looked for first; by default beside this program. */
void autostart_from(const char *folder);

#endif
