/* What is known of an account, written for a next life and read by it. */
#include "support.h"

#include <errno.h>
#include <string.h>

#include "common/tlv.h"
#include "daemon/account_record.h"

#define SECOND 1000000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

enum { PASSWORD = 100, WHO = 1 };

static const uint64_t now = 1000 * HOUR;
static char bytes[ACCOUNT_RECORD_MAX];
static struct account sent, got, empty;
static struct tlv_writer w;

static int setup(void **state)
{
    (void)state;
    memset(&sent, 0, sizeof sent);
    memset(&got, 0xff, sizeof got);
    tlv_begin(&w, bytes, sizeof bytes);
    return 0;
}

static void through(void)
{
    size_t length = account_record_encode(&sent, bytes, sizeof bytes);

    assert_true(length > 0);
    assert_int_equal(account_record_decode(bytes, length, now, &got), 0);
}

static void read_fields(void)
{
    size_t length = tlv_end(&w);

    assert_true(length > 0);
    assert_int_equal(account_record_decode(bytes, length, now, &got), 0);
}

static void put_numbers(const char *name, const uint64_t *numbers, size_t n)
{
    tlv_put(&w, name, numbers, n * sizeof *numbers);
}

static void put_number(const char *name, uint64_t number)
{
    put_numbers(name, &number, 1);
}

static struct account_trouble some_trouble(uint64_t i)
{
    return (struct account_trouble){ .password = PASSWORD + i,
                                     .silences = 10 + i,
                                     .silent_since = 20 + i,
                                     .softs = 30 + i,
                                     .denied_at = { 40 + i, 50 + i },
                                     .pause_until = 60 + i,
                                     .route_at = 70 + i,
                                     .by_gateway = i % 2 };
}

static void everything(void)
{
    sent.bucket_full = 1;
    sent.silent_at = 2;
    for (uint64_t i = 0; i < ACCOUNT_ACCEPTED; i++)
        sent.accepted[i] = 3 + i;
    for (uint64_t i = 0; i < ACCOUNT_REFUSALS; i++)
        sent.refusals[i] = (struct account_refusal){
            .what = { PASSWORD + i, 200 + i, 300 + i, 400 + i },
            .probe_at = 500 + i,
            .by_client = i % 2,
            .alone = (i + 1) % 2,
        };
    for (uint64_t i = 0; i < ACCOUNT_TROUBLES; i++)
        sent.troubles[i] = some_trouble(i);
    sent.why_of = 600;
    error_set(&sent.why, ERROR_REFUSED, "invalid_grant");
}

static void every_field_comes_back(void **state)
{
    (void)state;
    everything();
    through();
    assert_memory_equal(&got, &sent, sizeof got);
}

static void what_a_restart_forgets_is_not_written(void **state)
{
    (void)state;
    sent.bucket_full = 1;
    sent.full_before = 2;
    sent.refused_last = 3;
    sent.refused_at = 4;
    sent.was_forced = sent.is_forced = true;
    sent.holder = sent.latest = &sent;
    sent.before = some_trouble(0);
    through();
    empty = (struct account){ .bucket_full = 1 };
    assert_memory_equal(&got, &empty, sizeof got);
}

static void of_whom_nothing_is_known_there_is_no_record(void **state)
{
    (void)state;
    assert_int_equal(account_record_encode(&sent, bytes, sizeof bytes), 0);
    sent.why_of = 1; /* alone it stops nothing */
    assert_int_equal(account_record_encode(&sent, bytes, sizeof bytes), 0);
}

static void each_thing_that_is_known_is_worth_a_record(void **state)
{
    (void)state;
    sent.bucket_full = 1;
    through();
    setup(NULL);
    sent.silent_at = 1;
    through();
    setup(NULL);
    sent.accepted[0] = 1;
    through();
    setup(NULL);
    sent.refusals[0].what.password = 1;
    through();
    setup(NULL);
    sent.troubles[0] = some_trouble(0);
    through();
}

static void the_longest_text_fits_beside_all_there_is(void **state)
{
    (void)state;
    everything();
    memset(sent.why.detail, 'd', sizeof sent.why.detail - 1);
    through();
    assert_memory_equal(&got, &sent, sizeof got);
}

static void without_room_there_is_no_record(void **state)
{
    size_t length;

    (void)state;
    everything();
    length = account_record_encode(&sent, bytes, sizeof bytes);
    for (size_t room = 0; room < length; room++)
        assert_int_equal(account_record_encode(&sent, bytes, room), 0);
}

/* ---- the limits ------------------------------------------------------------------------------ */

