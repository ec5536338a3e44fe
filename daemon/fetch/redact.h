/*
 * redact - keeps the secrets of a job out of what people read. What a provider says may echo them.
 */
#ifndef KUBETOKEN_FETCH_REDACT_H
#define KUBETOKEN_FETCH_REDACT_H

#include "common/job.h"

/* Puts *** for each password (of user and proxy), client secret and refresh token of the job in the
 * text, as it is and as it was sent, in a form or by client-auth basic. Never for a part of a word,
 * which would show the secret to who knows the word: then for all of it, but for what the
 * configuration says for everybody to see (user name, issuer, client id), which stays. So does one
 * shorter than three characters. */
void redact_secrets(const struct job *job, char *text);

/* Sets the error; the text, which may be a provider's, is masked whole before any cut, `before` is
 * ours. */
void redact_error(const struct job *job, struct error *why, enum error_code code,
                  const char *before, const char *text);

/* The same in a finished result: error. Warnings, changed claims and the key's name are of the
 * token, which `inspect` shows: they stay as they are, or are left out where a secret stands in
 * them by itself. The daemon cuts what it takes of them, which is then shorter than any cut that
 * parts a secret here. */
void redact_result(const struct job *job, struct result *result);

#endif
