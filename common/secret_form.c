#include "common/secret_form.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool begins(const unsigned char *p, size_t length, const char *with, size_t n)
{
    return length >= n && memcmp(p, with, n) == 0;
}

/* How long the end of a line at that place is, 0: there is none. */
static size_t line_end(const unsigned char *p, size_t length)
{
    if (begins(p, length, "\r\n", 2))
        return 2;
    return length > 0 && *p == '\n';
}

/* Whether nothing follows the secret but one end of a line and NULs, in either order. */
static bool is_over(const unsigned char *p, size_t length)
{
    size_t end = line_end(p, length), at = end;

    while (at < length && p[at] == '\0')
        at++;
    if (end == 0)
        at += line_end(p + at, length - at);
    return at == length;
}

/* The control character at that place, 0: there is none (a NUL is told otherwise). Those from
 * U+0080 on have two bytes (RFC 3629). */
static unsigned control_at(const unsigned char *p, size_t length)
{
    if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
        return *p;
    return length > 1 && p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0 ? p[1] : 0;
}

static enum secret_form_fault judge_mark(const unsigned char *p, size_t length)
{
    if (begins(p, length, "\xff\xfe", 2) || begins(p, length, "\xfe\xff", 2))
        return SECRET_FORM_UTF16;
    return begins(p, length, "\xef\xbb\xbf", 3) ? SECRET_FORM_BOM : SECRET_FORM_GOOD;
}

/* rest: what stands behind it. */
static enum secret_form_fault judge_end(const struct secret_form *form, const unsigned char *rest)
{
    if (form->length > SECRET_FORM_MAX)
        return SECRET_FORM_TOO_LONG;
    if (form->more && *rest == '\0')
        return SECRET_FORM_NUL;
    if (form->length == 0)
        return SECRET_FORM_EMPTY;
    return form->more ? SECRET_FORM_SECOND_LINE : SECRET_FORM_GOOD;
}

struct secret_form secret_form_judge(const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    struct secret_form form = { .fault = judge_mark(p, length), .place = 1 };
    size_t at = 0;

    if (form.fault != SECRET_FORM_GOOD) {
        form.character = p[0] * 256U + p[1];
        return form;
    }
    for (; at < length && p[at] != '\0' && line_end(p + at, length - at) == 0; at++) {
        form.character = control_at(p + at, length - at);
        if (form.character != 0) {
            form.fault = SECRET_FORM_CONTROL;
            return form;
        }
        form.place += (p[at] & 0xc0) != 0x80; /* bytes that follow another are no characters */
    }
    form.length = at;
    form.more = !is_over(p + at, length - at);
    form.fault = judge_end(&form, p + at);
    return form;
}

/* What people know it by. */
static const char *name_of(unsigned control)
{
    switch (control) {
    case '\b':
        return " (backspace)";
    case '\r':
        return " (carriage return)";
    case 0x1b:
        return " (escape, as arrow keys send it)";
    case 0x7f:
        return " (delete)";
    default:
        return "";
    }
}

void secret_form_words(const struct secret_form *form, char out[SECRET_FORM_WORDS])
{
    const char *words = "is good";

    switch (form->fault) {
    case SECRET_FORM_GOOD:
        break;
    case SECRET_FORM_EMPTY:
        words = form->more ? "has an empty first line" : "is empty";
        break;
    case SECRET_FORM_TOO_LONG:
        words = "is longer than 16 KiB";
        break;
    case SECRET_FORM_UTF16:
        snprintf(out, SECRET_FORM_WORDS,
                 "is UTF-16: it begins with its byte order mark (%02X %02X)", form->character >> 8,
                 form->character & 0xff);
        return;
    case SECRET_FORM_BOM:
        words = "begins with a byte order mark (EF BB BF)";
        break;
    case SECRET_FORM_SECOND_LINE:
        words = "has a second line";
        break;
    case SECRET_FORM_NUL:
        snprintf(out, SECRET_FORM_WORDS, "holds a NUL byte at place %zu, and more behind it",
                 form->place);
        return;
    case SECRET_FORM_CONTROL:
        snprintf(out, SECRET_FORM_WORDS, "holds the control character %s%02X%s at place %zu",
                 form->character < 0x80 ? "0x" : "U+00", form->character, name_of(form->character),
                 form->place);
        return;
    }
    snprintf(out, SECRET_FORM_WORDS, "%s", words);
}

/* ---- what is seldom meant -------------------------------------------------------------------- */

/* A space, a tab, or U+00A0, which web pages have. */
static bool begins_blank(const unsigned char *p, size_t length)
{
    return length > 0 && (*p == ' ' || *p == '\t' || begins(p, length, "\xc2\xa0", 2));
}

static bool ends_blank(const unsigned char *p, size_t length)
{
    return length > 0 && (p[length - 1] == ' ' || p[length - 1] == '\t' ||
                          (length > 1 && begins(p + length - 2, 2, "\xc2\xa0", 2)));
}

static bool is_quoted(const unsigned char *p, size_t length)
{
    return length > 1 && p[0] == p[length - 1] && (*p == '"' || *p == '\'' || *p == '`');
}

/* Whether its bytes are those of UTF-8, as far as a wrong encoding shows. */
static bool is_utf8(const unsigned char *p, size_t length)
{
    for (size_t at = 0; at < length; at++) {
        unsigned more = p[at] < 0x80 ? 0 : p[at] < 0xe0 ? 1 : p[at] < 0xf0 ? 2 : 3;
        if (p[at] >= 0x80 && (p[at] < 0xc2 || p[at] > 0xf4))
            return false;
        for (; more > 0; more--)
            if (++at >= length || (p[at] & 0xc0) != 0x80)
                return false;
    }
    return true;
}

void secret_form_oddities(const void *bytes, size_t length, char out[SECRET_FORM_WORDS])
{
    const unsigned char *p = bytes;
    const struct {
        bool is;
        const char *words;
    } all[] = {
        { begins_blank(p, length), "begins with a blank" },
        { ends_blank(p, length), "ends with a blank" },
        { is_quoted(p, length), "stands in quotes" },
        { length > 2 && memchr(p + 1, '\t', length - 2), "holds a tab" },
        { !is_utf8(p, length), "is not UTF-8" },
    };
    size_t used = 0;

    *out = '\0';
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].is)
            used += (size_t)snprintf(out + used, SECRET_FORM_WORDS - used, "%s%s",
                                     used > 0 ? " and " : "", all[i].words);
}
