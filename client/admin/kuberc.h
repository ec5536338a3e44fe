/*
 * kuberc - which exec plugins kubectl may run, as its file of preferences says (kubectl 1.35 on).
 * Read as kubectl 1.36 was seen to read it.
 */
#ifndef KUBETOKEN_ADMIN_KUBERC_H
#define KUBETOKEN_ADMIN_KUBERC_H

#include <stdbool.h>

enum { KUBERC_ENTRIES_MAX = 64, KUBERC_TEXT_MAX = 256, KUBERC_FILE_MAX = 1024 * 1024 };

struct kuberc {
    bool counts;                  /* its version is one whose policy kubectl obeys */
    char policy[KUBERC_TEXT_MAX]; /* credentialPluginPolicy, "" if it is not set */
    bool has_list;                /* credentialPluginAllowlist is there */
    unsigned n;
    char entries[KUBERC_ENTRIES_MAX][KUBERC_TEXT_MAX]; /* the plugins in it: names or paths */
};

/* Where kubectl looks for it: KUBERC, else ~/.kube/kuberc. Returns false where it is switched off,
 * or there is no home. *ret_named: by KUBERC, so that kubectl insists on it. */
bool kuberc_path(char *out, unsigned size, bool *ret_named);

/* Reads it: of several documents the first that is a Preference of kubectl.config.k8s.io/v1beta1
 * or v1alpha1 counts, of a key that is there twice the last; a policy counts in v1beta1 alone.
 * Returns 0, also for an empty file; -ENOENT or another errno value where it cannot be read;
 * -EBADMSG when kubectl finds no document in it that it can use, and *ret_line is that of the
 * first error of YAML, 0 for none. */
int kuberc_read(const char *path, struct kuberc *ret, unsigned *ret_line);

/* The same of a text. */
int kuberc_parse(const char *text, struct kuberc *ret, unsigned *ret_line);

/* For what every kubectl command ends with such a file, NULL: it does not. */
const char *kuberc_fatal(const struct kuberc *rc);

#endif
