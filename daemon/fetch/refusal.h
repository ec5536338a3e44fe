/*
 * refusal - what an answer of the token endpoint says of user, client and grant in OAuth's words.
 */
#ifndef KUBETOKEN_FETCH_REFUSAL_H
#define KUBETOKEN_FETCH_REFUSAL_H

#include <cjson/cJSON.h>

#include "daemon/fetch/http.h"

/* The code of what the same credentials will meet again, or ERROR_NONE where the answer says
 * nothing of them. json is its body, NULL where that is no object. */
enum error_code refusal_find(const struct http_reply *reply, const cJSON *json);

/* The code of an answer that is no refusal, and whether it says itself that it will pass. */
enum error_code refusal_fault(const struct http_reply *reply, const cJSON *json);
bool refusal_is_temporary(const struct http_reply *reply, const cJSON *json);

#endif
