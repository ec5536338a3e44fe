/* How a command line is split. */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/secret_command.h"

static char **argv;

static int teardown(void **state)
{
    (void)state;
    if (argv)
        free(argv[0]);
    free(argv);
    argv = NULL;
    return 0;
}

/* The words, each followed by a stroke: "a|b|". */
static void assert_split(const char *line, const char *expected)
{
    char words[256] = "";
    size_t n = 0;

    argv = secret_command_split(line);
    assert_non_null(argv);
    for (size_t i = 0; argv[i]; i++)
        n += (size_t)snprintf(words + n, sizeof words - n, "%s|", argv[i]);
    assert_string_equal(words, expected);
}

static void blanks_and_tabs_part_words(void **state)
{
    (void)state;
    assert_split("  secret-tool \t lookup  user ", "secret-tool|lookup|user|");
}

static void one_word_is_one_argument(void **state)
{
    (void)state;
    assert_split("x", "x|");
}

static void words_of_one_character_all_fit(void **state)
{
    (void)state;
    assert_split("a b c d e f g", "a|b|c|d|e|f|g|");
}

static void single_quotes_group(void **state)
{
    (void)state;
    assert_split("sh -c 'pass show \"x\" | head -1'", "sh|-c|pass show \"x\" | head -1|");
}

static void double_quotes_group(void **state)
{
    (void)state;
    assert_split("a \"b 'c' d\"", "a|b 'c' d|");
}

static void quotes_inside_a_word_join_it(void **state)
{
    (void)state;
    assert_split("a'b c'd\"e f\"", "ab cde f|");
}

static void an_empty_argument_is_kept(void **state)
{
    (void)state;
    assert_split("a '' \"\" b", "a|||b|");
}

static void an_empty_argument_at_the_end_is_kept(void **state)
{
    (void)state;
    assert_split("a ''", "a||");
}

static void backslash_dollar_and_tilde_are_plain_characters(void **state)
{
    (void)state;
    assert_split("a\\ b $HOME ~/x `y` *", "a\\|b|$HOME|~/x|`y`|*|");
}

static void a_long_line_is_split(void **state)
{
    char line[8001];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < 4000; i++)
        memcpy(line + 2 * i, "a ", 3);
    argv = secret_command_split(line);
    while (argv[n])
        n++;
    assert_int_equal(n, 4000);
}

static void an_open_quote_is_refused(void **state)
{
    static const char *const lines[] = { "a 'b", "a \"b", "a 'b\"", "'", "a b'" };

    for (size_t i = 0; i < COUNT(lines); i++)
        assert_null(secret_command_split(lines[i]));
    (void)state;
}

static void an_empty_line_is_refused(void **state)
{
    (void)state;
    assert_null(secret_command_split(""));
    assert_null(secret_command_split(" \t "));
}

static void a_command_without_a_name_is_refused(void **state)
{
    (void)state;
    assert_null(secret_command_split("'' a"));
}

static void on_done(void *context, struct secret *output, const struct error *why)
{
    assert_null(output);
    *(struct error *)context = *why;
}

static void a_command_that_does_not_end_is_killed(void **state)
{
    sd_event *event = NULL;
    struct secret_command *command = NULL;
    struct error why, end = { ERROR_NONE, "" };

    (void)state;
    assert_true(sd_event_new(&event) >= 0);
    assert_int_equal(secret_command_start(event, "sleep 1000", 1, on_done, &end, &command, &why),
                     0);
    while (end.code == ERROR_NONE)
        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
    assert_int_equal(end.code, ERROR_CREDENTIAL);
    assert_non_null(strstr(end.detail, "did not end within "));
    secret_command_free(command);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    sd_event_unref(event);
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blanks_and_tabs_part_words),
        TEST(one_word_is_one_argument),
        TEST(words_of_one_character_all_fit),
        TEST(single_quotes_group),
        TEST(double_quotes_group),
        TEST(quotes_inside_a_word_join_it),
        TEST(an_empty_argument_is_kept),
        TEST(an_empty_argument_at_the_end_is_kept),
        TEST(backslash_dollar_and_tilde_are_plain_characters),
        TEST(a_long_line_is_split),
        TEST(an_open_quote_is_refused),
        TEST(an_empty_line_is_refused),
        TEST(a_command_without_a_name_is_refused),
        TEST(a_command_that_does_not_end_is_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
