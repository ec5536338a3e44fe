#include "common/text.h"

#include <string.h>

bool text_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

bool text_join(char *out, size_t size, const char *a, const char *b, const char *c)
{
    size_t la = strlen(a), lb = strlen(b), lc = strlen(c);

    if (la + lb + lc >= size)
        return false;
    memcpy(out, a, la);
    memcpy(out + la, b, lb);
    memcpy(out + la + lb, c, lc + 1);
    return true;
}

const char *text_decimal(char out[TEXT_DECIMAL_SIZE], uint64_t number)
{
    char *p = &out[TEXT_DECIMAL_SIZE - 1];

    *p = '\0';
    do
        *--p = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return p;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool are_same(char a, char b)
{
    return lower(a) == lower(b);
}

size_t text_distance(const char *a, const char *b)
{
    enum { MAX = 40 };
    size_t la = strlen(a), lb = strlen(b), rows[3][MAX + 1];

    if (la > MAX || lb > MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *higher = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            row[j] = least(above[j - 1] + !are_same(a[i - 1], b[j - 1]),
                           least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && are_same(a[i - 1], b[j - 2]) && are_same(a[i - 2], b[j - 1]))
                row[j] = least(row[j], higher[j - 2] + 1);
        }
    }
    return rows[la % 3][lb];
}

struct text_nearest text_nearest_to(const char *word)
{
    return (struct text_nearest){ word, SIZE_MAX };
}

bool text_nearest_try(struct text_nearest *n, const char *candidate)
{
    enum { FAR = 3 };
    size_t length = strlen(candidate), own = strlen(n->word);
    size_t limit = least((length > own ? length : own) / 3, FAR);
    size_t distance = text_distance(n->word, candidate);

    if (distance > limit || distance >= n->distance)
        return false;
    n->distance = distance;
    return true;
}
