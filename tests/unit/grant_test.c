#include "support.h"

#include <stdio.h>
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

#define URN "urn%3Aietf%3Aparams%3Aoauth%3A"
#define TYPE_MEMBER(type) "\"issued_token_type\":\"urn:ietf:params:oauth:token-type:" type "\""

static void exchange(void)
{
    job.kind = JOB_EXCHANGE;
    job.username = job.password = job.scope = NULL;
    job.subject_token = "s/t";
    job.subject_token_type = "access_token";
}

static void an_exchange_names_both_types_and_the_audience(void **state)
{
    (void)state;
    exchange();
    job.audience = "kube";
    assert_string_equal(build(), "grant_type=" URN "grant-type%3Atoken-exchange&"
                                 "subject_token=s%2Ft&subject_token_type=" URN
                                 "token-type%3Aaccess_token&scope=openid&requested_token_type=" URN
                                 "token-type%3Aid_token&audience=kube&client_id=client&"
                                 "client_secret=secret");
}

static void a_parameter_asks_for_another_type_than_an_id_token(void **state)
{
    (void)state;
    exchange();
    job.parameters[0] = "requested_token_type=jwt";
    assert_non_null(strstr(build(), "&requested_token_type=jwt&"));
    assert_null(strstr(secret_peek(body), "id_token"));
}

/* What an exchange is answered with, and the id_token of that. */
static void assert_exchanged(const char *members, const char *token)
{
    char text[512];
    snprintf(text, sizeof text, "{%s}", members);
    const struct http_reply reply = { .status = 200, .body = text, .length = strlen(text) };
    struct result r = { 0 };

    int done = grant_judge(&job, &reply, &r);
    if (!token && (done == 0 || r.error.code != ERROR_EXCHANGE_TYPE))
        fail_msg("%s is taken", members);
    if (token && (done < 0 || strcmp(secret_peek(r.id_token), token) != 0))
        fail_msg("%s is not taken", members);
    assert_true(done == 0 || r.outcome == OUTCOME_REFUSED);
    assert_null(r.refresh_token);
    result_clear(&r);
}

static void the_token_of_an_exchange_is_found_by_its_type(void **state)
{
    (void)state;
    exchange();
    assert_exchanged("\"access_token\":\"ab.cd.ef\"," TYPE_MEMBER("id_token"), "ab.cd.ef");
    assert_exchanged("\"access_token\":\"ab.cd.ef\"," TYPE_MEMBER("jwt"), "ab.cd.ef");
    assert_exchanged("\"access_token\":\"ab.cd.ef\",\"id_token\":\"gh.ij.kl\","
                     "\"refresh_token\":\"r\"," TYPE_MEMBER("id_token"),
                     "ab.cd.ef");
    assert_exchanged(
        "\"access_token\":\"ab.cd.ef\",\"id_token\":\"gh.ij.kl\"," TYPE_MEMBER("access_token"),
        "gh.ij.kl");
    assert_exchanged("\"access_token\":\"ab.cd.ef\"," TYPE_MEMBER("access_token"), "ab.cd.ef");
    assert_exchanged("\"access_token\":\"ab.cd.ef\"", "ab.cd.ef");
    assert_exchanged("\"access_token\":\"opaque\"," TYPE_MEMBER("id_token"), NULL);
    assert_exchanged("\"access_token\":\"opaque\"," TYPE_MEMBER("access_token"), NULL);
    assert_exchanged("\"access_token\":\"ab.cd.ef\"," TYPE_MEMBER("refresh_token"), NULL);
    assert_exchanged("\"access_token\":\"ab.cd.ef\"," TYPE_MEMBER("saml2"), NULL);
    assert_exchanged("\"token_type\":\"N_A\"", NULL);
}

static void an_access_token_is_kept_where_somebody_wants_it(void **state)
{
    static const char text[] = "{\"id_token\":\"ab.cd.ef\",\"access_token\":\"a\"}";
    const struct http_reply reply = { .status = 200, .body = text, .length = sizeof text - 1 };
    struct result r = { 0 };

    (void)state;
    assert_int_equal(grant_judge(&job, &reply, &r), 0);
    assert_null(r.access_token);
    result_clear(&r);
    job.wants_access_token = true;
    assert_int_equal(grant_judge(&job, &reply, &r), 0);
    assert_string_equal(secret_peek(r.access_token), "a");
    result_clear(&r);
}

static enum outcome judge(long status, const char *text, struct result *ret)
{
    const struct http_reply reply = { .status = status, .body = text, .length = strlen(text) };

