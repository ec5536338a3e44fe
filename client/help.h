/*
 * help - what each command takes, in words, and what was meant by a word that is none.
 */
#ifndef KUBETOKEN_CLIENT_HELP_H
#define KUBETOKEN_CLIENT_HELP_H

#include <stdbool.h>

/* The help of a command, "" for that of kubetoken itself; NULL: there is no such command. */
const char *help_text(const char *command);

/* Whether one of the arguments behind the command asks for help (-h, --help) or the version (-V,
 * --version), which then is printed: *ret_code is the exit code. */
bool help_asked(int argc, char **argv, int *ret_code);

/* Complain of an option that the command does not have, of one without its value, of a command
 * that there is not. Return the exit code. */
int help_unknown_option(const char *command, const char *option);
int help_value_missing(const char *option);
int help_unknown_command(const char *command);
int help_no_command(const char *option); /* where one is wanted */

#endif
