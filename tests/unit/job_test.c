/* What the fetcher is told, and what is believed of what it says. */
#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "common/tlv.h"

#define TOKEN "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl"

static const uint64_t started = 1000 * USEC_PER_SEC, now = 1010 * USEC_PER_SEC;

static struct job job;
static struct result result, sent;
static struct step step;
static uint8_t memory[RESULT_MAX];
static struct tlv_writer w;
static size_t used;

static int setup(void **state)
{
    (void)state;
    job = (struct job){ 0 };
    result = (struct result){ 0 };
    sent = (struct result){
        .outcome = OUTCOME_TOKEN,
        .id_token = secret_copy(TOKEN, strlen(TOKEN)),
        .lifetime = 3600 * USEC_PER_SEC,
        .sent = started + USEC_PER_SEC,
        .verified = true,
    };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    job_clear(&job);
    result_clear(&result);
    result_clear(&sent);
    return 0;
}

/* ---- the job --------------------------------------------------------------------------------- */

static void a_job_comes_back(void **state)
{
    struct job told = {
        .kind = JOB_REFRESH,
        .deadline = 123456789,
        .issuer = "issuer",
        .token_endpoint = "token",
        .jwks_uri = "jwks",
        .client_id = "client",
        .client_auth = "post",
        .client_secret = "secret",
        .username = "anna",
        .password = "p\xc3\xa4ss word",
        .refresh_token = "refresh",
        .scope = "openid",
        .audience = "audience",
        .resource = "resource",
        .realm = "realm",
        .ca_file = "/ca",
        .tls_client_cert = "/cert",
        .tls_client_key = "/key",
        .proxy = "none",
        .signing_algs = "ES256",
        .allow_http_loopback = true,
        .parameters = { "a=1", "b=2" },
        .environment = { "https_proxy=x" },
    };

    (void)state;
    job = through_the_wire(&told);
    assert_int_equal(job.kind, JOB_REFRESH);
    assert_int_equal(job.deadline, 123456789);
    assert_true(job.allow_http_loopback);
    assert_string_equal(job.issuer, "issuer");
    assert_string_equal(job.token_endpoint, "token");
    assert_string_equal(job.jwks_uri, "jwks");
    assert_string_equal(job.client_id, "client");
    assert_string_equal(job.client_auth, "post");
    assert_string_equal(job.client_secret, "secret");
    assert_string_equal(job.username, "anna");
    assert_string_equal(job.password, "p\xc3\xa4ss word");
    assert_string_equal(job.refresh_token, "refresh");
    assert_string_equal(job.scope, "openid");
    assert_string_equal(job.audience, "audience");
    assert_string_equal(job.resource, "resource");
    assert_string_equal(job.realm, "realm");
    assert_string_equal(job.ca_file, "/ca");
    assert_string_equal(job.tls_client_cert, "/cert");
    assert_string_equal(job.tls_client_key, "/key");
    assert_string_equal(job.proxy, "none");
    assert_string_equal(job.signing_algs, "ES256");
    assert_string_equal(job.parameters[0], "a=1");
    assert_string_equal(job.parameters[1], "b=2");
    assert_null(job.parameters[2]);
    assert_string_equal(job.environment[0], "https_proxy=x");
    assert_null(job.environment[1]);
}

static void what_is_absent_stays_absent(void **state)
{
    struct job told = plain_job();

    (void)state;
    job = through_the_wire(&told);
    assert_int_equal(job.kind, JOB_PASSWORD);
    assert_null(job.client_secret);
    assert_null(job.realm);
    assert_null(job.parameters[0]);
    assert_false(job.allow_http_loopback);
}

static void a_job_with_64_parameters_comes_back(void **state)
{
    struct job told = plain_job();

    (void)state;
    for (int i = 0; i < JOB_LIST_MAX; i++)
        told.parameters[i] = "name=value";
    job = through_the_wire(&told);
    assert_string_equal(job.parameters[JOB_LIST_MAX - 1], "name=value");
    assert_null(job.parameters[JOB_LIST_MAX]);
}

static void a_job_that_is_too_large_cannot_be_told(void **state)
{
    static char large[JOB_MAX];
    struct job told = plain_job();

    (void)state;
    memset(large, 'x', sizeof large - 1);
    told.scope = large;
    assert_null(job_encode(&told));
}

static void begin_job(void)
{
    tlv_begin(&w, memory, sizeof memory);
    tlv_put_text(&w, "record", "job");
    tlv_put_number(&w, "version", 1);
    tlv_put_text(&w, "issuer", "i");
    tlv_put_text(&w, "client-id", "c");
    tlv_put_text(&w, "client-auth", "auto");
    tlv_put_text(&w, "signing-algs", "RS256");
}

static int decode_job(void)
{
    return job_decode(memory, tlv_end(&w), &job);
}

