#include "support.h"

#include <string.h>

#include "daemon/account.h"

#define SECOND 1000000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static struct account account;
static uint64_t now, when;
static uint32_t chance;  /* 0: the shortest pauses */
static char anna, berta; /* two profiles */

static int setup(void **state)
{
    (void)state;
    account = (struct account){ 0 };
    now = 1000 * SECOND;
    chance = 0;
    return 0;
}

/* ---- events, as sentences -------------------------------------------------------------------- */

/* Of anna, by the client of that number. */
static struct account_credential by_client(account_digest password, account_digest client)
{
    return (struct account_credential){ password, 100 + client, 10 + client / 10, 1 };
}

/* Of berta: another profile, with another client. */
static struct account_credential of_berta(account_digest password)
{
    return (struct account_credential){ password, 1002, 1020, 2 };
}

static enum account_verdict ask_with(struct account_credential what, enum account_leave leave,
                                     const void *who)
{
    return account_ask(&account, &what, leave, who, chance, now, &when);
}

static enum account_verdict ask(account_digest password, const void *who)
{
    return ask_with(by_client(password, 1), ACCOUNT_BY_RULE, who);
}

static void end_with(struct account_credential what, enum account_end end, const void *who)
{
    struct error why;

    error_set(&why, ERROR_REFUSED, "said");
    account_ended(&account, &what, who, end, end == ACCOUNT_TOOK ? NULL : &why, chance, now);
}

static void ends(account_digest password, enum account_end end)
{
    end_with(by_client(password, 1), end, &anna);
}

/* Sent by the daemon's own doing. */
static void sends(account_digest password, enum account_end end)
{
    assert_int_equal(ask(password, &anna), ACCOUNT_GO);
    ends(password, end);
}

/* Sent because somebody said so. */
static void person_sends(account_digest password, enum account_end end)
{
    assert_int_equal(ask_with(by_client(password, 1), ACCOUNT_BY_PERSON, &anna), ACCOUNT_GO);
    ends(password, end);
}

/* How often it is sent in so long, by whoever asks as soon as may be; each with that end. */
static unsigned times_in(uint64_t span, account_digest password, enum account_end end)
{
    uint64_t until = now + span;
    unsigned n = 0;

    while (now < until) {
        enum account_verdict verdict = ask(password, &anna);
        if (verdict == ACCOUNT_REFUSED)
            break;
        if (verdict != ACCOUNT_GO) {
            assert_true(when > now);
            now = when;
            continue;
        }
        ends(password, end);
        n++;
    }
    return n;
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void a_refused_password_is_not_sent_by_anybody(void **state)
{
    (void)state;
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_REFUSED);
    assert_int_equal(ask_with(by_client(1, 2), ACCOUNT_BY_ROUTE, &anna), ACCOUNT_REFUSED);
    now += 1000 * DAY;
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask(2, &anna), ACCOUNT_GO);
}

static void a_person_may_send_it_again(void **state)
{
    (void)state;
    sends(1, ACCOUNT_REJECTED);
    person_sends(1, ACCOUNT_TOOK);
    assert_int_equal(ask(1, &berta), ACCOUNT_GO);
}

static void what_was_said_before_the_refusal_does_not_lift_it(void **state)
{
    (void)state;
    assert_true(account_is_forced(&account, 1, now));
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    now += 3 * SECOND;
    ends(1, ACCOUNT_REJECTED);
    assert_false(account_is_forced(&account, 1, now - 1));
    assert_false(account_is_forced(&account, 1, now));
    assert_true(account_is_forced(&account, 1, now + 1));
    assert_true(account_is_forced(&account, 2, now - 1));
}

static void what_a_word_has_brought_answers_the_words_of_the_next_seconds(void **state)
{
    (void)state;
    person_sends(1, ACCOUNT_REJECTED);
    assert_false(account_is_forced(&account, 1, now + 5 * SECOND));
    assert_true(account_is_forced(&account, 1, now + 5 * SECOND + 1));
    assert_true(account_is_forced(&account, 2, now + 1));
}

