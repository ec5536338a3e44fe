/*
 * proxy - the proxy that a job's requests go by, and what of its URL may be told.
 */
#ifndef KUBETOKEN_FETCH_PROXY_H
#define KUBETOKEN_FETCH_PROXY_H

#include <stdbool.h>

#include "common/job.h"

/* The proxy of a request, as CURLOPT_PROXY takes it: "" = none, NULL = by the environment. */
const char *proxy_for(const struct job *job, const char *url);

struct proxy {
    char place[256];  /* host:port as the URL has them; "the proxy" where it cannot be read */
    bool has_user;    /* a user stands in the URL */
    char *password;   /* as it is sent, and ... */
    char *as_written; /* ... as the URL has it; NULL: none. proxy_clear() wipes both */
};

/* That of an https:// URL: the configured one or, with "auto", the variable of the job that libcurl
 * takes. No proxy leaves all of it empty. */
void proxy_read(const struct job *job, struct proxy *ret);
void proxy_clear(struct proxy *proxy);

#endif
