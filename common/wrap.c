#include "common/wrap.h"

#include <stdint.h>
#include <string.h>

#include "common/error.h"
#include "common/printable.h"

struct range {
    uint32_t first, last;
};

/* Unicode's Mn and Me, and (below) East Asian Wide and Fullwidth with what is shown as
 * an emoji, each in the blocks where they stand; enough for names. */
static const struct range combining[] = {
    { 0x0300, 0x036f }, { 0x0483, 0x0489 },   { 0x0591, 0x05bd }, { 0x0610, 0x061a },
    { 0x064b, 0x065f }, { 0x0670, 0x0670 },   { 0x06d6, 0x06dc }, { 0x0900, 0x0902 },
    { 0x093c, 0x093c }, { 0x0941, 0x0948 },   { 0x094d, 0x094d }, { 0x0e31, 0x0e31 },
    { 0x0e34, 0x0e3a }, { 0x0e47, 0x0e4e },   { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff },
    { 0x20d0, 0x20f0 }, { 0x302a, 0x302d },   { 0x3099, 0x309a }, { 0xfe00, 0xfe0f },
    { 0xfe20, 0xfe2f }, { 0xe0100, 0xe01ef },
};
static const struct range wide[] = {
    { 0x1100, 0x115f },   { 0x231a, 0x231b },   { 0x2329, 0x232a },   { 0x23e9, 0x23ec },
    { 0x2e80, 0x303e },   { 0x3041, 0x33ff },   { 0x3400, 0x4dbf },   { 0x4e00, 0x9fff },
    { 0xa000, 0xa4cf },   { 0xa960, 0xa97f },   { 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },
    { 0xfe10, 0xfe19 },   { 0xfe30, 0xfe6f },   { 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },
    { 0x16fe0, 0x18cff }, { 0x1b000, 0x1b2ff }, { 0x1f18e, 0x1f19a }, { 0x1f200, 0x1f265 },
    { 0x1f300, 0x1f320 }, { 0x1f32d, 0x1f335 }, { 0x1f337, 0x1f37c }, { 0x1f37e, 0x1f393 },
    { 0x1f3a0, 0x1f3ca }, { 0x1f3e0, 0x1f3f0 }, { 0x1f3f8, 0x1f43e }, { 0x1f440, 0x1f4fc },
    { 0x1f4ff, 0x1f53d }, { 0x1f550, 0x1f567 }, { 0x1f5fb, 0x1f64f }, { 0x1f680, 0x1f6c5 },
    { 0x1f7e0, 0x1f7eb }, { 0x1f90c, 0x1f9ff }, { 0x1fa70, 0x1faff }, { 0x20000, 0x3fffd },
};

static bool is_in(uint32_t c, const struct range *ranges, size_t n)
{
    for (size_t i = 0; i < n && ranges[i].first <= c; i++)
        if (c <= ranges[i].last)
            return true;
    return false;
}

/* Of one character, or of one byte that is none; *ret_bytes: its length. */
static size_t character_width(const char *text, size_t length, size_t *ret_bytes)
{
    size_t n = error_character(text, length);

    *ret_bytes = n > 0 ? n : 1;
    if (n <= 1)
        return 1;
    uint32_t c = printable_code_point(text, n);
    if (is_in(c, combining, sizeof combining / sizeof *combining))
        return 0;
    return is_in(c, wide, sizeof wide / sizeof *wide) ? 2 : 1;
}

size_t wrap_width(const char *text, size_t length)
{
    size_t width = 0;

    for (size_t i = 0, n; i < length; i += n)
        width += character_width(text + i, length - i, &n);
    return width;
}

/* ---- commands -------------------------------------------------------------------------------- */

static const char programs[][12] = { "kubetoken",   "kubectl",  "systemctl", "journalctl",
                                     "timedatectl", "loginctl", "chmod",     "chown" };

static bool names_program(const char *text)
{
    size_t length = strcspn(text, " ");

    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (strlen(programs[i]) == length && memcmp(programs[i], text, length) == 0)
            return true;
    return false;
}

static size_t word_end(const char *text, size_t from)
{
    return from + strcspn(text + from, " ");
}

size_t wrap_command(const char *text, bool is_apart)
{
    size_t end = word_end(text, 0);

    if (!names_program(text) || text[end] == '\0')
        return 0;
    do
        end = word_end(text, end + 1);
    while (is_apart && text[end] == ' ' && !strchr(",;)", text[end - 1]) && text[end + 1] != '(');
    return end;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool stands_apart(const char *text, size_t at)
{
    return at == 0 || (at > 1 && strchr(":;", text[at - 2]));
}

size_t wrap_line(const char *text, size_t from, size_t columns, bool whole_commands,
                 size_t *ret_next)
{
    size_t used = 0, end = from;

    for (size_t at = from; text[at]; at = end + (text[end] == ' ')) {
        size_t command = whole_commands ? wrap_command(text + at, stands_apart(text, at)) : 0;
        size_t next = command ? at + command : word_end(text, at);
        used += wrap_width(text + end, next - end);
        if (used > columns && end > from)
            break;
        end = next;
    }
    *ret_next = end + (text[end] == ' ');
    return end;
}

static void print(FILE *f, const char *text, size_t at, size_t indent, size_t columns,
                  bool whole_commands)
{
    size_t from = 0, next;

    do {
        size_t end = wrap_line(text, from, columns > at ? columns - at : 0, whole_commands, &next);
        if (at > indent && at + wrap_width(text + from, end - from) > columns) {
            fprintf(f, "\n%*s", (int)indent, "");
            at = indent;
            continue;
        }
        fprintf(f, "%.*s\n", (int)(end - from), text + from);
        from = next;
        at = indent;
        if (text[from])
            fprintf(f, "%*s", (int)indent, "");
    } while (text[from]);
}

void wrap_print(FILE *f, const char *text, size_t at, size_t indent, size_t columns)
{
    print(f, text, at, indent, columns, false);
}

void wrap_remedy(FILE *f, const char *text, size_t at, size_t indent, size_t columns)
{
    print(f, text, at, indent, columns, true);
}