    *ret = (struct result){ 0 };
    if (grant_judge(&job, &reply, ret) == 0)
        result_clear(ret);
    assert_int_equal(ret->http_status, status);
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
        { 400, "", OUTCOME_REFUSED, ERROR_REFUSED_SILENTLY },
        { 401, "", OUTCOME_REFUSED, ERROR_REFUSED_SILENTLY },
        { 403, "", OUTCOME_REFUSED, ERROR_REFUSED_SILENTLY },
        { 400, "<html>", OUTCOME_SOFT, ERROR_GATEWAY },
        { 403, "Forbidden", OUTCOME_SOFT, ERROR_GATEWAY },
        { 401, "{\"message\":\"Unauthorized\"}", OUTCOME_SOFT, ERROR_PROVIDER_ERROR },
        { 403, "{\"error\":{\"code\":403}}", OUTCOME_SOFT, ERROR_PROVIDER_ERROR },
        { 403, "[\"invalid_grant\"]", OUTCOME_SOFT, ERROR_PROVIDER_ERROR },
        { 400, "{\"error\":\"invalid_grant\"", OUTCOME_SOFT, ERROR_PROVIDER_ERROR },
        { 407, "", OUTCOME_SOFT, ERROR_GATEWAY },
        { 202, "<html>", OUTCOME_SOFT, ERROR_GATEWAY },
        { 429, "<html>", OUTCOME_TEMPORARY, ERROR_RATE_LIMITED },
        { 502, "<html>", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 511, "<html>", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 401, "{\"error\":\"invalid_grant\"}", OUTCOME_REFUSED, ERROR_REFUSED },
        { 401, "{\"error\":\"unauthorized_client\"}", OUTCOME_REFUSED, ERROR_CLIENT_REFUSED },
        { 400, "{\"error\":\"unauthorized_client\"}", OUTCOME_REFUSED, ERROR_GRANT_REFUSED },
        { 400, "{\"error\":\"invalid_request\"}", OUTCOME_SOFT, ERROR_PROVIDER_ERROR },
        { 404, "", OUTCOME_SOFT, ERROR_PROVIDER_ERROR },
        { 302, "", OUTCOME_SOFT, ERROR_ANSWER_INVALID },
        { 408, "", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 425, "", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 429, "", OUTCOME_TEMPORARY, ERROR_RATE_LIMITED },
        { 500, "{\"error\":\"invalid_request\"}", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 503, "", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 200, "", OUTCOME_SOFT, ERROR_ANSWER_INVALID },
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

/* ---- more of the request --------------------------------------------------------------------- */

static void assert_in_form(const char *part)
{
    if (!strstr(build(), part))
        fail_msg("\"%s\" is not in \"%s\"", part, secret_peek(body));
}

static void a_realm_takes_the_grant_type_of_auth0(void **state)
{
    (void)state;
    job.realm = "my users";
    assert_in_form("grant_type=http%3A%2F%2Fauth0.com%2Foauth%2Fgrant-type%2Fpassword-realm&"
                   "realm=my%20users&username=user");
}

static void audience_and_resource_are_sent(void **state)
{
    (void)state;
    job.audience = "https://api/";
    job.resource = "urn:x";
    assert_in_form("&audience=https%3A%2F%2Fapi%2F&resource=urn%3Ax&");
}

static void parameters_are_sent_with_all_that_follows_the_first_equals_sign(void **state)
{
    (void)state;
    job.parameters[0] = "a b=c=d&e";
    job.parameters[1] = "empty=";
    assert_in_form("&a%20b=c%3Dd%26e&empty=&");
}

static void a_very_long_password_fits(void **state)
{
    static char password[16 * 1024 + 1];

    (void)state;
    memset(password, '%', sizeof password - 1);
    secret_free(job.held);
    job.held = secret_new(sizeof password);
    secret_set_length(job.held, sizeof password);
    job.password = password;
    assert_true(strlen(build()) > 3 * (sizeof password - 1));
}

static void openid_is_not_added_twice(void **state)
{
    (void)state;
    job.scope = "email openid";
    assert_in_form("&scope=email%20openid&");
}

static void without_a_scope_openid_alone_is_asked_for(void **state)
{
    (void)state;
    job.scope = NULL;
    assert_in_form("&scope=openid&");
}

static void an_empty_secret_is_never_sent(void **state)
{
    (void)state;
    job.client_secret = "";
    assert_null(strstr(build(), "client_secret"));
    assert_null(authorization);
}

static void post_is_never_joined_by_basic(void **state)
{
    (void)state;
    job.client_auth = "post";
    assert_in_form("&client_id=client&client_secret=secret");
    assert_null(authorization);
}

static void auto_is_post_where_neither_is_listed(void **state)
{
    (void)state;
    endpoints = (struct discovery){ .auth_listed = true };
    assert_in_form("&client_secret=secret");
    assert_null(authorization);
}

static void a_configured_method_wins_over_what_is_listed(void **state)
{
    (void)state;
    job.client_auth = "basic";
    endpoints = (struct discovery){ .auth_listed = true, .auth_post = true };
    assert_null(strstr(build(), "client_"));
    assert_non_null(authorization);
}

/* ---- more of the answer ---------------------------------------------------------------------- */

static struct result result;

static int judge_text(long status, const char *text)
{
    const struct http_reply reply = {
        .status = status, .body = text, .length = strlen(text), .retry_after = 7000000
    };

    result_clear(&result);
    return grant_judge(&job, &reply, &result);
}

static void assert_judged(long status, const char *text, enum outcome outcome, enum error_code code)
{
    assert_int_equal(judge_text(status, text), -1);
    if (result.outcome != outcome || result.error.code != code)
        fail_msg("HTTP %ld %s: outcome %d, %s", status, text, result.outcome,
                 error_name(result.error.code));
    assert_null(result.id_token);
}

static void a_token_and_its_refresh_token_are_taken(void **state)
{
    (void)state;
    assert_int_equal(judge_text(200, "{\"id_token\":\"a.b.c\",\"refresh_token\":\"r\"}"), 0);
    assert_string_equal(secret_peek(result.id_token), "a.b.c");
    assert_string_equal(secret_peek(result.refresh_token), "r");
    result_clear(&result);
}

static void an_empty_refresh_token_is_none(void **state)
{
    (void)state;
    assert_int_equal(judge_text(200, "{\"id_token\":\"a.b.c\",\"refresh_token\":\"\"}"), 0);
    assert_null(result.refresh_token);
    result_clear(&result);
}

/* As Casdoor answers. */
static void an_error_in_a_200_is_that_error(void **state)
{
    (void)state;
    assert_judged(200, "{\"error\":\"invalid_grant\",\"error_description\":\"no such user\"}",
                  OUTCOME_REFUSED, ERROR_REFUSED);
    assert_holds(result.error.detail, "HTTP 200, invalid_grant: no such user");
    job.kind = JOB_REFRESH;
    assert_judged(200, "{\"error\":\"invalid_grant\",\"id_token\":\"\",\"access_token\":\"\"}",
                  OUTCOME_REFUSED, ERROR_REFUSED);
    assert_false(result.refresh_without_token); /* the next refresh token may do better */
    job.kind = JOB_PASSWORD;
    assert_judged(200, "{\"error\":\"invalid_client\"}", OUTCOME_REFUSED, ERROR_CLIENT_REFUSED);
    assert_judged(200, "{\"error\":\"something_else\"}", OUTCOME_SOFT, ERROR_PROVIDER_ERROR);
    assert_judged(200, "{\"error\":\"\",\"scope\":\"x\"}", OUTCOME_REFUSED, ERROR_NO_ID_TOKEN);
    assert_int_equal(judge_text(200, "{\"error\":\"\",\"id_token\":\"a.b.c\"}"), 0);
    result_clear(&result);
}

static void a_200_without_an_id_token_is_a_refusal(void **state)
{
    static const char *const bodies[] = { "{\"id_token\":\"\"}", "{\"id_token\":null}",
                                          "{\"id_token\":7}", "{\"access_token\":\"x\"}" };

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_judged(200, bodies[i], OUTCOME_REFUSED, ERROR_NO_ID_TOKEN);
    assert_false(result.refresh_without_token);
    (void)state;
}

static void a_refresh_without_an_id_token_says_so(void **state)
{
    (void)state;
    job.kind = JOB_REFRESH;
    assert_judged(200, "{\"access_token\":\"x\"}", OUTCOME_REFUSED, ERROR_NO_ID_TOKEN);
    assert_true(result.refresh_without_token);
}

static void a_200_that_is_no_object_is_in_doubt(void **state)
{
    static const char *const bodies[] = { "", "[]", "\"x\"", "{\"id_token\":\"a.b.c\"} trailing" };

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_judged(200, bodies[i], OUTCOME_SOFT, ERROR_ANSWER_INVALID);
    assert_judged(200, "<html>", OUTCOME_SOFT, ERROR_GATEWAY);
    (void)state;
}

static void a_token_over_128_kib_is_in_doubt(void **state)
{
    static const char head[] = "{\"id_token\":\"", tail[] = "\"}";
    static char text[sizeof head + RESULT_TOKEN_MAX + sizeof tail];

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text, head, sizeof head - 1);
    memcpy(text + sizeof text - sizeof tail, tail, sizeof tail);
    assert_judged(200, text, OUTCOME_SOFT, ERROR_TOKEN_TOO_LONG);
}

