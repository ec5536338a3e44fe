#include "support.h"

#include <string.h>
#include <systemd/sd-event.h>

#include "common/time.h"
#include "daemon/attempt.h"

/* A profile without any password: an attempt that has begun ends at once, and sends nothing. */
static char name[] = "p", issuer[] = "i", username[] = "u";
static const struct profile_config config = { .name = name,
                                              .issuer = issuer,
                                              .username = username };
static const uint64_t hour = 3600 * USEC_PER_SEC;
static struct profile_shared shared;
static struct attempt *attempt;
static enum lifecycle_failure kind;
static int ends;

static void on_done(void *context, struct attempt_end *end)
{
    (void)context;
    kind = end->kind;
    ends++;
}

static int setup(void **state)
{
    (void)state;
    shared = (struct profile_shared){ .fetcher = -1, .accounts = accounts_new(NULL) };
    ends = 0;
    slots_init(&shared.slots);
    TAILQ_INIT(&shared.trials);
    if (!shared.accounts || sd_event_new(&shared.event) < 0)
        return -1;
    attempt = attempt_new(&shared, on_done, NULL);
    return attempt ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    attempt_free(attempt);
    sd_event_unref(shared.event);
    accounts_free(shared.accounts);
    return 0;
}

static void start(uint64_t delay, bool urgent)
{
    attempt_start(attempt,
                  &(struct attempt_order){ .config = &config, .delay = delay, .urgent = urgent });
}

/* All that is there to be done. */
static void turn(void)
{
    int r;

    while ((r = sd_event_run(shared.event, 0)) > 0)
        ;
    assert_int_equal(r, 0);
}

static void without_a_delay_it_begins_in_the_next_turn(void **state)
{
    (void)state;
    start(0, false);
    assert_int_equal(ends, 0);
    turn();
    assert_int_equal(ends, 1);
    assert_int_equal(kind, LIFECYCLE_NO_LOGIN);
}

static void a_delay_lasts_until_its_deadline(void **state)
{
    (void)state;
    uint64_t before = time_boottime();
    start(hour, false);
    assert_in_range(attempt_deadline(attempt), before + hour, time_boottime() + hour);
    turn();
    assert_int_equal(ends, 0);
    attempt_expire(attempt);
    assert_true(attempt_deadline(attempt) == USEC_INFINITY);
    turn();
    assert_int_equal(ends, 1);
}

static void a_client_that_comes_meanwhile_ends_the_delay(void **state)
{
    (void)state;
    start(hour, false);
    turn();
    attempt_hurry(attempt);
    turn();
    assert_int_equal(ends, 1);
}

static void who_waits_already_is_not_delayed(void **state)
{
    (void)state;
    start(hour, true);
    turn();
    assert_int_equal(ends, 1);
}

static void a_delayed_one_that_is_cancelled_never_begins(void **state)
{
    (void)state;
    start(hour, false);
    attempt_cancel(attempt);
    assert_true(attempt_deadline(attempt) == USEC_INFINITY);
    turn();
    assert_int_equal(ends, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_delay_it_begins_in_the_next_turn),   TEST(a_delay_lasts_until_its_deadline),
        TEST(a_client_that_comes_meanwhile_ends_the_delay), TEST(who_waits_already_is_not_delayed),
        TEST(a_delayed_one_that_is_cancelled_never_begins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
