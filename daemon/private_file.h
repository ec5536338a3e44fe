/*
 * private_file - files that hold or steer a secret: whether others can get at them, and whether
 * they have changed.
 */
#ifndef KUBETOKEN_PRIVATE_FILE_H
#define KUBETOKEN_PRIVATE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* A print of the files (dev, inode, size, times) to see later that one has changed. */
struct private_file_stamp {
    uint64_t hash;
};

/* The stamp of the files as they are now. */
struct private_file_stamp private_file_stamp(const char *const *paths, size_t n_paths);

/* Whether one of them was written within that many seconds before now (as the wall clock says, or
 * will be), so that somebody may be about to write on. */
bool private_file_is_young(const char *const *paths, size_t n_paths, int64_t seconds, int64_t now);

/* Whether a file that holds a secret (or names a command, then only writing matters) is safe:
 * a regular file of this user or root that others cannot read or write. Returns 0, or -1
 * with *why set to what is wrong, to stand behind the file's name, and what mends it. */
int private_file_check(int fd, const char *path, bool secret, struct error *why);

#endif