static void a_field_of_a_newer_daemon_is_ignored(void **state)
{
    (void)state;
    begin_job();
    tlv_put_text(&w, "from-the-future", "x");
    assert_int_equal(decode_job(), 0);
}

static void a_job_of_another_version_is_refused(void **state)
{
    (void)state;
    begin_job();
    tlv_put_number(&w, "version", 2);
    assert_int_equal(decode_job(), -EBADMSG);
}

static void a_job_of_an_unknown_kind_is_refused(void **state)
{
    (void)state;
    begin_job();
    tlv_put_text(&w, "kind", "verify");
    assert_int_equal(decode_job(), -EBADMSG);
}

static void a_job_without_an_issuer_is_refused(void **state)
{
    (void)state;
    tlv_begin(&w, memory, sizeof memory);
    tlv_put_text(&w, "record", "job");
    tlv_put_number(&w, "version", 1);
    tlv_put_text(&w, "client-auth", "auto");
    tlv_put_text(&w, "signing-algs", "RS256");
    tlv_put_text(&w, "client-id", "c");
    assert_int_equal(decode_job(), -EBADMSG);
}

static void a_job_without_a_version_is_refused(void **state)
{
    (void)state;
    tlv_begin(&w, memory, sizeof memory);
    tlv_put_text(&w, "record", "job");
    tlv_put_text(&w, "issuer", "i");
    tlv_put_text(&w, "client-id", "c");
    tlv_put_text(&w, "client-auth", "auto");
    tlv_put_text(&w, "signing-algs", "RS256");
    assert_int_equal(decode_job(), -EBADMSG);
}

static void a_job_with_a_nul_in_a_text_is_refused(void **state)
{
    (void)state;
    begin_job();
    tlv_put(&w, "password", "a\0b", 3);
    assert_int_equal(decode_job(), -EBADMSG);
}

static void a_job_with_65_parameters_is_refused(void **state)
{
    (void)state;
    begin_job();
    for (int i = 0; i <= JOB_LIST_MAX; i++)
        tlv_put_text(&w, "parameter", "a=b");
    assert_int_equal(decode_job(), -EBADMSG);
}

static void a_cache_comes_back_as_it_is(void **state)
{
    struct job told = plain_job();

    (void)state;
    told.cache = "a\0b";
    told.cache_length = 3;
    job = through_the_wire(&told);
    assert_int_equal(job.cache_length, 3);
    assert_memory_equal(job.cache, "a\0b", 3);
}

static void a_cache_that_is_too_large_is_refused(void **state)
{
    static const char large[RESULT_CACHE_MAX + 1];

    (void)state;
    begin_job();
    tlv_put(&w, "cache", large, sizeof large);
    assert_int_equal(decode_job(), -EBADMSG);
}

static void a_second_cache_is_refused(void **state)
{
    (void)state;
    begin_job();
    tlv_put_text(&w, "cache", "a");
    tlv_put_text(&w, "cache", "b");
    assert_int_equal(decode_job(), -EBADMSG);
}

static void a_negative_deadline_is_refused(void **state)
{
    (void)state;
    begin_job();
    tlv_put_number(&w, "deadline", -1);
    assert_int_equal(decode_job(), -EBADMSG);
}

static void a_job_with_something_behind_it_is_refused(void **state)
{
    (void)state;
    begin_job();
    size_t length = tlv_end(&w);
    assert_int_equal(job_decode(memory, length + 1, &job), -EBADMSG);
}

