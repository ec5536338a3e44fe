/* The binary format: what goes in comes out, and nothing else is read. */
#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <string.h>

#include "common/tlv.h"

static uint8_t memory[4096];
static struct tlv_writer w;
static struct tlv_reader r;
static struct tlv_field f;

static int setup(void **state)
{
    (void)state;
    memset(memory, 0xaa, sizeof memory);
    tlv_begin(&w, memory, sizeof memory);
    return 0;
}

/* Completes the record and opens it again. */
static void reopen(void)
{
    size_t length = tlv_end(&w);

    assert_true(length > 0);
    assert_int_equal(tlv_open(&r, memory, length), length);
}

static void a_text_comes_back(void **state)
{
    (void)state;
    tlv_put_text(&w, "name", "value");
    reopen();
    assert_int_equal(tlv_next(&r, &f), 1);
    assert_true(tlv_is(&f, "name"));
    assert_int_equal(f.length, 5);
    assert_memory_equal(f.value, "value", 5);
    assert_int_equal(tlv_next(&r, &f), 0);
}

static void bytes_come_back(void **state)
{
    static const char bytes[] = "\0\xff\n";

    (void)state;
    tlv_put(&w, "b", bytes, 3);
    reopen();
    assert_int_equal(tlv_next(&r, &f), 1);
    assert_int_equal(f.length, 3);
    assert_memory_equal(f.value, bytes, 3);
}

static void an_empty_value_comes_back(void **state)
{
    (void)state;
    tlv_put(&w, "empty", NULL, 0);
    reopen();
    assert_int_equal(tlv_next(&r, &f), 1);
    assert_int_equal(f.length, 0);
}

static void a_record_without_fields_is_whole(void **state)
{
    (void)state;
    reopen();
    assert_int_equal(tlv_next(&r, &f), 0);
}

static void numbers_come_back(void **state)
{
    static const int64_t numbers[] = {
        0, 1, -1, 1795507422, -86400, 999999999999999999, -999999999999999999, INT64_MAX
    };

    for (size_t i = 0; i < COUNT(numbers); i++) {
        int64_t n = 0;
        setup(state);
        tlv_put_number(&w, "n", numbers[i]);
        reopen();
        assert_int_equal(tlv_next(&r, &f), 1);
        assert_int_equal(tlv_number(&f, &n), 0);
        assert_true(n == numbers[i]);
    }
}

static void the_least_number_comes_back(void **state)
{
    int64_t n = 0;

    (void)state;
    tlv_put_number(&w, "n", INT64_MIN);
    reopen();
    assert_int_equal(tlv_next(&r, &f), 1);
    assert_int_equal(tlv_number(&f, &n), 0);
    assert_true(n == INT64_MIN);
}

static void large_negative_numbers_come_back(void **state)
{
    int64_t n = 0;

    (void)state;
    tlv_put_number(&w, "n", -1000000000000000000);
    reopen();
    assert_int_equal(tlv_next(&r, &f), 1);
    assert_int_equal(tlv_number(&f, &n), 0);
    assert_true(n == -1000000000000000000);
}

static void what_is_no_number_is_refused(void **state)
{
    static const char *const texts[] = { "",
                                         "-",
                                         "+1",
                                         " 1",
                                         "1 ",
                                         "1.5",
                                         "0x1",
                                         "one",
                                         "--1",
                                         "1-1",
                                         "9223372036854775808",
                                         "99999999999999999999999" };

    for (size_t i = 0; i < COUNT(texts); i++) {
        int64_t n = 7;
        setup(state);
        tlv_put_text(&w, "n", texts[i]);
        reopen();
        assert_int_equal(tlv_next(&r, &f), 1);
        assert_int_equal(tlv_number(&f, &n), -EBADMSG);
        assert_int_equal(n, 7);
    }
}

static void fields_keep_their_order_and_may_repeat(void **state)
{
    (void)state;
    tlv_put_text(&w, "p", "1");
    tlv_put_text(&w, "q", "2");
    tlv_put_text(&w, "p", "3");
    reopen();
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(tlv_next(&r, &f), 1);
        assert_int_equal(f.length, 1);
        assert_int_equal(f.value[0], '0' + i);
    }
}

static void a_name_is_compared_whole(void **state)
{
    (void)state;
    tlv_put_text(&w, "name", "");
    reopen();
    assert_int_equal(tlv_next(&r, &f), 1);
    assert_false(tlv_is(&f, "nam"));
    assert_false(tlv_is(&f, "names"));
}

static void a_name_of_255_bytes_fits(void **state)
{
    char name[256];

    (void)state;
    memset(name, 'n', 255);
    name[255] = '\0';
    tlv_put_text(&w, name, "v");
    reopen();
    assert_int_equal(tlv_next(&r, &f), 1);
    assert_true(tlv_is(&f, name));
}

static void a_name_of_256_bytes_voids_the_record(void **state)
{
    char name[257];

    (void)state;
    memset(name, 'n', 256);
    name[256] = '\0';
    tlv_put_text(&w, name, "v");
    assert_int_equal(tlv_end(&w), 0);
}

static void a_field_without_a_name_voids_the_record(void **state)
{
    (void)state;
    tlv_put_text(&w, "", "v");
    assert_int_equal(tlv_end(&w), 0);
}

static void a_record_fits_to_the_last_byte(void **state)
{
    (void)state;
    tlv_begin(&w, memory, RECORD_HEADER + 1 + 1 + 4 + 3);
    tlv_put_text(&w, "n", "abc");
    assert_int_equal(tlv_end(&w), RECORD_HEADER + 1 + 1 + 4 + 3);
}

