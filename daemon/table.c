#include "daemon/table.h"

#include <stdbool.h>
#include <string.h>

#include "common/wrap.h"

enum { GAP = 2, INDENT = 2, NAME = 0, USER = 1, LEAST = 8 };

static const struct table_row heading = { "PROFILE", "USER", "STATE", "LEFT", "NEXT" };

static void cells_of(const struct table_row *row, const char *ret[TABLE_CELLS])
{
    const char *const cells[TABLE_CELLS] = { row->name, row->user, row->state, row->left,
                                             row->next };
    memcpy(ret, cells, sizeof cells);
}

static void widen(const struct table_row *row, size_t widths[TABLE_CELLS])
{
    const char *cells[TABLE_CELLS];

    cells_of(row, cells);
    for (size_t i = 0; i < TABLE_CELLS; i++) {
        size_t width = wrap_width(cells[i], strlen(cells[i]));
        if (width > widths[i])
            widths[i] = width;
    }
}

/* Profile and user share what the others leave: who needs less than half of it gets that. */
static void share(size_t widths[TABLE_CELLS], size_t columns)
{
    size_t taken = (TABLE_CELLS - 1) * GAP;

    for (size_t i = USER + 1; i < TABLE_CELLS; i++)
        taken += widths[i];
    size_t room = columns > taken + 2 * LEAST ? columns - taken : 2 * LEAST, half = room / 2;
    if (widths[NAME] + widths[USER] <= room)
        return;
    if (widths[NAME] <= half)
        widths[USER] = room - widths[NAME];
    else if (widths[USER] <= half)
        widths[NAME] = room - widths[USER];
    else
        widths[NAME] = room - (widths[USER] = half);
}

static void new_line(FILE *f, size_t *at)
{
    fputc('\n', f);
    *at = 0;
}

static void print_row(FILE *f, const struct table_row *row, const size_t widths[TABLE_CELLS],
                      size_t columns)
{
    const char *cells[TABLE_CELLS];
    size_t at = 0, place = 0; /* where the line ends, where the cell's column begins */

    cells_of(row, cells);
    for (size_t i = 0; i < TABLE_CELLS; place += widths[i++] + GAP) {
        size_t width = wrap_width(cells[i], strlen(cells[i])), start = place;
        bool fits = start + width <= columns;
        if (at > 0 && (!fits || at + GAP > start))
            new_line(f, &at);
        if (i > 0 && !fits) /* as far to the left as it takes */
            start = columns > width + INDENT ? columns - width : INDENT;
        fprintf(f, "%*s%s", (int)(start - at), "", cells[i]);
        at = start + width;
    }
    fputc('\n', f);
}

void table_print(FILE *f, const struct table_row *rows, size_t n, size_t columns)
{
    size_t widths[TABLE_CELLS] = { 0 };

    widen(&heading, widths);
    for (size_t i = 0; i < n; i++)
        widen(&rows[i], widths);
    share(widths, columns);
    print_row(f, &heading, widths, columns);
    for (size_t i = 0; i < n; i++)
        print_row(f, &rows[i], widths, columns);
}
