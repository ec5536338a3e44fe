/*
 * sandbox - the walls around kubetoken-fetch, which meets the network with a password in hand:
 * limits, then files (Landlock), then system calls (seccomp). What stays possible is a
 * connection, name resolution, and reading what these two need.
 *
 * Kernels without Landlock or seccomp are served all the same, with what there is.
 */
#ifndef KUBETOKEN_FETCH_SANDBOX_H
#define KUBETOKEN_FETCH_SANDBOX_H

#include "common/job.h"

/* No core dumps, no tracing by others of the user, no new privileges, no byte into a file, few
 * descriptors, a bound on memory. Cannot fail in a way that matters. */
void sandbox_limits(void);

/* Reading only, and only what TLS and name resolution need and the job's own files; no TCP
 * port of our own; no abstract socket and no process outside. Needs sandbox_limits().
 * Returns 1, 0 when this kernel has no Landlock, or -errno. */
int sandbox_files(const struct job *job);

/* Only the system calls of a client with threads; all others fail with EPERM. Sockets of Unix
 * are among them where asked for. Needs sandbox_limits(); nothing but the calling thread may
 * run. Returns 1, 0 when there is no seccomp or the architecture is not known, or -errno. */
int sandbox_calls(bool unix_sockets);

/* Whether this machine resolves the job's names by a service behind a Unix socket alone. That
 * socket is worth asking for: others (the user's bus, an agent, a container engine) lead out. */
bool sandbox_needs_unix(const struct job *job);

/* The same by the text of nsswitch.conf; stub: resolv.conf names the stub of systemd-resolved,
 * which answers over UDP what nss-resolve would. */
bool sandbox_hosts_need_unix(const char *nsswitch, bool stub, const struct job *job);

#endif
