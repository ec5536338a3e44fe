/* What was meant by a word. */
#include "support.h"

#include "common/text.h"

static const char *const words[] = { "get", "status", "refresh", "reload", "dns", "unauthorized" };

static const char *nearest(const char *word)
{
    struct text_nearest n = text_nearest_to(word);
    const char *best = "";

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text_nearest_try(&n, words[i]))
            best = words[i];
    return best;
}

static void a_word_with_a_slip_is_the_nearest_one(void **state)
{
    (void)state;
    assert_string_equal(nearest("stauts"), "status");
    assert_string_equal(nearest("statu"), "status");
    assert_string_equal(nearest("gt"), "get");
    assert_string_equal(nearest("dsn"), "dns");
    assert_string_equal(nearest("STATUS"), "status");
    assert_string_equal(nearest("unautorisd"), "unauthorized");
    assert_string_equal(nearest("get"), "get");
}

static void what_is_far_from_all_of_them_is_none(void **state)
{
    (void)state;
    assert_string_equal(nearest("401"), "");
    assert_string_equal(nearest("x"), "");
    assert_string_equal(nearest(""), "");
    assert_string_equal(nearest("kubeconfig"), "");
    assert_string_equal(nearest("unexpected-words"), "");
    assert_string_equal(nearest("a-word-that-is-longer-than-forty-letters-is-none"), "");
}

static void of_two_as_near_the_first_counts(void **state)
{
    struct text_nearest n = text_nearest_to("reloash");

    (void)state;
    assert_true(text_nearest_try(&n, "reload"));
    assert_false(text_nearest_try(&n, "refresh"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_with_a_slip_is_the_nearest_one),
        cmocka_unit_test(what_is_far_from_all_of_them_is_none),
        cmocka_unit_test(of_two_as_near_the_first_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
