#define _GNU_SOURCE
#include "daemon/fetch/http.h"

#include <curl/curl.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/heap.h"
#include "common/time.h"
#include "common/url.h"
#include "daemon/fetch/authorities.h"
#include "daemon/fetch/http_field.h"
#include "daemon/fetch/proxy.h"

enum { BODY_MAX = 1024 * 1024, LOCATION_MAX = 120, ADDRESSES_MAX = 16 };
enum { PLACE_MAX = INET6_ADDRSTRLEN + 8 };

struct address {
    char text[INET6_ADDRSTRLEN];
    bool dead; /* another one of the same name answered before it */
};

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
    bool is_http;         /* a status line has come */
    bool is_http2;        /* a frame of HTTP/2 came in its place */
    struct error refused; /* what stands against any request, as that the proxy said 407 */
    char location[LOCATION_MAX + 1];
    struct address addresses[ADDRESSES_MAX]; /* that were tried in this job */
    size_t n_addresses, first_address;       /* of the request under way */
    char place[PLACE_MAX + 1];               /* address and port of the last one; "" = none yet */
    char refused_by[PLACE_MAX + 1];          /* the first one that refuses connections; "" = none */
    bool other_trouble;                      /* another one failed for a reason that may pass */
    uint64_t limit;          /* usec for the next request; 0 = the job's deadline alone */
    const char *authorities; /* a file that is read where their folder is not enough; or NULL */
    char message[CURL_ERROR_SIZE];
};

static void report(struct http *h, const char *step)
{
    h->on_step(h->context, step, h->host);
}

static size_t on_header(char *data, size_t size, size_t n, void *context)
{
    struct http *h = context;

    (void)data;
    h->is_http = true;
    return size * n;
}

/* The head of SETTINGS or GOAWAY, with which a server of HTTP/2 begins whatever it was sent:
 * length, type, flags, and 0 for the stream (RFC 9113 §4.1). */