static void a_field_that_does_not_fit_voids_the_record(void **state)
{
    (void)state;
    tlv_begin(&w, memory, RECORD_HEADER + 1 + 1 + 4 + 2);
    tlv_put_text(&w, "n", "abc");
    assert_int_equal(tlv_end(&w), 0);
}

static void a_field_that_fits_does_not_mend_a_void_record(void **state)
{
    (void)state;
    tlv_begin(&w, memory, RECORD_HEADER + 1 + 1 + 4 + 2);
    tlv_put_text(&w, "n", "abc");
    tlv_put_text(&w, "n", "a");
    assert_int_equal(tlv_end(&w), 0);
}

static void nothing_is_written_behind_the_capacity(void **state)
{
    (void)state;
    tlv_begin(&w, memory, 20);
    tlv_put_text(&w, "n", "a value that is too long");
    tlv_end(&w);
    assert_int_equal(memory[20], 0xaa);
}

static void a_header_that_does_not_fit_voids_the_record(void **state)
{
    (void)state;
    tlv_begin(&w, memory, RECORD_HEADER - 1);
    assert_int_equal(tlv_end(&w), 0);
}

static void every_part_of_a_record_needs_more(void **state)
{
    (void)state;
    tlv_put_text(&w, "name", "value");
    size_t whole = tlv_end(&w);
    for (size_t i = 1; i < whole; i++)
        assert_int_equal(tlv_open(&r, memory, i), 0);
}

static void what_follows_a_record_is_left_alone(void **state)
{
    (void)state;
    tlv_put_text(&w, "name", "value");
    size_t whole = tlv_end(&w);
    assert_int_equal(tlv_open(&r, memory, whole + 100), whole);
    assert_int_equal(tlv_next(&r, &f), 1);
    assert_int_equal(tlv_next(&r, &f), 0);
}

static void another_magic_is_refused_from_its_first_byte(void **state)
{
    (void)state;
    assert_int_equal(tlv_open(&r, "X", 1), -EBADMSG);
    assert_int_equal(tlv_open(&r, "KTR2\0\0\0\0", 8), -EBADMSG);
}

static void a_record_that_claims_too_much_is_refused(void **state)
{
    (void)state;
    assert_int_equal(tlv_open(&r, "KTR1\xff\xff\xff\xff", 8), -EBADMSG);
}

static void numbers_are_little_endian(void **state)
{
    (void)state;
    tlv_put_text(&w, "n", "abc");
    tlv_end(&w);
    assert_memory_equal(memory,
                        "KTR1\x09\0\0\0\x01n\x03\0\0\0"
                        "abc",
                        17);
}

/* A record with these bytes for fields. */
static void open_fields(const char *bytes, size_t length)
{
    memcpy(memory, "KTR1", 4);
    memory[4] = (uint8_t)length;
    memset(memory + 5, 0, 3);
    memcpy(memory + 8, bytes, length);
    assert_int_equal(tlv_open(&r, memory, 8 + length), 8 + length);
}

static void a_field_without_a_name_is_refused(void **state)
{
    (void)state;
    open_fields("\0\0\0\0\0", 5);
    assert_int_equal(tlv_next(&r, &f), -EBADMSG);
}

static void a_name_that_runs_out_of_the_record_is_refused(void **state)
{
    (void)state;
    open_fields("\x05n\0\0\0\0", 6);
    assert_int_equal(tlv_next(&r, &f), -EBADMSG);
}

static void a_length_that_is_cut_off_is_refused(void **state)
{
    (void)state;
    open_fields("\x01n\0\0\0", 5);
    assert_int_equal(tlv_next(&r, &f), -EBADMSG);
}

static void a_value_that_runs_out_of_the_record_is_refused(void **state)
{
    (void)state;
    open_fields("\x01n\x02\0\0\0v", 7);
    assert_int_equal(tlv_next(&r, &f), -EBADMSG);
}

static void the_largest_length_of_a_value_does_not_wrap(void **state)
{
    (void)state;
    open_fields("\x01n\xff\xff\xff\xffv", 7);
    assert_int_equal(tlv_next(&r, &f), -EBADMSG);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_text_comes_back),
        TEST(bytes_come_back),
        TEST(an_empty_value_comes_back),
        TEST(a_record_without_fields_is_whole),
        TEST(numbers_come_back),
        TEST(the_least_number_comes_back),
        TEST(large_negative_numbers_come_back),
        TEST(what_is_no_number_is_refused),
        TEST(fields_keep_their_order_and_may_repeat),
        TEST(a_name_is_compared_whole),
        TEST(a_name_of_255_bytes_fits),
        TEST(a_name_of_256_bytes_voids_the_record),
        TEST(a_field_without_a_name_voids_the_record),
        TEST(a_record_fits_to_the_last_byte),
        TEST(a_field_that_does_not_fit_voids_the_record),
        TEST(a_field_that_fits_does_not_mend_a_void_record),
        TEST(nothing_is_written_behind_the_capacity),
        TEST(a_header_that_does_not_fit_voids_the_record),
        TEST(every_part_of_a_record_needs_more),
        TEST(what_follows_a_record_is_left_alone),
        TEST(another_magic_is_refused_from_its_first_byte),
        TEST(a_record_that_claims_too_much_is_refused),
        TEST(numbers_are_little_endian),
        TEST(a_field_without_a_name_is_refused),
        TEST(a_name_that_runs_out_of_the_record_is_refused),
        TEST(a_length_that_is_cut_off_is_refused),
        TEST(a_value_that_runs_out_of_the_record_is_refused),
        TEST(the_largest_length_of_a_value_does_not_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
