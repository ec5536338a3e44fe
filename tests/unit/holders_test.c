/* The processes that a token is kept fresh for: when they end, and which are found again. */
#define _GNU_SOURCE
#include "support.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/holders.h"
#include "daemon/peer_process.h"

static sd_event *event;
static struct holders *holders;
static unsigned n_ended;

static void on_change(void *context)
{
    (void)context;
    n_ended++;
}

static int setup(void **state)
{
    (void)state;
    n_ended = 0;
    if (sd_event_new(&event) < 0)
        return -1;
    holders = holders_new(event, on_change, NULL);
    return holders ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    holders = holders_free(holders);
    event = sd_event_unref(event);
    return 0;
}

/* A process that waits for its end. */
static pid_t process(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (;;)
            pause();
    }
    assert_true(pid > 0);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int pidfd_of(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    assert_true(fd >= 0);
    return fd;
}

static void a_process_holds_until_it_ends(void **state)
{
    pid_t first = process(), second = process();

    (void)state;
    assert_false(holders_any(holders));
    assert_int_equal(holders_add(holders, pidfd_of(first), first, 5), 0);
    assert_int_equal(holders_add(holders, pidfd_of(second), second, 3), 0);
    assert_int_equal(sd_event_run(event, 0), 0);
    assert_true(holders_any(holders));
    assert_int_equal(holders_min_validity(holders), 5);
    end(first);
    assert_int_equal(sd_event_run(event, UINT64_MAX), 1);
    assert_int_equal(n_ended, 1);
    assert_int_equal(holders_min_validity(holders), 3);
    end(second);
    assert_int_equal(sd_event_run(event, UINT64_MAX), 1);
    assert_false(holders_any(holders));
    assert_int_equal(holders_min_validity(holders), 0);
}

static void nobody_holds_nothing(void **state)
{
    struct holder list[HOLDERS_MAX];

    (void)state;
    assert_false(holders_any(NULL));
    assert_int_equal(holders_min_validity(NULL), 0);
    assert_int_equal(holders_list(NULL, list), 0);
}

static void a_process_is_found_again_by_the_time_of_its_start(void **state)
{
    pid_t pid = process(), parent;
    struct holder list[HOLDERS_MAX], other;

    (void)state;
    holders_add(holders, pidfd_of(pid), pid, 7);
    assert_int_equal(holders_list(holders, list), 1);
    assert_int_equal(peer_process_look(pid, &parent, &other.started), 0);
    assert_int_equal(list[0].started, other.started);
    holders = holders_free(holders);
    holders = holders_new(event, on_change, NULL);
    other = list[0];
    other.started--; /* another had this pid then */
    holders_resume(holders, &other);
    assert_false(holders_any(holders));
    holders_resume(holders, &list[0]);
    assert_int_equal(holders_min_validity(holders), 7);
    end(pid);
    assert_int_equal(sd_event_run(event, UINT64_MAX), 1);
    holders_resume(holders, &list[0]);
    assert_false(holders_any(holders));
}

static void of_too_many_the_eldest_goes(void **state)
{
    pid_t eldest = process();

    (void)state;
    holders_add(holders, pidfd_of(eldest), eldest, 9);
    for (int i = 0; i < HOLDERS_MAX; i++)
        holders_add(holders, pidfd_of(getpid()), getpid(), 1);
    assert_int_equal(holders_min_validity(holders), 1);
    end(eldest);
    assert_int_equal(sd_event_run(event, 0), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_process_holds_until_it_ends),
        TEST(nobody_holds_nothing),
        TEST(a_process_is_found_again_by_the_time_of_its_start),
        TEST(of_too_many_the_eldest_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