static void half_a_job_is_refused(void **state)
{
    (void)state;
    begin_job();
    size_t length = tlv_end(&w);
    assert_int_equal(job_decode(memory, length - 1, &job), -EBADMSG);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int take(size_t length)
{
    return result_next(memory, length, started, now, &step, &result, &used);
}

static void a_step_comes_back(void **state)
{
    static const struct step told = { "connect", "login.example.com:443" };

    (void)state;
    size_t length = step_encode(&told, memory, sizeof memory);
    assert_int_equal(take(length), 1);
    assert_string_equal(step.name, "connect");
    assert_string_equal(step.host, "login.example.com:443");
    assert_int_equal(used, length);
}

static void a_step_that_does_not_fit_is_not_encoded(void **state)
{
    static const struct step told = { "connect", "login.example.com:443" };

    (void)state;
    assert_int_equal(step_encode(&told, memory, 20), 0);
}

static void a_step_is_made_printable(void **state)
{
    static const struct step told = { "dns", "a\x1b[2J\nb" };

    (void)state;
    assert_int_equal(take(step_encode(&told, memory, sizeof memory)), 1);
    assert_string_equal(step.host, "a [2J b");
}

static void records_are_taken_one_by_one(void **state)
{
    static const struct step told = { "dns", "h" };

    (void)state;
    size_t first = step_encode(&told, memory, sizeof memory);
    size_t second = result_encode(&sent, memory + first, sizeof memory - first);
    assert_int_equal(take(first + second), 1);
    assert_int_equal(used, first);
    assert_int_equal(result_next(memory + first, second, started, now, &step, &result, &used), 2);
    assert_int_equal(used, second);
}

static void a_job_with_a_token_of_128_kib_takes_its_own_length(void **state)
{
    static char token[128 * 1024 + 1], cache[RESULT_CACHE_MAX];
    struct job told = plain_job();

    (void)state;
    memset(token, 'a', sizeof token - 1);
    told.previous = token;
    told.cache = cache;
    told.cache_length = sizeof cache;
    struct secret *bytes = job_encode(&told);
    assert_non_null(bytes);
    assert_true(secret_capacity(bytes) < secret_length(bytes) + 2048);
    assert_int_equal(job_decode(secret_peek(bytes), secret_length(bytes), &job), 0);
    assert_string_equal(job.previous, token);
    assert_true(secret_capacity(job.held) <= secret_length(bytes));
    secret_free(bytes);
}

/* ---- results that are believed --------------------------------------------------------------- */

static int through(void)
{
    size_t length = result_encode(&sent, memory, sizeof memory);

    assert_true(length > 0);
    return take(length);
}

static void a_token_comes_back(void **state)
{
    (void)state;
    sent.refresh_token = secret_copy("refresh", 7);
    sent.has_clock_offset = true;
    sent.clock_offset = -7200;
    snprintf(sent.user, sizeof sent.user, "anna@example.com");
    assert_int_equal(through(), 2);
    assert_int_equal(result.outcome, OUTCOME_TOKEN);
    assert_string_equal(secret_peek(result.id_token), TOKEN);
    assert_string_equal(secret_peek(result.refresh_token), "refresh");
    assert_int_equal(result.lifetime, 3600 * USEC_PER_SEC);
    assert_int_equal(result.sent, started + USEC_PER_SEC);
    assert_true(result.verified);
    assert_true(result.has_clock_offset);
    assert_int_equal(result.clock_offset, -7200);
    assert_string_equal(result.user, "anna@example.com");
}

static void a_report_comes_back_and_is_made_printable(void **state)
{
    (void)state;
    sent.id_token = secret_free(sent.id_token);
    sent.outcome = OUTCOME_REPORT;
    sent.report = strdup("one\n\x1b[2Jt\xc3\xb6o\x7f \xc2\x9b\xa0\n");
    assert_int_equal(through(), 2);
    assert_int_equal(result.outcome, OUTCOME_REPORT);
    assert_int_equal(result.error.code, ERROR_NONE);
    assert_string_equal(result.report, "one\n [2Jt\xc3\xb6o     \n");
}

static void a_report_without_a_text_is_not_believed(void **state)
{
    (void)state;
    sent.id_token = secret_free(sent.id_token);
    sent.outcome = OUTCOME_REPORT;
    assert_int_equal(through(), -EBADMSG);
}

static void what_a_fetcher_learnt_comes_back(void **state)
{
    (void)state;
    sent.cache = malloc(3);
    sent.cache_length = 3;
    memcpy(sent.cache, "a\0b", 3);
    assert_int_equal(through(), 2);
    assert_int_equal(result.cache_length, 3);
    assert_memory_equal(result.cache, "a\0b", 3);
}

static void more_than_32_kib_learnt_are_not_believed(void **state)
{
    (void)state;
    sent.cache_length = RESULT_CACHE_MAX + 1;
    sent.cache = calloc(1, sent.cache_length);
    assert_int_equal(through(), -EBADMSG);
}

static void a_token_without_the_rest_comes_back(void **state)
{
    (void)state;
    sent.verified = false;
    assert_int_equal(through(), 2);
    assert_null(result.refresh_token);
    assert_false(result.verified);
    assert_false(result.has_clock_offset);
}

static void warnings_come_back(void **state)
{
    (void)state;
    sent.n_warnings = 2;
    error_set(&sent.warnings[0], ERROR_NOT_VERIFIED, "first");
    error_set(&sent.warnings[1], ERROR_EMAIL_NOT_VERIFIED, "second");
    assert_int_equal(through(), 2);
    assert_int_equal(result.n_warnings, 2);
    assert_int_equal(result.warnings[0].code, ERROR_NOT_VERIFIED);
    assert_string_equal(result.warnings[0].detail, "first");
    assert_int_equal(result.warnings[1].code, ERROR_EMAIL_NOT_VERIFIED);
    assert_string_equal(result.warnings[1].detail, "second");
}

static void every_failure_comes_back(void **state)
{
    (void)state;
    sent.id_token = secret_free(sent.id_token);
    error_set(&sent.error, ERROR_RATE_LIMITED, "HTTP 429");
    sent.retry_after = 60 * USEC_PER_SEC;
    sent.refresh_without_token = sent.nobody_listens = sent.otp_sent = true;
    for (int i = OUTCOME_REFUSED; i <= OUTCOME_CONFIG; i++) {
        if (i == OUTCOME_REPORT || i == OUTCOME_DEVICE)
            continue;
        sent.outcome = (enum outcome)i;
        assert_int_equal(through(), 2);
        assert_int_equal(result.outcome, i);
        assert_int_equal(result.error.code, ERROR_RATE_LIMITED);
        assert_string_equal(result.error.detail, "HTTP 429");
        assert_int_equal(result.retry_after, 60 * USEC_PER_SEC);
        assert_true(result.refresh_without_token);
        assert_true(result.nobody_listens);
        assert_true(result.otp_sent);
    }
}

/* ---- a login that is confirmed elsewhere ---- */

static void a_device_code(void)
{
    result_clear(&sent);
    sent.outcome = OUTCOME_DEVICE;
    sent.device_code = secret_copy("the code", 8);
    snprintf(sent.user_code, sizeof sent.user_code, "%s", "WDJB-MJHT");
    snprintf(sent.verification_uri, sizeof sent.verification_uri, "%s", "https://p/activate");
    snprintf(sent.verification_uri_complete, sizeof sent.verification_uri_complete, "%s",
             "https://p/activate?c=WDJB-MJHT");
    sent.code_lifetime = 900 * USEC_PER_SEC;
    sent.interval = 5 * USEC_PER_SEC;
    sent.sent = started + 1;
}

static void a_device_code_comes_back(void **state)
{
    (void)state;
    a_device_code();
    assert_int_equal(through(), 2);
    assert_int_equal(result.outcome, OUTCOME_DEVICE);
    assert_int_equal(result.error.code, ERROR_NONE);
    assert_true(secret_equal(result.device_code, sent.device_code));
    assert_string_equal(result.user_code, "WDJB-MJHT");
    assert_string_equal(result.verification_uri, sent.verification_uri);
    assert_string_equal(result.verification_uri_complete, sent.verification_uri_complete);
    assert_int_equal(result.code_lifetime, 900 * USEC_PER_SEC);
    assert_int_equal(result.interval, 5 * USEC_PER_SEC);
}

static void half_of_a_device_code_is_not_believed(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        a_device_code();
        if (i == 0)
            sent.device_code = secret_free(sent.device_code);
        else if (i == 1)
            sent.user_code[0] = '\0';
        else if (i == 2)
            snprintf(sent.verification_uri, sizeof sent.verification_uri, "%s",
                     "http://p.example/");
        else if (i == 3)
            sent.code_lifetime = 0;
        else if (i == 4)
            sent.sent = now + 1;
        else
            snprintf(sent.verification_uri, sizeof sent.verification_uri, "%s",
                     "https://p/\x1b[2J");
        assert_int_equal(through(), -EBADMSG);
    }
}

