/*
 * child - runs a program, without a shell, and collects what it prints, for a limited time.
 */
#ifndef KUBETOKEN_ADMIN_CHILD_H
#define KUBETOKEN_ADMIN_CHILD_H

#include <stdint.h>

enum { CHILD_OUTPUT_MAX = 4 * 1024 * 1024, CHILD_INPUT_MAX = 32 * 1024 /* a pipe holds more */ };

struct child {
    int failed;    /* to start: an errno value; ETIMEDOUT: it was killed; where it does not end even
                      so, that is told on stderr, and it is left behind */
    int exit_code; /* 128 + N after signal N */
    char *out;     /* NUL-terminated, at most CHILD_OUTPUT_MAX; never NULL */
    char *err;
};

/* Runs argv[0], looked for in PATH unless it has a slash, with stdin from /dev/null. Returns 0
 * when it ended by itself with exit code 0, else -1. child_clear() in both cases. */
int child_run(const char *const argv[], uint64_t timeout, struct child *ret);
/* With a text on stdin, of CHILD_INPUT_MAX bytes at most. */
int child_run_with(const char *const argv[], const char *input, uint64_t timeout,
                   struct child *ret);
void child_clear(struct child *child);

#endif
