/* What is asked for a login that a person confirms elsewhere, and what its answers mean (RFC 8628).
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "common/time.h"
#include "daemon/fetch/device.h"
#include "daemon/fetch/grant.h"

static struct job job;
static struct result result;

static int setup(void **state)
{
    (void)state;
    job = (struct job){ .kind = JOB_DEVICE,
                        .client_id = "client",
                        .client_auth = "auto",
                        .client_secret = "secret",
                        .issuer = "https://i/",
                        .scope = "offline_access",
                        .audience = "api",
                        .held = secret_new(4096) };
    secret_set_length(job.held, 4096);
    result = (struct result){ 0 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    job_clear(&job);
    result_clear(&result);
    return 0;
}

static void poll_job(void)
{
    job.kind = JOB_POLL;
    job.device_code = "the/device code";
}

static int judge(long status, const char *body)
{
    const struct http_reply reply = {
        .status = status, .host = "h", .body = (char *)(uintptr_t)body, .length = strlen(body)
    };

    result_clear(&result);
    return grant_judge(&job, &reply, &result);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void assert_body(const char *expected)
{
    struct discovery endpoints = { .auth_listed = true, .auth_post = true };
    struct secret *body = NULL, *authorization = NULL;

    assert_int_equal(grant_build(&job, &endpoints, &body, &authorization), 0);
    assert_string_equal(secret_peek(body), expected);
    secret_free(body);
    secret_free(authorization);
}

static void a_code_is_asked_for_with_openid_and_no_grant_type(void **state)
{
    (void)state;
    assert_body("scope=openid%20offline_access&audience=api&client_id=client&client_secret=secret");
}

static void a_poll_brings_the_device_code_and_nothing_asked_for_before(void **state)
{
    (void)state;
    poll_job();
    assert_body("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&"
                "device_code=the%2Fdevice%20code&client_id=client&client_secret=secret");
}

/* ---- the code -------------------------------------------------------------------------------- */

#define BEGIN "{\"device_code\":\"d\",\"user_code\":\"AB-CD\",\"verification_uri\":\"https://p/a\""

static void a_code_comes_with_all_that_belongs_to_it(void **state)
{
    (void)state;
    assert_int_equal(judge(200, BEGIN ",\"verification_uri_complete\":\"https://p/a?c=AB-CD\","
                                      "\"expires_in\":900,\"interval\":7}"),
                     0);
    assert_int_equal(result.outcome, OUTCOME_DEVICE);
    assert_string_equal(secret_peek(result.device_code), "d");
    assert_string_equal(result.user_code, "AB-CD");
    assert_string_equal(result.verification_uri, "https://p/a");
    assert_string_equal(result.verification_uri_complete, "https://p/a?c=AB-CD");
    assert_int_equal(result.code_lifetime, 900 * USEC_PER_SEC);
    assert_int_equal(result.interval, 7 * USEC_PER_SEC);
}

static void without_an_interval_it_is_five_seconds(void **state)
{
    (void)state;
    assert_int_equal(judge(200, BEGIN ",\"expires_in\":\"900\"}"), 0);
    assert_int_equal(result.interval, 5 * USEC_PER_SEC);
    assert_int_equal(result.code_lifetime, 900 * USEC_PER_SEC);
    assert_string_equal(result.verification_uri_complete, "");
}

static void intervals_and_lives_have_limits(void **state)
{
    (void)state;
    assert_int_equal(judge(200, BEGIN ",\"expires_in\":1e9,\"interval\":0}"), 0);
    assert_int_equal(result.interval, USEC_PER_SEC);
    assert_in_range(result.code_lifetime, 3600 * USEC_PER_SEC, 24 * 3600 * USEC_PER_SEC);
    assert_int_equal(judge(200, BEGIN ",\"expires_in\":60,\"interval\":99999}"), 0);
    assert_int_equal(result.interval, 300 * USEC_PER_SEC);
}