static void a_page_that_cannot_be_opened_is_left_out(void **state)
{
    (void)state;
    a_device_code();
    snprintf(sent.verification_uri_complete, sizeof sent.verification_uri_complete, "%s",
             "javascript:alert(1)");
    assert_int_equal(through(), 2);
    assert_string_equal(result.verification_uri_complete, "");
}

static void a_poll_in_vain_brings_no_error(void **state)
{
    (void)state;
    result_clear(&sent);
    sent.outcome = OUTCOME_PENDING;
    sent.interval = 5 * USEC_PER_SEC;
    assert_int_equal(through(), 2);
    assert_int_equal(result.outcome, OUTCOME_PENDING);
    assert_int_equal(result.error.code, ERROR_NONE);
    assert_int_equal(result.interval, 5 * USEC_PER_SEC);
}

static void a_detail_is_made_printable(void **state)
{
    (void)state;
    begin_job();
    tlv_begin(&w, memory, sizeof memory);
    tlv_put_text(&w, "record", "end");
    tlv_put_text(&w, "outcome", "refused");
    tlv_put_text(&w, "code", "refused");
    tlv_put_text(&w, "detail", "bad\r\n\x1b[31mnews\xff");
    tlv_put_text(&w, "username-claim", "an\nna");
    tlv_put_text(&w, "sub", "7\n8");
    tlv_put_text(&w, "email", "a\x1b@b");
    assert_int_equal(take(tlv_end(&w)), 2);
    assert_string_equal(result.error.detail, "bad [31mnews");
    assert_string_equal(result.user, "an na");
    assert_string_equal(result.sub, "7 8");
    assert_string_equal(result.email, "a @b");
}

static void a_clock_is_a_century_off_at_most(void **state)
{
    static const int64_t most = RESULT_CLOCK_OFFSET_MAX;
    const struct {
        int64_t told, taken;
    } offsets[] = { { most, most },       { -most, -most },    { most + 1, most },
                    { -most - 1, -most }, { INT64_MAX, most }, { INT64_MIN, -most } };

    (void)state;
    sent.has_clock_offset = true;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        sent.clock_offset = offsets[i].told;
        assert_int_equal(through(), 2);
        assert_int_equal(result.clock_offset, offsets[i].taken);
        result_clear(&result);
    }
}

