/* What is known of a provider. */
#include "support.h"

#include "common/time.h"
#include "daemon/fetch/provider.h"

enum { DATE = 1795507200 };

static int64_t clock_of(int64_t date, uint64_t dated)
{
    const struct provider p = { .cache = { .date = date, .dated = dated } };

    return provider_clock(&p);
}

static void its_clock_goes_on_and_is_never_late(void **state)
{
    uint64_t now = time_boottime();

    (void)state;
    assert_in_range(clock_of(DATE, now), DATE, DATE + 60);
    if (now < 5 * USEC_PER_SEC)
        return; /* a machine that has just been started */
    assert_in_range(clock_of(DATE, now - 4 * USEC_PER_SEC), DATE + 4, DATE + 64);
}

static void what_was_not_told_or_is_of_another_boot_is_none(void **state)
{
    (void)state;
    assert_int_equal(clock_of(0, time_boottime()), 0);
    assert_int_equal(clock_of(DATE, 0), 0);
    assert_int_equal(clock_of(DATE, time_boottime() + 3600 * USEC_PER_SEC), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_clock_goes_on_and_is_never_late),
        cmocka_unit_test(what_was_not_told_or_is_of_another_boot_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
