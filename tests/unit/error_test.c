#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "common/error.h"
#include "common/secret.h"

static void every_row_has_a_name_of_its_own_and_a_sentence(void **state)
{
    (void)state;
    for (int i = 1; i < ERROR_MAX; i++) {
        const char *name = error_name((enum error_code)i);
        assert_true(strlen(name) > 0);
        assert_true(strlen(error_sentence((enum error_code)i)) > 0);
        assert_in_range(error_exit_code((enum error_code)i), 0, 9);
        assert_int_equal(error_from_name(name, strlen(name)), i);
    }
    assert_int_equal(error_from_name("no such", 7), ERROR_INTERNAL);
    assert_int_equal(error_from_name("none", 4), ERROR_INTERNAL);
}

static bool has_class(enum error_code code)
{
    return error_class(code) >= ERROR_CLASS_NONE && error_class(code) <= ERROR_CLASS_ACCEPTED;
}

static bool has_link(enum error_code code)
{
    return error_link(code) >= ERROR_LINK_NONE && error_link(code) <= ERROR_LINK_STEP;
}

static void every_row_says_where_it_belongs(void **state)
{
    (void)state;
    for (int i = 0; i < ERROR_MAX; i++)
        if (!has_link((enum error_code)i))
            fail_msg("%s has no link", error_name((enum error_code)i));
    assert_int_equal(error_link((enum error_code)ERROR_MAX), error_link(ERROR_INTERNAL));
}

static void every_row_says_what_it_means_for_the_request(void **state)
{
    (void)state;
    for (int i = 0; i < ERROR_MAX; i++)
        if (!has_class((enum error_code)i))
            fail_msg("%s has no class", error_name((enum error_code)i));
    assert_int_equal(error_class((enum error_code)ERROR_MAX), error_class(ERROR_INTERNAL));
}

/* By what each means for the password that was sent: a change here is one of who is locked out. */
static void each_failure_of_a_request_has_its_class_and_the_rest_has_none(void **state)
{
    static const struct {
        enum error_class class;
        enum error_code codes[24];
    } rows[] = {
        { ERROR_CLASS_LOCAL,
          { ERROR_CONFIG, ERROR_NO_CONFIG, ERROR_CREDENTIAL, ERROR_NO_COMMAND, ERROR_LOGIN_NEEDED,
            ERROR_NOT_LOGGED_IN, ERROR_COMMAND_TOKEN, ERROR_COMMAND_STALE, ERROR_TLS_FILE,
            ERROR_FETCHER, ERROR_STUCK, ERROR_DESCRIPTORS, ERROR_INTERNAL } },
        { ERROR_CLASS_LOCAL, { ERROR_SOURCE_LOGIN, ERROR_SOURCE_REFUSED } },
        { ERROR_CLASS_UNSENT,
          { ERROR_DNS, ERROR_CONNECT, ERROR_TLS, ERROR_DISCOVERY_INVALID, ERROR_ISSUER_TEMPLATE,
            ERROR_KEYS_INVALID, ERROR_NO_DEVICE_LOGIN } },
        { ERROR_CLASS_TRANSIENT, { ERROR_PROVIDER_FAULT, ERROR_RATE_LIMITED } },
        { ERROR_CLASS_LOST, { ERROR_TIMEOUT, ERROR_TRANSFER, ERROR_INTERRUPTED } },
        { ERROR_CLASS_THROTTLED, { ERROR_THROTTLED, ERROR_DOUBTED, ERROR_SILENCE, ERROR_DENIED } },
        { ERROR_CLASS_SOFT,
          { ERROR_PROVIDER_ERROR, ERROR_ANSWER_INVALID, ERROR_GATEWAY, ERROR_PROXY_LOGIN,
            ERROR_REALM } },
        { ERROR_CLASS_PROXY, { ERROR_PROXY_REFUSED } },
        { ERROR_CLASS_REFUSED_USER,
          { ERROR_REFUSED, ERROR_ACCOUNT, ERROR_NEW_PASSWORD, ERROR_ACCOUNT_SETUP,
            ERROR_OTP_REQUIRED, ERROR_OTP_REFUSED, ERROR_SECOND_FACTOR, ERROR_LOGIN_DENIED,
            ERROR_CODE_EXPIRED } },
        { ERROR_CLASS_REFUSED_USER, { ERROR_SUBJECT_REFUSED, ERROR_EXCHANGE_REFUSED } },
        { ERROR_CLASS_ACCEPTED, { ERROR_EXCHANGE_TYPE } },
        { ERROR_CLASS_REFUSED_CLIENT, { ERROR_CLIENT_REFUSED, ERROR_GRANT_REFUSED } },
        { ERROR_CLASS_REFUSED_EITHER, { ERROR_REFUSED_SILENTLY, ERROR_ACCESS_DENIED } },
        { ERROR_CLASS_ACCEPTED,
          { ERROR_NO_ID_TOKEN, ERROR_ISSUER_MISMATCH, ERROR_TOKEN_INVALID, ERROR_TOKEN_ALGORITHM,
            ERROR_TOKEN_SIGNATURE, ERROR_KEY_UNSAFE, ERROR_TOKEN_AUDIENCE, ERROR_TOKEN_EXPIRED,
            ERROR_TOKEN_STALE, ERROR_TOKEN_TOO_LONG, ERROR_TOKEN_ENCRYPTED,
            ERROR_TOKEN_UNVERIFIABLE } },
    };
    enum error_class expected[ERROR_MAX] = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < 24 && rows[i].codes[j] != ERROR_NONE; j++)
            expected[rows[i].codes[j]] = rows[i].class;
    for (int i = 0; i < ERROR_MAX; i++)
        if (error_class((enum error_code)i) != (expected[i] ? expected[i] : ERROR_CLASS_NONE))
            fail_msg("%s is of class %d", error_name((enum error_code)i),
                     error_class((enum error_code)i));
}

