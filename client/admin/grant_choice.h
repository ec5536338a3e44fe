/*
 * grant_choice - by what a profile in the making is to get its tokens: what its keys say, and what
 * the provider has. Pure.
 */
#ifndef KUBETOKEN_ADMIN_GRANT_CHOICE_H
#define KUBETOKEN_ADMIN_GRANT_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

#include "client/admin/config_text.h"
#include "client/admin/provider_offers.h"

enum grant_choice {
    GRANT_CHOICE_PASSWORD,
    GRANT_CHOICE_DEVICE,
    GRANT_CHOICE_REFRESH_TOKEN,
    GRANT_CHOICE_EXCHANGE, /* from */
    GRANT_CHOICE_COMMAND,  /* token-command */
};

enum { GRANT_CHOICE_WORDS = 400 };

/* Whether one of grant, from and token-command is among them. */
bool grant_choice_given(const struct config_settings *settings);

/* What a profile with its own settings over those of [defaults] has, as the daemon settles it. */
enum grant_choice grant_choice_of(const struct config_settings *own,
                                  const struct config_settings *defaults);

/* What is wrong with the own ones, before anything is asked: a key of the password grant beside
 * another one, two grants, an unknown one. Returns false with words of it; true: nothing. */
bool grant_choice_check(const struct config_settings *own, char words[GRANT_CHOICE_WORDS]);

/* The one to propose: by device where the password grant is not listed and there is an endpoint for
 * device codes, else by password. */
enum grant_choice grant_choice_best(const struct provider_offers *offers);

/* What a person should know of that choice, by what the provider says; "": nothing. */
void grant_choice_remark(enum grant_choice choice, const struct provider_offers *offers,
                         char words[GRANT_CHOICE_WORDS]);

/* What is to be done now that such a profile is written, with whom its tokens come from (NULL but
 * for GRANT_CHOICE_EXCHANGE). */
void grant_choice_next(enum grant_choice choice, const char *profile, const char *from,
                       char words[GRANT_CHOICE_WORDS]);

#endif
