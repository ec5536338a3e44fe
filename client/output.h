/*
 * output - what the client says by itself: stdout written whole, errors as one line.
 */
#ifndef KUBETOKEN_CLIENT_OUTPUT_H
#define KUBETOKEN_CLIENT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

/* Writes all of it. Returns 0, or -1 with errno. */
int output_write(int fd, const char *bytes, size_t length);

/* The command that is run, a literal or of argv: wrong usage then names its own help. */
void output_set_command(const char *command);

/* From now on what was said to be wrong is that there was no memory, once `lacks` says so, and what
 * was well is not: libraries tell the one as the other, or as nothing. */
void output_watch_memory(bool (*lacks)(void));
bool output_lacks_memory(void);

/* Says that there is no memory: once, whatever else came of it. Returns the exit code. */
int output_fail_for_memory(void);

/* Prints the one line of an error of our own to stderr. Returns its exit code. */
int output_fail(enum error_code code, const char *detail);

/* From now on to write where nobody reads any more is an error, and no end by SIGPIPE. */
void output_heed_pipes(void);

/* Says of *why that the output cannot be written, by errno. */
void output_unwritten(struct error *why);

/* How many columns the lines on stdout may have: COLUMNS of the environment, else the width of the
 * terminal, else 80; 40 at least. */
size_t output_columns(void);

/* For the end of a command that printed to stdout: returns the exit code given, or 1 after having
 * complained that not all of it could be written. */
int output_done(int code);

#endif