static void several_refused_passwords_are_remembered(void **state)
{
    (void)state;
    for (account_digest p = 1; p <= ACCOUNT_REFUSALS; p++, now += 10 * SECOND)
        sends(p, ACCOUNT_REJECTED);
    for (account_digest p = 1; p <= ACCOUNT_REFUSALS; p++)
        assert_int_equal(ask(p, &anna), ACCOUNT_REFUSED);
    person_sends(2, ACCOUNT_REJECTED);
    now += 60 * SECOND;
    sends(99, ACCOUNT_REJECTED);
    assert_int_equal(ask(2, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
}

/* ---- the probe ------------------------------------------------------------------------------- */

static void a_password_that_was_taken_gets_one_probe(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_REJECTED);
    assert_false(account_accepts(&account, 1));
    assert_int_equal(ask(1, &anna), ACCOUNT_DOUBTED);
    assert_int_equal(when, now + 5 * SECOND);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_DOUBTED);
    now = when - 1;
    assert_int_equal(ask(1, &anna), ACCOUNT_DOUBTED);
    now = when;
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_REFUSED);
}

static void the_probe_comes_within_twenty_seconds(void **state)
{
    (void)state;
    chance = UINT32_MAX;
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(ask(1, &anna), ACCOUNT_DOUBTED);
    assert_true(when > now + 19 * SECOND && when <= now + 20 * SECOND);
}

static void each_acceptance_brings_another_probe(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++, now += HOUR) {
        sends(1, ACCOUNT_TOOK);
        sends(1, ACCOUNT_REJECTED);
        assert_int_equal(ask(1, &anna), ACCOUNT_DOUBTED);
        now = when;
    }
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
}

static void a_probe_that_says_nothing_is_none(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_REJECTED);
    now += 20 * SECOND;
    sends(1, ACCOUNT_UNKNOWN);
    sends(1, ACCOUNT_NOT_SENT);
    sends(1, ACCOUNT_TOOK);
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
}

static void a_person_may_probe_sooner(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_REJECTED);
    person_sends(1, ACCOUNT_REJECTED);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
}

/* Ours, that nobody waits for any more, may be what stands in the way of the next. */
static void a_login_of_ours_that_was_given_up_may_go_on_for_a_minute(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_SILENCE);
    uint64_t given_up = now;
    now += 2 * SECOND;
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(ask(1, &anna), ACCOUNT_DOUBTED);
    assert_int_equal(when, given_up + MINUTE + 5 * SECOND);
    now = when;
    sends(1, ACCOUNT_SILENCE);
    now += 2 * SECOND;
    sends(1, ACCOUNT_REJECTED); /* also of the probe */
    assert_int_equal(ask(1, &anna), ACCOUNT_DOUBTED);
    now = when;
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    setup(state);
    sends(2, ACCOUNT_SILENCE);
    now += 2 * SECOND;
    sends(2, ACCOUNT_REJECTED); /* never taken: it is worth no doubt */
    assert_int_equal(ask(2, &anna), ACCOUNT_REFUSED);
}

/* So may one that was under way when the daemon died. */
static void so_may_one_of_another_life(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    uint64_t sent = now;
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    account.holder = NULL; /* the crash */
    now += 2 * SECOND;
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(ask(1, &anna), ACCOUNT_DOUBTED);
    assert_int_equal(when, sent + MINUTE + 5 * SECOND);
    now += 20 * SECOND;
    setup(state);
    sends(1, ACCOUNT_TOOK); /* which was answered */
    now += 2 * SECOND;
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(ask(1, &anna), ACCOUNT_DOUBTED);
    assert_int_equal(when, now + 5 * SECOND);
}

static void another_password_is_not_doubted_with_it(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    sends(2, ACCOUNT_TOOK); /* Authentik has several app passwords for one user */
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(ask(1, &anna), ACCOUNT_DOUBTED);
    sends(2, ACCOUNT_TOOK);
}

/* ---- client or password ---------------------------------------------------------------------- */

