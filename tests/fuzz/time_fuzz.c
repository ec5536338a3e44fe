/* Durations and dates. The input is a duration; its bytes are a date too. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/time.h"

static void check_duration(uint64_t usec)
{
    char text[24], exact[64];

    PROMISE(usec <= 10ULL * 366 * 86400 * USEC_PER_SEC && usec % USEC_PER_SEC == 0);
    PROMISE(time_format_duration(text, sizeof text, usec) == strlen(text));
    snprintf(exact, sizeof exact, "%llus", (unsigned long long)(usec / USEC_PER_SEC));
    uint64_t again = 0;
    PROMISE(time_parse_duration(exact, strlen(exact), &again) == 0 && again == usec);
}

static void check_date(int64_t seconds)
{
    char text[TIME_UTC_SIZE], expected[64];
    int64_t last = 253402300799;
    time_t t = seconds < 0 ? 0 : seconds > last ? last : seconds;
    struct tm parts;

    time_format_utc(text, seconds);
    PROMISE(gmtime_r(&t, &parts));
    strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%SZ", &parts);
    PROMISE(strcmp(text, expected) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_bytes(data, size), small[5];
    uint64_t usec = 0;
    int64_t seconds = 0;

    if (time_parse_duration(text, size, &usec) == 0)
        check_duration(usec);
    memcpy(&seconds, data, size < sizeof seconds ? size : sizeof seconds);
    check_date(seconds);
    check_date(seconds & 0x3fffffffff);
    PROMISE(time_format_duration(small, sizeof small, (uint64_t)seconds) < sizeof small);
    free(text);
    return 0;
}
