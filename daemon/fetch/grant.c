#define _GNU_SOURCE
#include "daemon/fetch/grant.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/heap.h"
#include "common/time.h"
#include "daemon/fetch/answer_text.h"
#include "daemon/fetch/device.h"
#include "daemon/fetch/exchange.h"
#include "daemon/fetch/json.h"
#include "daemon/fetch/otp.h"
#include "daemon/fetch/redact.h"
#include "daemon/fetch/refusal.h"

/* In locked memory; that there was none is noted. */
static struct secret *copy(const char *text)
{
    struct secret *s = secret_copy(text, strlen(text));

    if (!s)
        heap_note_lack();
    return s;
}

/* ---- the request ----------------------------------------------------------------------------- */

static int append(struct secret *out, const char *text, size_t length)
{
    size_t at = secret_length(out);

    if (length > secret_capacity(out) - at)
        return -1;
    memcpy(secret_bytes(out) + at, text, length);
    secret_set_length(out, at + length);
    return 0;
}

/* application/x-www-form-urlencoded in UTF-8; -._~ stay as they are, since one provider does
 * not decode them (RFC 6749 appendix B allows both). */
static int append_encoded(struct secret *out, const char *text)
{
    if (*text == '\0') /* libcurl takes length 0 for "measure it" */
        return 0;
    char *encoded = curl_easy_escape(NULL, text, (int)strlen(text));
    if (!encoded)
        return -1;
    size_t length = strlen(encoded);
    int r = append(out, encoded, length);
    explicit_bzero(encoded, length);
    curl_free(encoded);
    return r;
}

static int append_field(struct secret *out, const char *name, const char *value)
{
    if (!value)
        return 0;
    if (secret_length(out) > 0 && append(out, "&", 1) < 0)
        return -1;
    if (append_encoded(out, name) < 0 || append(out, "=", 1) < 0)
        return -1;
    return append_encoded(out, value);
}

static int append_parameter(struct secret *out, const char *parameter)
{
    char name[256];
    size_t length = strcspn(parameter, "=");

    if (parameter[length] != '=' || length >= sizeof name)
        return -1;
    memcpy(name, parameter, length);
    name[length] = '\0';
    return append_field(out, name, parameter + length + 1);
}

/* openid is always asked for: without it many answer 200 without an id_token. */
static int append_scope(struct secret *out, const char *scope)
{
    static const char openid[] = "openid";
    size_t length;

    for (const char *p = scope; *p; p += length + (p[length] != '\0')) {
        length = strcspn(p, " \t");
        if (length == strlen(openid) && strncmp(p, openid, length) == 0)
            return append_field(out, "scope", scope);
    }
    char *whole;
    if (asprintf(&whole, "openid%s%s", *scope ? " " : "", scope) < 0)
        return -1;
    int r = append_field(out, "scope", whole);
    free(whole);
    return r;
}

static bool has_parameter(const struct job *job, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; job->parameters[i]; i++)
        if (strncmp(job->parameters[i], name, length) == 0 && job->parameters[i][length] == '=')
            return true;
    return false;
}

