/* How a profile stood, written for a next life and read by it: perhaps by another version, perhaps
 * with another clock. */
#include "support.h"

#include <errno.h>
#include <string.h>

#include "common/time.h"
#include "common/tlv.h"
#include "daemon/profile_record.h"

#define SECOND USEC_PER_SEC
#define HOUR (3600 * SECOND)
#define AT(member) offsetof(struct lifecycle, member)

static const uint64_t now = 1000 * HOUR;
static char bytes[PROFILE_RECORD_MAX];
static struct profile_record sent, got;
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
    size_t length = profile_record_encode(&sent, bytes, sizeof bytes);

    assert_true(length > 0);
    assert_int_equal(profile_record_decode(bytes, length, now, &got), 0);
}

/* Reads what the test has put into w. */
static void read_fields(void)
{
    size_t length = tlv_end(&w);

    assert_true(length > 0);
    assert_int_equal(profile_record_decode(bytes, length, now, &got), 0);
}

static void everything(void)
{
    sent = (struct profile_record){
        .lifecycle = { .state = LIFECYCLE_WAITING,
                       .since = 1,
                       .last_use = 2,
                       .failed_at = 3,
                       .route_at = 4,
                       .fault_login_at = 5,
                       .deserted_at = 20,
                       .unsettled_at = 21,
                       .retry_at = 6,
                       .not_before = 7,
                       .renew_at = 8,
                       .advertised_expiry = 9,
                       .password_life = 10,
                       .failures = 11,
                       .soft_failures = 12,
                       .refresh_faults = 13,
                       .refresh_is_useless = true,
                       .refresh_is_stale = true,
                       .refresh_is_short = true,
                       .fault_login = true,
                       .in_turn = true,
                       .password_turn = true,
                       .password_next = true,
                       .local = true,
                       .put_off = true },
        .failed_step = { "grant", "login.example.com" },
        .rejection = { .suspected = 14, .unheard = 15, .at = 16, .floor = 17 },
        .changed = "groups: a -> b",
        .changed_at = 18,
        .configuration = 19,
        .holders = { { 22, 23, 24 }, { UINT64_MAX, UINT64_MAX, INT32_MAX } },
        .n_holders = 2,
        .otp_need = OTP_NOT_NEEDED,
        .had_password = true,
        .had_refresh_token = true,
    };
    error_set(&sent.error, ERROR_REFUSED, "invalid_grant");
    for (size_t i = 0; i < ATTEMPT_NOTE; i++)
        sent.note.numbers[i] = UINT64_MAX - i;
}

static void every_field_comes_back(void **state)
{
    (void)state;
    everything();
    through();
    assert_memory_equal(&got, &sent, sizeof got);
}

/* What was under way, who waited, and which token there was, is not known by this. */
static void what_ends_with_a_life_is_not_written(void **state)
{
    struct lifecycle *lc = &sent.lifecycle;
    struct rejection_client clients[REJECTION_CLIENTS] = { { 1, 2, 3, 4, 5 } };

    (void)state;
    *lc = (struct lifecycle){ .sent = 1,
                              .expires_at = 2,
                              .waited_until = 3,
                              .gave_up_at = 4,
                              .patience = 5,
                              .wanted_life = 6,
                              .has_refresh_token = true,
                              .by_refresh_token = true,
                              .by_route = true,
                              .again = true,
                              .again_for_person = true };
    sent.rejection.clients = clients;
    through();
    memset(&sent, 0, sizeof sent);
    assert_memory_equal(&got, &sent, sizeof got);
}

static void every_state_comes_back(void **state)
{
    (void)state;
    for (int i = 0; i <= LIFECYCLE_NEED_LOGIN; i++) {
        sent.lifecycle.state = (enum lifecycle_state)i;
        through();
        assert_int_equal(got.lifecycle.state, i);
    }
}

static void every_error_comes_back(void **state)
{
    (void)state;
    for (int i = 0; i < ERROR_MAX; i++) {
        sent.error.code = (enum error_code)i;
        through();
        assert_int_equal(got.error.code, i);
    }
}

static void the_longest_texts_fit(void **state)
{
    (void)state;
    everything();
    memset(sent.error.detail, 'd', sizeof sent.error.detail - 1);
    memset(sent.changed, 'c', sizeof sent.changed - 1);
    memset(sent.failed_step.name, 'n', sizeof sent.failed_step.name - 1);
    memset(sent.failed_step.host, 'h', sizeof sent.failed_step.host - 1);
    for (sent.n_holders = 0; sent.n_holders < HOLDERS_MAX; sent.n_holders++)
        sent.holders[sent.n_holders] = (struct holder){ UINT64_MAX, UINT64_MAX, INT32_MAX };
    through();
    assert_memory_equal(&got, &sent, sizeof got);
}

