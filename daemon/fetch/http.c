#define _GNU_SOURCE
#include "daemon/fetch/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/time.h"
#include "common/url.h"

enum { BODY_MAX = 1024 * 1024 };

struct http {
    CURL *curl;
    const struct job *job;
    http_step_fn on_step;
    void *context;
    const char *step; /* the request under way */
    char host[256];
    char *body;
    size_t length, room;
    bool too_large;
    uint64_t limit; /* usec for the next request; 0 = the job's deadline alone */
    char message[CURL_ERROR_SIZE];
};

static void report(struct http *h, const char *step)
{
    h->on_step(h->context, step, h->host);
}

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
    struct http *h = context;
    size_t bytes = size * n;

    if (h->length + bytes > BODY_MAX) {
        h->too_large = true; /* libcurl's own words for it would mislead */
        return 0;
    }
    if (h->length + bytes + 1 > h->room) {
        size_t room = (h->length + bytes + 1) * 2;
        char *grown = realloc(h->body, room);
        if (!grown)
            return 0;
        h->body = grown;
        h->room = room;
    }
    memcpy(h->body + h->length, data, bytes);
    h->length += bytes;
    h->body[h->length] = '\0';
    return bytes;
}

/* libcurl calls this when the name is resolved and a socket is wanted. */
static curl_socket_t on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    report(context, "connect");
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ... this when the TCP connection stands and TLS begins ... */
static CURLcode on_tls(CURL *curl, void *context, void *parameter)
{
    (void)curl;
    SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
    report(parameter, "tls");
    return CURLE_OK;
}

/* ... and this when the request itself is about to be sent. */
static int on_connected(void *context, char *a, char *b, int c, int d)
{
    struct http *h = context;

    (void)a, (void)b, (void)c, (void)d;
    report(h, h->step);
    return CURL_PREREQFUNC_OK;
}

static CURLcode set_options(struct http *h)
{
    CURL *c = h->curl;
    const struct job *job = h->job;
    CURLcode r = CURLE_OK;

#define SET(option, value) r = r ? r : curl_easy_setopt(c, option, value)
    SET(CURLOPT_PROTOCOLS_STR, "http,https"); /* http_url_allowed() has narrowed it */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_QUICK_EXIT, 1L); /* else a hung resolver outlives every timeout */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_USERAGENT, "kubetoken/" KUBETOKEN_VERSION);
    SET(CURLOPT_ERRORBUFFER, h->message);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, h);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    SET(CURLOPT_OPENSOCKETDATA, h);
    SET(CURLOPT_SSL_CTX_FUNCTION, on_tls);
    SET(CURLOPT_SSL_CTX_DATA, h);
    SET(CURLOPT_PREREQFUNCTION, on_connected);
    SET(CURLOPT_PREREQDATA, h);
    if (job->ca_file) {
        SET(CURLOPT_CAINFO, job->ca_file);
        SET(CURLOPT_CAPATH, NULL); /* else the system's authorities stay trusted beside it */
    }
    if (job->tls_client_cert) {
        SET(CURLOPT_SSLCERT, job->tls_client_cert);
        SET(CURLOPT_SSLKEY, job->tls_client_key ? job->tls_client_key : job->tls_client_cert);
    }
    if (job->proxy && strcmp(job->proxy, "auto") != 0) {
        SET(CURLOPT_NOPROXY, "");
        if (job->ca_file && strncmp(job->proxy, "https://", 8) == 0)
            SET(CURLOPT_PROXY_CAINFO, job->ca_file);
    }
#undef SET
    return r;
}

struct http *http_new(const struct job *job, http_step_fn on_step, void *context)
{
    struct http *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    *h = (struct http){ .job = job, .on_step = on_step, .context = context };
    h->curl = curl_easy_init();
    if (!h->curl || set_options(h) != CURLE_OK)
        return http_free(h);
    return h;
}

struct http *http_free(struct http *h)
{
    if (!h)
        return NULL;
    curl_easy_cleanup(h->curl);
    if (h->body)
        explicit_bzero(h->body, h->room);
    free(h->body);
    free(h);
    return NULL;
}

bool http_url_allowed(const struct job *job, const char *url)
{
    return url_is_plain(url) && (strncmp(url, "https://", 8) == 0 ||
                                 (job->allow_http_loopback && url_is_loopback_http(url)));
}

static void take_host(struct http *h, const char *url)
{
    size_t length;
    const char *host = url_authority(url, &length);
    snprintf(h->host, sizeof h->host, "%.*s", (int)length, host);
}

/* libcurl's codes in our words. Its message is kept: it names the host and the certificate. */
static enum error_code code_of(CURLcode r)
{
    switch (r) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return ERROR_DNS;
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
        return ERROR_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return ERROR_TIMEOUT;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
        return ERROR_TLS_FILE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
        return ERROR_TLS;
    default:
        return ERROR_TRANSFER;
    }
}

