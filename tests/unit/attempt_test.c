#include "support.h"

#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/attempt.h"
#include "daemon/fetcher.h"

/* A profile without any password: an attempt that has begun ends at once, and sends nothing. */
static char name[] = "p", issuer[] = "i", username[] = "u";
static const struct profile_config config = { .name = name,
                                              .issuer = issuer,
                                              .username = username };
static const uint64_t hour = 3600 * USEC_PER_SEC;
static struct context shared;
static struct attempt *attempt;
static enum lifecycle_failure kind;
static enum error_code code;
static int ends;

static void on_sending(void *context)
{
    (void)context;
}

static void on_done(void *context, struct attempt_end *end)
{
    (void)context;
    kind = end->kind;
    code = end->error.code;
    ends++;
}

static int setup(void **state)
{
    (void)state;
    shared = (struct context){ .fetcher = -1, .accounts = account_table_new(NULL) };
    ends = 0;
    fetch_queue_init(&shared.fetch_queue);
    TAILQ_INIT(&shared.turns);
    if (!shared.accounts || sd_event_new(&shared.event) < 0)
        return -1;
    attempt = attempt_new(&shared, on_sending, on_done, NULL);
    return attempt ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    attempt_free(attempt);
    sd_event_unref(shared.event);
    account_table_free(shared.accounts);
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

static void until_the_end(void)
{
    while (ends == 0)
        assert_true(sd_event_run(shared.event, UINT64_MAX) >= 0);
}

static int on_time(sd_event_source *source, uint64_t usec, void *context)
{
    bool *come = context;

    (void)source, (void)usec;
    *come = true;
    return 0;
}

/* What is due before then comes before. */
static void until(uint64_t when)
{
    bool come = false;

    assert_true(sd_event_add_time(shared.event, NULL, CLOCK_BOOTTIME, when, 1, on_time, &come) >=
                0);
    while (!come)
        assert_true(sd_event_run(shared.event, UINT64_MAX) >= 0);
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
    start(hour, false);
    turn();
    assert_int_equal(ends, 0);
    uint64_t before = time_boottime();
    start(50 * USEC_PER_MSEC, false);
    until_the_end();
    assert_true(time_boottime() >= before + 50 * USEC_PER_MSEC);
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
    start(1, false);
    attempt_cancel(attempt);
    until(time_boottime() + 20 * USEC_PER_MSEC);
    assert_int_equal(ends, 0);
}

/* Nobody waits for it and nothing else happens: it ends by its own timer. */
static void a_fetcher_that_hangs_is_killed_at_its_deadline(void **state)
{
    const struct source password = { .kind = SOURCE_INLINE, .value = secret_copy("pw", 2) };
    struct profile_config hasty = { .name = name,
                                    .issuer = issuer,
                                    .client_id = name,
                                    .client_auth = name,
                                    .username = username,
                                    .signing_algs = name,
                                    .proxy = name,
                                    .scope = name,
                                    .password = password,
                                    .timeout = 1000 };

    (void)state;
    shared.fetcher = fetcher_open("/bin/cat"); /* reads on and on */
    assert_true(shared.fetcher >= 0);
    attempt_start(attempt, &(struct attempt_order){ .config = &hasty });
    until_the_end();
    assert_int_equal(kind, LIFECYCLE_TEMPORARY);
    assert_int_equal(code, ERROR_TIMEOUT);
    close(shared.fetcher);
    secret_free(password.value);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_delay_it_begins_in_the_next_turn),
        TEST(a_delay_lasts_until_its_deadline),
        TEST(a_client_that_comes_meanwhile_ends_the_delay),
        TEST(who_waits_already_is_not_delayed),
        TEST(a_delayed_one_that_is_cancelled_never_begins),
        TEST(a_fetcher_that_hangs_is_killed_at_its_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
