/*
 * trusted_group - whether what the group of a file may do, nobody but this user and root may do:
 * by the group's members, and by the access control list (acl(5)), of which the group's bits of the
 * mode are but the upper bound.
 *
 * Groups are looked up in /etc/passwd and /etc/group alone: a directory service may not answer for
 * minutes, and the daemon must not wait.
 */
#ifndef KUBETOKEN_TRUSTED_GROUP_H
#define KUBETOKEN_TRUSTED_GROUP_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { TRUSTED_GROUP_BY = 96 };

/* Whether somebody else may write, by group or list, what is open as fd (O_PATH will do) and has
 * these attributes. Then by what, to stand behind the mode: ", group staff". */
bool trusted_group_lets_in(int fd, const struct stat *st, char by[TRUSTED_GROUP_BY]);

/* Whether that is the group of this user alone, as these two files say: the primary one, with no
 * other member than this user (and root). Where they do not know the group it is one that has the
 * user's number, as whoever makes such groups numbers them. login is the group that this process
 * has of its login, which counts for a user whom the files do not know. NULL: there is no such
 * file. */
bool trusted_group_is_own(FILE *users, FILE *groups, uid_t uid, gid_t login, gid_t gid);

#endif
