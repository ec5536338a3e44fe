/*
 * report - what `kubetoken doctor` found, link by link, as text and as JSON.
 */
#ifndef KUBETOKEN_ADMIN_REPORT_H
#define KUBETOKEN_ADMIN_REPORT_H

#include <stdbool.h>

#include "common/error.h"

/* A note is neither good nor bad: something to know of. */
enum level { LEVEL_OK, LEVEL_SKIPPED, LEVEL_NOTE, LEVEL_WARNING, LEVEL_ERROR };

enum { REPORT_MAX = 192 };

struct finding {
    enum level level;
    const char *link;
    struct error what;                 /* ERROR_NONE: the detail says it all */
    char remedy[ERROR_DETAIL_MAX + 1]; /* that of the table, unless this case needs another */
};

struct redaction;

struct report {
    struct finding findings[REPORT_MAX];
    unsigned n;
    char verdict[ERROR_DETAIL_MAX + 1]; /* "": that of the counts */
    const char *profile, *expiration;   /* which one, and the end of its token; NULL or "": none */
    struct redaction *hidden;           /* what is left out where it is printed, or NULL */
};

/* Adds a link, a literal; one too many is left out. The detail must hold no secret. */
void report_add(struct report *r, enum level level, const char *link, enum error_code code,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Another remedy for the one that was added last. */
void report_remedy(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A closing line for a report that cannot say "nothing is wrong", whatever its levels are. */
void report_verdict(struct report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* From now on names, hosts and paths are left out where the report is printed, as redaction.h says;
 * report_hide() names one, which does nothing without. Returns 0, or -1: no memory. */
int report_redact(struct report *r);
void report_hide(struct report *r, const char *kind, const char *value);
void report_hide_url(struct report *r, const char *url);

/* Those of that code are errors after all. */
void report_raise(struct report *r, enum error_code code);

/* Takes out each ok of a link that has a warning or an error too: one line says how it stands. */
void report_settle(struct report *r, const char *link);

/* Prints it to stdout. Returns the exit code: that of the first error, also when it cannot be
 * printed, which is said on stderr; without any 0, or 1 with a verdict or when it cannot be
 * printed. */
int report_print(const struct report *r, bool as_json);

#endif
