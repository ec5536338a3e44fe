/*
 * answer_text - an answer that brought no token, in words for people: printable, short, without the
 * job's secrets. Nothing is decided by them.
 */
#ifndef KUBETOKEN_FETCH_ANSWER_TEXT_H
#define KUBETOKEN_FETCH_ANSWER_TEXT_H

#include <cjson/cJSON.h>

#include "daemon/fetch/http.h"

/* Sets the error: "HTTP 403, invalid_grant: Wrong email or password.", "HTTP 403, empty body",
 * "HTTP 403 of login.example.com: Request blocked", "HTTP 302, to https://other.example/login".
 * json is the body, NULL where that is no object. */
void answer_describe(const struct job *job, const struct http_reply *reply, const cJSON *json,
                     struct error *why, enum error_code code);

/* Whether the body is a page or a text: there is one, and it does not look like JSON, whole or
 * broken. */
bool answer_is_page(const struct http_reply *reply);

#endif
