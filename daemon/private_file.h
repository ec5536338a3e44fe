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

/* A print of the files (dev, inode, size, times), and of who can change the folders on the way, to
 * see later that something has changed. */
struct private_file_stamp {
    uint64_t hash;
};

/* The stamp of the files as they are now. */
struct private_file_stamp private_file_stamp(const char *const *paths, size_t n_paths);

/* Whether one of them was written within that many seconds before now (as the wall clock says, or
 * will be), so that somebody may be about to write on. */
bool private_file_is_young(const char *const *paths, size_t n_paths, int64_t seconds, int64_t now);

/* What a file is for, and so what its bits have to keep others from. */
struct private_file_use {
    bool secret;     /* it holds one: reading counts, else writing alone */
    const char *way; /* for a user who cannot change the file: "set ... = ..."; NULL: none */
};

/* Opens it for reading, by a way on which nobody else can put another (trusted_path.h); that file
 * itself is still to be checked. Returns the descriptor, or a negative errno (-EPERM: the way is
 * not to be trusted) with *why set to what is wrong, to stand behind the file's name and a colon.
 */
int private_file_open(const char *path, struct private_file_use use, struct error *why);

/* Whether it is safe: a regular file of this user, or of root, that others cannot write nor, where
 * it holds a secret, read. One of root's may be read by a group that this process is in. Returns
 * 0, or -1 with *why set to what is wrong, to stand behind the file's name, and what this user
 * can do about it. */
int private_file_check(int fd, const char *path, struct private_file_use use, struct error *why);

/* The same of a file that cannot be opened, by errno. */
void private_file_explain(const char *path, struct private_file_use use, int number,
                          struct error *why);

/* What a path has to stand in to be one word of a command line: "'" or "". */
const char *private_file_quote(const char *path);

#endif