/* "refresh_token" of that many bytes, beside an id_token of 128 KiB. */
static void judge_refresh_token(size_t length)
{
    static char text[RESULT_TOKEN_MAX + RESULT_REFRESH_TOKEN_MAX + 128];
    size_t n = (size_t)snprintf(text, sizeof text, "{\"id_token\":\"");

    memset(text + n, 'a', RESULT_TOKEN_MAX);
    n += RESULT_TOKEN_MAX;
    n += (size_t)snprintf(text + n, sizeof text - n, "\",\"refresh_token\":\"");
    memset(text + n, 'r', length);
    memcpy(text + n + length, "\"}", 3);
    assert_int_equal(judge_text(200, text), 0);
}

static void a_refresh_token_is_kept_up_to_16_kib(void **state)
{
    (void)state;
    judge_refresh_token(16 * 1024);
    assert_int_equal(secret_length(result.id_token), RESULT_TOKEN_MAX);
    assert_int_equal(secret_length(result.refresh_token), 16 * 1024);
    judge_refresh_token(16 * 1024 + 1);
    assert_int_equal(secret_length(result.id_token), RESULT_TOKEN_MAX);
    assert_null(result.refresh_token);
}

static void what_an_exchange_is_refused_for_is_told_apart(void **state)
{
    static const struct {
        long status;
        const char *error;
        enum outcome outcome;
        enum error_code code;
    } rows[] = {
        { 400, "invalid_grant", OUTCOME_REFUSED, ERROR_SUBJECT_REFUSED },
        { 400, "invalid_request", OUTCOME_REFUSED, ERROR_SUBJECT_REFUSED },
        { 401, "invalid_token", OUTCOME_REFUSED, ERROR_SUBJECT_REFUSED },
        { 400, "invalid_target", OUTCOME_REFUSED, ERROR_EXCHANGE_REFUSED },
        { 400, "invalid_scope", OUTCOME_REFUSED, ERROR_EXCHANGE_REFUSED },
        { 403, "access_denied", OUTCOME_REFUSED, ERROR_EXCHANGE_REFUSED },
        { 400, "unauthorized_client", OUTCOME_REFUSED, ERROR_EXCHANGE_REFUSED },
        { 400, "unsupported_grant_type", OUTCOME_REFUSED, ERROR_EXCHANGE_REFUSED },
        { 401, "invalid_client", OUTCOME_REFUSED, ERROR_CLIENT_REFUSED },
        { 429, "invalid_request", OUTCOME_TEMPORARY, ERROR_RATE_LIMITED },
        { 500, "invalid_request", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT },
        { 400, "strange", OUTCOME_SOFT, ERROR_PROVIDER_ERROR },
    };
    char text[64];
    struct result r;

    (void)state;
    exchange();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "{\"error\":\"%s\"}", rows[i].error);
        if (judge(rows[i].status, text, &r) != rows[i].outcome || r.error.code != rows[i].code)
            fail_msg("%ld %s: outcome %d, %s", rows[i].status, rows[i].error, r.outcome,
                     error_name(r.error.code));
    }
    judge(400, "", &r);
    assert_int_equal(r.error.code, ERROR_EXCHANGE_REFUSED);
}

