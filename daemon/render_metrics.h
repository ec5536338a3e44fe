/*
 * render_metrics - what `status --metrics` prints.
 */
#ifndef KUBETOKEN_RENDER_METRICS_H
#define KUBETOKEN_RENDER_METRICS_H

#include "daemon/profiles.h"

/* Of those profiles, and of the daemon. The caller frees it; NULL: no memory. */
char *render_metrics(const struct profiles *all, struct profile *const *profiles, size_t n,
                     bool with_user, uint64_t now);

#endif
