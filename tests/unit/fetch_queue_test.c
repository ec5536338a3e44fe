#include "support.h"

#include "daemon/fetch_queue.h"

static struct fetch_queue slots;
static struct fetch_slot all[32];
static struct fetch_slot *turns[32];
static size_t n_turns;

/* Notes whose turn it is then. */
static void give(struct fetch_slot *slot)
{
    struct fetch_slot *next;

    fetch_queue_give(&slots, slot);
    while ((next = fetch_queue_next(&slots)))
        turns[n_turns++] = next;
}

static int setup(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };

    (void)state;
    fetch_queue_init(&slots);
    n_turns = 0;
    for (size_t i = 0; i < COUNT(all); i++)
        all[i] = (struct fetch_slot){ .provider = names[i / 4] };
    return 0;
}

static void two_for_a_provider_go_and_the_third_waits(void **state)
{
    (void)state;
    assert_true(fetch_queue_take(&slots, &all[0]));
    assert_true(fetch_queue_take(&slots, &all[1]));
    assert_false(fetch_queue_take(&slots, &all[2]));
    assert_true(fetch_queue_take(&slots, &all[4]));
    give(&all[4]);
    assert_int_equal(n_turns, 0);
    give(&all[0]);
    assert_int_equal(n_turns, 1);
    assert_ptr_equal(turns[0], &all[2]);
    assert_true(all[2].held);
}

static void eight_in_all_go_and_the_ninth_waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < FETCH_QUEUE_MAX; i++)
        assert_true(fetch_queue_take(&slots, &all[i / 2 * 4 + i % 2]));
    assert_false(fetch_queue_take(&slots, &all[16]));
    give(&all[0]);
    assert_ptr_equal(turns[0], &all[16]);
}

static void those_with_waiting_clients_go_first(void **state)
{
    (void)state;
    fetch_queue_take(&slots, &all[0]);
    fetch_queue_take(&slots, &all[1]);
    fetch_queue_take(&slots, &all[2]);
    all[3].urgent = true;
    fetch_queue_take(&slots, &all[3]);
    give(&all[0]);
    give(&all[1]);
    assert_int_equal(n_turns, 2);
    assert_ptr_equal(turns[0], &all[3]);
    assert_ptr_equal(turns[1], &all[2]);
}

static void one_that_leaves_the_queue_is_not_called(void **state)
{
    (void)state;
    fetch_queue_take(&slots, &all[0]);
    fetch_queue_take(&slots, &all[1]);
    fetch_queue_take(&slots, &all[2]);
    give(&all[2]);
    give(&all[0]);
    assert_int_equal(n_turns, 0);
}

static void giving_nothing_back_is_harmless(void **state)
{
    (void)state;
    give(&all[0]);
    assert_true(fetch_queue_take(&slots, &all[0]));
    give(&all[0]);
    give(&all[0]);
    assert_true(TAILQ_EMPTY(&slots.held));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_for_a_provider_go_and_the_third_waits),
        TEST(eight_in_all_go_and_the_ninth_waits),
        TEST(those_with_waiting_clients_go_first),
        TEST(one_that_leaves_the_queue_is_not_called),
        TEST(giving_nothing_back_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
