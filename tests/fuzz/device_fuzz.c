/* A device code, and the answer to a poll. The input is one letter for the status and for which of
 * them it is, and the body. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/fetch/grant.h"

#define CODE "d3vice/code+of-ours"

static const long statuses[] = { 200, 400, 401, 403, 428, 429, 500, 302, 0 };

enum { N_STATUSES = sizeof statuses / sizeof *statuses };

static void check_code(const struct result *r)
{
    PROMISE(r->outcome == OUTCOME_DEVICE && r->error.code == ERROR_NONE && !r->id_token);
    PROMISE(secret_length(r->device_code) > 0);
    PROMISE(secret_length(r->device_code) <= RESULT_DEVICE_CODE_MAX);
    PROMISE(*r->user_code && fuzz_is_clean(r->user_code));
    PROMISE(*r->verification_uri && strlen(r->verification_uri) <= RESULT_URI_MAX);
    PROMISE(r->code_lifetime >= USEC_PER_SEC && r->code_lifetime <= 24 * 3600 * USEC_PER_SEC);
    PROMISE(r->interval >= USEC_PER_SEC && r->interval <= 300 * USEC_PER_SEC);
}

/* The daemon takes what is said as it is. */
static void check_told(const struct result *r)
{
    static uint8_t bytes[RESULT_MAX];
    struct result told = { 0 };
    struct step step;
    size_t used, n = result_encode(r, bytes, sizeof bytes);

    PROMISE(n > 0 && result_next(bytes, n, 0, 1, &step, &told, &used) == 2);
    PROMISE(told.outcome == r->outcome && told.error.code == r->error.code);
    PROMISE(secret_equal(told.device_code, r->device_code) && told.interval == r->interval);
    PROMISE(strcmp(told.user_code, r->user_code) == 0);
    PROMISE(strcmp(told.verification_uri, r->verification_uri) == 0);
    PROMISE(strcmp(told.verification_uri_complete, r->verification_uri_complete) == 0);
    result_clear(&told);
}

static void judge(const struct job *job, const struct http_reply *reply)
{
    struct result r = { 0 };

    if (grant_judge(job, reply, &r) == 0 && job->kind == JOB_POLL) {
        PROMISE(reply->status == 200 && secret_length(r.id_token) > 0 && !r.device_code);
        result_clear(&r);
        return;
    }
    if (r.outcome == OUTCOME_DEVICE) {
        PROMISE(job->kind == JOB_DEVICE && reply->status == 200);
        check_code(&r);
    } else if (r.outcome == OUTCOME_PENDING) {
        PROMISE(job->kind == JOB_POLL && (r.interval == 0 || r.interval == 5 * USEC_PER_SEC));
    } else {
        fuzz_check_error(&r.error);
        PROMISE(!job->device_code || !strstr(r.error.detail, CODE));
        PROMISE(!strstr(r.error.detail, FUZZ_CLIENT_SECRET));
        PROMISE(!r.device_code && r.outcome != OUTCOME_TOKEN);
    }
    check_told(&r);
    result_clear(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct job job = fuzz_job();

    if (size == 0)
        return 0;
    char *body = fuzz_text(data + 1, size - 1);
    const struct http_reply reply = { .status = statuses[data[0] % 32 % N_STATUSES],
                                      .host = "login.example.com",
                                      .fields = { .content_type = "application/json" },
                                      .body = body,
                                      .length = size - 1,
                                      .retry_after = 7 * USEC_PER_SEC };
    job.kind = data[0] & 0x20 ? JOB_POLL : JOB_DEVICE;
    job.device_code = data[0] & 0x20 ? CODE : NULL;
    judge(&job, &reply);
    free(body);
    return 0;
}
