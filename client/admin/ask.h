/*
 * ask - questions to a person: on the terminal, or line by line on stdin where that is none.
 */
#ifndef KUBETOKEN_ADMIN_ASK_H
#define KUBETOKEN_ADMIN_ASK_H

#include <stdbool.h>
#include <stddef.h>

/* From now on nobody is asked: each answer is the preset (--yes). */
void ask_nobody(void);

/* Asks for a line; an empty one, or nobody to ask, means the preset (NULL: there is none). Returns
 * 0 with a NUL-terminated answer without its newline; -ENODATA: nothing was answered and there is
 * no preset; -E2BIG. */
int ask_line(const char *question, const char *preset, char *out, size_t size);

/* The same without an echo, for a secret; out is memory that does not swap (locked_memory()). The
 * terminal is as it was afterwards, whatever signal comes. */
int ask_secret(const char *question, char *out, size_t size);

/* Yes or no. */
bool ask_yes(const char *question, bool preset);

#endif
