/* A process that SIGKILL does not end is played by one that a debugger holds: it cannot be
 * collected before that one lets go. */
#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/children.h"

static sd_event *event;
static struct children *children;
static unsigned changes;
static struct error why;

static void on_change(void *context)
{
    (void)context;
    changes++;
}

static int setup(void **state)
{
    (void)state;
    changes = 0;
    if (sd_event_new(&event) < 0)
        return -1;
    children = children_new(event, on_change, NULL);
    return children ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    debugger_let_go();
    children = children_free(children);
    event = sd_event_unref(event);
    return 0;
}

static _Noreturn void be_a_child(int ready)
{
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    if (write(ready, "y", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static struct child *start(void)
{
    struct child *c = child_prepare(children, "kubetoken-fetch", "anna", &why);
    int ready[2];
    char byte;

    assert_non_null(c);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = child_fork(c);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is skipped frees nothing */
        be_a_child(ready[1]);
    }
    assert_true(pid > 0);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return c;
}

static pid_t pid_of(const struct child *c)
{
    char path[64], line[256];
    long pid = 0;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", child_pidfd(c));
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "Pid: %ld", &pid);
    fclose(f);
    return (pid_t)pid;
}

static void run_until_all_have_ended(void)
{
    while (!children_all_ended(children))
        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
}

static unsigned count_stuck(void)
{
    struct child_look look;
    unsigned n = 0;

    while (children_stuck(children, n, &look))
        n++;
    return n;
}

static void assert_no_child_is_left(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void one_that_is_given_up_is_killed_and_collected(void **state)
{
    (void)state;
    child_free(start());
    run_until_all_have_ended();
    assert_no_child_is_left();
    assert_int_equal(changes, 0); /* it is no news */
}

static void one_that_was_never_forked_is_nothing(void **state)
{
    (void)state;
    assert_null(child_free(child_prepare(children, "x", NULL, &why)));
    assert_null(child_free(NULL));
    assert_true(children_all_ended(children));
}

static void how_it_ended_is_told_then_and_later(void **state)
{
    struct child *c = start();
    struct pollfd p = { .fd = child_pidfd(c), .events = POLLIN };
    int status;

    (void)state;
    assert_false(child_has_ended(c, &status));
    child_kill(c);
    poll(&p, 1, -1);
    for (int i = 0; i < 2; i++) {
        assert_true(child_has_ended(c, &status));
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    child_free(c);
    assert_true(children_all_ended(children));
}

static void the_group_that_it_leads_goes_with_it(void **state)
{
    struct child *c = child_prepare(children, "x", NULL, &why);
    int ends[2];
    char byte;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    child_leads(c);
    if (child_fork(c) == 0) {
        setpgid(0, 0);
        if (fork() == 0)
            be_a_child(ends[1]);
        for (;;)
            pause();
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    child_free(c);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* nobody has the other end any more */
    close(ends[0]);
    run_until_all_have_ended();
}

static void one_that_may_go_on_is_killed_when_its_time_is_up(void **state)
{
    (void)state;
    child_release(start(), 1);
    run_until_all_have_ended();
    assert_no_child_is_left();
}

static void one_that_does_not_end_is_named_until_it_does(void **state)
{
    struct child *c = start();
    const pid_t pid = pid_of(c);
    struct child_look look;
    struct error words;
    unsigned turns = 0;
    char head[80];

    (void)state;
    if (!debugger_hold(&pid, 1))
        skip();
    child_free(c);
    assert_int_equal(count_stuck(), 0);
    for (; changes == 0; turns++)
        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
    assert_true(turns < 10); /* it sleeps meanwhile */
    assert_true(children_stuck(children, 0, &look));
    assert_int_equal(look.pid, pid);
    assert_string_equal(look.program, "kubetoken-fetch");
    assert_string_equal(look.profile, "anna");
    assert_true(look.killed_at <= time_boottime());
    child_look_words(&look, &words);
    snprintf(head, sizeof head, "process %d (kubetoken-fetch of anna), ", (int)pid);
    assert_holds(words.detail, head);
    assert_int_equal(words.code, ERROR_STUCK);

    child_free(start()); /* others come and go */
    debugger_let_go();
    run_until_all_have_ended();
    assert_int_equal(changes, 2);
    assert_int_equal(count_stuck(), 0);
    assert_no_child_is_left();
}

static void while_eight_do_not_end_no_other_is_started(void **state)
{
    struct child *all[CHILDREN_STUCK_MAX];
    pid_t pids[CHILDREN_STUCK_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(all); i++) {
        all[i] = start();
        pids[i] = pid_of(all[i]);
    }
    if (!debugger_hold(pids, COUNT(pids)))
        skip();
    for (size_t i = 0; i < COUNT(all); i++)
        child_free(all[i]);
    child_free(start()); /* they are not stuck yet */
    while (count_stuck() < COUNT(all))
        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
    assert_null(child_prepare(children, "kubetoken-fetch", "anna", &why));
    assert_int_equal(why.code, ERROR_STUCK);
    assert_string_equal(why.detail, "8 of them, so that no other is started");
    debugger_let_go();
    run_until_all_have_ended();
    child_free(start());
    run_until_all_have_ended();
}

static void the_end_of_all_waits_for_none_that_does_not_end(void **state)
{
    struct child *c = start();
    const pid_t pid = pid_of(c);

    (void)state;
    if (!debugger_hold(&pid, 1))
        skip();
    child_free(c);
    children = children_free(children); /* or this test never ends */
    debugger_let_go();
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    child_no_start(&why, ERROR_FETCHER, "x: ", EMFILE);
    assert_int_equal(why.code, ERROR_DESCRIPTORS);
    assert_holds(why.detail, "x: too many open files (LimitNOFILE=");
    child_no_start(&why, ERROR_FETCHER, "", ENFILE);
    assert_int_equal(why.code, ERROR_DESCRIPTORS);
    assert_string_equal(why.detail, "too many open files on this machine (sysctl fs.file-max)");
    child_no_start(&why, ERROR_FETCHER, "", EAGAIN);
    assert_int_equal(why.code, ERROR_FETCHER);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_is_given_up_is_killed_and_collected),
        TEST(one_that_was_never_forked_is_nothing),
        TEST(how_it_ended_is_told_then_and_later),
        TEST(the_group_that_it_leads_goes_with_it),
        TEST(one_that_may_go_on_is_killed_when_its_time_is_up),
        TEST(one_that_does_not_end_is_named_until_it_does),
        TEST(while_eight_do_not_end_no_other_is_started),
        TEST(the_end_of_all_waits_for_none_that_does_not_end),
        TEST(what_is_missing_is_named),
    };
    alarm(120); /* what waits for a child's end would never end */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
