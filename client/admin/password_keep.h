/*
 * password_keep - the places where a person may want a password kept: by a program that this
 * machine has, which is given it on stdin and never as a word.
 */
#ifndef KUBETOKEN_ADMIN_PASSWORD_KEEP_H
#define KUBETOKEN_ADMIN_PASSWORD_KEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "client/admin/profile_draft.h"
#include "common/error.h"

enum password_keep {
    PASSWORD_KEEP_PROMPT, /* nowhere: it is typed at each login */
    PASSWORD_KEEP_FILE,
    PASSWORD_KEEP_SECRET_TOOL,
    PASSWORD_KEEP_PASS,
    PASSWORD_KEEP_CREDENTIAL,
    PASSWORD_KEEP_MAX,
};

enum { PASSWORD_KEEP_WORDS = 160 };

/* What --keep-password calls it, and the place with that name (PASSWORD_KEEP_MAX: none has it). */
const char *password_keep_name(enum password_keep keep);
enum password_keep password_keep_from_name(const char *name);

/* The place in a few words, for a list to choose from. */
void password_keep_words(enum password_keep keep, const char *profile,
                         char out[PASSWORD_KEEP_WORDS]);

/* Whether this machine has it. What is missing goes to *why; NULL: nobody wants to know. */
bool password_keep_is_there(enum password_keep keep, struct error *why);

/* Asks a person for one of those that this machine has. Returns 0, or what ask_line() does. */
int password_keep_choose(const char *profile, enum password_keep *ret);

/* Sets the keys of the draft that go with it. */
void password_keep_set(enum password_keep keep, const char *profile, struct profile_draft *draft);

enum password_keep_state {
    PASSWORD_KEEP_NONE,    /* nothing is kept there for the profile */
    PASSWORD_KEEP_SAME,    /* that password */
    PASSWORD_KEEP_ANOTHER, /* another one */
};

/* What is kept there now. For a prompt: none. */
enum password_keep_state password_keep_look(enum password_keep keep, const char *profile,
                                            const char *password, size_t length);

/* Puts it there, and sees that it comes back. A file, and what systemd-creds makes, become files of
 * the draft, which is written later. Returns 0, or -1 with *why. */
int password_keep_store(enum password_keep keep, const char *profile, const char *password,
                        size_t length, struct profile_draft *draft, struct error *why);

/* Takes back what was stored there by a program; the files go otherwise. Returns 0, or -1 with
 * *why, which may be NULL. */
int password_keep_remove(enum password_keep keep, const char *profile, struct error *why);

/* Puts a password of that length (0: there is none to be kept) there and writes the draft, both or
 * neither: a signal that comes meanwhile ends us when it is one of them. What went wrong is said on
 * stderr. Returns the exit code. */
int password_keep_write(enum password_keep keep, const char *profile, const char *password,
                        size_t length, struct profile_draft *draft, bool force);

#endif