static void without_room_there_is_no_record(void **state)
{
    size_t length;

    (void)state;
    everything();
    length = profile_record_encode(&sent, bytes, sizeof bytes);
    for (size_t room = 0; room < length; room++)
        assert_int_equal(profile_record_encode(&sent, bytes, room), 0);
    assert_int_equal(profile_record_encode(&sent, bytes, length), length);
}

/* ---- times and counts ------------------------------------------------------------------------ */

struct time_limit {
    const char *name;
    size_t at; /* in struct lifecycle */
    uint64_t ahead;
};

static const struct time_limit limits[] = {
    { "since", AT(since), 0 },
    { "last-use", AT(last_use), 0 },
    { "failed-at", AT(failed_at), 0 },
    { "route-at", AT(route_at), 0 },
    { "fault-login-at", AT(fault_login_at), 0 },
    { "deserted-at", AT(deserted_at), 0 },
    { "unsettled-at", AT(unsettled_at), 0 },
    { "retry-at", AT(retry_at), 30 * HOUR },
    { "not-before", AT(not_before), 30 * HOUR },
    { "renew-at", AT(renew_at), 31 * 24 * HOUR },
    { "advertised-expiry", AT(advertised_expiry), 31 * 24 * HOUR },
};

static uint64_t taken(const struct time_limit *limit, uint64_t time)
{
    setup(NULL);
    tlv_put_number(&w, limit->name, (int64_t)time);
    read_fields();
    return *(const uint64_t *)(const void *)((const char *)&got.lifecycle + limit->at);
}

static void no_time_lies_further_ahead_than_it_can(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(limits); i++) {
        uint64_t most = now + limits[i].ahead;
        if (taken(&limits[i], most) != most || taken(&limits[i], most + 1) != most ||
            taken(&limits[i], INT64_MAX) != most || taken(&limits[i], 1) != 1)
            fail_msg("%s is not kept within its limit", limits[i].name);
    }
}

static void other_times_lie_no_further_ahead_either(void **state)
{
    (void)state;
    sent.changed_at = sent.rejection.at = now + 1;
    sent.rejection.floor = 30 * HOUR + 1;
    sent.lifecycle.password_life = 31 * 24 * HOUR + 1;
    through();
    assert_int_equal(got.changed_at, now);
    assert_int_equal(got.rejection.at, now);
    assert_int_equal(got.rejection.floor, 30 * HOUR);
    assert_int_equal(got.lifecycle.password_life, 31 * 24 * HOUR);
}

/* The lifecycle adds to them. */
static void counts_do_not_grow_beyond_reason(void **state)
{
    (void)state;
    tlv_put_number(&w, "failures", INT64_MAX);
    tlv_put_number(&w, "soft-failures", 1LL << 32);
    tlv_put_number(&w, "refresh-faults", 1000001);
    read_fields();
    assert_int_equal(got.lifecycle.failures, 1000000);
    assert_int_equal(got.lifecycle.soft_failures, 1000000);
    assert_int_equal(got.lifecycle.refresh_faults, 1000000);
}

static void what_is_no_number_is_passed_over(void **state)
{
    static const char *const odd[] = { "", "-1", "x", "1x", "9223372036854775808" };

    (void)state;
    for (size_t i = 0; i < COUNT(odd); i++) {
        setup(NULL);
        tlv_put_text(&w, "last-use", odd[i]);
        tlv_put_text(&w, "failures", odd[i]);
        tlv_put_text(&w, "local", odd[i]);
        tlv_put_text(&w, "changed-at", odd[i]);
        read_fields();
        assert_memory_equal(&got, &sent, sizeof got);
    }
}

/* ---- of another version, or broken ----------------------------------------------------------- */

static void a_field_of_a_later_version_is_passed_over(void **state)
{
    (void)state;
    tlv_put_text(&w, "from-the-future", "text");
    tlv_put_number(&w, "later", 7);
    tlv_put_number(&w, "failures", 2);
    read_fields();
    assert_int_equal(got.lifecycle.failures, 2);
}

