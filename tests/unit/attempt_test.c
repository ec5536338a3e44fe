#include "support.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/attempt.h"
#include "daemon/digest.h"
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
    shared = (struct context){ .fetcher.fd = -1, .accounts = account_table_new(NULL) };
    ends = 0;
    fetch_queue_init(&shared.fetch_queue);
    TAILQ_INIT(&shared.turns);
    if (!shared.accounts || sd_event_new(&shared.event) < 0 ||
        !(shared.children = children_new(shared.event, NULL, NULL)))
        return -1;
    attempt = attempt_new(&shared, on_sending, on_done, NULL);
    return attempt ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    attempt_free(attempt);
    children_free(shared.children);
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
    shared.fetcher.fd = fetcher_open("/bin/cat"); /* reads on and on */
    assert_true(shared.fetcher.fd >= 0);
    attempt_start(attempt, &(struct attempt_order){ .config = &hasty });
    until_the_end();
    assert_int_equal(kind, LIFECYCLE_TEMPORARY);
    assert_int_equal(code, ERROR_TIMEOUT);
    close(shared.fetcher.fd);
    secret_free(password.value);
}

/* ---- another life ---------------------------------------------------------------------------- */

static struct profile_config with_file;
static char path[128];
static const struct error said = { ERROR_REFUSED, "invalid_grant" };

static int setup_with_file(void **state)
{
    if (folder_setup(state) < 0 || setup(state) < 0)
        return -1;
    snprintf(path, sizeof path, "%s", write_file("password", "pw\n", 0600));
    with_file = (struct profile_config){ .name = name,
                                         .issuer = issuer,
                                         .client_id = name,
                                         .client_auth = name,
                                         .username = username,
                                         .signing_algs = name,
                                         .proxy = name,
                                         .scope = name,
                                         .password = { .kind = SOURCE_FILE, .text = path },
                                         .timeout = 1000 };
    return 0;
}

static int teardown_with_file(void **state)
{
    teardown(state);
    return folder_teardown(state);
}

/* Of that password, as the profile would send it. */
static struct permit permit_of(const char *text)
{
    struct secret *password = secret_copy(text, strlen(text));
    struct permit p;

    permit_open(&p, shared.accounts, &with_file, NULL, password);
    secret_free(password);
    return p;
}

static struct account *account_of(const struct permit *p)
{
    return account_table_get(shared.accounts, p->parts[PERMIT_USER].id);
}

/* The account refuses what the file holds, and so the attempt is. */
static struct permit refused(void)
{
    struct permit p = permit_of("pw");

    account_of(&p)->refusals[0].what.password = p.parts[PERMIT_USER].what.password;
    attempt_start(attempt, &(struct attempt_order){ .config = &with_file });
    until_the_end();
    assert_int_equal(kind, LIFECYCLE_REFUSED);
    return p;
}

/* Another one takes up what this one knew. */
static void restart(uint64_t now)
{
    struct attempt_note note = attempt_note(attempt);

    attempt_free(attempt);
    attempt = attempt_new(&shared, on_sending, on_done, NULL);
    assert_non_null(attempt);
    attempt_restore(attempt, &note, &said, now);
}

static void what_stands_against_it_outlives_a_restart(void **state)
{
    uint64_t now = time_boottime();

    (void)state;
    struct permit p = refused();
    struct attempt_note before = attempt_note(attempt), after;
    assert_false(attempt_worthwhile(attempt, &with_file, now));
    restart(time_boottime());
    after = attempt_note(attempt);
    assert_memory_equal(&after, &before, sizeof after);
    assert_false(attempt_worthwhile(attempt, &with_file, now));
    account_lift(account_of(&p), &p.parts[PERMIT_USER].what);
    assert_true(attempt_worthwhile(attempt, &with_file, now));
}

static void a_file_that_changed_between_two_lives_is_seen(void **state)
{
    uint64_t now = time_boottime();

    (void)state;
    refused();
    restart(now);
    assert_false(attempt_is_outdated(attempt, &with_file));
    write_file("password", "another one\n", 0600);
    assert_true(attempt_is_outdated(attempt, &with_file));
    assert_true(attempt_worthwhile(attempt, &with_file, now));
}

/* Where it waits since its source could not be read, say. */
static void it_is_seen_also_where_nothing_was_refused(void **state)
{
    struct attempt_note note;

    (void)state;
    attempt_start(attempt, &(struct attempt_order){ .config = &with_file });
    until_the_end(); /* there is no fetcher */
    assert_int_not_equal(kind, LIFECYCLE_REFUSED);
    note = attempt_note(attempt);
    assert_int_equal(note.numbers[0], 0);
    restart(time_boottime());
    assert_false(attempt_is_outdated(attempt, &with_file));
    assert_false(attempt_worthwhile(attempt, &with_file, time_boottime()));
    write_file("password", "another one\n", 0600);
    assert_true(attempt_is_outdated(attempt, &with_file));
}

/* The numbers, whose order is for good. */
enum { AT, UNTIL, STAMP, PASSWORD, CLIENT_SECRET, LOCAL = ATTEMPT_NOTE - 2, TYPED };

