#include "support.h"

#include <string.h>

#include "daemon/account.h"

#define SECOND 1000000ULL

static struct account account;
static uint64_t now, when;
static char anna, berta; /* two profiles */

static int setup(void **state)
{
    (void)state;
    account = (struct account){ 0 };
    now = 1000 * SECOND;
    return 0;
}

static enum account_verdict ask(account_digest password, const void *who)
{
    return account_ask(&account, password, false, who, now, &when);
}

static void refuse(account_digest password)
{
    assert_int_equal(account_ask(&account, password, true, &anna, now, &when), ACCOUNT_GO);
    account_ended(&account, password, &anna, ACCOUNT_REJECTED, now);
}

static void a_refused_password_is_not_sent_by_anybody(void **state)
{
    (void)state;
    refuse(1);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask(1, &berta), ACCOUNT_REFUSED);
    now += 1000 * 24 * 3600 * SECOND;
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask(2, &anna), ACCOUNT_GO);
}

static void a_person_may_send_it_again(void **state)
{
    (void)state;
    refuse(1);
    assert_int_equal(account_ask(&account, 1, true, &anna, now, &when), ACCOUNT_GO);
    account_ended(&account, 1, &anna, ACCOUNT_TOOK, now);
    assert_int_equal(ask(1, &berta), ACCOUNT_GO);
}

static void what_was_said_before_the_refusal_does_not_lift_it(void **state)
{
    (void)state;
    assert_true(account_is_forced(&account, 1, now));
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    now += 3 * SECOND;
    account_ended(&account, 1, &anna, ACCOUNT_REJECTED, now);
    assert_false(account_is_forced(&account, 1, now - 1));
    assert_false(account_is_forced(&account, 1, now));
    assert_true(account_is_forced(&account, 1, now + 1));
    assert_true(account_is_forced(&account, 2, now - 1));
}

static void what_a_word_has_brought_answers_the_words_of_the_next_seconds(void **state)
{
    (void)state;
    refuse(1); /* for a person */
    assert_false(account_is_forced(&account, 1, now + 5 * SECOND));
    assert_true(account_is_forced(&account, 1, now + 5 * SECOND + 1));
    assert_true(account_is_forced(&account, 2, now + 1));
}

static void several_refused_passwords_are_remembered(void **state)
{
    (void)state;
    for (account_digest p = 1; p <= ACCOUNT_REFUSALS; p++, now += 10 * SECOND)
        refuse(p);
    for (account_digest p = 1; p <= ACCOUNT_REFUSALS; p++)
        assert_int_equal(ask(p, &anna), ACCOUNT_REFUSED);
    refuse(2);
    now += 60 * SECOND;
    refuse(99);
    assert_int_equal(ask(2, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
}

static void one_tries_a_password_that_was_not_taken_yet(void **state)
{
    (void)state;
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    assert_int_equal(ask(1, &berta), ACCOUNT_PROBE);
    assert_int_equal(ask(2, &berta), ACCOUNT_PROBE);
    account_ended(&account, 1, &anna, ACCOUNT_UNKNOWN, now);
    assert_int_equal(ask(1, &berta), ACCOUNT_GO);
}

static void a_password_that_was_taken_is_sent_by_all(void **state)
{
    (void)state;
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    account_ended(&account, 1, &anna, ACCOUNT_TOOK, now);
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    assert_int_equal(ask(1, &berta), ACCOUNT_GO);
    account_ended(&account, 1, &anna, ACCOUNT_REJECTED, now);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
}

static void who_gives_up_ends_no_other_trial(void **state)
{
    (void)state;
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    account_ended(&account, 1, &berta, ACCOUNT_NOT_SENT, now);
    assert_int_equal(ask(1, &berta), ACCOUNT_PROBE);
}

static void six_logins_at_once_and_one_more_each_ten_seconds(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(ask(1, &anna), ACCOUNT_GO);
        account_ended(&account, 1, &anna, ACCOUNT_TOOK, now);
    }
    assert_int_equal(ask(1, &anna), ACCOUNT_EMPTY);
    assert_int_equal(when, now + 10 * SECOND);
    now += 4 * SECOND;
    assert_int_equal(account_ask(&account, 1, true, &anna, now, &when), ACCOUNT_EMPTY);
    assert_int_equal(when, now + 6 * SECOND);
    now = when;
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    assert_int_equal(ask(1, &anna), ACCOUNT_EMPTY);
    now += 3600 * SECOND;
    for (int i = 0; i < 6; i++)
        assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    assert_int_equal(ask(1, &anna), ACCOUNT_EMPTY);
}

static void what_was_not_sent_is_no_login(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ask(1, &anna), ACCOUNT_GO);
        account_ended(&account, 1, &anna, ACCOUNT_NOT_SENT, now);
    }
}

