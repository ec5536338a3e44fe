/*
 * device - asking for a login that a person confirms elsewhere (RFC 8628 §3.1), what the answer
 * brings, and what an answer to a poll means (§3.5).
 */
#ifndef KUBETOKEN_FETCH_DEVICE_H
#define KUBETOKEN_FETCH_DEVICE_H

#include <cjson/cJSON.h>

#include "daemon/fetch/http.h"

/* JOB_DEVICE: asks for a device code, and puts it into *ret, or outcome and error. */
void device_run(struct http *http, const struct job *job, struct result *ret);

/* Takes a device code and what belongs to it (§3.2). Returns 0 with ret's outcome OUTCOME_DEVICE,
 * or -1 with outcome and error. ret->sent is the caller's. */
int device_take(const struct job *job, const cJSON *json, struct result *ret);

/* Judges the answer to a poll by its `error`, whatever its status: providers say these with 400,
 * 401, 403, 428 and 429. Returns ERROR_NONE with ret's outcome and interval where it is to be asked
 * again, and ERROR_MAX where it says nothing of the login; else the code of why it is over. */
enum error_code device_judge_poll(const cJSON *json, struct result *ret);

#endif
