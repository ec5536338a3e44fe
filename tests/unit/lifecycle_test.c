/* When to ask, renew, retry and stop: the rows of the table of states, one after the other. */
#define _GNU_SOURCE
#include "support.h"

#include <string.h>

#include "daemon/lifecycle.h"
#include "daemon/profile_record.h"

#define SECOND 1000000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define NEVER UINT64_MAX

static struct lifecycle lc;
static struct lifecycle_policy policy;
static uint64_t now;

static int setup(void **state)
{
    (void)state;
    policy = (struct lifecycle_policy){ .keep_fresh = 12 * HOUR, .use_refresh_token = true };
    now = 1000 * SECOND;
    lifecycle_init(&lc, now);
    return 0;
}

/* ---- events, as sentences -------------------------------------------------------------------- */

static struct lifecycle_actions step(struct lifecycle_event event)
{
    return lifecycle_step(&lc, &policy, &event, now);
}

static struct lifecycle_actions wanted_within(uint64_t patience)
{
    return step((struct lifecycle_event){ .type = LIFECYCLE_WANTED,
                                          .wanted = { .deadline = now + patience } });
}

static struct lifecycle_actions wanted(void)
{
    return wanted_within(30 * SECOND);
}

static struct lifecycle_actions wanted_for(uint64_t min_validity)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_WANTED,
        .wanted = { .deadline = now + 30 * SECOND, .min_validity = min_validity } });
}

static struct lifecycle_actions rejected(void)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_WANTED, .wanted = { .deadline = now + 30 * SECOND, .rejected = true } });
}

static struct lifecycle_actions timer(void)
{
    return step((struct lifecycle_event){ .type = LIFECYCLE_TIMER });
}

static struct lifecycle_actions changed(void)
{
    return step((struct lifecycle_event){ .type = LIFECYCLE_CHANGED });
}

static struct lifecycle_actions typed(void)
{
    policy.password_at_hand = true;
    return step((struct lifecycle_event){ .type = LIFECYCLE_CHANGED,
                                          .changed = { true, true, now + 30 * SECOND } });
}

static struct lifecycle_actions forget(void)
{
    return step((struct lifecycle_event){ .type = LIFECYCLE_FORGET });
}

static struct lifecycle_actions token_that(uint64_t lifetime, bool refresh_token, uint32_t random)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_TOKEN,
        .random = random,
        .token = { .sent = now, .lifetime = lifetime, .refresh_token = refresh_token } });
}

static struct lifecycle_actions token(uint64_t lifetime)
{
    return token_that(lifetime, false, 0);
}

static struct lifecycle_actions failed_with(enum lifecycle_failure kind, uint64_t retry_after,
                                            uint32_t random)
{
    return step((struct lifecycle_event){ .type = LIFECYCLE_FAILED,
                                          .random = random,
                                          .failed = { .kind = kind, .retry_after = retry_after } });
}

static struct lifecycle_actions failed(enum lifecycle_failure kind)
{
    return failed_with(kind, 0, UINT32_MAX);
}

static uint64_t next(void)
{
    return lifecycle_next(&lc, &policy);
}

/* ---- places to start from -------------------------------------------------------------------- */

static void asking(void)
{
    wanted();
    assert_int_equal(lc.state, LIFECYCLE_ASKING);
}

/* A token of an hour, asked for and handed out just now; renewed after 48 minutes. */
static void with_token(void)
{
    asking();
    token(HOUR);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
}

static void with_refresh_token(void)
{
    asking();
    token_that(HOUR, true, 0);
}

static void waiting(void)
{
    asking();
    failed(LIFECYCLE_TEMPORARY);
    assert_int_equal(lc.state, LIFECYCLE_WAITING);
}

static void stopped(void)
{
    asking();
    failed(LIFECYCLE_REFUSED);
    assert_int_equal(lc.state, LIFECYCLE_STOPPED);
}

/* Stopped, but with a token that still lives for a minute. */
static void stopped_with_token(void)
{
    with_token();
    now = lc.expires_at - MINUTE;
    timer();
    failed(LIFECYCLE_REFUSED);
    assert_int_equal(lc.state, LIFECYCLE_STOPPED);
}

/* ---- wanted, a token is there ---------------------------------------------------------------- */

static void a_good_token_is_served_without_a_request(void **state)
{
    (void)state;
    with_token();
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_SERVE);
    assert_false(a.request);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
}

static void serving_notes_the_use(void **state)
{
    (void)state;
    with_token();
    now += 5 * MINUTE;
    wanted();
    assert_int_equal(lc.last_use, now);
}

static void a_token_due_for_renewal_is_served_and_renewed(void **state)
{
    (void)state;
    with_token();
    now = lc.renew_at;
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_SERVE);
    assert_true(a.request);
}

static void a_token_past_its_hand_over_waits_for_the_newer_one(void **state)
{
    (void)state;
    with_token();
    now = lc.advertised_expiry;
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_true(a.request);
}

static void an_expired_token_is_never_served(void **state)
{
    (void)state;
    with_token();
    now = lc.expires_at;
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_true(a.request);
}

static void a_token_too_old_for_the_client_is_renewed_once_before_it_is_served(void **state)
{
    (void)state;
    with_token();
    now += 20 * MINUTE;
    struct lifecycle_actions a = wanted_for(50 * MINUTE);
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_true(a.request);
}

static void a_token_that_just_lives_long_enough_is_served(void **state)
{
    (void)state;
    with_token();
    now += 20 * MINUTE;
    assert_int_equal(wanted_for(40 * MINUTE).verdict, LIFECYCLE_SERVE);
}

static void more_life_than_tokens_have_is_no_reason_to_ask(void **state)
{
    (void)state;
    with_token();
    struct lifecycle_actions a = wanted_for(HOUR + 1);
    assert_int_equal(a.verdict, LIFECYCLE_TOO_SHORT);
    assert_false(a.request);
}

static void a_rejected_token_is_replaced(void **state)
{
    (void)state;
    with_token();
    now += 10 * SECOND;
    struct lifecycle_actions a = rejected();
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_true(a.request);
    assert_false(a.drop_token);
}

static void a_token_just_fetched_is_not_replaced_because_it_was_rejected(void **state)
{
    (void)state;
    with_token();
    now += 10 * SECOND - 1;
    struct lifecycle_actions a = rejected();
    assert_int_equal(a.verdict, LIFECYCLE_SERVE);
    assert_false(a.request);
}

static void others_are_served_while_a_rejected_token_is_replaced(void **state)
{
    (void)state;
    with_token();
    now += 10 * SECOND;
    rejected();
    assert_int_equal(wanted().verdict, LIFECYCLE_SERVE);
}

static void a_token_is_alive_until_the_moment_of_its_death(void **state)
{
    (void)state;
    with_token();
    assert_true(lifecycle_alive(&lc, lc.expires_at - 1));
    assert_false(lifecycle_alive(&lc, lc.expires_at));
}

/* ---- wanted, none is there ------------------------------------------------------------------- */

static void the_first_client_starts_a_request_and_waits(void **state)
{
    (void)state;
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_true(a.request);
    assert_int_equal(lc.state, LIFECYCLE_ASKING);
}

static void further_clients_wait_for_the_same_request(void **state)
{
    (void)state;
    asking();
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_false(a.request);
}

static void a_living_token_is_served_while_another_is_asked_for(void **state)
{
    (void)state;
    with_token();
    now = lc.renew_at;
    timer();
    assert_int_equal(wanted().verdict, LIFECYCLE_SERVE);
}

static void a_client_waits_when_the_retry_comes_before_its_deadline(void **state)
{
    (void)state;
    waiting();
    struct lifecycle_actions a = wanted_within(lc.retry_at - now + 1);
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_false(a.request);
}

static void a_client_fails_at_once_when_the_retry_comes_after_its_deadline(void **state)
{
    (void)state;
    waiting();
    struct lifecycle_actions a = wanted_within(lc.retry_at - now);
    assert_int_equal(a.verdict, LIFECYCLE_FAIL);
    assert_false(a.request);
}

static void a_living_token_is_served_while_the_provider_is_down(void **state)
{
    (void)state;
    with_token();
    now = lc.advertised_expiry;
    timer();
    failed(LIFECYCLE_TEMPORARY);
    assert_int_equal(wanted().verdict, LIFECYCLE_SERVE);
}

static void after_a_refusal_clients_get_the_error_without_a_request(void **state)
{
    (void)state;
    stopped();
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_FAIL);
    assert_false(a.request);
    assert_int_equal(lc.state, LIFECYCLE_STOPPED);
}

static void a_living_token_is_served_after_a_refusal(void **state)
{
    (void)state;
    stopped_with_token();
    assert_int_equal(wanted().verdict, LIFECYCLE_SERVE);
}

static void a_token_that_died_after_a_refusal_is_not_served(void **state)
{
    (void)state;
    stopped_with_token();
    now = lc.expires_at;
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_FAIL);
    assert_false(a.request);
}

static void without_a_password_clients_get_the_error(void **state)
{
    (void)state;
    asking();
    failed(LIFECYCLE_NO_LOGIN);
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_FAIL);
    assert_false(a.request);
}

static void the_retries_of_a_client_that_gave_up_get_its_answer_at_once(void **state)
{
    (void)state;
    asking();
    step((struct lifecycle_event){ .type = LIFECYCLE_GAVE_UP, .gave_up.patience = 30 * SECOND });
    now += 5 * SECOND - 1;
    assert_int_equal(wanted().verdict, LIFECYCLE_FAIL);
}

static void a_client_with_more_time_than_the_one_that_gave_up_waits(void **state)
{
    (void)state;
    asking();
    step((struct lifecycle_event){ .type = LIFECYCLE_GAVE_UP, .gave_up.patience = SECOND });
    assert_int_equal(wanted_within(SECOND).verdict, LIFECYCLE_FAIL);
    assert_int_equal(wanted().verdict, LIFECYCLE_QUEUE);
}

static void a_client_that_comes_later_waits_again(void **state)
{
    (void)state;
    asking();
    step((struct lifecycle_event){ .type = LIFECYCLE_GAVE_UP, .gave_up.patience = 30 * SECOND });
    now += 5 * SECOND;
    assert_int_equal(wanted().verdict, LIFECYCLE_QUEUE);
}

static void an_unreadable_file_is_read_again_for_a_client_that_comes_later(void **state)
{
    (void)state;
    asking();
    failed(LIFECYCLE_LOCAL);
    now += 5 * SECOND;
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_true(a.request);
}

static void an_unreadable_file_fails_the_clients_that_come_at_once(void **state)
{
    (void)state;
    asking();
    failed(LIFECYCLE_LOCAL);
    now += 5 * SECOND - 1;
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_FAIL);
    assert_false(a.request);
}

/* ---- a token comes --------------------------------------------------------------------------- */

static void a_token_answers_everybody(void **state)
{
    (void)state;
    asking();
    struct lifecycle_actions a = token(HOUR);
    assert_int_equal(a.waiters, LIFECYCLE_ANSWER_ALL);
    assert_false(a.request);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
}

static void a_token_dies_a_lifetime_after_it_was_sent_for(void **state)
{
    (void)state;
    asking();
    uint64_t sent = now;
    now += 3 * SECOND;
    step((struct lifecycle_event){ .type = LIFECYCLE_TOKEN,
                                   .token = { .sent = sent, .lifetime = HOUR } });
    assert_int_equal(lc.expires_at, sent + HOUR);
}