static void what_may_be_the_clients_ends_with_its_secret(void **state)
{
    (void)state;
    sends(1, ACCOUNT_EITHER);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask_with(by_client(1, 2), ACCOUNT_BY_RULE, &anna), ACCOUNT_GO);
    end_with(by_client(1, 2), ACCOUNT_EITHER, &anna);
    assert_int_equal(ask_with(by_client(1, 2), ACCOUNT_BY_RULE, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    /* another client id, in the same profile */
    assert_int_equal(ask_with(by_client(1, 30), ACCOUNT_BY_RULE, &anna), ACCOUNT_GO);
}

/* "However many profiles": with Dex it is the password. */
static void and_stands_against_other_profiles_with_other_clients(void **state)
{
    (void)state;
    sends(1, ACCOUNT_EITHER);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_REFUSED);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_PERSON, &berta), ACCOUNT_GO);
    end_with(of_berta(1), ACCOUNT_TOOK, &berta); /* so it was the client */
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_GO);
    end_with(of_berta(1), ACCOUNT_TOOK, &berta);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
}

static void a_good_password_is_sent_twice_with_a_client_that_is_refused(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_EITHER);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_DOUBTED);
    now = when;
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_GO);
    end_with(of_berta(1), ACCOUNT_TOOK, &berta);
    sends(1, ACCOUNT_EITHER); /* the probe of that client */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
        assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_GO);
        end_with(of_berta(1), ACCOUNT_TOOK, &berta);
        now += MINUTE;
    }
}

/* What was the client's is no reason to take a later doubt for a refusal. */
static void an_old_refusal_of_a_client_ends_no_doubt(void **state)
{
    (void)state;
    sends(1, ACCOUNT_EITHER);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_PERSON, &berta), ACCOUNT_GO);
    end_with(of_berta(1), ACCOUNT_TOOK, &berta);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_GO);
    end_with(of_berta(1), ACCOUNT_EITHER, &berta);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_DOUBTED);
    now = when;
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_GO);
}

static void one_that_is_lifted_may_go(void **state)
{
    struct account_credential client = by_client(1, 1);

    (void)state;
    sends(1, ACCOUNT_EITHER);
    account_lift(&account, &client);
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
}

/* ---- one after the other --------------------------------------------------------------------- */

static void logins_go_one_after_the_other(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    assert_int_equal(ask(1, &berta), ACCOUNT_BUSY);
    assert_int_equal(ask(2, &berta), ACCOUNT_BUSY);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_PERSON, &berta), ACCOUNT_BUSY);
    ends(1, ACCOUNT_TOOK);
    assert_int_equal(ask(1, &berta), ACCOUNT_GO);
}

static void who_gives_up_ends_no_other_login(void **state)
{
    (void)state;
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    end_with(by_client(1, 1), ACCOUNT_NOT_SENT, &berta);
    assert_int_equal(ask(1, &berta), ACCOUNT_BUSY);
}

static enum account_verdict admit(const void *who)
{
    const struct account_credential user = { .password = 5 };

    return account_admit(&account, &user, ACCOUNT_BY_RULE, true, who, now, &when);
}

static void a_proxys_user_is_tried_by_one_and_then_used_by_all(void **state)
{
    const struct account_credential user = { .password = 5 };

    (void)state;
    assert_int_equal(admit(&anna), ACCOUNT_GO);
    assert_int_equal(admit(&berta), ACCOUNT_BUSY);
    account_release(&account, &anna);
    assert_int_equal(admit(&berta), ACCOUNT_GO);
    account_ended(&account, &user, &berta, ACCOUNT_TOOK, NULL, 0, now);
    for (int i = 0; i < 100; i++) { /* these are no logins */
        assert_int_equal(admit(&anna), ACCOUNT_GO);
        assert_int_equal(admit(&berta), ACCOUNT_GO);
    }
}

/* ---- the bucket ------------------------------------------------------------------------------ */

