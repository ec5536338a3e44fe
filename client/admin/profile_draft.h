/*
 * profile_draft - a profile in the making: what its keys are to be, the files that it is to name,
 * and the password that a person typed. It can be tried before anything of it is written.
 */
#ifndef KUBETOKEN_ADMIN_PROFILE_DRAFT_H
#define KUBETOKEN_ADMIN_PROFILE_DRAFT_H

#include <stdbool.h>
#include <stddef.h>

#include "client/admin/config_text.h"
#include "client/admin/provider_offers.h"
#include "common/error.h"

struct profile_draft;

/* An empty one of that name, which is valid. Ends the program when there is no memory, as all of
 * these do. */
struct profile_draft *profile_draft_new(const char *name);

/* Gives it another name; for a draft without files. */
void profile_draft_rename(struct profile_draft *draft, const char *name);

/* Wipes and frees it; takes NULL. */
void profile_draft_free(struct profile_draft *draft);

/* Sets a key of kubetoken.conf(5); what it had goes, NULL takes it out. `token-parameter` is added
 * instead. Values are copied. */
void profile_draft_set(struct profile_draft *draft, const char *key, const char *value);

/* The same of what stands elsewhere, where a percent sign is no more than that. */
void profile_draft_set_literal(struct profile_draft *draft, const char *key, const char *value);

/* What a key is set to, or NULL. */
const char *profile_draft_get(const struct profile_draft *draft, const char *key);

/* A file that the profile names by key (client-secret-file, password-file, ca-file,
 * tls-client-cert, tls-client-key): made with mode 0600 beside the configuration, as
 * PROFILE.suffix. */
void profile_draft_add_file(struct profile_draft *draft, const char *key, const char *suffix,
                            const char *bytes, size_t length);

/* The password that a person typed. The trial uses it; a profile without a source of passwords then
 * has it in the daemon's memory alone, of another it is up to the caller to put it there. */
void profile_draft_set_password(struct profile_draft *draft, const char *password, size_t length);

/* How the configuration of this user has a profile of that name. */
enum profile_draft_state {
    PROFILE_DRAFT_NEW,     /* it has none */
    PROFILE_DRAFT_SAME,    /* just this one: writing changes nothing */
    PROFILE_DRAFT_ANOTHER, /* with other keys: only force replaces it */
};
/* Which of them it is. */
enum profile_draft_state profile_draft_look(const struct profile_draft *draft);
/* The same by its keys alone, whatever stands in its files. */
enum profile_draft_state profile_draft_look_keys(const struct profile_draft *draft);

/* What the user's configuration says of a profile of that name now, and what all profiles have by
 * [defaults], of the administrator's file too: the caller clears both. Returns whether there is
 * one, also of the administrator's. */
bool profile_draft_before(const struct profile_draft *draft, struct config_settings *ret_profile,
                          struct config_settings *ret_defaults);

/* Whether the daemon would take the configuration with it; NULL: as it is now. What it would not
 * take is said on stderr. Returns the exit code. */
int profile_draft_check(const struct profile_draft *draft);
/* The same of what says how the provider is reached, while the rest is missing yet. */
int profile_draft_check_way(const struct profile_draft *draft);

/* Tries it, with one login at most: by a daemon of its own, with a configuration that is gone
 * afterwards. Prints what came of it, and what an API server would mind. Returns the exit code. */
int profile_draft_try(const struct profile_draft *draft);

/* What the last trial ended with: ERROR_NONE, or why it failed. */
enum error_code profile_draft_trial_error(void);

/* Asks the provider for its discovery document alone, without any credential: for a draft that has
 * an issuer at least. Returns ERROR_NONE, also where none is needed, or what is wrong, with *why.
 */
enum error_code profile_draft_discover(const struct profile_draft *draft,
                                       struct provider_offers *ret, struct error *why);

/* Writes its files and its section of the configuration, of which every other byte stays, has the
 * daemon read them, and hands it the typed password. All or nothing, also at ^C. What went wrong is
 * said on stderr. Returns the exit code. */
int profile_draft_write(const struct profile_draft *draft, bool force);
/* In two steps: the files, and the daemon. Of the second it is the login that may go wrong. */
int profile_draft_write_files(const struct profile_draft *draft, bool force);
int profile_draft_hand_over(const struct profile_draft *draft);

/* Takes back what profile_draft_write() wrote, byte by byte. */
void profile_draft_take_back(const struct profile_draft *draft);

#endif
