/*
 * config_change - what stands in the configuration's files and is not in force.
 */
#ifndef KUBETOKEN_CONFIG_CHANGE_H
#define KUBETOKEN_CONFIG_CHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config.h"

/* All zero: nothing. */
struct config_change {
    bool unread;          /* they were written just now, and are not looked at yet */
    bool broken;          /* they have errors */
    bool gone;            /* there are none any more */
    bool default_profile; /* it names another one */
    char **names;         /* profiles that are others there, or are not there, sorted */
    size_t n;
};

/* Notes that profile; in the order of names. Aborts without memory. */
void config_change_note(struct config_change *change, const char *name);
void config_change_clear(struct config_change *change);

/* Whether there is any; whether it has to do with that profile ("" or NULL: with any). */
bool config_change_any(const struct config_change *change);
bool config_change_concerns(const struct config_change *change, const char *profile);

/* What to say behind an answer that may be another once it is in force; "" = nothing. */
const char *config_change_words(const struct config_change *change, const char *profile);

#endif
