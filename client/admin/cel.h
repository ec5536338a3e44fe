/*
 * cel - an expression of the Common Expression Language as kube-apiserver reads it in its
 * AuthenticationConfiguration: what does not compile, what it reads, and what can be foreseen of it
 * without evaluating it. Where nothing is certain, nothing is said.
 */
#ifndef KUBETOKEN_ADMIN_CEL_H
#define KUBETOKEN_ADMIN_CEL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* The one variable that an expression has. */
enum cel_variable { CEL_CLAIMS, CEL_USER };

struct cel;

/* Parses and checks it. Returns NULL with the reason in why where the API server would refuse it
 * for certain; the caller frees what is returned. */
struct cel *cel_compile(const char *text, enum cel_variable variable, char *why, size_t size);

/* Takes NULL, and returns it. */
struct cel *cel_free(struct cel *cel);

/* What the checker knows of its value without any token. A rule has to be boolean, and is refused
 * where the type is known and another. */
enum cel_type {
    CEL_UNKNOWN_TYPE, /* to us */
    CEL_ANY_TYPE,     /* that of a claim */
    CEL_BOOLEAN_TYPE,
    CEL_TEXT_TYPE,
    CEL_LIST_TYPE, /* or null */
    CEL_OTHER_TYPE
};

/* That of its value. */
enum cel_type cel_type(const struct cel *cel);

/* Whether it is too large to be looked at: nothing is known of it. */
bool cel_is_beyond(const struct cel *cel);

/* Whether the last that it does is to call this function of a value. */
bool cel_ends_in(const struct cel *cel, const char *function);

/* Whether it names that field of the variable as kube-apiserver looks for it: claims.F, claims.?F
 * and has(claims.F), but not claims['F']. */
bool cel_selects(const struct cel *cel, const char *field);

/* What an evaluation can end in. */
enum { CEL_TRUE = 1, CEL_FALSE = 2, CEL_OTHER = 4, CEL_FAILS = 8 };

enum { CEL_REASON_MAX = 160 };

struct cel_outcome {
    unsigned may; /* all that is not impossible */
    /* why it fails or may fail, in the API server's words ("no such key: nbf"); "" where that is
     * not known */
    char reason[CEL_REASON_MAX];
    const cJSON *value; /* what it yields, where that is known: of the claims, or of the cel */
};

/* What it can end in with this value of its variable. Of a user only the members that are known
 * are there. */
struct cel_outcome cel_foresee(struct cel *cel, const cJSON *value);

/* Writes what it reads of its variable with the values: claims.tenant "blue", claims.nbf missing.
 */
void cel_describe(const struct cel *cel, const cJSON *value, char *out, size_t size);

/* The last member of that name, as Go reads an object with two of them; NULL if there is none. */
const cJSON *cel_member(const cJSON *object, const char *name);

#endif
