/*
 * summary - how all profiles stand, in one line: the worst first, with what mends it.
 */
#ifndef KUBETOKEN_SUMMARY_H
#define KUBETOKEN_SUMMARY_H

#include "daemon/profiles.h"

/* "Serving 3 profiles"; or the configuration's first error, the fetcher that is missing, the one
 * profile in trouble and why, or what troubles several. Cut at size - 1. */
void summary_write(const struct profiles *profiles, char *out, size_t size);

#endif
