/*
 * redact - keeps the secrets of a job out of what people read. What a provider says may echo them.
 */
#ifndef KUBETOKEN_FETCH_REDACT_H
#define KUBETOKEN_FETCH_REDACT_H

#include "common/job.h"

/* Puts *** for each password (of user and proxy), client secret and refresh token of the job in the
 * text, as it is and as it was sent, in a form or by client-auth basic. One shorter than three
 * characters stays. */
void redact_secrets(const struct job *job, char *text);

/* Sets the error; the text, which may be a provider's, is masked whole before any cut, `before` is
 * ours. */
void redact_error(const struct job *job, struct error *why, enum error_code code,
                  const char *before, const char *text);

/* The same in a finished result: error, warnings, changed claims. The daemon cuts what it takes of
 * them, which is then shorter than any cut that parts a secret here. */
void redact_result(const struct job *job, struct result *result);

#endif
