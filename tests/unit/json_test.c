/* Foreign JSON is read as the API server would read it. */
#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/fetch/json.h"

static cJSON *json;

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(json);
    json = NULL;
    return 0;
}

static cJSON *parse(const char *text)
{
    cJSON_Delete(json);
    return json = json_object(text, strlen(text));
}

static void assert_refused(const char *text)
{
    if (parse(text))
        fail_msg("\"%s\" was accepted", text);
}

/* ---- objects --------------------------------------------------------------------------------- */

static void an_object_is_read(void **state)
{
    (void)state;
    assert_non_null(parse("{\"a\":\"b\"}"));
    assert_string_equal(json_string(json, "a"), "b");
}

static void white_space_may_stand_around_it(void **state)
{
    (void)state;
    assert_non_null(parse(" \t\r\n{ } \t\r\n"));
}

static void what_is_no_object_is_refused(void **state)
{
    static const char *const texts[] = { "", " ", "[]", "\"x\"", "7", "null", "true", "x", "{" };

    for (size_t i = 0; i < COUNT(texts); i++)
        assert_refused(texts[i]);
    (void)state;
}

static void text_behind_it_is_refused(void **state)
{
    (void)state;
    assert_refused("{} x");
    assert_refused("{}{}");
    assert_refused("{},");
}

/* Whatever it is compared with, it is another. */
static void an_escaped_nul_becomes_a_replacement(void **state)
{
    (void)state;
    assert_non_null(parse("{\"a\":\"admin\\u0000x\",\"b\\u0000\":1}"));
    assert_string_equal(json_string(json, "a"), "admin\xef\xbf\xbdx");
    assert_null(json_get(json, "b"));
    assert_non_null(json_get(json, "b\xef\xbf\xbd"));
    assert_non_null(parse("{\"a\":\"\\\\\\u0000\"}"));
    assert_string_equal(json_string(json, "a"), "\\\xef\xbf\xbd");
}

static void a_backslash_before_u0000_as_text_is_no_nul(void **state)
{
    (void)state;
    assert_non_null(parse("{\"a\":\"\\\\u0000\"}"));
    assert_string_equal(json_string(json, "a"), "\\u0000");
}

static void a_raw_nul_is_refused(void **state)
{
    (void)state;
    assert_null(json_object("{\"a\":\"x\0y\"}", 11));
    assert_null(json_object("{}\0", 3));
}

/* One that was skipped as escaped cut the copy in which surrogates are mended, but not the
 * length of what was wiped and parsed. */
static void a_raw_nul_behind_a_backslash_is_refused(void **state)
{
    static const char head[] = "{\"a\":\"\\ud800\",\"b\":\"\\";
    char text[32 * 1024];

    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, head, sizeof head); /* with its NUL */
    memcpy(text + sizeof text - 3, "\"}", 3);
    assert_null(json_object(text, sizeof text - 1));
    assert_null(json_object("{\"a\":\"\\\0\"}", 9));
    assert_refused("{\"a\":\"\\\n\"}");
    assert_refused("{\"a\":\"\\");
}

static void a_raw_control_character_is_refused(void **state)
{
    char text[] = "{\"a\":\"x?y\"}";

    (void)state;
    for (char c = 1; c < 0x20; c++) {
        text[7] = c;
        assert_refused(text);
    }
    text[7] = 0x7f; /* none by RFC 8259 §7 */
    assert_non_null(parse(text));
    assert_non_null(parse("{\"a\":\"\\t\\n\\u001f\"}"));
    assert_string_equal(json_string(json, "a"), "\t\n\x1f");
}

static void a_control_character_behind_an_escaped_quote_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"a\":\"x\\\"\ty\"}");
    assert_refused("{\"a\":\"x\\\ty\"}");
    assert_non_null(parse("{\"a\":\"x\\\\\"\t}"));
}

