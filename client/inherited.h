/*
 * inherited - what a daemon would have from the client that starts it, and lives longer than that
 * one: a nice value, limits.
 */
#ifndef KUBETOKEN_CLIENT_INHERITED_H
#define KUBETOKEN_CLIENT_INHERITED_H

/* Takes it back as far as the kernel lets: a hard limit stays, and without privilege a nice value
 * does. For between fork and exec. */
void inherited_reset(void);

#endif
