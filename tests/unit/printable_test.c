/* What of foreign text a terminal is not sent. */
#define _GNU_SOURCE
#include "support.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/json_print.h"
#include "common/printable.h"

/* As UTF-8. */
static void put(char out[5], uint32_t c)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    memset(out, 0, 5);
    for (size_t i = n; i-- > 0; c >>= 6)
        out[i] = (char)(n == 1 ? c : i > 0 ? 0x80 | (c & 0x3f) : heads[n] | c);
}

/* Each of them is one of Cf, Zl, Zp or between the tags. */
static const uint32_t formats[] = {
    0x00ad,  0x0600,  0x0605,  0x061c,  0x06dd,  0x070f,  0x0890,  0x0891,  0x08e2,
    0x180e,  0x200b,  0x200c,  0x200d,  0x200e,  0x200f,  0x2028,  0x2029,  0x202a,
    0x202b,  0x202c,  0x202d,  0x202e,  0x2060,  0x2064,  0x2066,  0x2067,  0x2068,
    0x2069,  0x206f,  0xfeff,  0xfff9,  0xfffb,  0x110bd, 0x110cd, 0x13430, 0x1343f,
    0x1bca0, 0x1bca3, 0x1d173, 0x1d17a, 0xe0001, 0xe0020, 0xe0041, 0xe007f,
};

static const uint32_t shown[] = { 'a',    0xa0,   0xac,   0xae,   0xe9,    0x0606, 0x061b, 0x061d,
                                  0x2007, 0x200a, 0x2010, 0x2027, 0x202f,  0x2070, 0x4e00, 0xfe0f,
                                  0xfefe, 0xff00, 0xfffc, 0xfffd, 0x1f600, 0xe0100 };

static void each_format_character_is_a_question_mark(void **state)
{
    char character[5], text[16], out[16];

    (void)state;
    for (size_t i = 0; i < COUNT(formats); i++) {
        put(character, formats[i]);
        snprintf(text, sizeof text, "a%sb", character);
        size_t n = error_clean(out, sizeof out, text, strlen(text));
        if (strcmp(out, "a?b") != 0 || n != 3 || error_character(character, 4) != 0)
            fail_msg("U+%04X is shown", formats[i]);
        printable_hide(text, "");
        assert_string_equal(text, "a?b");
    }
}

static void what_is_seen_stays(void **state)
{
    char character[5], text[16], out[16];

    (void)state;
    for (size_t i = 0; i < COUNT(shown); i++) {
        put(character, shown[i]);
        snprintf(text, sizeof text, "a%sb", character);
        error_clean(out, sizeof out, text, strlen(text));
        if (strcmp(out, text) != 0)
            fail_msg("U+%04X is not shown", shown[i]);
        printable_hide(text, "");
        assert_string_equal(text, out);
    }
}

static void controls_stay_where_they_are_named(void **state)
{
    char text[] = "a\n\tb\x1b[1m\r\x7f\xc2\x9b\xffz\xe2\x80", same[sizeof text];

    (void)state;
    memcpy(same, text, sizeof text);
    printable_hide(text, "\n\t\033");
    assert_string_equal(text, "a\n\tb\x1b[1m????z??");
    printable_hide(same, "");
    assert_string_equal(same, "a??b?[1m????z??");
}

static void json_loses_nothing(void **state)
{
    static const char text[] = "a\xe2\x80\xae"
                               "b\xf3\xa0\x81\x81\xc2\x9b\x7f\xc3\xa9\xf0\x9f\x98\x80";
    cJSON *json = cJSON_CreateObject();

    (void)state;
    cJSON_AddStringToObject(json, text, text);
    char *printed = json_print(json);
    assert_string_equal(printed,
                        "{\"a\\u202eb\\udb40\\udc41\\u009b\\u007f\xc3\xa9\xf0\x9f\x98\x80\":"
                        "\"a\\u202eb\\udb40\\udc41\\u009b\\u007f\xc3\xa9\xf0\x9f\x98\x80\"}");
    cJSON *again = cJSON_Parse(printed);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(again, text)), text);
    json_print_hide(again);
    assert_string_equal(cJSON_GetStringValue(again->child), "a?b???\xc3\xa9\xf0\x9f\x98\x80");
    cJSON_Delete(again);
    cJSON_Delete(json);
    free(printed);
    printed = json_print_escape("\"\xff\xe2\x80\"");
    assert_string_equal(printed, "\"\\ufffd\\ufffd\\ufffd\"");
    free(printed);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_format_character_is_a_question_mark),
        TEST(what_is_seen_stays),
        TEST(controls_stay_where_they_are_named),
        TEST(json_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
