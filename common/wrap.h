/*
 * wrap - text in lines of so many columns of a terminal, broken between words. Counts characters
 * and not bytes: what is East Asian wide takes two columns, what combines with the one before it
 * none. Asks no locale: text here is UTF-8.
 */
#ifndef KUBETOKEN_WRAP_H
#define KUBETOKEN_WRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The width of what is no terminal, and what a width is held within. */
enum { WRAP_COLUMNS = 80, WRAP_COLUMNS_MIN = 40, WRAP_COLUMNS_MAX = 1000 };

/* How many columns it takes. What is no UTF-8 counts as one for each byte. */
size_t wrap_width(const char *text, size_t length);

/* Where a line ends that begins at that byte of the text and has at most that many columns, without
 * the blank behind it: after a word at least, however long that is. With whole_commands none of
 * those is parted (wrap_command()). *ret_next: where the next line begins; the end of the text:
 * there is none. */
size_t wrap_line(const char *text, size_t from, size_t columns, bool whole_commands,
                 size_t *ret_next);

/* How many bytes of the text, at the start of a word, are a command to be copied, 0 if it is none.
 * It begins with the name of a program that remedies name. Where it stands by itself (is_apart: at
 * the beginning of the text, or behind a colon or semicolon) it goes on to the next comma,
 * semicolon or parenthesis, or to the end; within a sentence it is the program and the word behind
 * it. */
size_t wrap_command(const char *text, bool is_apart);

/* Prints the text, which begins at that column of a line, in lines of so many columns; those behind
 * the first are indented, and the first is left to what stands there if a word fits better below.
 * Ends with a newline. wrap_remedy() leaves commands whole. */
void wrap_print(FILE *f, const char *text, size_t at, size_t indent, size_t columns);
void wrap_remedy(FILE *f, const char *text, size_t at, size_t indent, size_t columns);

#endif
