#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/metrics.h"

static const char *const states[] = { "idle", "login needed", NULL };
static const struct metrics_daemon well = { .version = "1.2", .in_force = true };

/* The text of those profiles; good until the next call. */
static const char *text_of(const struct metrics_profile *profiles, size_t n)
{
    static char *text;
    size_t size;

    free(text);
    text = NULL;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    metrics_write(f, &well, profiles, n, states);
    fclose(f);
    return text;
}

/* Whether the line stands there, whole. */
static void assert_line(const char *text, const char *line)
{
    size_t length = strlen(line);

    for (const char *at = text; (at = strstr(at, line)); at++)
        if ((at == text || at[-1] == '\n') && at[length] == '\n')
            return;
    fail_msg("%s is no line of\n%s", line, text);
}

static void without_profiles_there_is_the_daemon(void **state)
{
    (void)state;
    assert_string_equal(text_of(NULL, 0),
                        "# HELP kubetoken_up Whether kubetokend answers.\n"
                        "# TYPE kubetoken_up gauge\n"
                        "kubetoken_up 1\n"
                        "# HELP kubetoken_build_info The version of kubetokend.\n"
                        "# TYPE kubetoken_build_info gauge\n"
                        "kubetoken_build_info{version=\"1.2\"} 1\n"
                        "# HELP kubetoken_configuration_in_force Whether what is in the files is "
                        "what kubetokend goes by.\n"
                        "# TYPE kubetoken_configuration_in_force gauge\n"
                        "kubetoken_configuration_in_force 1\n"
                        "# HELP kubetoken_configuration_errors Errors in the configuration's "
                        "files.\n"
                        "# TYPE kubetoken_configuration_errors gauge\n"
                        "kubetoken_configuration_errors 0\n");
}

static void what_a_label_holds_is_escaped(void **state)
{
    const struct metrics_profile p = {
        .name = "p", .issuer = "https://i/", .user = "CORP\\some \"one\"\n\xc3\xbc", .state = "idle"
    };

    (void)state;
    assert_line(text_of(&p, 1), "kubetoken_profile_info{profile=\"p\",issuer=\"https://i/\","
                                "user=\"CORP\\\\some \\\"one\\\"\\n\xc3\xbc\"} 1");
}

static void a_user_is_named_only_where_he_is_given(void **state)
{
    const struct metrics_profile p = { .name = "p", .issuer = "https://i/", .state = "idle" };

    (void)state;
    assert_line(text_of(&p, 1), "kubetoken_profile_info{profile=\"p\",issuer=\"https://i/\"} 1");
}

static void a_profile_is_in_one_state(void **state)
{
    const struct metrics_profile p = { .name = "p", .issuer = "", .state = "login needed" };

    (void)state;
    assert_line(text_of(&p, 1), "kubetoken_profile_state{profile=\"p\",state=\"idle\"} 0");
    assert_line(text_of(&p, 1), "kubetoken_profile_state{profile=\"p\",state=\"login needed\"} 1");
}

static void what_there_is_not_is_left_out(void **state)
{
    static const char *const absent[] = { "token_verified", "_expiration_", "_renewal_",
                                          "_retry_",        "_error",       "clock_offset" };
    const struct metrics_profile p = { .name = "p", .issuer = "", .state = "idle" };
    const char *text = text_of(&p, 1);

    (void)state;
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_null(strstr(strstr(text, "profile_info"), absent[i]));
    assert_line(text, "kubetoken_profile_has_token{profile=\"p\"} 0");
}

static void the_numbers_of_a_profile(void **state)
{
    static const char *const lines[] = {
        "kubetoken_profile_error{profile=\"q\",code=\"refused\"} 1",
        "kubetoken_profile_state_since_timestamp_seconds{profile=\"q\"} 1",
        "kubetoken_profile_has_token{profile=\"q\"} 1",
        "kubetoken_profile_token_verified{profile=\"q\"} 0",
        "kubetoken_profile_token_expiration_timestamp_seconds{profile=\"q\"} 253402300799",
        "kubetoken_profile_renewal_timestamp_seconds{profile=\"q\"} 3",
        "kubetoken_profile_retry_timestamp_seconds{profile=\"q\"} 4",
        "kubetoken_profile_clock_offset_seconds{profile=\"q\"} -5",
        "kubetoken_profile_warnings{profile=\"q\"} 6",
        "# TYPE kubetoken_profile_handouts_total counter",
        "kubetoken_profile_handouts_total{profile=\"q\"} 7",
        "kubetoken_profile_renewals_total{profile=\"q\"} 8",
        "kubetoken_profile_failures_total{profile=\"q\"} 9",
    };
    const struct metrics_profile two[] = {
        { .name = "p", .issuer = "", .state = "idle" },
        { .name = "q",
          .issuer = "",
          .state = "idle",
          .error = "refused",
          .since = 1,
          .has_token = true,
          .expiration = 253402300799,
          .renewal = 3,
          .retry = 4,
          .has_clock_offset = true,
          .clock_offset = -5,
          .warnings = 6,
          .handouts = 7,
          .renewals = 8,
          .failures = 9 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_line(text_of(two, 2), lines[i]);
}

/* Promtool wants all of a family in one place, under one head. */
static void each_family_has_one_head(void **state)
{
    const struct metrics_profile two[] = {
        { .name = "p", .issuer = "", .state = "idle", .error = "dns", .has_token = true },
        { .name = "q", .issuer = "", .state = "idle", .error = "dns", .has_token = true },
    };
    const char *text = text_of(two, 2);

    (void)state;
    for (const char *at = text; (at = strstr(at, "# TYPE ")); at++) {
        size_t length = strcspn(at, "\n");
        char head[200];
        assert_true(length < sizeof head);
        memcpy(head, at, length);
        head[length] = '\0';
        assert_null(strstr(at + 1, head));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_profiles_there_is_the_daemon),
        cmocka_unit_test(what_a_label_holds_is_escaped),
        cmocka_unit_test(a_user_is_named_only_where_he_is_given),
        cmocka_unit_test(a_profile_is_in_one_state),
        cmocka_unit_test(what_there_is_not_is_left_out),
        cmocka_unit_test(the_numbers_of_a_profile),
        cmocka_unit_test(each_family_has_one_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
