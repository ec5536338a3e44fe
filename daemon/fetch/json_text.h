/*
 * json_text - JSON as it came, checked as Go checks it and made ready for cJSON.
 */
#ifndef KUBETOKEN_FETCH_JSON_TEXT_H
#define KUBETOKEN_FETCH_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    JSON_DEPTH_READ = 10000, /* Go's own bound */
    JSON_DEPTH_KEPT = 500, /* what reads, prints and compares it is recursive; cJSON ends at 1000 */
};

/* How much room json_text_ready() needs: of what is no UTF-8 three bytes are made. */
size_t json_text_room(const char *text, size_t length);

/* Whether the text (text[length] is '\0') is one JSON value by the grammar, with white space around
 * it at most. Then it stands in out, which has that much room, without what cJSON cannot
 * hold: \u0000, halves of surrogate pairs and bytes of a string that are no UTF-8 are
 * U+FFFD, and each list or object at a depth over JSON_DEPTH_KEPT is an empty string. */
bool json_text_ready(const char *text, size_t length, char *out);

/* The length of the number that the text begins with, 0: none (RFC 8259 §6). */
size_t json_text_number(const char *text);

#endif
