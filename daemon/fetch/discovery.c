#define _GNU_SOURCE
#include "daemon/fetch/discovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/json.h"

/* "issuer less one trailing slash + path": Auth0's and Authentik's issuers end in one. */
static char *document_url(const char *issuer)
{
    size_t length = strlen(issuer);
    char *url;

    if (issuer[length - 1] == '/')
        length--;
    return asprintf(&url, "%.*s/.well-known/openid-configuration", (int)length, issuer) < 0 ? NULL
                                                                                            : url;
}

static int take_url(const struct job *job, const cJSON *doc, const char *name, char **slot,
                    struct error *why)
{
    const char *url = json_string(doc, name);

    if (!url)
        return 0;
    if (!http_url_allowed(job, url)) {
        error_set(why, ERROR_DISCOVERY_INVALID, "its %s \"%s\" is not an https:// URL", name, url);
        return -1;
    }
    *slot = strdup(url);
    return 0;
}

bool discovery_wants_token_endpoint(const struct job *job)
{
    return !job->token_endpoint && job->kind != JOB_VERIFY && job->kind != JOB_INSPECT;
}

static int take_document(const struct job *job, const cJSON *doc, struct discovery *d,
                         struct error *why)
{
    const char *issuer = json_string(doc, "issuer");
    const cJSON *methods = json_get(doc, "token_endpoint_auth_methods_supported");

    if (!issuer) {
        error_set(why, ERROR_DISCOVERY_INVALID, "it names no issuer");
        return -1;
    }
    if (strcmp(issuer, job->issuer) != 0 && strchr(issuer, '{')) {
        error_set(why, ERROR_ISSUER_TEMPLATE,
                  "configured \"%s\", and its tokens say \"%s\" with the tenant's ID in it",
                  job->issuer, issuer);
        return -1;
    }
    if (strcmp(issuer, job->issuer) != 0) {
        error_set(why, ERROR_ISSUER_MISMATCH, "configured \"%s\", the provider says \"%s\"",
                  job->issuer, issuer);
        return -1;
    }
    if (take_url(job, doc, "token_endpoint", &d->token_endpoint, why) < 0 ||
        take_url(job, doc, "jwks_uri", &d->jwks_uri, why) < 0)
        return -1;
    const char *revocation = json_string(doc, "revocation_endpoint");
    if (revocation && http_url_allowed(job, revocation)) /* no token hangs on it */
        d->revocation_endpoint = strdup(revocation);
    const char *device = json_string(doc, "device_authorization_endpoint");
    if (device && http_url_allowed(job, device))
        d->device_endpoint = strdup(device);
    if (!d->token_endpoint && discovery_wants_token_endpoint(job)) {
        error_set(why, ERROR_DISCOVERY_INVALID, "it names no token_endpoint");
        return -1;
    }
    d->auth_listed = cJSON_IsArray(methods);
    d->auth_post = json_holds(methods, "client_secret_post");
    d->auth_basic = json_holds(methods, "client_secret_basic");
    return 0;
}

static void note_unreadable(const cJSON *doc, const char *text, struct discovery *d)
{
    char said[AS_GO_WHY] = "it begins with a byte order mark";

    if (json_has_mark(text) || !as_go_document(doc, said))
        error_clean(d->unreadable, sizeof d->unreadable, said, strlen(said)); /* as it is kept */
}

int discovery_parse(const struct job *job, const char *text, size_t length, struct discovery *ret,
                    struct error *why)
{
    cJSON *doc = json_object(text, length);

    if (!doc) {
        error_set(why, ERROR_DISCOVERY_INVALID, "it is not a JSON object");
        return -1;
    }
    int r = take_document(job, doc, ret, why);
    ret->offers = offers_read(doc);
    note_unreadable(doc, text, ret);
    cJSON_Delete(doc);
    return r;
}

/* An HTTP status that is no document, in our terms. What a gateway on the way says, or a redirect
 * to its log-in page, is over soon: it costs nothing to ask again. */
static enum outcome judge_status(const struct http_reply *reply, const char *url, struct error *why)
{
    long status = reply->status;
    enum error_code code = status == 429 ? ERROR_RATE_LIMITED
                           : status == 408 || status == 425 || status >= 500
                               ? ERROR_PROVIDER_FAULT
                               : ERROR_DISCOVERY_INVALID;

    if (*reply->location) {
        error_set(why, code, "HTTP %ld for %s, to %s", status, url, reply->location);
        return OUTCOME_TEMPORARY;
    }
    error_set(why, code, "HTTP %ld for %s", status, url);
    return code == ERROR_DISCOVERY_INVALID ? OUTCOME_INVALID : OUTCOME_TEMPORARY;
}

/* What came of a job whose request had no answer. */
static enum outcome judge_silence(enum error_code code)
{
    if (error_class(code) == ERROR_CLASS_PROXY)
        return OUTCOME_REFUSED;
    if (code == ERROR_PROXY_LOGIN)
        return OUTCOME_SOFT;
    return error_class(code) == ERROR_CLASS_LOCAL ? OUTCOME_CONFIG : OUTCOME_TEMPORARY;
}

int discovery_fetch(struct http *http, const struct job *job, struct discovery *ret,
                    struct result *result)
{
    struct error *why = &result->error;
    struct http_reply reply;
    char *url = document_url(job->issuer);
    int r = -1;

    *ret = (struct discovery){ 0 };
    result->outcome = OUTCOME_TEMPORARY;
    if (!url) {
        error_set(why, ERROR_INTERNAL, "no memory");
    } else if (http_request(http, "discovery", url, NULL, &reply, why) < 0) {
        result->outcome = judge_silence(why->code);
    } else if (reply.status != 200) {
        result->outcome = judge_status(&reply, url, why);
        result->retry_after = reply.retry_after;
    } else {
        r = discovery_parse(job, reply.body, reply.length, ret, why);
        result->outcome = OUTCOME_INVALID;
    }
    free(url);
    return r;
}

void discovery_clear(struct discovery *d)
{
    free(d->token_endpoint);
    free(d->jwks_uri);
    free(d->revocation_endpoint);
    free(d->device_endpoint);
    *d = (struct discovery){ 0 };
}