static void other_white_space_than_that_of_json_is_refused(void **state)
{
    static const char *const texts[] = { "{\v}", "{\f}", "{}\x01", "\b{}", "{\x1f\"a\":1}" };

    for (size_t i = 0; i < COUNT(texts); i++)
        assert_refused(texts[i]);
    (void)state;
}

static void numbers_that_only_c_reads_are_refused(void **state)
{
    static const char *const values[] = { "01", "-",   "-01", "1.", ".5",    "-.5", "1.e5", "1e",
                                          "+1", "1e+", "0x1", "1-", "1.2.3", "NaN", "00" };
    char text[32];

    for (size_t i = 0; i < COUNT(values); i++) {
        snprintf(text, sizeof text, "{\"a\":%s}", values[i]);
        assert_refused(text);
        snprintf(text, sizeof text, "{\"a\":[%s,1]}", values[i]);
        assert_refused(text);
    }
    (void)state;
}

static void numbers_of_every_form_are_read(void **state)
{
    static const char *const values[] = { "0", "-0", "10", "-1.50", "1e5", "1E+05", "0.1e-2" };
    char text[32];

    for (size_t i = 0; i < COUNT(values); i++) {
        snprintf(text, sizeof text, "{\"a\":%s}", values[i]);
        if (!parse(text))
            fail_msg("%s was refused", text);
        assert_true(cJSON_IsNumber(json_get(json, "a")));
    }
    assert_non_null(parse("{\"a\":\"01 -\"}")); /* a string */
    (void)state;
}

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void each_byte_of_broken_utf_8_is_replaced(void **state)
{
    static const struct {
        const char *value, *read;
    } rows[] = {
        { "J\xfcrgen", "J" REPLACEMENT "rgen" },
        { "\xff\xff", REPLACEMENT REPLACEMENT },
        { "\xe2\x80", REPLACEMENT REPLACEMENT },                 /* cut short */
        { "\xed\xa0\x80", REPLACEMENT REPLACEMENT REPLACEMENT }, /* half of a pair */
        { "\xc0\x80", REPLACEMENT REPLACEMENT },                 /* longer than it has to be */
        { "\xc3\xbc\xf0\x9f\x98\x80", "\xc3\xbc\xf0\x9f\x98\x80" },
    };
    char text[64];

    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(text, sizeof text, "{\"a\":\"%s\"}", rows[i].value);
        assert_non_null(parse(text));
        assert_string_equal(json_string(json, "a"), rows[i].read);
    }
    assert_non_null(parse("{\"a\xff\":1,\"a\xfe\":2}"));
    assert_string_equal(json_twice(json), "a" REPLACEMENT);
    assert_refused("{\"a\":1\xff}"); /* outside of a string it is nothing */
    (void)state;
}

static void halves_of_surrogate_pairs_are_replaced(void **state)
{
    static const struct {
        const char *value, *read;
    } rows[] = {
        { "\\ud83d", REPLACEMENT },
        { "\\uDE00", REPLACEMENT },
        { "\\ud83d\\ud83d", REPLACEMENT REPLACEMENT },
        { "\\ud83dx\\ude00", REPLACEMENT "x" REPLACEMENT },
        { "\\ud83d\\u0041", REPLACEMENT "A" },
        { "\\ud83d\\ud83d\\ude00", REPLACEMENT "\xf0\x9f\x98\x80" },
        { "\\ud83d\\ude00", "\xf0\x9f\x98\x80" },
        { "\\\\ud83d", "\\ud83d" },
        { "\\\\\\ud83d", "\\" REPLACEMENT },
        { "\\ud7ff\\ue000", "\xed\x9f\xbf\xee\x80\x80" },
    };
    char text[64];

    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(text, sizeof text, "{\"a\":\"%s\"}", rows[i].value);
        assert_non_null(parse(text));
        assert_string_equal(json_string(json, "a"), rows[i].read);
    }
    assert_refused("{\"a\":\"\\ud83\"}");
    assert_refused("{\"a\":\"\\ud83d");
    (void)state;
}

