/* owner: in a user namespace nobody is taken for root, or for this user, who is neither. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/owner.h"

enum { OVERFLOW_UID = 65534, OTHER_UID = 4712 };

static bool write_map(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool well = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    close(fd);
    return well;
}

/* In a child in a user namespace of its own that has this user alone, as `inside`, or (-1) nobody.
 * Returns its answer, or 77 where there can be none. */
static int in_namespace(int inside, int (*answer)(void))
{
    char map[64];
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        snprintf(map, sizeof map, "%d %u 1", inside, (unsigned)geteuid());
        if (unshare(CLONE_NEWUSER) < 0)
            _exit(77);
        if (inside >= 0 && !write_map("/proc/self/uid_map", map))
            _exit(77);
        _exit(answer());
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static int this_user_alone(void)
{
    return owner_is_ours(geteuid()) && !owner_is_ours(OVERFLOW_UID) && owner_some_unknown() &&
           strstr(owner_name(OVERFLOW_UID), "root or to another user") != NULL;
}

static void root_outside_is_nobody(void **state)
{
    (void)state;
    int answer = in_namespace(OTHER_UID, this_user_alone);

    if (answer == 77)
        skip();
    assert_int_equal(answer, 1);
}

/* Our own uid is that of everybody else, then. */
static int nobody(void)
{
    return geteuid() == OVERFLOW_UID && !owner_is_ours(OVERFLOW_UID);
}

static void who_is_not_in_the_namespace_is_not_told_from_others(void **state)
{
    (void)state;
    int answer = in_namespace(-1, nobody);

    if (answer == 77)
        skip();
    assert_int_equal(answer, 1);
}

static int user_65534(void)
{
    return geteuid() == OVERFLOW_UID && owner_is_ours(OVERFLOW_UID);
}

static void the_user_nobody_may_have_a_daemon_too(void **state)
{
    (void)state;
    int answer = in_namespace(OVERFLOW_UID, user_65534);

    if (answer == 77)
        skip();
    assert_int_equal(answer, 1);
}

static void this_user_and_root_are_ours_and_no_one_else(void **state)
{
    (void)state;
    assert_true(owner_is_ours(geteuid()));
    assert_true(owner_is_ours(0));
    assert_false(owner_is_ours(OTHER_UID + (geteuid() == OTHER_UID)));
    assert_string_equal(owner_name(OTHER_UID), "another user (uid 4712)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_outside_is_nobody),
        cmocka_unit_test(who_is_not_in_the_namespace_is_not_told_from_others),
        cmocka_unit_test(the_user_nobody_may_have_a_daemon_too),
        /* the last one: who has looked once keeps what it saw */
        cmocka_unit_test(this_user_and_root_are_ours_and_no_one_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
