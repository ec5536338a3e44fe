/*
 * registry - the profiles that the configuration names, and the configuration's own state.
 *
 * A broken or missing configuration is a state, not an end: every request is answered with
 * the error, and the files are looked at again.
 */
#ifndef KUBETOKEN_REGISTRY_H
#define KUBETOKEN_REGISTRY_H

#include "daemon/profile.h"

struct registry;

/* The paths and shared have to outlive it. Nothing is read yet. NULL: no memory. */
struct registry *registry_new(struct profile_shared *shared, const char *const *paths,
                              size_t n_paths);
struct registry *registry_free(struct registry *registry);

/* Reads the files again. With errors the old configuration stays in force. Returns whether
 * the files are in order. */
bool registry_reload(struct registry *registry);

/* The profile of that name, or for "" the default one. NULL with *why set. Where the
 * configuration is broken and none is in force, the files are read again first if they have
 * changed. */
struct profile *registry_find(struct registry *registry, const char *name, struct error *why);

/* The network came up, or the clock was set. */
void registry_world(struct registry *registry);

/* All profiles, sorted by name. */
struct profile *const *registry_list(const struct registry *registry, size_t *ret_n);

/* What is wrong with the files as they were read last (one line for each error), or NULL. */
const struct config_report *registry_report(const struct registry *registry);

/* What the profiles share. */
struct profile_shared *registry_shared(const struct registry *registry);

#endif
