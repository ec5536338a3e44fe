/* What stands in a value for the user at hand. */
#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/specifiers.h"

/* What comes out of it; or, by the error, "-" and the letter. The caller frees it. */
static char *expanded(const char *text)
{
    char letter = '?', *said;
    int error;
    char *out = specifiers_expand(text, &error, &letter);

    if (out)
        return out;
    assert_true(asprintf(&said, "%s %c", error == -ENOENT ? "-" : "!", letter) > 0);
    return said;
}

static void assert_expands(const char *text, const char *expected)
{
    char *out = expanded(text);

    assert_string_equal(out, expected);
    free(out);
}

static void each_stands_for_what_is_known_of_the_user(void **state)
{
    const struct passwd *me = getpwuid(geteuid());
    char expected[512];

    (void)state;
    setenv("HOME", "/home/anna", 1);
    snprintf(expected, sizeof expected, "a%uz/home/anna%%u", (unsigned)geteuid());
    assert_expands("a%Uz%h%%u", expected);
    if (!me)
        skip();
    setenv("USER", "another", 1); /* the file is who knows */
    assert_expands("%u", me->pw_name);
    assert_expands("no specifier at all", "no specifier at all");
    assert_expands("", "");
}

static void what_comes_in_is_not_looked_at_again(void **state)
{
    (void)state;
    setenv("HOME", "/home/%u/%x", 1);
    assert_expands("%h", "/home/%u/%x");
}

static void without_a_home_there_is_no_home(void **state)
{
    (void)state;
    unsetenv("HOME");
    assert_expands("x%h", "- h");
    setenv("HOME", "not/absolute", 1);
    assert_expands("x%h", "- h");
    assert_expands("x%%h", "x%h");
}

/* As one whom /etc/passwd does not name; the exit status is the number of what failed. */
static int ask_as_a_stranger(void)
{
    setenv("USER", "anna", 1);
    setenv("LOGNAME", "ben", 1);
    if (setuid(2147483) < 0 || strcmp(expanded("%u"), "anna") != 0)
        return 1;
    unsetenv("USER");
    if (strcmp(expanded("%u"), "ben") != 0)
        return 2;
    setenv("USER", "two\nlines", 1);
    if (strcmp(expanded("%u"), "ben") != 0)
        return 3;
    unsetenv("LOGNAME");
    return strcmp(expanded("%u"), "- u") != 0 ? 4 : 0;
}

static void who_is_not_in_the_file_has_the_name_of_the_environment(void **state)
{
    int status;

    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0)
        _exit(ask_as_a_stranger());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void others_stay(void **state)
{
    static const char *const texts[] = { "%",       "100%",      "%x",
                                         "% u",     "%\xc3\xa9", "printf %s %020d",
                                         "date +%s" };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_expands(texts[i], texts[i]);
    assert_expands("a%%%q", "a%%q");
    assert_expands("%%s", "%s");
}

static void what_is_escaped_comes_back(void **state)
{
    static const char *const texts[] = { "", "%", "100%", "%u", "%%h", "a b" };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char *escaped = specifiers_escape(texts[i]);
        assert_expands(escaped, texts[i]);
        free(escaped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_stands_for_what_is_known_of_the_user),
        cmocka_unit_test(what_comes_in_is_not_looked_at_again),
        cmocka_unit_test(without_a_home_there_is_no_home),
        cmocka_unit_test(who_is_not_in_the_file_has_the_name_of_the_environment),
        cmocka_unit_test(others_stay),
        cmocka_unit_test(what_is_escaped_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
