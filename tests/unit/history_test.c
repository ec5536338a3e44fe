/* What is remembered, what is one entry with another, and what goes for want of room. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "common/time.h"
#include "daemon/history.h"

static struct history *history;
static uint64_t now;
static unsigned changes;

static void on_change(void *context)
{
    (void)context;
    changes++;
}

static int setup(void **state)
{
    (void)state;
    history = history_new();
    now = 1000 * USEC_PER_SEC;
    changes = 0;
    history_on_change(history, on_change, NULL);
    return history ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    history = history_free(history);
    return 0;
}

static void hand_out(const char *profile, uint64_t token, const char *program, pid_t pid)
{
    struct history_entry e = {
        .kind = HISTORY_HAND_OUT, .at = now, .token = token, .pid = pid, .started = (uint64_t)pid
    };

    snprintf(e.program, sizeof e.program, "%s", program);
    history_add(history, profile, &e);
}

static void note(const char *profile, enum history_kind kind)
{
    history_add(history, profile, &(struct history_entry){ .kind = kind, .at = now });
}

static void failure(const char *profile, enum error_code code, const char *text)
{
    history_add(
        history, profile,
        &(struct history_entry){ .kind = HISTORY_FAILURE, .at = now, .code = code, .text = text });
}

static unsigned count(enum history_kind kind)
{
    unsigned n = 0;

    for (const struct history_entry *e = history_after(history, 0); e; e = history_next(e))
        n += e->kind == kind;
    return n;
}

static void what_one_process_gets_of_one_token_is_one_entry(void **state)
{
    (void)state;
    hand_out("p", 1, "python3", 7);
    now += 3600 * USEC_PER_SEC;
    hand_out("p", 1, "python3", 7);
    const struct history_entry *e = history_last(history);
    assert_int_equal(count(HISTORY_HAND_OUT), 1);
    assert_int_equal(e->count, 2);
    assert_int_equal(e->processes, 1);
    assert_true(e->first == 1000 * USEC_PER_SEC && e->at == now);
    hand_out("p", 2, "python3", 7);
    assert_int_equal(count(HISTORY_HAND_OUT), 2);
}

static void processes_of_one_program_are_one_entry_while_they_come_soon(void **state)
{
    (void)state;
    for (pid_t pid = 1; pid <= 1000; pid++, now += 2 * USEC_PER_SEC) /* watch kubectl */
        hand_out("p", 1, "kubectl", pid);
    assert_int_equal(count(HISTORY_HAND_OUT), 1);
    assert_int_equal(history_last(history)->processes, 1000);
    assert_int_equal(history_last(history)->pid, 1000);
    now += HISTORY_TOGETHER;
    hand_out("p", 1, "kubectl", 1001);
    assert_int_equal(count(HISTORY_HAND_OUT), 2);
    hand_out("p", 1, "k9s", 1002);
    hand_out("q", 1, "kubectl", 1003);
    assert_int_equal(count(HISTORY_HAND_OUT), 4);
}

static void the_same_pid_started_later_is_another_process(void **state)
{
    struct history_entry e = {
        .kind = HISTORY_HAND_OUT, .at = now, .token = 1, .pid = 7, .started = 1
    };

    (void)state;
    history_add(history, "p", &e);
    e.at += 2 * HISTORY_TOGETHER;
    e.started = 2;
    history_add(history, "p", &e);
    assert_int_equal(count(HISTORY_HAND_OUT), 2);
}

static void failures_that_come_again_are_one_each_until_there_is_a_token(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        failure("p", ERROR_TIMEOUT, "slow");
        failure("p", ERROR_THROTTLED, "later");
        hand_out("p", 1, "kubectl", 7);
    }
    assert_int_equal(count(HISTORY_FAILURE), 2);
    note("p", HISTORY_TOKEN);
    failure("p", ERROR_TIMEOUT, "slow");
    assert_int_equal(count(HISTORY_FAILURE), 3);
}

