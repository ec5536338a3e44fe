/*
 * table - the profiles of `status` in columns that are as wide as what they hold, in lines of a
 * terminal's width. Nothing is shortened: a cell that has no room in its column stands on a line of
 * its own, and the row goes on below it. A line that begins with a blank belongs to the row above.
 */
#ifndef KUBETOKEN_TABLE_H
#define KUBETOKEN_TABLE_H

#include <stddef.h>
#include <stdio.h>

enum { TABLE_CELLS = 5 };

struct table_row {
    const char *name, *user, *state;
    char left[24], next[48];
};

/* Prints a heading and the rows in lines of at most so many columns. */
void table_print(FILE *f, const struct table_row *rows, size_t n, size_t columns);

#endif