/* {"a":[[...x...]],"b":"c"} with that many lists. */
static cJSON *parse_nested(int depth, const char *inner)
{
    static char text[70000], lists[2][20000];

    memset(lists[0], '[', (size_t)depth);
    memset(lists[1], ']', (size_t)depth);
    snprintf(text, sizeof text, "{\"a\":%.*s%s%.*s,\"b\":\"c\"}", depth, lists[0], inner, depth,
             lists[1]);
    return parse(text);
}

static int depth_of(const cJSON *value)
{
    int depth = 0;

    for (; value && value->child; value = value->child)
        depth++;
    return depth;
}

static void what_is_nested_deeper_than_is_kept_is_cut_off(void **state)
{
    static const int depths[] = { 498, 499, 500, 501, 1000, 1001, 2000, 9997 };

    for (size_t i = 0; i < COUNT(depths); i++) {
        assert_non_null(parse_nested(depths[i], "7,{\"x\":[\"\\\"]\"]}"));
        assert_string_equal(json_string(json, "b"), "c");
        assert_in_range(depth_of(json), 499, 500);
    }
    (void)state;
}

static void nesting_that_go_refuses_is_refused(void **state)
{
    (void)state;
    assert_null(parse_nested(10000, ""));
    assert_non_null(parse_nested(9998, "{\"a\":1}"));
    assert_null(parse_nested(9999, "{\"a\":1}"));
}

static void what_is_cut_off_has_to_be_json(void **state)
{
    static const char *const inner[] = {
        "1,",  ",",  "1 2", "{1}", "{\"a\"}",     "{\"a\":}",    "{\"a\":1,}",
        "x",   "01", "}",   "{]",  "\"\\x\"",     "\"\\u12g4\"", "\"\t\"",
        "tru", "[}", "\"",  "nul", "{\"a\":1:2}", "{,}",
    };

    for (size_t i = 0; i < COUNT(inner); i++) {
        if (parse_nested(1, inner[i]) || parse_nested(700, inner[i]))
            fail_msg("%s was accepted", inner[i]);
    }
    assert_non_null(parse_nested(700, "true,false,null,-1.5e+3,\"\\u00e9\\/\",{},[]"));
    (void)state;
}

static void names_are_compared_as_go_does(void **state)
{
    (void)state;
    parse("{\"ISS\":\"1\",\"iss\":\"2\",\"iSs\":\"3\",\"is\":\"4\",\"isss\":\"5\"}");
    assert_string_equal(json_get_as_go(json, "iss")->valuestring, "3");
    assert_true(json_same_name("i\xc5\xbfs", "iss"));
    assert_true(json_same_name("\xe2\x84\xaa"
                               "eys",
                               "keys"));
    assert_false(json_same_name("i\xc5s", "iss"));
    assert_false(json_same_name("", "iss"));
    assert_false(json_same_name("\xc3\xa9", "\xc3\x89")); /* no name of a claim has one */
    assert_true(json_same_name("_CLAIM_names", "_claim_names"));
    assert_null(json_get_as_go(json, "x"));
}

static void very_deep_nesting_is_refused(void **state)
{
    static char text[100004];

    (void)state;
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', sizeof text - 6);
    assert_refused(text);
}

/* ---- members --------------------------------------------------------------------------------- */

static void the_last_member_of_a_name_wins(void **state)
{
    (void)state;
    parse("{\"a\":\"1\",\"b\":\"2\",\"a\":\"3\"}");
    assert_string_equal(json_string(json, "a"), "3");
}

static void members_of_a_name_are_counted(void **state)
{
    (void)state;
    parse("{\"a\":1,\"b\":2,\"a\":3,\"A\":4}");
    assert_int_equal(json_count(json, "a"), 2);
    assert_int_equal(json_count(json, "c"), 0);
}