static void rejections_of_one_token_are_one_entry_for_each_way(void **state)
{
    struct history_entry e = { .kind = HISTORY_REJECTION, .at = now, .token = 1, .pid = 7 };

    (void)state;
    for (int i = 0; i < 100; i++) {
        e.told = i % 2 == 0;
        e.pid = 7 + i;
        history_add(history, "p", &e);
    }
    assert_int_equal(count(HISTORY_REJECTION), 2);
    assert_int_equal(history_last(history)->count, 50);
    assert_int_equal(history_last(history)->pid, 106);
}

static void a_profile_keeps_so_many_hand_outs_and_so_many_others(void **state)
{
    (void)state;
    note("p", HISTORY_TOKEN);
    for (pid_t pid = 1; pid <= 1000; pid++, now += 2 * HISTORY_TOGETHER)
        hand_out("p", (uint64_t)pid, "kubectl", pid);
    assert_int_equal(count(HISTORY_HAND_OUT), HISTORY_PROFILE_MAX);
    assert_int_equal(count(HISTORY_TOKEN), 1); /* not for a hand-out */
    assert_int_equal(history_last(history)->pid, 1000);
    assert_true(history_lost(history, "p") > 0);
    assert_int_equal(history_lost(history, "q"), 0);
    for (int i = 0; i < 1000; i++)
        note("p", HISTORY_TOKEN);
    assert_int_equal(count(HISTORY_TOKEN), HISTORY_PROFILE_MAX);
    assert_int_equal(count(HISTORY_HAND_OUT), HISTORY_PROFILE_MAX);
}

static void a_thousand_profiles_keep_no_more_than_the_whole_does_and_the_start_stays(void **state)
{
    char name[16];
    unsigned all = 0;

    (void)state;
    note(NULL, HISTORY_STARTED);
    for (int i = 0; i < 1000; i++)
        for (uint64_t token = 1; token <= 5; token++) {
            snprintf(name, sizeof name, "p%03d", i);
            hand_out(name, token, "kubectl", 7);
        }
    for (const struct history_entry *e = history_after(history, 0); e; e = history_next(e))
        all++;
    assert_int_equal(all, HISTORY_MAX);
    assert_int_equal(history_after(history, 0)->kind, HISTORY_STARTED);
    assert_string_equal(history_last(history)->profile, "p999");
}

static void a_reload_loop_leaves_the_start(void **state)
{
    (void)state;
    note(NULL, HISTORY_STARTED);
    for (int i = 0; i < 1000; i++)
        note(NULL, HISTORY_RELOAD);
    assert_int_equal(count(HISTORY_RELOAD), HISTORY_PROFILE_MAX - 1);
    assert_int_equal(count(HISTORY_STARTED), 1);
}

static void who_was_not_looked_at_is_settled_in_order_and_added_to_its_like(void **state)
{
    struct history_entry found = { .program = "kubectl" };
    const struct history_entry *e;

    (void)state;
    for (pid_t pid = 1; pid <= 3; pid++)
        history_add(history, "p",
                    &(struct history_entry){
                        .kind = HISTORY_HAND_OUT, .at = now, .pid = pid, .unlooked = true });
    assert_int_equal(count(HISTORY_HAND_OUT), 3);
    for (pid_t pid = 1; (e = history_unlooked(history)); pid++) {
        assert_int_equal(e->pid, pid);
        found.pid = pid;
        found.confirmed = true;
        history_settle(history, e, &found);
    }
    e = history_last(history);
    assert_int_equal(count(HISTORY_HAND_OUT), 1);
    assert_int_equal(e->count, 3);
    assert_int_equal(e->pid, 3);
    assert_true(e->confirmed);
    assert_string_equal(e->program, "kubectl");
}

static void a_burst_is_looked_at_in_part_and_the_rest_is_one_entry(void **state)
{
    unsigned unlooked = 0;

    (void)state;
    for (pid_t pid = 1; pid <= 1000; pid++)
        history_add(history, "p",
                    &(struct history_entry){
                        .kind = HISTORY_HAND_OUT, .at = now, .pid = pid, .unlooked = true });
    for (const struct history_entry *e = history_after(history, 0); e; e = history_next(e))
        unlooked += e->unlooked;
    assert_int_equal(unlooked, HISTORY_UNLOOKED_MAX);
    assert_int_equal(history_last(history)->count, 1000 - HISTORY_UNLOOKED_MAX);
    assert_int_equal(history_last(history)->pid, 0); /* nobody has seen that it is that one's */
}

