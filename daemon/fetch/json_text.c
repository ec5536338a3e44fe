#define _GNU_SOURCE
#include "daemon/fetch/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "common/printable.h"

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END,
    EXPECT_NAME,
    EXPECT_NAME_OR_END,
    EXPECT_COLON,
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING,
};

struct reader {
    const char *in; /* its end is a '\0', which no token goes beyond */
    char *out;
    enum expect expect;
    size_t depth;
    unsigned char is_object[JSON_DEPTH_READ / 8 + 1]; /* by depth, a bit each */
};

/* No plus sign, no leading zero, digits on both sides of a point. */
size_t json_text_number(const char *text)
{
    const char *p = text + (*text == '-');
    size_t n = strspn(p, "0123456789");

    if (n == 0 || (n > 1 && *p == '0'))
        return 0;
    p += n;
    if (*p == '.') {
        n = strspn(p + 1, "0123456789");
        if (n == 0)
            return 0;
        p += 1 + n;
    }
    if (*p == 'e' || *p == 'E') {
        p += 1 + (p[1] == '+' || p[1] == '-');
        n = strspn(p, "0123456789");
        if (n == 0)
            return 0;
        p += n;
    }
    return (size_t)(p - text);
}

/* ---- what is written ------------------------------------------------------------------------- */

static void put(struct reader *r, const char *text, size_t n)
{
    if (r->depth > JSON_DEPTH_KEPT)
        return;
    memmove(r->out, text, n);
    r->out += n;
}

/* Takes so many bytes of the text over. */
static bool keep(struct reader *r, size_t n)
{
    put(r, r->in, n);
    r->in += n;
    return n > 0;
}

/* Another text for so many bytes. */
static void replace(struct reader *r, size_t n, const char *text)
{
    put(r, text, strlen(text));
    r->in += n;
}

/* ---- strings --------------------------------------------------------------------------------- */

/* The code unit that \uXXXX at p stands for, or -1. */
static int code_unit(const char *p)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    char digits[5] = "";

    if (strncmp(p, "\\u", 2) != 0 || strspn(p + 2, hex) < 4)
        return -1;
    memcpy(digits, p + 2, 4);
    return (int)strtol(digits, NULL, 16);
}

static bool is_among(int unit, int first)
{
    return unit >= first && unit < first + 0x400;
}

/* An escape. Halves of surrogate pairs become U+FFFD, as in Go (JavaScript writes them when it cuts
 * a name in the middle of an emoji); and so does \u0000, at which a string of C would end: whatever
 * is compared with it, it stays another. */
static bool read_escape(struct reader *r)
{
    int unit = code_unit(r->in);
    bool high = is_among(unit, 0xd800);

    if (r->in[1] != 'u')
        return r->in[1] && strchr("\"\\/bfnrt", r->in[1]) && keep(r, 2);
    if (unit < 0)
        return false;
    if (high && is_among(code_unit(r->in + 6), 0xdc00))
        return keep(r, 12);
    if (unit != 0 && !high && !is_among(unit, 0xdc00))
        return keep(r, 6);
    replace(r, 6, "\\ufffd");
    return true;
}

/* Of what stands for itself in a string. */
static size_t plain_length(const char *p)
{
    size_t length = 0, n;

    while ((unsigned char)p[length] >= 0x20 && !strchr("\"\\", p[length]) &&
           (n = printable_utf8(p + length, strnlen(p + length, 4))) > 0)
        length += n;
    return length;
}

static bool read_string(struct reader *r)
{
    if (*r->in != '"')
        return false;
    keep(r, 1);
    while (*r->in != '"') {
        size_t plain = plain_length(r->in);
        if (plain > 0)
            keep(r, plain);
        else if ((unsigned char)*r->in >= 0x80)
            replace(r, 1, "\xef\xbf\xbd"); /* U+FFFD for each byte that is no UTF-8, as Go has it */
        else if (*r->in != '\\' || !read_escape(r))
            return false; /* a control character, or the end */
    }
    return keep(r, 1);
}

/* ---- lists and objects ----------------------------------------------------------------------- */

static bool in_object(const struct reader *r)
{
    return r->is_object[r->depth / 8] >> r->depth % 8 & 1;
}

static bool open_one(struct reader *r)
{
    bool object = *r->in == '{';

    if (r->depth == JSON_DEPTH_READ)
        return false;
    if (r->depth == JSON_DEPTH_KEPT)
        put(r, "\"\"", 2); /* no longer than what it stands for */
    else
        put(r, r->in, 1);
    r->in++;
    r->depth++;
    unsigned char bit = (unsigned char)(1 << r->depth % 8), *byte = &r->is_object[r->depth / 8];
    *byte = object ? *byte | bit : *byte & (unsigned char)~bit;
    r->expect = object ? EXPECT_NAME_OR_END : EXPECT_VALUE_OR_END;
    return true;
}

/* A value has ended. */
static bool ended(struct reader *r, bool good)
{
    r->expect = r->depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
    return good;
}

static bool close_one(struct reader *r)
{
    if (*r->in != (in_object(r) ? '}' : ']'))
        return false;
    keep(r, 1);
    r->depth--;
    return ended(r, true);
}

/* ---- the grammar ----------------------------------------------------------------------------- */

static bool read_word(struct reader *r)
{
    static const char *const words[] = { "true", "false", "null" };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(r->in, words[i], strlen(words[i])) == 0)
            return keep(r, strlen(words[i]));
    return false;
}

static bool read_value(struct reader *r)
{
    char c = *r->in;

    if (c == '{' || c == '[')
        return open_one(r);
    if (c == '"')
        return ended(r, read_string(r));
    if (c == '-' || (c >= '0' && c <= '9'))
        return ended(r, keep(r, json_text_number(r->in)));
    return ended(r, read_word(r));
}

static bool read_name(struct reader *r)
{
    r->expect = EXPECT_COLON;
    return read_string(r);
}

static bool read_sign(struct reader *r, char sign, enum expect next)
{
    r->expect = next;
    return *r->in == sign && keep(r, 1);
}

static bool read_token(struct reader *r)
{
    switch (r->expect) {
    case EXPECT_VALUE_OR_END:
        return *r->in == ']' ? close_one(r) : read_value(r);
    case EXPECT_VALUE:
        return read_value(r);
    case EXPECT_NAME_OR_END:
        return *r->in == '}' ? close_one(r) : read_name(r);
    case EXPECT_NAME:
        return read_name(r);
    case EXPECT_COLON:
        return read_sign(r, ':', EXPECT_VALUE);
    case EXPECT_COMMA_OR_END:
        return *r->in == ',' ? read_sign(r, ',', in_object(r) ? EXPECT_NAME : EXPECT_VALUE)
                             : close_one(r);
    default:
        return false;
    }
}

size_t json_text_room(const char *text, size_t length)
{
    size_t room = length + 1;

    for (size_t i = 0; i < length; i++)
        room += (unsigned char)text[i] >= 0x80 ? 2 : 0;
    return room;
}

bool json_text_ready(const char *text, size_t length, char *out)
{
    struct reader r = { .in = text, .out = out, .expect = EXPECT_VALUE };

    for (;;) {
        r.in += strspn(r.in, " \t\r\n");
        if (r.in == text + length)
            break;
        if (!read_token(&r))
            return false;
    }
    *r.out = '\0';
    return r.expect == EXPECT_NOTHING;
}