static void the_token_that_is_exchanged_is_masked(void **state)
{
    struct result r;

    (void)state;
    exchange();
    job.subject_token = "the-subject-token";
    judge(400, "{\"error\":\"invalid_grant\",\"error_description\":\"no: the-subject-token\"}", &r);
    assert_null(strstr(r.error.detail, "subject"));
}

static void further_codes_are_refusals(void **state)
{
    static const struct {
        const char *error;
        enum error_code code;
    } rows[] = {
        { "access_denied", ERROR_ACCOUNT },
        { "mfa_required", ERROR_SECOND_FACTOR }, /* with nothing to answer it by */
        { "interaction_required", ERROR_ACCOUNT },
        { "consent_required", ERROR_ACCOUNT },
        { "invalid_client", ERROR_CLIENT_REFUSED },
        { "unsupported_grant_type", ERROR_GRANT_REFUSED },
    };
    char text[128];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "{\"error\":\"%s\"}", rows[i].error);
        assert_judged(400, text, OUTCOME_REFUSED, rows[i].code);
        assert_judged(403, text, OUTCOME_REFUSED, rows[i].code);
    }
    (void)state;
}

static void a_401_for_an_unsupported_grant_refuses_the_grant(void **state)
{
    (void)state;
    assert_judged(401, "{\"error\":\"unsupported_grant_type\"}", OUTCOME_REFUSED,
                  ERROR_GRANT_REFUSED);
}

static void the_text_beside_the_code_decides_nothing(void **state)
{
    (void)state;
    assert_judged(400, "{\"error\":\"odd\",\"error_description\":\"invalid_grant\"}", OUTCOME_SOFT,
                  ERROR_PROVIDER_ERROR);
    assert_judged(400, "{\"error\":\"invalid_grant2\"}", OUTCOME_SOFT, ERROR_PROVIDER_ERROR);
}

/* At speed a wrong password would be sent again and again. */
static void a_refusal_is_one_whatever_the_status(void **state)
{
    static const long statuses[] = { 200, 302, 400, 404, 408, 418, 425, 429, 500, 503 };

    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) {
        assert_judged(statuses[i], "{\"error\":\"invalid_grant\"}", OUTCOME_REFUSED, ERROR_REFUSED);
        assert_int_equal(result.retry_after, 0);
        assert_judged(statuses[i], "{\"error\":\"invalid_client\"}", OUTCOME_REFUSED,
                      ERROR_CLIENT_REFUSED);
    }
}

static void an_error_that_passes_is_temporary_whatever_the_status(void **state)
{
    (void)state;
    assert_judged(400, "{\"error\":\"temporarily_unavailable\"}", OUTCOME_TEMPORARY,
                  ERROR_PROVIDER_FAULT);
    assert_judged(200, "{\"error\":\"server_error\"}", OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT);
    assert_judged(400, "{\"error\":\"slow_down\"}", OUTCOME_TEMPORARY, ERROR_RATE_LIMITED);
    assert_judged(429, "{\"error\":\"server_error\"}", OUTCOME_TEMPORARY, ERROR_RATE_LIMITED);
}

/* Auth0 means the client's secret by it, Dex the password. */
static void of_a_refresh_token_any_word_of_oauth_is_a_refusal(void **state)
{
    static const char *const words[] = { "invalid_request", "invalid_scope", "invalid_token",
                                         "expired_token" };
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(text, sizeof text, "{\"error\":\"%s\"}", words[i]);
        job.kind = JOB_REFRESH;
        assert_judged(400, text, OUTCOME_REFUSED, ERROR_PROVIDER_ERROR);
        assert_int_equal(result.retry_after, 0);
        assert_judged(503, text, OUTCOME_TEMPORARY, ERROR_PROVIDER_FAULT);
        job.kind = JOB_PASSWORD;
        assert_judged(400, text, OUTCOME_SOFT, ERROR_PROVIDER_ERROR);
    }
    job.kind = JOB_REFRESH; /* as Spring has it, and so a gateway that is made of it */
    assert_judged(403, "{\"status\":403,\"error\":\"Forbidden\"}", OUTCOME_SOFT,
                  ERROR_PROVIDER_ERROR);
}