static void a_token_ends_the_failures(void **state)
{
    (void)state;
    waiting();
    now = lc.retry_at;
    timer();
    token(HOUR);
    assert_int_equal(lc.failures, 0);
    assert_int_equal(lc.failed_at, 0);
}

static uint64_t lead_of(uint64_t lifetime)
{
    asking();
    token(lifetime);
    return lc.expires_at - lc.renew_at;
}

static void by_default_a_fifth_of_the_life_is_left_at_renewal(void **state)
{
    (void)state;
    assert_int_equal(lead_of(HOUR), 12 * MINUTE);
}

static void by_default_at_least_a_minute_is_left_at_renewal(void **state)
{
    (void)state;
    assert_int_equal(lead_of(4 * MINUTE), MINUTE);
}

static void by_default_at_most_an_hour_is_left_at_renewal(void **state)
{
    (void)state;
    assert_int_equal(lead_of(24 * HOUR), HOUR);
}

static void by_default_at_most_half_of_the_life_is_left_at_renewal(void **state)
{
    (void)state;
    assert_int_equal(lead_of(90 * SECOND), 45 * SECOND);
}

static void a_percentage_decides_the_renewal(void **state)
{
    (void)state;
    policy.refresh_before_percent = 50;
    assert_int_equal(lead_of(HOUR), 30 * MINUTE);
}

static void a_duration_decides_the_renewal(void **state)
{
    (void)state;
    policy.refresh_before = 5 * MINUTE;
    assert_int_equal(lead_of(HOUR), 5 * MINUTE);
}

static void a_duration_longer_than_half_of_the_life_is_cut(void **state)
{
    (void)state;
    policy.refresh_before = 2 * HOUR;
    assert_int_equal(lead_of(HOUR), 30 * MINUTE);
}

/* The token of an hour that was in hand is renewed. */
static void renewed(uint32_t random)
{
    now = next();
    assert_true(timer().request);
    token_that(HOUR, false, random);
}

static void jitter_moves_the_renewal_a_few_percent_earlier(void **state)
{
    (void)state;
    with_token();
    renewed(UINT32_MAX);
    uint64_t without_jitter = now + 48 * MINUTE;
    assert_true(lc.renew_at < without_jitter - 2 * MINUTE);
    assert_true(lc.renew_at > without_jitter - 3 * MINUTE);
}

static void the_first_token_is_renewed_anywhere_in_nine_tenths_of_its_wait(void **state)
{
    (void)state;
    asking();
    token_that(HOUR, false, UINT32_MAX);
    assert_in_range(lc.renew_at, now + 48 * MINUTE / 10, now + 48 * MINUTE / 10 + SECOND);
    assert_in_range(lc.advertised_expiry, now + 54 * MINUTE - 1, now + 54 * MINUTE);
    renewed(0);
    assert_int_equal(lc.renew_at, now + 48 * MINUTE);
}

/* As if there had been no outage: who had parted before stays parted. */
static void after_an_outage_the_renewal_comes_when_it_would_have_come(void **state)
{
    (void)state;
    with_token();
    uint64_t renewal = lc.renew_at;
    now = renewal + 2 * HOUR; /* two and a half of its waits later */
    asking();
    token_that(HOUR, false, UINT32_MAX / 2);
    assert_in_range(lc.renew_at, renewal + 142 * MINUTE, renewal + 144 * MINUTE);
}

static void so_soon_after_it_that_it_is_hardly_worth_it_chance_decides(void **state)
{
    (void)state;
    with_token();
    uint64_t renewal = lc.renew_at;
    now = renewal + 47 * MINUTE;
    asking();
    token_that(HOUR, false, 0);
    assert_int_equal(lc.renew_at, now + 48 * MINUTE);
}

static void the_hand_over_lies_between_renewal_and_death(void **state)
{
    (void)state;
    with_token();
    assert_true(lc.advertised_expiry > lc.renew_at);
    assert_true(lc.advertised_expiry < lc.expires_at);
}

static void a_life_of_next_to_nothing_does_not_renew_at_once(void **state)
{
    (void)state;
    asking();
    token(SECOND / 10);
    assert_true(lc.renew_at >= lc.expires_at);
}

static void an_endless_life_does_not_overflow(void **state)
{
    (void)state;
    asking();
    token(UINT64_MAX);
    assert_true(lc.expires_at == UINT64_MAX);
    assert_true(lc.renew_at <= lc.expires_at);
    assert_true(lc.advertised_expiry >= lc.renew_at);
}

/* ---- the timer ------------------------------------------------------------------------------- */

static void nothing_is_timed_before_anybody_asked(void **state)
{
    (void)state;
    assert_true(next() == NEVER);
}

static void nothing_is_timed_while_asking(void **state)
{
    (void)state;
    asking();
    assert_true(next() == NEVER);
}

static void nothing_is_timed_after_a_refusal(void **state)
{
    (void)state;
    stopped_with_token();
    assert_true(next() == NEVER);
}

static void a_token_in_use_is_renewed_when_it_is_due(void **state)
{
    (void)state;
    with_token();
    assert_int_equal(next(), lc.renew_at);
    now = lc.renew_at;
    assert_true(timer().request);
    assert_int_equal(lc.state, LIFECYCLE_ASKING);
}

static void a_timer_that_comes_too_early_does_nothing(void **state)
{
    (void)state;
    with_token();
    now = lc.renew_at - 1;
    assert_false(timer().request);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
}

static void a_token_out_of_use_is_not_renewed(void **state)
{
    (void)state;
    policy.keep_fresh = 10 * MINUTE;
    with_token();
    assert_true(next() == NEVER);
    now = lc.renew_at;
    assert_false(timer().request);
}

static void a_process_that_runs_is_a_use(void **state)
{
    (void)state;
    policy.keep_fresh = MINUTE;
    with_token();
    assert_true(next() == NEVER);
    policy.held = true;
    assert_int_equal(next(), lc.renew_at);
    now = lc.renew_at;
    assert_true(timer().request);
    failed(LIFECYCLE_TEMPORARY);
    assert_int_equal(next(), lc.retry_at);
    policy.held = false;
    assert_true(next() == NEVER);
}

static void what_a_process_wants_is_left_at_any_time(void **state)
{
    (void)state;
    with_token(); /* of an hour */
    policy.held_validity = 50 * MINUTE;
    assert_int_equal(next(), lc.renew_at);
    policy.held = true;
    assert_int_equal(next(), lc.sent + 10 * MINUTE);
    now = lc.sent + 10 * MINUTE - 1;
    assert_false(timer().request);
    now++;
    assert_true(timer().request);
    token(HOUR);
    assert_int_equal(next(), now + 10 * MINUTE);
    policy.held_validity = MINUTE;
    assert_int_equal(next(), lc.renew_at);
}

static void no_token_is_replaced_within_a_minute_for_a_process(void **state)
{
    (void)state;
    with_token();
    policy.held = true;
    policy.held_validity = HOUR - 1;
    assert_int_equal(next(), lc.sent + MINUTE);
    policy.held_validity = HOUR; /* no token lives so long */
    assert_int_equal(next(), lc.renew_at);
    now = lc.renew_at;
    timer();
    token(MINUTE);
    policy.held_validity = MINUTE - 1;
    assert_int_equal(next(), now + 30 * SECOND);
}

static void always_means_renewal_without_any_use(void **state)
{
    (void)state;
    policy.keep_fresh = NEVER;
    changed();
    token(HOUR);
    assert_int_equal(lc.last_use, 0);
    assert_int_equal(next(), lc.renew_at);
}

static void a_retry_is_made_when_it_is_due(void **state)
{
    (void)state;
    waiting();
    assert_int_equal(next(), lc.retry_at);
    now = lc.retry_at;
    assert_true(timer().request);
    assert_int_equal(lc.state, LIFECYCLE_ASKING);
}

static void a_timer_after_a_refusal_does_nothing(void **state)
{
    (void)state;
    stopped();
    now += 24 * HOUR;
    assert_false(timer().request);
}

static void retries_end_when_nobody_has_asked_for_long(void **state)
{
    (void)state;
    policy.keep_fresh = MINUTE;
    asking();
    now += 2 * MINUTE;
    failed(LIFECYCLE_TEMPORARY);
    assert_true(next() == NEVER);
}

static void a_client_that_waits_is_retried_for_whatever_keep_fresh_says(void **state)
{
    (void)state;
    policy.keep_fresh = 0;
    asking();
    failed(LIFECYCLE_TEMPORARY);
    assert_int_equal(wanted().verdict, LIFECYCLE_QUEUE);
    assert_int_equal(next(), lc.retry_at);
}

/* ---- failures that may pass ------------------------------------------------------------------ */

static void a_passing_failure_waits_and_keeps_those_with_time(void **state)
{
    (void)state;
    asking();
    struct lifecycle_actions a = failed(LIFECYCLE_TEMPORARY);
    assert_int_equal(lc.state, LIFECYCLE_WAITING);
    assert_int_equal(a.waiters, LIFECYCLE_ANSWER_SOON);
    assert_false(a.request);
}

static void only_the_first_failure_in_a_row_is_news(void **state)
{
    (void)state;
    asking();
    assert_true(failed(LIFECYCLE_TEMPORARY).newly_waiting);
    now = lc.retry_at;
    timer();
    assert_false(failed(LIFECYCLE_TEMPORARY).newly_waiting);
}

static uint64_t delay_after(unsigned failures, uint32_t random)
{
    asking();
    for (unsigned i = 1; i < failures; i++) {
        failed_with(LIFECYCLE_TEMPORARY, 0, 0);
        now = lc.retry_at;
        timer();
    }
    failed_with(LIFECYCLE_TEMPORARY, 0, random);
    return lc.retry_at - now;
}

static void the_least_delay_is_a_second(void **state)
{
    (void)state;
    assert_int_equal(delay_after(1, 0), SECOND);
}

static void the_least_delay_is_a_second_after_many_failures_too(void **state)
{
    (void)state;
    assert_int_equal(delay_after(20, 0), SECOND);
}

static void the_delay_doubles(void **state)
{
    (void)state;
    uint64_t third = delay_after(3, UINT32_MAX);
    setup(state);
    uint64_t fourth = delay_after(4, UINT32_MAX);
    assert_true(fourth > 2 * third - SECOND && fourth < 2 * third + SECOND);
}

static void the_longest_delay_is_five_minutes(void **state)
{
    (void)state;
    uint64_t delay = delay_after(40, UINT32_MAX);
    assert_true(delay <= 5 * MINUTE);
    assert_true(delay > 5 * MINUTE - SECOND);
}

static void retry_after_is_obeyed(void **state)
{
    (void)state;
    asking();
    failed_with(LIFECYCLE_TEMPORARY, 20 * MINUTE, 0);
    assert_int_equal(lc.retry_at, now + 20 * MINUTE);
}

static void retry_after_counts_for_an_hour_at_most(void **state)
{
    (void)state;
    asking();
    failed_with(LIFECYCLE_TEMPORARY, 24 * HOUR, 0);
    assert_int_equal(lc.retry_at, now + HOUR);
}

static void retry_after_never_shortens_the_delay(void **state)
{
    (void)state;
    asking();
    failed_with(LIFECYCLE_TEMPORARY, 1, 0);
    assert_int_equal(lc.retry_at, now + SECOND);
}

static void an_unreadable_file_answers_everybody(void **state)
{
    (void)state;
    asking();
    assert_int_equal(failed(LIFECYCLE_LOCAL).waiters, LIFECYCLE_ANSWER_ALL);
    assert_int_equal(lc.state, LIFECYCLE_WAITING);
}