static bool is_frame(const char *data, size_t length)
{
    return length >= 9 && data[0] == 0 && (data[3] == 4 || data[3] == 7) &&
           memcmp(data + 5, "\0\0\0\0", 4) == 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
    struct http *h = context;
    size_t bytes = size * n;

    if (!h->is_http) { /* HTTP/0.9 to libcurl, which would not say what it was */
        h->is_http2 = is_frame(data, bytes);
        return 0;
    }
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

static bool is_dead(const struct http *h, const char *text)
{
    for (size_t i = 0; i < h->n_addresses; i++)
        if (h->addresses[i].dead && strcmp(h->addresses[i].text, text) == 0)
            return true;
    return false;
}

static void write_address(const struct curl_sockaddr *address, char *out, size_t size)
{
    const void *a = &address->addr;

    inet_ntop(address->family,
              address->family == AF_INET6
                  ? (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr
                  : (const void *)&((const struct sockaddr_in *)a)->sin_addr,
              out, (socklen_t)size);
}

/* With the port: behind a proxy it is the proxy's. */
static void write_place(struct http *h, const struct curl_sockaddr *address, const char *text)
{
    const struct sockaddr_in *in = (const void *)&address->addr; /* the port has the same place */
    bool long_form = address->family == AF_INET6;

    snprintf(h->place, sizeof h->place, "%s%s%s:%u", long_form ? "[" : "", text,
             long_form ? "]" : "", ntohs(in->sin_port));
}

/* Why the connection before came to nothing: libcurl keeps the last reason alone. */
static void note_connection(struct http *h)
{
    long error = 0;

    curl_easy_getinfo(h->curl, CURLINFO_OS_ERRNO, &error);
    switch (error) {
    case ECONNREFUSED:
        if (!*h->refused_by)
            memcpy(h->refused_by, h->place, sizeof h->place);
        return;
    case 0:
    case ENETUNREACH: /* no way there from here, as to IPv6 on many a machine */
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return;
    default:
        h->other_trouble = true;
        return;
    }
}

/* libcurl calls this when it is about to resolve a name, which for a connection that is kept it is
 * not ... */
static int on_resolve(void *resolver, void *reserved, void *context)
{
    (void)resolver, (void)reserved;
    report(context, "dns");
    return 0;
}

/* ... this when the name is resolved and a socket is wanted, for one address after the
 * other. It gives each half of the time that is left, which goes once in a job: without a socket it
 * takes the next one at once. */
static curl_socket_t on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http *h = context;
    struct address *tried = &h->addresses[h->n_addresses];
    char text[INET6_ADDRSTRLEN] = "";

    (void)purpose;
    if (*h->place)
        note_connection(h);
    write_address(address, text, sizeof text);
    if (is_dead(h, text))
        return CURL_SOCKET_BAD;
    write_place(h, address, text);
    if (h->n_addresses < ADDRESSES_MAX) {
        memcpy(tried->text, text, sizeof text);
        h->n_addresses++;
    }
    report(h, "connect");
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Those before which this one answered. */
static void bury(struct http *h, const char *answered)
{
    for (size_t i = h->first_address; i < h->n_addresses; i++)
        h->addresses[i].dead = strcmp(h->addresses[i].text, answered) != 0;
    h->first_address = h->n_addresses;
}

/* ... this when the TCP connection stands and TLS begins ... */
static CURLcode on_tls(CURL *curl, void *context, void *parameter)
{
    struct http *h = parameter;

    (void)curl;
    SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
    if (h->authorities)
        authorities_read_late(context, h->authorities);
    report(h, "tls");
    return CURLE_OK;
}

/* ... and this when the request itself is about to be sent. Without memory libcurl may have taken
 * another way than it was told, such as none by a proxy. */
static int on_connected(void *context, char *address, char *b, int c, int d)
{
    struct http *h = context;

    (void)b, (void)c, (void)d;
    if (heap_lacked())
        return CURL_PREREQFUNC_ABORT;
    bury(h, address);
    h->is_http = false; /* a proxy may have said it was */
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
    SET(CURLOPT_QUICK_EXIT, 1L);              /* else a hung resolver outlives every timeout */
    SET(CURLOPT_ACCEPT_ENCODING, "identity"); /* any value has libcurl decode what comes */
    SET(CURLOPT_HTTP09_ALLOWED, 1L);          /* on_body() takes none */
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, h);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_USERAGENT, "kubetoken/" KUBETOKEN_VERSION);
    SET(CURLOPT_ERRORBUFFER, h->message);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, h);
    SET(CURLOPT_RESOLVER_START_FUNCTION, on_resolve);
    SET(CURLOPT_RESOLVER_START_DATA, h);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    SET(CURLOPT_OPENSOCKETDATA, h);
    SET(CURLOPT_SSL_CTX_FUNCTION, on_tls);
    SET(CURLOPT_SSL_CTX_DATA, h);
    SET(CURLOPT_PREREQFUNCTION, on_connected);
    SET(CURLOPT_PREREQDATA, h);
    if (job->ca_file) {
        SET(CURLOPT_CAINFO, job->ca_file);
        SET(CURLOPT_CAPATH, NULL); /* else the system's authorities stay trusted beside it */
        SET(CURLOPT_PROXY_CAINFO, job->ca_file); /* the environment's proxy may be https:// too */
        SET(CURLOPT_PROXY_CAPATH, NULL);
    } else if ((h->authorities = authorities_file())) {
        SET(CURLOPT_CAINFO, NULL);
        SET(CURLOPT_PROXY_CAINFO, NULL);
    }
    if (job->tls_client_cert) {
        SET(CURLOPT_SSLCERT, job->tls_client_cert);
        SET(CURLOPT_SSLKEY, job->tls_client_key ? job->tls_client_key : job->tls_client_cert);
    }
    if (job->proxy && strcmp(job->proxy, "auto") != 0)
        SET(CURLOPT_NOPROXY, "");
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
    case CURLE_BAD_CONTENT_ENCODING:
        return ERROR_ANSWER_INVALID;
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

