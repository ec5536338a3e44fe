#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "client/service.h"

static struct error why;

static enum service_state judge(const char *text)
{
    why = (struct error){ ERROR_NONE, "" };
    return service_judge(text, &why);
}

/* As systemd 252 says it between two starts; the process ran, or its exec failed, after the last
 * time that the service was active. */
#define BETWEEN                                                                                    \
    "ActiveState=activating\nActiveEnterTimestampMonotonic=100\n"                                  \
    "ExecMainStartTimestampMonotonic=200\n"

static void a_start_that_failed_is_told_with_its_cause(void **state)
{
    static const struct {
        const char *text, *cause;
    } cases[] = {
        { "Result=exit-code\nExecMainStatus=203\n",
          "its program is missing, or cannot be run (status 203)" },
        { "Result=exit-code\nExecMainStatus=243\n",
          "a credential of its unit cannot be loaded (status 243)" },
        { "Result=exit-code\nExecMainStatus=226\n",
          "it could not be run as its unit says, see systemd.exec(5) (status 226)" },
        { "Result=exit-code\nExecMainStatus=2\n",
          "it does not know an option in its ExecStart= (status 2)" },
        { "Result=exit-code\nExecMainStatus=9\n", "HOME is not set (status 9)" },
        { "Result=exit-code\nExecMainStatus=1\nStatusText=no room\n",
          "its log says why (status 1); it said: no room" },
        { "Result=signal\nExecMainStatus=31\n", "it was killed by signal 31" },
        { "Result=core-dump\nExecMainStatus=11\nStatusText=\n", "it was killed by signal 11" },
        { "Result=timeout\nExecMainStatus=15\n", "systemd says timeout" },
        { "Result=protocol\nExecMainStatus=0\n", "systemd says protocol" },
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s", BETWEEN, cases[i].text);
        assert_int_equal(judge(text), SERVICE_FAILS);
        assert_int_equal(why.code, ERROR_START_FAILED);
        assert_string_equal(why.detail, cases[i].cause);
    }
}

static void a_service_that_failed_for_good_is_told_too(void **state)
{
    (void)state;
    assert_int_equal(judge("ActiveState=failed\nResult=exit-code\n"
                           "ExecMainStatus=203\nActiveEnterTimestampMonotonic=0\n"
                           "ExecMainStartTimestampMonotonic=200\n"),
                     SERVICE_FAILS);
}

static void one_that_was_ready_and_crashed_comes_back(void **state)
{
    (void)state;
    assert_int_equal(judge("ActiveState=activating\nResult=core-dump\n"
                           "ExecMainStatus=11\nActiveEnterTimestampMonotonic=201\n"
                           "ExecMainStartTimestampMonotonic=200\n"),
                     SERVICE_NO_CAUSE);
    assert_int_equal(why.code, ERROR_NONE);
}

static void one_that_runs_is_waited_for(void **state)
{
    (void)state;
    assert_int_equal(judge("ActiveState=active\nResult=success\n"), SERVICE_NO_CAUSE);
}

static void one_that_starts_just_now_is_looked_at_again(void **state)
{
    (void)state;
    assert_int_equal(judge("ActiveState=activating\nResult=success\n"
                           "ActiveEnterTimestampMonotonic=0\nExecMainStartTimestampMonotonic=5\n"),
                     SERVICE_STARTS);
}

static void what_stopped_in_an_earlier_life_says_nothing_of_who_listens_now(void **state)
{
    (void)state;
    assert_int_equal(judge("ActiveState=inactive\nResult=exit-code\nExecMainStatus=1\n"),
                     SERVICE_NO_CAUSE);
}

static void without_an_answer_there_is_no_cause(void **state)
{
    (void)state;
    assert_int_equal(judge(""), SERVICE_NO_CAUSE);
    assert_int_equal(judge("Failed to connect to bus: No medium found\n"), SERVICE_NO_CAUSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_that_failed_is_told_with_its_cause),
        cmocka_unit_test(a_service_that_failed_for_good_is_told_too),
        cmocka_unit_test(one_that_was_ready_and_crashed_comes_back),
        cmocka_unit_test(one_that_runs_is_waited_for),
        cmocka_unit_test(one_that_starts_just_now_is_looked_at_again),
        cmocka_unit_test(what_stopped_in_an_earlier_life_says_nothing_of_who_listens_now),
        cmocka_unit_test(without_an_answer_there_is_no_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
