#define _GNU_SOURCE
#include "common/config_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/paths.h"

bool config_files_is_folder(const char *path)
{
    size_t length = strlen(path);

    return length > 0 && path[length - 1] == '/';
}

/* Takes the path; NULL: there was no memory for it. */
static int take(struct config_files *files, char *path)
{
    int r = !path ? -ENOMEM : files->n >= CONFIG_FILES_MAX ? -E2BIG : 0;
    char **list = r < 0 ? NULL : reallocarray(files->list, files->n + 2, sizeof *list);

    if (!list) {
        free(path);
        return r < 0 ? r : -ENOMEM;
    }
    files->list = list;
    list[files->n++] = path;
    list[files->n] = NULL;
    return 0;
}

int config_files_add_path(struct config_files *files, const char *path)
{
    return take(files, strdup(path));
}

/* An editor's copies end otherwise: x.conf~, x.conf.dpkg-new. */
static int is_dropin(const struct dirent *entry)
{
    static const char ending[] = ".conf";
    size_t length = strlen(entry->d_name), tail = sizeof ending - 1;

    return entry->d_name[0] != '.' && length > tail &&
           strcmp(entry->d_name + length - tail, ending) == 0;
}

/* Not alphasort(3), which goes by the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_folder(struct config_files *files, const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_dropin, by_name), r = 0;

    if (n < 0)
        return errno == ENOENT ? 0 : -errno;
    for (int i = 0; i < n; i++) {
        char *path = NULL;
        if (r == 0)
            r = take(files, asprintf(&path, "%s%s", folder, entries[i]->d_name) < 0 ? NULL : path);
        free(entries[i]);
    }
    free(entries);
    return r;
}

int config_files_add(struct config_files *files, const char *path)
{
    return config_files_is_folder(path) ? add_folder(files, path)
                                        : config_files_add_path(files, path);
}

void config_files_clear(struct config_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        free(files->list[i]);
    free(files->list);
    *files = (struct config_files){ 0 };
}

void config_files_add_system(struct config_files *files)
{
    config_files_add(files, PATHS_SYSTEM_CONFIG);
    config_files_add(files, PATHS_SYSTEM_DROPINS);
}

bool config_files_has_system(void)
{
    struct config_files files = { 0 };
    bool found = false;

    config_files_add_system(&files);
    for (size_t i = 0; i < files.n; i++)
        found |= access(files.list[i], F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
    config_files_clear(&files);
    return found;
}
