/*
 * config_text - kubetoken.conf(5) as lines, to look at a section and to change it: every byte that
 * is not of that section's keys stays. What the daemon's own reader takes is read as it reads it;
 * of the rest nothing is judged here. Pure: no I/O.
 */
#ifndef KUBETOKEN_ADMIN_CONFIG_TEXT_H
#define KUBETOKEN_ADMIN_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_TEXT_MAX = 1024 * 1024 }; /* the daemon takes no more */

/* One that sets a key. */
struct config_setting {
    char *key, *value;
};

/* Those of a section, in order. */
struct config_settings {
    struct config_setting *list;
    size_t n;
};

/* Where there is no memory, here and below, something is left out: ask heap_lacked() before
 * anything comes of it. */

/* One more, at the end. */
void config_settings_add(struct config_settings *to, const char *key, const char *value);
/* The value of that key, or NULL. */
const char *config_settings_get(const struct config_settings *in, const char *key);
/* Takes out all of that key, or the one at that place. */
void config_settings_drop(struct config_settings *from, const char *key);
void config_settings_drop_at(struct config_settings *from, size_t i);
/* Wipes and frees them. */
void config_settings_clear(struct config_settings *settings);
/* Whether both set the same keys to the same values, in whatever order. */
bool config_settings_equal(const struct config_settings *a, const struct config_settings *b);

/* What the section sets; its name is as between the brackets: "defaults", "profile minikube".
 * Returns whether it is there. *ret_line: of its header, from 1; may be NULL. */
bool config_text_read(const char *text, size_t length, const char *section,
                      struct config_settings *ret, unsigned *ret_line);

/* The text with that section set to these: lines that say so already stay as they are, keys that
 * are not among them go, comments stay. A missing section comes at the end. Returns it on the heap,
 * NUL-terminated; NULL: no memory, also for anything before. */
char *config_text_put(const char *text, size_t length, const char *section,
                      const struct config_settings *settings, size_t *ret_length);

/* The text without that section, wherever it stands: from its header to the next one, before which
 * comments stay. What config_text_put() added at the end is gone without a trace. Returns it on the
 * heap, NUL-terminated; NULL: no memory, also for anything before. */
char *config_text_drop(const char *text, size_t length, const char *section, size_t *ret_length);

/* Whether nothing stands in it, not even a comment. */
bool config_text_is_empty(const char *text, size_t length);

/* The name of the n-th profile that has a section, n from 0, on the heap; NULL: there are fewer. */
char *config_text_profile(const char *text, size_t length, size_t n);

#endif
