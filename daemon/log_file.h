/*
 * log_file - the log of a daemon that a client started, whose stderr leads nowhere: lines with the
 * time, in a file that only its user can read, of 1 MiB at most; the one before it is FILE.old.
 */
#ifndef KUBETOKEN_LOG_FILE_H
#define KUBETOKEN_LOG_FILE_H

#include <stddef.h>

enum { LOG_FILE_MAX = 1024 * 1024 };

/* Opens it, and makes the folders that are missing, 0700, but none in a folder of another user.
 * Several daemons may have it open. Returns 0, or a negative errno: then nothing is kept. */
int log_file_open(const char *path);

/* Adds a line, with the time before it and its newline. What cannot be written is lost. */
void log_file_write(const char *text);

#endif
