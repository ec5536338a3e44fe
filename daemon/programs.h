/*
 * programs - whether the programs that a daemon is made of are those on the disk: an upgrade that
 * it has not seen yet, or half an installation.
 */
#ifndef KUBETOKEN_PROGRAMS_H
#define KUBETOKEN_PROGRAMS_H

#include "daemon/context.h"

/* Whether there is a fetcher, else *why. Looked at as a job would: systemd is told when it is there
 * at last. */
bool programs_find_fetcher(struct context *shared, struct error *why);

/* Whether our own program, and the fetcher that was opened, are still those on the disk, as far as
 * that is known. */
bool programs_daemon_current(const struct context *shared);
bool programs_fetcher_current(const struct context *shared);

#endif
