/*
 * history_view - the history for people and for programs: a line each, the oldest first.
 */
#ifndef KUBETOKEN_HISTORY_VIEW_H
#define KUBETOKEN_HISTORY_VIEW_H

#include <stdio.h>

#include "daemon/history.h"

/* What somebody has seen of it, and how. All but `seen` and `day` are the caller's. */
struct history_view {
    const char *profile; /* and the daemon's own entries; NULL: all */
    bool json;           /* an object a line, docs/log.schema.json */
    size_t columns;      /* without json */
    size_t names;        /* the longest name of a profile; 0: none is shown */
    uint64_t seen;       /* up to this id; 0 at first */
    long day;            /* of the line before */
};

/* Prints what has come since. */
void history_view_print(struct history_view *view, const struct history *history, FILE *f,
                        uint64_t now);

/* Whether there is any such. */
bool history_view_waits(const struct history_view *view, const struct history *history);

/* When that was, by the wall clock, local time: "14:05:01", on another day than today
 * "26 Nov 14:05:01". */
enum { HISTORY_CLOCK_SIZE = 40 };
const char *history_clock(char out[HISTORY_CLOCK_SIZE], uint64_t at, uint64_t now);

/* An entry as JSON; the caller frees it. */
struct cJSON *history_json(const struct history_entry *entry, uint64_t now);

/* "kubectl (4711)", "a program that is not known". */
void history_print_process(FILE *f, const struct history_entry *entry);

/* "its time is over": why a share has ended. */
const char *history_end_words(enum history_end end);

#endif