static void what_protects_the_fetcher_is_told_within_limits(void **state)
{
    static const struct {
        unsigned told, taken;
    } versions[] = { { 0, 0 }, { 7, 7 }, { 1000, 1000 }, { 1001, 0 }, { UINT32_MAX, 0 } };

    (void)state;
    assert_int_equal(through(), 2);
    assert_false(result.protections.known);
    result_clear(&result);
    sent.protections = (struct protections){ .known = true, .locked = true, .seccomp = true };
    for (size_t i = 0; i < COUNT(versions); i++) {
        sent.protections.landlock = versions[i].told;
        assert_int_equal(through(), 2);
        assert_int_equal(result.protections.landlock, versions[i].taken);
        assert_true(result.protections.known && result.protections.seccomp);
        assert_false(result.protections.undumpable || result.protections.no_core);
        result_clear(&result);
    }
}

static void a_result_that_does_not_fit_is_not_encoded(void **state)
{
    (void)state;
    assert_int_equal(result_encode(&sent, memory, 100), 0);
}

static void every_part_of_a_result_needs_more(void **state)
{
    (void)state;
    size_t length = result_encode(&sent, memory, sizeof memory);
    for (size_t i = 1; i < length; i++)
        assert_int_equal(take(i), 0);
}

static void a_lifetime_of_31_days_is_believed(void **state)
{
    (void)state;
    sent.lifetime = RESULT_LIFETIME_MAX * USEC_PER_SEC;
    assert_int_equal(through(), 2);
}

static void a_token_sent_at_the_limits_is_believed(void **state)
{
    (void)state;
    sent.sent = started;
    assert_int_equal(through(), 2);
    result_clear(&result);
    sent.sent = now;
    assert_int_equal(through(), 2);
}

/* ---- results that are not believed ----------------------------------------------------------- */

static void assert_not_believed(void)
{
    assert_int_equal(through(), -EBADMSG);
    assert_null(result.id_token);
}

static void a_token_without_a_life_is_not_believed(void **state)
{
    (void)state;
    sent.lifetime = 0;
    assert_not_believed();
}

static void a_lifetime_over_31_days_is_not_believed(void **state)
{
    (void)state;
    sent.lifetime = RESULT_LIFETIME_MAX * USEC_PER_SEC + 1;
    assert_not_believed();
}

static void a_token_sent_for_before_the_start_is_not_believed(void **state)
{
    (void)state;
    sent.sent = started - 1;
    assert_not_believed();
}

static void a_token_sent_for_in_the_future_is_not_believed(void **state)
{
    (void)state;
    sent.sent = now + 1;
    assert_not_believed();
}

static void a_token_outcome_without_a_token_is_not_believed(void **state)
{
    (void)state;
    sent.id_token = secret_free(sent.id_token);
    assert_not_believed();
}

static void a_token_that_is_no_jwt_is_not_believed(void **state)
{
    (void)state;
    secret_free(sent.id_token);
    sent.id_token = secret_copy("a.b", 3);
    assert_not_believed();
}

/* A result with secrets of these lengths; a token of the shape of one. */
static void send_secrets(size_t id_token, size_t refresh_token)
{
    result_clear(&result);
    secret_free(sent.id_token);
    secret_free(sent.refresh_token);
    sent.id_token = secret_new(id_token);
    sent.refresh_token = secret_new(refresh_token);
    memset(secret_bytes(sent.id_token), 'a', id_token);
    memset(secret_bytes(sent.refresh_token), 'r', refresh_token);
    secret_bytes(sent.id_token)[4] = secret_bytes(sent.id_token)[9] = '.';
    secret_set_length(sent.id_token, id_token);
    secret_set_length(sent.refresh_token, refresh_token);
}

/* With the largest cache too it fits into what the fetcher has for a result. */
static void a_token_of_128_kib_is_believed(void **state)
{
    (void)state;
    send_secrets(128 * 1024, 16 * 1024);
    sent.cache = calloc(1, RESULT_CACHE_MAX);
    sent.cache_length = RESULT_CACHE_MAX;
    size_t length = result_encode(&sent, memory, RESULT_MAX - RESULT_STEPS_MAX);
    assert_true(length > 0);
    assert_int_equal(result_next(memory, length, started, now, &step, &result, &used), 2);
    assert_true(secret_equal(result.id_token, sent.id_token));
    assert_true(secret_equal(result.refresh_token, sent.refresh_token));
}

static void a_token_over_128_kib_is_not_believed(void **state)
{
    (void)state;
    send_secrets(128 * 1024 + 2, 1);
    assert_not_believed();
}

static void a_refresh_token_over_16_kib_is_not_believed(void **state)
{
    (void)state;
    send_secrets(100, 16 * 1024 + 1);
    assert_not_believed();
}

static void a_failure_with_a_token_is_not_believed(void **state)
{
    (void)state;
    sent.outcome = OUTCOME_REFUSED;
    error_set(&sent.error, ERROR_REFUSED, "x");
    assert_not_believed();
}

