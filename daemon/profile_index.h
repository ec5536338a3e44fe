/*
 * profile_index - finds a profile by its name, as fast among thousands as among few: each `get`
 * begins with that. Says where in a list it is; the list is the caller's.
 */
#ifndef KUBETOKEN_PROFILE_INDEX_H
#define KUBETOKEN_PROFILE_INDEX_H

#include "daemon/profile.h"

struct profile_index;

/* Room for a list of n. NULL: no memory. free() ends it. */
struct profile_index *profile_index_new(size_t n);

/* It is of that list now, of n or fewer, all of different names. */
void profile_index_fill(struct profile_index *index, struct profile *const *list, size_t n);

/* The one of that name, or NULL. The list is the one that was filled in. */
struct profile *profile_index_find(const struct profile_index *index, struct profile *const *list,
                                   const char *name);

#endif
