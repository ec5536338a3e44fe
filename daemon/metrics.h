/*
 * metrics - how the profiles stand, in the text format of Prometheus (version 0.0.4), for the
 * textfile collector of its node exporter.
 *
 * Names begin with kubetoken_, units are base units, what only grows ends in _total. What there is
 * not (a token's end without a token) is left out.
 */
#ifndef KUBETOKEN_METRICS_H
#define KUBETOKEN_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Of one profile. Texts are UTF-8; times are seconds since 1970. */
struct metrics_profile {
    const char *name, *issuer;
    const char *user;  /* NULL: not to be told */
    const char *state; /* of those in metrics_states */
    const char *error; /* the code of the last request's, NULL: none */
    int64_t since;
    bool has_token, verified;
    int64_t expiration;     /* with a token */
    int64_t renewal, retry; /* 0: not due */
    bool has_clock_offset;
    int64_t clock_offset;
    unsigned warnings;
    uint64_t handouts, renewals, failures; /* since the daemon began */
};

/* Of the daemon. */
struct metrics_daemon {
    const char *version;
    bool in_force;                 /* the configuration on the disk */
    unsigned configuration_errors; /* in it */
};

/* All states that there are, up to NULL. */
void metrics_write(FILE *f, const struct metrics_daemon *daemon,
                   const struct metrics_profile *profiles, size_t n, const char *const *states);

#endif
