/* secret_form: what is a secret of what a file, a command or a person gives, what is refused by
 * name, what draws a warning. */
#include "support.h"

#include <string.h>

#include "common/secret_form.h"

#define BYTES(text) text, sizeof(text) - 1

static void one_end_of_a_line_and_a_nul_are_no_part_of_it(void **state)
{
    static const struct {
        const char *bytes;
        size_t length, kept;
    } rows[] = {
        { BYTES("pw"), 2 },
        { BYTES("pw\n"), 2 },
        { BYTES("pw\r\n"), 2 },
        { BYTES("pw\0"), 2 }, /* pam_exec(8) */
        { BYTES("pw\0\0\0"), 2 },
        { BYTES("pw\n\0"), 2 },
        { BYTES("pw\r\n\0"), 2 },
        { BYTES("pw\0\n"), 2 },
        { BYTES(" p w \n"), 5 }, /* blanks are its own */
        { BYTES("p\tw\n"), 3 },  /* RFC 6749, appendix A.16 */
        { BYTES("\"pw\"\n"), 4 },
        { BYTES("w\xc3\xb6rd \xe2\x82\xac\n"), 9 },
        { BYTES("caf\xe9\n"), 4 }, /* Latin-1 */
        { BYTES("p\xef\xbb\xbfw"), 5 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct secret_form form = secret_form_judge(rows[i].bytes, rows[i].length);
        if (form.fault != SECRET_FORM_GOOD || form.length != rows[i].kept)
            fail_msg("row %zu: fault %d, %zu bytes", i, (int)form.fault, form.length);
    }
}

static void what_cannot_be_meant_is_refused_by_name(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *words;
    } rows[] = {
        { BYTES(""), "is empty" },
        { BYTES("\n"), "is empty" },
        { BYTES("\r\n"), "is empty" },
        { BYTES("\0"), "is empty" },
        { BYTES("\npw\n"), "has an empty first line" },
        { BYTES("\xef\xbb\xbfpw\n"), "begins with a byte order mark (EF BB BF)" },
        { BYTES("\xff\xfep\0w\0"), "is UTF-16: it begins with its byte order mark (FF FE)" },
        { BYTES("\xfe\xff\0p\0w"), "is UTF-16: it begins with its byte order mark (FE FF)" },
        { BYTES("pw\nuser: x\n"), "has a second line" },
        { BYTES("pw\r\nuser: x\r\n"), "has a second line" },
        { BYTES("pw\n\n"), "has a second line" },
        { BYTES("pw\n\0user"), "has a second line" },
        { BYTES("pw\0more"), "holds a NUL byte at place 3, and more behind it" },
        { BYTES("p\0w\0"), "holds a NUL byte at place 2, and more behind it" },
        { BYTES("\0pw"), "holds a NUL byte at place 1, and more behind it" },
        { BYTES("pw\r"), "holds the control character 0x0D (carriage return) at place 3" },
        { BYTES("pw\r\r\n"), "holds the control character 0x0D (carriage return) at place 3" },
        { BYTES("\x1b[Dpw"), "holds the control character 0x1B (escape, as arrow keys send it) "
                             "at place 1" },
        { BYTES("pw\x7f\n"), "holds the control character 0x7F (delete) at place 3" },
        { BYTES("\xc3\xb6\b"), "holds the control character 0x08 (backspace) at place 2" },
        { BYTES("\xe2\x82\xac\xc2\x80"), "holds the control character U+0080 at place 2" },
        { BYTES("12345678\a\n"), "holds the control character 0x07 at place 9" },
    };
    char words[SECRET_FORM_WORDS];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct secret_form form = secret_form_judge(rows[i].bytes, rows[i].length);
        assert_true(form.fault != SECRET_FORM_GOOD);
        secret_form_words(&form, words);
        assert_string_equal(words, rows[i].words);
    }
}

static void of_the_control_characters_a_tab_alone_is_taken(void **state)
{
    char text[] = "a?b";

    (void)state;
    for (int c = 1; c < 0x100; c++) {
        text[1] = (char)c;
        bool good = secret_form_judge(text, 3).fault == SECRET_FORM_GOOD;
        assert_int_equal(good, c == '\t' || (c >= 0x20 && c != 0x7f));
    }
}

static void sixteen_kib_is_the_longest(void **state)
{
    static char text[SECRET_FORM_ROOM];

    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text + SECRET_FORM_MAX, "\r\n", 3);
    assert_int_equal(secret_form_judge(text, SECRET_FORM_MAX + 3).fault, SECRET_FORM_GOOD);
    assert_int_equal(secret_form_judge(text, SECRET_FORM_MAX + 3).length, SECRET_FORM_MAX);
    text[SECRET_FORM_MAX] = 'x';
    assert_int_equal(secret_form_judge(text, SECRET_FORM_MAX + 1).fault, SECRET_FORM_TOO_LONG);
}

static void what_is_seldom_meant_is_told(void **state)
{
    static const char *const rows[][2] = {
        { "pw", "" },
        { "p w", "" },
        { "pw ", "ends with a blank" },
        { "pw\t", "ends with a blank" },
        { "pw\xc2\xa0", "ends with a blank" },
        { " pw", "begins with a blank" },
        { "  ", "begins with a blank and ends with a blank" },
        { "\"pw\"", "stands in quotes" },
        { "'pw'", "stands in quotes" },
        { "`pw`", "stands in quotes" },
        { "\"", "" },
        { "\"pw'", "" },
        { "p\tw", "holds a tab" },
        { "caf\xe9", "is not UTF-8" },
        { "w\xc3\xb6rd \xe2\x82\xac \xf0\x9f\x94\x91", "" },
        { "\xe2\x82", "is not UTF-8" },
    };
    char words[SECRET_FORM_WORDS];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        secret_form_oddities(rows[i][0], strlen(rows[i][0]), words);
        assert_string_equal(words, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_end_of_a_line_and_a_nul_are_no_part_of_it),
        cmocka_unit_test(what_cannot_be_meant_is_refused_by_name),
        cmocka_unit_test(of_the_control_characters_a_tab_alone_is_taken),
        cmocka_unit_test(sixteen_kib_is_the_longest),
        cmocka_unit_test(what_is_seldom_meant_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
