/*
 * kuberc - which exec plugins kubectl may run, as its file of preferences says (kubectl 1.35 on).
 */
#ifndef KUBETOKEN_ADMIN_KUBERC_H
#define KUBETOKEN_ADMIN_KUBERC_H

#include <stdbool.h>

enum { KUBERC_ENTRIES_MAX = 64, KUBERC_TEXT_MAX = 256 };

struct kuberc {
    char policy[KUBERC_TEXT_MAX]; /* credentialPluginPolicy, "" if it is not set */
    bool has_list;                /* credentialPluginAllowlist is there */
    unsigned n;
    char entries[KUBERC_ENTRIES_MAX][KUBERC_TEXT_MAX]; /* the plugins in it: names or paths */
};

/* Where kubectl looks for it: KUBERC, else ~/.kube/kuberc. Returns false where it is switched off,
 * or there is no home. */
bool kuberc_path(char *out, unsigned size);

/* Reads it. Returns 0; -ENOENT or another errno value where it cannot be read; -EBADMSG when it is
 * no YAML, and *ret_line says where. */
int kuberc_read(const char *path, struct kuberc *ret, unsigned *ret_line);

#endif
