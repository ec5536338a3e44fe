/*
 * config_change - what stands in the configuration's files and is not in force.
 */
#ifndef KUBETOKEN_CONFIG_CHANGE_H
#define KUBETOKEN_CONFIG_CHANGE_H

#include <stdbool.h>
#include <stddef.h>

enum config_change_kind { CONFIG_OTHER, CONFIG_NEW, CONFIG_GONE };

struct config_change_entry {
    char *profile;
    enum config_change_kind kind;
};

/* All zero: nothing. */
struct config_change {
    bool broken;                      /* the files have errors */
    bool gone;                        /* there are none any more */
    bool default_profile;             /* without a name another profile would be meant */
    struct config_change_entry *list; /* profiles that are others there */
    size_t n;
};

/* Notes that profile. Returns 0, or -ENOMEM. */
int config_change_note(struct config_change *change, const char *profile,
                       enum config_change_kind kind);
/* The new ones are in force now. */
void config_change_taken(struct config_change *change);
void config_change_clear(struct config_change *change);

/* Whether there is anything to tell. */
bool config_change_any(const struct config_change *change);
/* Whether something in files without errors waits for reload, which new profiles do not. */
bool config_change_waits(const struct config_change *change);

/* For people and programs: "changed", "new", "gone". */
const char *config_change_word(enum config_change_kind kind);

/* What to say behind an error that may be gone once the files are in force; "" = nothing. */
const char *config_change_notice(const struct config_change *change);

/* What is not in force, in words: "p changed, q gone, default-profile"; of many the first. */
void config_change_describe(const struct config_change *change, char *out, size_t size);

#endif
