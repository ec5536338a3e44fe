/*
 * typed_user - the user's name at the provider that somebody typed with the password, for a profile
 * whose configuration names none. It is in memory and, where keep-over-restart keeps anything, in
 * the store, so that a token that outlives the daemon is known to be that user's.
 */
#ifndef KUBETOKEN_TYPED_USER_H
#define KUBETOKEN_TYPED_USER_H

#include "daemon/config.h"
#include "daemon/store.h"

struct typed_user;

/* The configuration has to outlive it, or the next typed_user_configure(). The store may be NULL;
 * what stands there of that profile is replaced. NULL: no memory. */
struct typed_user *typed_user_new(struct store *store, const struct profile_config *config,
                                  const char *name);

/* What an earlier life kept of that profile, or NULL. What is not to be kept any more is wiped. */
struct typed_user *typed_user_restore(struct store *store, const struct profile_config *config);

/* The configuration is another of the same identity, which names no user either. */
void typed_user_configure(struct typed_user *user, struct store *store,
                          const struct profile_config *config);

/* That configuration, with the name in it; as long as the user. */
const struct profile_config *typed_user_config(const struct typed_user *user);

/* Leaves the store as it is. Takes NULL. */
struct typed_user *typed_user_free(struct typed_user *user);

/* The same, and wipes it there. */
struct typed_user *typed_user_forget(struct typed_user *user, struct store *store);

/* Whether a user may have that name: text without control characters, of 1 to PROTOCOL_USER_MAX
 * bytes. */
bool typed_user_valid(const char *name, size_t length);

#endif
