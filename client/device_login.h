/*
 * device_login - a login that a person confirms in a browser (RFC 8628): shows what the daemon says
 * of it, and waits for its end.
 */
#ifndef KUBETOKEN_CLIENT_DEVICE_LOGIN_H
#define KUBETOKEN_CLIENT_DEVICE_LOGIN_H

#include <stdint.h>

/* Logs in to that profile. The code has to be there within timeout (usec); then its own life
 * counts. All that is for the person goes to stderr, and the answer to stdout. Returns the exit
 * code. When the program ends, the login does. */
int device_login(const char *profile, uint64_t timeout);

#endif
