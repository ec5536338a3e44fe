/*
 * journal - one line for each change of state, with fields that journalctl can select:
 * KUBETOKEN_PROFILE= and KUBETOKEN_EVENT=. On a terminal or a pipe the same as plain text.
 */
#ifndef KUBETOKEN_JOURNAL_H
#define KUBETOKEN_JOURNAL_H

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

#endif