static void six_logins_at_once_and_one_more_each_ten_seconds(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        sends(1, ACCOUNT_TOOK);
    assert_int_equal(ask(1, &anna), ACCOUNT_EMPTY);
    assert_int_equal(when, now + 10 * SECOND);
    now += 4 * SECOND;
    assert_int_equal(ask_with(by_client(1, 1), ACCOUNT_BY_PERSON, &anna), ACCOUNT_EMPTY);
    assert_int_equal(when, now + 6 * SECOND);
    now = when;
    sends(1, ACCOUNT_TOOK);
    assert_int_equal(ask(1, &anna), ACCOUNT_EMPTY);
    now += HOUR;
    for (int i = 0; i < 6; i++)
        sends(1, ACCOUNT_TOOK);
    assert_int_equal(ask(1, &anna), ACCOUNT_EMPTY);
}

static void renewals_that_nobody_waits_for_leave_the_last_two_to_who_waits(void **state)
{
    struct account_credential what = by_client(1, 1);

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ask_with(what, ACCOUNT_FOR_NOBODY, &anna), ACCOUNT_GO);
        ends(1, ACCOUNT_TOOK);
    }
    assert_int_equal(ask_with(what, ACCOUNT_FOR_NOBODY, &anna), ACCOUNT_EMPTY);
    assert_int_equal(when, now + 10 * SECOND);
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_TOOK);
    assert_int_equal(ask(1, &anna), ACCOUNT_EMPTY);
    assert_int_equal(when, now + 10 * SECOND);
    assert_int_equal(ask_with(what, ACCOUNT_FOR_NOBODY, &anna), ACCOUNT_EMPTY);
    assert_int_equal(when, now + 30 * SECOND); /* these two come first */
}

static void what_was_not_sent_is_no_login(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        sends(1, ACCOUNT_NOT_SENT);
}

static void who_is_refused_or_waits_takes_nothing_from_the_bucket(void **state)
{
    (void)state;
    sends(1, ACCOUNT_REJECTED);
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(2, &anna), ACCOUNT_GO);
        assert_int_equal(ask(2, &berta), ACCOUNT_BUSY);
        ends(2, ACCOUNT_TOOK);
    }
    assert_int_equal(ask(2, &anna), ACCOUNT_EMPTY);
}

/* ---- silence --------------------------------------------------------------------------------- */

static void an_untried_password_is_sent_six_times_in_a_day_of_silence(void **state)
{
    (void)state;
    assert_int_equal(times_in(DAY, 1, ACCOUNT_SILENCE), 6);
    assert_int_equal(times_in(10 * DAY, 1, ACCOUNT_SILENCE), 40);
    assert_false(account_refuses(&account, &(struct account_credential){ .password = 1 }));
}

static void one_that_was_taken_is_sent_thirty_times_a_day_and_never_stops(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    unsigned times = times_in(DAY, 1, ACCOUNT_SILENCE);
    assert_in_range(times, 20, 30);
    assert_in_range(times_in(100 * DAY, 1, ACCOUNT_SILENCE), 2000, 2400);
    chance = UINT32_MAX;
    assert_in_range(times_in(100 * DAY, 1, ACCOUNT_SILENCE), 1800, 2000);
}

static void the_first_answer_that_is_lost_is_made_up_for_at_once(void **state)
{
    (void)state;
    sends(1, ACCOUNT_SILENCE);
    assert_int_equal(ask(1, &anna), ACCOUNT_SILENT);
    assert_true(when <= now + 2 * SECOND);
    assert_int_equal(ask(1, &anna), ACCOUNT_SILENT);
    assert_int_equal(ask_with(by_client(1, 1), ACCOUNT_BY_ROUTE, &anna), ACCOUNT_SILENT);
    person_sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_TOOK);
}

static void the_longest_pause_outlives_the_daemon(void **state)
{
    (void)state;
    chance = UINT32_MAX;
    for (int i = 0; i < 6; i++)
        person_sends(1, ACCOUNT_SILENCE);
    assert_int_equal(ask(1, &anna), ACCOUNT_SILENT);
    uint64_t until = when;
    assert_true(until > now + DAY);
    account_clamp(&account, now);
    assert_int_equal(ask(1, &anna), ACCOUNT_SILENT);
    assert_int_equal(when, until);
    account_clamp(&account, now - HOUR); /* the clock of another boot */
    assert_int_equal(ask(1, &anna), ACCOUNT_SILENT);
    assert_in_range(when, now, until - 1);
}

