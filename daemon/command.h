/*
 * command - runs the command that yields a credential and collects what it prints.
 */
#ifndef KUBETOKEN_COMMAND_H
#define KUBETOKEN_COMMAND_H

#include <systemd/sd-event.h>

#include "common/error.h"
#include "common/secret.h"
#include "common/time.h"

struct command;

/* Told once: the output (owned by the callee; one final newline cut), or NULL and *why. The
 * command is over by then and may be freed from within. */
typedef void (*command_done_fn)(void *context, struct secret *output, const struct error *why);

/* Splits the line at blanks ('...' and "..." group; a shell only where it says sh -c), starts
 * it with a small environment, stdin from /dev/null, stderr to ours, and at most that much time
 * (usec; COMMAND_TIME for a credential). Returns 0, or -1 with *why set. */
int command_start(sd_event *event, const char *line, uint64_t time, command_done_fn done,
                  void *context, struct command **ret, struct error *why);

#define COMMAND_TIME (60 * USEC_PER_SEC)

/* Kills the command's whole process group, if it still runs, and forgets it. Takes NULL. */
struct command *command_free(struct command *command);

/* Splits a command line into argv, NULL at the end; the caller frees argv[0] and argv.
 * Returns NULL when a quote is open or the line is empty. */
char **command_split(const char *line);

#endif
