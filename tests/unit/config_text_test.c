/* kubetoken.conf as lines: a section is read and changed, and all else stays. */
#define _GNU_SOURCE
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "client/admin/config_text.h"
#include "client/admin/issuer.h"

static struct config_settings settings_of(const char *const *pairs)
{
    struct config_settings settings = { 0 };

    for (; *pairs; pairs += 2)
        config_settings_add(&settings, pairs[0], pairs[1]);
    return settings;
}

static void assert_put(const char *before, const char *const *pairs, const char *after)
{
    struct config_settings settings = settings_of(pairs), again;
    size_t length;

    char *text = config_text_put(before, strlen(before), "profile p", &settings, &length);
    assert_string_equal(text, after);
    assert_int_equal(length, strlen(after));
    assert_true(config_text_read(text, length, "profile p", &again, NULL));
    assert_true(config_settings_equal(&settings, &again));
    config_settings_clear(&again);
    char *same = config_text_put(text, length, "profile p", &settings, &length);
    assert_string_equal(same, after);
    free(same);
    free(text);
    config_settings_clear(&settings);
}

static const char *const two[] = { "issuer", "https://i/", "client-id", "c", NULL };

static void a_new_section_comes_at_the_end(void **state)
{
    (void)state;
    assert_put("", two, "[profile p]\nissuer = https://i/\nclient-id = c\n");
    assert_put("# mine\n[profile q]\nissuer=x\n", two,
               "# mine\n[profile q]\nissuer=x\n\n[profile p]\nissuer = https://i/\nclient-id = "
               "c\n");
}

static void a_last_line_without_its_end_gets_one(void **state)
{
    (void)state;
    assert_put("[profile q]\nissuer=x", two,
               "[profile q]\nissuer=x\n\n[profile p]\nissuer = https://i/\nclient-id = c\n");
    assert_put("[profile p]\nissuer=x", two, "[profile p]\nissuer = https://i/\nclient-id = c\n");
    assert_put("[profile p]\nclient-id=c", two, "[profile p]\nclient-id=c\nissuer = https://i/\n");
}

static void a_byte_order_mark_stays_first(void **state)
{
    (void)state;
    assert_put("\xef\xbb\xbf", two,
               "\xef\xbb\xbf[profile p]\nissuer = https://i/\nclient-id = c\n");
    assert_put("\xef\xbb\xbf[profile p]\nissuer=https://i/\nclient-id=c\n", two,
               "\xef\xbb\xbf[profile p]\nissuer=https://i/\nclient-id=c\n");
}

static void of_a_section_that_is_there_only_what_differs_is_changed(void **state)
{
    (void)state;
    assert_put("[defaults]\nscope = a\n\n[ profile   p ]\n# kept\n  issuer=https://old/\n"
               "realm = gone\n\n; kept too\nclient-id   =   c\n\n# of q\n[profile q]\nissuer = z\n",
               two,
               "[defaults]\nscope = a\n\n[ profile   p ]\n# kept\nissuer = https://i/\n"
               "\n; kept too\nclient-id   =   c\n\n# of q\n[profile q]\nissuer = z\n");
}

static void parameters_are_several(void **state)
{
    static const char *const pairs[] = { "token-parameter", "a=1", "token-parameter", "b=2", NULL };

    (void)state;
    assert_put("[profile p]\ntoken-parameter = b=2\ntoken-parameter = c=3\n", pairs,
               "[profile p]\ntoken-parameter = b=2\ntoken-parameter = a=1\n");
}

static void the_line_of_a_section_is_told(void **state)
{
    static const char text[] = "# one\n[defaults]\nscope = s\n[profile p]\nrealm = r = r\n";
    struct config_settings settings;
    unsigned line = 0;

    (void)state;
    assert_true(config_text_read(text, sizeof text - 1, "profile p", &settings, &line));
    assert_int_equal(line, 4);
    assert_string_equal(config_settings_get(&settings, "realm"), "r = r");
    assert_null(config_settings_get(&settings, "scope"));
    config_settings_clear(&settings);
    assert_false(config_text_read(text, sizeof text - 1, "profile q", &settings, &line));
    config_settings_clear(&settings);
}