/* ---- failures that probably do not pass ------------------------------------------------------ */

static struct lifecycle_actions soft(uint32_t random)
{
    return failed_with(LIFECYCLE_SOFT, 0, random);
}

static void odd_answers_wait_five_then_fifteen_minutes_then_an_hour_each(void **state)
{
    static const uint64_t delays[] = { 5 * MINUTE, 15 * MINUTE, HOUR, HOUR, HOUR, HOUR };

    (void)state;
    asking();
    for (size_t i = 0; i < COUNT(delays); i++) {
        assert_int_equal(soft(0).waiters, LIFECYCLE_ANSWER_SOON);
        assert_int_equal(lc.state, LIFECYCLE_WAITING);
        assert_int_equal(lc.retry_at, now + delays[i]);
        now = lc.retry_at;
        wanted();
        timer();
    }
}

static void they_are_spread_over_a_quarter_more(void **state)
{
    (void)state;
    asking();
    soft(UINT32_MAX);
    assert_in_range(lc.retry_at, now + 6 * MINUTE, now + 6 * MINUTE + 15 * SECOND);
}

static void the_account_says_when_it_goes_on(void **state)
{
    (void)state;
    asking();
    failed_with(LIFECYCLE_SOFT, 7 * MINUTE, UINT32_MAX);
    assert_int_equal(lc.retry_at, now + 7 * MINUTE);
}

static void a_token_ends_the_doubts(void **state)
{
    (void)state;
    asking();
    soft(0);
    now = lc.retry_at;
    timer();
    token(HOUR);
    now = lc.renew_at;
    timer();
    soft(0);
    assert_int_equal(lc.retry_at, now + 5 * MINUTE);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void a_refused_password_stops_and_answers_everybody(void **state)
{
    (void)state;
    asking();
    struct lifecycle_actions a = failed(LIFECYCLE_REFUSED);
    assert_int_equal(lc.state, LIFECYCLE_STOPPED);
    assert_int_equal(a.waiters, LIFECYCLE_ANSWER_ALL);
    assert_true(a.newly_waiting);
    assert_false(a.request);
    assert_false(a.drop_token);
}

static void no_password_needs_a_login(void **state)
{
    (void)state;
    asking();
    struct lifecycle_actions a = failed(LIFECYCLE_NO_LOGIN);
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
    assert_int_equal(a.waiters, LIFECYCLE_ANSWER_ALL);
    assert_false(a.request);
}

static void a_refusal_never_leads_to_a_request_by_itself(void **state)
{
    (void)state;
    stopped();
    for (int i = 0; i < 100; i++) {
        now += HOUR;
        assert_false(timer().request);
        assert_false(wanted().request);
        assert_false(rejected().request);
    }
}

/* ---- refresh tokens -------------------------------------------------------------------------- */

static void a_refresh_token_is_used_for_the_next_renewal(void **state)
{
    (void)state;
    with_refresh_token();
    now = lc.renew_at;
    timer();
    assert_true(lc.by_refresh_token);
}

static void the_first_request_goes_by_password(void **state)
{
    (void)state;
    asking();
    assert_false(lc.by_refresh_token);
}

static void a_refresh_token_is_not_used_when_the_policy_says_no(void **state)
{
    (void)state;
    policy.use_refresh_token = false;
    with_refresh_token();
    now = lc.renew_at;
    timer();
    assert_false(lc.by_refresh_token);
}

static void refreshing(void)
{
    with_refresh_token();
    now = lc.renew_at;
    timer();
    assert_true(lc.by_refresh_token);
}

static void a_refused_refresh_token_is_dropped_and_the_password_used_at_once(void **state)
{
    (void)state;
    refreshing();
    struct lifecycle_actions a = failed(LIFECYCLE_REFUSED);
    assert_true(a.drop_refresh_token);
    assert_true(a.request);
    assert_false(lc.by_refresh_token);
    assert_int_equal(lc.state, LIFECYCLE_ASKING);
    assert_int_equal(a.waiters, LIFECYCLE_KEEP);
}

static void an_odd_answer_keeps_the_refresh_token(void **state)
{
    (void)state;
    refreshing();
    struct lifecycle_actions a = soft(0);
    assert_false(a.drop_refresh_token);
    assert_false(a.request);
    now = lc.retry_at;
    timer();
    assert_true(lc.by_refresh_token);
}

static void the_password_is_tried_once_only_after_a_refused_refresh_token(void **state)
{
    (void)state;
    refreshing();
    failed(LIFECYCLE_REFUSED);
    struct lifecycle_actions a = failed(LIFECYCLE_REFUSED);
    assert_false(a.request);
    assert_int_equal(lc.state, LIFECYCLE_STOPPED);
}

static void without_a_password_a_refused_refresh_token_needs_a_login(void **state)
{
    (void)state;
    refreshing();
    failed(LIFECYCLE_REFUSED);
    failed(LIFECYCLE_NO_LOGIN);
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
}

/* A one-time password was wrong: the refresh token in hand goes on when it would have. */
static void a_login_that_came_to_nothing_takes_no_refresh_token_away(void **state)
{
    (void)state;
    with_refresh_token();
    policy.password_at_hand = true;
    step((struct lifecycle_event){ .type = LIFECYCLE_CHANGED,
                                   .changed = { .person = true, .password = true } });
    assert_false(lc.by_refresh_token);
    policy.password_at_hand = false;
    struct lifecycle_actions a = failed(LIFECYCLE_NO_LOGIN);
    assert_int_equal(lc.state, LIFECYCLE_WAITING);
    assert_int_equal(a.waiters, LIFECYCLE_ANSWER_ALL);
    assert_int_equal(lifecycle_next(&lc, &policy), lc.renew_at);
    now = lc.renew_at;
    assert_true(timer().request);
    assert_true(lc.by_refresh_token);
}

/* Nor does it go on sooner than the provider said to the login, whatever changes meanwhile. */
static void the_refresh_token_waits_as_the_login_was_told_to(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        setup(NULL);
        with_refresh_token();
        now = lc.renew_at;
        policy.password_at_hand = true;
        step((struct lifecycle_event){ .type = LIFECYCLE_CHANGED,
                                       .changed = { .person = true, .password = true } });
        if (i == 1)
            step((struct lifecycle_event){ .type = LIFECYCLE_CHANGED });
        policy.password_at_hand = false;
        assert_false(failed_with(LIFECYCLE_NO_LOGIN, MINUTE, 0).request);
        assert_int_equal(next(), now + MINUTE);
    }
}

static struct lifecycle_actions offered(void)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_CHANGED,
        .changed = { .person = true, .deadline = now + 30 * SECOND, .refresh_token = true } });
}

static void a_refresh_token_that_somebody_gives_is_used_at_once(void **state)
{
    const enum lifecycle_failure ends[] = { LIFECYCLE_REFUSED, LIFECYCLE_TEMPORARY };

    (void)state;
    for (int i = 0; i < 2; i++) {
        setup(NULL);
        asking();
        failed_with(ends[i], HOUR, 0);
        struct lifecycle_actions a = offered();
        assert_true(a.request && a.take_offered && lc.by_refresh_token);
        a = token_that(HOUR, true, 0);
        assert_true(!a.request && !a.take_offered);
        assert_int_equal(lc.state, LIFECYCLE_IDLE);
    }
    setup(NULL);
    policy.password_at_hand = false;
    refreshing();
    failed(LIFECYCLE_REFUSED);
    failed(LIFECYCLE_NO_LOGIN);
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
    assert_true(offered().request && lc.by_refresh_token);
}

/* Nothing that an earlier request brings is taken for what came of it. */
static void one_that_is_given_during_a_request_is_taken_at_its_end(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        setup(NULL);
        if (i < 2)
            asking();
        else
            refreshing();
        struct lifecycle_actions a = offered();
        assert_true(!a.request && !a.take_offered);
        a = i % 2 ? token_that(HOUR, true, 0) : failed(LIFECYCLE_REFUSED);
        assert_true(a.request && a.take_offered && lc.by_refresh_token);
        assert_false(a.drop_refresh_token);
        assert_true(lc.has_refresh_token && lc.state == LIFECYCLE_ASKING);
    }
}

static void what_was_known_of_the_last_one_does_not_count_for_it(void **state)
{
    (void)state;
    setup(NULL);
    lc.refresh_is_useless = lc.refresh_is_stale = lc.refresh_is_short = true;
    lc.refresh_faults = 2;
    lc.in_turn = lc.password_turn = true;
    assert_true(offered().request && lc.by_refresh_token);
    assert_true(!lc.refresh_is_useless && !lc.refresh_is_stale && !lc.refresh_is_short);
    assert_true(lc.refresh_faults == 0 && !lc.in_turn);
}

static void the_last_word_of_a_person_counts(void **state)
{
    (void)state;
    setup(NULL);
    asking();
    offered();
    typed();
    struct lifecycle_actions a = token_that(HOUR, false, 0);
    assert_true(a.request && a.take_offered && !lc.by_refresh_token);

    setup(NULL);
    asking();
    typed();
    offered();
    a = token_that(HOUR, false, 0);
    assert_true(a.request && a.take_offered && lc.by_refresh_token);
}

static void one_that_was_given_is_forgotten_with_the_rest(void **state)
{
    (void)state;
    setup(NULL);
    asking();
    offered();
    forget();
    asking();
    assert_false(token_that(HOUR, false, 0).take_offered);
}

static void an_outage_keeps_the_refresh_token(void **state)
{
    (void)state;
    refreshing();
    struct lifecycle_actions a = failed(LIFECYCLE_TEMPORARY);
    assert_false(a.drop_refresh_token);
    assert_false(a.request);
    now = lc.retry_at;
    timer();
    assert_true(lc.by_refresh_token);
}

static void a_refresh_without_a_token_is_never_tried_again(void **state)
{
    (void)state;
    refreshing();
    struct lifecycle_actions a = step((struct lifecycle_event){
        .type = LIFECYCLE_FAILED,
        .failed = { .kind = LIFECYCLE_REFUSED, .refresh_without_token = true } });
    assert_true(a.request);
    assert_false(lc.by_refresh_token);
    token_that(HOUR, true, 0);
    now = lc.renew_at;
    timer();
    assert_false(lc.by_refresh_token);
}

static struct lifecycle_actions stale(bool password_at_hand)
{
    policy.password_at_hand = password_at_hand;
    return failed(LIFECYCLE_STALE);
}

static void a_refresh_that_brings_nothing_newer_means_the_password_until_a_login(void **state)
{
    (void)state;
    refreshing();
    struct lifecycle_actions a = stale(true);
    assert_true(a.request && a.drop_refresh_token);
    assert_false(lc.by_refresh_token);
    for (int i = 0; i < 2; i++) {
        token_that(HOUR, true, 0);
        now = lc.renew_at;
        assert_true(timer().request);
        assert_false(lc.by_refresh_token);
    }
    typed();
    token_that(HOUR, true, 0); /* of the one under way, then that of the login */
    assert_false(lc.by_refresh_token);
    token_that(HOUR, true, 0);
    now = lc.renew_at;
    timer();
    assert_true(lc.by_refresh_token);
}

