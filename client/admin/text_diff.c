#define _GNU_SOURCE
#include "client/admin/text_diff.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/printable.h"

enum {
    AROUND = 3,       /* lines shown before and behind a change */
    EDITS_MAX = 2000, /* with more of them all between the first and the last is one change */
    LINE_SHOWN = 400, /* bytes of a line */
    LINE_BEFORE = 60, /* of which so many come before what differs */
};

struct line {
    const char *text;
    size_t length;
    bool changed;
};

struct side {
    struct line *line;
    size_t n;
    bool ends; /* with a newline */
};

/* ---- lines ----------------------------------------------------------------------------------- */

static int split(const char *text, struct side *ret)
{
    size_t length = strlen(text), n = 0;

    for (const char *p = text; (p = strchr(p, '\n')); p++)
        n++;
    ret->ends = length == 0 || text[length - 1] == '\n';
    ret->n = 0;
    ret->line = calloc(n + 1, sizeof *ret->line);
    if (!ret->line)
        return -ENOMEM;
    while (*text) {
        size_t end = strcspn(text, "\n");
        ret->line[ret->n++] = (struct line){ text, end, false };
        text += end + (text[end] == '\n');
    }
    return 0;
}

static bool is_same(const struct line *a, const struct line *b)
{
    return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

/* The last line of one text may lack the newline that it has in the other. */
static bool is_same_at(const struct side *a, size_t i, const struct side *b, size_t j)
{
    bool bare = i + 1 == a->n && !a->ends, other = j + 1 == b->n && !b->ends;
    return bare == other && is_same(&a->line[i], &b->line[j]);
}

/* ---- the fewest edits: Myers, An O(ND) Difference Algorithm, 1986 ---------------------------- */

struct part {
    const struct side *a, *b;
    size_t from; /* the first line of both that is looked at */
    long n, m;   /* how many there are of each */
};

static bool match(const struct part *p, long x, long y)
{
    return is_same_at(p->a, p->from + (size_t)x, p->b, p->from + (size_t)y);
}

static bool comes_down(const long *v, long k, long d)
{
    return k == -d || (k != d && v[k - 1] < v[k + 1]);
}

/* Goes as far as d edits reach. Returns whether that is the end of both. */
static bool advance(const struct part *p, long *v, long d)
{
    for (long k = -d; k <= d; k += 2) {
        long x = comes_down(v, k, d) ? v[k + 1] : v[k - 1] + 1;
        while (x < p->n && x - k < p->m && x - k >= 0 && match(p, x, x - k))
            x++;
        v[k] = x;
        if (x >= p->n && x - k >= p->m)
            return true;
    }
    return false;
}

/* Back from the end, and marks what each of the d edits took out or put in. */
static void go_back(const struct part *p, long *const *steps, long d)
{
    long x = p->n, y = p->m;

    for (; d > 0; d--) {
        const long *v = steps[d] + EDITS_MAX + 1;
        long k = x - y, before = comes_down(v, k, d) ? k + 1 : k - 1;
        long at = v[before];
        if (before > k && at - before < p->m)
            p->b->line[p->from + (size_t)(at - before)].changed = true;
        else if (before < k && at < p->n)
            p->a->line[p->from + (size_t)at].changed = true;
        x = at;
        y = at - before;
    }
}

static void mark_all(const struct part *p)
{
    for (long i = 0; i < p->n; i++)
        p->a->line[p->from + (size_t)i].changed = true;
    for (long i = 0; i < p->m; i++)
        p->b->line[p->from + (size_t)i].changed = true;
}

/* Marks the lines that differ. */
static void compare_part(const struct part *p)
{
    enum { WIDTH = 2 * EDITS_MAX + 3 };
    static long *steps[EDITS_MAX + 1]; /* what was reached before the d-th edit */
    long last = -1, d;

    for (d = 0; d <= EDITS_MAX && last < 0; d++) {
        steps[d] = malloc(WIDTH * sizeof **steps);
        if (!steps[d])
            break;
        if (d == 0)
            memset(steps[d], 0, WIDTH * sizeof **steps);
        else
            memcpy(steps[d], steps[d - 1], WIDTH * sizeof **steps);
        long *v = steps[d] + EDITS_MAX + 1;
        if (d < EDITS_MAX && advance(p, v, d))
            last = d;
    }
    if (last < 0)
        mark_all(p);
    else
        go_back(p, steps, last);
    while (d-- > 0) {
        free(steps[d]);
        steps[d] = NULL;
    }
}

static void compare(struct side *a, struct side *b)
{
    struct part p = { .a = a, .b = b };
    size_t behind = 0;

    while (p.from < a->n && p.from < b->n && is_same_at(a, p.from, b, p.from))
        p.from++;
    while (behind < a->n - p.from && behind < b->n - p.from &&
           is_same_at(a, a->n - behind - 1, b, b->n - behind - 1))
        behind++;
    p.n = (long)(a->n - p.from - behind);
    p.m = (long)(b->n - p.from - behind);
    if (p.n > 0 && p.m > 0)
        compare_part(&p);
    else
        mark_all(&p);
}

/* ---- showing it ------------------------------------------------------------------------------ */

static bool is_inner(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

static void print_line(FILE *out, char sign, const struct line *line, size_t differs)
{
    size_t from = 0, end = line->length;

    if (end > 0 && line->text[end - 1] == '\r')
        end--;
    if (end > LINE_SHOWN && differs > LINE_BEFORE)
        from = differs - LINE_BEFORE;
    while (from > 0 && from < end && is_inner(line->text[from]))
        from--;
    size_t to = end - from > LINE_SHOWN ? from + LINE_SHOWN : end;
    while (to < end && is_inner(line->text[to]))
        to++;
    char *shown = strndup(line->text + from, to - from);
    if (shown)
        printable_hide(shown, "\t");
    fprintf(out, "%c%s%s%s\n", sign, from > 0 ? "..." : "", shown ? shown : "",
            to < end ? "..." : "");
    free(shown);
}

/* From where on two lines differ. */
static size_t first_difference(const struct line *a, const struct line *b)
{
    size_t i = 0;

    while (i < a->length && i < b->length && a->text[i] == b->text[i])
        i++;
    return i;
}

/* A run of lines that went, and those that came for them. */
static void print_change(FILE *out, const struct side *a, size_t *i, const struct side *b,
                         size_t *j)
{
    size_t differs = 0;

    if (*i < a->n && *j < b->n && a->line[*i].changed && b->line[*j].changed)
        differs = first_difference(&a->line[*i], &b->line[*j]);
    for (bool ends; *i < a->n && a->line[*i].changed; ++*i) {
        ends = *i + 1 < a->n || a->ends;
        print_line(out, '-', &a->line[*i], differs);
        if (!ends)
            fputs("\\ No newline at end of file\n", out);
    }
    for (bool ends; *j < b->n && b->line[*j].changed; ++*j) {
        ends = *j + 1 < b->n || b->ends;
        print_line(out, '+', &b->line[*j], differs);
        if (!ends)
            fputs("\\ No newline at end of file\n", out);
    }
}

static bool changes_at(const struct side *a, size_t i, const struct side *b, size_t j)
{
    return (i < a->n && a->line[i].changed) || (j < b->n && b->line[j].changed);
}

/* Where the changes end that less than 2 * AROUND lines lie between. */
static void find_end(const struct side *a, size_t i, const struct side *b, size_t j, size_t *ret_i,
                     size_t *ret_j)
{
    size_t same = 0;

    while ((i < a->n || j < b->n) && same <= 2 * AROUND) {
        if (changes_at(a, i, b, j)) {
            same = 0;
            while (i < a->n && a->line[i].changed)
                i++;
            while (j < b->n && b->line[j].changed)
                j++;
            *ret_i = i;
            *ret_j = j;
        } else {
            i++;
            j++;
            same++;
        }
    }
}

static void print_range(FILE *out, char sign, size_t from, size_t n)
{
    fprintf(out, "%c%zu", sign, n > 0 ? from + 1 : from);
    if (n != 1)
        fprintf(out, ",%zu", n);
}

/* Prints the changes that begin at i and j, and moves both behind them. */
static void print_hunk(FILE *out, const struct side *a, size_t *i, const struct side *b, size_t *j)
{
    size_t before = *i < AROUND ? *i : AROUND, end_i = *i, end_j = *j;

    find_end(a, *i, b, *j, &end_i, &end_j);
    size_t behind = a->n - end_i < AROUND ? a->n - end_i : AROUND;
    *i -= before;
    *j -= before;
    fputs("@@ ", out);
    print_range(out, '-', *i, end_i + behind - *i);
    fputc(' ', out);
    print_range(out, '+', *j, end_j + behind - *j);
    fputs(" @@\n", out);
    while (*i < end_i + behind || *j < end_j + behind) {
        if (changes_at(a, *i, b, *j)) {
            print_change(out, a, i, b, j);
            continue;
        }
        print_line(out, ' ', &a->line[*i], 0);
        ++*i;
        ++*j;
    }
}

static void print_names(FILE *out, const char *old_name, const char *new_name)
{
    char *names = NULL;

    if (asprintf(&names, "--- %s\n+++ %s\n", old_name, new_name) < 0)
        return;
    printable_hide(names, "\n");
    fputs(names, out);
    free(names);
}

int text_diff_print(FILE *out, const char *old_name, const char *new_name, const char *old,
                    const char *new)
{
    struct side a = { .n = 0 }, b = { .n = 0 };
    int r = split(old, &a);

    if (r == 0)
        r = split(new, &b);
    if (r == 0) {
        compare(&a, &b);
        bool shown = false;
        for (size_t i = 0, j = 0; i < a.n || j < b.n;) {
            if (!changes_at(&a, i, &b, j)) {
                i++;
                j++;
                continue;
            }
            if (!shown)
                print_names(out, old_name, new_name);
            shown = true;
            print_hunk(out, &a, &i, &b, &j);
        }
    }
    free(a.line);
    free(b.line);
    return r;
}
