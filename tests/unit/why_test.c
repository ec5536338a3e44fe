/* The last 401 in a sentence: what was seen, what it suggests, and nothing that is only a guess. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/time.h"
#include "daemon/history.h"
#include "daemon/why.h"

static struct history *history;
static uint64_t now;
static char *said;

#define MINUTES(n) ((n)*60 * USEC_PER_SEC)

static uint64_t ago(uint64_t usec)
{
    return now - usec;
}

static int setup(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    now = time_boottime() + MINUTES(1000);
    history = history_new();
    history_add(history, NULL,
                &(struct history_entry){ .kind = HISTORY_STARTED, .at = ago(MINUTES(90)) });
    return history ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    history = history_free(history);
    free(said);
    said = NULL;
    return 0;
}

static const char *why(const char *profile)
{
    size_t size;

    free(said);
    said = NULL;
    FILE *f = open_memstream(&said, &size);
    why_print(f, history, profile, 10000, now);
    fclose(f);
    return said;
}

static void token(uint64_t at, enum history_reason reason, const char *changed)
{
    history_add(history, "p",
                &(struct history_entry){ .kind = HISTORY_TOKEN,
                                         .at = at,
                                         .token = at,
                                         .expires_at = at + MINUTES(60),
                                         .reason = reason,
                                         .text = changed });
}

static void key(uint64_t at, bool gone)
{
    history_add(history, "p",
                &(struct history_entry){ .kind = HISTORY_KEY,
                                         .at = at,
                                         .token = at,
                                         .key = "key-2",
                                         .previous_key = "key-1",
                                         .key_gone = gone });
}

static struct history_entry rejection(uint64_t at, uint64_t token_at)
{
    return (struct history_entry){ .kind = HISTORY_REJECTION,
                                   .at = at,
                                   .pid = 4711,
                                   .confirmed = true,
                                   .program = "kubectl",
                                   .token = token_at,
                                   .expires_at = token_at + MINUTES(60),
                                   .handed_at = at - MINUTES(1) };
}

static void reject(struct history_entry e)
{
    history_add(history, "p", &e);
}

static void where_none_was_seen_it_says_since_when(void **state)
{
    (void)state;
    assert_holds(why(NULL), "no rejection was seen since ");
    assert_holds(said, ", when kubetokend started; one shows when kubectl comes back");
    assert_holds(why("p"), "p: no rejection was seen since ");
    for (int i = 0; i < 100; i++)
        token(ago(MINUTES(5)), HISTORY_AHEAD, NULL);
    assert_holds(why("p"), "p: no rejection was seen among what is remembered;");
}

static void what_was_seen_is_told_and_called_probable(void **state)
{
    (void)state;
    token(ago(MINUTES(10)), HISTORY_WANTED, NULL);
    reject(rejection(ago(MINUTES(2)), ago(MINUTES(10))));
    assert_holds(why("p"), "p: kubectl (4711) got the token of ");
    assert_holds(said, " for another while it was good for 52 min, so the API server probably "
                       "rejected it; nothing that was seen here says why, the API server's log "
                       "may");
    assert_holds_not(said, "changed");
    assert_holds_not(said, "since");
}

static void a_key_that_changed_with_the_token_may_not_be_known_to_the_api_server(void **state)
{
    (void)state;
    token(ago(MINUTES(10)), HISTORY_AHEAD, NULL);
    key(ago(MINUTES(10)), false);
    reject(rejection(ago(MINUTES(2)), ago(MINUTES(10))));
    assert_holds(why("p"), "rejected it: the provider's signing key changed at ");
    assert_holds(said, "(key-2, before it key-1), and the API server may not have fetched it yet");
}

static void a_key_that_changed_after_it_may_be_why(void **state)
{
    (void)state;
    token(ago(MINUTES(10)), HISTORY_WANTED, NULL);
    reject(rejection(ago(MINUTES(2)), ago(MINUTES(10))));
    token(ago(MINUTES(1)), HISTORY_REJECTED, NULL);
    key(ago(MINUTES(1)), true);
    assert_holds(why("p"), "the token after it is signed with another key (key-2, before it "
                           "key-1), and the provider publishes the old one no more, which may be "
                           "why; another one was fetched at ");
    assert_holds(said, ", and nobody has asked for it yet");
    history_add(
        history, "p",
        &(struct history_entry){ .kind = HISTORY_HAND_OUT, .at = now, .token = ago(MINUTES(1)) });
    assert_holds(why("p"), " was handed out since, 1 time, and nobody came back");
}

static void an_older_change_of_the_key_is_none_of_it(void **state)
{
    (void)state;
    key(ago(MINUTES(80)), true);
    token(ago(MINUTES(10)), HISTORY_AHEAD, NULL);
    reject(rejection(ago(MINUTES(2)), ago(MINUTES(10))));
    assert_holds_not(why("p"), "key");
}

static void what_an_api_server_minds_in_the_token_is_named(void **state)
{
    struct history_entry e = rejection(ago(MINUTES(2)), ago(MINUTES(10)));

    (void)state;
    e.n_findings = 2;
    e.findings[0] = ERROR_TOKEN_LONG; /* no reason for a 401 */
    e.findings[1] = ERROR_EMAIL_NOT_VERIFIED;
    e.clock_offset = -45;
    token(ago(MINUTES(10)), HISTORY_AHEAD, "aud: a -> b");
    reject(e);
    assert_holds(why("p"), "rejected it: its e-mail address is not verified, and an API server "
                           "that names users by e-mail refuses every token of such a user; its "
                           "claims differ from those of the one before: aud: a -> b; the "
                           "provider's clock is -45 s from that of this machine");
    assert_holds_not(said, "nothing that was seen");
}

