#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/paths.h"
#include "tests/unit/support.h"

static int without_variables(void **state)
{
    unsetenv("KUBETOKEN_SOCKET");
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/home/u", 1);
    return folder_setup(state);
}

static void the_sockets_variable_wins(void **state)
{
    char path[PATHS_SOCKET_MAX];
    struct error why;

    (void)state;
    setenv("KUBETOKEN_SOCKET", "/some/where", 1);
    setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
    assert_int_equal(paths_socket(path, &why), 0);
    assert_string_equal(path, "/some/where");
}

static void a_variable_is_found_by_its_whole_name(void **state)
{
    static char own[][24] = { "",
                              "K",
                              "KUBE",
                              "KUBETOKEN=1",
                              "KUBETOKEN_SOCKETS=2",
                              "A=KUBETOKEN_SOCKET=3",
                              "KUBETOKEN_SOCKET=",
                              "KUBETOKEN_SOCKET=4",
                              "H=a=b" };
    enum { N = sizeof own / sizeof *own };
    char *variables[N + 1] = { NULL }, **others = environ;

    (void)state;
    for (size_t i = 0; i < N; i++)
        variables[i] = own[i];
    environ = variables;
    assert_string_equal(paths_variable("KUBETOKEN_SOCKET"), ""); /* of two the first */
    assert_string_equal(paths_variable("KUBETOKEN"), "1");
    assert_string_equal(paths_variable("H"), "a=b");
    assert_null(paths_variable("KUBE"));
    assert_null(paths_variable("XDG_RUNTIME_DIR"));
    environ = NULL; /* after clearenv() */
    assert_null(paths_variable("H"));
    environ = others;
}

static void a_relative_socket_is_refused(void **state)
{
    char path[PATHS_SOCKET_MAX];
    struct error why;

    (void)state;
    setenv("KUBETOKEN_SOCKET", "some/where", 1);
    assert_int_equal(paths_socket(path, &why), -1);
    assert_int_equal(why.code, ERROR_USAGE);
}

static void the_socket_is_below_the_runtime_directory(void **state)
{
    char path[PATHS_SOCKET_MAX], expected[256];
    struct error why;

    (void)state;
    setenv("XDG_RUNTIME_DIR", test_folder, 1);
    snprintf(expected, sizeof expected, "%s/kubetoken/socket", test_folder);
    assert_int_equal(paths_socket(path, &why), 0);
    assert_string_equal(path, expected);
    assert_int_equal(paths_socket_as_named(path, &why), 0);
    assert_string_equal(path, expected);
    assert_false(paths_logged_out());
}

static void a_runtime_directory_that_is_gone_is_as_none(void **state)
{
    char none[PATHS_SOCKET_MAX], path[PATHS_SOCKET_MAX];
    struct error why;

    (void)state;
    assert_int_equal(paths_socket(none, &why), 0); /* by /run/user, or /tmp */
    setenv("XDG_RUNTIME_DIR", "/nowhere/1", 1);
    assert_int_equal(paths_socket(path, &why), 0);
    assert_string_equal(path, none);
    assert_int_equal(paths_logged_out(), strncmp(none, "/tmp/", 5) == 0);
    assert_int_equal(paths_socket_as_named(path, &why), 0); /* which does not look */
    assert_string_equal(path, "/nowhere/1/kubetoken/socket");
    setenv("KUBETOKEN_SOCKET", "/some/where", 1); /* it needs none */
    assert_false(paths_logged_out());
}

static void the_log_follows_xdg_too(void **state)
{
    char path[PATHS_MAX];

    (void)state;
    assert_int_equal(paths_log(path), 0);
    assert_string_equal(path, "/home/u/.local/state/kubetoken/log");
    setenv("XDG_STATE_HOME", "/s", 1);
    assert_int_equal(paths_log(path), 0);
    assert_string_equal(path, "/s/kubetoken/log");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    assert_int_equal(paths_log(path), -1);
}

/* What the kernel says, and what a person is to be told. */
static void each_cause_has_a_code_of_its_own(void **state)
{
    static const struct {
        int number;
        enum error_code code;
    } rows[] = { { EROFS, ERROR_READ_ONLY },
                 { ENOSPC, ERROR_NO_ROOM },
                 { EDQUOT, ERROR_NO_ROOM },
                 { ENOTDIR, ERROR_NOT_A_SOCKET },
                 { EPROTOTYPE, ERROR_NOT_A_SOCKET },
                 { EACCES, ERROR_FOREIGN_SOCKET },
                 { EPERM, ERROR_FOREIGN_SOCKET },
                 { ENOENT, ERROR_NO_FOLDER },
                 { EIO, ERROR_NO_FOLDER } };
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        paths_explain(&why, "/p", rows[i].number);
        assert_int_equal(why.code, rows[i].code);
        assert_holds(why.detail, "/p: ");
    }
}

