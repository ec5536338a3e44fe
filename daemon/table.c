#include "daemon/table.h"

#include <string.h>

#include "common/wrap.h"

enum { GAP = 2, INDENT = 2, NAME = 0, USER = 1, GRANT = 2, STATE = 3, LEFT = 4, LEAST = 8 };
enum { BAR_LEAST = 5, BAR_MOST = 20 }; /* cells */

static const struct table_row heading = { .name = "PROFILE",
                                          .user = "USER",
                                          .grant = "GRANT",
                                          .state = "STATE",
                                          .left = "LEFT",
                                          .next = "NEXT" };

/* Characters that take a column each, and that a console's font has, too. */
static const struct bar {
    const char *begin, *full, *empty, *renewal, *end;
    size_t frame; /* columns of begin and end */
} bars[] = {
    [BAR_ASCII] = { "[", "#", "-", "|", "]", 2 },
    [BAR_BLOCKS] = { "", "\xe2\x96\x88", "\xe2\x96\x91", "\xe2\x94\x82", "", 0 },
};

static const char *const tones[] = {
    [TABLE_PLAIN] = "",
    [TABLE_GOOD] = "\033[32m",
    [TABLE_CARE] = "\033[33m",
    [TABLE_BAD] = "\033[31m",
};

static void cells_of(const struct table_row *row, const char *ret[TABLE_CELLS])
{
    const char *const cells[TABLE_CELLS] = { row->name,  row->user, row->grant,
                                             row->state, row->left, row->next };
    memcpy(ret, cells, sizeof cells);
}

/* The columns of the bar with the blank behind it. */
static size_t bar_width(const struct table *t, const struct table_row *row)
{
    return t->cells > 0 && row->life > 0 ? bars[t->style.bar].frame + t->cells + 1 : 0;
}

static size_t cell_width(const struct table *t, const struct table_row *row, size_t i,
                         const char *text)
{
    return wrap_width(text, strlen(text)) + (i == LEFT ? bar_width(t, row) : 0);
}

/* The blanks between the columns that there are. */
static size_t gaps(const size_t widths[TABLE_CELLS])
{
    return (TABLE_CELLS - (widths[GRANT] == 0 ? 2 : 1)) * GAP;
}

void table_measure(struct table *t, const struct table_row *row)
{
    const char *cells[TABLE_CELLS];

    cells_of(row, cells);
    if (*row->grant && row != &heading)
        t->widths[GRANT] = t->widths[GRANT] < sizeof "GRANT" - 1 ? sizeof "GRANT" - 1
                                                                 : t->widths[GRANT];
    for (size_t i = 0; i < TABLE_CELLS; i++) {
        if (i == GRANT && row == &heading)
            continue;
        size_t width = wrap_width(cells[i], strlen(cells[i]));
        if (width > t->widths[i])
            t->widths[i] = width;
        if (i == LEFT && row->life > 0 && width > t->left_of_tokens)
            t->left_of_tokens = width;
    }
}

void table_begin(struct table *t, const struct table_style *style)
{
    *t = (struct table){ .style = *style };
    table_measure(t, &heading);
}

/* What is left once each cell stands in its column is the bar's. */
static void fit_bar(struct table *t)
{
    size_t frame = bars[t->style.bar].frame + 1, taken = gaps(t->widths) + frame;

    if (t->style.bar == BAR_NONE || t->left_of_tokens == 0)
        return;
    for (size_t i = 0; i < TABLE_CELLS; i++)
        taken += t->widths[i];
    if (t->style.columns < taken + BAR_LEAST)
        return;
    t->cells = t->style.columns - taken;
    if (t->cells > BAR_MOST)
        t->cells = BAR_MOST;
    if (t->left_of_tokens + frame + t->cells > t->widths[LEFT])
        t->widths[LEFT] = t->left_of_tokens + frame + t->cells;
}

/* Profile and user share what the others leave: who needs less than half of it gets that. */
static void share(size_t widths[TABLE_CELLS], size_t columns)
{
    size_t taken = gaps(widths);

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

static void print_toned(FILE *f, const struct table *t, enum table_tone tone, const char *text)
{
    bool toned = t->style.colour && tone != TABLE_PLAIN;

    if (toned)
        fputs(tones[tone], f);
    fputs(text, f);
    if (toned)
        fputs("\033[0m", f);
}

/* How many of the cells stand for a part of the life; a token that lives has one. */
static size_t share_of(uint64_t part, uint64_t life, size_t cells)
{
    double exact = (double)part / (double)life * (double)cells;
    size_t whole = (size_t)exact;

    return whole >= cells ? cells : whole + ((double)whole < exact);
}

/* What is left, from the left; it shrinks towards the mark, and where it gets there the token is
 * renewed. */
static void print_bar(FILE *f, const struct table *t, const struct table_row *row)
{
    const struct bar *bar = &bars[t->style.bar];
    size_t full = share_of(row->remains, row->life, t->cells);
    size_t mark = row->renewal ? share_of(row->renewal, row->life, t->cells) : 0;
    char text[sizeof "[] " + 3 * (BAR_MOST + 1)], *at = text;

    at = stpcpy(at, bar->begin);
    for (size_t i = 1; i <= t->cells; i++)
        at = stpcpy(at, i == mark ? bar->renewal : i <= full ? bar->full : bar->empty);
    stpcpy(at, bar->end);
    print_toned(f, t, row->tone, text);
    fputc(' ', f);
}

static void print_cell(FILE *f, const struct table *t, const struct table_row *row, size_t i,
                       const char *text)
{
    if (i == LEFT && bar_width(t, row) > 0)
        print_bar(f, t, row);
    print_toned(f, t, i == STATE ? row->tone : TABLE_PLAIN, text);
}

void table_print_row(FILE *f, const struct table *t, const struct table_row *row)
{
    const char *cells[TABLE_CELLS];
    size_t columns = t->style.columns;
    size_t at = 0, place = 0; /* where the line ends, where the cell's column begins */

    cells_of(row, cells);
    for (size_t i = 0; i<TABLE_CELLS; place += t->widths[i]> 0 ? t->widths[i] + GAP : 0, i++) {
        if (t->widths[i] == 0)
            continue;
        size_t width = cell_width(t, row, i, cells[i]), start = place;
        bool fits = start + width <= columns;
        if (at > 0 && (!fits || at + GAP > start))
            new_line(f, &at);
        if (i > 0 && !fits) /* as far to the left as it takes */
            start = columns > width + INDENT ? columns - width : INDENT;
        for (; at < start; at++)
            fputc(' ', f);
        print_cell(f, t, row, i, cells[i]);
        at = start + width;
    }
    fputc('\n', f);
}

void table_fit(struct table *t)
{
    fit_bar(t);
    share(t->widths, t->style.columns);
}

void table_print_heading(FILE *f, const struct table *t)
{
    table_print_row(f, t, &heading);
}
