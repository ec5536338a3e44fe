/*
 * render_json - what `status --json` prints, by docs/status.schema.json: lines of JSON.
 *
 * One style for all JSON of kubetoken (docs/design.md §8): a document is one line; names are
 * lowerCamelCase; a time is RFC 3339 in UTC and its name ends in Timestamp, a span is a number of
 * seconds and its name ends in Seconds; what there is not is left out, never null; an error is
 * {code, sentence, detail, remedy}.
 */
#ifndef KUBETOKEN_RENDER_JSON_H
#define KUBETOKEN_RENDER_JSON_H

#include <stdio.h>

#include "daemon/profiles.h"

/* Of all that kubetoken prints; another one when a member gets another meaning. */
enum { RENDER_JSON_SCHEMA_VERSION = 1 };

/* The document, to be written in this order: its head, the row of each profile, and what is not a
 * profile's, with its end. */
void render_json_head(FILE *f);
void render_json_profile(FILE *f, const struct profile *profile, bool first, uint64_t now);
void render_json_tail(FILE *f, const struct profiles *all, uint64_t now);

/* A line for those who watch: a profile's row and when it was seen; or that there is none of that
 * name any more. */
void render_json_change(FILE *f, const struct profile *profile, uint64_t now);
void render_json_gone(FILE *f, const char *profile);

#endif
