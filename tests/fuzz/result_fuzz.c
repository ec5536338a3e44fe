/* Steps and result, as the daemon reads them from a fetcher that met the network. The input is
 * records, or the lines of one. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"

enum { STARTED = 1000000, NOW = 5000000 };

static void check_token(const struct result *r)
{
    PROMISE(r->id_token);
    PROMISE(job_token_shaped(secret_peek(r->id_token), secret_length(r->id_token)));
    PROMISE(r->lifetime > 0 && r->lifetime <= RESULT_LIFETIME_MAX * USEC_PER_SEC);
    PROMISE(r->sent >= STARTED && r->sent <= NOW);
}

static void check_report(const struct result *r)
{
    PROMISE(r->report && !r->id_token && strlen(r->report) <= RESULT_REPORT_MAX);
    for (const char *p = r->report; *p; p++)
        PROMISE((unsigned char)*p >= 0x20 ? *p != 0x7f : *p == '\n');
}

/* What a person is shown. */
static void check_device(const struct result *r)
{
    PROMISE(secret_length(r->device_code) > 0);
    PROMISE(secret_length(r->device_code) <= RESULT_DEVICE_CODE_MAX);
    PROMISE(*r->user_code && fuzz_is_clean(r->user_code) && *r->verification_uri);
    PROMISE(strncmp(r->verification_uri, "http", 4) == 0 && !strchr(r->verification_uri, '\n'));
    PROMISE(r->code_lifetime > 0 && r->sent >= STARTED && r->sent <= NOW);
}

static void check_result(const struct result *r)
{
    if (r->outcome == OUTCOME_TOKEN)
        check_token(r);
    else if (r->outcome == OUTCOME_REPORT)
        check_report(r);
    else if (r->outcome == OUTCOME_DEVICE)
        check_device(r);
    else if (r->outcome != OUTCOME_PENDING)
        fuzz_check_error(&r->error);
    PROMISE(r->outcome <= OUTCOME_CONFIG && (r->outcome == OUTCOME_TOKEN || !r->id_token));
    PROMISE(secret_length(r->refresh_token) <= RESULT_REFRESH_TOKEN_MAX);
    PROMISE(r->cache_length <= RESULT_CACHE_MAX && (r->cache_length > 0) == (r->cache != NULL));
    PROMISE(fuzz_is_clean(r->error.detail) && fuzz_is_clean(r->changed));
    PROMISE(llabs(r->clock_offset) <= RESULT_CLOCK_OFFSET_MAX);
    fuzz_check_words(r);
}

/* Said once more it is understood as the same. */
static void check_again(const struct result *r)
{
    static uint8_t bytes[RESULT_MAX];
    struct result again = { 0 };
    struct step step;
    size_t used = 0, n = result_encode(r, bytes, sizeof bytes);

    PROMISE(n > 0);
    PROMISE(result_next(bytes, n, STARTED, NOW, &step, &again, &used) == 2 && used == n);
    PROMISE(again.outcome == r->outcome && again.lifetime == r->lifetime && again.sent == r->sent);
    PROMISE(secret_equal(again.id_token, r->id_token));
    PROMISE(secret_equal(again.refresh_token, r->refresh_token));
    PROMISE(secret_equal(again.device_code, r->device_code));
    PROMISE(strcmp(again.user_code, r->user_code) == 0 && again.interval == r->interval);
    PROMISE(strcmp(again.verification_uri, r->verification_uri) == 0);
    PROMISE(again.n_warnings == r->n_warnings && again.verified == r->verified);
    PROMISE(again.clock_offset == r->clock_offset && again.retry_after == r->retry_after);
    PROMISE(strcmp(again.sub, r->sub) == 0 && strcmp(again.email, r->email) == 0);
    PROMISE(strcmp(again.user, r->user) == 0 && strcmp(again.changed, r->changed) == 0);
    result_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length, used = 0;
    uint8_t *bytes = fuzz_record(data, size, &length);
    struct result result = { 0 };
    struct step step = { 0 };
    int r = 1;

    for (size_t at = 0; r == 1 && at < length; at += used) {
        used = 0;
        r = result_next(bytes + at, length - at, STARTED, NOW, &step, &result, &used);
        PROMISE(r <= 0 || (used > 0 && used <= length - at));
        if (r == 1)
            PROMISE(fuzz_is_clean(step.name) && fuzz_is_clean(step.host));
    }
    if (r == 2) {
        check_result(&result);
        check_again(&result);
    }
    result_clear(&result);
    free(bytes);
    return 0;
}
