/* What is told of files that are not in force; when a file is too young; which changes are seen. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/config.h"
#include "daemon/config_change.h"
#include "daemon/config_keys.h"
#include "daemon/private_file.h"

static struct config_change change;

static int clear(void **state)
{
    (void)state;
    config_change_clear(&change);
    return 0;
}

static void nothing_is_told_of_nothing(void **state)
{
    (void)state;
    assert_string_equal(config_change_notice(&change), "");
    assert_false(config_change_any(&change) || config_change_waits(&change));
}

static void a_change_names_reload_and_errors_name_the_check(void **state)
{
    (void)state;
    config_change_note(&change, "p", CONFIG_OTHER);
    assert_string_equal(config_change_notice(&change),
                        "the configuration has changed since: kubetoken reload");
    change.broken = true;
    assert_non_null(strstr(config_change_notice(&change), "has errors: kubetokend --check-config"));
}

static void new_profiles_wait_for_nobody(void **state)
{
    (void)state;
    config_change_note(&change, "q", CONFIG_NEW);
    assert_true(config_change_any(&change) && !config_change_waits(&change));
    config_change_note(&change, "p", CONFIG_GONE);
    assert_true(config_change_waits(&change));
    config_change_taken(&change);
    assert_int_equal(change.n, 1);
    assert_string_equal(change.list[0].profile, "p");
}

static void what_changed_is_described_by_the_first_ones(void **state)
{
    char text[1024];
    char name[8];

    (void)state;
    config_change_note(&change, "p", CONFIG_OTHER);
    config_change_note(&change, "q", CONFIG_GONE);
    config_change_note(&change, "r", CONFIG_NEW);
    config_change_describe(&change, text, sizeof text);
    assert_string_equal(text, "p changed, q gone, r new");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "n%d", i);
        config_change_note(&change, name, CONFIG_NEW);
    }
    change.default_profile = true;
    config_change_describe(&change, text, sizeof text);
    assert_string_equal(text, "p changed, q gone, r new, n0 new, n1 new, n2 new, n3 new, n4 new, "
                              "995 more, default-profile");
}

static const char *path_at(int64_t mtime)
{
    const char *path = write_file("kubetoken.conf", "", 0600);
    const struct timespec times[2] = { { .tv_sec = mtime }, { .tv_sec = mtime } };

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    return path;
}

static void a_file_is_young_for_two_seconds_and_not_for_ever(void **state)
{
    static const struct {
        int64_t age;
        bool young;
    } files[] = { { 3600, false }, { 3, false }, { 2, false }, { 1, true },
                  { 0, true },     { -2, true }, { -3, false } };

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = path_at(1000000 - files[i].age);
        assert_int_equal(private_file_is_young(&path, 1, 2, 1000000), files[i].young);
    }
}

static void each_of_the_files_may_be_young_and_none_need_be_there(void **state)
{
    const char *path = path_at(1000000);
    const char *paths[] = { path, "/nowhere/kubetoken.conf" };

    (void)state;
    assert_true(private_file_is_young(paths, 2, 2, 1000000));
    assert_false(private_file_is_young(paths + 1, 1, 2, 1000000));
}

static uint64_t digest_of(const char *extra)
{
    char text[512];
    struct config_report report;

    snprintf(text, sizeof text,
             "[profile p]\nissuer = https://a/\nclient-id = c\nusername = u\n%s\n", extra);
    const char *path = write_file("kubetoken.conf", text, 0600);
    struct config *config = config_load(&path, 1, &report);
    assert_non_null(config);
    uint64_t digest = config_keys_digest(&config->profiles[0]);
    config_free(config);
    config_report_clear(&report);
    return digest;
}

static void a_percentage_counts_as_a_change(void **state)
{
    (void)state;
    assert_true(digest_of("refresh-before = 40%") != digest_of(""));
    assert_true(digest_of("refresh-before = 40%") != digest_of("refresh-before = 50%"));
    assert_true(digest_of("refresh-before = 40%") == digest_of("refresh-before = 40%"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_is_told_of_nothing, clear),
        cmocka_unit_test_teardown(a_change_names_reload_and_errors_name_the_check, clear),
        cmocka_unit_test_teardown(new_profiles_wait_for_nobody, clear),
        cmocka_unit_test_teardown(what_changed_is_described_by_the_first_ones, clear),
        cmocka_unit_test_setup_teardown(a_file_is_young_for_two_seconds_and_not_for_ever,
                                        folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(each_of_the_files_may_be_young_and_none_need_be_there,
                                        folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(a_percentage_counts_as_a_change, folder_setup,
                                        folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
