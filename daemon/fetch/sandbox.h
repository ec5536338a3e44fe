/*
 * sandbox - the walls around kubetoken-fetch, which meets the network with a password in hand:
 * limits, then files (Landlock), then system calls (seccomp). What stays possible is a
 * connection, DNS, and reading what these two need. What has to ask a service of this machine for
 * a name is another process (resolver.h), which has no network.
 *
 * Kernels without Landlock or seccomp are served all the same, with what there is.
 */
#ifndef KUBETOKEN_FETCH_SANDBOX_H
#define KUBETOKEN_FETCH_SANDBOX_H

#include <stdint.h>

#include "common/job.h"

/* No core dumps, no tracing by others of the user, no new privileges, no byte into a file, few
 * descriptors, a bound on memory. Cannot fail in a way that matters. */
void sandbox_limits(void);

/* Reading only, and only what TLS and name resolution need and the job's own files; no TCP
 * port of our own; no socket of Unix by its path or its abstract name, no process outside. Without
 * a job it is for what resolves names: no TCP at all, and the sockets of the name services stay.
 * Needs sandbox_limits(). Returns the ABI of Landlock, of which each one adds some of that, 0 when
 * this kernel has none, or -errno. */
int sandbox_files(const struct job *job);

/* What is done with files that such a kernel can forbid: LANDLOCK_ACCESS_FS_... */
uint64_t sandbox_file_rights(long abi);

/* What a process is for, which is one of the two. */
enum sandbox_role {
    SANDBOX_NETWORK, /* sockets of IPv4 and IPv6, none of Unix */
    SANDBOX_NAMES,   /* sockets of Unix, none of the network and no threads */
};

/* Only the system calls of a client, all others fail with EPERM. Needs sandbox_limits(); nothing
 * but the calling thread may run. Returns 1, 0 when there is no seccomp or the architecture is not
 * known, or -errno. */
int sandbox_calls(enum sandbox_role role);

#endif