/* The names of the ways to log in that such a field offers: "Negotiate, NTLM". */
static void list_schemes(CURL *curl, const char *field, unsigned origin, char *out, size_t size)
{
    struct curl_header *header;
    size_t used = 0;

    *out = '\0';
    for (size_t i = 0; curl_easy_header(curl, field, i, origin, -1, &header) == CURLHE_OK; i++) {
        int length = (int)strcspn(header->value, " ,\t");
        if ((size_t)length + 3 > size - used)
            return;
        used += (size_t)snprintf(out + used, size - used, "%s%.*s", i > 0 ? ", " : "", length,
                                 header->value);
    }
}

/* 407, or its like of SOCKS (RFC 1928 §3, RFC 1929 §2): with a user in the proxy's URL it refused
 * that one, without it wants one. */
static void refuse(struct http *h, long status, const struct proxy *proxy)
{
    enum error_code code = proxy->has_user ? ERROR_PROXY_REFUSED : ERROR_PROXY_LOGIN;
    char schemes[80] = "", what[24] = "SOCKS";

    if (status == 407) {
        list_schemes(h->curl, "Proxy-Authenticate", CURLH_CONNECT, schemes, sizeof schemes);
        snprintf(what, sizeof what, "HTTP %ld", status);
    }
    error_set(&h->refused, code, "%s of %s%s%s", what, proxy->place,
              *schemes ? ", which wants " : "", schemes);
}

/* Whether it was the proxy that failed, by its own words. */
static bool explain_proxy(struct http *h, CURLcode r, struct error *why)
{
    struct proxy proxy;
    long status = 0, socks = CURLPX_OK;

    curl_easy_getinfo(h->curl, CURLINFO_HTTP_CONNECTCODE, &status);
    if (r == CURLE_PROXY)
        curl_easy_getinfo(h->curl, CURLINFO_PROXY_ERROR, &socks);
    proxy_read(h->job, &proxy);
    bool refused = status == 407 || socks == CURLPX_USER_REJECTED ||
                   (socks == CURLPX_NO_AUTH && !proxy.has_user);
    bool failed = refused || (status != 0 && status / 100 != 2);
    if (refused) {
        refuse(h, status, &proxy);
        *why = h->refused;
    } else if (failed) {
        error_set(why, ERROR_CONNECT, "the proxy %s answered %ld to CONNECT %s", proxy.place,
                  status, h->host);
    }
    proxy_clear(&proxy);
    return failed;
}

/* Whether nobody listens, at any address that could be tried. */
static bool explain_refused_connection(struct http *h, CURLcode r, struct error *why)
{
    if (r == CURLE_COULDNT_CONNECT && *h->place)
        note_connection(h);
    if (r != CURLE_COULDNT_CONNECT || h->other_trouble)
        h->refused_by[0] = '\0';
    if (!*h->refused_by)
        return false;
    bool same = strcmp(h->host, h->refused_by) == 0;
    error_set(why, ERROR_CONNECT, "%s%s%s refused the connection", same ? "" : h->host,
              same ? "" : ": ", h->refused_by);
    return true;
}

static const char *hint_for(const struct http *h, CURLcode r, const char *message)
{
    bool handshake = r == CURLE_SSL_CONNECT_ERROR;

    if (handshake && strcasestr(message, "wrong version number"))
        return " (the port speaks no TLS)";
    if (handshake && strcasestr(message, "alert protocol version"))
        return " (the server has no TLS 1.2)";
    if (strcasestr(message, "no application protocol")) /* RFC 7301 §3.2 */
        return " (the server speaks HTTP/2 only)";
    if (strcasestr(message, "certificate required"))
        return " (set tls-client-cert)";
    if (r == CURLE_SEND_ERROR && !h->job->tls_client_cert) /* it closed at once */
        return " (does it want a client certificate? see tls-client-cert)";
    return "";
}

static void explain(struct http *h, CURLcode r, struct error *why)
{
    const char *message = *h->message ? h->message : curl_easy_strerror(r);

    if (explain_refused_connection(h, r, why))
        return;
    if (h->too_large) {
        error_set(why, ERROR_ANSWER_INVALID, "%s sent more than 1 MiB", h->host);
        return;
    }
    if (explain_proxy(h, r, why))
        return;
    if (r == CURLE_WRITE_ERROR && !h->is_http)
        message = h->is_http2 ? "the server speaks HTTP/2 only" : "what came is no HTTP";
    if (strncmp(message, "Unsupported proxy", 17) == 0) /* its URL follows, with the password */
        message = "the URL of the proxy is not valid";
    /* With TLS 1.3 the server's refusal comes when the first answer is read; so does the end of a
     * connection, which is none. */
    bool refused = strstr(message, "SSL routines") && !strstr(message, "unexpected eof");
    enum error_code code = refused ? ERROR_TLS : code_of(r);
    error_set(why, code, "%s: %s%s", h->host, message, hint_for(h, r, message));
}

