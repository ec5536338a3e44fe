/*
 * kubeconfig_plan - what has to be written into which of kubectl's files, so that a user runs
 * kubetoken and a context uses it. Reads all of them, and changes nothing.
 */
#ifndef KUBETOKEN_ADMIN_KUBECONFIG_PLAN_H
#define KUBETOKEN_ADMIN_KUBECONFIG_PLAN_H

#include "client/admin/kubeconfig_file.h"
#include "client/admin/kubeconfig_paths.h"
#include "client/admin/kubeconfig_write.h"
#include "client/admin/yaml_tree.h"

/* A file and its text to be. */
struct kubeconfig_change {
    unsigned at; /* of plan->file */
    char *text;
    size_t length;
    char backup[PATH_MAX]; /* once it is written */
};

struct kubeconfig_plan {
    const struct kubeconfig_wish *wish;
    struct kubeconfig_paths paths;
    unsigned n; /* how many of the paths were read */
    struct kubeconfig_file *file;
    struct yaml_tree *tree;
    const char *version; /* of the stanza's API */
    char command[PATH_MAX];
    const char *user;    /* its name */
    unsigned user_at;    /* in which file it is, or is to be */
    const char *cluster; /* of the context, where that is new; else NULL */
    const char *current; /* the current context, "" if there is none */
    unsigned n_changes;
    struct kubeconfig_change change[KUBECONFIG_LOCKS_MAX];
};

/* Makes it. Returns 0, or -1 with *ret_problem. kubeconfig_plan_free() in both cases. */
int kubeconfig_plan_make(const struct kubeconfig_wish *wish, struct kubeconfig_plan *ret,
                         struct kubeconfig_problem *ret_problem);
void kubeconfig_plan_free(struct kubeconfig_plan *plan);

/* The stanza that is to be; the caller frees it. */
cJSON *kubeconfig_plan_user(const struct kubeconfig_plan *plan);

/* Names the contexts that use the user, but for the one that is wished for: "a, b". */
void kubeconfig_plan_contexts(const struct kubeconfig_plan *plan, char *out, size_t size);

#endif
