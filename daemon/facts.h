/*
 * facts - what is known of a token in hand: of its result (common/job.h) what is looked at again
 * and again, no longer than it is. A result has room for the longest of all it may say, 5 KiB; of
 * thousands of tokens that would be most of the daemon's memory.
 */
#ifndef KUBETOKEN_FACTS_H
#define KUBETOKEN_FACTS_H

#include "common/job.h"

/* As in struct result. Strings are never NULL once it was cleared. */
struct facts {
    uint64_t sent, lifetime; /* lifetime 0: there has been no token */
    int64_t clock_offset;
    bool has_clock_offset, verified, key_gone;
    unsigned n_warnings;
    enum error_code warnings[RESULT_WARNINGS_MAX];
    const char *user, *sub, *email, *key;
    const char *details; /* of the warnings, each with a NUL behind it */
    char *held;          /* what all of these point into; NULL: nothing was said */
};

/* Nothing is known. Frees what it holds; all zero is taken for empty. */
void facts_clear(struct facts *facts);

/* Takes the place of what was known. Where memory is lacking, words and details are left out, and
 * false is returned. */
bool facts_take(struct facts *facts, const struct result *result);

/* The same as a result again, without its secrets and cache. */
void facts_give(const struct facts *facts, struct result *ret);

/* The warning of that number, below n_warnings, with its detail. */
void facts_warning(const struct facts *facts, unsigned i, struct error *ret);

#endif