static void a_path_that_fits_no_socket_address_is_refused(void **state)
{
    char path[PATHS_SOCKET_MAX], longest[PATHS_SOCKET_MAX + 1];
    struct error why;

    (void)state;
    memset(longest, 'a', PATHS_SOCKET_MAX);
    longest[0] = '/';
    longest[PATHS_SOCKET_MAX] = '\0';
    setenv("KUBETOKEN_SOCKET", longest, 1);
    assert_int_equal(paths_socket(path, &why), -1);
    assert_int_equal(why.code, ERROR_LONG_PATH); /* no wrong usage: who set it? */
    longest[PATHS_SOCKET_MAX - 1] = '\0';
    setenv("KUBETOKEN_SOCKET", longest, 1);
    assert_int_equal(paths_socket(path, &why), 0);
    assert_string_equal(path, longest);
}

static void the_configuration_follows_xdg_and_ignores_relative_ones(void **state)
{
    char path[PATHS_MAX];

    (void)state;
    assert_int_equal(paths_user_config(path), 0);
    assert_string_equal(path, "/home/u/.config/kubetoken/kubetoken.conf");
    setenv("XDG_CONFIG_HOME", "/c", 1);
    assert_int_equal(paths_user_config(path), 0);
    assert_string_equal(path, "/c/kubetoken/kubetoken.conf");
    setenv("XDG_CONFIG_HOME", "c", 1);
    assert_int_equal(paths_user_config(path), 0);
    assert_string_equal(path, "/home/u/.config/kubetoken/kubetoken.conf");
    unsetenv("HOME");
    assert_int_equal(paths_user_config(path), -1);
}

static void paths_are_expanded(void **state)
{
    char path[PATHS_MAX];

    (void)state;
    assert_int_equal(paths_expand("/a/b", "/f", path), 0);
    assert_string_equal(path, "/a/b");
    assert_int_equal(paths_expand("~/b", "/f", path), 0);
    assert_string_equal(path, "/home/u/b");
    assert_int_equal(paths_expand("b", "/f", path), 0);
    assert_string_equal(path, "/f/b");
    assert_int_equal(paths_expand("~b", "/f", path), 0);
    assert_string_equal(path, "/f/~b");
    unsetenv("HOME");
    assert_int_equal(paths_expand("~/b", "/f", path), -1);
}

static void a_missing_folder_of_the_socket_is_made_private(void **state)
{
    char path[128];
    struct error why;
    struct stat st;

    (void)state;
    snprintf(path, sizeof path, "%s/k/socket", test_folder);
    assert_int_equal(paths_socket_folder(path, &why), 0);
    *strrchr(path, '/') = '\0';
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void a_folder_that_was_there_is_judged_and_left_as_it_is(void **state)
{
    static const struct {
        unsigned mode;
        int good;
    } rows[] = { { 0700, 1 },  { 0755, 1 }, { 0711, 1 }, { 0500, 1 },  { 01700, 1 },
                 { 01777, 0 }, { 0770, 0 }, { 0702, 0 }, { 02775, 0 }, { 0777, 0 } };
    char path[128];
    struct error why;
    struct stat st;

    (void)state;
    snprintf(path, sizeof path, "%s/socket", test_folder);
    for (size_t i = 0; i < COUNT(rows); i++) {
        chmod(test_folder, rows[i].mode);
        why.code = ERROR_NONE;
        assert_int_equal(paths_socket_folder(path, &why), rows[i].good ? 0 : -1);
        assert_int_equal(why.code, rows[i].good ? ERROR_NONE : ERROR_OPEN_FOLDER);
        assert_int_equal(stat(test_folder, &st), 0);
        assert_int_equal(st.st_mode & 07777, rows[i].mode);
    }
    assert_holds(why.detail, "(mode 777)");
    chmod(test_folder, 0700);
}

static void a_link_is_no_folder(void **state)
{
    char path[128], target[128];
    struct error why;

    (void)state;
    snprintf(target, sizeof target, "%s/real", test_folder);
    mkdir(target, 0700);
    snprintf(path, sizeof path, "%s/link", test_folder);
    assert_int_equal(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/link/socket", test_folder);
    assert_int_equal(paths_socket_folder(path, &why), -1);
    assert_int_equal(why.code, ERROR_NOT_A_SOCKET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, without_variables, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_sockets_variable_wins),
        TEST(a_variable_is_found_by_its_whole_name),
        TEST(a_relative_socket_is_refused),
        TEST(the_socket_is_below_the_runtime_directory),
        TEST(a_runtime_directory_that_is_gone_is_as_none),
        TEST(the_log_follows_xdg_too),
        TEST(each_cause_has_a_code_of_its_own),
        TEST(a_path_that_fits_no_socket_address_is_refused),
        TEST(the_configuration_follows_xdg_and_ignores_relative_ones),
        TEST(paths_are_expanded),
        TEST(a_missing_folder_of_the_socket_is_made_private),
        TEST(a_folder_that_was_there_is_judged_and_left_as_it_is),
        TEST(a_link_is_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
