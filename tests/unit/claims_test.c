#include "support.h"

#include <string.h>

#include "daemon/fetch/claims.h"

static char text[201];

static const char *diff_in(const char *before, const char *after, size_t size)
{
    cJSON *a = cJSON_Parse(before), *b = cJSON_Parse(after);

    assert_non_null(a);
    assert_non_null(b);
    claims_diff(a, b, text, size);
    cJSON_Delete(a);
    cJSON_Delete(b);
    return text;
}

static const char *diff(const char *before, const char *after)
{
    return diff_in(before, after, sizeof text);
}

static void a_group_that_came_and_one_that_went_are_named(void **state)
{
    (void)state;
    assert_string_equal(diff("{\"groups\":[\"dev\",\"all\"]}", "{\"groups\":[\"all\",\"ops\"]}"),
                        "groups: +ops -dev");
}

static void a_value_is_shown_before_and_after(void **state)
{
    (void)state;
    assert_string_equal(diff("{\"email\":\"a\",\"x\":1}", "{\"email\":\"b\",\"x\":true}"),
                        "email: a -> b; x: 1 -> true");
    assert_string_equal(diff("{}", "{\"email\":\"b\"}"), "email: is new, b");
    assert_string_equal(diff("{\"email\":\"a\"}", "{}"), "email: a is gone");
}

static void what_differs_in_every_token_is_no_change(void **state)
{
    (void)state;
    assert_string_equal(diff("{\"exp\":1,\"iat\":1,\"nbf\":1,\"jti\":\"a\",\"at_hash\":\"a\"}",
                             "{\"exp\":2,\"iat\":2,\"nbf\":2,\"jti\":\"b\",\"auth_time\":3}"),
                        "");
}

static void the_order_of_a_list_is_no_change(void **state)
{
    (void)state;
    assert_string_equal(diff("{\"groups\":[\"a\",\"b\"]}", "{\"groups\":[\"b\",\"a\"]}"), "");
}

static void a_long_change_is_cut(void **state)
{
    (void)state;
    diff_in("{\"email\":\"aaaaaaaaaaaaaaaaaaaa\"}", "{\"email\":\"b\"}", 16);
    assert_int_equal(strlen(text), 15);
    assert_string_equal(text + 12, "...");
}

static void the_case_of_a_name_counts(void **state)
{
    (void)state;
    assert_string_equal(diff("{\"A\":1}", "{\"a\":1}"), "a: is new, 1; A: 1 is gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_that_came_and_one_that_went_are_named),
        cmocka_unit_test(a_value_is_shown_before_and_after),
        cmocka_unit_test(what_differs_in_every_token_is_no_change),
        cmocka_unit_test(the_order_of_a_list_is_no_change),
        cmocka_unit_test(a_long_change_is_cut),
        cmocka_unit_test(the_case_of_a_name_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
