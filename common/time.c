#include "common/time.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static const uint64_t longest = 10ULL * 366 * 24 * 3600;

uint64_t time_boottime(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

int64_t time_realtime(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * (int64_t)USEC_PER_SEC + t.tv_nsec / 1000;
}

/* The seconds in a unit, given what is left of the text; 0 for none that is known. */
static uint64_t unit_seconds(const char *text, size_t left)
{
    if (left == 0)
        return 1;
    switch (*text) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    default:
        return 0;
    }
}

int time_parse_duration(const char *text, size_t length, uint64_t *ret)
{
    uint64_t total = 0, last_unit = UINT64_MAX;
    size_t i = 0;

    if (length == 0)
        return -EINVAL;
    while (i < length) {
        uint64_t n = 0;
        size_t start = i;
        for (; i < length && text[i] >= '0' && text[i] <= '9'; i++)
            if ((n = n * 10 + (uint64_t)(text[i] - '0')) > longest)
                return -EINVAL;
        uint64_t unit = unit_seconds(text + i, length - i);
        if (i == start || unit == 0 || unit >= last_unit || n > longest / unit)
            return -EINVAL;
        if (i == length && start > 0)
            return -EINVAL; /* "1h30": 30 of what? */
        i += i < length;
        last_unit = unit;
        if ((total += n * unit) > longest)
            return -EINVAL;
    }
    *ret = total * USEC_PER_SEC;
    return 0;
}

size_t time_format_duration(char *out, size_t size, uint64_t usec)
{
    uint64_t s = usec / USEC_PER_SEC, m = s / 60, h = m / 60;
    int n;

    if (s < 60)
        n = snprintf(out, size, "%u s", (unsigned)s);
    else if (m < 60)
        n = snprintf(out, size, "%u min", (unsigned)m);
    else if (h < 24)
        n = snprintf(out, size, "%u h %u min", (unsigned)h, (unsigned)(m % 60));
    else
        n = snprintf(out, size, "%llu d %u h", (unsigned long long)(h / 24), (unsigned)(h % 24));
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static void digits(char *out, int width, unsigned value)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
}

/* Howard Hinnant's days-to-civil: no locale, no zone file, no allocation. */
void time_format_utc(char out[TIME_UTC_SIZE], int64_t seconds)
{
    const int64_t last = 253402300799; /* 9999-12-31T23:59:59Z */
    uint64_t t = seconds < 0 ? 0 : (uint64_t)(seconds > last ? last : seconds);
    uint64_t days = t / 86400 + 719468, rest = t % 86400;
    uint64_t era = days / 146097, day_of_era = days % 146097;
    uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
                            day_of_era / 146096) /
                           365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t m = (5 * day_of_year + 2) / 153; /* months from March */
    uint64_t month = m < 10 ? m + 3 : m - 9;
    uint64_t year = year_of_era + era * 400 + (month <= 2);

    digits(out, 4, (unsigned)year);
    out[4] = '-';
    digits(out + 5, 2, (unsigned)month);
    out[7] = '-';
    digits(out + 8, 2, (unsigned)(day_of_year - (153 * m + 2) / 5 + 1));
    out[10] = 'T';
    digits(out + 11, 2, (unsigned)(rest / 3600));
    out[13] = ':';
    digits(out + 14, 2, (unsigned)(rest / 60 % 60));
    out[16] = ':';
    digits(out + 17, 2, (unsigned)(rest % 60));
    out[19] = 'Z';
    out[20] = '\0';
}
