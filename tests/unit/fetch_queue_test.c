#include "support.h"

#include "daemon/fetch_queue.h"

static struct fetch_queue slots;
static struct fetch_slot all[32];
static struct fetch_slot *turns[32];
static size_t n_turns;
static uint64_t now;

/* Notes whose turn it is then. */
static void give(struct fetch_slot *slot)
{
    struct fetch_slot *next;

    fetch_queue_give(&slots, slot);
    while ((next = fetch_queue_next(&slots, now)))
        turns[n_turns++] = next;
}

static int setup(void **state)
{
    (void)state;
    fetch_queue_init(&slots);
    n_turns = 0;
    now = 1000000;
    for (size_t i = 0; i < COUNT(all); i++)
        all[i] = (struct fetch_slot){ .provider = i / 4 };
    return 0;
}

static void two_for_a_provider_go_and_the_third_waits(void **state)
{
    (void)state;
    assert_true(fetch_queue_take(&slots, &all[0], now));
    assert_true(fetch_queue_take(&slots, &all[1], now));
    assert_false(fetch_queue_take(&slots, &all[2], now));
    assert_true(fetch_queue_take(&slots, &all[4], now));
    give(&all[4]);
    assert_int_equal(n_turns, 0);
    give(&all[0]);
    assert_int_equal(n_turns, 1);
    assert_ptr_equal(turns[0], &all[2]);
    assert_true(all[2].held);
}

/* Two of each provider. */
static struct fetch_slot *nth(size_t i)
{
    return &all[i / 2 * 4 + i % 2];
}

static void eight_in_all_go_and_the_ninth_waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < FETCH_QUEUE_MAX; i++) {
        nth(i)->urgent = true;
        assert_true(fetch_queue_take(&slots, nth(i), now));
    }
    all[16].urgent = true;
    assert_false(fetch_queue_take(&slots, &all[16], now));
    give(&all[0]);
    assert_ptr_equal(turns[0], &all[16]);
}

static void six_for_whom_nobody_waits_go_and_two_places_are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < FETCH_QUEUE_AHEAD; i++)
        assert_true(fetch_queue_take(&slots, nth(i), now));
    assert_false(fetch_queue_take(&slots, &all[16], now));
    all[20].urgent = all[24].urgent = all[28].urgent = true;
    assert_true(fetch_queue_take(&slots, &all[20], now));
    assert_true(fetch_queue_take(&slots, &all[24], now));
    assert_false(fetch_queue_take(&slots, &all[28], now));
}

static void those_for_whom_nobody_waits_are_in_nobodys_way(void **state)
{
    (void)state;
    assert_true(fetch_queue_take(&slots, &all[0], now));
    assert_true(fetch_queue_take(&slots, &all[1], now));
    all[2].urgent = true;
    assert_true(fetch_queue_take(&slots, &all[2], now));
    assert_false(fetch_queue_take(&slots, &all[3], now));
    fetch_queue_set_urgent(&slots, &all[3], true); /* a client has come for it */
    assert_ptr_equal(fetch_queue_next(&slots, now), &all[3]);
    fetch_queue_set_urgent(&slots, &all[2], false); /* and gone */
    all[5] = (struct fetch_slot){ .provider = 0, .urgent = true };
    assert_true(fetch_queue_take(&slots, &all[5], now));
}

static void those_with_waiting_clients_go_first(void **state)
{
    (void)state;
    all[0].urgent = all[1].urgent = all[3].urgent = true;
    fetch_queue_take(&slots, &all[0], now);
    fetch_queue_take(&slots, &all[1], now);
    fetch_queue_take(&slots, &all[2], now);
    fetch_queue_take(&slots, &all[3], now);
    give(&all[0]);
    give(&all[1]);
    assert_int_equal(n_turns, 2);
    assert_ptr_equal(turns[0], &all[3]);
    assert_ptr_equal(turns[1], &all[2]);
}