/* A record of type "end" for a token; the test adds what is wrong. */
static void begin_end(void)
{
    tlv_begin(&w, memory, sizeof memory);
    tlv_put_text(&w, "record", "end");
    tlv_put_text(&w, "outcome", "token");
    tlv_put_text(&w, "id-token", TOKEN);
    tlv_put_number(&w, "lifetime", 60000000);
    tlv_put_number(&w, "sent", (int64_t)started);
}

static void assert_end_refused(void)
{
    assert_int_equal(take(tlv_end(&w)), -EBADMSG);
    assert_null(result.id_token);
}

static void the_least_token_record_is_believed(void **state)
{
    (void)state;
    begin_end();
    assert_int_equal(take(tlv_end(&w)), 2);
}

static void two_id_tokens_are_not_believed(void **state)
{
    (void)state;
    begin_end();
    tlv_put_text(&w, "id-token", TOKEN);
    assert_end_refused();
}

static void two_refresh_tokens_are_not_believed(void **state)
{
    (void)state;
    begin_end();
    tlv_put_text(&w, "refresh-token", "a");
    tlv_put_text(&w, "refresh-token", "b");
    assert_end_refused();
}

static void a_refresh_token_with_a_nul_is_not_believed(void **state)
{
    (void)state;
    begin_end();
    tlv_put(&w, "refresh-token", "a\0b", 3);
    assert_end_refused();
}

static void a_number_that_is_none_is_not_believed(void **state)
{
    (void)state;
    begin_end();
    tlv_put_text(&w, "lifetime", "long");
    assert_end_refused();
}

static void a_negative_time_is_not_believed(void **state)
{
    (void)state;
    begin_end();
    tlv_put_text(&w, "retry-after", "-1");
    assert_end_refused();
}

static void an_unknown_outcome_is_not_believed(void **state)
{
    (void)state;
    begin_end();
    tlv_put_text(&w, "outcome", "splendid");
    assert_end_refused();
}

static void a_failure_without_a_code_is_not_believed(void **state)
{
    (void)state;
    tlv_begin(&w, memory, sizeof memory);
    tlv_put_text(&w, "record", "end");
    tlv_put_text(&w, "outcome", "refused");
    assert_end_refused();
}

static void a_result_without_an_outcome_is_not_believed(void **state)
{
    (void)state;
    tlv_begin(&w, memory, sizeof memory);
    tlv_put_text(&w, "record", "end");
    tlv_put_text(&w, "code", "refused");
    assert_end_refused();
}

static void a_field_of_a_newer_fetcher_is_ignored(void **state)
{
    (void)state;
    begin_end();
    tlv_put_text(&w, "from-the-future", "x");
    assert_int_equal(take(tlv_end(&w)), 2);
}

static void a_ninth_warning_changes_none_of_the_eight(void **state)
{
    char text[2] = "0";

    (void)state;
    begin_end();
    for (int i = 0; i <= RESULT_WARNINGS_MAX; i++) {
        text[0] = (char)('0' + i);
        tlv_put_text(&w, "warning", "not-verified");
        tlv_put_text(&w, "warning-detail", text);
    }
    assert_int_equal(take(tlv_end(&w)), 2);
    assert_int_equal(result.n_warnings, RESULT_WARNINGS_MAX);
    assert_string_equal(result.warnings[RESULT_WARNINGS_MAX - 1].detail, "7");
}

static void junk_is_not_believed(void **state)
{
    (void)state;
    memcpy(memory, "junk", 4);
    assert_int_equal(take(4), -EBADMSG);
}

static void a_record_of_another_type_is_not_believed(void **state)
{
    (void)state;
    begin_job();
    assert_end_refused();
}

static void a_record_without_a_type_is_not_believed(void **state)
{
    (void)state;
    tlv_begin(&w, memory, sizeof memory);
    tlv_put_text(&w, "outcome", "token");
    assert_end_refused();
}

static void an_empty_record_is_not_believed(void **state)
{
    (void)state;
    tlv_begin(&w, memory, sizeof memory);
    assert_end_refused();
}

/* ---- the result of an earlier life ----------------------------------------------------------- */

/* What is known of a token, which lies elsewhere. */
static size_t bare(void)
{
    sent.id_token = secret_free(sent.id_token);
    return result_encode(&sent, memory, sizeof memory);
}

static int restore_with(const char *text, size_t length, uint64_t when)
{
    struct secret *token = secret_copy(text, strlen(text));
    int r = result_restore(memory, length, token, when, &result);

    secret_free(token);
    return r;
}

static void assert_not_restored(size_t length)
{
    struct result untouched = result;

    assert_int_equal(restore_with(TOKEN, length, now), -EBADMSG);
    assert_memory_equal(&result, &untouched, sizeof result);
}

