/*
 * ask - questions to a person: on the terminal, or line by line on stdin where that is none.
 */
#ifndef KUBETOKEN_ADMIN_ASK_H
#define KUBETOKEN_ADMIN_ASK_H

#include <stdbool.h>
#include <stddef.h>

/* From now on nobody is asked: each answer is the preset (--yes). */
void ask_nobody(void);

/* Whether somebody sits there to be asked: stdin is a terminal, and it was not forbidden. */
bool ask_somebody(void);

/* Asks for a line; an empty one, or nobody to ask, means the preset (NULL: there is none). Blanks
 * around the answer are cut. Returns 0 with a NUL-terminated answer without its newline; -ENODATA:
 * nothing was answered and there is no preset; -ECANCELED: the person has ended the input (^D);
 * -E2BIG; -EILSEQ: it holds a NUL byte. */
int ask_line(const char *question, const char *preset, char *out, size_t size);

/* The same without an echo, for a secret, of which nothing is cut; out is memory that does not swap
 * (locked_memory()). The terminal is as it was afterwards, whatever signal comes. Of stdin that is
 * no terminal a line is read also after ask_nobody(): so a script says a secret. */
int ask_secret(const char *question, char *out, size_t size);

/* Yes or no. Without a terminal the preset: no line of stdin is spent on it. */
bool ask_yes(const char *question, bool preset);

#endif
