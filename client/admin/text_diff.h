/*
 * text_diff - what has changed from one text to another, line by line, as diff -u shows it.
 */
#ifndef KUBETOKEN_ADMIN_TEXT_DIFF_H
#define KUBETOKEN_ADMIN_TEXT_DIFF_H

#include <stdio.h>

/* Prints it, NUL-terminated texts both; nothing where they are the same. The names are those of the
 * two. Very long lines are cut around what differs. Returns 0 or -ENOMEM. */
int text_diff_print(FILE *out, const char *old_name, const char *new_name, const char *old,
                    const char *new);

#endif
