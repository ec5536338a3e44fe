/* Tests of what is read of a help. */
#include "support.h"

#include "client/admin/help_rows.h"

static const char help[] =
    "Usage: kubetoken run [OPTION]... [PROFILE | -] [FILE] -- COMMAND [A]...\n"
    "Does -things, or --others.\n"
    "\n"
    "  -o, --output FORMAT json, name or text; by itself what\n"
    "                      fits\n"
    "  -q\n"
    "  --realm NAME, --scope SCOPES, --bare\n"
    "                          for both\n"
    "  --set KEY=VALUE     any\n"
    "  --json              THE same\n"
    "\n"
    "Not --this.\n";

static void assert_row(const char **at, const char *letter, const char *name, const char *value,
                       const char *text)
{
    struct help_row row;

    assert_true(help_rows_option(at, &row));
    assert_string_equal(row.short_name, letter);
    assert_string_equal(row.name, name);
    assert_string_equal(row.value, value);
    assert_string_equal(row.text, text);
}

static void options_are_those_of_the_left_column(void **state)
{
    const char *at = help;
    struct help_row row;

    (void)state;
    assert_row(&at, "-o", "--output", "FORMAT", "json, name or text; by itself what fits");
    assert_row(&at, "-q", "", "", "");
    assert_row(&at, "", "--realm", "NAME", "for both");
    assert_row(&at, "", "--scope", "SCOPES", "for both");
    assert_row(&at, "", "--bare", "", "for both");
    assert_row(&at, "", "--set", "KEY=VALUE", "any");
    assert_row(&at, "", "--json", "", "THE same");
    assert_false(help_rows_option(&at, &row));
    assert_false(help_rows_option(&at, &row));
}

static void commands_are_those_of_the_left_column(void **state)
{
    const char *at =
        "Usage: kubetoken COMMAND\n\n  get         print; more\n  log  all\n\n  -x  no\n";
    struct help_row row;

    (void)state;
    assert_true(help_rows_command(&at, &row));
    assert_string_equal(row.name, "get");
    assert_string_equal(row.text, "print; more");
    assert_true(help_rows_command(&at, &row));
    assert_string_equal(row.name, "log");
    assert_false(help_rows_command(&at, &row));
}

static void values_are_a_list_of_words(void **state)
{
    static const struct {
        const char *text;
        unsigned n;
        const char *first, *last;
    } rows[] = {
        { "exec, exec/v1, header or json", 4, "exec", "json" },
        { "text; json; or name: names alone", 3, "text", "name" },
        { "text, or json for programs", 2, "text", "json" },
        { "v1, or v1beta1 for a kubectl before 1.22; by itself", 2, "v1", "v1beta1" },
        { "auto, basic-raw", 2, "auto", "basic-raw" },
        { "wait at most D, or more", 0, NULL, NULL },
        { "its file, - from stdin", 0, NULL, NULL },
        { "--oidc-issuer-url", 0, NULL, NULL },
        { "", 0, NULL, NULL },
    };
    char values[HELP_ROWS_VALUES][HELP_ROWS_WORD];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned n = help_rows_values(rows[i].text, values);
        assert_int_equal(n, rows[i].n);
        if (n > 0) {
            assert_string_equal(values[0], rows[i].first);
            assert_string_equal(values[n - 1], rows[i].last);
        }
    }
}

static void operands_stand_in_the_first_line(void **state)
{
    static const char *const want[] = { "PROFILE", "FILE", "", "" };
    char operand[HELP_ROWS_WORD];

    (void)state;
    for (unsigned n = 0; n < 4; n++) {
        help_rows_operand(help, n, operand);
        assert_string_equal(operand, want[n]);
    }
    help_rows_operand("Usage: kubetoken reload [OPTION]...\n[PROFILE]\n", 0, operand);
    assert_string_equal(operand, "");
    help_rows_operand("Usage: kubetoken help [COMMAND]\n", 0, operand);
    assert_string_equal(operand, "COMMAND");
    assert_true(help_rows_takes_command(help));
    assert_false(help_rows_takes_command("Usage: kubetoken run [A]\nx -- COMMAND\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_those_of_the_left_column),
        cmocka_unit_test(commands_are_those_of_the_left_column),
        cmocka_unit_test(values_are_a_list_of_words),
        cmocka_unit_test(operands_stand_in_the_first_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
