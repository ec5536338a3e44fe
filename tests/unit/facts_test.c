/* What is kept of a result, and comes back of it. */
#define _GNU_SOURCE
#include "support.h"

#include <string.h>

#include "daemon/facts.h"

static struct result given, got;
static struct facts facts;

static int setup(void **state)
{
    (void)state;
    given = (struct result){ .outcome = OUTCOME_TOKEN,
                             .sent = 1,
                             .lifetime = 2,
                             .has_clock_offset = true,
                             .clock_offset = -3,
                             .verified = true,
                             .key_gone = true,
                             .user = "somebody",
                             .sub = "auth0|1",
                             .email = "somebody@example.com",
                             .key = "key-1",
                             .n_warnings = 2,
                             .warnings = { { ERROR_TOKEN_LONG, "9,000 bytes" },
                                           { ERROR_ODD_CREDENTIAL, "" } } };
    facts_take(&facts, &given);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    facts_clear(&facts);
    return 0;
}

static void what_was_taken_comes_back(void **state)
{
    (void)state;
    facts_give(&facts, &got);
    assert_memory_equal(&got, &given, sizeof got);
}

static void each_warning_has_its_own_words(void **state)
{
    struct error warning;

    (void)state;
    facts_warning(&facts, 0, &warning);
    assert_int_equal(warning.code, ERROR_TOKEN_LONG);
    assert_string_equal(warning.detail, "9,000 bytes");
    facts_warning(&facts, 1, &warning);
    assert_int_equal(warning.code, ERROR_ODD_CREDENTIAL);
    assert_string_equal(warning.detail, "");
}

static void the_next_token_leaves_nothing_of_the_last(void **state)
{
    const struct result next = { .outcome = OUTCOME_TOKEN, .sent = 7, .lifetime = 8, .sub = "x" };

    (void)state;
    assert_true(facts_take(&facts, &next));
    facts_give(&facts, &got);
    assert_memory_equal(&got, &next, sizeof got);
}

static void the_longest_of_all_is_kept(void **state)
{
    (void)state;
    memset(given.user, 'u', RESULT_DETAIL_MAX);
    memset(given.sub, 's', RESULT_DETAIL_MAX);
    memset(given.email, 'e', RESULT_DETAIL_MAX);
    memset(given.key, 'k', RESULT_KEY_MAX);
    given.n_warnings = RESULT_WARNINGS_MAX;
    for (unsigned i = 0; i < RESULT_WARNINGS_MAX; i++) {
        given.warnings[i].code = ERROR_TOKEN_LONG;
        memset(given.warnings[i].detail, 'a' + (int)i, ERROR_DETAIL_MAX);
    }
    assert_true(facts_take(&facts, &given));
    facts_give(&facts, &got);
    assert_memory_equal(&got, &given, sizeof got);
}

static void nothing_is_known_of_no_token(void **state)
{
    (void)state;
    facts_clear(&facts);
    assert_string_equal(facts.user, "");
    assert_string_equal(facts.sub, "");
    assert_string_equal(facts.email, "");
    assert_string_equal(facts.key, "");
    assert_true(facts.lifetime == 0 && facts.n_warnings == 0 && facts.held == NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_taken_comes_back),
        TEST(each_warning_has_its_own_words),
        TEST(the_next_token_leaves_nothing_of_the_last),
        TEST(the_longest_of_all_is_kept),
        TEST(nothing_is_known_of_no_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