static void the_first_name_that_is_there_twice_is_found(void **state)
{
    (void)state;
    parse("{\"a\":1,\"b\":2,\"c\":3,\"b\":4,\"c\":5}");
    assert_string_equal(json_twice(json), "b");
    parse("{\"a\":1,\"A\":2,\"b\":{\"a\":1,\"a\":2}}");
    assert_null(json_twice(json));
    parse("{}");
    assert_null(json_twice(json));
}

static void another_case_is_another_name(void **state)
{
    (void)state;
    parse("{\"A\":\"1\"}");
    assert_null(json_get(json, "a"));
}

static void members_further_down_are_not_found(void **state)
{
    (void)state;
    parse("{\"x\":{\"a\":\"1\"}}");
    assert_null(json_get(json, "a"));
}

static void what_is_no_string_is_not_taken_for_one(void **state)
{
    (void)state;
    parse("{\"a\":7,\"b\":null,\"c\":[\"x\"],\"d\":true}");
    assert_null(json_string(json, "a"));
    assert_null(json_string(json, "b"));
    assert_null(json_string(json, "c"));
    assert_null(json_string(json, "d"));
    assert_null(json_string(json, "e"));
}

static void the_last_member_counts_also_when_it_is_no_string(void **state)
{
    (void)state;
    parse("{\"a\":\"x\",\"a\":null}");
    assert_null(json_string(json, "a"));
}

/* ---- dates ----------------------------------------------------------------------------------- */

static void assert_seconds(const char *value, int64_t expected)
{
    char text[128];
    int64_t seconds = -7;

    snprintf(text, sizeof text, "{\"exp\":%s}", value);
    parse(text);
    assert_int_equal(json_seconds(json, "exp", &seconds), 1);
    assert_true(seconds == expected);
}

static void assert_no_seconds(const char *value)
{
    char text[128];
    int64_t seconds = -7;

    snprintf(text, sizeof text, "{\"exp\":%s}", value);
    parse(text);
    if (json_seconds(json, "exp", &seconds) != -EINVAL)
        fail_msg("%s was taken for a date", value);
    assert_int_equal(seconds, -7);
}

static void a_number_is_a_date(void **state)
{
    (void)state;
    assert_seconds("1795507422", 1795507422);
    assert_seconds("0", 0);
    assert_seconds("-5", -5);
    assert_seconds("1.795507422e9", 1795507422);
}

static void a_date_of_milliseconds_is_read_exactly(void **state)
{
    (void)state;
    assert_seconds("1795507422001", 1795507422001);
}

static void a_date_beyond_all_sense_is_one_as_in_go(void **state)
{
    (void)state;
    assert_seconds("1e18", 1000000000000000000);
    assert_seconds("1152921504606846976", 1152921504606846976);
    assert_seconds("9e18", JSON_SECONDS_MOST);
    assert_seconds("-9e18", -JSON_SECONDS_MOST);
}

static void a_fraction_is_cut(void **state)
{
    (void)state;
    assert_seconds("1795507422.999", 1795507422);
}

static void a_number_in_a_string_is_a_date(void **state)
{
    (void)state;
    assert_seconds("\"1795507422\"", 1795507422);
    assert_seconds("\"1795507422.9\"", 1795507422);
}

static void the_last_date_wins(void **state)
{
    (void)state;
    assert_seconds("1,\"exp\":2", 2);
}

static void an_absent_date_is_no_error(void **state)
{
    int64_t seconds = -7;

    (void)state;
    parse("{}");
    assert_int_equal(json_seconds(json, "exp", &seconds), 0);
    assert_int_equal(seconds, -7);
}

static void other_types_are_no_date(void **state)
{
    static const char *const values[] = { "null",  "true",   "[]",     "{}",      "[1]",    "\"\"",
                                          "\"x\"", "\"1x\"", "\"1 \"", "\"inf\"", "\"nan\"" };

    for (size_t i = 0; i < COUNT(values); i++)
        assert_no_seconds(values[i]);
    (void)state;
}

