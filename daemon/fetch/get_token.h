/*
 * get_token - the whole job: endpoints, keys, grant, verification, with what is known already.
 */
#ifndef KUBETOKEN_FETCH_GET_TOKEN_H
#define KUBETOKEN_FETCH_GET_TOKEN_H

#include "daemon/fetch/http.h"

/* Does the job. Fills *ret, outcome included, and the cache for the next job. */
void get_token_run(struct http *http, const struct job *job, http_step_fn on_step,
                   struct result *ret);

#endif
