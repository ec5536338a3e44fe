/* The fields of an answer that say when. */
#include "support.h"

#include "common/time.h"
#include "daemon/fetch/http_field.h"

enum { DATE = 1795507200 };

#define DATE_TEXT "Tue, 24 Nov 2026 08:00:00 GMT"

static void assert_wait(const char *value, uint64_t seconds)
{
    assert_int_equal(http_field_retry_after(value, DATE), seconds * USEC_PER_SEC);
}

static void a_date_is_read(void **state)
{
    (void)state;
    assert_int_equal(http_field_date(DATE_TEXT), DATE);
    assert_int_equal(http_field_date("Tuesday, 24-Nov-26 08:00:00 GMT"), DATE);
    assert_int_equal(http_field_date("Tue Nov 24 08:00:00 2026"), DATE);
}

static void an_age_is_whole_seconds(void **state)
{
    (void)state;
    assert_int_equal(http_field_age("0"), 0);
    assert_int_equal(http_field_age("3600"), 3600);
    assert_int_equal(http_field_age("99999999999999999999"), HTTP_FIELD_AGE_MAX);
    assert_int_equal(http_field_age("-1"), 0);
    assert_int_equal(http_field_age("60, 70"), 0);
    assert_int_equal(http_field_age(""), 0);
}

static void what_is_no_date_is_none(void **state)
{
    (void)state;
    assert_int_equal(http_field_date(""), 0);
    assert_int_equal(http_field_date("soon"), 0);
    assert_int_equal(http_field_date("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    assert_int_equal(http_field_date("Thu, 01 Jan 1960 00:00:00 GMT"), 0);
}

static void a_wait_may_be_seconds(void **state)
{
    (void)state;
    assert_wait("0", 0);
    assert_wait("120", 120);
    assert_wait("86400", 86400);
}

static void a_wait_may_be_a_date_by_the_clock_of_the_provider(void **state)
{
    (void)state;
    assert_wait("Tue, 24 Nov 2026 08:10:00 GMT", 600);
    assert_wait(DATE_TEXT, 0);
    assert_wait("Tue, 24 Nov 2026 07:59:59 GMT", 0);
}

static void without_the_clock_of_the_provider_ours_counts(void **state)
{
    (void)state;
    assert_int_equal(http_field_retry_after("Tue, 24 Nov 2015 08:00:00 GMT", 0), 0);
    assert_true(http_field_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", 0) > 0);
}

static void nobody_waits_longer_than_a_day(void **state)
{
    (void)state;
    assert_wait("86401", 86400);
    assert_wait("863999", 86400);
    assert_wait("99999999999999999999999999", 86400);
    assert_wait("Fri, 31 Dec 9999 23:59:59 GMT", 86400);
    assert_wait("Mon, 01 Jan 600000 00:00:00 GMT", 86400); /* over 2^64 usec */
}

static void what_is_no_wait_is_none(void **state)
{
    (void)state;
    assert_wait("", 0);
    assert_wait("soon", 0);
    assert_wait("-5", 0);
    assert_wait("1.5", 0);
}

static void the_reset_of_a_limit_is_a_date_or_a_span(void **state)
{
    (void)state;
    assert_int_equal(http_field_reset("0", DATE), 0);
    assert_int_equal(http_field_reset("60", DATE), 60 * USEC_PER_SEC);
    assert_int_equal(http_field_reset("60", 0), 60 * USEC_PER_SEC);
    assert_int_equal(http_field_reset("1795507260", DATE), 60 * USEC_PER_SEC);
    assert_int_equal(http_field_reset("1795507199", DATE), 0);
    assert_int_equal(http_field_reset("1895507260", DATE), 86400 * USEC_PER_SEC);
}

/* A wall clock that is wrong would make it any time. */
static void without_the_clock_of_the_provider_a_date_of_a_reset_says_nothing(void **state)
{
    (void)state;
    assert_int_equal(http_field_reset("1795507260", 0), 0);
}

static void what_is_no_reset_is_none(void **state)
{
    static const char *const values[] = { "",    "soon",          "-5",
                                          "1.5", "1795507260000", "99999999999999999999999999" };

    (void)state;
    for (size_t i = 0; i < COUNT(values); i++)
        assert_int_equal(http_field_reset(values[i], DATE), 0);
}

static void assert_shown(const char *url, const char *expected)
{
    char out[64];

    http_field_show_url(url, out, sizeof out);
    assert_string_equal(out, expected);
}

static void a_url_is_shown_without_what_may_be_secret(void **state)
{
    (void)state;
    assert_shown("https://u:p@login.example:8443/a/b?token=x#y", "https://login.example:8443/a/b");
    assert_shown("https://login.example/a;jsessionid=1", "https://login.example/a");
    assert_shown("https://login.example/a\x1b[31m", "");
    assert_shown("not a url", "");
    assert_shown("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_date_is_read),
        cmocka_unit_test(an_age_is_whole_seconds),
        cmocka_unit_test(what_is_no_date_is_none),
        cmocka_unit_test(a_wait_may_be_seconds),
        cmocka_unit_test(a_wait_may_be_a_date_by_the_clock_of_the_provider),
        cmocka_unit_test(without_the_clock_of_the_provider_ours_counts),
        cmocka_unit_test(nobody_waits_longer_than_a_day),
        cmocka_unit_test(what_is_no_wait_is_none),
        cmocka_unit_test(the_reset_of_a_limit_is_a_date_or_a_span),
        cmocka_unit_test(without_the_clock_of_the_provider_a_date_of_a_reset_says_nothing),
        cmocka_unit_test(what_is_no_reset_is_none),
        cmocka_unit_test(a_url_is_shown_without_what_may_be_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
