/* child: what a program printed, whole and ended by a NUL; and no wait for one that does not end.
 */
#define _GNU_SOURCE
#include "client/admin/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/time.h"
#include "tests/unit/support.h"

static void check_output_of(size_t length)
{
    char bytes[32];
    const char *const argv[] = { "head", "-c", bytes, "/dev/zero", NULL };
    const char *const text[] = { "sh", "-c", "head -c $0 /dev/zero | tr '\\0' x", bytes, NULL };
    struct child child;

    snprintf(bytes, sizeof bytes, "%zu", length);
    assert_int_equal(child_run(argv, 60 * USEC_PER_SEC, &child), 0);
    child_clear(&child);
    assert_int_equal(child_run(text, 60 * USEC_PER_SEC, &child), 0);
    assert_int_equal(strlen(child.out), length);
    child_clear(&child);
}

/* AddressSanitizer sees a NUL behind the block. */
static void an_output_of_any_length_has_room_for_its_end(void **state)
{
    static const size_t lengths[] = { 1, 4095, 4096, 4097, 8192, 12288, 12289, 65536, 65537 };

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        check_output_of(lengths[i]);
}

/* This program once more, as one that a debugger holds: it says so, with its pid, and lives on
 * until it is killed. The debugger lets go at the end of that pipe. */
static int be_held(int until)
{
    pid_t self = getpid();
    char byte;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    if (fork() == 0) {
        if (ptrace(PTRACE_SEIZE, self, NULL, NULL) == 0)
            dprintf(STDOUT_FILENO, "%ld\n", (long)self);
        else
            dprintf(STDOUT_FILENO, "not allowed\n");
        close(STDOUT_FILENO);
        close(STDERR_FILENO);
        (void)!read(until, &byte, 1);
        _exit(0);
    }
    for (;;)
        pause();
}

/* Runs it for so long. Returns its pid, 0: it was not held in time, -1: this machine allows none.
 */
static pid_t run_one_that_is_held(int until, uint64_t timeout, char *said, size_t size)
{
    char number[16];
    const char *const argv[] = { "/proc/self/exe", number, NULL };
    int p[2], before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    struct child child;

    snprintf(number, sizeof number, "%d", until);
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    dup2(p[1], STDERR_FILENO);
    close(p[1]);
    int r = child_run(argv, timeout, &child);
    dup2(before, STDERR_FILENO);
    close(before);
    ssize_t n = read(p[0], said, size - 1);
    said[n > 0 ? n : 0] = '\0';
    close(p[0]);
    assert_int_equal(r, -1);
    assert_int_equal(child.failed, ETIMEDOUT);
    pid_t pid = *child.out == 'n' ? -1 : (pid_t)strtol(child.out, NULL, 10);
    child_clear(&child);
    return pid;
}

static void one_that_does_not_end_is_named_and_left(void **state)
{
    char said[1024] = "", expected[1024];
    uint64_t timeout = USEC_PER_SEC;
    pid_t pid = 0;
    int until[2];

    (void)state;
    assert_int_equal(pipe(until), 0);
    fcntl(until[1], F_SETFD, FD_CLOEXEC);
    for (; pid == 0 && timeout < 100 * USEC_PER_SEC; timeout *= 2)
        pid = run_one_that_is_held(until[0], timeout, said, sizeof said);
    if (pid < 0)
        skip();
    snprintf(expected, sizeof expected,
             "kubetoken: a process was killed and does not end: process %ld, /proc/self/exe; a "
             "disk, a mount or a debugger holds it: see what it has open; once that lets go it "
             "ends by itself\n",
             (long)pid);
    assert_string_equal(said, expected);
    close(until[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(until[0]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_output_of_any_length_has_room_for_its_end),
        cmocka_unit_test(one_that_does_not_end_is_named_and_left),
    };

    if (argc > 1)
        return be_held((int)strtol(argv[1], NULL, 10));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
