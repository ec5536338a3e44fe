/*
 * verify_token - the job that takes another program's id_token for its own (token-command).
 *
 * No TLS vouches for such a token, as it does for one straight from the token endpoint (OpenID
 * Connect Core §3.1.3.7, 6): without the provider's keys it is not taken. And it may be of any age:
 * what is left of its life is told by the provider's clock alone.
 */
#ifndef KUBETOKEN_FETCH_VERIFY_TOKEN_H
#define KUBETOKEN_FETCH_VERIFY_TOKEN_H

#include "daemon/fetch/http.h"

/* Finds the token in what the job brings (printed_token.h) and verifies it. OUTCOME_TOKEN;
 * OUTCOME_STALE for one that has expired, or is no newer than the one in hand; OUTCOME_CONFIG for
 * what is no token, or one that nobody should take; as discovery says where keys cannot be had. */
void verify_token_run(struct http *http, const struct job *job, http_step_fn on_step,
                      struct result *ret);

#endif