static void what_was_refused_for_this_request_alone_is_not_sent_again(void **state)
{
    struct secret *password = secret_copy("pw", 2);
    struct attempt_note note = { { [AT] = 1,
                                   [PASSWORD] = digest_secret(password),
                                   [CLIENT_SECRET] = digest_secret(NULL),
                                   [LOCAL] = 1 } };

    (void)state;
    secret_free(password);
    attempt_restore(attempt, &note, &said, time_boottime());
    attempt_start(attempt, &(struct attempt_order){ .config = &with_file });
    until_the_end();
    assert_int_equal(kind, LIFECYCLE_REFUSED);
    assert_int_equal(code, said.code);
    /* the last failure may have been another than that */
    attempt_restore(attempt, &note, &(struct error){ ERROR_SOURCE_REFUSED, "q" }, time_boottime());
    attempt_start(attempt, &(struct attempt_order){ .config = &with_file });
    ends = 0;
    until_the_end();
    assert_int_equal(kind, LIFECYCLE_REFUSED);
    assert_int_equal(code, ERROR_REFUSED);
    write_file("password", "another one\n", 0600);
    attempt_start(attempt, &(struct attempt_order){ .config = &with_file });
    ends = 0;
    until_the_end();
    assert_int_not_equal(kind, LIFECYCLE_REFUSED);
}

/* Somebody may give one while another is under way, whose refusal says nothing of it. */
static void another_refresh_token_than_the_refused_one_is_sent(void **state)
{
    struct secret *one = secret_copy("r1", 2), *another = secret_copy("r2", 2);
    struct attempt_note note = { { [AT] = 1,
                                   [PASSWORD] = digest_secret(one),
                                   [CLIENT_SECRET] = digest_secret(NULL),
                                   [LOCAL] = 1 } };

    (void)state;
    attempt_restore(attempt, &note, &said, time_boottime());
    attempt_start(attempt, &(struct attempt_order){ .config = &with_file, .refresh_token = one });
    until_the_end();
    assert_int_equal(kind, LIFECYCLE_REFUSED);
    attempt_start(attempt,
                  &(struct attempt_order){ .config = &with_file, .refresh_token = another });
    ends = 0;
    until_the_end();
    assert_int_equal(kind, LIFECYCLE_LOCAL); /* there is no fetcher */
    secret_free(one);
    secret_free(another);
}

/* A typed one is not at any source: only a source that there is now may have another. */
static void a_typed_one_that_was_refused_is_no_files(void **state)
{
    struct attempt_note note = { { [AT] = 1, [TYPED] = 1 } };

    (void)state;
    attempt_restore(attempt, &note, &said, time_boottime());
    assert_false(attempt_worthwhile(attempt, &config, time_boottime()));
    assert_true(attempt_worthwhile(attempt, &with_file, time_boottime()));
}

/* A command is asked again 10 s after the refusal. */
static void a_refusal_of_the_future_was_now(void **state)
{
    struct attempt_note note = { { [AT] = 1000 * hour, [LOCAL] = 1 } };
    struct profile_config with_command = with_file;
    uint64_t now = time_boottime();

    (void)state;
    with_command.password = (struct source){ .kind = SOURCE_COMMAND, .text = path };
    attempt_restore(attempt, &note, &said, now);
    assert_false(attempt_worthwhile(attempt, &with_command, now));
    assert_false(attempt_worthwhile(attempt, &with_command, now + 10 * USEC_PER_SEC - 1));
    assert_true(attempt_worthwhile(attempt, &with_command, now + 10 * USEC_PER_SEC));
}

static void no_wait_is_longer_than_the_longest_pause(void **state)
{
    struct attempt_note note = { { [AT] = 1, [UNTIL] = UINT64_MAX } };
    uint64_t now = time_boottime();

    (void)state;
    attempt_restore(attempt, &note, &said, now);
    assert_true(attempt_is_decided(attempt, now + 30 * hour - 1)); /* nothing is known of it */
    assert_false(attempt_is_decided(attempt, now + 30 * hour));
    note.numbers[UNTIL] = now + hour;
    attempt_restore(attempt, &note, &said, now);
    assert_int_equal(attempt_note(attempt).numbers[UNTIL], now + hour);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITH_FILE(name)                                                                       \
    cmocka_unit_test_setup_teardown(name, setup_with_file, teardown_with_file)

/* The configuration that is in force when none is under way may be gone when the next one is. */
static void an_attempt_that_is_over_names_no_configuration(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct profile_config *next = mmap(NULL, page, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(next, MAP_FAILED);
    assert_true(sizeof *next <= page);
    *next = config;
    attempt_update(attempt, next, NULL, NULL);
    start(0, true);
    until_the_end();
    attempt_update(attempt, next, NULL, NULL);
    assert_int_equal(munmap(next, page), 0);
    attempt_cancel(attempt);
    start(0, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_delay_it_begins_in_the_next_turn),
        TEST(a_delay_lasts_until_its_deadline),
        TEST(a_client_that_comes_meanwhile_ends_the_delay),
        TEST(who_waits_already_is_not_delayed),
        TEST(a_delayed_one_that_is_cancelled_never_begins),
        TEST(a_fetcher_that_hangs_is_killed_at_its_deadline),
        TEST(an_attempt_that_is_over_names_no_configuration),
        TEST_WITH_FILE(what_stands_against_it_outlives_a_restart),
        TEST_WITH_FILE(a_file_that_changed_between_two_lives_is_seen),
        TEST_WITH_FILE(it_is_seen_also_where_nothing_was_refused),
        TEST_WITH_FILE(what_was_refused_for_this_request_alone_is_not_sent_again),
        TEST_WITH_FILE(another_refresh_token_than_the_refused_one_is_sent),
        TEST_WITH_FILE(a_typed_one_that_was_refused_is_no_files),
        TEST_WITH_FILE(a_refusal_of_the_future_was_now),
        TEST_WITH_FILE(no_wait_is_longer_than_the_longest_pause),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
