/*
 * reap - the end of a child, waited for no longer than it is worth. One that was killed ends at
 * once, or when what it waits for within the kernel lets it go: that may be never. A handler of
 * signals may call all of it.
 */
#ifndef KUBETOKEN_CLIENT_REAP_H
#define KUBETOKEN_CLIENT_REAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Waits for its end until the deadline (usec of CLOCK_BOOTTIME). Returns whether it has ended;
 * *status is then as waitpid() has it, or as it was where nobody is told of children. */
bool reap_until(pid_t pid, uint64_t deadline, int *status);

/* The same, of one that is killed first, for a few seconds. Where it does not end by that it is
 * named on stderr and left behind. name: of the program. */
bool reap_kill(pid_t pid, const char *name, int *status);

/* Lets it end by itself until the deadline, then kills it. Returns as reap_kill(). */
bool reap(pid_t pid, const char *name, uint64_t deadline, int *status);

#endif