static void a_profile_that_is_forgotten_leaves_nothing(void **state)
{
    (void)state;
    hand_out("p", 1, "kubectl", 7);
    hand_out("q", 1, "kubectl", 7);
    history_add(
        history, "p",
        &(struct history_entry){ .kind = HISTORY_HAND_OUT, .at = now, .pid = 1, .unlooked = true });
    history_forget(history, "p");
    history_forget(history, "nobody");
    assert_null(history_unlooked(history));
    assert_string_equal(history_last(history)->profile, "q");
    assert_null(history_before(history_last(history)));
}

static void each_change_is_told_and_comes_after_what_was_seen(void **state)
{
    (void)state;
    hand_out("p", 1, "kubectl", 7);
    uint64_t seen = history_last(history)->id;
    assert_null(history_after(history, seen));
    hand_out("p", 1, "kubectl", 7);
    assert_int_equal(changes, 2);
    assert_int_equal(history_after(history, seen)->count, 2);
}

static void texts_are_copied(void **state)
{
    char text[] = "groups: +ops";

    (void)state;
    history_add(
        history, "p",
        &(struct history_entry){
            .kind = HISTORY_TOKEN, .at = now, .text = text, .key = "", .previous_key = NULL });
    memset(text, 'x', sizeof text - 1);
    assert_string_equal(history_last(history)->text, "groups: +ops");
    assert_null(history_last(history)->key);
}

static void each_kind_keeps_all_that_it_has(void **state)
{
    struct history_entry e = {
        .kind = HISTORY_REJECTION,
        .at = now,
        .token = 3,
        .expires_at = 4,
        .pid = 5,
        .started = 6,
        .confirmed = true,
        .program = "kubectl",
        .told = true,
        .unfollowed = true,
        .handed_at = 7,
        .verified = true,
        .key = "new",
        .clock_offset = -8,
        .n_findings = 2,
        .findings = { ERROR_TIMEOUT, ERROR_THROTTLED },
    };
    const struct history_entry *r;

    (void)state;
    history_add(history, "p", &e);
    e = (struct history_entry){ .kind = HISTORY_KEY,
                                .at = now,
                                .token = 3,
                                .key = "new",
                                .previous_key = "old",
                                .key_gone = true };
    history_add(history, "p", &e);
    e = (struct history_entry){ .kind = HISTORY_FAILURE,
                                .at = now,
                                .reason = HISTORY_REFRESH,
                                .code = ERROR_TIMEOUT,
                                .took = 9,
                                .by_refresh_token = true,
                                .text = "slow" };
    history_add(history, "p", &e);
    r = history_after(history, 0);
    assert_true(r->told && r->unfollowed && r->confirmed && r->verified);
    assert_int_equal(r->token + r->expires_at + r->started + r->handed_at, 3 + 4 + 6 + 7);
    assert_string_equal(r->program, "kubectl");
    assert_int_equal(r->clock_offset, -8);
    assert_int_equal(r->n_findings, 2);
    assert_int_equal(r->findings[1], ERROR_THROTTLED);
    r = history_next(r);
    assert_string_equal(r->key, "new");
    assert_string_equal(r->previous_key, "old");
    assert_true(r->key_gone);
    r = history_next(r);
    assert_int_equal(r->reason, HISTORY_REFRESH);
    assert_int_equal(r->code, ERROR_TIMEOUT);
    assert_int_equal(r->took, 9);
    assert_true(r->by_refresh_token);
    assert_string_equal(r->text, "slow");
}

