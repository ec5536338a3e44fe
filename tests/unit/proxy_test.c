/* Which proxy it is, whether its URL has a user, and what of it may be told. */
#include "support.h"

#include <string.h>

#include "daemon/fetch/proxy.h"
#include "daemon/fetch/redact.h"

static struct proxy read_proxy(const char *setting, const char *const *variables)
{
    struct job job = { .proxy = setting };
    struct proxy proxy;

    for (size_t i = 0; variables && variables[i]; i++)
        job.environment[i] = variables[i];
    proxy_read(&job, &proxy);
    return proxy;
}

static void assert_proxy(const char *url, const char *place, bool has_user, const char *password)
{
    struct proxy proxy = read_proxy(url, NULL);

    assert_string_equal(proxy.place, place);
    assert_int_equal(proxy.has_user, has_user);
    if (password)
        assert_string_equal(proxy.password, password);
    else
        assert_null(proxy.password);
    proxy_clear(&proxy);
}

static void the_user_and_the_place_are_read_of_its_url(void **state)
{
    (void)state;
    assert_proxy("http://proxy.example:3128", "proxy.example:3128", false, NULL);
    assert_proxy("http://me:pass%20word@proxy.example:3128/", "proxy.example:3128", true,
                 "pass word");
    assert_proxy("https://me@proxy.example", "proxy.example", true, NULL);
    assert_proxy("me:pw@proxy.example:8080", "proxy.example:8080", true, "pw");
    assert_proxy("socks5h://me:pw@[::1]:1080", "[::1]:1080", true, "pw");
    assert_proxy("http://@proxy.example:1", "proxy.example:1", false, NULL);
    assert_proxy("http://me:pw@proxy.example:99999", "the proxy", false, NULL);
    assert_proxy("none", "the proxy", false, NULL);
}

static void of_the_environment_it_is_the_one_that_libcurl_takes(void **state)
{
    static const char *const rows[][6] = {
        { "a:1", "ALL_PROXY=a:1" },
        { "b:1", "ALL_PROXY=a:1", "all_proxy=b:1" },
        { "c:1", "ALL_PROXY=a:1", "all_proxy=b:1", "HTTPS_PROXY=c:1" },
        { "d:1", "https_proxy=http://u@d:1", "HTTPS_PROXY=c:1", "all_proxy=b:1" },
        { "c:1", "https_proxy=", "HTTPS_PROXY=c:1" },
        { "the proxy", "no_proxy=*", "http_proxy=e:1" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct proxy proxy = read_proxy("auto", rows[i] + 1);
        assert_string_equal(proxy.place, rows[i][0]);
        assert_int_equal(proxy.has_user, strcmp(rows[i][0], "d:1") == 0);
        proxy_clear(&proxy);
    }
}

static void loopback_in_clear_text_goes_by_none(void **state)
{
    const struct job job = { .proxy = "http://a:1" }, automatic = { .proxy = "auto" };

    (void)state;
    assert_string_equal(proxy_for(&job, "http://127.0.0.1/"), "");
    assert_string_equal(proxy_for(&automatic, "http://127.0.0.1/"), "");
    assert_string_equal(proxy_for(&job, "https://x/"), "http://a:1");
    assert_null(proxy_for(&automatic, "https://x/"));
}

static void its_password_is_masked(void **state)
{
    char text[] = "no hunter&22 and hunter%2622 and hunter%26%322";
    const struct job job = { .proxy = "auto",
                             .environment = { "https_proxy=http://me:hunter%26%322@a:1" } };

    (void)state;
    redact_secrets(&job, text);
    assert_string_equal(text, "no *** and *** and ***");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_user_and_the_place_are_read_of_its_url),
        cmocka_unit_test(of_the_environment_it_is_the_one_that_libcurl_takes),
        cmocka_unit_test(loopback_in_clear_text_goes_by_none),
        cmocka_unit_test(its_password_is_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