static void without_a_password_it_is_asked_again_at_the_renewals_until_the_token_dies(void **state)
{
    unsigned requests = 0;

    (void)state;
    refreshing();
    while (lifecycle_alive(&lc, now)) {
        struct lifecycle_actions a = stale(false);
        assert_false(a.request || a.drop_refresh_token);
        assert_int_equal(lc.state, LIFECYCLE_WAITING);
        assert_int_equal(wanted().verdict, LIFECYCLE_SERVE);
        assert_true(next() > now && next() <= lc.expires_at + SECOND);
        now = next();
        assert_true(timer().request);
        assert_true(lc.by_refresh_token);
        assert_in_range(++requests, 1, 12);
    }
    struct lifecycle_actions a = stale(false);
    assert_true(a.request && a.drop_refresh_token);
    assert_false(lc.by_refresh_token);
    failed(LIFECYCLE_NO_LOGIN);
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
}

static struct lifecycle_actions printed_again(bool nobody_waits)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_FAILED,
        .random = UINT32_MAX,
        .failed = { .kind = LIFECYCLE_STALE, .nobody_waits = nobody_waits } });
}

static void what_a_command_prints_again_is_no_failure_while_nobody_waits(void **state)
{
    (void)state;
    with_token();
    now = lc.renew_at;
    timer();
    assert_true(lifecycle_rests(&lc, now));
    struct lifecycle_actions a = printed_again(true);
    assert_false(a.request || a.newly_waiting);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
    assert_int_equal(lc.failed_at, 0);
    assert_true(next() > now + SECOND && next() < lc.expires_at);
    assert_int_equal(wanted().verdict, LIFECYCLE_SERVE);
}

/* Else profile_serve() would end the daemon, or who comes would wait for nothing. */
static void after_that_nobody_waits_but_for_a_request(void **state)
{
    (void)state;
    with_token();
    now = lc.renew_at;
    timer();
    printed_again(true);
    const struct lifecycle rested = lc;
    for (uint64_t end = lc.expires_at; now < end; now += SECOND) {
        lc = rested;
        bool serves = lifecycle_serves(&lc, 0, now);
        struct lifecycle_actions a = wanted();
        assert_true(a.verdict == LIFECYCLE_SERVE || (a.request && !serves));
    }
}

static void who_waits_for_another_token_is_told_that_there_is_none(void **state)
{
    (void)state;
    with_token();
    now = lc.renew_at;
    timer();
    struct lifecycle_actions a = printed_again(false);
    assert_true(a.newly_waiting);
    assert_int_equal(lc.state, LIFECYCLE_WAITING);
    assert_int_equal(wanted().verdict, LIFECYCLE_SERVE);
}

static void near_its_end_a_token_that_is_printed_again_is_a_failure(void **state)
{
    unsigned requests = 0;

    (void)state;
    with_token();
    now = lc.renew_at;
    timer();
    while (lifecycle_alive(&lc, now)) {
        bool rests = lifecycle_rests(&lc, now);
        assert_true(rests == (now < lc.advertised_expiry && lc.failed_at == 0));
        printed_again(true);
        assert_int_equal(lc.state, rests ? LIFECYCLE_IDLE : LIFECYCLE_WAITING);
        assert_true(next() > now && next() <= lc.expires_at + SECOND);
        now = next();
        assert_true(timer().request);
        assert_in_range(++requests, 1, 14);
    }
    assert_true(requests > 3);
}

static void where_lives_vary_the_next_token_may_live_as_long_as_somebody_wants(void **state)
{
    (void)state;
    with_token();
    policy.lives_vary = true;
    struct lifecycle_actions a = wanted_for(2 * HOUR);
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_true(a.request);
    policy.lives_vary = false;
}

static void dead_tokens_are_asked_for_again_at_longer_and_longer_intervals(void **state)
{
    uint64_t before = 0;

    (void)state;
    asking();
    for (int i = 0; i < 12; i++) {
        struct lifecycle_actions a = printed_again(i % 2 == 0);
        assert_int_equal(lc.state, LIFECYCLE_WAITING);
        assert_int_equal(a.waiters, LIFECYCLE_ANSWER_ALL);
        assert_true(next() - now >= before && next() - now <= 5 * MINUTE);
        before = next() - now;
        now = next();
        timer();
    }
    assert_true(before > 4 * MINUTE);
}

static void a_refused_refresh_token_is_not_sent_again_when_something_changed(void **state)
{
    (void)state;
    refreshing();
    changed();
    assert_true(failed(LIFECYCLE_REFUSED).request);
    assert_false(lc.by_refresh_token);
}

static void a_refused_client_is_no_fault_of_the_refresh_token(void **state)
{
    (void)state;
    refreshing();
    struct lifecycle_actions a = step((struct lifecycle_event){
        .type = LIFECYCLE_FAILED, .failed = { .kind = LIFECYCLE_REFUSED, .not_the_token = true } });
    assert_false(a.request);
    assert_false(a.drop_refresh_token);
    assert_true(lc.has_refresh_token);
    assert_int_equal(lc.state, LIFECYCLE_STOPPED);
}

/* ---- changed, forgotten ---------------------------------------------------------------------- */

static void a_change_asks_at_once_from_every_state_that_rests(void **state)
{
    void (*const places[])(void) = { with_token, waiting, stopped, stopped_with_token };

    for (size_t i = 0; i < COUNT(places); i++) {
        setup(state);
        places[i]();
        assert_true(changed().request);
        assert_int_equal(lc.state, LIFECYCLE_ASKING);
    }
}

static void a_login_ends_the_need_for_one(void **state)
{
    (void)state;
    asking();
    failed(LIFECYCLE_NO_LOGIN);
    assert_true(changed().request);
}

static void a_change_while_asking_starts_no_second_request(void **state)
{
    (void)state;
    asking();
    assert_false(changed().request);
}

static void a_change_while_asking_asks_again_after_the_refusal_of_the_old(void **state)
{
    (void)state;
    asking();
    changed();
    struct lifecycle_actions a = failed(LIFECYCLE_REFUSED);
    assert_true(a.request);
    assert_int_equal(a.waiters, LIFECYCLE_KEEP);
    assert_int_equal(lc.state, LIFECYCLE_ASKING);
}

static void a_change_while_asking_asks_again_after_the_token_of_the_old(void **state)
{
    (void)state;
    asking();
    changed();
    assert_true(token(HOUR).request);
}

static void a_change_while_asking_asks_again_once_only(void **state)
{
    (void)state;
    asking();
    changed();
    failed(LIFECYCLE_REFUSED);
    assert_false(failed(LIFECYCLE_REFUSED).request);
    assert_int_equal(lc.state, LIFECYCLE_STOPPED);
}

static void a_change_begins_the_doubts_anew(void **state)
{
    (void)state;
    asking();
    soft(0);
    changed();
    soft(0);
    assert_int_equal(lc.retry_at, now + 5 * MINUTE);
}

static void a_failure_after_a_refusal_and_a_change_is_news(void **state)
{
    (void)state;
    stopped();
    changed();
    assert_true(failed(LIFECYCLE_TEMPORARY).newly_waiting);
}

static void another_identity_drops_all(void **state)
{
    (void)state;
    with_refresh_token();
    struct lifecycle_actions a = forget();
    assert_true(a.drop_token);
    assert_true(a.drop_refresh_token);
    assert_int_equal(a.waiters, LIFECYCLE_ANSWER_ALL);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
    assert_false(lifecycle_alive(&lc, now));
    assert_true(next() == NEVER);
}

static void another_identity_ends_a_refusal(void **state)
{
    (void)state;
    stopped();
    forget();
    assert_true(wanted().request);
}

static void another_identity_asks_by_password(void **state)
{
    (void)state;
    with_refresh_token();
    forget();
    wanted();
    assert_false(lc.by_refresh_token);
}

static void the_time_of_a_state_is_when_it_was_entered(void **state)
{
    (void)state;
    asking();
    uint64_t entered = now;
    now += SECOND;
    wanted();
    assert_int_equal(lc.since, entered);
    token(HOUR);
    assert_int_equal(lc.since, now);
}

static void every_state_has_a_name(void **state)
{
    (void)state;
    for (int i = LIFECYCLE_IDLE; i <= LIFECYCLE_NEED_LOGIN; i++)
        assert_true(strlen(lifecycle_state_name((enum lifecycle_state)i)) > 0);
}

static void a_start_that_nobody_waits_for_is_put_off_by_up_to_two_seconds(void **state)
{
    (void)state;
    lc.expires_at = now + HOUR;
    assert_int_equal(lifecycle_delay(&lc, 0, now), 0);
    assert_in_range(lifecycle_delay(&lc, UINT32_MAX / 2, now), SECOND - 1, SECOND);
    assert_in_range(lifecycle_delay(&lc, UINT32_MAX, now), 2 * SECOND - 1, 2 * SECOND);
}

static void it_is_put_off_by_an_eighth_at_most_of_what_the_token_has_to_live(void **state)
{
    (void)state;
    lc.expires_at = now + 8 * SECOND;
    assert_in_range(lifecycle_delay(&lc, UINT32_MAX, now), SECOND - 1, SECOND);
    assert_int_equal(lifecycle_delay(&lc, UINT32_MAX, lc.expires_at - 1), 0);
}

static void whose_token_has_died_is_put_off_longer_and_who_has_none_is_not(void **state)
{
    (void)state;
    assert_int_equal(lifecycle_delay(&lc, UINT32_MAX, now), 0);
    lc.expires_at = now;
    assert_in_range(lifecycle_delay(&lc, UINT32_MAX, now), 90 * SECOND - 1, 90 * SECOND);
    assert_int_equal(lifecycle_delay(&lc, 0, now + HOUR), 0);
}

static struct lifecycle_actions world_changed(uint32_t random)
{
    return step((struct lifecycle_event){ .type = LIFECYCLE_SYSTEM_CHANGED, .random = random });
}

/* Those who were all told the same time part behind it, but for whom somebody waits. */
static void behind_the_time_that_a_provider_has_told_they_part(void **state)
{
    (void)state;
    asking();
    now = lc.waited_until;
    failed_with(LIFECYCLE_TEMPORARY, 10 * MINUTE, UINT32_MAX);
    assert_in_range(lc.retry_at, now + 12 * MINUTE - 1, now + 12 * MINUTE);
    world_changed(UINT32_MAX); /* also where the network comes up meanwhile */
    assert_in_range(lc.retry_at, now + 11 * MINUTE + 30 * SECOND - 1,
                    now + 11 * MINUTE + 30 * SECOND);
    wanted(); /* who does not wait so long changes nothing */
    assert_true(lc.retry_at > now + 11 * MINUTE);
    wanted_within(11 * MINUTE); /* of that a tenth is left for who comes, and does */
    assert_in_range(lc.retry_at, now + 10 * MINUTE + 9 * SECOND - 1,
                    now + 10 * MINUTE + 9 * SECOND);
    now = lc.retry_at;
    wanted_within(2 * MINUTE);
    timer();
    failed_with(LIFECYCLE_TEMPORARY, MINUTE, UINT32_MAX);
    assert_int_equal(lc.retry_at, now + MINUTE);
}

/* No answer came in time; the account allows the next login after that. */
static void lost(uint64_t retry_after, uint32_t random)
{
    step((struct lifecycle_event){
        .type = LIFECYCLE_FAILED,
        .random = random,
        .failed = { .kind = LIFECYCLE_SOFT, .lost = true, .retry_after = retry_after } });
}

