/*
 * trusted_program - a program that is given a secret, or prints one: found as execvp(3) finds it,
 * and judged as trusted_path judges, with what interprets it where it is a script.
 */
#ifndef KUBETOKEN_TRUSTED_PROGRAM_H
#define KUBETOKEN_TRUSTED_PROGRAM_H

#include "common/trusted_path.h"

/* Finds it in PATH, or where its name says that has a slash. Returns 0, or -1 with what is wrong:
 * by number ENOENT or EACCES where there is none, or none that can be run. To run it, give *out to
 * execve(2): only this user and root can put another there. */
int trusted_program_find(const char *name, char out[PATHS_MAX], struct trusted_fault *fault);

#endif
