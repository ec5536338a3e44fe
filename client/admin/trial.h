/*
 * trial - a configuration that is tried: in a folder, in memory, that is gone afterwards whatever
 * ends this program, by a daemon of its own that asks a provider once.
 */
#ifndef KUBETOKEN_ADMIN_TRIAL_H
#define KUBETOKEN_ADMIN_TRIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

/* Makes the folder; where secrets are to be in it, only in memory. One at a time. Returns 0, or -1
 * with *why; trial_end() in both cases. */
int trial_begin(bool secret, struct error *why);

/* Writes a file there, mode 0600. Returns 0, or -1 with *why. */
int trial_write(const char *name, const char *bytes, size_t length, struct error *why);

/* What XDG_CONFIG_HOME is, for who is to read the kubetoken.conf there, and that file. */
const char *trial_config_home(void);
const char *trial_config(void);

/* Starts the daemon, with the kubetoken.conf that was written; from now on it is the one that is
 * asked. Returns 0, or -1 with *why. */
int trial_start(struct error *why);

/* Ends it, and removes all; another one is asked again. */
void trial_end(void);

#endif