static void lost_answers_make_the_pauses_longer_up_to_an_hour(void **state)
{
    static const uint64_t most[] = { SECOND, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, HOUR, HOUR };

    (void)state;
    asking();
    for (size_t i = 0; i < COUNT(most); i++) {
        lost(SECOND, UINT32_MAX);
        assert_in_range(lc.retry_at, now + most[i] - 1, now + most[i]);
        assert_int_equal(lc.lost, i + 1);
        now = lc.retry_at;
        wanted();
        timer();
        assert_int_equal(lc.state, LIFECYCLE_ASKING);
    }
    lost(2 * HOUR, 0); /* the account's pause is never cut */
    assert_int_equal(lc.retry_at, now + 2 * HOUR);
    now = lc.retry_at;
    wanted();
    timer();
    token(HOUR);
    assert_int_equal(lc.lost, 0);
}

/* After an outage the provider has much to do: the first one counts, too. */
static void an_answer_that_is_lost_after_failures_counts_at_once(void **state)
{
    (void)state;
    waiting();
    now = lc.retry_at;
    timer();
    lost(SECOND, UINT32_MAX);
    assert_in_range(lc.retry_at, now + 64 * SECOND - 1, now + 64 * SECOND);
}

/* ---- another life ---------------------------------------------------------------------------- */

/* The daemon ends, and another one takes up what this one has written, but for the token. */
static void restart_with(bool password, bool refresh_token)
{
    char bytes[PROFILE_RECORD_MAX];
    struct profile_record r = { .lifecycle = lc };
    size_t length = profile_record_encode(&r, bytes, sizeof bytes);

    assert_int_equal(profile_record_decode(bytes, length, now, &r), 0);
    memset(&lc, 0xff, sizeof lc);
    policy.password_at_hand = password;
    lifecycle_restore(&lc, &r.lifecycle, &policy, refresh_token, now);
}

static void what_was_under_way_when_it_ended_is_not_any_more(void **state)
{
    (void)state;
    asking();
    restart_with(true, false);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
    assert_int_equal(lc.last_use, now);
    assert_true(wanted().request);
}

static void a_retry_outlives_a_restart(void **state)
{
    (void)state;
    waiting();
    failed_with(LIFECYCLE_TEMPORARY, 30 * MINUTE, 0);
    restart_with(true, false);
    assert_int_equal(lc.state, LIFECYCLE_WAITING);
    assert_int_equal(lc.not_before, now + 30 * MINUTE);
    assert_int_equal(lc.failures, 2);
    assert_int_equal(lc.failed_at, now);
    assert_int_equal(next(), now + 30 * MINUTE);
    assert_false(changed().request);
    assert_int_equal(next(), now + 30 * MINUTE);
}

static void what_was_refused_stays_stopped(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        setup(NULL);
        asking();
        failed(LIFECYCLE_REFUSED);
        restart_with(i & 1, i & 2);
        assert_int_equal(lc.state, LIFECYCLE_STOPPED);
        assert_int_equal(wanted().verdict, LIFECYCLE_FAIL);
    }
}

/* Typed passwords and refresh tokens are lost by default. */
static void without_a_credential_a_login_is_needed(void **state)
{
    (void)state;
    with_token();
    restart_with(false, false);
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
    setup(NULL);
    asking();
    restart_with(false, false);
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
    setup(NULL);
    waiting();
    restart_with(false, false);
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
    assert_int_equal(next(), NEVER);
    assert_int_equal(wanted().verdict, LIFECYCLE_FAIL);
}

static void with_a_refresh_token_none_is(void **state)
{
    (void)state;
    with_token();
    restart_with(false, true);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
    wanted();
    assert_true(lc.by_refresh_token);
}

/* One that brings no id_token, or may not be used, is no credential. */
static void with_a_useless_refresh_token_a_login_is_needed(void **state)
{
    (void)state;
    with_refresh_token();
    lc.refresh_is_useless = true;
    restart_with(false, true);
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
    setup(NULL);
    with_refresh_token();
    lc.refresh_is_stale = true;
    restart_with(false, true);
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
    setup(NULL);
    with_refresh_token();
    policy.use_refresh_token = false;
    restart_with(false, true);
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
    restart_with(true, true);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
}

static void a_login_that_was_needed_is_not_where_there_is_a_password_now(void **state)
{
    (void)state;
    asking();
    failed(LIFECYCLE_NO_LOGIN);
    restart_with(true, false);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
    assert_true(wanted().request);
}

static void a_refresh_token_that_is_lost_is_not_used(void **state)
{
    (void)state;
    with_refresh_token();
    restart_with(true, false);
    wanted();
    assert_false(lc.by_refresh_token);
}

static void the_token_of_before_is_served_until_its_renewal(void **state)
{
    uint64_t sent;

    (void)state;
    with_token();
    renewed(UINT32_MAX); /* by chance a little sooner than by rule */
    sent = now;
    uint64_t due = next(), told = lc.advertised_expiry;
    now += 10 * MINUTE;
    restart_with(true, false);
    lifecycle_restore_token(&lc, &policy, sent, HOUR);
    assert_int_equal(lc.sent, sent);
    assert_int_equal(lc.expires_at, sent + HOUR);
    assert_int_equal(next(), due);
    assert_int_equal(lc.advertised_expiry, told);
    assert_true(lifecycle_serves(&lc, 0, now));
    now = due;
    assert_true(timer().request);
}

/* Killed when the next one had just come, before it was written down how things stood. */
static void the_renewal_of_the_token_before_is_not_that_of_the_one_in_hand(void **state)
{
    (void)state;
    with_token();
    now += 48 * MINUTE;
    assert_true(timer().request);
    restart_with(true, false);
    lifecycle_restore_token(&lc, &policy, now + SECOND, HOUR);
    assert_int_equal(lc.renew_at, now + SECOND + 48 * MINUTE);
    assert_int_equal(lc.advertised_expiry, now + SECOND + 54 * MINUTE);
    assert_int_equal(next(), lc.renew_at);
}

/* Nor one that lies behind the death of what is in hand. */
static void no_renewal_comes_after_the_death_of_the_token(void **state)
{
    struct lifecycle kept = { .last_use = now, .renew_at = now + 2 * HOUR, .advertised_expiry = 1 };

    (void)state;
    policy.password_at_hand = true;
    lifecycle_restore(&lc, &kept, &policy, false, now);
    lifecycle_restore_token(&lc, &policy, now, HOUR);
    assert_int_equal(lc.renew_at, now + 48 * MINUTE);
    assert_int_equal(lc.advertised_expiry, now + 54 * MINUTE);
    kept.renew_at = now + 40 * MINUTE;
    kept.advertised_expiry = now + 2 * HOUR;
    lifecycle_restore(&lc, &kept, &policy, false, now);
    lifecycle_restore_token(&lc, &policy, now, HOUR);
    assert_int_equal(lc.renew_at, now + 40 * MINUTE);
    assert_int_equal(lc.advertised_expiry, now + 50 * MINUTE);
}

/* It is told to be about to die from when it is asked for again, and no later after a restart. */
static void a_restart_does_not_put_off_when_clients_come_for_another(void **state)
{
    (void)state;
    with_token();
    uint64_t sent = lc.sent;
    while (lc.renew_at < lc.advertised_expiry) {
        now = lc.renew_at;
        timer();
        assert_true(lifecycle_rests(&lc, now));
        printed_again(true);
    }
    uint64_t told = lc.advertised_expiry;
    restart_with(true, false);
    lifecycle_restore_token(&lc, &policy, sent, HOUR);
    assert_int_equal(lc.advertised_expiry, told);
    assert_int_equal(next(), told);
}

/* A person had said something before it was told, so that it was asked again all the same: a crash
 * takes the word, and not what the provider said. */
static void a_crash_leaves_what_the_provider_wishes(void **state)
{
    (void)state;
    asking();
    typed();
    struct lifecycle_actions a = failed_with(LIFECYCLE_TEMPORARY, 5 * MINUTE, 0);
    assert_true(a.request && lc.state == LIFECYCLE_ASKING);
    restart_with(true, false);
    assert_int_equal(lc.state, LIFECYCLE_WAITING);
    assert_int_equal(next(), now + 5 * MINUTE);
    assert_false(wanted().verdict == LIFECYCLE_SERVE);
    assert_int_equal(next(), now + 5 * MINUTE);
}

/* Who logs in by a page in a browser, and then has lunch, finds the login alive. */
static void a_login_is_a_use(void **state)
{
    struct lifecycle_event event = {
        .type = LIFECYCLE_TOKEN, .token = { .sent = now, .lifetime = HOUR, .refresh_token = true }
    };

    (void)state;
    step(event);
    assert_int_equal(next(), NEVER);
    event.token.login = true;
    step(event);
    assert_int_equal(next(), lc.renew_at);
    now = lc.renew_at;
    assert_true(timer().request);
}

/* The record of how things stood may be lost alone. */
static void a_token_of_which_nothing_else_is_known_is_renewed_by_rule(void **state)
{
    (void)state;
    policy.refresh_before = 10 * MINUTE;
    policy.keep_fresh = NEVER;
    lifecycle_restore_token(&lc, &policy, now - MINUTE, HOUR);
    assert_int_equal(lc.expires_at, now + 59 * MINUTE);
    assert_int_equal(next(), now + 49 * MINUTE);
    assert_int_equal(lc.advertised_expiry, now + 54 * MINUTE);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

static void a_typed_password_is_used_before_the_refresh_token(void **state)
{
    (void)state;
    wanted();
    token_that(HOUR, true, 0);
    assert_true(typed().request);
    assert_false(lc.by_refresh_token);
    token_that(HOUR, true, 0);
    assert_true(changed().request);
    assert_true(lc.by_refresh_token);
}

static void a_password_typed_while_asking_is_used_next(void **state)
{
    (void)state;
    wanted();
    token_that(HOUR, true, 0);
    changed();
    assert_false(typed().request);
    assert_true(token_that(HOUR, true, 0).request);
    assert_false(lc.by_refresh_token);
}

static void who_logs_in_is_going_to_use_the_token(void **state)
{
    (void)state;
    typed();
    token_that(HOUR, false, 0);
    assert_int_equal(lifecycle_next(&lc, &policy), lc.renew_at);
}

static void a_logout_without_a_source_needs_a_login(void **state)
{
    (void)state;
    struct lifecycle_actions a = step(
        (struct lifecycle_event){ .type = LIFECYCLE_FORGET, .forget = { true } });
    assert_int_equal(lc.state, LIFECYCLE_NEED_LOGIN);
    assert_int_equal(a.waiters, LIFECYCLE_ANSWER_ALL);
    assert_int_equal(wanted().verdict, LIFECYCLE_FAIL);
    assert_true(typed().request);
}

/* ---- the bucket, the world, rejections, short lives ------------------------------------------ */

static struct lifecycle_actions suspected(void)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_WANTED, .wanted = { .deadline = now + 30 * SECOND, .suspected = true } });
}

static void a_deferred_login_waits_for_its_turn_and_is_no_failure(void **state)
{
    (void)state;
    asking();
    struct lifecycle_actions a = failed_with(LIFECYCLE_DEFERRED, 7 * SECOND, UINT32_MAX);
    assert_int_equal(lc.state, LIFECYCLE_WAITING);
    assert_int_equal(lc.retry_at, now + 7 * SECOND);
    assert_int_equal(lc.failures, 0);
    assert_int_equal(a.waiters, LIFECYCLE_ANSWER_SOON);
    assert_int_equal(wanted_within(30 * SECOND).verdict, LIFECYCLE_QUEUE);
    assert_int_equal(wanted_within(5 * SECOND).verdict, LIFECYCLE_FAIL);
}

