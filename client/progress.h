/*
 * progress - on a terminal: what is waited for, in one line of stderr that is taken away again.
 *
 * Where stderr is no terminal, or one that does not take escape sequences, or that of another job,
 * nothing is written. libc alone, without stdio; no system call before a line is to be shown.
 */
#ifndef KUBETOKEN_CLIENT_PROGRESS_H
#define KUBETOKEN_CLIENT_PROGRESS_H

#include <stddef.h>

/* From now on that is what is waited for (printable UTF-8; more than a line is cut). Writes it over
 * the last one if one is shown. */
void progress_set(const char *text, size_t length);

/* Shows it from now on. A signal that ends the program takes it away, too. */
void progress_show(void);

/* Takes it away, before anything else is written. Shows nothing more until progress_show(). */
void progress_hide(void);

#endif