static void what_no_64_bits_hold_is_the_least_date(void **state)
{
    static const char *const values[] = { "1e300", "-1e300", "9223372036854775808", "1e19",
                                          "\"1e300\"" };

    for (size_t i = 0; i < COUNT(values); i++)
        assert_seconds(values[i], -JSON_SECONDS_MOST);
    assert_no_seconds("1e400");
    assert_no_seconds("\"1e400\"");
    (void)state;
}

static void a_string_that_only_c_takes_for_a_number_is_no_date(void **state)
{
    static const char *const values[] = { "\" 1795507422\"", "\"0x6b053bde\"", "\"+1795507422\"" };

    for (size_t i = 0; i < COUNT(values); i++)
        assert_no_seconds(values[i]);
    (void)state;
}

/* ---- string or array ------------------------------------------------------------------------- */

static bool holds(const char *value)
{
    char text[128];

    snprintf(text, sizeof text, "{\"aud\":%s}", value);
    parse(text);
    return json_holds(json_get(json, "aud"), "kube");
}

static void a_string_holds_itself(void **state)
{
    (void)state;
    assert_true(holds("\"kube\""));
    assert_false(holds("\"kube2\""));
    assert_false(holds("\"Kube\""));
}

static void an_array_holds_its_strings(void **state)
{
    (void)state;
    assert_true(holds("[7,null,\"x\",\"kube\"]"));
    assert_false(holds("[]"));
    assert_false(holds("[[\"kube\"]]"));
}

static void nothing_else_holds_a_string(void **state)
{
    (void)state;
    assert_false(holds("7"));
    assert_false(holds("{\"kube\":\"kube\"}"));
    assert_false(json_holds(NULL, "kube"));
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_object_is_read),
        TEST(white_space_may_stand_around_it),
        TEST(what_is_no_object_is_refused),
        TEST(text_behind_it_is_refused),
        TEST(an_escaped_nul_becomes_a_replacement),
        TEST(a_backslash_before_u0000_as_text_is_no_nul),
        TEST(a_raw_nul_is_refused),
        TEST(a_raw_nul_behind_a_backslash_is_refused),
        TEST(a_raw_control_character_is_refused),
        TEST(a_control_character_behind_an_escaped_quote_is_refused),
        TEST(other_white_space_than_that_of_json_is_refused),
        TEST(numbers_that_only_c_reads_are_refused),
        TEST(numbers_of_every_form_are_read),
        TEST(each_byte_of_broken_utf_8_is_replaced),
        TEST(halves_of_surrogate_pairs_are_replaced),
        TEST(very_deep_nesting_is_refused),
        TEST(what_is_nested_deeper_than_is_kept_is_cut_off),
        TEST(nesting_that_go_refuses_is_refused),
        TEST(what_is_cut_off_has_to_be_json),
        TEST(names_are_compared_as_go_does),
        TEST(the_last_member_of_a_name_wins),
        TEST(members_of_a_name_are_counted),
        TEST(the_first_name_that_is_there_twice_is_found),
        TEST(another_case_is_another_name),
        TEST(members_further_down_are_not_found),
        TEST(what_is_no_string_is_not_taken_for_one),
        TEST(the_last_member_counts_also_when_it_is_no_string),
        TEST(a_number_is_a_date),
        TEST(a_date_of_milliseconds_is_read_exactly),
        TEST(a_date_beyond_all_sense_is_one_as_in_go),
        TEST(a_fraction_is_cut),
        TEST(a_number_in_a_string_is_a_date),
        TEST(the_last_date_wins),
        TEST(an_absent_date_is_no_error),
        TEST(other_types_are_no_date),
        TEST(what_no_64_bits_hold_is_the_least_date),
        TEST(a_string_that_only_c_takes_for_a_number_is_no_date),
        TEST(a_string_holds_itself),
        TEST(an_array_holds_its_strings),
        TEST(nothing_else_holds_a_string),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