static void silences_are_counted_for_each_password(void **state)
{
    (void)state;
    sends(1, ACCOUNT_SILENCE);
    sends(2, ACCOUNT_SILENCE);
    assert_int_equal(ask(1, &anna), ACCOUNT_SILENT);
    assert_int_equal(ask(2, &anna), ACCOUNT_SILENT);
    assert_int_equal(ask(3, &anna), ACCOUNT_GO);
}

static void an_answer_that_says_nothing_of_it_ends_no_silence(void **state)
{
    (void)state;
    unsigned times = 0;
    for (uint64_t until = now + DAY; now < until; times++) {
        while (ask(1, &anna) != ACCOUNT_GO)
            now = when;
        ends(1, ACCOUNT_SILENCE);
        while (ask(1, &anna) != ACCOUNT_GO)
            now = when;
        ends(1, ACCOUNT_UNKNOWN);
    }
    assert_in_range(times, 5, 6);
}

/* Nobody tells what became of it: it counts as if there had been no answer. */
static void a_crash_is_no_way_around_it(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        while (ask(1, &anna) != ACCOUNT_GO)
            now = when;
        account.holder = account.latest = NULL; /* all that a restart forgets */
        account.before = (struct account_trouble){ 0 };
    }
    assert_int_equal(ask(1, &anna), ACCOUNT_SILENT);
    assert_true(when >= now + 20 * HOUR);
}

/* ---- gateways -------------------------------------------------------------------------------- */

static void a_gateway_is_asked_26_times_a_day_for_a_password_that_was_taken(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    assert_int_equal(times_in(DAY, 1, ACCOUNT_DENIED), 26);
    assert_int_equal(times_in(10 * DAY, 1, ACCOUNT_DENIED), 240);
    chance = UINT32_MAX;
    assert_in_range(times_in(10 * DAY, 1, ACCOUNT_ODD), 190, 195);
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_TOOK);
}

static void the_third_denial_in_a_day_refuses_an_untried_password(void **state)
{
    (void)state;
    assert_int_equal(times_in(DAY, 1, ACCOUNT_DENIED), 3);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_REFUSED);
    person_sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_TOOK);
}

static void three_in_more_than_a_day_do_not(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++, now += 13 * HOUR)
        sends(1, ACCOUNT_DENIED);
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
}

static void other_odd_answers_never_do(void **state)
{
    (void)state;
    assert_int_equal(times_in(DAY, 1, ACCOUNT_ODD), 26);
    assert_int_not_equal(ask(1, &anna), ACCOUNT_REFUSED);
}

static void a_doubted_password_is_denied_as_one_that_was_taken(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(times_in(DAY, 1, ACCOUNT_DENIED), 26);
}

static void a_new_route_is_tried_once_a_minute(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_DENIED);
    for (int i = 0; i < 3; i++, now += MINUTE) {
        assert_int_equal(ask(1, &anna), ACCOUNT_GATEWAY);
        assert_int_equal(ask_with(by_client(1, 1), ACCOUNT_BY_ROUTE, &anna), ACCOUNT_GO);
        ends(1, ACCOUNT_DENIED);
        now += 59 * SECOND;
        assert_int_equal(ask_with(by_client(1, 1), ACCOUNT_BY_ROUTE, &anna), ACCOUNT_GATEWAY);
    }
}

static void it_says_when_it_goes_on(void **state)
{
    const struct account_credential what = by_client(1, 1);

    (void)state;
    assert_int_equal(account_next(&account, &what), 0);
    sends(1, ACCOUNT_DENIED);
    assert_int_equal(account_next(&account, &what), now + 5 * MINUTE);
    now += 5 * MINUTE;
    assert_int_equal(ask(1, &anna), ACCOUNT_GO);
    assert_true(account_next(&account, &what) <= now); /* whatever comes of it */
    ends(1, ACCOUNT_TOOK);
    assert_int_equal(account_next(&account, &what), 0);
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(account_next(&account, &what), now + 5 * SECOND);
    now += 5 * SECOND;
    sends(1, ACCOUNT_REJECTED);
    assert_int_equal(account_next(&account, &what), 0);
}

