/*
 * exchange - what the answer to a token exchange means (RFC 8693): which of its members is the
 * token, and which of its errors speak of the token that was given.
 */
#ifndef KUBETOKEN_FETCH_EXCHANGE_H
#define KUBETOKEN_FETCH_EXCHANGE_H

#include <cjson/cJSON.h>

#include "common/job.h"
#include "daemon/fetch/http.h"

/* Before the name of a type (RFC 8693 §3). */
#define EXCHANGE_TYPE "urn:ietf:params:oauth:token-type:"

/* The id_token, or the JWT that is as good, of a whole answer; it belongs to json. NULL: there is
 * none. */
const char *exchange_token(const cJSON *json);

/* What to say then. */
void exchange_explain(const struct job *job, const cJSON *json, struct error *ret);

/* The code of a refusal. code is what another grant would make of it (refusal_find()). */
enum error_code exchange_refusal(const struct http_reply *reply, const cJSON *json,
                                 enum error_code code);

#endif
