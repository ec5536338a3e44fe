#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/table.h"

static void expect_styled(const struct table_row *rows, size_t n, const struct table_style *style,
                          const char *lines)
{
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    struct table table;

    assert_non_null(f);
    table_begin(&table, style);
    for (size_t i = 0; i < n; i++)
        table_measure(&table, &rows[i]);
    table_fit(&table);
    table_print_heading(f, &table);
    for (size_t i = 0; i < n; i++)
        table_print_row(f, &table, &rows[i]);
    fclose(f);
    assert_string_equal(out, lines);
    free(out);
}

static void expect(const struct table_row *rows, size_t n, size_t columns, const char *lines)
{
    const struct table_style style = { .columns = columns };

    expect_styled(rows, n, &style, lines);
}

#define ROW(n, u, s, l, x) .name = (n), .user = (u), .state = (s), .left = l, .next = x

static const struct table_row usual = { ROW("minikube", "me@example.com", "idle", "59 min",
                                            "renewal in 53 min") };

static void columns_are_as_wide_as_what_they_hold(void **state)
{
    static const struct table_row rows[] = {
        { ROW("minikube", "me@example.com", "idle", "59 min", "renewal in 53 min") },
        { ROW("p", "J\xc3\xbcrgen", "login needed", "-", "-") },
    };

    (void)state;
    expect(rows, 2, 80,
           "PROFILE   USER            STATE         LEFT    NEXT\n"
           "minikube  me@example.com  idle          59 min  renewal in 53 min\n"
           "p         J\xc3\xbcrgen          login needed  -       -\n");
    expect(NULL, 0, 80, "PROFILE  USER  STATE  LEFT  NEXT\n");
}

static void a_cell_without_room_stands_alone(void **state)
{
    const struct table_row rows[] = {
        usual,
        { ROW("a-profile-with-a-name-that-is-rather-long-for-one", "me@example.com", "idle", "-",
              "-") },
        { ROW("p", "somebody.with.a.long.name@department.subsidiary.example.com", "idle", "-",
              "-") },
    };

    (void)state;
    expect(rows, 3, 80,
           "PROFILE                 USER                    STATE  LEFT    NEXT\n"
           "minikube                me@example.com          idle   59 min  renewal in 53 min\n"
           "a-profile-with-a-name-that-is-rather-long-for-one\n"
           "                        me@example.com          idle   -       -\n"
           "p\n"
           "                     somebody.with.a.long.name@department.subsidiary.example.com\n"
           "                                                idle   -       -\n");
}

static void who_needs_less_than_half_of_the_room_gets_that(void **state)
{
    const struct table_row rows[] = {
        { ROW("p", "somebody.with.a.long.name@example.com", "idle", "59 min",
              "renewal in 53 min") },
    };

    (void)state;
    expect(rows, 1, 80,
           "PROFILE  USER                                   STATE  LEFT    NEXT\n"
           "p        somebody.with.a.long.name@example.com  idle   59 min  renewal in 53 min\n");
}

/* A column of its own, where any row has one. */
static void a_grant_is_told_where_one_is_not_the_password(void **state)
{
    static const struct table_row rows[] = {
        { ROW("p", "me", "idle", "59 min", "renewal in 53 min"), .grant = "from minikube" },
        { ROW("minikube", "me@example.com", "idle", "-", "-") },
    };
    static const struct table_row short_one = { ROW("p", "me", "idle", "-", "-"), .grant = "x" };

    (void)state;
    expect(rows, 2, 80,
           "PROFILE   USER            GRANT          STATE  LEFT    NEXT\n"
           "p         me              from minikube  idle   59 min  renewal in 53 min\n"
           "minikube  me@example.com                 idle   -       -\n");
    expect(&short_one, 1, 80,
           "PROFILE  USER  GRANT  STATE  LEFT  NEXT\n"
           "p        me    x      idle   -     -\n");
}

static void a_narrow_terminal(void **state)
{
    (void)state;
    expect(&usual, 1, 40,
           "PROFILE   USER      STATE  LEFT    NEXT\n"
           "minikube  me@example.com\n"
           "                    idle   59 min\n"
           "                       renewal in 53 min\n");
}

/* ---- the bar --------------------------------------------------------------------------------- */

/* Half of an hour is left, and with a fifth of it the token is renewed. */
static const struct table_row half = { ROW("p", "me", "idle", "30 min", "renewal in 18 min"),
                                       .life = 3600, .remains = 1800, .renewal = 720 };

static void the_bar_shows_what_is_left_and_where_it_is_renewed(void **state)
{
    static const struct table_style ascii = { .columns = 80, .bar = BAR_ASCII },
                                    blocks = { .columns = 80, .bar = BAR_BLOCKS };

    (void)state;
    expect_styled(&half, 1, &ascii,
                  "PROFILE  USER  STATE  LEFT                           NEXT\n"
                  "p        me    idle   [###|######----------] 30 min  renewal in 18 min\n");
#define FULL "\xe2\x96\x88"
#define EMPTY "\xe2\x96\x91"
    expect_styled(&half, 1, &blocks,
                  "PROFILE  USER  STATE  LEFT                         NEXT\n"
                  "p        me    idle   " FULL FULL FULL "\xe2\x94\x82" FULL FULL FULL FULL FULL
                      FULL EMPTY EMPTY EMPTY EMPTY EMPTY EMPTY EMPTY EMPTY EMPTY EMPTY
                  " 30 min  renewal in 18 min\n");
}

