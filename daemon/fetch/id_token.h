/*
 * id_token - is this id_token one that kube-apiserver would take (OpenID Connect Core §3.1.3.7)?
 */
#ifndef KUBETOKEN_FETCH_ID_TOKEN_H
#define KUBETOKEN_FETCH_ID_TOKEN_H

#include "common/job.h"
#include "daemon/fetch/jwks.h"

/* Checks the token against the job: shape, header, signature (keys NULL: it cannot be had,
 * the token is marked unverified), iss, aud, exp, nbf. date is the provider's clock in seconds,
 * 0 where it told none. Fills ret's lifetime, verified, user, warnings; or outcome and error.
 * Returns 0, or -1 when it is not valid. */
int id_token_check(const struct job *job, const char *token, size_t length, const struct jwks *keys,
                   int64_t date, struct result *ret);

/* Whether one of the keys is meant for the token, by its header. */
bool id_token_key_known(const char *token, size_t length, const struct jwks *keys);

/* What the claims of a token say otherwise than those of an earlier one, in words (claims.h).
 * Both may be anything. */
void id_token_changes(const char *before, const char *after, char *out, size_t size);

/* Adds a warning to the result, as long as there is room. */
void id_token_warn(struct result *ret, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
