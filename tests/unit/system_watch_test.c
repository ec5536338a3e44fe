#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/system_watch.h"

enum { HUNG = 60 }; /* seconds */

static sd_event *event;
static struct system_watch *world;
static int calls, routes;
static enum system_change last;

static void on_change(void *context, enum system_change what)
{
    (void)context;
    calls++;
    routes += what == SYSTEM_ROUTE;
    last = what;
}

static int setup(void **state)
{
    (void)state;
    calls = routes = 0;
    assert_true(sd_event_new(&event) >= 0);
    world = system_watch_new(event, on_change, NULL);
    assert_non_null(world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    system_watch_free(world);
    sd_event_unref(event);
    return 0;
}

/* The loopback interface of a network of its own goes up: it gets its addresses. */
static int raise_loopback(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int r = ioctl(fd, SIOCSIFFLAGS, &request);

    close(fd);
    return r;
}

/* A route out by the loopback interface; length 0: the default one. */
static int add_route(uint32_t network, uint32_t mask)
{
    char device[] = "lo";
    struct rtentry route = { .rt_flags = RTF_UP, .rt_dev = device };
    struct sockaddr_in *to = (struct sockaddr_in *)(void *)&route.rt_dst;
    struct sockaddr_in *of = (struct sockaddr_in *)(void *)&route.rt_genmask;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(network) };
    *of = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(mask) };
    int r = ioctl(fd, SIOCADDRT, &route);
    close(fd);
    return r;
}

/* All that has come is read. */
static void run(sd_event *own, bool wait)
{
    if (wait)
        sd_event_run(own, HUNG * USEC_PER_SEC);
    while (sd_event_run(own, 0) > 0)
        ;
}

struct route {
    uint32_t network, mask;
};

static bool is_way_out(const struct route *r)
{
    return (r->mask & 0x7fffffff) == 0;
}

/* In a child with a network of its own, which comes up and then gets the route (NULL: none).
 * Returns how often it was told of a new way out, and 10 times how often it was told at all. */
static int in_own_network(int wants, const struct route *route)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
            _exit(77);
        sd_event *own;
        sd_event_new(&own);
        struct system_watch *w = system_watch_new(own, on_change, NULL);
        for (int i = 0; i < wants; i++)
            system_watch_want(w, true);
        if (raise_loopback() < 0)
            _exit(78);
        run(own, wants > 0);
        if (route && add_route(route->network, route->mask) < 0)
            _exit(79);
        run(own, route && (wants > 0 || is_way_out(route)));
        _exit(10 * calls + routes);
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static void skip_without(int status, const char *why)
{
    if (status != 77)
        return;
    print_message("not run: %s here\n", why);
    skip();
}

static void skip_without_network(int status)
{
    skip_without(status, "no network namespace can be made");
}

/* Also soon after the network came up, which is when a VPN's routes come. */
static void another_way_out_is_told_as_such(void **state)
{
    (void)state;
    int told = in_own_network(1, &(struct route){ 0, 0 });
    skip_without_network(told);
    assert_int_equal(told, 21);
    const struct route half = { 0x80000000, 0x80000000 }; /* as OpenVPN has it */
    assert_int_equal(in_own_network(1, &half), 21);
}

static void a_route_to_somewhere_is_no_other_way_out(void **state)
{
    (void)state;
    int told = in_own_network(1, &(struct route){ 0x0a000000, 0xff000000 });
    skip_without_network(told);
    assert_int_equal(told, 10);
}

static void a_network_that_comes_up_is_told_once(void **state)
{
    (void)state;
    int called = in_own_network(2, NULL);
    skip_without_network(called);
    assert_int_equal(called, 10);
}

static void nobody_who_wants_to_know_is_not_woken(void **state)
{
    (void)state;
    int called = in_own_network(0, NULL);
    skip_without_network(called);
    assert_int_equal(called, 0);
    assert_int_equal(in_own_network(0, &(struct route){ 0x0a000000, 0xff000000 }), 0);
}

static void another_way_out_is_told_to_those_who_want_nothing_else(void **state)
{
    (void)state;
    int told = in_own_network(0, &(struct route){ 0, 0 });
    skip_without_network(told);
    assert_int_equal(told, 11);
    assert_int_equal(in_own_network(0, &(struct route){ 0x80000000, 0x80000000 }), 11);
}

static void a_clock_that_is_set_is_told_each_time(void **state)
{
    struct timespec now;

    (void)state;
    for (int i = 1; i <= 2; i++) {
        clock_gettime(CLOCK_REALTIME, &now);
        if (clock_settime(CLOCK_REALTIME, &now) < 0) {
            print_message("not run: the clock cannot be set here: %s\n", strerror(errno));
            skip();
        }
        sd_event_run(event, HUNG * USEC_PER_SEC);
        assert_int_equal(calls, i);
        assert_int_equal(last, SYSTEM_CLOCK);
    }
}

/* Sets it to what it is; whether that is allowed here. */
static bool set_clock(void)
{
    struct timespec now;

    return clock_gettime(CLOCK_REALTIME, &now) == 0 && clock_settime(CLOCK_REALTIME, &now) == 0;
}

/* Moves this process to where CLOCK_BOOTTIME, and it alone, is an hour ahead: as after a sleep. */
static bool sleep_an_hour(void)
{
    static const char hour[] = "boottime 3600 0";
    const int to_time = 0x80; /* CLONE_NEWTIME, which older headers do not have */
    if (unshare(to_time) < 0)
        return false;
    int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    bool done = write(fd, hour, strlen(hour)) > 0;
    close(fd);
    fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    done = done && setns(fd, to_time) == 0;
    close(fd);
    return done;
}

/* In a child; 77: the machine does not allow it. */
static int told_after_a_sleep(void)
{
    sd_event *own;

    sd_event_new(&own);
    struct system_watch *w = system_watch_new(own, on_change, NULL);
    if (!w || !sleep_an_hour() || !set_clock())
        return 77;
    run(own, true);
    if (calls != 1 || last != SYSTEM_RESUME)
        return 1;
    set_clock();
    run(own, true);
    return calls == 2 && last == SYSTEM_CLOCK ? 0 : 2;
}

static void a_machine_that_wakes_up_is_told_as_such(void **state)
{
    int status;

    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(told_after_a_sleep());
    waitpid(pid, &status, 0);
    skip_without(WEXITSTATUS(status), "no clock can be set ahead");
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void wanting_and_not_wanting_are_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        system_watch_want(world, true);
        system_watch_want(world, true);
        system_watch_want(world, false);
        system_watch_want(world, false);
    }
    system_watch_want(NULL, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_network_that_comes_up_is_told_once),
        TEST(another_way_out_is_told_as_such),
        TEST(a_route_to_somewhere_is_no_other_way_out),
        TEST(nobody_who_wants_to_know_is_not_woken),
        TEST(another_way_out_is_told_to_those_who_want_nothing_else),
        TEST(a_clock_that_is_set_is_told_each_time),
        TEST(a_machine_that_wakes_up_is_told_as_such),
        TEST(wanting_and_not_wanting_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