static void explain(struct http *h, CURLcode r, struct error *why)
{
    const char *message = *h->message ? h->message : curl_easy_strerror(r), *hint = "";

    if (h->too_large) {
        error_set(why, ERROR_ANSWER_INVALID, "%s sent more than 1 MiB", h->host);
        return;
    }
    if (strncmp(message, "Unsupported proxy", 17) == 0) /* its URL follows, with the password */
        message = "the URL of the proxy is not valid";
    if (r == CURLE_SSL_CONNECT_ERROR && strcasestr(message, "wrong version number"))
        hint = " (the port speaks no TLS)";
    else if (r == CURLE_SSL_CONNECT_ERROR && strcasestr(message, "alert protocol version"))
        hint = " (the server has no TLS 1.2)";
    else if (strcasestr(message, "certificate required"))
        hint = " (set tls-client-cert)";
    else if (r == CURLE_SEND_ERROR && !h->job->tls_client_cert)
        hint = " (does it want a client certificate? see tls-client-cert)"; /* it closed at once */
    /* With TLS 1.3 the server's refusal comes when the first answer is read; so does the end of a
     * connection, which is none. */
    bool refused = strstr(message, "SSL routines") && !strstr(message, "unexpected eof");
    enum error_code code = refused ? ERROR_TLS : code_of(r);
    error_set(why, code, "%s: %s%s", h->host, message, hint);
}

int64_t http_date(const char *value)
{
    int64_t date = curl_getdate(value, NULL);

    return date > 0 ? date : 0;
}

uint64_t http_retry_after(const char *value, int64_t date)
{
    static const uint64_t most = HTTP_RETRY_AFTER_MAX / USEC_PER_SEC;
    uint64_t seconds = 0;

    if (*value >= '0' && *value <= '9' && strspn(value, "0123456789") == strlen(value)) {
        for (const char *v = value; *v && seconds < most; v++)
            seconds = seconds * 10 + (uint64_t)(*v - '0');
    } else { /* libcurl reads years that are more usec than there are */
        int64_t then = http_date(value);
        int64_t now = date > 0 ? date : time_realtime() / (int64_t)USEC_PER_SEC;
        seconds = then > now ? (uint64_t)(then - now) : 0;
    }
    return (seconds < most ? seconds : most) * USEC_PER_SEC;
}

static void take_reply(struct http *h, struct http_reply *ret)
{
    struct curl_header *header;

    *ret = (struct http_reply){ .body = h->body ? h->body : "", .length = h->length };
    ret->received = time_boottime();
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &ret->status);
    if (curl_easy_header(h->curl, "Date", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        ret->date = http_date(header->value);
    if (curl_easy_header(h->curl, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        ret->retry_after = http_retry_after(header->value, ret->date);
}

/* The headers of the request. NULL: no memory. */
static struct curl_slist *headers(const struct http_form *form)
{
    struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json"), *more;

    if (list && form && form->authorization) {
        more = curl_slist_append(list, secret_peek(form->authorization));
        if (!more)
            curl_slist_free_all(list);
        list = more;
    }
    return list;
}

void http_hurry(struct http *h, uint64_t limit)
{
    h->limit = limit;
}

/* The proxy for it: "" = none, NULL = by the environment. What goes to loopback in clear text would
 * leave the machine with a proxy, and the password in it. */
static const char *proxy_for(const struct job *job, const char *url)
{
    if (strncmp(url, "https://", 8) != 0 || (job->proxy && strcmp(job->proxy, "none") == 0))
        return "";
    return job->proxy && strcmp(job->proxy, "auto") != 0 ? job->proxy : NULL;
}

/* How long the next request may take, usec. */
static uint64_t take_limit(struct http *h)
{
    uint64_t now = time_boottime(), limit = h->limit;
    uint64_t left = h->job->deadline > now ? h->job->deadline - now : 0;

    h->limit = 0;
    return limit > 0 && limit < left ? limit : left;
}

int http_request(struct http *h, const char *step, const char *url, const struct http_form *form,
                 struct http_reply *ret, struct error *why)
{
    uint64_t left = take_limit(h);

    take_host(h, url);
    if (!http_url_allowed(h->job, url)) {
        error_set(why, ERROR_ANSWER_INVALID, "%s is not an https:// URL", url);
        return -1;
    }
    if (left < 2 * USEC_PER_MSEC) {
        error_set(why, ERROR_TIMEOUT, "no time was left to ask %s", h->host);
        return -1;
    }
    struct curl_slist *list = headers(form);
    if (!list) {
        error_set(why, ERROR_INTERNAL, "no memory");
        return -1;
    }
    h->length = 0;
    h->too_large = false;
    h->message[0] = '\0';
    h->step = step;
    curl_easy_setopt(h->curl, CURLOPT_URL, url);
    curl_easy_setopt(h->curl, CURLOPT_PROXY, proxy_for(h->job, url));
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, (long)(left / USEC_PER_MSEC));
    if (form) {
        curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE, (long)secret_length(form->body));
        curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, secret_peek(form->body));
    } else {
        curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
    }
    report(h, "dns");
    CURLcode r = curl_easy_perform(h->curl);
    if (r == CURLE_OK)
        take_reply(h, ret);
    else
        explain(h, r, why);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);
    return r == CURLE_OK ? 0 : -1;
}
