/*
 * http - requests to the provider, by libcurl, blocking, one after the other.
 *
 * HTTPS with TLS 1.2 or newer (plain http only to loopback and when the job allows it),
 * HTTP/1.1, no redirects, no .netrc, no environment but the proxy variables of the job,
 * answers of at most 1 MiB (once decoded: identity is asked for, gzip may come all the same), all
 * within the job's deadline. A proxy that said 407 is not asked again in the same job.
 */
#ifndef KUBETOKEN_FETCH_HTTP_H
#define KUBETOKEN_FETCH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/job.h"
#include "common/time.h"

struct http;

/* Told of each step as it begins: dns, connect, tls, then the name of the request. */
typedef void (*http_step_fn)(void *context, const char *step, const char *host);

/* Opens a connection pool for the job, which has to outlive it. NULL: libcurl failed. */
struct http *http_new(const struct job *job, http_step_fn on_step, void *context);
struct http *http_free(struct http *http);

/* What a person may want to know of who answered. Values as they came; NULL: no such field. */
struct http_fields {
    const char *content_type;
    const char *www_authenticate;
    const char *proxy_authenticate;
    const char *server;
    const char *via;
    const char *cf_ray; /* Cloudflare's name for the request */
};

/* An answer. What it points to is valid until the next request. */
struct http_reply {
    long status;
    const char *host; /* whom it was sent to, with the port */
    const char *body; /* NUL-terminated */
    size_t length;
    const char *location; /* where a redirect leads: scheme, host and path; "" = it does not say */
    bool elsewhere;       /* ... which is another host */
    struct http_fields fields;
    int64_t date;         /* the provider's clock in seconds since 1970; 0 = not told */
    int64_t age;          /* seconds since it was made, in a cache on the way (Age); 0: none told */
    uint64_t received;    /* usec of CLOCK_BOOTTIME when the answer was there */
    uint64_t retry_after; /* usec; 0 = not told */
};

/* Has each request fail of that, before anything is asked for or sent. */
void http_refuse(struct http *http, const struct error *why);

/* What is sent beside the URL by a POST. */
struct http_form {
    const struct secret *body;          /* application/x-www-form-urlencoded */
    const struct secret *authorization; /* the whole header line, or NULL */
};

/* Bounds the time (usec) of the next request alone, within the job's deadline: for one that can
 * be done without. */
void http_hurry(struct http *http, uint64_t limit);

/* GET, or POST where form is not NULL. step names the request to on_step.
 * Returns 0 for any HTTP answer, -1 with *why set when there was none. */
int http_request(struct http *http, const char *step, const char *url, const struct http_form *form,
                 struct http_reply *ret, struct error *why);

/* Whether the last request failed since the host, or the proxy's, refuses connections at all of its
 * addresses: nobody listens there, and nothing was sent. */
bool http_refused_connection(const struct http *http);

/* Whether the job allows that URL: https, or http to loopback where it says so. */
bool http_url_allowed(const struct job *job, const char *url);

#endif
