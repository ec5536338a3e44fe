/*
 * kubeconfig_file - a kubeconfig on the disk: client-go's lock, the whole file at once, a backup of
 * what was, and the way back.
 */
#ifndef KUBETOKEN_ADMIN_KUBECONFIG_FILE_H
#define KUBETOKEN_ADMIN_KUBECONFIG_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/error.h"

/* What went wrong, and what a person can do about it. */
struct kubeconfig_problem {
    struct error why;
    char remedy[160];
};

struct kubeconfig_file {
    char path[PATH_MAX]; /* as kubectl knows it */
    char real[PATH_MAX]; /* where its links lead to */
    bool is_there;
    char *text; /* NUL-terminated, "" where it is not there */
    size_t length;
    struct stat st;
};

/* Says of *p what is wrong. Returns -1. */
int kubeconfig_problem(struct kubeconfig_problem *p, enum error_code code, const char *remedy,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Reads it; one that is not there is empty. Returns 0, or -1 with *ret_problem.
 * kubeconfig_file_free() in both cases. */
int kubeconfig_file_read(const char *path, struct kubeconfig_file *ret,
                         struct kubeconfig_problem *ret_problem);
void kubeconfig_file_free(struct kubeconfig_file *file);

/* Whether it may be replaced: it is ours, or we are root, and it has no other name (force: so be
 * it). Returns 0, or -1 with *ret_problem. */
int kubeconfig_file_check(const struct kubeconfig_file *file, bool force,
                          struct kubeconfig_problem *ret_problem);

enum { KUBECONFIG_LOCKS_MAX = 2 };

/* The locks of client-go, path.lock for each of n paths, and no signal ends the program until
 * kubeconfig_file_unlock(). One that is there is never taken. Returns 0, or -1 with *ret_problem,
 * and none is held. */
int kubeconfig_file_lock(const char *const paths[], unsigned n,
                         struct kubeconfig_problem *ret_problem);
void kubeconfig_file_unlock(void);

/* Replaces it by that text, if it still is what was read, under its lock; what was is kept beside
 * it. stamp: the same for all that is written by one command. Returns 0, with the path of the
 * backup, "" where there was no file; or -1 with *ret_problem, and nothing has changed. */
int kubeconfig_file_write(const struct kubeconfig_file *file, const char *text, size_t length,
                          uint64_t stamp, char ret_backup[PATH_MAX],
                          struct kubeconfig_problem *ret_problem);

/* The last kubeconfig_file_write() of a file, that has not been taken back. */
struct kubeconfig_record {
    unsigned number;
    uint64_t stamp, digest; /* of what was written */
    size_t length;          /* as well */
    bool was_there;
    char backup[PATH_MAX], note[PATH_MAX];
};

/* Finds it. Returns false where there is none. */
bool kubeconfig_file_last(const struct kubeconfig_file *file, struct kubeconfig_record *ret);

/* Whether the file is what was written then. */
bool kubeconfig_file_is_written(const struct kubeconfig_file *file,
                                const struct kubeconfig_record *record);

/* Has it as it was before, under its lock, and forgets the record. Returns 0, or -1 with
 * *ret_problem. */
int kubeconfig_file_restore(const struct kubeconfig_file *file,
                            const struct kubeconfig_record *record,
                            struct kubeconfig_problem *ret_problem);

#endif