static void one_that_yielded_goes_within_a_second_where_somebody_comes(void **state)
{
    (void)state;
    asking();
    step((struct lifecycle_event){
        .type = LIFECYCLE_FAILED,
        .failed = { .kind = LIFECYCLE_DEFERRED, .retry_after = 10 * SECOND, .yielded = true } });
    assert_int_equal(lc.retry_at, now + 10 * SECOND);
    now += SECOND;
    assert_int_equal(wanted_within(5 * SECOND).verdict, LIFECYCLE_QUEUE);
    assert_in_range(lc.retry_at, now, now + SECOND);
}

static void a_deferred_login_does_not_wait_for_another_password_nor_for_the_network(void **state)
{
    (void)state;
    asking();
    failed_with(LIFECYCLE_DEFERRED, 17 * SECOND, 0);
    assert_true(lc.put_off);
    world_changed(0);
    assert_int_equal(lc.retry_at, now + 17 * SECOND);
    assert_true(changed().request);
    token(HOUR);
    assert_false(lc.put_off);
}

static void when_the_network_comes_up_a_retry_is_made_within_three_seconds(void **state)
{
    (void)state;
    waiting();
    lc.retry_at = now + 300 * SECOND;
    world_changed(UINT32_MAX);
    assert_in_range(lc.retry_at, now + 2 * SECOND, now + 3 * SECOND);
    now += SECOND;
    world_changed(0);
    assert_int_equal(lc.retry_at, now);
}

static void a_link_that_flaps_does_not_retry_within_a_second(void **state)
{
    (void)state;
    waiting();
    lc.retry_at = now + 300 * SECOND;
    uint64_t failed_at = now;
    now += SECOND / 10;
    world_changed(0);
    assert_int_equal(lc.retry_at, failed_at + SECOND);
}

static void a_person_who_waits_is_retried_for_whatever_keep_fresh_says(void **state)
{
    (void)state;
    policy.keep_fresh = 0;
    typed();
    failed(LIFECYCLE_TEMPORARY);
    assert_int_equal(next(), lc.retry_at);
    now += 31 * SECOND;
    lc.retry_at = now;
    assert_true(next() == NEVER);
}

static void a_retry_that_is_due_sooner_stays(void **state)
{
    (void)state;
    waiting();
    lc.retry_at = now + SECOND;
    world_changed(UINT32_MAX);
    assert_int_equal(lc.retry_at, now + SECOND);
}

static void the_network_does_not_outdo_a_retry_after(void **state)
{
    (void)state;
    asking();
    failed_with(LIFECYCLE_TEMPORARY, 100 * SECOND, 0);
    world_changed(0);
    assert_int_equal(lc.retry_at, now + 100 * SECOND);
}

static void the_network_is_no_reason_to_repeat_what_was_doubtful(void **state)
{
    (void)state;
    asking();
    soft(0);
    world_changed(0);
    assert_int_equal(lc.retry_at, now + 5 * MINUTE);
    lifecycle_init(&lc, now);
    stopped();
    assert_false(world_changed(0).request);
    assert_int_equal(next(), UINT64_MAX);
}

static struct lifecycle_actions route_changed(uint32_t random)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_SYSTEM_CHANGED, .random = random, .system_changed = { true } });
}

static void another_way_out_is_tried_within_thirty_seconds(void **state)
{
    (void)state;
    with_token();
    now = lc.renew_at;
    timer();
    soft(0);
    now += MINUTE;
    route_changed(UINT32_MAX);
    assert_in_range(lc.retry_at, now + 29 * SECOND, now + 30 * SECOND);
    assert_true(lc.by_route);
    route_changed(0); /* the first one counts */
    assert_in_range(lc.retry_at, now + 29 * SECOND, now + 30 * SECOND);
    now = lc.retry_at;
    timer();
    assert_true(lc.by_route);
    soft(0);
    assert_false(lc.by_route);
    assert_int_equal(lc.retry_at, now + 15 * MINUTE);
}

static void for_who_waits_it_is_tried_within_three_seconds(void **state)
{
    (void)state;
    asking();
    soft(0);
    now += 10 * SECOND;
    route_changed(UINT32_MAX);
    assert_in_range(lc.retry_at, now + 2 * SECOND, now + 3 * SECOND);
}

static void not_within_a_minute_of_the_last_try_for_that(void **state)
{
    (void)state;
    asking();
    soft(0);
    now += 31 * SECOND;
    route_changed(0);
    assert_int_equal(lc.retry_at, now);
    timer();
    soft(0);
    uint64_t retry_at = lc.retry_at, tried = now;
    now = tried + MINUTE - 1;
    route_changed(0);
    assert_int_equal(lc.retry_at, retry_at);
    now = tried + MINUTE;
    route_changed(0);
    assert_int_equal(lc.retry_at, now);
}

static void another_way_out_is_a_network_that_came_up_for_other_failures(void **state)
{
    (void)state;
    waiting();
    lc.retry_at = now + 300 * SECOND;
    route_changed(UINT32_MAX);
    assert_in_range(lc.retry_at, now + 2 * SECOND, now + 3 * SECOND);
}

static void what_failed_last_decides_what_the_network_means(void **state)
{
    (void)state;
    asking();
    soft(0);
    now = next();
    timer();
    failed(LIFECYCLE_TEMPORARY);
    lc.retry_at = now + 300 * SECOND;
    world_changed(UINT32_MAX);
    assert_in_range(lc.retry_at, now + 89 * SECOND, now + 90 * SECOND);
    wanted_within(MINUTE * 10); /* somebody who comes does not wait for all of that */
    uint64_t soon = lc.failed_at + 4 * SECOND;
    assert_int_equal(lc.retry_at, soon);
    wanted_within(MINUTE * 10); /* once is enough */
    assert_int_equal(lc.retry_at, soon);
    lc.retry_at = now + 300 * SECOND;
    world_changed(UINT32_MAX); /* nor who waits already */
    assert_in_range(lc.retry_at, now + 2 * SECOND, now + 3 * SECOND);
}

/* ---- where nobody listens -------------------------------------------------------------------- */

/* The host refuses the connection. */
static struct lifecycle_actions deserted_with(uint32_t random)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_FAILED,
        .random = random,
        .failed = { .kind = LIFECYCLE_TEMPORARY, .nobody_listens = true } });
}

static struct lifecycle_actions deserted(void)
{
    return deserted_with(UINT32_MAX);
}

static struct lifecycle_actions resumed(void)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_SYSTEM_CHANGED, .random = UINT32_MAX, .system_changed.resume = true });
}

static struct lifecycle_actions clock_set(void)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_SYSTEM_CHANGED, .random = UINT32_MAX, .system_changed.clock = true });
}

static struct lifecycle_actions network_came(void)
{
    return world_changed(UINT32_MAX);
}

static struct lifecycle_actions another_route(void)
{
    return route_changed(UINT32_MAX);
}

/* The retry, at that time. */
static void retry_at(uint64_t when)
{
    now = when;
    lc.retry_at = when;
    assert_true(timer().request);
}

static void connections_refused_twice_two_seconds_apart_answer_who_waits(void **state)
{
    (void)state;
    asking();
    uint64_t first = now;
    assert_int_equal(deserted_with(0).waiters, LIFECYCLE_ANSWER_SOON);
    assert_int_equal(next(), first + 2 * SECOND); /* whatever chance says */
    assert_int_equal(wanted().verdict, LIFECYCLE_QUEUE);
    now = next();
    assert_true(timer().request);
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_ALL);
    assert_int_equal(lc.state, LIFECYCLE_WAITING);
    assert_in_range(next(), now + SECOND, now + 4 * SECOND); /* it goes on as it would */
}

static void less_than_two_seconds_apart_they_may_be_one_start_of_the_provider(void **state)
{
    (void)state;
    asking();
    uint64_t first = now;
    deserted();
    retry_at(first + 2 * SECOND - 1);
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_SOON);
    assert_int_equal(next(), now + SECOND);
    now = next();
    timer();
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_ALL);
}

static void another_failure_in_between_counts_anew(void **state)
{
    (void)state;
    asking();
    deserted();
    now = next();
    timer();
    assert_int_equal(failed(LIFECYCLE_TEMPORARY).waiters, LIFECYCLE_ANSWER_SOON);
    now = next();
    timer();
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_SOON);
    assert_int_equal(next(), now + 2 * SECOND);
}

static void so_does_a_change_by_a_person_or_at_the_source(void **state)
{
    (void)state;
    asking();
    deserted();
    now = next();
    assert_true(changed().request);
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_SOON);
    assert_int_equal(next(), now + 2 * SECOND);
}

static void so_does_a_token(void **state)
{
    (void)state;
    asking();
    deserted();
    now = next();
    timer();
    token(10 * SECOND);
    now += 10 * SECOND;
    asking();
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_SOON);
}

static void not_within_thirty_seconds_of_a_resume_or_of_a_change_of_the_network(void **state)
{
    struct lifecycle_actions (*const changes[])(void) = { resumed, network_came, another_route };

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        lifecycle_init(&lc, now);
        uint64_t changed_at = now;
        changes[i]();
        asking();
        assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_SOON);
        assert_in_range(next(), now + SECOND, now + 2 * SECOND - 1); /* as after any failure */
        retry_at(changed_at + 10 * SECOND);
        assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_SOON);
        retry_at(changed_at + 30 * SECOND - 1);
        assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_SOON);
        assert_int_equal(wanted_within(5 * MINUTE).verdict, LIFECYCLE_QUEUE);
        retry_at(changed_at + 30 * SECOND);
        assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_ALL);
        now += HOUR;
    }
}

static void what_was_refused_before_that_does_not_count(void **state)
{
    (void)state;
    asking();
    deserted();
    now += SECOND;
    another_route();
    retry_at(now + 30 * SECOND);
    wanted();
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_SOON);
    assert_int_equal(next(), now + 2 * SECOND);
}

static void a_clock_that_is_set_is_no_reason_to_wait(void **state)
{
    (void)state;
    clock_set();
    asking();
    deserted();
    clock_set();
    retry_at(now + 2 * SECOND);
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_ALL);
}

static void a_logout_does_not_make_one_forget_the_resume(void **state)
{
    (void)state;
    resumed();
    forget();
    asking();
    deserted();
    retry_at(now + 5 * SECOND);
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_SOON);
}

/* Certain that nobody listens. */
static void nobody_listens(void)
{
    asking();
    deserted();
    now = next();
    timer();
    deserted();
}

static void who_comes_within_five_seconds_is_told_at_once(void **state)
{
    (void)state;
    nobody_listens();
    now += 5 * SECOND - 1;
    lc.retry_at = now + SECOND;
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_FAIL);
    assert_false(a.request);
}

static void who_comes_later_has_it_tried_at_once_and_is_told_what_comes_of_it(void **state)
{
    (void)state;
    nobody_listens();
    now += 5 * SECOND;
    lc.retry_at = now + 5 * MINUTE;
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_true(a.request);
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_ALL);
}

static void who_comes_after_one_refusal_waits_for_the_second(void **state)
{
    (void)state;
    with_token();
    now = lc.renew_at;
    timer();
    lc.failures = 12;
    deserted(); /* nobody waits: as after any failure */
    assert_in_range(next(), now + 4 * MINUTE, now + 5 * MINUTE);
    now += SECOND;
    struct lifecycle_actions a = wanted_for(HOUR);
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_false(a.request);
    assert_int_equal(next(), now + SECOND);
    now = next();
    timer();
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_ALL);
}

