/* Attempts of several profiles, that wait for each other. */
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/attempt.h"
#include "daemon/fetcher.h"

enum { ALL = 12 };

/* One after the other: names, their users and their providers. */
static char names[ALL][8], users[ALL][8], issuers[ALL][8], word[] = "w";
static struct profile_config configs[ALL];
static struct attempt *attempts[ALL];
static struct context shared;
static enum error_code ends[ALL]; /* ERROR_NONE: it has not ended */
static bool yielded[ALL];         /* as attempt_end has it */
static uint64_t sent_at[ALL];     /* 0: it has not sent anything */
static char order[64];            /* the numbers of those that did, as digits */
static const uint64_t hour = 3600 * USEC_PER_SEC, grace = 500 * USEC_PER_MSEC;
static bool resting; /* else nobody rests, whatever children took of the processors */

static void on_sending(void *context)
{
    struct attempt **a = context;
    size_t n = strlen(order);

    sent_at[a - attempts] = time_boottime();
    order[n] = (char)('0' + (a - attempts));
}

static void on_done(void *context, struct attempt_end *end)
{
    struct attempt **a = context;

    ends[a - attempts] = end->error.code;
    yielded[a - attempts] = end->yielded;
}

/* Each of a provider and an account of its own; no answer ever comes, and the usual time for it is
 * next to nothing. */
static int setup(void **state)
{
    (void)state;
    shared = (struct context){ .fetcher.fd = fetcher_open("/bin/cat"),
                               .accounts = account_table_new(NULL) };
    fetch_queue_init(&shared.fetch_queue);
    TAILQ_INIT(&shared.turns);
    resting = false;
    memset(order, 0, sizeof order);
    memset(ends, 0, sizeof ends);
    memset(sent_at, 0, sizeof sent_at);
    if (!shared.accounts || sd_event_new(&shared.event) < 0 ||
        !(shared.children = children_new(shared.event, NULL, NULL)))
        return -1;
    for (size_t i = 0; i < ALL; i++) {
        snprintf(names[i], sizeof names[i], "p%zu", i);
        snprintf(users[i], sizeof users[i], "u%zu", i);
        snprintf(issuers[i], sizeof issuers[i], "i%zu", i);
        configs[i] = (struct profile_config){ .name = names[i],
                                              .issuer = issuers[i],
                                              .client_id = word,
                                              .client_auth = word,
                                              .username = users[i],
                                              .signing_algs = word,
                                              .proxy = word,
                                              .scope = word,
                                              .timeout = 1000,
                                              .patience = hour,
                                              .password = { .kind = SOURCE_INLINE,
                                                            .value = secret_copy("pw", 2) } };
        if (!(attempts[i] = attempt_new(&shared, on_sending, on_done, &attempts[i])))
            return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        attempts[i] = attempt_free(attempts[i]);
        secret_free(configs[i].password.value);
    }
    children_free(shared.children);
    sd_event_unref(shared.event);
    account_table_free(shared.accounts);
    close(shared.fetcher.fd);
    return 0;
}

/* From that one on, so many are of the first one's account. */
static void share_account(unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++) {
        configs[i].username = users[first];
        configs[i].issuer = issuers[first];
    }
}

/* All that is there to be done. */
static void turn(void)
{
    int r;

    do {
        if (!resting)
            shared.fetch_queue.rests_until = 0;
        r = sd_event_run(shared.event, 0);
    } while (r > 0);
    assert_int_equal(r, 0);
}

static void start(unsigned i, bool urgent)
{
    attempt_start(attempts[i], &(struct attempt_order){
                                   .config = &configs[i], .urgent = urgent, .patient = true });
    turn();
}

static void start_several(unsigned first, unsigned n, bool urgent)
{
    for (unsigned i = first; i < first + n; i++)
        start(i, urgent);
}

static int on_time(sd_event_source *source, uint64_t usec, void *context)
{
    bool *come = context;

    (void)source, (void)usec;
    *come = true;
    return 0;
}

/* All that is due before then has come. */
static void until(uint64_t when)
{
    sd_event_source *source;
    bool come = false;

    assert_true(sd_event_add_time(shared.event, &source, CLOCK_BOOTTIME, when, 1, on_time, &come) >=
                0);
    sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IDLE);
    while (!come)
        assert_true(sd_event_run(shared.event, UINT64_MAX) >= 0);
    sd_event_source_unref(source);
}

