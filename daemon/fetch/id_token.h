/*
 * id_token - is this id_token one that kube-apiserver would take (OpenID Connect Core §3.1.3.7)?
 */
#ifndef KUBETOKEN_FETCH_ID_TOKEN_H
#define KUBETOKEN_FETCH_ID_TOKEN_H

#include <cjson/cJSON.h>

#include "common/job.h"
#include "daemon/fetch/jwks.h"

/* A token taken apart. */
struct id_token {
    const struct job *job;
    const char *text;
    cJSON *header, *claims;
    struct jwks *keys; /* NULL: they cannot be had; the one that fits is marked as used */
    int64_t date;      /* the provider's clock in seconds, 0: it told none */
};

enum { ID_TOKEN_CHECKS = 6 };

/* What kube-apiserver looks at, in its order. Each check returns 0, perhaps with warnings, or -1
 * with outcome and error of *ret. */
extern const struct id_token_check_row {
    const char *name;
    int (*run)(const struct id_token *token, struct result *ret);
} id_token_checks[ID_TOKEN_CHECKS];

/* Takes it apart; keys and date are the caller's to set. Returns 0, or -1 with *result as a check
 * does. id_token_close() frees it in either case. */
int id_token_open(struct id_token *ret, const struct job *job, const char *text, size_t length,
                  struct result *result);
void id_token_close(struct id_token *token);

/* Checks the token against the job: shape, header, signature (keys NULL: it cannot be had,
 * the token is marked unverified), iss, aud, exp, nbf. date is the provider's clock in seconds,
 * 0 where it told none. Fills ret's lifetime, verified, user, warnings; or outcome and error.
 * Returns 0, or -1 when it is not valid. */
int id_token_check(const struct job *job, const char *token, size_t length, struct jwks *keys,
                   int64_t date, struct result *ret);

/* Whether one of the keys is meant for the token, by its header. */
bool id_token_key_known(const char *token, size_t length, const struct jwks *keys);

/* The name of the key that it says to be signed with, "" = none; it may be anything. */
void id_token_key(const char *token, size_t length, char *out, size_t size);

/* What the claims of a token say otherwise than those of an earlier one, in words (claims.h).
 * Both may be anything. */
void id_token_changes(const char *before, const char *after, char *out, size_t size);

/* Whether the token is another than the one before, and was issued later: by iat, or, where that is
 * no later or missing, because date (the provider's clock in seconds, 0: not told) says that it was
 * issued just now, or by exp. What cannot be read is newer: the checks will tell what it is. */
bool id_token_is_newer(const char *token, const char *before, int64_t date);

/* Adds a warning to the result, as long as there is room. */
void id_token_warn(struct result *ret, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