static void a_401_access_denied_is_about_user_or_client(void **state)
{
    (void)state;
    assert_judged(401, "{\"error\":\"access_denied\"}", OUTCOME_REFUSED, ERROR_ACCESS_DENIED);
    assert_int_equal(error_class(result.error.code), ERROR_CLASS_REFUSED_EITHER);
    assert_judged(403, "{\"error\":\"access_denied\"}", OUTCOME_REFUSED, ERROR_ACCOUNT);
}

static void only_an_answer_without_body_type_and_challenge_refuses_silently(void **state)
{
    static const struct http_fields fields[] = { { .content_type = "text/html" },
                                                 { .www_authenticate = "Negotiate" } };
    struct http_reply reply = { .status = 401, .body = "" };

    (void)state;
    for (size_t i = 0; i < COUNT(fields); i++) {
        reply.fields = fields[i];
        result_clear(&result);
        assert_int_equal(grant_judge(&job, &reply, &result), -1);
        assert_int_equal(result.outcome, OUTCOME_SOFT);
        assert_int_equal(result.error.code, ERROR_GATEWAY);
    }
    assert_string_equal(result.error.detail, "HTTP 401, empty body (it wants Negotiate)");
    assert_judged(404, "", OUTCOME_SOFT, ERROR_PROVIDER_ERROR);
    assert_judged(405, "", OUTCOME_SOFT, ERROR_PROVIDER_ERROR);
}

/* Keycloak, Entra ID, FusionAuth: what is to be mended is the account, not the password. */
static void what_is_wrong_with_the_account_is_told_from_a_wrong_password(void **state)
{
    static const struct {
        const char *body;
        enum error_code code;
    } rows[] = {
        { "\"invalid_grant\",\"error_description\":\"Account is not fully set up\"",
          ERROR_ACCOUNT_SETUP },
        { "\"invalid_grant\",\"error_codes\":[50055]", ERROR_NEW_PASSWORD },
        { "\"invalid_grant\",\"error_codes\":[50144,50053]", ERROR_NEW_PASSWORD },
        { "\"invalid_grant\",\"error_reason\":\"user_password_expired\"", ERROR_NEW_PASSWORD },
        { "\"invalid_grant\",\"error_description\":\"Password expired\"", ERROR_NEW_PASSWORD },
        { "\"invalid_grant\",\"error_description\":\"Your password has expired.\"",
          ERROR_NEW_PASSWORD },
        { "\"invalid_grant\",\"error_description\":\"Invalid or expired password\"",
          ERROR_REFUSED },
        { "\"password_expired\"", ERROR_NEW_PASSWORD },
        { "\"password_leaked\"", ERROR_NEW_PASSWORD },
        { "\"invalid_grant\",\"error_description\":\"ACCOUNT DISABLED\"", ERROR_ACCOUNT },
        { "\"invalid_grant\",\"error_description\":\"Invalid user credentials\"", ERROR_REFUSED },
        { "\"invalid_client\",\"error_description\":\"Client requires user consent\"",
          ERROR_GRANT_REFUSED },
        { "\"invalid_client\",\"error_description\":\"Account disabled\"", ERROR_CLIENT_REFUSED },
        { "\"invalid_grant\",\"error_codes\":[50126]", ERROR_REFUSED },
        { "\"invalid_grant\",\"error_codes\":[1,50076]", ERROR_SECOND_FACTOR },
        { "\"interaction_required\",\"error_codes\":[50079]", ERROR_SECOND_FACTOR },
        { "\"interaction_required\",\"error_codes\":[53003]", ERROR_ACCOUNT },
        { "\"mfa_required\",\"mfa_token\":\"\"", ERROR_SECOND_FACTOR },
        { "\"mfa_required\",\"mfa_token\":\"Fe26\"", ERROR_OTP_REQUIRED },
        { "\"invalid_grant\",\"error_codes\":[50053]", ERROR_ACCOUNT },
        { "\"invalid_grant\",\"error_codes\":[65001],\"suberror\":\"consent_required\"",
          ERROR_ACCOUNT },
        { "\"invalid_grant\",\"error_codes\":[\"50076\"]", ERROR_REFUSED },
        { "\"invalid_grant\",\"error_codes\":50076", ERROR_REFUSED },
        { "\"invalid_grant\",\"error_description\":\"AADSTS50076\"", ERROR_REFUSED },
        { "\"invalid_grant\",\"suberror\":\"consent_required\"", ERROR_ACCOUNT },
        { "\"invalid_grant\",\"suberror\":\"bad_token\"", ERROR_REFUSED },
        { "\"invalid_grant\",\"error_reason\":\"invalid_user_credentials\"", ERROR_REFUSED },
        { "\"invalid_grant\",\"error_reason\":\"user_locked\"", ERROR_ACCOUNT },
        { "\"change_password_required\"", ERROR_NEW_PASSWORD },
        { "\"two_factor_required\",\"mfa_token\":\"Fe26\"", ERROR_SECOND_FACTOR },
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(text, sizeof text, "{\"error\":%s}", rows[i].body);
        assert_judged(400, text, OUTCOME_REFUSED, rows[i].code);
    }
}

/* ---- a one-time password --------------------------------------------------------------------- */

