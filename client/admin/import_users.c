#define _GNU_SOURCE
#include "client/admin/import_users.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/draft.h"
#include "client/admin/import_plan.h"
#include "common/text.h"

static int take_users(struct import_users *users, const char *file, const cJSON *root,
                      struct error *why)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "users"), *entry;

    cJSON_ArrayForEach (entry, list) {
        const char *name = import_plan_text(entry, "name");
        if (!name || import_users_find(users, name))
            continue;
        if (users->n == IMPORT_USERS_MAX) {
            error_set(why, ERROR_KUBECONFIG, "it has over %d users", IMPORT_USERS_MAX);
            return -1;
        }
        users->list[users->n++] = (struct import_user){
            name, file, cJSON_GetObjectItemCaseSensitive(entry, "user")
        };
    }
    return 0;
}

static int take_file(struct import_users *users, unsigned i, bool needed, struct error *why)
{
    const char *path = users->paths.path[i];
    struct yaml_tree *tree = &users->trees[i];
    size_t length;
    char *text;

    int r = draft_read_file(path, YAML_TREE_TEXT_MAX, &text, &length);
    if ((r == -ENOENT && !needed) || text_equal(path, "/dev/null"))
        return 0;
    if (r < 0) {
        error_set(why, ERROR_KUBECONFIG, "%s: %s", path, strerror(-r));
        return -1;
    }
    yaml_tree_read(text, length, NULL, NULL, tree);
    bool empty = strspn(text, " \t\r\n") == length;
    explicit_bzero(text, length);
    free(text);
    if (!tree->root && !empty) {
        error_set(why, ERROR_KUBECONFIG, "%s: %s", path, tree->why);
        return -1;
    }
    return take_users(users, path, tree->root, why);
}

int import_users_read(const char *file, struct import_users *ret, struct error *why)
{
    memset(ret, 0, sizeof *ret);
    if (kubeconfig_paths_find(file, &ret->paths) < 0) {
        error_set(why, ERROR_KUBECONFIG, "its path is too long, or there are too many");
        return -1;
    }
    if (ret->paths.n == 0) {
        error_set(why, ERROR_KUBECONFIG, "HOME is not set, so that nobody knows where it is");
        return -1;
    }
    for (unsigned i = 0; i < ret->paths.n; i++)
        if (take_file(ret, i, file != NULL, why) < 0)
            return -1;
    return 0;
}

void import_users_clear(struct import_users *users)
{
    for (unsigned i = 0; i < KUBECONFIG_PATHS_MAX; i++)
        yaml_tree_free(&users->trees[i]);
}

const struct import_user *import_users_find(const struct import_users *users, const char *name)
{
    for (unsigned i = 0; i < users->n; i++)
        if (text_equal(users->list[i].name, name))
            return &users->list[i];
    return NULL;
}

/* Of the files the first that has one. */
static const char *current_context(const struct import_users *users)
{
    for (unsigned i = 0; i < users->paths.n; i++) {
        const char *name = import_plan_text(users->trees[i].root, "current-context");
        if (name && *name)
            return name;
    }
    return NULL;
}

const char *import_users_of_context(const struct import_users *users, const char *context)
{
    const cJSON *list, *entry;

    if (!context)
        context = current_context(users);
    for (unsigned i = 0; context && i < users->paths.n; i++) {
        list = cJSON_GetObjectItemCaseSensitive(users->trees[i].root, "contexts");
        cJSON_ArrayForEach (entry, list) {
            const char *name = import_plan_text(entry, "name");
            const char *user = import_plan_text(cJSON_GetObjectItemCaseSensitive(entry, "context"),
                                                "user");
            if (name && text_equal(name, context))
                return user ? user : "";
        }
    }
    return NULL;
}