static void hand_outs_by_a_share_are_told_apart(void **state)
{
    struct history_entry e = { .kind = HISTORY_HAND_OUT, .token = 1, .pid = 7, .started = 7 };
    static const char *const by[] = { NULL, "box", "other", "box", NULL };
    char name[] = "gone";

    (void)state;
    for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
        e.at = now;
        e.text = by[i];
        history_add(history, "p", &e);
    }
    assert_int_equal(count(HISTORY_HAND_OUT), 3);
    const struct history_entry *last = history_last(history);
    assert_true(last->count == 2 && !last->text && last->processes == 1);
    assert_string_equal(history_before(last)->text, "box");
    e = (struct history_entry){ .kind = HISTORY_SHARE, .at = now, .expires_at = 9, .text = name };
    history_add(history, "p", &e);
    e = (struct history_entry){
        .kind = HISTORY_UNSHARE, .at = now, .text = name, .end = HISTORY_UNCONFIGURED
    };
    history_add(history, NULL, &e);
    memset(name, 'x', sizeof name - 1);
    last = history_last(history);
    assert_string_equal(last->text, "gone");
    assert_int_equal(last->end, HISTORY_UNCONFIGURED);
    assert_string_equal(history_before(last)->text, "gone");
    assert_int_equal(history_before(last)->expires_at, 9);
}

static void tokens_of_one_key_share_its_name_until_the_last_is_gone(void **state)
{
    char key[] = "a";

    (void)state;
    for (unsigned i = 0; i < 4 * HISTORY_PROFILE_MAX; i++) {
        key[0] = (char)('a' + i / 32);
        history_add(
            history, "p",
            &(struct history_entry){ .kind = HISTORY_TOKEN, .at = now, .token = i, .key = key });
    }
    const struct history_entry *first = history_after(history, 0), *last = history_last(history);
    assert_string_equal(first->key, "g");
    assert_ptr_equal(first->key, history_next(first)->key);
    assert_string_equal(last->key, "h");
}

static void a_full_profile_takes_200_bytes_an_entry(void **state)
{
    static const char key[] = "U5NkLM0fcvtGKv0sfYgPpVqzXYAfwMTZqVBm3ZbJuTg";
    size_t before = heap_in_use();

    (void)state;
    if (before == 0)
        skip();
    for (unsigned i = 0; i < HISTORY_PROFILE_MAX; i++, now += 2 * HISTORY_TOGETHER) {
        history_add(
            history, "p",
            &(struct history_entry){ .kind = HISTORY_TOKEN, .at = now, .token = i, .key = key });
        hand_out("p", i, "kubectl", 7);
    }
    assert_true(heap_in_use() - before <= (size_t)2 * HISTORY_PROFILE_MAX * 200);
}

static void without_a_history_nothing_is_kept(void **state)
{
    (void)state;
    history_add(NULL, "p", &(struct history_entry){ .kind = HISTORY_LOGOUT });
    history_forget(NULL, "p");
    history_on_change(NULL, on_change, NULL);
    assert_null(history_after(NULL, 0));
    assert_null(history_last(NULL));
    assert_null(history_unlooked(NULL));
    assert_int_equal(history_lost(NULL, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_one_process_gets_of_one_token_is_one_entry),
        TEST(processes_of_one_program_are_one_entry_while_they_come_soon),
        TEST(the_same_pid_started_later_is_another_process),
        TEST(failures_that_come_again_are_one_each_until_there_is_a_token),
        TEST(rejections_of_one_token_are_one_entry_for_each_way),
        TEST(a_profile_keeps_so_many_hand_outs_and_so_many_others),
        TEST(a_thousand_profiles_keep_no_more_than_the_whole_does_and_the_start_stays),
        TEST(a_reload_loop_leaves_the_start),
        TEST(who_was_not_looked_at_is_settled_in_order_and_added_to_its_like),
        TEST(a_burst_is_looked_at_in_part_and_the_rest_is_one_entry),
        TEST(a_profile_that_is_forgotten_leaves_nothing),
        TEST(each_change_is_told_and_comes_after_what_was_seen),
        TEST(texts_are_copied),
        TEST(each_kind_keeps_all_that_it_has),
        TEST(hand_outs_by_a_share_are_told_apart),
        TEST(tokens_of_one_key_share_its_name_until_the_last_is_gone),
        TEST(a_full_profile_takes_200_bytes_an_entry),
        TEST(without_a_history_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
