#include "client/admin/help_rows.h"

#include <stddef.h>
#include <string.h>

/* Where the second column begins, at least: less is a row, more goes on with one. */
enum { INDENTED = 6 };

static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* Takes a word that ends at one of those. Returns what stands behind it. */
static const char *take(const char *at, const char *ends, char out[HELP_ROWS_WORD])
{
    size_t length = strcspn(at, ends);
    size_t kept = length < HELP_ROWS_WORD ? length : 0; /* half a word is none */

    memcpy(out, at, kept);
    out[kept] = '\0';
    return at + length;
}

/* The end of a line, or the line that goes on with it. */
static const char *go_on(const char *at)
{
    size_t blanks = *at == '\n' ? strspn(at + 1, " ") : 0;

    return blanks >= INDENTED && at[1 + blanks] != '\n' ? at + 1 + blanks : NULL;
}

/* Takes the text of a row: its lines in one, as much as has room. */
static void take_text(const char *at, char out[HELP_ROWS_TEXT])
{
    size_t have = 0;

    do {
        at += strspn(at, " ");
        size_t length = strcspn(at, "\n"), room = HELP_ROWS_TEXT - 2 - have;
        if (have > 0)
            out[have++] = ' ';
        memcpy(out + have, at, length < room ? length : room);
        have += length < room ? length : room;
        at = go_on(at + length);
    } while (at && have < HELP_ROWS_TEXT - 2);
    out[have] = '\0';
}

/* The next line that begins with two blanks and one of those characters. */
static const char *find_row(const char *at, char first, char last)
{
    for (const char *row = at ? strstr(at, "\n  ") : NULL; row; row = strstr(row + 1, "\n  "))
        if (row[3] >= first && row[3] <= last)
            return row + 3;
    return NULL;
}

/* "--output FORMAT", or "-o, --output FORMAT". Returns what stands behind it. */
static const char *take_option(const char *at, struct help_row *ret)
{
    if (at[1] != '-') {
        memcpy(ret->short_name, at, 2);
        at += 2;
        if (strncmp(at, ", --", 4) != 0)
            return at;
        at += 2;
    }
    at = take(at, " ,\n", ret->name);
    size_t length = *at == ' ' ? strspn(at + 1, capitals) : 0;
    if (length > 0 && strchr(" ,=\n", at[1 + length]))
        at = take(at + 1, " ,\n", ret->value);
    return at;
}

static bool has_another(const char *at)
{
    return strncmp(at, ", -", 3) == 0;
}

bool help_rows_option(const char **at, struct help_row *ret)
{
    const char *p = *at && has_another(*at) ? *at + 2 : find_row(*at, '-', '-');
    struct help_row others;

    *ret = (struct help_row){ 0 };
    *at = p ? take_option(p, ret) : NULL;
    if (!p)
        return false;
    for (p = *at; has_another(p);) /* one text for all of a row */
        p = take_option(p + 2, &others);
    take_text(p, ret->text);
    return true;
}

bool help_rows_command(const char **at, struct help_row *ret)
{
    const char *p = find_row(*at, 'a', 'z');

    *ret = (struct help_row){ 0 };
    *at = p ? take(p, " \n", ret->name) : NULL;
    if (p)
        take_text(*at, ret->text);
    return p;
}

/* How long the comma or the "or" behind a word is, with its blanks; 0: none follows. */
static size_t joint(const char *at)
{
    static const char *const joints[] = { ", or ", "; or ", ", ", "; ", " or " };

    for (size_t i = 0; i < sizeof joints / sizeof *joints; i++)
        if (strncmp(at, joints[i], strlen(joints[i])) == 0)
            return strlen(joints[i]);
    return 0;
}

unsigned help_rows_values(const char *text, char ret[HELP_ROWS_VALUES][HELP_ROWS_WORD])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789/-";
    unsigned n = 0;
    size_t more = 1;

    while (more > 0 && n < HELP_ROWS_VALUES) {
        size_t length = strspn(text, letters);
        if (length == 0 || length >= HELP_ROWS_WORD)
            break;
        memcpy(ret[n], text, length);
        ret[n++][length] = '\0';
        more = joint(text + length);
        text += length + more;
    }
    return n > 1 ? n : 0;
}

/* "[OPTION]...", which is none, or the name of what a place takes. */
static const char *next_operand(const char *at, char ret[HELP_ROWS_WORD])
{
    at += strspn(at, " [");
    at = take(at, " ]\n", ret);
    while (*at == ' ' && at[1] == '|') { /* the first of several that may stand there */
        char other[HELP_ROWS_WORD];
        at = take(at + 3, " ]\n", other);
    }
    return at + strspn(at, "].");
}

void help_rows_operand(const char *help, unsigned n, char ret[HELP_ROWS_WORD])
{
    const char *at = strstr(help, "kubetoken ");
    char name[HELP_ROWS_WORD];

    *ret = '\0';
    if (!at)
        return;
    at = take(at + sizeof "kubetoken " - 1, " \n", name);
    while (*at == ' ') {
        at = next_operand(at, name);
        if (strcmp(name, "OPTION") == 0)
            continue;
        if (strcmp(name, "--") == 0 || *name < 'A' || *name > 'Z')
            return;
        if (n-- == 0) {
            memcpy(ret, name, strlen(name) + 1);
            return;
        }
    }
}

bool help_rows_takes_command(const char *help)
{
    const char *at = strstr(help, " -- COMMAND");

    return at && at < help + strcspn(help, "\n");
}