/* RFC 8693 §2.1. Who has an API server that takes another type says so by a parameter. */
static int append_exchange(struct secret *body, const struct job *job)
{
    char type[sizeof EXCHANGE_TYPE + 16];
    int r;

    snprintf(type, sizeof type, EXCHANGE_TYPE "%s", job->subject_token_type);
    r = append_field(body, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange") |
        append_field(body, "subject_token", job->subject_token) |
        append_field(body, "subject_token_type", type) |
        append_scope(body, job->scope ? job->scope : "");
    if (has_parameter(job, "requested_token_type"))
        return r;
    return r | append_field(body, "requested_token_type", EXCHANGE_TYPE "id_token");
}

static int append_user(struct secret *body, const struct job *job)
{
    if (job->kind == JOB_EXCHANGE)
        return append_exchange(body, job);
    if (job->kind == JOB_REVOKE)
        return append_field(body, "token", job->refresh_token) |
               append_field(body, "token_type_hint", "refresh_token");
    if (job->kind == JOB_DEVICE) /* RFC 8628 §3.1, and §3.4 */
        return append_scope(body, job->scope ? job->scope : "");
    if (job->kind == JOB_POLL)
        return append_field(body, "grant_type", "urn:ietf:params:oauth:grant-type:device_code") |
               append_field(body, "device_code", job->device_code);
    if (job->kind == JOB_REFRESH) /* no scope: some providers then drop the id_token */
        return append_field(body, "grant_type", "refresh_token") |
               append_field(body, "refresh_token", job->refresh_token);
    if (job->mfa_token) /* it stands for name and password */
        return append_field(body, "grant_type", OTP_GRANT_TYPE) |
               append_field(body, "mfa_token", job->mfa_token) |
               append_field(body, "otp", job->otp);
    if (job->realm) {
        if (append_field(body, "grant_type", "http://auth0.com/oauth/grant-type/password-realm") <
                0 ||
            append_field(body, "realm", job->realm) < 0)
            return -1;
    } else if (append_field(body, "grant_type", "password") < 0) {
        return -1;
    }
    return append_field(body, "username", job->username) |
           append_field(body, "password", job->password) |
           (otp_is_sent(job) ? append_field(body, job->otp_parameter, job->otp) : 0) |
           append_scope(body, job->scope ? job->scope : "");
}

/* What a grant is asked for beyond the user's own. A poll asks for what was asked for before. */
static int append_request(struct secret *body, const struct job *job)
{
    int r = 0;

    if (job->kind != JOB_POLL)
        r = append_field(body, "audience", job->audience) |
            append_field(body, "resource", job->resource);
    for (size_t i = 0; r == 0 && job->parameters[i]; i++)
        r = append_parameter(body, job->parameters[i]);
    return r;
}

/* "auto": post where it is listed, since two encodings of basic are about; basic where it is
 * the only one listed or nothing is (it is the default of OpenID Connect Discovery §3). */
static const char *client_auth(const struct job *job, const struct discovery *d)
{
    if (strcmp(job->client_auth, "auto") != 0)
        return job->client_auth;
    if (!job->client_secret || !*job->client_secret)
        return "none";
    if (d->auth_post || (d->auth_listed && !d->auth_basic))
        return "post";
    return "basic";
}

static struct secret *basic_header(const struct job *job, bool encoded)
{
    static const char prefix[] = "Authorization: Basic ";
    size_t room = 3 * (strlen(job->client_id) + strlen(job->client_secret)) + 2;
    _secret_ struct secret *pair = secret_new(room);
    struct secret *header = secret_new(sizeof prefix + 4 * (room / 3 + 1));
    int r;

    if (!pair || !header)
        return secret_free(header);
    if (encoded) /* RFC 6749 §2.3.1 */
        r = append_encoded(pair, job->client_id) | append(pair, ":", 1) |
            append_encoded(pair, job->client_secret);
    else
        r = append(pair, job->client_id, strlen(job->client_id)) | append(pair, ":", 1) |
            append(pair, job->client_secret, strlen(job->client_secret));
    if (r < 0 || append(header, prefix, sizeof prefix - 1) < 0)
        return secret_free(header);
    size_t at = secret_length(header);
    int n = EVP_EncodeBlock((unsigned char *)secret_bytes(header) + at,
                            (const unsigned char *)secret_peek(pair), (int)secret_length(pair));
    secret_set_length(header, at + (size_t)n);
    return header;
}

int grant_build(const struct job *job, const struct discovery *endpoints, struct secret **ret_body,
                struct secret **ret_authorization)
{
    const char *auth = client_auth(job, endpoints);
    size_t challenge = job->mfa_token ? strlen(job->mfa_token) : 0;
    struct secret *header = NULL;
    struct secret *body = secret_new(3 * (secret_length(job->held) + challenge) + 4096);
    int r = body ? 0 : -1;

    if (r == 0)
        r = append_user(body, job);
    if (r == 0 && job->kind != JOB_REVOKE && !job->mfa_token)
        r = append_request(body, job);
    /* One mechanism, never two (RFC 6749 §2.3), and never an empty secret. */
    if (r == 0 && strncmp(auth, "basic", 5) == 0) {
        header = basic_header(job, strcmp(auth, "basic") == 0);
        r = header ? 0 : -1;
    } else if (r == 0) {
        r = append_field(body, "client_id", job->client_id);
        if (r == 0 && strcmp(auth, "post") == 0)
            r = append_field(body, "client_secret", job->client_secret);
    }
    if (r < 0) {
        secret_free(body);
        return -1;
    }
    *ret_body = body;
    *ret_authorization = header;
    return 0;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* What came of a grant that failed. */
static enum outcome outcome_of(enum error_code code)
{
    switch (error_class(code)) {
    case ERROR_CLASS_LOCAL:
        return OUTCOME_CONFIG;
    case ERROR_CLASS_REFUSED_USER:
    case ERROR_CLASS_REFUSED_CLIENT:
    case ERROR_CLASS_REFUSED_EITHER:
    case ERROR_CLASS_PROXY:
        return OUTCOME_REFUSED;
    case ERROR_CLASS_SOFT:
    case ERROR_CLASS_ACCEPTED:
        return OUTCOME_SOFT;
    case ERROR_CLASS_UNSENT:
    case ERROR_CLASS_TRANSIENT:
    case ERROR_CLASS_LOST:
    case ERROR_CLASS_THROTTLED: /* no fetcher says these two */
    case ERROR_CLASS_NONE:
        break;
    }
    return OUTCOME_TEMPORARY;
}

/* Of a refresh token that is dead some say no invalid_grant, but (Dex, LemonLDAP) invalid_request,
 * or a word of RFC 6750. What is lost is that token, and not a password. */
static bool is_refused_refresh(const struct job *job, const cJSON *json)
{
    static const char *const words[] = { "invalid_request", "invalid_scope", "invalid_token",
                                         "expired_token" };
    const char *error = json ? json_string(json, "error") : NULL;

    for (size_t i = 0; error && job->kind == JOB_REFRESH && i < sizeof words / sizeof *words; i++)
        if (strcmp(error, words[i]) == 0)
            return true;
    return false;
}

/* Of a poll: whether the answer speaks of the login. */
static bool judge_poll(const struct job *job, const struct http_reply *reply, const cJSON *json,
                       struct result *ret)
{
    enum error_code code = device_judge_poll(json, ret);

    if (code == ERROR_MAX)
        return false;
    if (code != ERROR_NONE) {
        ret->outcome = OUTCOME_REFUSED;
        answer_describe(job, reply, json, &ret->error, code);
    }
    return true;
}

static int judge_failure(const struct job *job, const struct http_reply *reply, const cJSON *json,
                         struct result *ret)
{
    if (job->kind == JOB_POLL && judge_poll(job, reply, json, ret))
        return -1;
    enum error_code other = otp_meaning(job, json, refusal_find(reply, json));
    enum error_code refusal = job->kind == JOB_EXCHANGE ? exchange_refusal(reply, json, other)
                                                        : other;
    enum error_code code = refusal == ERROR_NONE ? refusal_fault(reply, json) : refusal;
    bool passes = refusal == ERROR_NONE && refusal_is_temporary(reply, json);

    ret->outcome = passes                          ? OUTCOME_TEMPORARY
                   : is_refused_refresh(job, json) ? OUTCOME_REFUSED
                                                   : outcome_of(code);
    if (ret->outcome != OUTCOME_REFUSED)
        ret->retry_after = reply->retry_after;
    answer_describe(job, reply, json, &ret->error, code);
    return -1;
}

/* A provider may say its errors with a 200. */
static bool is_failure(const struct job *job, const struct http_reply *reply, const cJSON *json)
{
    const char *id_token = json ? json_string(json, "id_token") : NULL;
    const char *error = json ? json_string(json, "error") : NULL;

    if (job->kind == JOB_DEVICE) /* RFC 8628 §3.2 */
        return reply->status != 200 || !json || (error && *error);
    return reply->status != 200 || !json || ((!id_token || !*id_token) && error && *error);
}

static void keep_access_token(const cJSON *json, struct result *ret)
{
    const char *token = json_string(json, "access_token");

    if (token && *token && strlen(token) <= RESULT_ACCESS_TOKEN_MAX)
        ret->access_token = copy(token);
}

static int judge_success(const struct job *job, const cJSON *json, struct result *ret)
{
    bool exchange = job->kind == JOB_EXCHANGE;
    const char *id_token = exchange ? exchange_token(json) : json_string(json, "id_token");
    const char *scope = json_string(json, "scope");
    const char *refresh = exchange ? NULL : json_string(json, "refresh_token"); /* one login */

    if (!id_token || !*id_token) {
        ret->outcome = OUTCOME_REFUSED; /* unlike a token that is wrong: waiting mends no scope */
        ret->refresh_without_token = job->kind == JOB_REFRESH;
        if (exchange) {
            exchange_explain(job, json, &ret->error);
            return -1;
        }
        redact_error(job, &ret->error, ERROR_NO_ID_TOKEN, scope ? "scope granted: " : "",
                     scope ? scope : "");
        return -1;
    }
    if (strlen(id_token) > RESULT_TOKEN_MAX) {
        ret->outcome = outcome_of(ERROR_TOKEN_TOO_LONG);
        error_set(&ret->error, ERROR_TOKEN_TOO_LONG, "%zu bytes, and %d at most", strlen(id_token),
                  RESULT_TOKEN_MAX);
        return -1;
    }
    ret->id_token = copy(id_token);
    if (refresh && *refresh && strlen(refresh) <= RESULT_REFRESH_TOKEN_MAX)
        ret->refresh_token = copy(refresh);
    if (job->wants_access_token)
        keep_access_token(json, ret);
    if (ret->id_token)
        return 0;
    ret->outcome = OUTCOME_TEMPORARY;
    error_set(&ret->error, ERROR_INTERNAL, "no memory for the token");
    return -1;
}

int grant_judge(const struct job *job, const struct http_reply *reply, struct result *ret)
{
    cJSON *json = json_object(reply->body, reply->length);
    int r = is_failure(job, reply, json) ? judge_failure(job, reply, json, ret)
            : job->kind == JOB_DEVICE    ? device_take(job, json, ret)
                                         : judge_success(job, json, ret);

    ret->http_status = reply->status > 0 && reply->status < 1000 ? (unsigned)reply->status : 0;
    cJSON_Delete(json);
    return r;
}

/* Sends one request for a token. As grant_run(), with its answer unjudged. */
static int ask(struct http *http, const struct job *job, const struct discovery *endpoints,
               struct http_reply *ret_reply, struct result *ret, int64_t *date)
{
    _secret_ struct secret *body = NULL, *authorization = NULL;

    if (grant_build(job, endpoints, &body, &authorization) < 0) {
        ret->outcome = outcome_of(ERROR_INTERNAL);
        error_set(&ret->error, ERROR_INTERNAL, "no memory for the request");
        return -1;
    }
    const struct http_form form = { body, authorization };
    ret->sent = time_boottime();
    ret->otp_sent = otp_is_sent(job);
    if (http_request(http, "grant", endpoints->token_endpoint, &form, ret_reply, &ret->error) < 0) {
        ret->outcome = outcome_of(ret->error.code);
        return -1;
    }
    *date = ret_reply->date;
    if (ret_reply->date > 0) {
        ret->has_clock_offset = true;
        ret->clock_offset = ret_reply->date - time_realtime() / (int64_t)USEC_PER_SEC;
    }
    return 0;
}

/* The provider took the password and asks for a code, which the job has: one more request. The
 * mfa_token goes nowhere else. */
static int answer_challenge(struct http *http, const struct job *job,
                            const struct discovery *endpoints, struct http_reply *reply,
                            struct result *ret, int64_t *date)
{
    cJSON *json = json_object(reply->body, reply->length);
    _secret_ struct secret *challenge = otp_challenge(json);
    struct job answer = *job;

    cJSON_Delete(json);
    if (!challenge) {
        ret->outcome = outcome_of(ERROR_INTERNAL);
        error_set(&ret->error, ERROR_INTERNAL, "no memory for the mfa_token");
        return -1;
    }
    answer.mfa_token = secret_peek(challenge);
    ret->retry_after = 0;
    if (ask(http, &answer, endpoints, reply, ret, date) < 0)
        return -1;
    return grant_judge(&answer, reply, ret);
}

int grant_run(struct http *http, const struct job *job, const struct discovery *endpoints,
              struct result *ret, int64_t *date)
{
    struct http_reply reply;

    if (ask(http, job, endpoints, &reply, ret, date) < 0)
        return -1;
    if (grant_judge(job, &reply, ret) == 0)
        return 0;
    if (ret->error.code != ERROR_OTP_REQUIRED || !job->otp)
        return -1;
    if (!ret->otp_sent)
        return answer_challenge(http, job, endpoints, &reply, ret, date);
    error_set(&ret->error, ERROR_OTP_REQUIRED,
              "this provider asks for it by itself: take otp-parameter = %s out of the profile",
              job->otp_parameter);
    return -1;
}

int grant_ask_device(struct http *http, const struct job *job, const struct discovery *endpoints,
                     const char *url, struct result *ret)
{
    _secret_ struct secret *body = NULL, *authorization = NULL;
    struct http_reply reply;

    if (grant_build(job, endpoints, &body, &authorization) < 0) {
        ret->outcome = outcome_of(ERROR_INTERNAL);
        error_set(&ret->error, ERROR_INTERNAL, "no memory for the request");
        return -1;
    }
    const struct http_form form = { body, authorization };
    ret->sent = time_boottime();
    if (http_request(http, "device", url, &form, &reply, &ret->error) < 0) {
        ret->outcome = outcome_of(ret->error.code);
        return -1;
    }
    return grant_judge(job, &reply, ret);
}

/* RFC 7009 §2.2: 200, also for a token that was void before; some say 204. */
static int judge_revocation(const struct job *job, const struct http_reply *reply,
                            struct result *ret)
{
    if (reply->status == 200 || reply->status == 204) {
        ret->outcome = OUTCOME_REVOKED;
        return 0;
    }
    cJSON *json = json_object(reply->body, reply->length);
    judge_failure(job, reply, json, ret);
    cJSON_Delete(json);
    return -1;
}

int grant_revoke(struct http *http, const struct job *job, const struct discovery *endpoints,
                 const char *url, struct result *ret)
{
    _secret_ struct secret *body = NULL, *authorization = NULL;
    struct http_reply reply;

    if (grant_build(job, endpoints, &body, &authorization) < 0) {
        ret->outcome = outcome_of(ERROR_INTERNAL);
        error_set(&ret->error, ERROR_INTERNAL, "no memory for the request");
        return -1;
    }
    const struct http_form form = { body, authorization };
    if (http_request(http, "revoke", url, &form, &reply, &ret->error) < 0) {
        ret->outcome = outcome_of(ret->error.code);
        return -1;
    }
    return judge_revocation(job, &reply, ret);
}
