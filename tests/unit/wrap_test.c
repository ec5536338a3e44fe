#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/wrap.h"

static void expect_by(void (*print)(FILE *f, const char *text, size_t at, size_t indent,
                                    size_t columns),
                      const char *text, size_t at, size_t indent, size_t columns, const char *lines)
{
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);

    assert_non_null(f);
    print(f, text, at, indent, columns);
    fclose(f);
    assert_string_equal(out, lines);
    free(out);
}

static void expect(const char *text, size_t at, size_t indent, size_t columns, const char *lines)
{
    expect_by(wrap_print, text, at, indent, columns, lines);
}

static void expect_remedy(const char *text, size_t indent, size_t columns, const char *lines)
{
    expect_by(wrap_remedy, text, 0, indent, columns, lines);
}

static void characters_are_counted_and_not_bytes(void **state)
{
    static const struct {
        const char *text;
        size_t width;
    } rows[] = { { "", 0 },
                 { "abc", 3 },
                 { "a b", 3 },
                 { "J\xc3\xbcrgen", 6 },            /* ü */
                 { "Ju\xcc\x88rgen", 6 },           /* u and a diaeresis that combines */
                 { "\xe6\xbc\xa2\xe5\xad\x97", 4 }, /* two ideographs */
                 { "\xed\x95\x9c", 2 },             /* a syllable of Hangul */
                 { "\xf0\x9f\x98\x80", 2 },         /* a face */
                 { "\xd0\x96\xe2\x80\xa6", 2 },     /* Cyrillic, an ellipsis */
                 { "a\xff"
                   "b",
                   3 } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(wrap_width(rows[i].text, strlen(rows[i].text)), rows[i].width);
}

static void lines_are_broken_between_words(void **state)
{
    (void)state;
    expect("", 0, 0, 10, "\n");
    expect("one two three", 0, 0, 13, "one two three\n");
    expect("one two three", 0, 0, 12, "one two\nthree\n");
    expect("one two three", 0, 2, 7, "one two\n  three\n");
    expect("one two three", 4, 4, 11, "one two\n    three\n");
    expect("three", 6, 2, 10, "\n  three\n");
    expect("one two", 4, 4, 10, "one\n    two\n");
}

static void a_word_that_is_longer_stays_whole(void **state)
{
    (void)state;
    expect("see https://example.com/a/long/path now", 0, 0, 12,
           "see\nhttps://example.com/a/long/path\nnow\n");
    expect("https://example.com/", 2, 2, 4, "https://example.com/\n");
}

static void a_line_holds_what_is_wide_by_its_columns(void **state)
{
    (void)state;
    expect("\xc3\xa9\xc3\xa9\xc3\xa9 \xc3\xa9\xc3\xa9\xc3\xa9 x", 0, 0, 7,
           "\xc3\xa9\xc3\xa9\xc3\xa9 \xc3\xa9\xc3\xa9\xc3\xa9\nx\n");
    expect("\xe6\xbc\xa2\xe5\xad\x97 ab", 0, 0, 7, "\xe6\xbc\xa2\xe5\xad\x97 ab\n");
    expect("\xe6\xbc\xa2\xe5\xad\x97 ab", 0, 0, 6, "\xe6\xbc\xa2\xe5\xad\x97\nab\n");
}

static void a_command_to_copy_is_not_parted(void **state)
{
    (void)state;
    expect_remedy("kubectl create rolebinding x --user=a, or another", 1, 20,
                  "kubectl create rolebinding x --user=a,\n or another\n");
    expect_remedy("start it with: systemctl --user start x; or not", 0, 20,
                  "start it with:\nsystemctl --user start x;\nor not\n");
    expect_remedy("what you say is kubetoken login again", 0, 20,
                  "what you say is\nkubetoken login\nagain\n");
    expect_remedy("name kubetoken in the list of all", 0, 9,
                  "name\nkubetoken in\nthe list\nof all\n");
    expect_remedy("it: kubetoken explain refused", 0, 80, "it: kubetoken explain refused\n");
}

static void prose_has_no_commands(void **state)
{
    (void)state;
    expect("kubetoken takes tokens that are long", 0, 0, 16,
           "kubetoken takes\ntokens that are\nlong\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_counted_and_not_bytes),
        cmocka_unit_test(lines_are_broken_between_words),
        cmocka_unit_test(a_word_that_is_longer_stays_whole),
        cmocka_unit_test(a_line_holds_what_is_wide_by_its_columns),
        cmocka_unit_test(a_command_to_copy_is_not_parted),
        cmocka_unit_test(prose_has_no_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
