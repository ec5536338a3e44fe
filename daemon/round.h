/*
 * round - a new token for every profile (`refresh --all`): each is asked for at once, and waits for
 * its turn as ever; what came of each is told in one answer.
 */
#ifndef KUBETOKEN_ROUND_H
#define KUBETOKEN_ROUND_H

#include "daemon/profiles.h"

struct round;

/* What came of it: a line for each profile with a new token, a line for each error, and the worst
 * of them, ERROR_NONE: there is none. */
struct round_end {
    const char *tokens, *errors;
    enum error_code code;
};

/* Begins one for a request, and queues a waiter at each profile until the deadline (usec of
 * CLOCK_BOOTTIME). done is called once, never from within this, and may free it. */
struct round *round_start(struct profiles *profiles, const struct request *request, pid_t peer,
                          uint64_t deadline,
                          void (*done)(void *context, const struct round_end *end), void *context);

/* Nobody is told any more; the requests go on. Takes NULL. */
struct round *round_free(struct round *round);

/* What is waited for, in words. */
void round_words(const struct round *round, uint64_t now, char *out, size_t size);

#endif
