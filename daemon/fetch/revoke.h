/*
 * revoke - has a refresh token made void that nobody needs any more.
 */
#ifndef KUBETOKEN_FETCH_REVOKE_H
#define KUBETOKEN_FETCH_REVOKE_H

#include "daemon/fetch/http.h"

/* Does what a JOB_REVOKE asks for: ret is OUTCOME_REVOKED, or says why not. */
void revoke_run(struct http *http, const struct job *job, struct result *ret);

#endif