/* Unlike one that is refused it is not doubted, though it was taken before: a probe would meet the
 * same. */
static void what_wants_a_code_beside_it_is_not_sent_alone(void **state)
{
    (void)state;
    sends(1, ACCOUNT_TOOK);
    sends(1, ACCOUNT_ALONE);
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    now += 2 * DAY;
    assert_int_equal(ask(1, &anna), ACCOUNT_REFUSED);
    assert_int_equal(ask_with(of_berta(1), ACCOUNT_BY_RULE, &berta), ACCOUNT_REFUSED);
    assert_int_equal(account_next(&account, &(struct account_credential){ .password = 1 }), 0);
    person_sends(1, ACCOUNT_TOOK); /* the provider wants none any more */
    sends(1, ACCOUNT_TOOK);
}

/* Whatever was said of another password since: it is told apart from one that is wrong. */
static void that_a_code_lacks_is_remembered(void **state)
{
    const struct account_credential right = { .password = 1 }, wrong = { .password = 2 };

    (void)state;
    sends(1, ACCOUNT_ALONE);
    sends(2, ACCOUNT_REJECTED);
    assert_true(account_lacks_otp(&account, &right));
    assert_false(account_lacks_otp(&account, &wrong));
    person_sends(1, ACCOUNT_REJECTED);
    assert_true(account_refuses(&account, &right));
    assert_false(account_lacks_otp(&account, &right));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_wants_a_code_beside_it_is_not_sent_alone),
        TEST(that_a_code_lacks_is_remembered),
        TEST(a_refused_password_is_not_sent_by_anybody),
        TEST(a_person_may_send_it_again),
        TEST(what_was_said_before_the_refusal_does_not_lift_it),
        TEST(what_a_word_has_brought_answers_the_words_of_the_next_seconds),
        TEST(several_refused_passwords_are_remembered),
        TEST(a_password_that_was_taken_gets_one_probe),
        TEST(the_probe_comes_within_twenty_seconds),
        TEST(each_acceptance_brings_another_probe),
        TEST(a_probe_that_says_nothing_is_none),
        TEST(a_person_may_probe_sooner),
        TEST(a_login_of_ours_that_was_given_up_may_go_on_for_a_minute),
        TEST(so_may_one_of_another_life),
        TEST(another_password_is_not_doubted_with_it),
        TEST(what_may_be_the_clients_ends_with_its_secret),
        TEST(and_stands_against_other_profiles_with_other_clients),
        TEST(a_good_password_is_sent_twice_with_a_client_that_is_refused),
        TEST(an_old_refusal_of_a_client_ends_no_doubt),
        TEST(one_that_is_lifted_may_go),
        TEST(logins_go_one_after_the_other),
        TEST(who_gives_up_ends_no_other_login),
        TEST(a_proxys_user_is_tried_by_one_and_then_used_by_all),
        TEST(six_logins_at_once_and_one_more_each_ten_seconds),
        TEST(renewals_that_nobody_waits_for_leave_the_last_two_to_who_waits),
        TEST(what_was_not_sent_is_no_login),
        TEST(who_is_refused_or_waits_takes_nothing_from_the_bucket),
        TEST(an_untried_password_is_sent_six_times_in_a_day_of_silence),
        TEST(one_that_was_taken_is_sent_thirty_times_a_day_and_never_stops),
        TEST(the_first_answer_that_is_lost_is_made_up_for_at_once),
        TEST(the_longest_pause_outlives_the_daemon),
        TEST(silences_are_counted_for_each_password),
        TEST(an_answer_that_says_nothing_of_it_ends_no_silence),
        TEST(a_crash_is_no_way_around_it),
        TEST(a_gateway_is_asked_26_times_a_day_for_a_password_that_was_taken),
        TEST(the_third_denial_in_a_day_refuses_an_untried_password),
        TEST(three_in_more_than_a_day_do_not),
        TEST(other_odd_answers_never_do),
        TEST(a_doubted_password_is_denied_as_one_that_was_taken),
        TEST(a_new_route_is_tried_once_a_minute),
        TEST(it_says_when_it_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