/* The first waits for a connection for so long that time has paid its login already. */
static void what_time_has_paid_is_not_given_back(void **state)
{
    (void)state;
    refuse(9);
    assert_int_equal(account_ask(&account, 9, true, &anna, now, &when), ACCOUNT_GO);
    account_ended(&account, 9, &anna, ACCOUNT_TOOK, now);
    now += 1000 * SECOND;
    assert_int_equal(ask(9, &anna), ACCOUNT_GO);
    now += 10 * SECOND;
    for (int i = 0; i < 6; i++)
        assert_int_equal(ask(9, &berta), ACCOUNT_GO);
    account_ended(&account, 9, &anna, ACCOUNT_NOT_SENT, now);
    assert_int_equal(ask(9, &berta), ACCOUNT_EMPTY);
}

static void who_is_refused_or_waits_takes_nothing_from_the_bucket(void **state)
{
    (void)state;
    refuse(1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(2, &anna), ACCOUNT_GO);
        assert_int_equal(ask(2, &berta), ACCOUNT_PROBE);
    }
    assert_int_equal(ask(2, &anna), ACCOUNT_EMPTY);
}

static void stay_silent(account_digest password, int times)
{
    for (int i = 0; i < times; i++, now += 3600 * SECOND) {
        assert_int_equal(ask(password, &anna), ACCOUNT_GO);
        account_ended(&account, password, &anna, ACCOUNT_SILENCE, now);
    }
}

static void a_password_that_gets_no_answer_is_sent_six_times(void **state)
{
    (void)state;
    stay_silent(1, 2);
    assert_true(account_is_soft(&account, 1));
    assert_false(account_is_soft(&account, 2));
    stay_silent(1, 4);
    assert_int_equal(ask(1, &berta), ACCOUNT_REFUSED);
    assert_int_equal(account_ask(&account, 1, true, &anna, now, &when), ACCOUNT_GO);
    account_ended(&account, 1, &anna, ACCOUNT_TOOK, now);
    assert_int_equal(ask(1, &berta), ACCOUNT_GO);
}

static void silences_are_counted_for_each_password(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        stay_silent(1, 2);
        stay_silent(2, 2);
    }
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask(2, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask(3, &anna), ACCOUNT_GO);
}

static void an_answer_that_says_nothing_of_it_ends_no_silence(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++, now += 3600 * SECOND) {
        stay_silent(1, 1);
        if (i == 5)
            break;
        assert_int_equal(ask(1, &anna), ACCOUNT_GO);
        account_ended(&account, 1, &anna, ACCOUNT_UNKNOWN, now);
    }
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
}

static void a_password_that_was_taken_once_may_meet_an_outage_of_any_length(void **state)
{
    (void)state;
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    account_ended(&account, 1, &anna, ACCOUNT_TOOK, now);
    stay_silent(1, 100);
    assert_false(account_is_soft(&account, 1));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_refused_password_is_not_sent_by_anybody),
        TEST(a_person_may_send_it_again),
        TEST(what_was_said_before_the_refusal_does_not_lift_it),
        TEST(what_a_word_has_brought_answers_the_words_of_the_next_seconds),
        TEST(several_refused_passwords_are_remembered),
        TEST(one_tries_a_password_that_was_not_taken_yet),
        TEST(a_password_that_was_taken_is_sent_by_all),
        TEST(who_gives_up_ends_no_other_trial),
        TEST(six_logins_at_once_and_one_more_each_ten_seconds),
        TEST(what_was_not_sent_is_no_login),
        TEST(what_time_has_paid_is_not_given_back),
        TEST(who_is_refused_or_waits_takes_nothing_from_the_bucket),
        TEST(a_password_that_gets_no_answer_is_sent_six_times),
        TEST(silences_are_counted_for_each_password),
        TEST(an_answer_that_says_nothing_of_it_ends_no_silence),
        TEST(a_password_that_was_taken_once_may_meet_an_outage_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
