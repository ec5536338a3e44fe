#define _GNU_SOURCE
#include "daemon/fetch/page.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/error.h"

enum { WORD_MAX = 40, ENTITY_MAX = 10 };

struct writer {
    char *text; /* has room for all that is read: nothing gets longer */
    size_t length;
    bool blank;
};

static void put(struct writer *w, const char *bytes, size_t n)
{
    if (w->blank && w->length > 0)
        w->text[w->length++] = ' ';
    w->blank = false;
    memcpy(w->text + w->length, bytes, n);
    w->length += n;
}

static void put_character(struct writer *w, unsigned long c)
{
    const unsigned char utf8[4] = { (unsigned char)(0xf0 | c >> 18),
                                    (unsigned char)(0x80 | (c >> 12 & 0x3f)),
                                    (unsigned char)(0x80 | (c >> 6 & 0x3f)),
                                    (unsigned char)(0x80 | (c & 0x3f)) };
    char bytes[4];

    if (c <= 0x20 || c == 0x7f || c == 0xa0 || c > 0x10ffff) {
        w->blank = true;
        return;
    }
    memcpy(bytes, utf8, sizeof bytes);
    if (c < 0x80)
        bytes[3] = (char)c;
    else if (c < 0x800)
        bytes[2] = (char)(0xc0 | c >> 6);
    else if (c < 0x10000)
        bytes[1] = (char)(0xe0 | c >> 12);
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    put(w, bytes + sizeof bytes - n, n);
}

/* The length of the entity at p, 0 if there is none that we know. */
static size_t entity(const char *p, unsigned long *ret)
{
    static const struct {
        const char *name;
        unsigned long character;
    } known[] = { { "&amp;", '&' },  { "&lt;", '<' },    { "&gt;", '>' },
                  { "&quot;", '"' }, { "&apos;", '\'' }, { "&nbsp;", 0xa0 } };
    size_t length = strnlen(p, ENTITY_MAX + 1);
    const char *end = memchr(p, ';', length), *digits = p + 2;
    char *stop;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(p, known[i].name, strlen(known[i].name)) == 0) {
            *ret = known[i].character;
            return strlen(known[i].name);
        }
    if (!end || p[1] != '#')
        return 0;
    bool hex = *digits == 'x' || *digits == 'X';
    digits += hex;
    if (!strchr("0123456789abcdefABCDEF", *digits))
        return 0;
    *ret = strtoul(digits, &stop, hex ? 16 : 10);
    return stop == end ? (size_t)(end + 1 - p) : 0;
}

static const char *behind(const char *p, const char *what)
{
    const char *found = strcasestr(p, what);

    return found ? found + strlen(what) : p + strlen(p);
}

/* Behind the tag at p. A script or a style goes with what it holds, a comment whole. */
static const char *skip_tag(const char *p)
{
    if (strncmp(p, "<!--", 4) == 0)
        return behind(p, "-->");
    if (strncasecmp(p, "<script", 7) == 0)
        p = behind(p, "</script");
    else if (strncasecmp(p, "<style", 6) == 0)
        p = behind(p, "</style");
    return behind(p, ">");
}

static bool is_tag(const char *p)
{
    return *p == '<' && ((p[1] | 0x20) >= 'a' ? (p[1] | 0x20) <= 'z' : strchr("!/?", p[1]) && p[1]);
}

/* What stands between p and end, without tags where it is HTML. */
static void write_text(struct writer *w, const char *p, const char *end, bool html)
{
    unsigned long c;
    size_t n;

    while (p < end) {
        if (html && is_tag(p)) {
            p = skip_tag(p);
            w->blank = true;
        } else if (html && *p == '&' && (n = entity(p, &c)) > 0) {
            put_character(w, c);
            p += n;
        } else if ((unsigned char)*p <= 0x20) {
            w->blank = true;
            p++;
        } else {
            put(w, p++, 1);
        }
    }
}

char *page_text(const char *body)
{
    static const char bom[] = "\xef\xbb\xbf", closing[] = "</title";
    struct writer w = { .text = malloc(strlen(body) + 2) };
    const char *start = body + (strncmp(body, bom, 3) == 0 ? 3 : 0);

    if (!w.text)
        return NULL;
    start += strspn(start, " \t\r\n");
    bool html = is_tag(start);
    const char *title = html ? strcasestr(start, "<title") : NULL;
    const char *from = title ? strchr(title, '>') : NULL,
               *to = from ? strcasestr(from, closing) : NULL;
    if (to)
        write_text(&w, from + 1, to, true);
    if (w.length == 0)
        write_text(&w, start, start + strlen(start), html);
    w.text[w.length] = '\0';
    return w.text;
}

void page_shorten(char *text)
{
    char words[PAGE_WORDS_MAX + 1], *out = text;

    for (const char *p = text; *p; p += *p == ' ') {
        size_t n = strcspn(p, " ");
        bool word = n <= WORD_MAX && !memchr(p, '=', n);
        size_t kept = word || n < 3 ? n : 3;
        memmove(out, word ? p : "...", kept);
        out += kept;
        p += n;
        if (*p)
            *out++ = ' ';
    }
    *out = '\0';
    error_clean(words, sizeof words, text, strlen(text)); /* its cut is between characters */
    memcpy(text, words, strlen(words) + 1);
}

bool page_is_login(const char *body)
{
    return strcasestr(body, "type=\"password\"") || strcasestr(body, "type='password'") ||
           strcasestr(body, "type=password");
}

bool page_wants_certificate(const char *body)
{
    return strcasestr(body, "required SSL certificate") ||
           strcasestr(body, "the SSL certificate error") ||
           strcasestr(body, "client certificate") || strcasestr(body, "403.7 ");
}
