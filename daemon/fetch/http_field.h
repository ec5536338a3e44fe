/*
 * http_field - what the fields of an answer say: when it was, when to come back, where to go.
 */
#ifndef KUBETOKEN_FETCH_HTTP_FIELD_H
#define KUBETOKEN_FETCH_HTTP_FIELD_H

#include <stddef.h>
#include <stdint.h>

#include "common/time.h"

/* The field Date in seconds since 1970, 0 where it is none. */
int64_t http_field_date(const char *value);

/* The field Age in seconds (RFC 9111 §5.1), 0 where it is none. At most HTTP_FIELD_AGE_MAX. */
int64_t http_field_age(const char *value);
#define HTTP_FIELD_AGE_MAX (366 * 86400)

/* Nobody is made to wait longer than a day. */
#define HTTP_FIELD_WAIT_MAX (86400 * USEC_PER_SEC)

/* The field Retry-After in usec, 0 where it is none: seconds, or an HTTP date (RFC 9110 §10.2.3),
 * which the provider's own clock (date; 0: ours) makes a span. At most HTTP_FIELD_WAIT_MAX. */
uint64_t http_field_retry_after(const char *value, int64_t date);

/* When a limit of requests is over, in usec, for who sends no Retry-After; 0 where it says nothing.
 * A time since 1970 (Okta, Auth0) or seconds from now (the draft of RateLimit-Reset); which of both
 * the size tells. Without the provider's clock the first kind says nothing. The most as above. */
uint64_t http_field_reset(const char *value, int64_t date);

/* Where a URL leads that came from elsewhere, to be shown: scheme, host and path, without user,
 * query and fragment, since these may hold secrets. "" where it is none. */
void http_field_show_url(const char *url, char *out, size_t size);

#endif
