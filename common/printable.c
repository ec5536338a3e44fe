#include "common/printable.h"

#include <stdbool.h>
#include <string.h>

/* Unicode 16, categories Cf, Zl and Zp; of the tags also what stands between them. */
static const struct range {
    uint32_t first, last;
} formats[] = {
    { 0x00ad, 0x00ad },   { 0x0600, 0x0605 },   { 0x061c, 0x061c },   { 0x06dd, 0x06dd },
    { 0x070f, 0x070f },   { 0x0890, 0x0891 },   { 0x08e2, 0x08e2 },   { 0x180e, 0x180e },
    { 0x200b, 0x200f },   { 0x2028, 0x202e },   { 0x2060, 0x206f },   { 0xfeff, 0xfeff },
    { 0xfff9, 0xfffb },   { 0x110bd, 0x110bd }, { 0x110cd, 0x110cd }, { 0x13430, 0x1343f },
    { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0000, 0xe007f },
};

size_t printable_utf8(const void *text, size_t length)
{
    const unsigned char *p = text;

    if (length == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || length < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

uint32_t printable_code_point(const void *text, size_t n)
{
    static const unsigned char head[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    const unsigned char *p = text;
    uint32_t c = p[0] & head[n];

    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

size_t printable_format(const void *text, size_t length)
{
    size_t n = printable_utf8(text, length);

    if (n < 2)
        return 0;
    uint32_t c = printable_code_point(text, n);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (c >= formats[i].first && c <= formats[i].last)
            return n;
    return 0;
}

static bool is_control(const char *p, size_t n, const char *controls)
{
    unsigned char c = (unsigned char)p[0];

    if (n == 2) /* C1 */
        return c == 0xc2 && (unsigned char)p[1] < 0xa0;
    return (c < 0x20 || c == 0x7f) && !strchr(controls, c);
}

void printable_hide(char *text, const char *controls)
{
    char *out = text;

    for (const char *p = text; *p;) {
        if (*p >= ' ' && *p <= '~') {
            *out++ = *p++;
            continue;
        }
        size_t left = strnlen(p, 4), n = printable_utf8(p, left), step = n ? n : 1;
        if (n == 0 || is_control(p, n, controls) || printable_format(p, left)) {
            *out++ = '?';
        } else {
            memmove(out, p, step);
            out += step;
        }
        p += step;
    }
    *out = '\0';
}
