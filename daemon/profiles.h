/*
 * profiles - the profiles that the configuration names, and the configuration's own state.
 *
 * A broken or missing configuration is a state, not an end: every request is answered with
 * the error, and the files are looked at again.
 */
#ifndef KUBETOKEN_PROFILES_H
#define KUBETOKEN_PROFILES_H

#include "daemon/config_change.h"
#include "daemon/profile.h"

struct profiles;

/* The paths and shared have to outlive it. Nothing is read yet. NULL: no memory. */
struct profiles *profiles_new(struct context *shared, const char *const *paths, size_t n_paths);
struct profiles *profiles_free(struct profiles *profiles);

/* Reads the files again, and takes all that stands there. With errors the old configuration stays
 * in force. Returns whether the files are in order. */
bool profiles_reload(struct profiles *profiles);

/* Where the files have changed: reads them, once, and compares them with what is in force. Takes
 * nothing, and frees no profile. */
void profiles_look(struct profiles *profiles);

/* Looks, and takes what needs nobody's word: profiles that are new there, or all where no
 * configuration is in force; unless somebody may still be writing. */
void profiles_take(struct profiles *profiles);

/* What stands in the files, as they were looked at last, and is not in force. */
const struct config_change *profiles_change(const struct profiles *profiles);

/* The profile of that name, or for "" the default one. Where there is none, profiles_take() may
 * bring it. NULL with *why set. */
struct profile *profiles_find(struct profiles *profiles, const char *name, struct error *why);

/* The network came up or goes out another way, the machine woke up, or the clock was set. */
void profiles_system_changed(struct profiles *profiles, enum system_change what);

/* All profiles, sorted by name. */
struct profile *const *profiles_list(const struct profiles *profiles, size_t *ret_n);

/* The one of that name, as far as is known without a look at the files, or NULL. */
struct profile *profiles_peek(const struct profiles *profiles, const char *name);

/* Where in that list the first one behind that name is, or would be. */
size_t profiles_behind(const struct profiles *profiles, const char *name);

/* Whether a process runs for which one of them is kept fresh. */
bool profiles_are_held(const struct profiles *profiles);

/* What is wrong with the files as they were read last (one line for each error), or NULL. */
const struct config_report *profiles_report(const struct profiles *profiles);

/* What of them does not count though nothing is wrong, a line each; "": nothing. */
const char *profiles_notes(const struct profiles *profiles);

/* The user's own file. */
const char *profiles_path(const struct profiles *profiles);

/* What the profiles share. */
struct context *profiles_context(const struct profiles *profiles);

#endif