static void foreign_text_is_made_printable(void **state)
{
    char out[32];

    (void)state;
    error_clean(out, sizeof out, " a\r\n\tb\x1b[1m \xff\xc3\xa9 ", 15);
    assert_string_equal(out, "a b [1m \xc3\xa9");
    error_clean(out, sizeof out,
                "\xc2\x9b"
                "31m\xe2\x80",
                7); /* a C1 control, a cut character */
    assert_string_equal(out, "31m");
    assert_int_equal(error_clean(out, 4, "ab\xc3\xa9", 4), 2); /* not half a character */
    assert_string_equal(out, "ab");
}

static void a_line_is_one_line_that_ends(void **state)
{
    char out[1024], small[20];
    struct error e;

    (void)state;
    error_set(&e, ERROR_CONNECT, "%s", "a\nb");
    size_t length = error_line(out, sizeof out, "p", e.code, e.detail);
    assert_int_equal(length, strlen(out));
    assert_ptr_equal(strchr(out, '\n'), out + length - 1);
    assert_memory_equal(out, "kubetoken: p: ", 14);
    length = error_line(small, sizeof small, "profile", e.code, e.detail);
    assert_int_equal(length, sizeof small - 1);
    assert_int_equal(small[length - 1], '\n');
}

static void a_remedy_names_systemd_only_where_that_keeps_the_daemon(void **state)
{
    (void)state;
    for (int i = 1; i < ERROR_MAX; i++) {
        const char *remedy = error_remedy_for((enum error_code)i, ERROR_KEEPER_NONE);
        bool by_systemd = i == ERROR_BY_SYSTEMD || i == ERROR_START_FAILED; /* it said so */
        if (!by_systemd && (strstr(remedy, "systemctl") || strstr(remedy, "journalctl")))
            fail_msg("%s: %s", error_name((enum error_code)i), remedy);
    }
    assert_non_null(strstr(error_remedy(ERROR_INTERNAL), "journalctl"));
    error_set_keeper(ERROR_KEEPER_NONE, NULL);
    assert_string_equal(error_remedy(ERROR_INTERNAL), "see the log of kubetokend");
    assert_string_equal(error_remedy(ERROR_NO_DAEMON), "start it with: kubetoken restart");
    assert_string_equal(error_remedy(ERROR_DNS), "check the network and issuer");
    error_set_keeper(ERROR_KEEPER_SYSTEMD, NULL);
}

static void a_remedy_names_the_log_where_that_is_known(void **state)
{
    char out[1024], path[300];

    (void)state;
    error_set_keeper(ERROR_KEEPER_NONE, "/home/u/.local/state/kubetoken/log");
    error_line(out, sizeof out, NULL, ERROR_INTERNAL, "x");
    assert_string_equal(out, "kubetoken: internal error: x; see the log of kubetokend; log: "
                             "/home/u/.local/state/kubetoken/log\n");
    assert_null(strstr(error_remedy(ERROR_NO_DAEMON), "log"));
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    error_set_keeper(ERROR_KEEPER_NONE, path); /* half a path would be another one */
    assert_string_equal(error_remedy(ERROR_INTERNAL), "see the log of kubetokend");
    error_set_keeper(ERROR_KEEPER_SYSTEMD, NULL);
}

static void a_freed_secret_is_wiped_and_its_neighbours_live(void **state)
{
    struct secret *a = secret_copy("first secret", 12), *b = secret_copy("second", 6);
    struct secret *large = secret_new(200000), *after = secret_copy("after", 5);
    char *bytes = secret_bytes(a);

    (void)state;
    assert_non_null(large);
    a = secret_free(a);
    assert_null(memchr(bytes, 'f', 12));
    assert_string_equal(secret_peek(b), "second");
    secret_free(large); /* what stands beside a large one must outlive it */
    assert_string_equal(secret_peek(after), "after");
    assert_true(secret_equal(b, b));
    assert_false(secret_equal(b, after));
    assert_false(secret_equal(b, NULL));
    secret_free(b);
    secret_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_a_name_of_its_own_and_a_sentence),
        cmocka_unit_test(every_row_says_where_it_belongs),
        cmocka_unit_test(every_row_says_what_it_means_for_the_request),
        cmocka_unit_test(each_failure_of_a_request_has_its_class_and_the_rest_has_none),
        cmocka_unit_test(a_remedy_names_systemd_only_where_that_keeps_the_daemon),
        cmocka_unit_test(a_remedy_names_the_log_where_that_is_known),
        cmocka_unit_test(foreign_text_is_made_printable),
        cmocka_unit_test(a_line_is_one_line_that_ends),
        cmocka_unit_test(a_freed_secret_is_wiped_and_its_neighbours_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
