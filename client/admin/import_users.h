/*
 * import_users - the users of a kubeconfig as kubectl merges its files: of two with the same name
 * the first one counts.
 */
#ifndef KUBETOKEN_ADMIN_IMPORT_USERS_H
#define KUBETOKEN_ADMIN_IMPORT_USERS_H

#include <cjson/cJSON.h>

#include "client/admin/kubeconfig_paths.h"
#include "client/admin/yaml_tree.h"
#include "common/error.h"

enum { IMPORT_USERS_MAX = 512 };

struct import_user {
    const char *name;
    const char *file; /* that it stands in */
    const cJSON *login;
};

struct import_users {
    struct kubeconfig_paths paths;
    struct yaml_tree trees[KUBECONFIG_PATHS_MAX];
    unsigned n;
    struct import_user list[IMPORT_USERS_MAX];
};

/* Reads the files; file: what --kubeconfig says, or NULL. Returns 0, or -1 with *why.
 * import_users_clear() in any case. */
int import_users_read(const char *file, struct import_users *ret, struct error *why);
void import_users_clear(struct import_users *users);

/* The user of that name, or NULL. */
const struct import_user *import_users_find(const struct import_users *users, const char *name);

/* The name of the user that a context names, "" if it names none; NULL: there is no such context.
 * context NULL: the current one. */
const char *import_users_of_context(const struct import_users *users, const char *context);

#endif