static void a_code_goes_with_the_password_by_a_parameter_alone(void **state)
{
    job.otp = "123456";
    assert_null(strstr(build(), "123456"));
    wipe(state);
    a_password_job(state);
    job.otp = "123456";
    job.otp_parameter = "totp";
    assert_non_null(strstr(build(), "&password=pass&totp=123456&scope="));
    wipe(state);
    a_password_job(state);
    job.otp_parameter = "totp";
    assert_null(strstr(build(), "totp"));
}

static void the_answer_to_an_mfa_token_has_no_password(void **state)
{
    (void)state;
    job.otp = "123456";
    job.mfa_token = "a&b";
    job.audience = "api";
    assert_string_equal(build(),
                        "grant_type=http%3A%2F%2Fauth0.com%2Foauth%2Fgrant-type%2Fmfa-otp&"
                        "mfa_token=a%26b&otp=123456&client_id=client&client_secret=secret");
}

static void a_refresh_takes_no_code_along(void **state)
{
    (void)state;
    job.kind = JOB_REFRESH;
    job.refresh_token = "r";
    job.otp = "123456";
    job.otp_parameter = "totp";
    assert_null(strstr(build(), "123456"));
}

static void with_a_code_sent_a_refusal_may_be_of_that(void **state)
{
    static const char wrong[] = "{\"error\":\"invalid_grant\"}";

    (void)state;
    job.otp = "123456"; /* and not sent: it was the password */
    assert_judged(403, wrong, OUTCOME_REFUSED, ERROR_REFUSED);
    job.otp_parameter = "totp";
    assert_judged(401, wrong, OUTCOME_REFUSED, ERROR_OTP_REFUSED);
    assert_judged(403, "", OUTCOME_REFUSED, ERROR_OTP_REFUSED);
    assert_judged(401, "{\"error\":\"access_denied\"}", OUTCOME_REFUSED, ERROR_OTP_REFUSED);
    assert_judged(401, "{\"error\":\"invalid_client\"}", OUTCOME_REFUSED, ERROR_CLIENT_REFUSED);
    assert_judged(400, "{\"error\":\"expired_token\"}", OUTCOME_SOFT, ERROR_PROVIDER_ERROR);
    job.otp_parameter = NULL;
    job.mfa_token = "Fe26";
    assert_judged(403, wrong, OUTCOME_REFUSED, ERROR_OTP_REFUSED);
    assert_judged(401, "{\"error\":\"expired_token\"}", OUTCOME_REFUSED, ERROR_OTP_REFUSED);
    assert_judged(403, "{\"error\":\"mfa_required\",\"mfa_token\":\"Fe27\"}", OUTCOME_REFUSED,
                  ERROR_SECOND_FACTOR);
}

/* Where a parameter is known, what another provider says without an mfa_token asks for it. */
static void a_parameter_makes_a_code_of_a_second_factor(void **state)
{
    (void)state;
    job.otp_parameter = "code";
    assert_judged(400, "{\"error\":\"two_factor_required\"}", OUTCOME_REFUSED, ERROR_OTP_REQUIRED);
    job.otp = "123456";
    assert_judged(400, "{\"error\":\"two_factor_required\"}", OUTCOME_REFUSED, ERROR_SECOND_FACTOR);
}

static void where_auth0_looks_for_the_user_has_a_remedy_of_its_own(void **state)
{
    (void)state;
    assert_judged(400,
                  "{\"error\":\"invalid_request\",\"error_description\":\"Connection does not "
                  "exist\"}",
                  OUTCOME_SOFT, ERROR_REALM);
    assert_judged(400, "{\"error\":\"invalid_request\",\"error_description\":\"unknown realm\"}",
                  OUTCOME_SOFT, ERROR_REALM);
    assert_judged(500,
                  "{\"error\":\"server_error\",\"error_description\":\"Authorization server not "
                  "configured with default connection.\"}",
                  OUTCOME_TEMPORARY, ERROR_REALM);
    assert_judged(400,
                  "{\"error\":\"invalid_request\",\"error_description\":\"connection to LDAP "
                  "failed\"}",
                  OUTCOME_SOFT, ERROR_PROVIDER_ERROR);
    assert_judged(403,
                  "{\"error\":\"invalid_grant\",\"error_description\":\"no default connection\"}",
                  OUTCOME_REFUSED, ERROR_REFUSED);
}

static void a_rate_limit_says_when(void **state)
{
    (void)state;
    assert_judged(429, "", OUTCOME_TEMPORARY, ERROR_RATE_LIMITED);
    assert_int_equal(result.retry_after, 7000000);
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void an_empty_body_and_one_that_is_no_json_are_told(void **state)
{
    (void)state;
    judge_text(403, "");
    assert_string_equal(result.error.detail, "HTTP 403, empty body");
    judge_text(200, "{\"id_token\":\"canary");
    assert_string_equal(result.error.detail, "HTTP 200, JSON that is no object, or is cut off");
    judge_text(200, "[\"canary\"]");
    assert_string_equal(result.error.detail, "HTTP 200, JSON that is no object, or is cut off");
    judge_text(400, "{}");
    assert_string_equal(result.error.detail, "HTTP 400, JSON without error");
}

static void json_that_is_not_oauths_is_told(void **state)
{
    static const char *const rows[][2] = {
        { "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"No key\"}}",
          "Unauthorized: No key" },
        { "{\"error\":{\"code\":403,\"message\":\"Blocked\",\"status\":\"DENIED\"}}",
          "DENIED: Blocked" },
        { "{\"errorCode\":\"E0000047\",\"errorSummary\":\"API call exceeded rate limit\"}",
          "E0000047: API call exceeded rate limit" },
        { "{\"message\":\"Forbidden\"}", "Forbidden" },
        { "{\"Message\":\"denied pass\"}", "denied ***" },
        { "{\"type\":\"about:blank\",\"title\":\"Forbidden\",\"detail\":\"by rule 7\"}",
          "Forbidden: by rule 7" },
    };
    char expected[128];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(expected, sizeof expected, "HTTP 403, %s", rows[i][1]);
        judge_text(403, rows[i][0]);
        assert_string_equal(result.error.detail, expected);
    }
}