static void a_living_token_is_served_though_nobody_listens(void **state)
{
    (void)state;
    with_token();
    now = lc.renew_at;
    timer();
    deserted();
    now = next();
    timer();
    deserted();
    assert_int_equal(wanted().verdict, LIFECYCLE_SERVE);
    now += 10 * SECOND;
    struct lifecycle_actions a = wanted();
    assert_int_equal(a.verdict, LIFECYCLE_SERVE);
    assert_false(a.request);
}

static void after_a_resume_a_client_waits_for_the_retry(void **state)
{
    (void)state;
    nobody_listens();
    lc.failures = 12;
    now += SECOND;
    lc.retry_at = now + 5 * MINUTE;
    resumed();
    assert_in_range(next(), now + 2 * SECOND, now + 3 * SECOND);
    assert_int_equal(wanted().verdict, LIFECYCLE_QUEUE);
    now = next();
    timer();
    assert_int_equal(deserted().waiters, LIFECYCLE_ANSWER_SOON);
    assert_in_range(next(), now + SECOND, now + 2 * SECOND); /* the back-off begins anew */
}

static void
after_a_resume_nobody_waits_while_a_token_lives_and_nothing_newer_could_be_had(void **state)
{
    (void)state;
    with_token();
    now = lc.renew_at;
    timer();
    failed(LIFECYCLE_TEMPORARY);
    now = lc.advertised_expiry;
    lc.retry_at = now + 5 * MINUTE;
    resumed();
    now = next();
    assert_true(timer().request);
    assert_int_equal(wanted().verdict, LIFECYCLE_SERVE);
    assert_true(lifecycle_fading(&lc, now));
}

/* ---- refresh tokens that bring only faults --------------------------------------------------- */

static struct lifecycle_actions fault_with(uint64_t retry_after)
{
    return step((struct lifecycle_event){
        .type = LIFECYCLE_FAILED,
        .failed = { .kind = LIFECYCLE_TEMPORARY, .retry_after = retry_after, .fault = true } });
}

static struct lifecycle_actions fault(void)
{
    return fault_with(0);
}

/* The refresh token brings faults until a login is made for that. Returns how many. */
static unsigned faults_until_login(void)
{
    unsigned n = 0;

    while (lc.by_refresh_token) {
        assert_in_range(++n, 1, 100);
        if (!fault().request) {
            now = next();
            timer();
        }
    }
    assert_int_equal(lc.state, LIFECYCLE_ASKING);
    return n;
}

static void after_three_faults_in_a_row_the_password_is_tried(void **state)
{
    (void)state;
    policy.password_at_hand = true;
    refreshing();
    assert_int_equal(faults_until_login(), 3);
    assert_true(lc.has_refresh_token);
    failed(LIFECYCLE_TEMPORARY);
    now = lc.retry_at;
    timer();
    assert_true(lc.by_refresh_token); /* once in the token's life */
    for (int i = 0; i < 5; i++) {
        assert_false(fault().request);
        now = lc.retry_at;
        timer();
        assert_true(lc.by_refresh_token);
    }
}

static void and_at_once_when_the_token_dies_then_in_turn(void **state)
{
    (void)state;
    policy.password_at_hand = true;
    refreshing();
    now = lc.expires_at;
    assert_true(fault().request);
    for (int i = 0; i < 3; i++) {
        assert_false(lc.by_refresh_token);
        failed(LIFECYCLE_TEMPORARY);
        wanted();
        now = lc.retry_at;
        timer();
        assert_true(lc.by_refresh_token);
        assert_false(fault().request);
        now = lc.retry_at;
        timer();
    }
}

static void at_most_one_login_each_fifteen_minutes_is_for_faults_while_a_token_lives(void **state)
{
    (void)state;
    policy.password_at_hand = true;
    refreshing();
    faults_until_login();
    token_that(20 * MINUTE, true, 0);
    wanted();
    uint64_t login = lc.fault_login_at;
    now = lc.sent + MINUTE;
    rejected();
    assert_true(lc.by_refresh_token);
    while (now < login + 15 * MINUTE) {
        assert_true(lc.by_refresh_token);
        assert_false(fault().request);
        now = lc.retry_at;
        timer();
    }
    assert_true(fault().request);
    assert_false(lc.by_refresh_token);
}

static void without_a_password_the_refresh_token_goes_on(void **state)
{
    (void)state;
    refreshing();
    for (int i = 0; i < 20; i++) {
        struct lifecycle_actions a = fault();
        assert_false(a.request || a.drop_refresh_token);
        wanted();
        now = lc.retry_at;
        timer();
        assert_true(lc.by_refresh_token);
    }
}

static void a_login_for_faults_obeys_a_retry_after(void **state)
{
    (void)state;
    policy.password_at_hand = true;
    refreshing();
    now = lc.expires_at;
    assert_false(fault_with(50 * SECOND).request);
    wanted();
    assert_int_equal(next(), now + 50 * SECOND);
    now = next();
    timer();
    assert_false(lc.by_refresh_token);
}

static void after_the_first_fault_a_person_gets_the_password_tried(void **state)
{
    (void)state;
    policy.password_at_hand = true;
    refreshing();
    fault();
    step((struct lifecycle_event){ .type = LIFECYCLE_CHANGED,
                                   .changed = { true, false, now + 30 * SECOND } });
    assert_false(lc.by_refresh_token);
    token_that(HOUR, true, 0);
    now = lc.renew_at;
    timer();
    assert_true(lc.by_refresh_token);
}

/* ---- sessions that end ----------------------------------------------------------------------- */

/* A token by password that lived an hour, and then one by refresh token. */
static void refreshed(uint64_t lifetime)
{
    policy.password_at_hand = true;
    refreshing();
    token_that(lifetime, false, 0);
    lc.has_refresh_token = true;
}

static void a_life_under_half_of_the_passwords_means_the_password_next(void **state)
{
    (void)state;
    refreshed(HOUR / 2 - 1);
    now = lc.renew_at;
    timer();
    assert_false(lc.by_refresh_token);
    token_that(HOUR, true, 0);
    now = lc.renew_at;
    timer();
    assert_true(lc.by_refresh_token);
    setup(state);
    refreshed(HOUR / 2);
    now = lc.renew_at;
    timer();
    assert_true(lc.by_refresh_token);
}

static void without_a_password_the_session_goes_on_to_its_end(void **state)
{
    (void)state;
    refreshed(MINUTE);
    policy.password_at_hand = false;
    now = lc.renew_at;
    timer();
    assert_true(lc.by_refresh_token);
}

static void what_only_the_password_gives_is_got_by_password(void **state)
{
    (void)state;
    refreshed(40 * MINUTE);
    assert_int_equal(wanted_for(50 * MINUTE).verdict, LIFECYCLE_QUEUE);
    assert_false(lc.by_refresh_token);
    token_that(HOUR, true, 0);
    assert_int_equal(wanted_for(61 * MINUTE).verdict, LIFECYCLE_TOO_SHORT);
}

static void also_when_only_the_answer_shows_that(void **state)
{
    (void)state;
    policy.password_at_hand = true;
    refreshing();
    assert_int_equal(wanted_for(50 * MINUTE).verdict, LIFECYCLE_QUEUE);
    assert_true(lc.by_refresh_token);
    struct lifecycle_actions a = token_that(40 * MINUTE, true, 0);
    assert_true(a.request);
    assert_false(lc.by_refresh_token);
    assert_false(token_that(HOUR, true, 0).request);
}

static void nobody_waits_for_a_login_any_more(void **state)
{
    (void)state;
    policy.password_at_hand = true;
    refreshing();
    wanted_for(50 * MINUTE);
    now += 31 * SECOND;
    assert_false(token_that(40 * MINUTE, true, 0).request);
}

static void a_token_with_seconds_left_is_said_to_be_about_to_expire(void **state)
{
    (void)state;
    asking();
    token(20 * SECOND);
    assert_false(lifecycle_fading(&lc, now));
    now += 15 * SECOND;
    assert_false(lifecycle_fading(&lc, now));
    now += 1;
    assert_true(lifecycle_fading(&lc, now));
    now += 5 * SECOND;
    assert_false(lifecycle_fading(&lc, now)); /* there is none */
}

static void a_changed_file_does_not_outdo_a_retry_after_but_a_person_does(void **state)
{
    (void)state;
    asking();
    failed_with(LIFECYCLE_TEMPORARY, 100 * SECOND, 0);
    assert_false(changed().request);
    assert_int_equal(lc.retry_at, now + 100 * SECOND);
    assert_true(typed().request);
}

static void a_file_that_changed_while_asking_does_not_either(void **state)
{
    (void)state;
    asking();
    changed();
    assert_false(failed_with(LIFECYCLE_TEMPORARY, 100 * SECOND, 0).request);
    assert_int_equal(lc.retry_at, now + 100 * SECOND);
    now = lc.retry_at;
    timer();
    changed();
    typed();
    assert_true(failed_with(LIFECYCLE_TEMPORARY, 100 * SECOND, 0).request);
    changed();
    assert_true(failed(LIFECYCLE_TEMPORARY).request);
}

static void a_token_under_suspicion_is_kept_while_another_is_fetched(void **state)
{
    (void)state;
    with_token();
    struct lifecycle_actions a = suspected();
    assert_true(a.request);
    assert_int_equal(a.verdict, LIFECYCLE_QUEUE);
    assert_false(a.drop_token);
    assert_true(lifecycle_alive(&lc, now));
    assert_int_equal(wanted().verdict, LIFECYCLE_SERVE);
}

static void a_suspicion_while_the_provider_is_down_gets_the_old_token(void **state)
{
    (void)state;
    with_token();
    suspected();
    failed(LIFECYCLE_TEMPORARY);
    struct lifecycle_actions a = suspected();
    assert_int_equal(a.verdict, LIFECYCLE_SERVE);
    assert_false(a.request);
}

