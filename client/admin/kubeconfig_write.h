/*
 * kubeconfig_write - puts the user that runs kubetoken into a kubeconfig: its block is replaced, or
 * one is added, and every other byte of the file stays.
 */
#ifndef KUBETOKEN_ADMIN_KUBECONFIG_WRITE_H
#define KUBETOKEN_ADMIN_KUBECONFIG_WRITE_H

#include <stdbool.h>

struct kubeconfig_wish {
    const char *profile; /* that the stanza names */
    const char *user;    /* of the kubeconfig; NULL: that of the context, where kubetoken stands
                          * for what it has, else named as the profile */
    const char *context; /* is made to use that user; NULL: none is */
    const char *cluster; /* of a context that is not there yet; NULL: that of the current one, or
                          * the only one */
    const char *file;    /* what --kubeconfig says; NULL: that of KUBECONFIG or ~/.kube/config
                          * which kubectl would change */
    const char *api_version; /* "v1" or "v1beta1"; NULL: what the kubectl found takes */
    const char *command;     /* NULL: "kubetoken", or its path where that is needed */
    const char *folder;      /* where kubetoken is, for its path */
    bool absolute;           /* its path in any case */
    bool dry_run;            /* show what would be done, and do nothing */
    bool force;              /* also where the user has something that is lost by it */
};

/* Does it, and prints what has changed, or that nothing had to. What went wrong is said on stderr.
 * Returns the exit code; with another than 0 the file is as it was. */
int kubeconfig_write(const struct kubeconfig_wish *wish);

/* Takes back the last of it, in that file or in those of KUBECONFIG, if nobody has changed them
 * since. The same words, the same exit codes. */
int kubeconfig_undo(const char *file, bool dry_run);

/* The apiVersion of an exec stanza that the kubectl found takes: "v1", or "v1beta1". */
const char *kubeconfig_api_version(void);

#endif