static void assert_page(long status, const char *page, struct http_fields fields,
                        const char *expected)
{
    const struct http_reply reply = { .status = status,
                                      .host = "login.example.com:8443",
                                      .body = page,
                                      .length = strlen(page),
                                      .fields = fields };

    result_clear(&result);
    grant_judge(&job, &reply, &result);
    assert_string_equal(result.error.detail, expected);
}

static void a_page_is_told_by_its_title_and_by_who_sent_it(void **state)
{
    const struct http_fields none = { 0 };

    (void)state;
    assert_page(403, "<html><head><title>Request\n blocked</title>", none,
                "HTTP 403 of login.example.com:8443: Request blocked");
    assert_page(400, "<title>400 No required SSL certificate was sent</title>", none,
                "HTTP 400 of login.example.com:8443: 400 No required SSL certificate was sent (it "
                "wants a client certificate: tls-client-cert)");
    assert_page(200, "<form><input name=p type=\"password\">Sign in</form>", none,
                "HTTP 200 of login.example.com:8443: Sign in (a log-in page: is a VPN or captive "
                "portal in between?)");
    assert_page(407, "denied", (struct http_fields){ .proxy_authenticate = "NTLM", .via = "squid" },
                "HTTP 407 of login.example.com:8443 by squid: denied (a proxy that wants a log-in: "
                "NTLM)");
    assert_page(403, "x", (struct http_fields){ .server = "cloudflare", .cf_ray = "8f-FRA" },
                "HTTP 403 of login.example.com:8443 by cloudflare, ray 8f-FRA: x");
    assert_page(401, "no", (struct http_fields){ .www_authenticate = "Basic realm=\"x\"" },
                "HTTP 401 of login.example.com:8443: no (it wants Basic)");
    assert_page(502, "<h1>Bad&nbsp;Gateway</h1>", none,
                "HTTP 502 of login.example.com:8443: Bad Gateway");
}

static void secrets_are_masked_in_pages_and_their_fields(void **state)
{
    const struct http_fields server = { .server = "0123456789012345678901hunter&22hunter" };

    (void)state;
    job.password = "hunter&22hunter";
    assert_page(403, "<title>no hunter&amp;22hunter</title>", (struct http_fields){ 0 },
                "HTTP 403 of login.example.com:8443: no ***");
    assert_page(403, "denied: hunter%2622hunter", (struct http_fields){ 0 },
                "HTTP 403 of login.example.com:8443: denied: ***");
    assert_page(403, "x", server, "HTTP 403 of login.example.com:8443 by ***: x");
    job.client_secret = "s3 cret"; /* as basic-raw sends it, and as basic does */
    assert_page(500, "<p>Authorization: Basic Y2xpZW50OnMzIGNyZXQ=", (struct http_fields){ 0 },
                "HTTP 500 of login.example.com:8443: Authorization: Basic ***");
    assert_page(500, "<p>Authorization: Basic Y2xpZW50OnMzJTIwY3JldA==", (struct http_fields){ 0 },
                "HTTP 500 of login.example.com:8443: Authorization: Basic ***");
}

static void where_a_redirect_leads_is_told(void **state)
{
    struct http_reply reply = {
        .status = 302, .body = "<title>Moved</title>", .length = 20, .location = "https://a.b/login"
    };

    (void)state;
    result_clear(&result);
    grant_judge(&job, &reply, &result);
    assert_int_equal(result.outcome, OUTCOME_SOFT);
    assert_int_equal(result.error.code, ERROR_ANSWER_INVALID);
    assert_string_equal(result.error.detail, "HTTP 302, to https://a.b/login");
    reply.elsewhere = true;
    result_clear(&result);
    grant_judge(&job, &reply, &result);
    assert_string_equal(result.error.detail,
                        "HTTP 302, to https://a.b/login (a log-in page: is a VPN or captive portal "
                        "in between?)");
}

static void percent_signs_of_a_provider_are_text(void **state)
{
    (void)state;
    judge_text(400, "{\"error\":\"%s%n\",\"error_description\":\"%d%s%n\"}");
    assert_string_equal(result.error.detail, "HTTP 400, %s%n: %d%s%n");
}

/* The provider sends back what it should not. */
static void assert_not_told(const char *description, const char *secret)
{
    char text[2048];

    snprintf(text, sizeof text, "{\"error\":\"x\",\"error_description\":\"%s\"}", description);
    judge_text(400, text);
    if (strstr(result.error.detail, secret))
        fail_msg("\"%s\" is in \"%s\"", secret, result.error.detail);
}

