/* The answer of the token endpoint. The input is one letter for the status, the grant and what
 * comes beside the body, and the body. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/fetch/grant.h"
#include "daemon/fetch/json.h"
#include "daemon/fetch/otp.h"

static const long statuses[] = { 200, 400, 401, 403, 404, 408, 425, 429, 500, 503, 302, 204, 0 };

enum { N_STATUSES = sizeof statuses / sizeof *statuses };

static const char subject_token[] = "v1.subject/token+x";

static const char otp[] = "fuzz-otp-318492", mfa_token[] = "fuzz-mfa-token-Fe26";

/* What is to be sent on: whole, or not at all. */
static void check_challenge(const char *body, size_t length)
{
    cJSON *json = json_object(body, length);
    struct secret *challenge = otp_challenge(json);

    PROMISE(!challenge ||
            (secret_length(challenge) > 0 && secret_length(challenge) <= OTP_CHALLENGE_MAX &&
             strlen(secret_peek(challenge)) == secret_length(challenge)));
    secret_free(challenge);
    cJSON_Delete(json);
}

/* Neither as it is nor as it was sent. */
static void check_hidden(const char *detail, const char *secret)
{
    char *sent = curl_easy_escape(NULL, secret, 0);

    PROMISE(!strstr(detail, secret));
    PROMISE(sent && !strstr(detail, sent));
    curl_free(sent);
}

static void check_failure(const struct job *job, const struct http_reply *reply,
                          const struct result *r)
{
    fuzz_check_error(&r->error);
    check_hidden(r->error.detail, FUZZ_PASSWORD);
    check_hidden(r->error.detail, FUZZ_CLIENT_SECRET);
    check_hidden(r->error.detail, FUZZ_REFRESH_TOKEN);
    if (job->otp)
        check_hidden(r->error.detail, otp);
    if (job->mfa_token)
        check_hidden(r->error.detail, mfa_token);
    check_hidden(r->error.detail, subject_token);
    PROMISE(!r->id_token && !r->refresh_token && !r->access_token);
    PROMISE(r->outcome == OUTCOME_REFUSED || r->outcome == OUTCOME_SOFT ||
            r->outcome == OUTCOME_TEMPORARY);
    PROMISE(r->outcome != OUTCOME_SOFT || (reply->status < 500 && reply->status != 429));
    PROMISE(r->outcome != OUTCOME_REFUSED || r->retry_after == 0);
    PROMISE(r->http_status == (unsigned)reply->status);
    PROMISE(r->retry_after == 0 || r->retry_after == reply->retry_after);
    PROMISE(!r->refresh_without_token || reply->status == 200);
}

/* What no API server could verify is no token of an exchange, and one login is enough. */
static void check_exchanged(const struct result *r)
{
    PROMISE(job_token_shaped(secret_peek(r->id_token), secret_length(r->id_token)));
    PROMISE(!r->refresh_token);
}

static void check_success(const struct http_reply *reply, const struct result *r)
{
    PROMISE(reply->status == 200);
    PROMISE(secret_length(r->id_token) > 0 && secret_length(r->id_token) <= RESULT_TOKEN_MAX);
    PROMISE(strlen(secret_peek(r->id_token)) == secret_length(r->id_token));
    PROMISE(!r->refresh_token || secret_length(r->refresh_token) > 0);
    PROMISE(secret_length(r->refresh_token) <= RESULT_REFRESH_TOKEN_MAX);
    PROMISE(secret_length(r->access_token) <= RESULT_ACCESS_TOKEN_MAX);
}

/* What is said of a failure, the daemon believes. */
static void check_told(const struct result *r)
{
    static uint8_t bytes[RESULT_MAX];
    struct result told = { 0 };
    struct step step;
    size_t used, n = result_encode(r, bytes, sizeof bytes);

    PROMISE(n > 0 && result_next(bytes, n, 0, 1, &step, &told, &used) == 2);
    PROMISE(told.outcome == r->outcome && told.error.code == r->error.code);
    result_clear(&told);
}

static void judge(const struct job *job, const struct http_reply *reply)
{
    struct result result = { 0 };

    if (grant_judge(job, reply, &result) == 0) {
        check_success(reply, &result);
        if (job->kind == JOB_EXCHANGE)
            check_exchanged(&result);
    } else {
        check_failure(job, reply, &result);
        check_told(&result);
    }
    result_clear(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct job job = fuzz_job();

    if (size == 0)
        return 0;
    char *body = fuzz_text(data + 1, size - 1);
    const struct http_reply reply = { .status = statuses[data[0] % 32 % N_STATUSES],
                                      .host = "login.example.com",
                                      .location = data[0] & 0x40 ? body : NULL,
                                      .elsewhere = data[0] & 0x40,
                                      .fields = { .content_type = data[0] & 0x80 ? "x" : NULL,
                                                  .server = data[0] & 0x80 ? body : NULL },
                                      .body = body,
                                      .length = size - 1,
                                      .retry_after = 7 * USEC_PER_SEC };
    job.kind = data[0] & 0x20 ? JOB_PASSWORD : JOB_REFRESH;
    unsigned way = data[0] % 32 /
                   N_STATUSES; /* no code, one by its parameter, one that was asked for */
    job.otp = way > 0 ? otp : NULL;
    job.otp_parameter = way == 1 ? "totp" : NULL;
    job.mfa_token = way == 2 ? mfa_token : NULL;
    job.wants_access_token = data[0] & 0x80;
    job.subject_token = subject_token;
    job.subject_token_type = "id_token";
    if (way == 2 && data[0] & 0x80)
        job.kind = JOB_EXCHANGE;
    judge(&job, &reply);
    check_challenge(body, size - 1);
    free(body);
    return 0;
}
