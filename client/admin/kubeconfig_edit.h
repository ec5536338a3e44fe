/*
 * kubeconfig_edit - changes one value in the text of a kubeconfig, in the style of that text, and
 * nothing else: what comes out is read again, and differs in that value alone, or is refused. Pure.
 */
#ifndef KUBETOKEN_ADMIN_KUBECONFIG_EDIT_H
#define KUBETOKEN_ADMIN_KUBECONFIG_EDIT_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "client/admin/yaml_tree.h"

enum { KUBECONFIG_EDIT_WORDS_MAX = 300 };

/* Where: of the entry with that name in that list, its part, or a member of the part. */
struct kubeconfig_place {
    const char *list;   /* "users", "contexts" */
    const char *part;   /* "user", "context" */
    const char *name;   /* of the entry */
    const char *member; /* "user" of a context; NULL: all of the part */
};

/* As kubectl reads the first document, which alone it does. Returns 0; -EINVAL: kubectl would not
 * take it, or we cannot, and why says so (KUBECONFIG_EDIT_WORDS_MAX bytes). */
int kubeconfig_edit_read(const char *text, size_t length, struct yaml_tree *ret, char *why);

/* The entry of that name in a list of such a tree; NULL: there is none. */
const cJSON *kubeconfig_edit_entry(const cJSON *root, const char *list, const char *name);

/* A text member, "" if it is none. */
const char *kubeconfig_edit_text(const cJSON *object, const char *key);

/* Sets what is there to the value, adding what is not there yet: the part for a member has to be.
 * Returns 0, with a text that the caller frees, and its length; -EALREADY: it is so already;
 * -EINVAL: this cannot be done without changing more, and why says so; -ENOMEM. */
int kubeconfig_edit_set(const char *text, size_t length, const struct kubeconfig_place *place,
                        const cJSON *value, char **ret_text, size_t *ret_length, char *why);

#endif