static void expect_bar(uint64_t life, uint64_t remains, uint64_t renewal, const char *bar)
{
    static const struct table_style style = { .columns = 45, .bar = BAR_ASCII };
    struct table_row row = { ROW("p", "me", "idle", "1 h", "-"), .life = life, .remains = remains,
                             .renewal = renewal };
    char lines[200];

    snprintf(lines, sizeof lines,
             "PROFILE  USER  STATE  LEFT              NEXT\n"
             "p        me    idle   %s 1 h  -\n",
             bar);
    expect_styled(&row, 1, &style, lines);
}

static void the_bar_is_full_at_first_and_never_quite_empty(void **state)
{
    (void)state;
    expect_bar(100, 100, 0, "[##########]");
    expect_bar(100, 99, 0, "[##########]");
    expect_bar(100, 90, 0, "[#########-]");
    expect_bar(100, 89, 30, "[##|######-]");
    expect_bar(100, 31, 30, "[##|#------]");
    expect_bar(100, 30, 30, "[##|-------]");
    expect_bar(100, 11, 0, "[##--------]");
    expect_bar(100, 10, 0, "[#---------]");
    expect_bar(UINT64_MAX, 1, 0, "[#---------]");
    expect_bar(UINT64_MAX, UINT64_MAX, UINT64_MAX, "[#########|]");
    expect_bar(100, 400, 0, "[##########]"); /* more is left than there was */
}

static void the_bar_shrinks_and_goes_before_anything_else_does(void **state)
{
    static const struct {
        size_t columns;
        const char *left, *bar;
    } steps[] = {
        { 200, "LEFT                           ", "[###|######----------] 30 min" },
        { 70, "LEFT                           ", "[###|######----------] 30 min" },
        { 69, "LEFT                          ", "[###|######---------] 30 min" },
        { 55, "LEFT            ", "[|##--] 30 min" },
        { 54, "LEFT    ", "30 min" },
        { 47, "LEFT    ", "30 min" },
    };
    char lines[300];

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const struct table_style style = { .columns = steps[i].columns, .bar = BAR_ASCII };
        snprintf(lines, sizeof lines,
                 "PROFILE  USER  STATE  %sNEXT\np        me    idle   %s  renewal in 18 min\n",
                 steps[i].left, steps[i].bar);
        expect_styled(&half, 1, &style, lines);
    }
}

static void who_has_no_token_has_no_bar(void **state)
{
    static const struct table_style style = { .columns = 80, .bar = BAR_ASCII };
    const struct table_row rows[] = { half, { ROW("q", "me", "login needed", "-", "-") } };

    (void)state;
    expect_styled(rows, 2, &style,
                  "PROFILE  USER  STATE         LEFT                           NEXT\n"
                  "p        me    idle          [###|######----------] 30 min  renewal in 18 min\n"
                  "q        me    login needed  -                              -\n");
    expect_styled(rows + 1, 1, &style,
                  "PROFILE  USER  STATE         LEFT  NEXT\n"
                  "q        me    login needed  -     -\n");
}

static void colour_takes_no_room_and_stands_at_state_and_bar(void **state)
{
    static const struct table_style style = { .columns = 59, .bar = BAR_ASCII, .colour = true };
    struct table_row rows[] = { half, half, half, half };

    (void)state;
    rows[1].tone = TABLE_GOOD;
    rows[2].tone = TABLE_CARE;
    rows[3].tone = TABLE_BAD;
    expect_styled(rows, 4, &style,
                  "PROFILE  USER  STATE  LEFT                NEXT\n"
                  "p        me    idle   [#|###----] 30 min  renewal in 18 min\n"
                  "p        me    \033[32midle\033[0m   \033[32m[#|###----]\033[0m 30 min"
                  "  renewal in 18 min\n"
                  "p        me    \033[33midle\033[0m   \033[33m[#|###----]\033[0m 30 min"
                  "  renewal in 18 min\n"
                  "p        me    \033[31midle\033[0m   \033[31m[#|###----]\033[0m 30 min"
                  "  renewal in 18 min\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_what_they_hold),
        cmocka_unit_test(a_cell_without_room_stands_alone),
        cmocka_unit_test(who_needs_less_than_half_of_the_room_gets_that),
        cmocka_unit_test(a_grant_is_told_where_one_is_not_the_password),
        cmocka_unit_test(a_narrow_terminal),
        cmocka_unit_test(the_bar_shows_what_is_left_and_where_it_is_renewed),
        cmocka_unit_test(the_bar_is_full_at_first_and_never_quite_empty),
        cmocka_unit_test(the_bar_shrinks_and_goes_before_anything_else_does),
        cmocka_unit_test(who_has_no_token_has_no_bar),
        cmocka_unit_test(colour_takes_no_room_and_stands_at_state_and_bar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
