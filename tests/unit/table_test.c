#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/table.h"

static void expect(const struct table_row *rows, size_t n, size_t columns, const char *lines)
{
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);

    assert_non_null(f);
    table_print(f, rows, n, columns);
    fclose(f);
    assert_string_equal(out, lines);
    free(out);
}

static const struct table_row usual = { "minikube", "me@example.com", "idle", "59 min",
                                        "renewal in 53 min" };

static void columns_are_as_wide_as_what_they_hold(void **state)
{
    static const struct table_row rows[] = {
        { "minikube", "me@example.com", "idle", "59 min", "renewal in 53 min" },
        { "p", "J\xc3\xbcrgen", "login needed", "-", "-" },
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
        { "a-profile-with-a-name-that-is-rather-long-for-one", "me@example.com", "idle", "-", "-" },
        { "p", "somebody.with.a.long.name@department.subsidiary.example.com", "idle", "-", "-" },
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
        { "p", "somebody.with.a.long.name@example.com", "idle", "59 min", "renewal in 53 min" },
    };

    (void)state;
    expect(rows, 1, 80,
           "PROFILE  USER                                   STATE  LEFT    NEXT\n"
           "p        somebody.with.a.long.name@example.com  idle   59 min  renewal in 53 min\n");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_what_they_hold),
        cmocka_unit_test(a_cell_without_room_stands_alone),
        cmocka_unit_test(who_needs_less_than_half_of_the_room_gets_that),
        cmocka_unit_test(a_narrow_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
