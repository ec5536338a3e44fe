/*
 * time - clocks, durations and dates. All times are microseconds (usec) unless a name says
 * otherwise, as sd-event's are.
 */
#ifndef KUBETOKEN_TIME_H
#define KUBETOKEN_TIME_H

#include <stddef.h>
#include <stdint.h>

#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MSEC 1000ULL
#define USEC_INFINITY UINT64_MAX

/* CLOCK_BOOTTIME: never set, counts while the machine sleeps. */
uint64_t time_boottime(void);

/* CLOCK_REALTIME, in usec since 1970. */
int64_t time_realtime(void);

/* Parses "90", "90s", "5m", "1h30m", "2d" (d, h, m, s; a bare number is seconds) into usec.
 * Returns 0, or -EINVAL; values over 10 years are -EINVAL too. */
int time_parse_duration(const char *text, size_t length, uint64_t *ret);

/* "12 s", "23 min", "5 h 3 min", "2 d 4 h": at most two units, rounded down.
 * Returns the length; 24 bytes are enough. */
size_t time_format_duration(char *out, size_t size, uint64_t usec);

enum { TIME_UTC_SIZE = 21 };

/* RFC 3339 in UTC with whole seconds: "2026-11-24T08:00:00Z". Years 1970 to 9999; what lies
 * outside is clamped. Writes 20 characters and a NUL. */
void time_format_utc(char out[TIME_UTC_SIZE], int64_t seconds);

#endif
