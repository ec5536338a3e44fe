/*
 * other_user - the daemon of another user, whom root asks for its status. Nothing that a user has
 * made is believed: not where the way leads, not who listens there, not what is said.
 */
#ifndef KUBETOKEN_CLIENT_OTHER_USER_H
#define KUBETOKEN_CLIENT_OTHER_USER_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Connects to the daemon of the user with that uid, within timeout (usec): at $KUBETOKEN_SOCKET if
 * that is set, else below /run/user/UID, else in /tmp/kubetoken-UID. Never has one start. Returns a
 * descriptor, or -1 with *why: ERROR_USAGE or ERROR_OTHER_DAEMON. */
int other_user_connect(const char *uid, uint64_t timeout, struct error *why);

/* Copies text of which nothing is a control character, but for newlines: one becomes '?'. *last is
 * the byte before it, 0 at first. */
void other_user_clean(char *to, const char *from, size_t length, unsigned char *last);

#endif
