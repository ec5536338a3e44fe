#define _GNU_SOURCE
#include "daemon/facts.h"

#include <stdlib.h>
#include <string.h>

/* One for which there was no memory has no details. */
static const char nothing[RESULT_WARNINGS_MAX] = "";

void facts_clear(struct facts *f)
{
    free(f->held);
    *f = (struct facts){ .user = "", .sub = "", .email = "", .key = "", .details = nothing };
}

/* With its NUL. */
static size_t length_of(const char *text)
{
    return strlen(text) + 1;
}

static size_t length_of_all(const struct result *r)
{
    size_t length = length_of(r->user) + length_of(r->sub) + length_of(r->email) +
                    length_of(r->key);

    for (unsigned i = 0; i < r->n_warnings; i++)
        length += length_of(r->warnings[i].detail);
    return length;
}

/* Moves *at behind it. Returns where it is. */
static const char *put(char **at, const char *text)
{
    char *place = *at;

    *at = stpcpy(place, text) + 1;
    return place;
}

static void put_words(struct facts *f, const struct result *r)
{
    char *at = f->held;

    f->user = put(&at, r->user);
    f->sub = put(&at, r->sub);
    f->email = put(&at, r->email);
    f->key = put(&at, r->key);
    f->details = at;
    for (unsigned i = 0; i < r->n_warnings; i++)
        put(&at, r->warnings[i].detail);
}

bool facts_take(struct facts *f, const struct result *r)
{
    facts_clear(f);
    f->sent = r->sent;
    f->lifetime = r->lifetime;
    f->clock_offset = r->clock_offset;
    f->has_clock_offset = r->has_clock_offset;
    f->verified = r->verified;
    f->key_gone = r->key_gone;
    f->n_warnings = r->n_warnings;
    for (unsigned i = 0; i < r->n_warnings; i++)
        f->warnings[i] = r->warnings[i].code;
    f->held = malloc(length_of_all(r));
    if (f->held)
        put_words(f, r);
    return f->held != NULL;
}

void facts_warning(const struct facts *f, unsigned i, struct error *ret)
{
    const char *detail = f->details;

    for (unsigned k = 0; k < i; k++)
        detail += length_of(detail);
    error_set(ret, f->warnings[i], "%s", detail);
}

void facts_give(const struct facts *f, struct result *ret)
{
    *ret = (struct result){ .outcome = OUTCOME_TOKEN,
                            .sent = f->sent,
                            .lifetime = f->lifetime,
                            .clock_offset = f->clock_offset,
                            .has_clock_offset = f->has_clock_offset,
                            .verified = f->verified,
                            .key_gone = f->key_gone,
                            .n_warnings = f->n_warnings };
    memcpy(ret->user, f->user, length_of(f->user));
    memcpy(ret->sub, f->sub, length_of(f->sub));
    memcpy(ret->email, f->email, length_of(f->email));
    memcpy(ret->key, f->key, length_of(f->key));
    for (unsigned i = 0; i < f->n_warnings; i++)
        facts_warning(f, i, &ret->warnings[i]);
}