static const char *field(CURL *curl, const char *name)
{
    struct curl_header *header;

    return curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value
                                                                                   : NULL;
}

/* Those who limit requests mostly say when that is over, but not by Retry-After. The same fields
 * may come with every answer: what is left says whether they are about this one. */
static uint64_t take_reset(CURL *curl, int64_t date)
{
    static const char *const names[][2] = { { "RateLimit-Reset", "RateLimit-Remaining" },
                                            { "X-RateLimit-Reset", "X-RateLimit-Remaining" },
                                            { "X-Rate-Limit-Reset", "X-Rate-Limit-Remaining" } };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *reset = field(curl, names[i][0]), *left = field(curl, names[i][1]);
        if (reset && (!left || strtol(left, NULL, 10) == 0))
            return http_field_reset(reset, date);
    }
    return 0;
}

static void take_fields(CURL *curl, struct http_fields *ret)
{
    *ret = (struct http_fields){ .content_type = field(curl, "Content-Type"),
                                 .www_authenticate = field(curl, "WWW-Authenticate"),
                                 .proxy_authenticate = field(curl, "Proxy-Authenticate"),
                                 .server = field(curl, "Server"),
                                 .via = field(curl, "Via"),
                                 .cf_ray = field(curl, "CF-RAY") };
}

static void take_location(struct http *h, struct http_reply *ret)
{
    char *url = NULL;
    size_t length;

    curl_easy_getinfo(h->curl, CURLINFO_REDIRECT_URL, &url); /* whole, where the field is not */
    http_field_show_url(url ? url : "", h->location, sizeof h->location);
    ret->location = h->location;
    const char *host = url_authority(h->location, &length);
    ret->elsewhere = length > 0 &&
                     (length != strlen(h->host) || strncasecmp(host, h->host, length) != 0);
}

static void take_reply(struct http *h, struct http_reply *ret)
{
    const char *date = field(h->curl, "Date"), *wait = field(h->curl, "Retry-After");
    const char *age = field(h->curl, "Age");

    *ret = (struct http_reply){ .host = h->host,
                                .body = h->body ? h->body : "",
                                .length = h->length,
                                .received = time_boottime() };
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &ret->status);
    take_fields(h->curl, &ret->fields);
    take_location(h, ret);
    if (date)
        ret->date = http_field_date(date);
    if (age)
        ret->age = http_field_age(age);
    if (wait)
        ret->retry_after = http_field_retry_after(wait, ret->date);
    else if (ret->status == 429 || ret->status == 503)
        ret->retry_after = take_reset(h->curl, ret->date);
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

bool http_refused_connection(const struct http *h)
{
    return *h->refused_by != '\0';
}

void http_refuse(struct http *h, const struct error *why)
{
    h->refused = *why;
}

void http_hurry(struct http *h, uint64_t limit)
{
    h->limit = limit;
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
    if (heap_lacked()) { /* nothing that was found before is sure */
        error_set(why, ERROR_INTERNAL, "no memory");
        return -1;
    }
    if (h->refused.code != ERROR_NONE) { /* who counts wrong passwords has counted one */
        *why = h->refused;
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
    if (h->body)
        h->body[0] = '\0';
    h->too_large = h->is_http = h->is_http2 = false;
    h->other_trouble = false;
    h->message[0] = h->place[0] = h->refused_by[0] = '\0';
    h->step = step;
    h->first_address = h->n_addresses;
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
    CURLcode r = curl_easy_perform(h->curl);
    if (r == CURLE_OK)
        take_reply(h, ret);
    else
        explain(h, r, why);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);
    return r == CURLE_OK ? 0 : -1;
}
