/*
 * config_files - the files that a configuration stands in: some by their names, others by the
 * folder that they are in.
 */
#ifndef KUBETOKEN_CONFIG_FILES_H
#define KUBETOKEN_CONFIG_FILES_H

#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_FILES_MAX = 256 };

/* All zero: none. */
struct config_files {
    char **list; /* NULL at the end, where there is one at all */
    size_t n;
};

/* Whether the path names a folder: it ends with a slash. */
bool config_files_is_folder(const char *path);

/* Adds a file, whether it is there or not; or of a folder each that is called *.conf and is not
 * hidden, in the order of their names' bytes; of one that is missing none. Returns 0, -ENOMEM,
 * -E2BIG (more than CONFIG_FILES_MAX), or another negative errno: the folder cannot be read. */
int config_files_add(struct config_files *files, const char *path);

/* Adds the path itself, as it is. Returns 0, -ENOMEM or -E2BIG. */
int config_files_add_path(struct config_files *files, const char *path);

/* Frees them. */
void config_files_clear(struct config_files *files);

/* Adds everybody's, as far as they can be found. */
void config_files_add_system(struct config_files *files);

/* Whether there is any of everybody's. */
bool config_files_has_system(void);

#endif
