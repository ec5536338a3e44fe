/* Which client that asks again tells of a rejection, and how often it is heard. */
#define _GNU_SOURCE
#include <string.h>

#include "support.h"

#include <string.h>

#include "daemon/rejection.h"

#define SECOND 1000000ULL

static struct rejection suspicion;
static struct rejection_client clients[REJECTION_CLIENTS];
static uint64_t now;

static int setup(void **state)
{
    (void)state;
    memset(clients, 0, sizeof clients);
    suspicion = (struct rejection){ .clients = clients };
    now = 1000 * SECOND;
    return 0;
}

enum { KUBECTL = 4711 };

/* The process asks for its token of that time. Returns whether it is suspected then. */
static bool asks(pid_t pid, uint64_t token, unsigned calls)
{
    const struct rejection_client *c = rejection_note(&suspicion, pid, token, UINT64_MAX, now);
    return c && rejection_confirm(&suspicion, c, calls, now);
}

static void who_asks_once_suspects_nothing(void **state)
{
    (void)state;
    for (pid_t pid = 1; pid < 1000; pid++)
        assert_false(asks(pid, 1, 1));
}

static void who_asks_twice_for_one_token_had_it_rejected(void **state)
{
    (void)state;
    assert_false(asks(KUBECTL, 1, 1));
    assert_true(asks(KUBECTL, 1, 1));
}

static void a_manifest_on_stdin_makes_two_calls_normal(void **state)
{
    (void)state;
    assert_false(asks(KUBECTL, 1, 2));
    assert_false(asks(KUBECTL, 1, 2));
    assert_true(asks(KUBECTL, 1, 2));
}

static void who_comes_for_the_next_token_suspects_nothing(void **state)
{
    (void)state;
    for (uint64_t token = 1; token < 100; token++, now += 3600 * SECOND)
        assert_false(asks(KUBECTL, token, 1));
}

static void a_token_is_suspected_once(void **state)
{
    (void)state;
    asks(KUBECTL, 1, 1);
    assert_true(asks(KUBECTL, 1, 1));
    now += 7200 * SECOND;
    assert_false(asks(KUBECTL, 1, 1));
    asks(1, 1, 1);
    assert_false(asks(1, 1, 1));
}

/* How long after a suspicion the next one is heard. */
static uint64_t floor_of(uint64_t token)
{
    uint64_t start = now;

    asks(KUBECTL, token, 1);
    while (!asks(KUBECTL, token, 1))
        now += SECOND;
    return now - start;
}

static void suspicions_that_go_on_are_heard_less_and_less(void **state)
{
    (void)state;
    assert_int_equal(floor_of(1), 0);
    assert_int_equal(floor_of(2), 10 * SECOND);
    assert_int_equal(floor_of(3), 20 * SECOND);
    assert_int_equal(floor_of(4), 40 * SECOND);
    for (uint64_t token = 5; token < 20; token++)
        floor_of(token);
    assert_int_equal(floor_of(20), 3600 * SECOND);
}

static void a_token_that_lived_in_peace_ends_that(void **state)
{
    (void)state;
    for (uint64_t token = 1; token < 10; token++)
        floor_of(token);
    rejection_calm(&suspicion, 9);
    assert_true(floor_of(10) > SECOND);
    rejection_calm(&suspicion, 11);
    assert_int_equal(floor_of(12), 10 * SECOND);
    rejection_calm(&suspicion, 13);
    now += 10 * SECOND;
    assert_int_equal(floor_of(14), 0);
}

static void a_token_whose_rejection_came_too_soon_did_not_live_in_peace(void **state)
{
    (void)state;
    floor_of(1);
    asks(KUBECTL, 2, 1);
    assert_false(asks(KUBECTL, 2, 1));
    now += 9 * SECOND;
    rejection_calm(&suspicion, 2);
    now += SECOND;
    assert_int_equal(floor_of(3), 0);
    assert_int_equal(floor_of(4), 20 * SECOND);
}

static void the_longest_gone_client_is_forgotten(void **state)
{
    (void)state;
    for (pid_t pid = 1; pid <= REJECTION_CLIENTS + 1; pid++)
        asks(pid, 1, 1);
    assert_true(asks(2, 1, 1));
    memset(clients, 0, sizeof clients);
    suspicion = (struct rejection){ .clients = clients };
    for (pid_t pid = 1; pid <= REJECTION_CLIENTS + 1; pid++)
        asks(pid, 1, 1);
    assert_false(asks(1, 1, 1));
}

static void who_came_for_its_token_lately_is_remembered(void **state)
{
    (void)state;
    asks(KUBECTL, 1, 1);
    for (pid_t pid = 1; pid < REJECTION_CLIENTS; pid++, now++)
        asks(pid, 1, 1);
    asks(KUBECTL, 2, 1); /* it lives long: this is its second token */
    for (pid_t pid = 100; pid < 100 + REJECTION_CLIENTS - 1; pid++, now++)
        asks(pid, 2, 1);
    assert_true(asks(KUBECTL, 2, 1));
}

/* As asks(), of a process that is told to come again in a minute. */
static bool rehearses(unsigned calls)
{
    const struct rejection_client *c = rejection_note(&suspicion, KUBECTL, 1, now + 60 * SECOND,
                                                      now);
    return c && rejection_confirm(&suspicion, c, calls, now);
}

static void who_comes_when_it_was_told_to_suspects_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++, now += 59 * SECOND) /* a time is told in whole seconds */
        assert_false(rehearses(1));
    for (int i = 0; i < 100; i++, now += 60 * SECOND) { /* with a manifest on stdin */
        assert_false(rehearses(2));
        assert_false(rehearses(2));
    }
}

static void who_comes_earlier_than_it_was_told_to_had_it_rejected(void **state)
{
    (void)state;
    assert_false(rehearses(1));
    now += 60 * SECOND;
    assert_false(rehearses(1));
    now += 58 * SECOND;
    assert_true(rehearses(1));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_asks_once_suspects_nothing),
        TEST(who_asks_twice_for_one_token_had_it_rejected),
        TEST(a_manifest_on_stdin_makes_two_calls_normal),
        TEST(who_comes_for_the_next_token_suspects_nothing),
        TEST(a_token_is_suspected_once),
        TEST(suspicions_that_go_on_are_heard_less_and_less),
        TEST(a_token_that_lived_in_peace_ends_that),
        TEST(a_token_whose_rejection_came_too_soon_did_not_live_in_peace),
        TEST(the_longest_gone_client_is_forgotten),
        TEST(who_came_for_its_token_lately_is_remembered),
        TEST(who_comes_when_it_was_told_to_suspects_nothing),
        TEST(who_comes_earlier_than_it_was_told_to_had_it_rejected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