static void settings_are_equal_in_any_order(void **state)
{
    static const char *const other[] = { "client-id", "c", "issuer", "https://i/", NULL };
    static const char *const twice[] = { "client-id", "c", "client-id", "c", NULL };
    struct config_settings a = settings_of(two), b = settings_of(other), c = settings_of(twice);

    (void)state;
    assert_true(config_settings_equal(&a, &b));
    assert_false(config_settings_equal(&a, &c));
    assert_false(config_settings_equal(&c, &a));
    config_settings_clear(&a);
    config_settings_clear(&b);
    config_settings_clear(&c);
}

static void assert_without(const char *text, const char *left)
{
    size_t length;
    char *out = config_text_drop(text, strlen(text), "profile p", &length);

    assert_string_equal(out, left);
    assert_int_equal(length, strlen(left));
    free(out);
}

static void a_section_goes_without_a_trace(void **state)
{
    (void)state;
    assert_without("[profile p]\na = b\n", "");
    assert_without("# x\n\n[profile  p]\na = b\n", "# x\n");
    assert_without("[profile q]\na = b\n\n[profile p]\nc = d", "[profile q]\na = b\n");
    assert_without("[profile q]\na = b\n", "[profile q]\na = b\n");
    assert_without("[profile p]\na = b\n[profile q]\n[profile p]\nc = d\n", "[profile q]\n");
}

static void comments_of_others_stay(void **state)
{
    (void)state;
    assert_without("# first\n[profile p]\n# within\na = b\n\n# of q\n;too\n[profile q]\n",
                   "# first\n# of q\n;too\n[profile q]\n");
    assert_without("[profile p]\na = b\n# of p\n\n[profile q]\n", "[profile q]\n");
    assert_without("[profile p]\na = b\n# of p\n", "");
    assert_without("[profile p]\na = b\n\n# of the file\n", "# of the file\n");
}

static void profiles_are_counted(void **state)
{
    static const char text[] = "[defaults]\n[profile b]\n[profilex]\n[profile  a]\n";

    (void)state;
    char *first = config_text_profile(text, sizeof text - 1, 0);
    char *second = config_text_profile(text, sizeof text - 1, 1);
    assert_string_equal(first, "b");
    assert_string_equal(second, "a");
    assert_null(config_text_profile(text, sizeof text - 1, 2));
    assert_true(config_text_is_empty("\xef\xbb\xbf \n\r\n", 7));
    assert_false(config_text_is_empty("\n#\n", 3));
    free(first);
    free(second);
}

/* ---- issuer.h -------------------------------------------------------------------------------- */

static void assert_issuer(const char *given, const char *meant)
{
    char out[100];

    assert_int_equal(issuer_from(given, out, sizeof out), 0);
    assert_string_equal(out, meant);
}

static void an_issuer_is_put_right(void **state)
{
    (void)state;
    assert_issuer("example.eu.auth0.com/", "https://example.eu.auth0.com/");
    assert_issuer("https://a/realms/x", "https://a/realms/x");
    assert_issuer("http://127.0.0.1:1/", "http://127.0.0.1:1/");
    assert_issuer("https://a/.well-known/openid-configuration", "https://a");
    assert_issuer("a/realms/x/.well-known/openid-configuration/", "https://a/realms/x");
    assert_issuer("a/.well-known/openid-configuration?x=y", "https://a");
    assert_issuer("a/.well-known/openid-configurations",
                  "https://a/.well-known/openid-configurations");
}

static void a_slash_is_put_or_taken(void **state)
{
    char out[16];

    (void)state;
    assert_int_equal(issuer_with_other_slash("https://a", out, sizeof out), 0);
    assert_string_equal(out, "https://a/");
    assert_int_equal(issuer_with_other_slash("https://a/", out, sizeof out), 0);
    assert_string_equal(out, "https://a");
    assert_true(issuer_with_other_slash("https://abcdefg", out, sizeof out) < 0);
    assert_true(issuer_from("abcdefgh", out, sizeof out) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_section_comes_at_the_end),
        cmocka_unit_test(a_last_line_without_its_end_gets_one),
        cmocka_unit_test(a_byte_order_mark_stays_first),
        cmocka_unit_test(of_a_section_that_is_there_only_what_differs_is_changed),
        cmocka_unit_test(parameters_are_several),
        cmocka_unit_test(the_line_of_a_section_is_told),
        cmocka_unit_test(settings_are_equal_in_any_order),
        cmocka_unit_test(a_section_goes_without_a_trace),
        cmocka_unit_test(comments_of_others_stay),
        cmocka_unit_test(profiles_are_counted),
        cmocka_unit_test(an_issuer_is_put_right),
        cmocka_unit_test(a_slash_is_put_or_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
