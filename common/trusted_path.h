/*
 * trusted_path - what steers a secret has to be as trusted as the secret: who could write it, put
 * another in its place, or a link on the way, would have the password sent to himself.
 *
 * A path is walked from / on, folder by folder, by descriptor; links are followed by hand. Refused
 * are, of each folder and link on the way and of the file:
 *
 *  - an owner who is neither this user nor root (owner.h);
 *  - what everybody can write, but for a folder with the sticky bit, as /tmp: there nobody can
 *    replace what another one owns, and that is judged next;
 *  - what a group can write, but for one of the system's (gid below 100), this user's own without
 *    other members (trusted_group.h), and a sticky folder.
 *
 * So nobody but this user and root can change, after the look, what the same path leads to.
 *
 * In a user namespace where root is not known, folders and links of nobody's count as root's: else
 * / would be refused. So do files below /etc and /usr where the use says so; of any other nobody
 * can tell.
 */
#ifndef KUBETOKEN_TRUSTED_PATH_H
#define KUBETOKEN_TRUSTED_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/paths.h"

enum trusted_use {
    TRUSTED_PRIVATE, /* the configuration, secrets */
    TRUSTED_SYSTEM,  /* what also a system has: certificates, programs */
};

/* What is wrong: of which file, folder or link, and what mends it. */
struct trusted_fault {
    int number;           /* an errno: it cannot be reached or opened, nothing else is set */
    const char *kind;     /* "the folder ", "the link " or "", before the path */
    char path[PATHS_MAX]; /* without links on the way */
    char text[400];       /* to stand behind that: "can be written by others (mode 777); ..." */
};

/* Opens the file for reading, without blocking, where all that is on the way is as it has to be,
 * and it is a regular one. That file itself is not judged yet. Returns the descriptor, or -1. */
int trusted_path_open(const char *path, struct trusted_fault *fault);

/* Judges the file that was opened by that path. Returns 0 or -1. */
int trusted_path_judge(int fd, const char *path, enum trusted_use use, struct trusted_fault *fault);

/* Judges the way and the file. Returns 0 or -1; the way is in order as far as it goes where that is
 * by ENOENT. */
int trusted_path_check(const char *path, enum trusted_use use, struct trusted_fault *fault);

/* The fault as one clause: what it is of, and what is wrong with it. */
void trusted_path_tell(const struct trusted_fault *fault, char *out, size_t size);

#endif
