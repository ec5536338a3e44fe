/*
 * resolver - names that only a service of this machine can tell (systemd-resolved, sssd, avahi),
 * which is asked over a Unix socket. Such sockets lead out of every sandbox: the user's bus, his
 * systemd, an agent. So who meets the network has none, and who asks such a service is a process
 * of its own that has no network, no secret and none of the job; all that it takes is a name, and
 * all that it gives is addresses.
 *
 * getaddrinfo() of this program is defined here, so that libcurl has them without knowing: it alone
 * knows which of host and proxy it has to resolve (no_proxy, SOCKS, IDN). What the services do not
 * tell is asked for by DNS, where the call was made.
 */
#ifndef KUBETOKEN_FETCH_RESOLVER_H
#define KUBETOKEN_FETCH_RESOLVER_H

#include <stdbool.h>

/* For which names this machine has such a service. */
enum resolver_need {
    RESOLVER_NONE,
    RESOLVER_LOCAL, /* those that end in .local (RFC 6762 §3) */
    RESOLVER_ALL,
};

/* That of this machine. */
enum resolver_need resolver_need(void);

/* The same by the text of nsswitch.conf; stub: resolv.conf names the stub of systemd-resolved,
 * which answers over UDP what nss-resolve would. */
enum resolver_need resolver_need_of(const char *nsswitch, bool stub);

/* Whether that name is among them. */
bool resolver_is_asked(enum resolver_need need, const char *name);

/* Starts the process, which ends with the caller; nothing for RESOLVER_NONE. It is a fork: to be
 * called while no secret is in memory, after sandbox_limits() and before the other walls. Where
 * it fails, or ends early, DNS is all there is. */
void resolver_start(enum resolver_need need);

#endif
