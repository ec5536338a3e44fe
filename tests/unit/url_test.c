/* The little that is known of a URL without parsing it whole. */
#define _GNU_SOURCE
#include "support.h"

#include <string.h>

#include "common/url.h"

static void assert_authority(const char *url, const char *expected)
{
    size_t length;
    const char *at = url_authority(url, &length);

    assert_int_equal(length, strlen(expected));
    assert_memory_equal(at, expected, length);
}

static void the_authority_is_the_host_with_its_port(void **state)
{
    (void)state;
    assert_authority("https://login.example.com:8443/a?b", "login.example.com:8443");
}

static void the_authority_ends_at_path_query_or_fragment(void **state)
{
    (void)state;
    assert_authority("https://h/x", "h");
    assert_authority("https://h?x", "h");
    assert_authority("https://h#x", "h");
    assert_authority("https://h", "h");
}

static void without_a_scheme_the_whole_text_is_the_authority(void **state)
{
    (void)state;
    assert_authority("login.example.com", "login.example.com");
    assert_authority("", "");
}

static void loopback_is_recognized(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1/",  "http://127.0.0.1:8080/x", "http://localhost", "http://localhost:1/",
        "http://LOCALHOST/",  "HTTP://localhost/",       "http://[::1]/",    "http://[::1]:80/",
        "http://localhost?x", "http://localhost/@",
    };

    for (size_t i = 0; i < COUNT(urls); i++)
        if (!url_is_loopback_http(urls[i]))
            fail_msg("%s is loopback", urls[i]);
    (void)state;
}

static void what_only_looks_like_loopback_is_not(void **state)
{
    static const char *const urls[] = {
        "https://localhost/",
        "http://localhost.evil.com/",
        "http://127.0.0.1.evil.com/",
        "http://127.0.0.1@evil.com/",
        "http://localhost:80@evil/",
        "http://evil.com/localhost",
        "http://evil.com?localhost",
        "http://127.0.0.2/",
        "http://localhos/",
        "http://[::1/",
        "http://[::2]/",
        "http:///localhost",
        "localhost",
        "",
        "http://evil#@localhost/",
        "http://localhost\\.evil.com/",
    };

    for (size_t i = 0; i < COUNT(urls); i++)
        if (url_is_loopback_http(urls[i]))
            fail_msg("%s is not loopback", urls[i]);
    (void)state;
}

static void text_behind_the_bracket_is_no_loopback(void **state)
{
    (void)state;
    assert_false(url_is_loopback_http("http://[::1].evil.com/"));
}

static void plain_urls_are_plain(void **state)
{
    static const char *const urls[] = {
        "https://h",        "https://h/",   "https://h:8443/a/b?c=d&e=f",
        "http://[::1]:80/", "https://h/@x", "https://\xc3\xa4/"
    };

    for (size_t i = 0; i < COUNT(urls); i++)
        if (!url_is_plain(urls[i]))
            fail_msg("%s is plain", urls[i]);
    (void)state;
}

static void other_urls_are_not_plain(void **state)
{
    static const char *const urls[] = {
        "",
        "h",
        "https:h",
        "https:/h",
        "https://",
        "https:///x",
        "https://:1",
        "https://u@h",
        "https://u:p@h/",
        "https://h/a b",
        "https://h/#x",
        "https://h\n",
        "https://h\x7f",
        "https://h/\t",
        " https://h",
    };

    for (size_t i = 0; i < COUNT(urls); i++)
        if (url_is_plain(urls[i]))
            fail_msg("\"%s\" is not plain", urls[i]);
    (void)state;
}

static void a_url_without_the_name_of_its_scheme_is_not_plain(void **state)
{
    (void)state;
    assert_false(url_is_plain("://h/"));
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_authority_is_the_host_with_its_port),
        TEST(the_authority_ends_at_path_query_or_fragment),
        TEST(without_a_scheme_the_whole_text_is_the_authority),
        TEST(loopback_is_recognized),
        TEST(what_only_looks_like_loopback_is_not),
        TEST(text_behind_the_bracket_is_no_loopback),
        TEST(plain_urls_are_plain),
        TEST(other_urls_are_not_plain),
        TEST(a_url_without_the_name_of_its_scheme_is_not_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
