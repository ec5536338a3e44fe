/*
 * watch - what somebody who watches was told, and whether it is something else by now.
 *
 * Something else is another state, error, token, renewal, finding or configuration, not that time
 * goes by: that redraws a table once a minute. As text an answer is the table of `status`; as JSON
 * a line for each profile that has changed, at first one for each profile.
 */
#ifndef KUBETOKEN_WATCH_H
#define KUBETOKEN_WATCH_H

#include "daemon/render.h"

struct watch;

/* What the request (VERB_WATCH) is to be told of; both have to outlive it. NULL: no memory. */
struct watch *watch_new(const struct profiles *all, const struct request *request);
struct watch *watch_free(struct watch *watch);

/* The next answer, if one is due: then what it says counts as told. What has changed since comes
 * with a later one, so nothing is lost, and nothing piles up, where answers are not asked for. */
bool watch_answer(struct watch *watch, struct rendered *out, uint64_t now);

/* Whether that answer was the last: the one profile that is watched is gone. */
bool watch_is_over(const struct watch *watch);

/* When to ask again though nothing was said to have changed, usec of CLOCK_BOOTTIME: a token dies,
 * a minute is over. USEC_INFINITY: not. */
uint64_t watch_next(const struct watch *watch);

#endif
