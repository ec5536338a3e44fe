/*
 * watch - `status --watch`: what the daemon says of profiles, again at each change. A daemon that
 * ends, or is replaced, is waited for; none is started for it.
 */
#ifndef KUBETOKEN_CLIENT_WATCH_H
#define KUBETOKEN_CLIENT_WATCH_H

#include "client/options.h"

/* Ends where the output has no reader any more, when the one profile is gone, or by a signal. As a
 * table on a terminal, drawn in place; as a table each where the terminal cannot do that, or where
 * the text was asked for; else a line of JSON for each profile that changes. Returns the exit code.
 */
int watch_run(const struct options *options);

#endif