static void what_is_known_of_a_token_comes_back_a_day_later(void **state)
{
    (void)state;
    sent.verified = true;
    sent.has_clock_offset = true;
    sent.clock_offset = -7200;
    sent.http_status = 200;
    snprintf(sent.user, sizeof sent.user, "anna@example.com");
    snprintf(sent.sub, sizeof sent.sub, "7");
    snprintf(sent.email, sizeof sent.email, "a@b");
    snprintf(sent.changed, sizeof sent.changed, "groups: a -> b");
    snprintf(sent.key, sizeof sent.key, "key-2");
    sent.key_gone = true;
    sent.n_warnings = 1;
    error_set(&sent.warnings[0], ERROR_NOT_VERIFIED, "first");
    size_t length = bare();
    assert_int_equal(restore_with(TOKEN, length, now + 24 * 3600 * USEC_PER_SEC), 0);
    assert_int_equal(result.outcome, OUTCOME_TOKEN);
    assert_int_equal(result.lifetime, sent.lifetime);
    assert_int_equal(result.sent, sent.sent);
    assert_true(result.verified);
    assert_true(result.has_clock_offset);
    assert_int_equal(result.clock_offset, -7200);
    assert_int_equal(result.http_status, 200);
    assert_string_equal(result.user, sent.user);
    assert_string_equal(result.sub, sent.sub);
    assert_string_equal(result.email, sent.email);
    assert_string_equal(result.changed, sent.changed);
    assert_string_equal(result.key, "key-2");
    assert_true(result.key_gone);
    assert_int_equal(result.n_warnings, 1);
    assert_int_equal(result.warnings[0].code, ERROR_NOT_VERIFIED);
    assert_string_equal(result.warnings[0].detail, "first");
    assert_null(result.id_token);
}

static void a_token_of_the_future_is_not_restored(void **state)
{
    (void)state;
    sent.sent = now;
    size_t length = bare();
    assert_int_equal(restore_with(TOKEN, length, now), 0);
    sent.sent = now + 1;
    assert_not_restored(bare());
}

static void a_token_that_lives_too_long_is_not_restored(void **state)
{
    (void)state;
    sent.lifetime = RESULT_LIFETIME_MAX * USEC_PER_SEC;
    size_t length = bare();
    assert_int_equal(restore_with(TOKEN, length, now), 0);
    sent.lifetime++;
    assert_not_restored(bare());
    sent.lifetime = 0;
    assert_not_restored(bare());
}

static void what_is_no_token_is_not_restored(void **state)
{
    size_t length = bare();

    (void)state;
    assert_int_equal(restore_with("no token", length, now), -EBADMSG);
    assert_int_equal(restore_with("", length, now), -EBADMSG);
    assert_int_equal(result_restore(memory, length, NULL, now, &result), -EBADMSG);
}

/* Nor is a failure, or a report, what is known of a token. */
static void another_outcome_is_not_restored(void **state)
{
    (void)state;
    error_set(&sent.error, ERROR_REFUSED, "x");
    for (int i = OUTCOME_TOKEN + 1; i <= OUTCOME_CONFIG; i++) {
        sent.outcome = (enum outcome)i;
        sent.report = i == OUTCOME_REPORT ? strdup("x") : NULL;
        size_t length = bare();
        free(sent.report);
        sent.report = NULL;
        assert_not_restored(length);
    }
}

static void facts_that_hold_more_than_facts_are_not_restored(void **state)
{
    static const char *const fields[] = { "id-token", "refresh-token", "report", "cache" };

    (void)state;
    for (size_t i = 0; i <= COUNT(fields); i++) {
        tlv_begin(&w, memory, sizeof memory);
        tlv_put_text(&w, "outcome", "token");
        tlv_put_number(&w, "lifetime", 60000000);
        tlv_put_number(&w, "sent", (int64_t)started);
        if (i == COUNT(fields)) { /* so that it is not for what else is there */
            assert_int_equal(restore_with(TOKEN, tlv_end(&w), now), 0);
            return;
        }
        tlv_put_text(&w, fields[i], TOKEN);
        assert_not_restored(tlv_end(&w));
    }
}

static void half_of_the_facts_are_not_restored(void **state)
{
    size_t length = bare();

    (void)state;
    for (size_t n = 0; n < length; n++)
        assert_not_restored(n);
}

/* ---- the shape of a token -------------------------------------------------------------------- */

static bool shaped(const char *text)
{
    return job_token_shaped(text, strlen(text));
}

static void three_base64url_parts_are_a_token(void **state)
{
    (void)state;
    assert_true(shaped(TOKEN));
    assert_true(shaped("aA.0-.__"));
}