static void a_token_that_was_about_to_die_may_have_been_dead(void **state)
{
    struct history_entry e = rejection(ago(MINUTES(2)), ago(MINUTES(10)));

    (void)state;
    e.expires_at = e.at + 3 * USEC_PER_SEC;
    reject(e);
    assert_holds(why("p"), "while it was good for 3 s, so the API server probably rejected it: so "
                           "short before its end it may have been dead by the API server's clock");
}

static void where_another_token_was_rejected_too_doctor_is_named(void **state)
{
    (void)state;
    token(ago(MINUTES(10)), HISTORY_WANTED, NULL);
    reject(rejection(ago(MINUTES(5)), ago(MINUTES(10))));
    token(ago(MINUTES(4)), HISTORY_REJECTED, NULL);
    reject(rejection(ago(MINUTES(2)), ago(MINUTES(4))));
    assert_holds(why("p"), "so another one alone does not help; kubetoken doctor p asks the API "
                           "server");
    token(ago(MINUTES(1)), HISTORY_AHEAD, NULL);
    reject(rejection(now, ago(MINUTES(1))));
    assert_holds_not(why("p"), "doctor"); /* it was renewed in between */
}

static void who_says_so_is_told_from_who_comes_back(void **state)
{
    struct history_entry e = rejection(ago(MINUTES(2)), ago(MINUTES(10)));

    (void)state;
    e.told = true;
    e.program[0] = '\0';
    e.pid = 0;
    reject(e);
    assert_holds(why("p"), "p: a program that is not known said at ");
    assert_holds(said, " by get --rejected that the API server rejected the token of ");
    assert_holds(said, ", which was good for 52 min;");
    assert_holds_not(said, "probably");
}

static void where_no_other_token_came_it_says_why(void **state)
{
    (void)state;
    reject(rejection(ago(MINUTES(2)), ago(MINUTES(10))));
    history_add(history, "p",
                &(struct history_entry){
                    .kind = HISTORY_FAILURE, .at = ago(MINUTES(1)), .code = ERROR_CONNECT });
    assert_holds(why("p"), "; another one could not be had: the provider cannot be reached");
}

static void other_profiles_are_left_out(void **state)
{
    (void)state;
    reject(rejection(ago(MINUTES(2)), ago(MINUTES(10))));
    history_add(history, "q",
                &(struct history_entry){
                    .kind = HISTORY_KEY, .at = now, .token = ago(MINUTES(10)), .key = "key-9" });
    assert_holds_not(why("p"), "key-9");
    assert_holds(why(NULL), "p: kubectl (4711)");
    assert_holds(why("q"), "q: no rejection");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(where_none_was_seen_it_says_since_when),
        TEST(what_was_seen_is_told_and_called_probable),
        TEST(a_key_that_changed_with_the_token_may_not_be_known_to_the_api_server),
        TEST(a_key_that_changed_after_it_may_be_why),
        TEST(an_older_change_of_the_key_is_none_of_it),
        TEST(what_an_api_server_minds_in_the_token_is_named),
        TEST(a_token_that_was_about_to_die_may_have_been_dead),
        TEST(where_another_token_was_rejected_too_doctor_is_named),
        TEST(who_says_so_is_told_from_who_comes_back),
        TEST(where_no_other_token_came_it_says_why),
        TEST(other_profiles_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
