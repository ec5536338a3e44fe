/*
 * journal - one line for each change of state, with fields that journalctl can select:
 * KUBETOKEN_PROFILE= and KUBETOKEN_EVENT=, and a MESSAGE_ID= of each event, which the catalogue
 * (man/catalogue.c) explains. On a terminal or a pipe the same as plain text.
 */
#ifndef KUBETOKEN_JOURNAL_H
#define KUBETOKEN_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

/* Decides once where lines go: to the journal when stderr is connected to it
 * (systemd.exec(5), JOURNAL_STREAM), else to stderr. */
void journal_open(void);

/* From now on lines go to that file (daemon/log_file.h) alone. Returns 0, or a negative errno: then
 * nowhere. */
int journal_open_file(const char *path);

/* Writes a line. profile may be NULL; event is a word such as "token". Secrets have a type
 * that no format takes; text of a provider comes as an argument, cleaned before. */
void journal_write(int priority, const char *profile, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Of lines that somebody else may cause again and again: six at once, then one each 10 minutes.
 * All zero at first. */
enum { JOURNAL_BURST = 6 };
struct journal_limit {
    uint64_t used_until; /* CLOCK_BOOTTIME, usec */
    unsigned left_out;   /* since the last one; the caller says it, and puts it to 0 */
};

/* Whether one more may be written now. */
bool journal_allows(struct journal_limit *limit, uint64_t now);

#endif
