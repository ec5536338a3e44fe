/*
 * file_changes - some files that are written or removed, all of them or none: they are planned,
 * then done in that order; what was done can be taken back byte by byte. One set at a time.
 */
#ifndef KUBETOKEN_ADMIN_FILE_CHANGES_H
#define KUBETOKEN_ADMIN_FILE_CHANGES_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

/* Makes the folders that are missing on the way to that path. All that return an int and take a
 * *why return 0, or -1 with it. */
int file_changes_make_folders(const char *path, struct error *why);

/* One at a time: two that change a folder's files at once would lose what one of them did. Returns
 * the descriptor that holds the lock, or a negative number with *why: it is waited for some
 * seconds, or until a signal is there that ends the program. */
int file_changes_lock(const char *folder, struct error *why);

/* That file with these bytes, its mode and owner kept, 0600 for a new one; a link is followed. One
 * that has them is left alone. */
int file_changes_plan(const char *path, const char *bytes, size_t length, struct error *why);
/* A file with mode 0600; what is there is replaced by force alone. */
int file_changes_plan_secret(const char *path, const char *bytes, size_t length, bool force,
                             struct error *why);
/* It is to go; one that is not there is gone. */
int file_changes_plan_removal(const char *path, struct error *why);

/* Does what was planned, unless a signal waits. */
int file_changes_carry_out(struct error *why);
/* Takes back what was done, and removes the folders that were made. */
void file_changes_take_back(void);
/* Wipes what is known of them: nothing is planned now. */
void file_changes_forget(void);

/* Puts off the signals that end a program; returns the mask to be set afterwards. */
sigset_t file_changes_block_signals(void);
/* Whether one of them has come meanwhile: it ends the program once all is taken back. */
bool file_changes_is_interrupted(void);

/* Has the names in that folder reach the disk. */
int file_changes_sync(const char *folder);

#endif