/* Until those that wait for longer than usual have had the usual time. */
static void for_the_usual_time(void)
{
    until(time_boottime() + configs[0].timeout + grace + 1);
}

/* So many from that one on have ended, for their time was up. */
static void assert_gone(unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        assert_int_equal(ends[i], ERROR_TIMEOUT);
}

static void assert_there(unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        assert_int_equal(ends[i], ERROR_NONE);
}

/* ---- who waits longer than usual gives way --------------------------------------------------- */

/* Six for whom nobody waits and two with clients have all the slots there are. */
static void take_all_slots(void)
{
    start_several(0, 6, false);
    start_several(6, 2, true);
    assert_string_equal(order, "01234567");
}

static void those_for_whom_nobody_waits_give_way_to_a_client_in_the_queue(void **state)
{
    (void)state;
    take_all_slots();
    start(8, false);
    for_the_usual_time();
    assert_there(0, 9); /* it may wait: nobody does */
    start(9, true);
    for_the_usual_time();
    assert_gone(0, 6);
    assert_there(6, 4);
    assert_int_equal(order[8], '9');
}

static void they_do_when_a_client_comes_for_one_in_the_queue(void **state)
{
    (void)state;
    take_all_slots();
    start(8, false);
    attempt_hurry(attempts[8]);
    for_the_usual_time();
    assert_gone(0, 6);
    assert_there(6, 3);
    assert_int_equal(order[8], '8');
}

static void one_whose_client_has_gone_gives_way(void **state)
{
    (void)state;
    start_several(0, 9, true);
    assert_string_equal(order, "01234567");
    attempt_calm(attempts[3]);
    for_the_usual_time();
    assert_there(0, 3);
    assert_gone(3, 1);
    assert_there(4, 5);
    assert_string_equal(order, "012345678");
}

static void a_login_gives_way_to_a_client_who_waits_for_the_next_of_its_account(void **state)
{
    (void)state;
    share_account(0, 2);
    start(0, false);
    start(2, false);
    start(1, true);
    for_the_usual_time();
    assert_gone(0, 1);
    assert_there(1, 2); /* that is in nobody's way */
    assert_string_equal(order, "021");
}

static void it_does_when_a_client_comes_for_the_next(void **state)
{
    (void)state;
    share_account(0, 2);
    start_several(0, 2, false);
    for_the_usual_time();
    assert_there(0, 2);
    attempt_hurry(attempts[1]);
    turn();
    assert_gone(0, 1); /* it has had its time */
    assert_string_equal(order, "01");
}

static void another_network_ends_a_long_wait(void **state)
{
    (void)state;
    start(0, true);
    attempt_network_changed(attempts[0]);
    for_the_usual_time();
    assert_gone(0, 1);
    start(1, true);
    for_the_usual_time();
    assert_there(1, 1);
}

/* ---- a processor's worth --------------------------------------------------------------------- */

static const clock_t some_time = CLOCKS_PER_SEC / 20;

/* A child that has been busy for some_time, and is gone. */
static void burn(void)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        clock_t from = clock();
        while (clock() - from <= some_time)
            ;
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void those_for_whom_nobody_waits_rest_for_what_fetchers_took(void **state)
{
    (void)state;
    resting = true;
    start(0, false);
    burn();
    uint64_t before = time_boottime();
    attempt_cancel(attempts[0]);
    uint64_t rests_until = shared.fetch_queue.rests_until;
    assert_true(rests_until >= before + (uint64_t)some_time * USEC_PER_SEC / CLOCKS_PER_SEC);
    start(1, false);
    start(2, true); /* it does not rest */
    assert_true(sent_at[2] > 0);
    until(rests_until + 1);
    assert_true(sent_at[1] >= rests_until); /* and has not been forgotten */
}

/* ---- the turns of an account ----------------------------------------------------------------- */

/* The event loop takes those that are due together in no order. */
static void add_company(void)
{
    static bool ignored;

    for (int i = 0; i < 3; i++)
        assert_true(
            sd_event_add_time(shared.event, NULL, CLOCK_BOOTTIME, 0, 1, on_time, &ignored) >= 0);
}

/* One ends, and what follows has come about. */
static void end(unsigned i)
{
    add_company();
    attempt_cancel(attempts[i]);
    turn();
}

