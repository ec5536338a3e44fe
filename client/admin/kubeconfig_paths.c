#define _GNU_SOURCE
#include "client/admin/kubeconfig_paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_known(const struct kubeconfig_paths *paths, const char *path)
{
    for (unsigned i = 0; i < paths->n; i++)
        if (strcmp(paths->path[i], path) == 0)
            return true;
    return false;
}

static int add(struct kubeconfig_paths *paths, const char *path, size_t length)
{
    if (length == 0)
        return 0;
    if (paths->n == KUBECONFIG_PATHS_MAX || length >= PATH_MAX)
        return -E2BIG;
    char *place = paths->path[paths->n];
    memcpy(place, path, length);
    place[length] = '\0';
    if (!is_known(paths, place))
        paths->n++;
    return 0;
}

static int add_list(struct kubeconfig_paths *paths, const char *list)
{
    int r = 0;

    while (r == 0 && *list) {
        size_t length = strcspn(list, ":");
        r = add(paths, list, length);
        list += length + (list[length] == ':');
    }
    return r;
}

int kubeconfig_paths_find(const char *file, struct kubeconfig_paths *ret)
{
    const char *list = getenv("KUBECONFIG"), *home = getenv("HOME");
    char own[PATH_MAX];

    ret->n = 0;
    ret->named = true;
    if (file)
        return add(ret, file, strlen(file));
    if (list && *list) {
        int r = add_list(ret, list);
        if (r || ret->n)
            return r;
    }
    ret->named = false;
    if (!home || !*home)
        return 0;
    int length = snprintf(own, sizeof own, "%s/.kube/config", home);
    return (size_t)length < sizeof own ? add(ret, own, (size_t)length) : -E2BIG;
}
