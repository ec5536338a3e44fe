/*
 * json - reading foreign JSON strictly, on top of cJSON.
 *
 * cJSON by itself takes trailing text, raw control characters and numbers such as 01, cuts
 * strings at \u0000, refuses halves of surrogate pairs and what is nested more than 1000 deep,
 * finds members whatever their case and the first of two with one name. Go, and so kube-apiserver,
 * does none of that; what these functions find is what the API server would find. \u0000 becomes
 * U+FFFD, broken UTF-8 as well, and what is nested more than JSON_DEPTH_KEPT deep is cut off
 * (json_text.h).
 */
#ifndef KUBETOKEN_FETCH_JSON_H
#define KUBETOKEN_FETCH_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether a text begins with a byte order mark: passed over here, and refused by Go. */
bool json_has_mark(const char *text);

/* Parses a JSON object and nothing but white space around it. text[length] has to be '\0'.
 * Returns NULL for anything else; the caller frees it with cJSON_Delete. */
cJSON *json_object(const char *text, size_t length);

/* The last member of that name, or NULL. */
const cJSON *json_get(const cJSON *object, const char *name);

/* Go finds a member by a name of its own without regard to case, the last of all spellings: iss,
 * aud, exp, nbf, iat, sub, nonce and at_hash of a token, keys of a key set. json_get() is for those
 * that somebody named, such as email, and for what is inside a header or a JWK. */
const cJSON *json_get_as_go(const cJSON *object, const char *name);
bool json_same_name(const char *a, const char *b);

/* How many members have that name. */
unsigned json_count(const cJSON *object, const char *name);

/* The first name that two members have, or NULL. */
const char *json_twice(const cJSON *object);

/* The member as a string, or NULL when it is absent or something else. */
const char *json_string(const cJSON *object, const char *name);

#define JSON_SECONDS_MOST (INT64_C(1) << 61)

/* A date in seconds as Go's oidc library takes it: a number (fractions are cut off) or a
 * string that holds one. What no 64 bits hold is the least of all, as for Go: an exp long past, an
 * nbf that matters not. Of both ends as much is left that two of them do not overflow. Returns 1, 0
 * when absent, -EINVAL for anything else. */
int json_seconds(const cJSON *object, const char *name, int64_t *ret);

/* Whether the member is the string, or an array that holds it. */
bool json_holds(const cJSON *member, const char *string);

#endif
