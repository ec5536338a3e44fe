#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/fetch/redact.h"

static const struct job bob = { .proxy = "none",
                                .password = "bob",
                                .client_id = "client",
                                .client_secret = "s3cret",
                                .username = "bob@example.com",
                                .issuer = "https://bob.example.com/" };

static void assert_masked(const struct job *job, const char *text, const char *expected)
{
    char copy[200];

    snprintf(copy, sizeof copy, "%s", text);
    redact_secrets(job, copy);
    assert_string_equal(copy, expected);
}

static void what_stands_by_itself_is_masked(void **state)
{
    (void)state;
    assert_masked(&bob, "no bob and s3cret here", "no *** and *** here");
    assert_masked(&bob, "password=bob&client_secret=s3cret", "password=***&client_secret=***");
    assert_masked(&bob, "wrong: \"bob\".", "wrong: \"***\".");
    assert_masked(&bob, "https://s3cret/x", "https://***/x");
}

static void half_a_word_is_never_masked(void **state)
{
    (void)state;
    assert_masked(&bob, "ask bobby or j.bob@example.org", "ask *** or ***");
    assert_masked(&bob, "a-s3cret-b +bob -bob", "*** +*** -***");
    assert_masked(&bob,
                  "\xc3\xa9"
                  "bob",
                  "***");
}

static void what_is_known_stays(void **state)
{
    const struct job same = { .proxy = "none", .password = "client", .client_id = "client" };

    (void)state;
    assert_masked(&bob, "bob@example.com of bob.example.com: bob",
                  "bob@example.com of bob.example.com: ***");
    assert_masked(&same, "the client is wrong", "the client is wrong");
    assert_masked(&same, "my-client is wrong", "*** is wrong");
}

static void what_is_said_of_claims_is_whole_or_not_there(void **state)
{
    struct result result = { .n_warnings = 3,
                             .warnings = { { ERROR_EMAIL_NOT_VERIFIED, "bob@example.org" },
                                           { ERROR_CLAIM_TWICE, "bob" },
                                           { ERROR_GROUPS_CLAIM, "groups" } },
                             .changed = "email: bob@example.com -> bob@example.org" };
    struct result other = { .changed = "groups: +bob" };

    (void)state;
    redact_result(&bob, &result);
    assert_string_equal(result.warnings[0].detail, "bob@example.org");
    assert_string_equal(result.warnings[1].detail, "");
    assert_string_equal(result.warnings[2].detail, "groups");
    assert_string_equal(result.changed, "email: bob@example.com -> bob@example.org");
    redact_result(&bob, &other);
    assert_string_equal(other.changed, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stands_by_itself_is_masked),
        cmocka_unit_test(half_a_word_is_never_masked),
        cmocka_unit_test(what_is_known_stays),
        cmocka_unit_test(what_is_said_of_claims_is_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
