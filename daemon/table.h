/*
 * table - the profiles of `status` in columns that are as wide as what they hold, in lines of a
 * terminal's width. Nothing is shortened: a cell that has no room in its column stands on a line of
 * its own, and the row goes on below it. A line that begins with a blank belongs to the row above.
 */
#ifndef KUBETOKEN_TABLE_H
#define KUBETOKEN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/protocol.h"

enum { TABLE_CELLS = 6 };

/* Green, yellow, red: what the words of the row, or those below the table, say as well. */
enum table_tone { TABLE_PLAIN, TABLE_GOOD, TABLE_CARE, TABLE_BAD };

struct table_row {
    const char *name, *user, *state;
    char left[24], next[48];
    char grant[PROTOCOL_NAME_MAX + 8]; /* ""; where no row has one, there is no such column */
    enum table_tone tone;
    /* Of a token, in one unit: how long it lives from first to last, what is left of that, and what
     * will be left when it is renewed (0: that is not planned). life 0: there is none. */
    uint64_t life, remains, renewal;
};

struct table_style {
    size_t columns;
    enum protocol_bar bar; /* before the words of what is left, where there is room for it */
    bool colour;
};

/* How a table is laid out. One of thousands of rows is printed bit by bit, and no row is kept. */
struct table {
    struct table_style style;
    size_t widths[TABLE_CELLS];
    size_t left_of_tokens; /* the widest LEFT that a bar goes before; 0: none does */
    size_t cells;          /* of the bar; 0: there is none */
};

/* A table without a row. */
void table_begin(struct table *table, const struct table_style *style);

/* Makes its columns as wide as the row. Once it is fitted, one that is wider breaks its line. */
void table_measure(struct table *table, const struct table_row *row);

/* Lays it out in lines of at most so many columns. The bar gets what all others leave, up to twenty
 * cells; with less than five it is left out. */
void table_fit(struct table *table);

/* Print it, in that order. */
void table_print_heading(FILE *f, const struct table *table);
void table_print_row(FILE *f, const struct table *table, const struct table_row *row);

#endif
