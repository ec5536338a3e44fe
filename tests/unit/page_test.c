/* Pages and texts in a few words. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/page.h"

static void assert_text(const char *body, const char *expected)
{
    char *text = page_text(body);

    assert_string_equal(text, expected);
    free(text);
}

static void assert_short(const char *text, const char *expected)
{
    char *copy = strdup(text);

    page_shorten(copy);
    assert_string_equal(copy, expected);
    free(copy);
}

static void the_title_speaks_for_a_page(void **state)
{
    (void)state;
    assert_text("<!DOCTYPE html>\n<html><HEAD><Title lang=en>\n 403\tForbidden </TITLE><p>x",
                "403 Forbidden");
    assert_text("\xef\xbb\xbf<html><title>A &amp; B</title>", "A & B");
    assert_text("<html><title></title><p>words", "words");
    assert_text("<html><title>no end", "no end");
}

static void without_a_title_its_text_does(void **state)
{
    (void)state;
    assert_text("<h1>Access</h1><style>p { x }</style><p>denied<!-- a > b --><script>if (a<b) "
                "x()</script>!",
                "Access denied !");
    assert_text("<p>a<script>never ends", "a");
    assert_text("<p>a<", "a<");
    assert_text("<", "<");
}

static void a_text_is_left_as_it_is_but_for_blanks(void **state)
{
    (void)state;
    assert_text(" error:\r\n a <b> &amp; c\n", "error: a <b> &amp; c");
    assert_text("", "");
}

static void entities_are_decoded(void **state)
{
    (void)state;
    assert_text("<p>&lt;&gt;&quot;&apos;&#39;&#x27;&#xE9;&#8364;&#x1F600;&nbsp;.",
                "<>\"'''\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 .");
    assert_text("<p>&copy;&#;&#x;&#12a;&#99999999;&", "&copy;&#;&#x;&#12a; &");
}

static void what_may_be_a_token_is_no_word(void **state)
{
    (void)state;
    assert_short("id_token=abc&x=y and aaaaaaaaaabbbbbbbbbbccccccccccddddddddddE end",
                 "... and ... end");
    assert_short("aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd",
                 "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd");
    assert_short("a= b", ".. b");
}

static void a_cut_falls_between_characters(void **state)
{
    static const char words[] = "\xc3\xa9\xc3\xa9 ";
    char text[201];

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = words[i % (sizeof words - 1)];
    text[sizeof text - 1] = '\0';
    page_shorten(text);
    assert_true(strlen(text) <= PAGE_WORDS_MAX && strlen(text) >= PAGE_WORDS_MAX - 2);
    assert_int_equal((unsigned char)text[strlen(text) - 1], 0xa9); /* whole */
}

static void what_a_page_is_about(void **state)
{
    (void)state;
    assert_true(page_is_login("<INPUT TYPE=\"password\">"));
    assert_false(page_is_login("your password"));
    assert_true(page_wants_certificate("<title>400 No required SSL certificate was sent</title>"));
    assert_true(page_wants_certificate("HTTP Error 403.7 - Forbidden"));
    assert_false(page_wants_certificate("403 Forbidden"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_title_speaks_for_a_page),
        cmocka_unit_test(without_a_title_its_text_does),
        cmocka_unit_test(a_text_is_left_as_it_is_but_for_blanks),
        cmocka_unit_test(entities_are_decoded),
        cmocka_unit_test(what_may_be_a_token_is_no_word),
        cmocka_unit_test(a_cut_falls_between_characters),
        cmocka_unit_test(what_a_page_is_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
