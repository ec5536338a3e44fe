/* poll_set: who is told of a descriptor, how often, and of none that was removed meanwhile. */
#include "support.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/poll_set.h"

enum { MANY = 40 };

struct member {
    int fd, peer;
    unsigned told;
    uint32_t events;
    struct member *removes; /* when it is told */
};

static sd_event *event;
static struct poll_set *set;
static struct member members[MANY];

static void on_ready(void *who, uint32_t events)
{
    struct member *m = who;

    m->told++;
    m->events = events;
    if (m->removes)
        poll_set_remove(set, m->removes->fd, m->removes);
    m->removes = NULL;
}

static int setup(void **state)
{
    (void)state;
    if (sd_event_new(&event) < 0)
        return -1;
    set = poll_set_new(event, on_ready);
    return set ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++) {
        if (members[i].fd)
            close(members[i].fd);
        if (members[i].peer)
            close(members[i].peer);
        members[i] = (struct member){ .fd = 0 };
    }
    set = poll_set_free(set);
    event = sd_event_unref(event);
    return 0;
}

static struct member *add(int i, uint32_t events)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    members[i] = (struct member){ .fd = pair[0], .peer = pair[1] };
    assert_int_equal(poll_set_add(set, pair[0], events, &members[i]), 0);
    return &members[i];
}

static void say(struct member *m)
{
    assert_int_equal(write(m->peer, "x", 1), 1);
}

static void take(struct member *m)
{
    char byte;

    assert_int_equal(read(m->fd, &byte, 1), 1);
}

/* A turn of the loop. Returns how many were told in it. */
static unsigned turn(void)
{
    unsigned before = 0, after = 0;

    for (int i = 0; i < MANY; i++)
        before += members[i].told;
    assert_true(sd_event_run(event, 0) >= 0);
    for (int i = 0; i < MANY; i++)
        after += members[i].told;
    return after - before;
}

static void who_is_ready_is_told_until_it_is_dealt_with(void **state)
{
    struct member *a = add(0, EPOLLIN), *b = add(1, EPOLLIN);

    (void)state;
    assert_int_equal(turn(), 0);
    say(b);
    assert_int_equal(turn(), 1);
    assert_int_equal(turn(), 1);
    assert_int_equal(b->told, 2);
    assert_int_equal(b->events, EPOLLIN);
    take(b);
    assert_int_equal(turn(), 0);
    assert_int_equal(a->told, 0);
}

static void of_many_each_has_a_turn_and_no_turn_has_all(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++)
        say(add(i, EPOLLIN)); /* and what they said stays there */
    for (int n = 0; n < 3; n++)
        assert_in_range(turn(), 8, MANY / 2);
    for (int i = 0; i < MANY; i++)
        assert_true(members[i].told > 0);
}

static void who_was_removed_is_not_told_of_what_was_seen_before(void **state)
{
    struct member *a = add(0, EPOLLIN), *b = add(1, EPOLLIN), *c = add(2, EPOLLIN);

    (void)state;
    a->removes = b;
    b->removes = a;
    say(a);
    say(b);
    say(c);
    assert_int_equal(turn(), 2); /* in whatever order: one of the first two, and the third */
    assert_int_equal(a->told + b->told, 1);
    assert_int_equal(c->told, 1);
    assert_int_equal(turn(), 2); /* nor of what comes later */
}

static void who_asks_for_nothing_hears_of_the_end_alone(void **state)
{
    struct member *a = add(0, EPOLLIN);

    (void)state;
    assert_int_equal(poll_set_change(set, a->fd, 0, a), 0);
    say(a);
    assert_int_equal(turn(), 0);
    close(a->peer);
    a->peer = 0;
    assert_int_equal(turn(), 1);
    assert_int_equal(a->events & (EPOLLIN | EPOLLHUP), EPOLLHUP);
}

/* One alone is told without the kernel being asked who it is. */
static void one_alone_is_told_of_what_is_there(void **state)
{
    struct member *a = add(0, EPOLLIN);

    (void)state;
    assert_int_equal(turn(), 0);
    say(a);
    assert_int_equal(turn(), 1);
    assert_int_equal(a->events, EPOLLIN);
    take(a);
    assert_int_equal(poll_set_change(set, a->fd, EPOLLOUT, a), 0);
    assert_int_equal(turn(), 1);
    assert_int_equal(a->events, EPOLLOUT);
}

static void who_is_left_alone_is_told_for_itself(void **state)
{
    struct member *a = add(0, EPOLLIN), *b = add(1, EPOLLIN);

    (void)state;
    poll_set_remove(set, b->fd, b);
    say(a);
    say(b);
    assert_int_equal(turn(), 1);
    assert_int_equal(a->told, 1);
    assert_int_equal(b->told, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_ready_is_told_until_it_is_dealt_with),
        TEST(of_many_each_has_a_turn_and_no_turn_has_all),
        TEST(who_was_removed_is_not_told_of_what_was_seen_before),
        TEST(who_asks_for_nothing_hears_of_the_end_alone),
        TEST(one_alone_is_told_of_what_is_there),
        TEST(who_is_left_alone_is_told_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