static void anything_else_is_no_token(void **state)
{
    static const char *const texts[] = {
        "",
        ".",
        "..",
        "aa",
        "aa.bb",
        "aa.bb.",
        ".aa.bb",
        "aa..bb",
        "aa.bb.cc.dd",
        "a.bb.cc",
        "aa.bbbbb.cc",
        "aa.bb.c",
        "aa.bb.c=",
        "aa.b+.cc",
        "aa.b/.cc",
        "aa.bb.cc\n",
        " aa.bb.cc",
        "aa.b b.cc",
        "aa.b\xc3\xa4.cc",
    };

    for (size_t i = 0; i < COUNT(texts); i++)
        if (shaped(texts[i]))
            fail_msg("\"%s\" was taken for a token", texts[i]);
    (void)state;
}

static void a_token_with_a_nul_is_none(void **state)
{
    (void)state;
    assert_false(job_token_shaped("aa.bb.cc\0dd", 11));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_comes_back),
        TEST(what_is_absent_stays_absent),
        TEST(a_job_with_64_parameters_comes_back),
        TEST(a_job_that_is_too_large_cannot_be_told),
        TEST(a_field_of_a_newer_daemon_is_ignored),
        TEST(a_job_of_another_version_is_refused),
        TEST(a_job_of_an_unknown_kind_is_refused),
        TEST(a_job_without_an_issuer_is_refused),
        TEST(a_job_without_a_version_is_refused),
        TEST(a_job_with_a_nul_in_a_text_is_refused),
        TEST(a_job_with_65_parameters_is_refused),
        TEST(a_cache_comes_back_as_it_is),
        TEST(a_cache_that_is_too_large_is_refused),
        TEST(a_second_cache_is_refused),
        TEST(what_a_fetcher_learnt_comes_back),
        TEST(a_report_comes_back_and_is_made_printable),
        TEST(a_report_without_a_text_is_not_believed),
        TEST(more_than_32_kib_learnt_are_not_believed),
        TEST(a_negative_deadline_is_refused),
        TEST(a_job_with_something_behind_it_is_refused),
        TEST(half_a_job_is_refused),
        TEST(a_step_comes_back),
        TEST(a_step_that_does_not_fit_is_not_encoded),
        TEST(a_step_is_made_printable),
        TEST(records_are_taken_one_by_one),
        TEST(a_token_comes_back),
        TEST(a_token_without_the_rest_comes_back),
        TEST(warnings_come_back),
        TEST(every_failure_comes_back),
        TEST(a_device_code_comes_back),
        TEST(half_of_a_device_code_is_not_believed),
        TEST(a_page_that_cannot_be_opened_is_left_out),
        TEST(a_poll_in_vain_brings_no_error),
        TEST(a_detail_is_made_printable),
        TEST(a_clock_is_a_century_off_at_most),
        TEST(what_protects_the_fetcher_is_told_within_limits),
        TEST(a_result_that_does_not_fit_is_not_encoded),
        TEST(every_part_of_a_result_needs_more),
        TEST(a_lifetime_of_31_days_is_believed),
        TEST(a_token_sent_at_the_limits_is_believed),
        TEST(a_token_without_a_life_is_not_believed),
        TEST(a_lifetime_over_31_days_is_not_believed),
        TEST(a_token_sent_for_before_the_start_is_not_believed),
        TEST(a_token_sent_for_in_the_future_is_not_believed),
        TEST(a_token_outcome_without_a_token_is_not_believed),
        TEST(a_token_that_is_no_jwt_is_not_believed),
        TEST(a_token_of_128_kib_is_believed),
        TEST(a_token_over_128_kib_is_not_believed),
        TEST(a_refresh_token_over_16_kib_is_not_believed),
        TEST(a_job_with_a_token_of_128_kib_takes_its_own_length),
        TEST(a_failure_with_a_token_is_not_believed),
        TEST(the_least_token_record_is_believed),
        TEST(two_id_tokens_are_not_believed),
        TEST(two_refresh_tokens_are_not_believed),
        TEST(a_refresh_token_with_a_nul_is_not_believed),
        TEST(a_number_that_is_none_is_not_believed),
        TEST(a_negative_time_is_not_believed),
        TEST(an_unknown_outcome_is_not_believed),
        TEST(a_failure_without_a_code_is_not_believed),
        TEST(a_result_without_an_outcome_is_not_believed),
        TEST(a_field_of_a_newer_fetcher_is_ignored),
        TEST(a_ninth_warning_changes_none_of_the_eight),
        TEST(junk_is_not_believed),
        TEST(a_record_of_another_type_is_not_believed),
        TEST(a_record_without_a_type_is_not_believed),
        TEST(an_empty_record_is_not_believed),
        TEST(what_is_known_of_a_token_comes_back_a_day_later),
        TEST(a_token_of_the_future_is_not_restored),
        TEST(a_token_that_lives_too_long_is_not_restored),
        TEST(what_is_no_token_is_not_restored),
        TEST(another_outcome_is_not_restored),
        TEST(facts_that_hold_more_than_facts_are_not_restored),
        TEST(half_of_the_facts_are_not_restored),
        TEST(three_base64url_parts_are_a_token),
        TEST(anything_else_is_no_token),
        TEST(a_token_with_a_nul_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