static void nothing_has_happened_later_than_now(void **state)
{
    (void)state;
    everything();
    sent.silent_at = now + 1;
    sent.troubles[3] = (struct account_trouble){ .password = PASSWORD,
                                                 .silent_since = now + 1,
                                                 .route_at = UINT64_MAX,
                                                 .denied_at = { now + DAY, now + 2 } };
    through();
    assert_int_equal(got.silent_at, now);
    assert_int_equal(got.troubles[3].silent_since, now);
    assert_int_equal(got.troubles[3].route_at, now);
    assert_int_equal(got.troubles[3].denied_at[0], now);
    assert_int_equal(got.troubles[3].denied_at[1], now);
}

static void the_bucket_is_no_more_than_empty(void **state)
{
    (void)state;
    sent.bucket_full = now + 60 * SECOND + 1;
    through();
    assert_int_equal(got.bucket_full, now + 60 * SECOND);
    sent.bucket_full--;
    through();
    assert_int_equal(got.bucket_full, sent.bucket_full);
}

/* A minute for a login of ours, and 20 s. */
static void no_probe_is_later_than_one_that_is_doubted_now(void **state)
{
    (void)state;
    sent.refusals[0] = (struct account_refusal){ .what = { PASSWORD, 0, 0, 0 },
                                                 .probe_at = now + 80 * SECOND + 1 };
    through();
    assert_int_equal(got.refusals[0].probe_at, now + 80 * SECOND);
    sent.refusals[0].probe_at--;
    through();
    assert_int_equal(got.refusals[0].probe_at, sent.refusals[0].probe_at);
}

/* An untried password that met the sixth silence waits for the end of the day, and up to a quarter
 * more: a restart gives it no seventh chance. */
static void the_longest_pause_outlives_a_restart(void **state)
{
    const struct account_credential what = { .password = PASSWORD };
    uint64_t time = now - 10, when = 0;

    (void)state;
    for (int i = 0; i < ACCOUNT_LOST; i++) {
        assert_int_equal(account_ask(&sent, &what, ACCOUNT_BY_RULE, &w, UINT32_MAX, time, &when),
                         ACCOUNT_GO);
        account_ended(&sent, &what, &w, ACCOUNT_SILENCE, NULL, UINT32_MAX, time);
        if (i < ACCOUNT_LOST - 1)
            time = account_next(&sent, &what);
    }
    size_t length = account_record_encode(&sent, bytes, sizeof bytes);
    assert_true(account_next(&sent, &what) > time + 20 * HOUR);
    assert_int_equal(account_record_decode(bytes, length, time, &got), 0);
    assert_int_equal(account_next(&got, &what), account_next(&sent, &what));
}

static void no_pause_is_longer_than_the_longest(void **state)
{
    (void)state;
    sent.troubles[0] = some_trouble(0);
    sent.troubles[0].pause_until = now + 30 * HOUR + 1;
    through();
    assert_int_equal(got.troubles[0].pause_until, now + 30 * HOUR);
}

/* They are counted on from there, and pick a pause from a list. */
static void counts_do_not_wrap(void **state)
{
    const struct account_credential what = { .password = PASSWORD };
    uint64_t when = 0;

    (void)state;
    sent.troubles[0] = (struct account_trouble){ .password = PASSWORD,
                                                 .silences = UINT64_MAX,
                                                 .softs = UINT64_MAX };
    sent.accepted[0] = PASSWORD;
    through();
    assert_int_equal(got.troubles[0].silences, 1000000);
    assert_int_equal(got.troubles[0].softs, 1000000);
    assert_int_equal(account_ask(&got, &what, ACCOUNT_BY_RULE, &w, 0, now, &when), ACCOUNT_GO);
    assert_int_equal(account_ask(&got, &what, ACCOUNT_BY_RULE, &w, 0, now + 1, &when),
                     ACCOUNT_SILENT);
    assert_int_equal(when, now + HOUR);
}

/* ---- of another version, or broken ----------------------------------------------------------- */

static void a_field_of_a_later_version_is_passed_over(void **state)
{
    (void)state;
    tlv_put_text(&w, "from-the-future", "text");
    put_number("silent-at", 5);
    read_fields();
    empty = (struct account){ .silent_at = 5 };
    assert_memory_equal(&got, &empty, sizeof got);
}

static void of_too_many_the_first_are_taken(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        put_number("accepted", 1 + i);
        put_numbers("refusal", (const uint64_t[]){ 1 + i, 0, 0, 0, 0, 0 }, 6);
        put_numbers("trouble", (const uint64_t[]){ 1 + i, 1 }, 2);
    }
    read_fields();
    assert_int_equal(got.accepted[ACCOUNT_ACCEPTED - 1], ACCOUNT_ACCEPTED);
    assert_int_equal(got.refusals[ACCOUNT_REFUSALS - 1].what.password, ACCOUNT_REFUSALS);
    assert_int_equal(got.troubles[ACCOUNT_TROUBLES - 1].password, ACCOUNT_TROUBLES);
}

