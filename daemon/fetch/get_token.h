/*
 * get_token - the whole job: endpoints, keys, grant, verification, with what is known already.
 */
#ifndef KUBETOKEN_FETCH_GET_TOKEN_H
#define KUBETOKEN_FETCH_GET_TOKEN_H

#include "daemon/fetch/provider.h"

/* Does the job. Fills *ret, outcome included, and the cache for the next job. */
void get_token_run(struct http *http, const struct job *job, http_step_fn on_step,
                   struct result *ret);

/* Of a token that was taken: the name of its key, and what is otherwise than before. */
void get_token_compare(const struct provider *provider, struct result *ret);

#endif