static void a_refresh_token_is_masked(void **state)
{
    (void)state;
    job.refresh_token = "refreshtoken";
    assert_not_told("bad refreshtoken", "refreshtoken");
}

static void a_secret_in_a_granted_scope_is_masked(void **state)
{
    (void)state;
    job.password = "hunter22";
    judge_text(200, "{\"scope\":\"user:hunter22\"}");
    assert_null(strstr(result.error.detail, "hunter22"));
}

static void a_password_as_it_was_sent_is_masked(void **state)
{
    (void)state;
    job.password = "hunter&22";
    assert_not_told("bad body: username=user&password=hunter%2622", "hunter%2622");
}

static void a_password_of_several_words_is_masked_whatever_parts_them(void **state)
{
    (void)state;
    job.password = "hunter 22 twice";
    assert_not_told("bad hunter 22 twice", "hunter");
    assert_not_told("bad hunter\\n22\\ttwice", "hunter");
    assert_not_told("bad hunter  22\\u009btwice", "hunter");
    assert_not_told("bad hunter 22\xff twice", "hunter");
    assert_not_told("bad hunter\xe2\x80\x8b 22\\u202e twice", "hunter");
}

static void a_secret_that_holds_the_password_is_masked_whole(void **state)
{
    (void)state;
    job.password = "hunter22";
    job.client_secret = "prefix-hunter22-suffix";
    assert_not_told("bad prefix-hunter22-suffix", "suffix");
    job.client_secret = "hunter22 of the house"; /* several words, the first of which is it */
    assert_not_told("bad hunter22 of the house", "house");
}

static void a_password_that_a_cut_parts_is_masked(void **state)
{
    char blanks[1100];

    (void)state;
    job.password = "hunter22hunter22";
    /* Blanks are folded: what stood at the end of a buffer comes to the front. */
    for (int n = 980; n < 1024; n++) {
        snprintf(blanks, sizeof blanks, "%*s%s", n, "", job.password);
        assert_not_told(blanks, "hunt");
    }
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
        TEST(a_realm_takes_the_grant_type_of_auth0),
        TEST(audience_and_resource_are_sent),
        TEST(parameters_are_sent_with_all_that_follows_the_first_equals_sign),
        TEST(a_very_long_password_fits),
        TEST(openid_is_not_added_twice),
        TEST(without_a_scope_openid_alone_is_asked_for),
        TEST(an_empty_secret_is_never_sent),
        TEST(post_is_never_joined_by_basic),
        TEST(auto_is_post_where_neither_is_listed),
        TEST(a_configured_method_wins_over_what_is_listed),
        TEST(a_token_and_its_refresh_token_are_taken),
        TEST(an_empty_refresh_token_is_none),
        TEST(an_error_in_a_200_is_that_error),
        TEST(a_200_without_an_id_token_is_a_refusal),
        TEST(a_refresh_without_an_id_token_says_so),
        TEST(a_200_that_is_no_object_is_in_doubt),
        TEST(a_token_over_128_kib_is_in_doubt),
        TEST(a_refresh_token_is_kept_up_to_16_kib),
        TEST(an_exchange_names_both_types_and_the_audience),
        TEST(a_parameter_asks_for_another_type_than_an_id_token),
        TEST(the_token_of_an_exchange_is_found_by_its_type),
        TEST(an_access_token_is_kept_where_somebody_wants_it),
        TEST(what_an_exchange_is_refused_for_is_told_apart),
        TEST(the_token_that_is_exchanged_is_masked),
        TEST(further_codes_are_refusals),
        TEST(a_401_for_an_unsupported_grant_refuses_the_grant),
        TEST(the_text_beside_the_code_decides_nothing),
        TEST(a_refusal_is_one_whatever_the_status),
        TEST(an_error_that_passes_is_temporary_whatever_the_status),
        TEST(of_a_refresh_token_any_word_of_oauth_is_a_refusal),
        TEST(a_401_access_denied_is_about_user_or_client),
        TEST(only_an_answer_without_body_type_and_challenge_refuses_silently),
        TEST(what_is_wrong_with_the_account_is_told_from_a_wrong_password),
        TEST(a_code_goes_with_the_password_by_a_parameter_alone),
        TEST(the_answer_to_an_mfa_token_has_no_password),
        TEST(a_refresh_takes_no_code_along),
        TEST(with_a_code_sent_a_refusal_may_be_of_that),
        TEST(a_parameter_makes_a_code_of_a_second_factor),
        TEST(where_auth0_looks_for_the_user_has_a_remedy_of_its_own),
        TEST(a_rate_limit_says_when),
        TEST(an_empty_body_and_one_that_is_no_json_are_told),
        TEST(json_that_is_not_oauths_is_told),
        TEST(a_page_is_told_by_its_title_and_by_who_sent_it),
        TEST(secrets_are_masked_in_pages_and_their_fields),
        TEST(where_a_redirect_leads_is_told),
        TEST(percent_signs_of_a_provider_are_text),
        TEST(a_refresh_token_is_masked),
        TEST(a_secret_in_a_granted_scope_is_masked),
        TEST(a_password_as_it_was_sent_is_masked),
        TEST(a_password_of_several_words_is_masked_whatever_parts_them),
        TEST(a_secret_that_holds_the_password_is_masked_whole),
        TEST(a_password_that_a_cut_parts_is_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
