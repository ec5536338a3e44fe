/* reap: the end of a child, waited for a limited time, whatever holds it. */
#define _GNU_SOURCE
#include "client/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/time.h"
#include "tests/unit/support.h"

static const uint64_t patience = 60 * USEC_PER_SEC;
static int gate[2]; /* closed: a child of ours ends */

static uint64_t in(uint64_t usec)
{
    return time_boottime() + usec;
}

static _Noreturn void be_a_child(int ready, int code)
{
    char byte;

    close(gate[1]);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    if (write(ready, "y", 1) != 1 || read(gate[0], &byte, 1) != 0)
        _exit(1);
    _exit(code);
}

/* One that ends with that code once the gate is opened. */
static pid_t start(int code)
{
    int ready[2];
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC) | pipe2(gate, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        be_a_child(ready[1], code);
    assert_true(pid > 0);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    close(gate[0]);
    return pid;
}

static void open_gate(void)
{
    close(gate[1]);
}

static void assert_no_child_is_left(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static int teardown(void **state)
{
    (void)state;
    debugger_let_go();
    signal(SIGCHLD, SIG_DFL);
    return 0;
}

static void one_that_ends_in_time_is_not_killed(void **state)
{
    pid_t pid = start(7);
    int status = -1;

    (void)state;
    assert_false(reap_until(pid, in(0), &status));
    assert_int_equal(status, -1);
    open_gate();
    assert_true(reap(pid, "anna", in(patience), &status));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_no_child_is_left();
}

static void one_whose_time_is_up_is_killed(void **state)
{
    pid_t pid = start(7);
    int status = -1;

    (void)state;
    assert_true(reap(pid, "anna", in(0), &status));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    open_gate();
    assert_no_child_is_left();
}

static void who_is_told_of_no_child_sees_its_end_and_not_how(void **state)
{
    int status = -1;

    (void)state;
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = start(7);
    open_gate();
    assert_true(reap(pid, "anna", in(patience), &status));
    assert_int_equal(status, -1);
}

/* What is written to stderr meanwhile. */
static void kill_and_hear(pid_t pid, bool *ret, char *out, size_t size)
{
    int p[2], before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), status = -1;

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    dup2(p[1], STDERR_FILENO);
    close(p[1]);
    *ret = reap_kill(pid, "anna", &status);
    dup2(before, STDERR_FILENO);
    close(before);
    ssize_t n = read(p[0], out, size - 1);
    close(p[0]);
    out[n > 0 ? n : 0] = '\0';
}

static void one_that_does_not_end_is_named_and_left(void **state)
{
    pid_t pid = start(7);
    char said[1024], expected[1024];
    int status;
    bool ended;

    (void)state;
    if (!debugger_hold(&pid, 1))
        skip();
    kill_and_hear(pid, &ended, said, sizeof said);
    assert_false(ended);
    snprintf(expected, sizeof expected,
             "kubetoken: a process was killed and does not end: process %ld, anna; a disk, a mount "
             "or a debugger holds it: see what it has open; once that lets go it ends by itself\n",
             (long)pid);
    assert_string_equal(said, expected);
    debugger_let_go();
    assert_true(reap_until(pid, in(patience), &status));
    open_gate();
    assert_no_child_is_left();
}

static void one_that_ends_when_killed_is_not_told_of(void **state)
{
    pid_t pid = start(7);
    char said[1024];
    bool ended;

    (void)state;
    kill_and_hear(pid, &ended, said, sizeof said);
    assert_true(ended);
    assert_string_equal(said, "");
    open_gate();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_that_ends_in_time_is_not_killed, teardown),
        cmocka_unit_test_teardown(one_whose_time_is_up_is_killed, teardown),
        cmocka_unit_test_teardown(who_is_told_of_no_child_sees_its_end_and_not_how, teardown),
        cmocka_unit_test_teardown(one_that_does_not_end_is_named_and_left, teardown),
        cmocka_unit_test_teardown(one_that_ends_when_killed_is_not_told_of, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