static void one_behind_those_of_a_full_provider_is_not_kept_by_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < FETCH_QUEUE_AHEAD; i++)
        assert_true(fetch_queue_take(&slots, nth(i), now));
    assert_false(fetch_queue_take(&slots, &all[2], now));
    assert_false(fetch_queue_take(&slots, &all[3], now));
    assert_false(fetch_queue_take(&slots, &all[12], now));
    give(nth(4));
    assert_int_equal(n_turns, 1);
    assert_ptr_equal(turns[0], &all[12]);
}

static void one_whose_client_has_gone_keeps_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < FETCH_QUEUE_AHEAD; i++)
        assert_true(fetch_queue_take(&slots, nth(i), now));
    for (size_t i = 12; i < 15; i++)
        assert_false(fetch_queue_take(&slots, &all[i], now));
    fetch_queue_set_urgent(&slots, &all[12], true);
    assert_true(fetch_queue_is_pressed(&slots));
    fetch_queue_set_urgent(&slots, &all[12], false);
    assert_false(fetch_queue_is_pressed(&slots));
    give(nth(0));
    assert_ptr_equal(turns[0], &all[12]);
}

static void one_that_leaves_the_queue_is_not_called(void **state)
{
    (void)state;
    fetch_queue_take(&slots, &all[0], now);
    fetch_queue_take(&slots, &all[1], now);
    fetch_queue_take(&slots, &all[2], now);
    give(&all[2]);
    give(&all[0]);
    assert_int_equal(n_turns, 0);
}

static void giving_nothing_back_is_harmless(void **state)
{
    (void)state;
    give(&all[0]);
    assert_true(fetch_queue_take(&slots, &all[0], now));
    give(&all[0]);
    give(&all[0]);
    assert_true(TAILQ_EMPTY(&slots.held));
}

static void those_for_whom_nobody_waits_rest_as_long_as_fetchers_took(void **state)
{
    (void)state;
    fetch_queue_rest(&slots, 20000, now);
    assert_null(fetch_queue_rested(&slots, now));
    assert_false(fetch_queue_take(&slots, &all[0], now));
    all[1].urgent = true;
    assert_true(fetch_queue_take(&slots, &all[1], now));
    fetch_queue_rest(&slots, 50000, now); /* another one, that took 30 ms */
    assert_null(fetch_queue_next(&slots, now));
    assert_ptr_equal(fetch_queue_rested(&slots, now), &all[0]);
    assert_int_equal(slots.rests_until, now + 50000);
    now += 49999;
    assert_null(fetch_queue_next(&slots, now));
    now++;
    assert_null(fetch_queue_rested(&slots, now));
    assert_ptr_equal(fetch_queue_next(&slots, now), &all[0]);
}

static void a_child_that_takes_a_minute_costs_them_a_second(void **state)
{
    (void)state;
    fetch_queue_rest(&slots, 60000000, now);
    assert_int_equal(slots.rests_until, now + 1000000);
    now += 2000000;
    fetch_queue_rest(&slots, 60000000, now); /* and only once */
    assert_true(fetch_queue_take(&slots, &all[0], now));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_for_a_provider_go_and_the_third_waits),
        TEST(eight_in_all_go_and_the_ninth_waits),
        TEST(six_for_whom_nobody_waits_go_and_two_places_are_kept),
        TEST(those_for_whom_nobody_waits_are_in_nobodys_way),
        TEST(those_with_waiting_clients_go_first),
        TEST(one_behind_those_of_a_full_provider_is_not_kept_by_them),
        TEST(one_whose_client_has_gone_keeps_its_place),
        TEST(one_that_leaves_the_queue_is_not_called),
        TEST(giving_nothing_back_is_harmless),
        TEST(those_for_whom_nobody_waits_rest_as_long_as_fetchers_took),
        TEST(a_child_that_takes_a_minute_costs_them_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
