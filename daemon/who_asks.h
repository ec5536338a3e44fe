/*
 * who_asks - which program a token went to: looked at once the answer is out and nothing else is to
 * be done. `kubetoken get` ends at once; who wants the token is its parent.
 *
 * Of another process its name is taken, as the kernel has it, and nothing else.
 */
#ifndef KUBETOKEN_WHO_ASKS_H
#define KUBETOKEN_WHO_ASKS_H

#include <systemd/sd-event.h>

#include "daemon/history.h"

struct who_asks;

/* Attends to the history, which may be NULL. While somebody wants to know (who_asks_tell()),
 * settled() is called when something has been added to it and all who were to be looked at were;
 * from the event loop. NULL: no memory. */
struct who_asks *who_asks_new(sd_event *event, struct history *history,
                              void (*settled)(void *context), void *context);
struct who_asks *who_asks_free(struct who_asks *who);

/* Who asks, by a look at once: into at (now), pid, started, program, confirmed. pid: of the
 * client-go process, as the peer says, or 0. who: may be NULL. */
void who_asks_find(struct who_asks *who, pid_t peer, pid_t pid, struct history_entry *ret);

/* Whether somebody wants to know; then settled() is called soon, also where nothing was added. */
void who_asks_tell(struct who_asks *who, bool wanted);

/* Looks at once, for who wants to read the history now. */
void who_asks_settle(struct who_asks *who);

#endif
