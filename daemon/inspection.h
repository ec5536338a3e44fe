/*
 * inspection - has a fetcher look at a token and report what it finds (kubetoken inspect).
 */
#ifndef KUBETOKEN_INSPECTION_H
#define KUBETOKEN_INSPECTION_H

#include "daemon/attempt.h"

struct inspection;

/* Told once: the report, and what is wrong with the token (ERROR_NONE: nothing); or NULL and why
 * there is none. The inspection may be freed from within. */
typedef void (*inspection_done_fn)(void *context, const char *report, const struct error *why);

/* Starts. config is what to hold the token against, NULL: nothing; json the report's form; it is
 * given up at the deadline (usec of CLOCK_BOOTTIME). Nothing of the caller's is kept. Returns 0,
 * or -1 with *why: four run already, or it cannot be started. */
int inspection_start(struct context *shared, const struct profile_config *config,
                     const struct secret *token, bool json, uint64_t deadline,
                     inspection_done_fn done, void *context, struct inspection **ret,
                     struct error *why);

/* What it waits for now, in words. */
void inspection_words(const struct inspection *inspection, char *out, size_t size);

/* Ends it, if it still runs. Takes NULL. */
struct inspection *inspection_free(struct inspection *inspection);

#endif
