#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "common/time.h"

static void durations_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t seconds;
    } good[] = { { "0", 0 },     { "90", 90 },    { "90s", 90 },     { "5m", 300 },
                 { "2h", 7200 }, { "1d", 86400 }, { "1h30m", 5400 }, { "1d2h3m4s", 93784 } };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t usec = 1;
        assert_int_equal(time_parse_duration(good[i].text, strlen(good[i].text), &usec), 0);
        assert_int_equal(usec, good[i].seconds * USEC_PER_SEC);
    }
}

static void what_is_no_duration_is_refused_and_nothing_written(void **state)
{
    static const char *const bad[] = { "",
                                       "s",
                                       "m5",
                                       "5x",
                                       "-5",
                                       "1.5h",
                                       "5 m",
                                       "1m1h",
                                       "1s1s",
                                       "1h30",
                                       "99999999999999999999",
                                       "11000d" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t usec = 42;
        assert_true(time_parse_duration(bad[i], strlen(bad[i]), &usec) < 0);
        assert_int_equal(usec, 42);
    }
}

static void dates_are_those_of_the_calendar(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } dates[] = {
        { 0, "1970-01-01T00:00:00Z" },
        { 951782399, "2000-02-28T23:59:59Z" },
        { 951782400, "2000-02-29T00:00:00Z" },
        { 1709251199, "2024-02-29T23:59:59Z" },
        { 1795507200, "2026-11-24T08:00:00Z" },
        { 4107542399, "2100-02-28T23:59:59Z" },
        { 4107542400, "2100-03-01T00:00:00Z" },
        { 253402300799, "9999-12-31T23:59:59Z" },
        { 253402300800, "9999-12-31T23:59:59Z" },
        { -5, "1970-01-01T00:00:00Z" },
    };
    char out[TIME_UTC_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        time_format_utc(out, dates[i].seconds);
        assert_string_equal(out, dates[i].text);
    }
}

static void spans_are_told_in_two_units_at_most(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } spans[] = { { 0, "0 s" },         { 59, "59 s" },          { 60, "1 min" },
                  { 3599, "59 min" },   { 3600, "1 h 0 min" },   { 86399, "23 h 59 min" },
                  { 86400, "1 d 0 h" }, { 2678399, "30 d 23 h" } };
    char out[24];

    (void)state;
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        time_format_duration(out, sizeof out, spans[i].seconds * USEC_PER_SEC);
        assert_string_equal(out, spans[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(what_is_no_duration_is_refused_and_nothing_written),
        cmocka_unit_test(dates_are_those_of_the_calendar),
        cmocka_unit_test(spans_are_told_in_two_units_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