static void a_process_that_is_none_holds_nothing(void **state)
{
    static const struct holder holders[HOLDERS_MAX + 1] = {
        { 1, 2, 0 }, { 1, 2, -1 }, { 1, 2, INT64_MAX }, { 1, 2, 3 }
    };

    (void)state;
    tlv_put(&w, "holders", holders, sizeof holders);
    tlv_put(&w, "holders", holders, 4 * sizeof *holders + 1);
    read_fields();
    assert_int_equal(got.n_holders, 1);
    assert_memory_equal(got.holders, &holders[3], sizeof *holders);
}

static void an_unknown_state_is_none_to_stop_in(void **state)
{
    (void)state;
    tlv_put_text(&w, "state", "enraged");
    read_fields();
    assert_int_equal(got.lifecycle.state, LIFECYCLE_IDLE);
    setup(NULL);
    tlv_put_text(&w, "state", "stoppe");
    read_fields();
    assert_int_equal(got.lifecycle.state, LIFECYCLE_IDLE);
}

static void an_unknown_error_is_an_internal_one(void **state)
{
    (void)state;
    tlv_put_text(&w, "error", "of-a-later-version");
    read_fields();
    assert_int_equal(got.error.code, ERROR_INTERNAL);
}

static void texts_are_made_printable_and_cut(void **state)
{
    static const char *const names[] = { "detail", "step", "host", "changed" };
    char *const texts[] = { got.error.detail, got.failed_step.name, got.failed_step.host,
                            got.changed };
    static const size_t sizes[] = { sizeof got.error.detail, sizeof got.failed_step.name,
                                    sizeof got.failed_step.host, sizeof got.changed };
    static const char odd[] = "\x1b[2J\xff\nx\0y";
    char text[sizeof got.error.detail + 1];

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        tlv_put(&w, names[i], odd, sizeof odd - 1);
    read_fields();
    for (size_t i = 0; i < COUNT(names); i++)
        assert_string_equal(texts[i], "[2J x y");
    memset(text, 'x', sizeof text);
    setup(NULL);
    for (size_t i = 0; i < COUNT(names); i++)
        tlv_put(&w, names[i], text, sizeof text);
    read_fields();
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(strlen(texts[i]), sizes[i] - 1);
}

/* Another version may have more of them, or fewer. */
static void of_a_row_of_numbers_those_that_are_there_are_taken(void **state)
{
    uint64_t numbers[ATTEMPT_NOTE + 2];

    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++)
        numbers[i] = i + 1;
    tlv_put(&w, "attempt", numbers, sizeof numbers);
    tlv_put(&w, "configuration", numbers, sizeof numbers);
    read_fields();
    assert_memory_equal(got.note.numbers, numbers, sizeof got.note.numbers);
    assert_int_equal(got.configuration, 1);
    setup(NULL);
    tlv_put(&w, "attempt", numbers, 2 * sizeof *numbers);
    tlv_put(&w, "configuration", "", 0);
    read_fields();
    assert_int_equal(got.note.numbers[1], 2);
    assert_int_equal(got.note.numbers[2], 0);
    assert_int_equal(got.configuration, 0);
}

static void what_is_cut_off_or_none_is_refused(void **state)
{
    struct profile_record untouched = got;
    size_t length;

    (void)state;
    everything();
    length = profile_record_encode(&sent, bytes, sizeof bytes);
    for (size_t n = 0; n < length; n++)
        assert_int_equal(profile_record_decode(bytes, n, now, &got), -EBADMSG);
    bytes[length - sizeof sent.note.numbers - 1] ^= 1; /* the length of the last field */
    assert_int_equal(profile_record_decode(bytes, length, now, &got), -EBADMSG);
    assert_int_equal(profile_record_decode("junk", 4, now, &got), -EBADMSG);
    assert_memory_equal(&got, &untouched, sizeof got);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_field_comes_back),
        TEST(what_ends_with_a_life_is_not_written),
        TEST(every_state_comes_back),
        TEST(every_error_comes_back),
        TEST(the_longest_texts_fit),
        TEST(without_room_there_is_no_record),
        TEST(no_time_lies_further_ahead_than_it_can),
        TEST(other_times_lie_no_further_ahead_either),
        TEST(counts_do_not_grow_beyond_reason),
        TEST(what_is_no_number_is_passed_over),
        TEST(a_field_of_a_later_version_is_passed_over),
        TEST(a_process_that_is_none_holds_nothing),
        TEST(an_unknown_state_is_none_to_stop_in),
        TEST(an_unknown_error_is_an_internal_one),
        TEST(texts_are_made_printable_and_cut),
        TEST(of_a_row_of_numbers_those_that_are_there_are_taken),
        TEST(what_is_cut_off_or_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