/* A later version has more numbers in a row, another one fewer. */
static void of_a_row_of_numbers_those_that_are_known_are_taken(void **state)
{
    uint64_t numbers[30];

    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++)
        numbers[i] = i + 1;
    put_numbers("refusal", numbers, COUNT(numbers));
    put_numbers("trouble", numbers, COUNT(numbers));
    put_numbers("refusal", numbers, 2);
    tlv_put(&w, "trouble", numbers, 2 * sizeof *numbers + 7);
    read_fields();
    const struct account_refusal full = { { 1, 2, 3, 4 }, 5, 6, 7 },
                                 half = { { 1, 2, 0, 0 }, 0, 0, 0 };
    assert_memory_equal(&got.refusals[0], &full, sizeof full);
    assert_memory_equal(&got.refusals[1], &half, sizeof half);
    assert_int_equal(got.troubles[0].by_gateway, 7);
    assert_int_equal(got.troubles[0].denied_at[0], 8);
    assert_int_equal(got.troubles[0].denied_at[1], 9);
    assert_int_equal(got.troubles[1].silences, 2);
    assert_int_equal(got.troubles[1].silent_since, 0);
}

/* The place of one that is none would end the list of those that are known, at the next writing. */
static void what_is_of_no_password_takes_no_place(void **state)
{
    (void)state;
    put_number("accepted", 0);
    put_number("accepted", 7);
    put_numbers("refusal", (const uint64_t[]){ 0, 1, 2, 3, 4, 5 }, 6);
    put_numbers("refusal", (const uint64_t[]){ 7, 1, 2, 3, 4, 5 }, 6);
    tlv_put(&w, "trouble", "", 0);
    put_numbers("trouble", (const uint64_t[]){ 7, 1 }, 2);
    read_fields();
    assert_int_equal(got.accepted[0], 7);
    assert_int_equal(got.refusals[0].what.password, 7);
    assert_int_equal(got.troubles[0].password, 7);
}

static void what_was_said_is_made_printable(void **state)
{
    static const char odd[] = "\x1b[2J\xff\nx\0y";

    (void)state;
    put_number("why-of", 1);
    tlv_put_text(&w, "why", "of-a-later-version");
    tlv_put(&w, "why-detail", odd, sizeof odd - 1);
    read_fields();
    assert_int_equal(got.why.code, ERROR_INTERNAL);
    assert_string_equal(got.why.detail, "[2J x y");
}

/* A refusal for no reason would be told as a success. */
static void without_a_code_nothing_was_said(void **state)
{
    (void)state;
    put_number("why-of", 1);
    tlv_put_text(&w, "why-detail", "no code");
    read_fields();
    assert_int_equal(got.why_of, 0);
}

static void what_is_cut_off_or_none_is_refused(void **state)
{
    struct account untouched = got;
    size_t length;

    (void)state;
    everything();
    length = account_record_encode(&sent, bytes, sizeof bytes);
    for (size_t n = 0; n < length; n++)
        assert_int_equal(account_record_decode(bytes, n, now, &got), -EBADMSG);
    bytes[length - strlen(sent.why.detail) - 1] ^= 1; /* the length of the last field */
    assert_int_equal(account_record_decode(bytes, length, now, &got), -EBADMSG);
    assert_int_equal(account_record_decode("junk", 4, now, &got), -EBADMSG);
    assert_memory_equal(&got, &untouched, sizeof got);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_field_comes_back),
        TEST(what_a_restart_forgets_is_not_written),
        TEST(of_whom_nothing_is_known_there_is_no_record),
        TEST(each_thing_that_is_known_is_worth_a_record),
        TEST(the_longest_text_fits_beside_all_there_is),
        TEST(without_room_there_is_no_record),
        TEST(nothing_has_happened_later_than_now),
        TEST(the_bucket_is_no_more_than_empty),
        TEST(no_probe_is_later_than_one_that_is_doubted_now),
        TEST(the_longest_pause_outlives_a_restart),
        TEST(no_pause_is_longer_than_the_longest),
        TEST(counts_do_not_wrap),
        TEST(a_field_of_a_later_version_is_passed_over),
        TEST(of_too_many_the_first_are_taken),
        TEST(of_a_row_of_numbers_those_that_are_known_are_taken),
        TEST(what_is_of_no_password_takes_no_place),
        TEST(what_was_said_is_made_printable),
        TEST(without_a_code_nothing_was_said),
        TEST(what_is_cut_off_or_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
