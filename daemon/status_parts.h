/*
 * status_parts - what `status` says of the profiles, written bit by bit: thousands of them are
 * hundreds of KB, which are not to wait in memory for one who reads slowly.
 *
 * Each profile stands there as it is when its row is written, in the order of the names, none of
 * them twice. So one reader may see profiles at different times; one that comes or goes between two
 * parts may be there or not; and what stands below a table was found later than its rows. The
 * columns of a table are as wide as the rows are when it begins: a longer one breaks its line.
 */
#ifndef KUBETOKEN_STATUS_PARTS_H
#define KUBETOKEN_STATUS_PARTS_H

#include "daemon/profiles.h"

struct status_parts;

/* What the request asks for, as table, JSON or names: of one profile, or (NULL) of all, which have
 * to outlive it. NULL: no memory. free() ends it. */
struct status_parts *status_parts_new(const struct profiles *all, const struct profile *only,
                                      const struct request *request, uint64_t now);

/* What comes next: that many bytes or a little more, or the rest. The caller frees it; NULL: there
 * is no memory, which is noted (memory.h). */
char *status_parts_next(struct status_parts *parts, size_t enough, uint64_t now, bool *ret_more);

#endif