static void what_a_person_cannot_use_is_no_code(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "[]",
        "<html>",
        BEGIN "}",
        BEGIN ",\"expires_in\":0}",
        "{\"device_code\":\"d\",\"user_code\":\"A\",\"verification_uri\":\"http://p/\","
        "\"expires_in\":9}",
        "{\"device_code\":\"d\",\"user_code\":\"A\",\"verification_uri\":\"https://p/\\n\","
        "\"expires_in\":9}",
        "{\"device_code\":\"d\",\"user_code\":\"A\\u001b[2J\",\"verification_uri\":\"https://p/\","
        "\"expires_in\":9}",
        "{\"device_code\":\"\",\"user_code\":\"A\",\"verification_uri\":\"https://p/\","
        "\"expires_in\":9}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(judge(200, bodies[i]), -1);
        assert_int_equal(result.outcome, OUTCOME_SOFT);
        assert_null(result.device_code);
    }
}

static void a_refusal_to_give_one_is_the_clients(void **state)
{
    (void)state;
    assert_int_equal(judge(400, "{\"error\":\"unauthorized_client\"}"), -1);
    assert_int_equal(result.outcome, OUTCOME_REFUSED);
    assert_int_equal(result.error.code, ERROR_GRANT_REFUSED);
}

/* ---- polls ----------------------------------------------------------------------------------- */

static void pending_is_told_by_its_word_with_any_status(void **state)
{
    static const long statuses[] = { 200, 400, 401, 403, 428, 429, 500 };

    (void)state;
    poll_job();
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        assert_int_equal(judge(statuses[i], "{\"error\":\"authorization_pending\"}"), -1);
        assert_int_equal(result.outcome, OUTCOME_PENDING);
        assert_int_equal(result.error.code, ERROR_NONE);
        assert_int_equal(result.interval, 0);
        judge(statuses[i], "{\"error\":\"slow_down\"}");
        assert_int_equal(result.outcome, OUTCOME_PENDING);
        assert_int_equal(result.interval, 5 * USEC_PER_SEC);
    }
}

static void its_ends_have_codes(void **state)
{
    static const struct {
        const char *word;
        enum error_code code;
    } rows[] = {
        { "access_denied", ERROR_LOGIN_DENIED }, { "authorization_declined", ERROR_LOGIN_DENIED },
        { "expired_token", ERROR_CODE_EXPIRED }, { "bad_verification_code", ERROR_CODE_EXPIRED },
        { "invalid_grant", ERROR_CODE_EXPIRED }, { "invalid_client", ERROR_CLIENT_REFUSED },
    };
    char body[128];

    (void)state;
    poll_job();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(body, sizeof body,
                 "{\"error\":\"%s\",\"error_description\":\"of the/device code\"}", rows[i].word);
        assert_int_equal(judge(400, body), -1);
        assert_int_equal(result.outcome, OUTCOME_REFUSED);
        assert_int_equal(result.error.code, rows[i].code);
        assert_null(strstr(result.error.detail, "device code"));
    }
}

static void words_of_a_poll_mean_nothing_of_another_grant(void **state)
{
    (void)state;
    job.kind = JOB_PASSWORD;
    judge(403, "{\"error\":\"access_denied\"}");
    assert_int_equal(result.error.code, ERROR_ACCOUNT);
    judge(400, "{\"error\":\"authorization_pending\"}");
    assert_int_equal(result.outcome, OUTCOME_SOFT);
}

static void what_says_nothing_of_the_login_may_pass(void **state)
{
    (void)state;
    poll_job();
    judge(503, "");
    assert_int_equal(result.outcome, OUTCOME_TEMPORARY);
    judge(502, "<html>Bad Gateway</html>");
    assert_int_equal(result.outcome, OUTCOME_TEMPORARY);
    judge(400, "{\"error\":\"invalid_request\"}");
    assert_int_equal(result.outcome, OUTCOME_SOFT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_code_is_asked_for_with_openid_and_no_grant_type),
        TEST(a_poll_brings_the_device_code_and_nothing_asked_for_before),
        TEST(a_code_comes_with_all_that_belongs_to_it),
        TEST(without_an_interval_it_is_five_seconds),
        TEST(intervals_and_lives_have_limits),
        TEST(what_a_person_cannot_use_is_no_code),
        TEST(a_refusal_to_give_one_is_the_clients),
        TEST(pending_is_told_by_its_word_with_any_status),
        TEST(its_ends_have_codes),
        TEST(words_of_a_poll_mean_nothing_of_another_grant),
        TEST(what_says_nothing_of_the_login_may_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
