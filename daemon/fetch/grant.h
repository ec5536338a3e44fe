/*
 * grant - asking the token endpoint (RFC 6749 §4.3 and §6), and what its answer means.
 */
#ifndef KUBETOKEN_FETCH_GRANT_H
#define KUBETOKEN_FETCH_GRANT_H

#include "daemon/fetch/discovery.h"

/* Sends the request that the job asks for. Returns 0 with ret's id_token, refresh_token and
 * sent, and *date (the provider's clock, 0 = not told), or -1 with ret's outcome and error. */
int grant_run(struct http *http, const struct job *job, const struct discovery *endpoints,
              struct result *ret, int64_t *date);

/* Has the job's refresh token revoked (RFC 7009 §2.1) at that URL: 0, or -1 with ret's outcome and
 * error. */
int grant_revoke(struct http *http, const struct job *job, const struct discovery *endpoints,
                 const char *url, struct result *ret);

/* Asks for a device code (RFC 8628 §3.1) at that URL: 0 with ret's device_code and what belongs to
 * it, or -1 with ret's outcome and error. */
int grant_ask_device(struct http *http, const struct job *job, const struct discovery *endpoints,
                     const char *url, struct result *ret);

/* The form and the Authorization header of the request. Returns 0, or -1: no memory. */
int grant_build(const struct job *job, const struct discovery *endpoints, struct secret **ret_body,
                struct secret **ret_authorization);

/* Judges an answer of the token endpoint, or of the one for device codes. As grant_run() and
 * grant_ask_device(), but for `sent`. */
int grant_judge(const struct job *job, const struct http_reply *reply, struct result *ret);

#endif
