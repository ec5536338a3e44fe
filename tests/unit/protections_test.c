#define _GNU_SOURCE
#include "support.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/protections.h"
#include "daemon/offspring.h"

/* ---- what holds ------------------------------------------------------------------------------ */

/* A child of the test changes one thing, and looks. */
static struct protections seen_after(void (*change)(void))
{
    struct protections seen;
    int ends[2];
    int64_t bits = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        change();
        protections_look(&seen);
        bits = seen.known ? protections_pack(&seen) : -1;
        _exit(write(ends[1], &bits, sizeof bits) == (ssize_t)sizeof bits ? 0 : 1);
    }
    assert_int_equal(read(ends[0], &bits, sizeof bits), sizeof bits);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ends[0]);
    close(ends[1]);
    assert_true(bits >= 0);
    protections_unpack(bits, &seen);
    return seen;
}

static void allow_all(void)
{
    const struct rlimit core = { 4096, 4096 };

    prctl(PR_SET_DUMPABLE, 1);
    setrlimit(RLIMIT_CORE, &core);
}

static void hide(void)
{
    prctl(PR_SET_DUMPABLE, 0);
}

static void leave_no_core(void)
{
    const struct rlimit core = { 0, 4096 };

    setrlimit(RLIMIT_CORE, &core);
}

static void gain_nothing(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void each_is_what_the_kernel_says(void **state)
{
    (void)state;
    assert_true(seen_after(hide).undumpable);
    assert_true(seen_after(leave_no_core).no_core);
    assert_true(seen_after(gain_nothing).no_new_privs);
    assert_false(seen_after(allow_all).undumpable);
    assert_true(seen_after(allow_all).locked);
    if (getuid() == 0) /* which may raise the limit again */
        assert_false(seen_after(allow_all).no_core);
}

static void a_number_keeps_them_apart(void **state)
{
    (void)state;
    for (int64_t bits = 0; bits < 32; bits++) {
        struct protections one = { .known = false };
        protections_unpack(bits, &one);
        assert_true(one.known);
        assert_int_equal(protections_pack(&one), bits);
        assert_int_equal(one.locked + 2 * one.undumpable + 4 * one.no_core + 8 * one.no_new_privs +
                             16 * one.seccomp,
                         bits);
    }
}

/* ---- offspring ------------------------------------------------------------------------------- */

/* A process that waits in a group of its own, or in that one. */
static pid_t start_in_group(pid_t group)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    assert_int_equal(setpgid(child, group), 0);
    return child;
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_fetcher_and_its_group_are_known(void **state)
{
    pid_t fetcher = start_in_group(0), its_own = start_in_group(fetcher);
    pid_t other = start_in_group(0);

    (void)state;
    assert_false(offspring_is(fetcher));
    offspring_add(fetcher);
    assert_true(offspring_is(fetcher));
    assert_true(offspring_is(its_own));
    assert_false(offspring_is(other));
    assert_false(offspring_is(getpid()));
    assert_false(offspring_is(0)); /* of another namespace */
    assert_false(offspring_is(-1));
    end(fetcher);
    offspring_remove(fetcher);
    assert_true(offspring_is(fetcher)); /* its connection may have waited meanwhile */
    assert_true(offspring_is(its_own));
    assert_false(offspring_is(other));
    end(its_own);
    end(other);
}

/* More than there can be at once, one after the other. */
static void old_ones_give_way_to_new_ones(void **state)
{
    (void)state;
    offspring_add(2000000001);
    for (pid_t pid = 2000000100; pid < 2000000400; pid++) {
        offspring_add(pid);
        assert_true(offspring_is(pid));
        offspring_remove(pid);
    }
    assert_true(offspring_is(2000000001)); /* it still runs */
    assert_true(offspring_is(2000000399));
    assert_false(offspring_is(2000000100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_what_the_kernel_says),
        cmocka_unit_test(a_number_keeps_them_apart),
        cmocka_unit_test(old_ones_give_way_to_new_ones), /* it has the first place */
        cmocka_unit_test(a_fetcher_and_its_group_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