static void logins_go_in_the_order_in_which_they_came_but_for_clients(void **state)
{
    (void)state;
    share_account(0, 7);
    start_several(0, 4, false);
    start(4, true);
    assert_string_equal(order, "0");
    end(0);
    assert_string_equal(order, "04");
    end(4);
    assert_string_equal(order, "041");
    start(5, false); /* the last */
    end(1);
    assert_string_equal(order, "0412");
    end(2);
    end(3);
    assert_string_equal(order, "041235");
}

static void one_with_a_slot_does_not_overtake_a_client(void **state)
{
    (void)state;
    share_account(0, 4);
    start(0, false);
    start(1, false);
    start(2, true); /* both wait for the first */
    for (unsigned i = 4; i < 9; i++)
        start(i, false); /* with which these have all slots for whom nobody waits */
    start(3, false);
    assert_string_equal(order, "045678");
    end(0); /* the last one has its slot now */
    assert_int_equal(order[6], '2');
    assert_int_equal(strlen(order), 7);
}

static void one_that_leaves_passes_its_turn_on(void **state)
{
    (void)state;
    share_account(0, 3);
    start_several(0, 3, false);
    attempt_cancel(attempts[0]);
    attempt_cancel(attempts[1]); /* whose turn it has just become */
    turn();
    assert_string_equal(order, "02");
}

/* The bucket of the account of that one has as many logins left as are kept for clients. */
static void drain(unsigned i)
{
    const struct account_name name = { ACCOUNT_USER, configs[i].issuer, NULL, configs[i].username };
    struct account *account = account_table_get(shared.accounts, account_table_id(&name));

    assert_non_null(account);
    account->latest = NULL; /* what is under way gives none back */
    account->bucket_full = time_boottime() + (uint64_t)ACCOUNT_AHEAD * 10 * USEC_PER_SEC;
}

static void one_that_leaves_the_last_logins_to_clients_passes_its_turn_on(void **state)
{
    (void)state;
    share_account(0, 4);
    start_several(0, 3, false);
    drain(0);
    end(0);
    assert_int_equal(ends[1], ERROR_THROTTLED);
    assert_int_equal(ends[2], ERROR_THROTTLED);
    assert_true(yielded[1] && yielded[2]);
    start(3, true);
    assert_string_equal(order, "03");
}

static void all_rest(void)
{
    resting = true;
    shared.fetch_queue.rests_until = time_boottime() + hour;
}

/* Whose turn it is has no slot yet. */
static void a_client_does_not_wait_for_one_that_has_not_begun(void **state)
{
    (void)state;
    share_account(0, 4);
    start_several(0, 4, false);
    attempt_cancel(attempts[0]);
    all_rest();
    turn();
    assert_string_equal(order, "0");
    attempt_hurry(attempts[2]);
    turn();
    assert_string_equal(order, "02");
    attempt_cancel(attempts[2]);
    turn();
    assert_string_equal(order, "02");
}

static void one_whose_client_has_gone_is_in_no_clients_way(void **state)
{
    (void)state;
    share_account(0, 3);
    start(0, false);
    start_several(1, 2, true);
    attempt_cancel(attempts[0]);
    all_rest();
    attempt_calm(attempts[1]); /* whose turn it is */
    turn();
    assert_string_equal(order, "02");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(those_for_whom_nobody_waits_give_way_to_a_client_in_the_queue),
        TEST(they_do_when_a_client_comes_for_one_in_the_queue),
        TEST(one_whose_client_has_gone_gives_way),
        TEST(a_login_gives_way_to_a_client_who_waits_for_the_next_of_its_account),
        TEST(it_does_when_a_client_comes_for_the_next),
        TEST(another_network_ends_a_long_wait),
        TEST(those_for_whom_nobody_waits_rest_for_what_fetchers_took),
        TEST(logins_go_in_the_order_in_which_they_came_but_for_clients),
        TEST(one_with_a_slot_does_not_overtake_a_client),
        TEST(one_that_leaves_passes_its_turn_on),
        TEST(one_that_leaves_the_last_logins_to_clients_passes_its_turn_on),
        TEST(a_client_does_not_wait_for_one_that_has_not_begun),
        TEST(one_whose_client_has_gone_is_in_no_clients_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
