#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/fetch/grant.h"

static struct job job;
static struct discovery endpoints;
static struct secret *body, *authorization;

static int a_password_job(void **state)
{
    (void)state;
    job = (struct job){ .client_id = "client",
                        .client_auth = "auto",
                        .client_secret = "secret",
                        .username = "user",
                        .password = "pass",
                        .scope = "openid email",
                        .held = secret_new(4096) };
    secret_set_length(job.held, 4096);
    endpoints = (struct discovery){ .auth_listed = true, .auth_post = true, .auth_basic = true };
    return 0;
}

static int wipe(void **state)
{
    (void)state;
    body = secret_free(body);
    authorization = secret_free(authorization);
    job_clear(&job);
    return 0;
}

static const char *build(void)
{
    assert_int_equal(grant_build(&job, &endpoints, &body, &authorization), 0);
    return secret_peek(body);
}

static void the_plain_form(void **state)
{
    (void)state;
    assert_string_equal(build(), "grant_type=password&username=user&password=pass&"
                                 "scope=openid%20email&client_id=client&client_secret=secret");
    assert_null(authorization);
}

static void every_byte_but_the_unreserved_is_escaped(void **state)
{
    (void)state;
    job.username = "a b&c+d%e=f:g/h'i\"j-._~";
    job.password = "\xc3\xa9?#\\";
    const char *form = build();
    assert_non_null(strstr(form, "username=a%20b%26c%2Bd%25e%3Df%3Ag%2Fh%27i%22j-._~&"));
    assert_non_null(strstr(form, "password=%C3%A9%3F%23%5C&"));
}

static void an_empty_value_is_empty(void **state)
{
    (void)state;
    job.audience = "";
    assert_non_null(strstr(build(), "&audience=&"));
}

static void basic_is_form_encoded_before_base64(void **state)
{
    (void)state;
    job.client_auth = "basic";
    job.client_id = "a:b";
    job.client_secret = "c d-";
    assert_null(strstr(build(), "client_"));
    /* a%3Ab:c%20d- */
    assert_string_equal(secret_peek(authorization), "Authorization: Basic YSUzQWI6YyUyMGQt");
}

static void basic_raw_is_not(void **state)
{
    (void)state;
    job.client_auth = "basic-raw";
    job.client_secret = "c d%";
    assert_null(strstr(build(), "client_"));
    assert_string_equal(secret_peek(authorization), "Authorization: Basic Y2xpZW50OmMgZCU=");
}

static void none_sends_the_client_id_alone(void **state)
{
    (void)state;
    job.client_auth = "none";
    assert_non_null(strstr(build(), "&client_id=client"));
    assert_null(strstr(secret_peek(body), "client_secret"));
    assert_null(authorization);
}

static void auto_takes_basic_where_nothing_is_listed_or_only_that(void **state)
{
    (void)state;
    endpoints = (struct discovery){ .auth_listed = false };
    build();
    assert_non_null(authorization);
    wipe(state);
    a_password_job(state);
    endpoints = (struct discovery){ .auth_listed = true, .auth_basic = true };
    build();
    assert_non_null(authorization);
}

static void auto_without_a_secret_is_none(void **state)
{
    (void)state;
    job.client_secret = NULL;
    assert_null(strstr(build(), "client_secret"));
    assert_null(authorization);
}

static void openid_is_always_in_the_scope(void **state)
{
    (void)state;
    job.scope = "openidx email";
    assert_non_null(strstr(build(), "scope=openid%20openidx%20email"));
}

static void a_refresh_sends_no_scope_and_no_password(void **state)
{
    (void)state;
    job.kind = JOB_REFRESH;
    job.refresh_token = "r/1";
    assert_string_equal(build(), "grant_type=refresh_token&refresh_token=r%2F1&client_id=client&"
                                 "client_secret=secret");
}

static enum outcome judge(long status, const char *text, struct result *ret)
{
    const struct http_reply reply = { .status = status, .body = text, .length = strlen(text) };

    *ret = (struct result){ 0 };
    if (grant_judge(&job, &reply, ret) == 0)
        result_clear(ret);
    return ret->outcome;
}

static void answers_are_judged_by_status_and_error(void **state)
{
    static const struct {
        long status;
        const char *body;
        enum outcome outcome;
        enum error_code code;
    } rows[] = {
        { 403, "", OUTCOME_REFUSED, ERROR_REFUSED },
        { 400, "<html>", OUTCOME_REFUSED, ERROR_REFUSED },
        { 401, "{\"error\":\"invalid_grant\"}", OUTCOME_REFUSED, ERROR_REFUSED },
        { 401, "{\"error\":\"unauthorized_client\"}", OUTCOME_REFUSED, ERROR_CLIENT_REFUSED },
        { 400, "{\"error\":\"unauthorized_client\"}", OUTCOME_REFUSED, ERROR_GRANT_REFUSED },
        { 400, "{\"error\":\"invalid_request\"}", OUTCOME_DOUBTFUL, ERROR_PROVIDER_ERROR },
        { 404, "", OUTCOME_DOUBTFUL, ERROR_PROVIDER_ERROR },
        { 302, "", OUTCOME_DOUBTFUL, ERROR_ANSWER_INVALID },
        { 408, "", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 425, "", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 429, "", OUTCOME_TEMPORARY, ERROR_RATE_LIMITED },
        { 500, "{\"error\":\"invalid_request\"}", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 503, "", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 200, "", OUTCOME_DOUBTFUL, ERROR_ANSWER_INVALID },
        { 200, "{}", OUTCOME_REFUSED, ERROR_NO_ID_TOKEN },
    };
    struct result result;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(judge(rows[i].status, rows[i].body, &result), rows[i].outcome);
        assert_int_equal(result.error.code, rows[i].code);
    }
}

static void secrets_that_a_provider_echoes_are_masked(void **state)
{
    struct result result;

    (void)state;
    judge(400, "{\"error\":\"x\",\"error_description\":\"pass and secret\\r\\nend\"}", &result);
    assert_string_equal(result.error.detail, "HTTP 400, x: *** and *** end");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, a_password_job, wipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_plain_form),
        TEST(every_byte_but_the_unreserved_is_escaped),
        TEST(an_empty_value_is_empty),
        TEST(basic_is_form_encoded_before_base64),
        TEST(basic_raw_is_not),
        TEST(none_sends_the_client_id_alone),
        TEST(auto_takes_basic_where_nothing_is_listed_or_only_that),
        TEST(auto_without_a_secret_is_none),
        TEST(openid_is_always_in_the_scope),
        TEST(a_refresh_sends_no_scope_and_no_password),
        TEST(answers_are_judged_by_status_and_error),
        TEST(secrets_that_a_provider_echoes_are_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
