/*
 * command_unit - a credential command as a transient unit of the user's systemd (systemd-run(1)):
 * outside the sandbox of our own unit, which a JIT or a gpg that starts its agent would not
 * survive, and outside its control group, so that such an agent outlives our restart.
 */
#ifndef KUBETOKEN_COMMAND_UNIT_H
#define KUBETOKEN_COMMAND_UNIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/paths.h"
#include "daemon/children.h"

/* Of kubetokend: it becomes the command that stdin names. */
#define COMMAND_UNIT_OPTION "credential-command"

struct command_unit {
    char name[64];           /* empty: there is none, the command is a child of ours */
    char owner[256];         /* our own unit, with which it ends */
    char program[PATHS_MAX]; /* our own, which becomes the command */
};

/* Whether there can be one: we are a service of the user's manager, its sockets are open to us, and
 * systemd-run is found. Then *ret has a new name, else an empty one; where we are such a service
 * that is said in the log, once. */
bool command_unit_plan(struct command_unit *ret);

/* The command line of systemd-run. The command is not in it, nor in anything else of the manager:
 * it comes on stdin (secret_command_become()). Of the environment (NAME=value) it has the names
 * alone: systemd-run takes the values from its own. The description is what the journal may show,
 * time how long the manager lets it run (usec). One block, to be freed; NULL: no memory. */
char **command_unit_argv(const struct command_unit *unit, const char *description, uint64_t time,
                         char *const *environment);

/* Ends what the unit still has, in the background. When our own loop is over that is left to the
 * manager, which ends the main process alone. */
void command_unit_stop(const struct command_unit *unit, struct children *children,
                       char *const *environment);

#endif
