#include "common/json_print.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/printable.h"

enum { ESCAPE = sizeof "\\uXXXX" - 1 };

/* Of n bytes, 0: it is none. */
static bool is_hidden(const char *p, size_t n)
{
    unsigned char c = (unsigned char)p[0];

    return n == 0 || c == 0x7f || (n == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0) ||
           printable_format(p, n) > 0;
}

static void write_unit(char *out, uint32_t unit)
{
    memcpy(out, "\\u", 2);
    for (int i = 0; i < 4; i++)
        out[2 + i] = "0123456789abcdef"[unit >> (12 - 4 * i) & 0xf];
}

/* Returns how many bytes it wrote; out may be NULL. */
static size_t escape(char *out, const char *p, size_t n)
{
    uint32_t c = n ? printable_code_point(p, n) : 0xfffd;
    bool pair = c >= 0x10000;
    uint32_t high = pair ? 0xd800 + ((c - 0x10000) >> 10) : c, low = 0xdc00 + (c & 0x3ff);

    if (out)
        write_unit(out, high);
    if (out && pair)
        write_unit(out + ESCAPE, low);
    return pair ? 2 * ESCAPE : ESCAPE;
}

/* Returns the length of what it wrote; out may be NULL. */
static size_t write_all(char *out, const char *json)
{
    size_t used = 0;

    for (const char *p = json; *p;) {
        size_t n = printable_utf8(p, strnlen(p, 4));
        if (is_hidden(p, n)) {
            used += escape(out ? out + used : NULL, p, n);
        } else {
            if (out)
                memcpy(out + used, p, n);
            used += n;
        }
        p += n ? n : 1;
    }
    return used;
}

char *json_print_escape(const char *json)
{
    size_t length = write_all(NULL, json);
    char *out = malloc(length + 1);

    if (out) {
        write_all(out, json);
        out[length] = '\0';
    }
    return out;
}

char *json_print(const cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);
    char *out = text ? json_print_escape(text) : NULL;

    cJSON_free(text);
    return out;
}

void json_print_hide(cJSON *json)
{
    if (cJSON_IsString(json))
        printable_hide(json->valuestring, "\t");
    for (cJSON *child = json ? json->child : NULL; child; child = child->next)
        json_print_hide(child);
}
