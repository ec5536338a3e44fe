#include "support.h"

#include <string.h>

#include "daemon/fetch/claims_diff.h"

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

static void of_two_claims_with_one_name_the_last_counts(void **state)
{
    (void)state;
    assert_string_equal(diff("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"), "");
    assert_string_equal(diff("{\"a\":1,\"a\":2}", "{\"a\":2}"), "");
    assert_string_equal(diff("{}", "{\"a\":1,\"a\":2}"), "a: is new, 2");
    assert_string_equal(diff("{\"a\":1,\"a\":2}", "{}"), "a: 2 is gone");
    assert_string_equal(diff("{\"o\":{\"a\":1,\"a\":2}}", "{\"o\":{\"a\":2}}"), "");
}

static void inner_objects_are_the_same_by_name_and_value(void **state)
{
    (void)state;
    assert_string_equal(diff("{\"o\":{\"a\":[1],\"b\":2}}", "{\"o\":{\"b\":2,\"a\":[1]}}"), "");
    assert_holds(diff("{\"o\":{\"a\":1}}", "{\"o\":{\"a\":1,\"b\":2}}"), "o: ");
    assert_holds(diff("{\"o\":{\"a\":1,\"b\":2}}", "{\"o\":{\"a\":1}}"), "o: ");
    assert_holds(diff("{\"o\":{\"a\":1,\"a\":1}}", "{\"o\":{\"a\":1,\"b\":2}}"), "o: ");
    assert_holds(diff("{\"o\":{\"a\":[1,2]}}", "{\"o\":{\"a\":[1]}}"), "o: ");
    assert_holds(diff("{\"o\":{\"a\":null}}", "{\"o\":{\"a\":false}}"), "o: ");
}

static void a_number_beyond_all_bounds_is_no_change(void **state)
{
    (void)state;
    assert_string_equal(diff("{\"a\":1e999}", "{\"a\":1e999}"), "");
    assert_holds(diff("{\"a\":1e999}", "{\"a\":-1e999}"), "a: ");
}

/* By cJSON_Compare() this takes 2^200 steps. */
static void deep_claims_are_compared_in_no_time(void **state)
{
    char json[2000] = "";

    (void)state;
    for (int i = 0; i < 200; i++)
        memcpy(json + strlen(json), "{\"a\":", 6);
    memcpy(json + strlen(json), "1", 2);
    memset(json + strlen(json), '}', 200);
    assert_string_equal(diff(json, json), "");
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
        cmocka_unit_test(of_two_claims_with_one_name_the_last_counts),
        cmocka_unit_test(inner_objects_are_the_same_by_name_and_value),
        cmocka_unit_test(a_number_beyond_all_bounds_is_no_change),
        cmocka_unit_test(deep_claims_are_compared_in_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