static void a_token_that_is_dead_on_arrival_is_not_asked_for_at_once(void **state)
{
    (void)state;
    asking();
    struct lifecycle_actions a = token(SECOND);
    assert_int_equal(a.waiters, LIFECYCLE_ANSWER_ALL);
    assert_false(a.newly_waiting);
    assert_int_equal(lc.state, LIFECYCLE_WAITING);
    assert_in_range(lc.retry_at, now + SECOND, now + 2 * SECOND);
    now = lc.retry_at;
    assert_true(timer().request);
    token(SECOND);
    assert_int_equal(lc.failures, 2);
    now = lc.retry_at;
    timer();
    token(HOUR);
    assert_int_equal(lc.failures, 0);
    assert_int_equal(lc.state, LIFECYCLE_IDLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_token_is_served_without_a_request),
        TEST(serving_notes_the_use),
        TEST(a_token_due_for_renewal_is_served_and_renewed),
        TEST(a_token_past_its_hand_over_waits_for_the_newer_one),
        TEST(an_expired_token_is_never_served),
        TEST(a_token_too_old_for_the_client_is_renewed_once_before_it_is_served),
        TEST(a_token_that_just_lives_long_enough_is_served),
        TEST(more_life_than_tokens_have_is_no_reason_to_ask),
        TEST(a_rejected_token_is_replaced),
        TEST(a_token_just_fetched_is_not_replaced_because_it_was_rejected),
        TEST(others_are_served_while_a_rejected_token_is_replaced),
        TEST(a_token_is_alive_until_the_moment_of_its_death),
        TEST(the_first_client_starts_a_request_and_waits),
        TEST(further_clients_wait_for_the_same_request),
        TEST(a_living_token_is_served_while_another_is_asked_for),
        TEST(a_client_waits_when_the_retry_comes_before_its_deadline),
        TEST(a_client_fails_at_once_when_the_retry_comes_after_its_deadline),
        TEST(a_living_token_is_served_while_the_provider_is_down),
        TEST(after_a_refusal_clients_get_the_error_without_a_request),
        TEST(a_living_token_is_served_after_a_refusal),
        TEST(a_token_that_died_after_a_refusal_is_not_served),
        TEST(without_a_password_clients_get_the_error),
        TEST(the_retries_of_a_client_that_gave_up_get_its_answer_at_once),
        TEST(a_client_with_more_time_than_the_one_that_gave_up_waits),
        TEST(a_client_that_comes_later_waits_again),
        TEST(an_unreadable_file_is_read_again_for_a_client_that_comes_later),
        TEST(an_unreadable_file_fails_the_clients_that_come_at_once),
        TEST(a_typed_password_is_used_before_the_refresh_token),
        TEST(a_password_typed_while_asking_is_used_next),
        TEST(who_logs_in_is_going_to_use_the_token),
        TEST(a_logout_without_a_source_needs_a_login),
        TEST(a_deferred_login_waits_for_its_turn_and_is_no_failure),
        TEST(one_that_yielded_goes_within_a_second_where_somebody_comes),
        TEST(a_deferred_login_does_not_wait_for_another_password_nor_for_the_network),
        TEST(when_the_network_comes_up_a_retry_is_made_within_three_seconds),
        TEST(a_link_that_flaps_does_not_retry_within_a_second),
        TEST(a_person_who_waits_is_retried_for_whatever_keep_fresh_says),
        TEST(a_retry_that_is_due_sooner_stays),
        TEST(the_network_does_not_outdo_a_retry_after),
        TEST(the_network_is_no_reason_to_repeat_what_was_doubtful),
        TEST(a_changed_file_does_not_outdo_a_retry_after_but_a_person_does),
        TEST(a_file_that_changed_while_asking_does_not_either),
        TEST(a_token_under_suspicion_is_kept_while_another_is_fetched),
        TEST(a_suspicion_while_the_provider_is_down_gets_the_old_token),
        TEST(a_token_that_is_dead_on_arrival_is_not_asked_for_at_once),
        TEST(a_token_answers_everybody),
        TEST(a_token_dies_a_lifetime_after_it_was_sent_for),
        TEST(a_token_ends_the_failures),
        TEST(by_default_a_fifth_of_the_life_is_left_at_renewal),
        TEST(by_default_at_least_a_minute_is_left_at_renewal),
        TEST(by_default_at_most_an_hour_is_left_at_renewal),
        TEST(by_default_at_most_half_of_the_life_is_left_at_renewal),
        TEST(a_percentage_decides_the_renewal),
        TEST(a_duration_decides_the_renewal),
        TEST(a_duration_longer_than_half_of_the_life_is_cut),
        TEST(jitter_moves_the_renewal_a_few_percent_earlier),
        TEST(the_first_token_is_renewed_anywhere_in_nine_tenths_of_its_wait),
        TEST(after_an_outage_the_renewal_comes_when_it_would_have_come),
        TEST(so_soon_after_it_that_it_is_hardly_worth_it_chance_decides),
        TEST(the_hand_over_lies_between_renewal_and_death),
        TEST(a_life_of_next_to_nothing_does_not_renew_at_once),
        TEST(an_endless_life_does_not_overflow),
        TEST(nothing_is_timed_before_anybody_asked),
        TEST(nothing_is_timed_while_asking),
        TEST(nothing_is_timed_after_a_refusal),
        TEST(a_token_in_use_is_renewed_when_it_is_due),
        TEST(a_timer_that_comes_too_early_does_nothing),
        TEST(a_token_out_of_use_is_not_renewed),
        TEST(a_process_that_runs_is_a_use),
        TEST(what_a_process_wants_is_left_at_any_time),
        TEST(no_token_is_replaced_within_a_minute_for_a_process),
        TEST(always_means_renewal_without_any_use),
        TEST(a_retry_is_made_when_it_is_due),
        TEST(a_timer_after_a_refusal_does_nothing),
        TEST(retries_end_when_nobody_has_asked_for_long),
        TEST(a_client_that_waits_is_retried_for_whatever_keep_fresh_says),
        TEST(a_passing_failure_waits_and_keeps_those_with_time),
        TEST(only_the_first_failure_in_a_row_is_news),
        TEST(the_least_delay_is_a_second),
        TEST(the_least_delay_is_a_second_after_many_failures_too),
        TEST(the_delay_doubles),
        TEST(the_longest_delay_is_five_minutes),
        TEST(retry_after_is_obeyed),
        TEST(retry_after_counts_for_an_hour_at_most),
        TEST(retry_after_never_shortens_the_delay),
        TEST(an_unreadable_file_answers_everybody),
        TEST(odd_answers_wait_five_then_fifteen_minutes_then_an_hour_each),
        TEST(they_are_spread_over_a_quarter_more),
        TEST(the_account_says_when_it_goes_on),
        TEST(another_way_out_is_tried_within_thirty_seconds),
        TEST(for_who_waits_it_is_tried_within_three_seconds),
        TEST(not_within_a_minute_of_the_last_try_for_that),
        TEST(another_way_out_is_a_network_that_came_up_for_other_failures),
        TEST(after_three_faults_in_a_row_the_password_is_tried),
        TEST(and_at_once_when_the_token_dies_then_in_turn),
        TEST(at_most_one_login_each_fifteen_minutes_is_for_faults_while_a_token_lives),
        TEST(without_a_password_the_refresh_token_goes_on),
        TEST(a_login_for_faults_obeys_a_retry_after),
        TEST(after_the_first_fault_a_person_gets_the_password_tried),
        TEST(a_life_under_half_of_the_passwords_means_the_password_next),
        TEST(without_a_password_the_session_goes_on_to_its_end),
        TEST(what_only_the_password_gives_is_got_by_password),
        TEST(also_when_only_the_answer_shows_that),
        TEST(nobody_waits_for_a_login_any_more),
        TEST(a_token_with_seconds_left_is_said_to_be_about_to_expire),
        TEST(a_token_ends_the_doubts),
        TEST(a_refused_password_stops_and_answers_everybody),
        TEST(no_password_needs_a_login),
        TEST(a_refusal_never_leads_to_a_request_by_itself),
        TEST(a_refresh_token_is_used_for_the_next_renewal),
        TEST(the_first_request_goes_by_password),
        TEST(a_refresh_token_is_not_used_when_the_policy_says_no),
        TEST(a_refused_refresh_token_is_dropped_and_the_password_used_at_once),
        TEST(an_odd_answer_keeps_the_refresh_token),
        TEST(the_password_is_tried_once_only_after_a_refused_refresh_token),
        TEST(without_a_password_a_refused_refresh_token_needs_a_login),
        TEST(a_login_that_came_to_nothing_takes_no_refresh_token_away),
        TEST(the_refresh_token_waits_as_the_login_was_told_to),
        TEST(a_refresh_token_that_somebody_gives_is_used_at_once),
        TEST(one_that_is_given_during_a_request_is_taken_at_its_end),
        TEST(what_was_known_of_the_last_one_does_not_count_for_it),
        TEST(the_last_word_of_a_person_counts),
        TEST(one_that_was_given_is_forgotten_with_the_rest),
        TEST(an_outage_keeps_the_refresh_token),
        TEST(a_refresh_without_a_token_is_never_tried_again),
        TEST(a_refresh_that_brings_nothing_newer_means_the_password_until_a_login),
        TEST(without_a_password_it_is_asked_again_at_the_renewals_until_the_token_dies),
        TEST(what_a_command_prints_again_is_no_failure_while_nobody_waits),
        TEST(after_that_nobody_waits_but_for_a_request),
        TEST(who_waits_for_another_token_is_told_that_there_is_none),
        TEST(near_its_end_a_token_that_is_printed_again_is_a_failure),
        TEST(where_lives_vary_the_next_token_may_live_as_long_as_somebody_wants),
        TEST(dead_tokens_are_asked_for_again_at_longer_and_longer_intervals),
        TEST(a_refused_refresh_token_is_not_sent_again_when_something_changed),
        TEST(a_refused_client_is_no_fault_of_the_refresh_token),
        TEST(a_change_asks_at_once_from_every_state_that_rests),
        TEST(a_login_ends_the_need_for_one),
        TEST(a_change_while_asking_starts_no_second_request),
        TEST(a_change_while_asking_asks_again_after_the_refusal_of_the_old),
        TEST(a_change_while_asking_asks_again_after_the_token_of_the_old),
        TEST(a_change_while_asking_asks_again_once_only),
        TEST(a_change_begins_the_doubts_anew),
        TEST(a_failure_after_a_refusal_and_a_change_is_news),
        TEST(another_identity_drops_all),
        TEST(another_identity_ends_a_refusal),
        TEST(another_identity_asks_by_password),
        TEST(the_time_of_a_state_is_when_it_was_entered),
        TEST(a_start_that_nobody_waits_for_is_put_off_by_up_to_two_seconds),
        TEST(it_is_put_off_by_an_eighth_at_most_of_what_the_token_has_to_live),
        TEST(whose_token_has_died_is_put_off_longer_and_who_has_none_is_not),
        TEST(behind_the_time_that_a_provider_has_told_they_part),
        TEST(lost_answers_make_the_pauses_longer_up_to_an_hour),
        TEST(an_answer_that_is_lost_after_failures_counts_at_once),
        TEST(what_was_under_way_when_it_ended_is_not_any_more),
        TEST(a_retry_outlives_a_restart),
        TEST(what_was_refused_stays_stopped),
        TEST(without_a_credential_a_login_is_needed),
        TEST(with_a_refresh_token_none_is),
        TEST(with_a_useless_refresh_token_a_login_is_needed),
        TEST(a_login_that_was_needed_is_not_where_there_is_a_password_now),
        TEST(a_refresh_token_that_is_lost_is_not_used),
        TEST(the_token_of_before_is_served_until_its_renewal),
        TEST(the_renewal_of_the_token_before_is_not_that_of_the_one_in_hand),
        TEST(no_renewal_comes_after_the_death_of_the_token),
        TEST(a_token_of_which_nothing_else_is_known_is_renewed_by_rule),
        TEST(a_restart_does_not_put_off_when_clients_come_for_another),
        TEST(a_crash_leaves_what_the_provider_wishes),
        TEST(a_login_is_a_use),
        TEST(every_state_has_a_name),
        TEST(what_failed_last_decides_what_the_network_means),
        TEST(connections_refused_twice_two_seconds_apart_answer_who_waits),
        TEST(less_than_two_seconds_apart_they_may_be_one_start_of_the_provider),
        TEST(another_failure_in_between_counts_anew),
        TEST(so_does_a_change_by_a_person_or_at_the_source),
        TEST(so_does_a_token),
        TEST(not_within_thirty_seconds_of_a_resume_or_of_a_change_of_the_network),
        TEST(what_was_refused_before_that_does_not_count),
        TEST(a_clock_that_is_set_is_no_reason_to_wait),
        TEST(a_logout_does_not_make_one_forget_the_resume),
        TEST(who_comes_within_five_seconds_is_told_at_once),
        TEST(who_comes_later_has_it_tried_at_once_and_is_told_what_comes_of_it),
        TEST(who_comes_after_one_refusal_waits_for_the_second),
        TEST(a_living_token_is_served_though_nobody_listens),
        TEST(after_a_resume_a_client_waits_for_the_retry),
        TEST(after_a_resume_nobody_waits_while_a_token_lives_and_nothing_newer_could_be_had),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
