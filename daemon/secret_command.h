/*
 * secret_command - runs the command that yields a credential and collects what it prints.
 */
#ifndef KUBETOKEN_SECRET_COMMAND_H
#define KUBETOKEN_SECRET_COMMAND_H

#include "common/error.h"
#include "common/secret.h"
#include "common/time.h"
#include "daemon/children.h"

struct secret_command;

/* Told once: the output (owned by the callee), or NULL and *why. The
 * command is over by then and may be freed from within. */
typedef void (*secret_command_done_fn)(void *context, struct secret *output,
                                       const struct error *why);

/* Splits the line at blanks ('...' and "..." group; a shell only where it says sh -c) and starts
 * it, in a unit of its own where that can be (command_unit.h), else as a child: with a small
 * environment, stdin from /dev/null, and at most that much time (usec; SECRET_COMMAND_TIME for a
 * credential). A program that others could change is not run (trusted_program.h). Its last line on
 * stderr stands in the error when it fails. It is over when its
 * process is; what it leaves behind lives on. Returns 0, or -1 with *why set. */
int secret_command_start(struct children *children, const char *profile, const char *line,
                         uint64_t time, secret_command_done_fn done, void *context,
                         struct secret_command **ret, struct error *why);

#define SECRET_COMMAND_TIME (60 * USEC_PER_SEC)

/* If it still runs, kills its process group, or all that is in its unit, without waiting for the
 * end (children.h). Takes NULL. */
struct secret_command *secret_command_free(struct secret_command *command);

/* What the unit of a command runs: reads its words from stdin, each with a NUL behind it, and
 * becomes that program. Returns an exit status as a shell's, 127 or 126. */
int secret_command_become(void);

/* Splits a command line into argv, NULL at the end; the caller frees argv[0] and argv.
 * Returns NULL when a quote is open or the line is empty. */
char **secret_command_split(const char *line);

/* The words of a command, for the user at hand: the specifiers in them (specifiers.h) have their
 * values, which are no more words by what they hold. NULL with *why. */
char **secret_command_words(const char *line, struct error *why);
void secret_command_words_free(char **words);

#endif
