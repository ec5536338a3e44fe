/*
 * kubeconfig_paths - which files kubectl reads its configuration from: those of KUBECONFIG, in its
 * order, else ~/.kube/config (client-go's ClientConfigLoadingRules).
 */
#ifndef KUBETOKEN_ADMIN_KUBECONFIG_PATHS_H
#define KUBETOKEN_ADMIN_KUBECONFIG_PATHS_H

#include <limits.h>
#include <stdbool.h>

enum { KUBECONFIG_PATHS_MAX = 64 };

struct kubeconfig_paths {
    bool named; /* by --kubeconfig, so that it has to be there, or by KUBECONFIG */
    unsigned n; /* 0: there is no home */
    char path[KUBECONFIG_PATHS_MAX][PATH_MAX];
};

/* Finds them: file is what --kubeconfig says, NULL: nothing. One that is named twice counts once.
 * Whether they exist is not looked at. Returns 0, or -E2BIG: too many, or too long. */
int kubeconfig_paths_find(const char *file, struct kubeconfig_paths *ret);

#endif
