#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log_file.h"
#include "tests/unit/support.h"

static char path[256], text[1000];

static int setup(void **state)
{
    int r = folder_setup(state);

    snprintf(path, sizeof path, "%s/state/kubetoken/log", test_folder);
    memset(text, 'x', sizeof text - 1);
    return r;
}

static off_t size_of(const char *end)
{
    char name[300];
    struct stat st;

    snprintf(name, sizeof name, "%s%s", path, end);
    return stat(name, &st) == 0 ? st.st_size : -1;
}

static void file_and_folders_are_the_users_alone(void **state)
{
    char folder[300];
    struct stat st;

    (void)state;
    assert_int_equal(log_file_open(path), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(folder, sizeof folder, "%s/state", test_folder);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    chmod(path, 0644);
    assert_int_equal(log_file_open(path), 0); /* one that was there is closed to others */
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_line_has_its_time_and_its_process(void **state)
{
    char line[200] = "", expected[64];

    (void)state;
    assert_int_equal(log_file_open(path), 0);
    log_file_write("p: a new token");
    int fd = open(path, O_RDONLY);
    assert_true(read(fd, line, sizeof line - 1) > 0);
    close(fd);
    snprintf(expected, sizeof expected, "Z kubetokend[%d]: p: a new token\n", (int)getpid());
    assert_int_equal(line[4], '-');
    assert_int_equal(line[10], 'T');
    assert_string_equal(line + 19, expected);
}

static void it_has_a_megabyte_at_most_and_the_one_before_it_is_kept(void **state)
{
    (void)state;
    assert_int_equal(log_file_open(path), 0);
    for (int i = 0; i < 3000; i++)
        log_file_write(text);
    assert_in_range(size_of(""), 1, LOG_FILE_MAX);
    assert_in_range(size_of(".old"), LOG_FILE_MAX - 2000, LOG_FILE_MAX);
}

/* Two daemons have it open: who comes second takes the new one, and moves nothing away. */
static void one_that_another_has_begun_is_taken(void **state)
{
    char old[300];

    (void)state;
    assert_int_equal(log_file_open(path), 0);
    while (size_of("") < LOG_FILE_MAX - 2000)
        log_file_write(text);
    snprintf(old, sizeof old, "%s.old", path);
    rename(path, old);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "theirs\n", 7), 7);
    close(fd);
    off_t before = size_of(".old");
    for (int i = 0; i < 5; i++)
        log_file_write(text);
    assert_true(size_of(".old") >= before && size_of(".old") <= LOG_FILE_MAX);
    assert_true(size_of("") > 7);
}

static void what_is_not_ours_is_not_written_to(void **state)
{
    char target[256], folder[256];

    (void)state;
    snprintf(folder, sizeof folder, "%s/state", test_folder);
    mkdir(folder, 0700);
    snprintf(folder, sizeof folder, "%s/state/kubetoken", test_folder);
    mkdir(folder, 0700);
    snprintf(target, sizeof target, "%s/target", test_folder);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(log_file_open(path), -ELOOP);
    assert_int_equal(access(target, F_OK), -1);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody reads it: that would wait */
    assert_true(log_file_open(path) < 0);
    unlink(path);
    chmod(folder, 0770);
    assert_int_equal(log_file_open(path), -EPERM);
    chmod(folder, 0700);
    if (geteuid() == 0) { /* as by sudo -E */
        assert_int_equal(rmdir(folder), 0);
        snprintf(folder, sizeof folder, "%s/state", test_folder);
        assert_int_equal(chown(folder, 1, 1), 0);
        assert_int_equal(log_file_open(path), -EPERM);
        assert_int_equal(chown(folder, 0, 0), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(file_and_folders_are_the_users_alone),
        TEST(a_line_has_its_time_and_its_process),
        TEST(it_has_a_megabyte_at_most_and_the_one_before_it_is_kept),
        TEST(one_that_another_has_begun_is_taken),
        TEST(what_is_not_ours_is_not_written_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
