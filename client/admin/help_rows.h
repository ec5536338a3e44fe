/*
 * help_rows - what the help of a command says that it takes, for who completes a line: options,
 * their values, operands. Pure; the texts are those of client/help.inc.
 */
#ifndef KUBETOKEN_ADMIN_HELP_ROWS_H
#define KUBETOKEN_ADMIN_HELP_ROWS_H

#include <stdbool.h>

enum { HELP_ROWS_WORD = 32, HELP_ROWS_TEXT = 200, HELP_ROWS_VALUES = 16 };

struct help_row {
    char short_name[3];         /* "-o", or "" */
    char name[HELP_ROWS_WORD];  /* "--output"; of the help of kubetoken itself a command */
    char value[HELP_ROWS_WORD]; /* what its value is called, "FORMAT"; "": it takes none */
    char text[HELP_ROWS_TEXT];  /* what it does, as far as there is room */
};

/* The next option of a command's help behind *at, which is moved; at first *at is the help. Returns
 * whether there was one. */
bool help_rows_option(const char **at, struct help_row *ret);

/* The next command of the help of kubetoken itself, likewise. */
bool help_rows_command(const char **at, struct help_row *ret);

/* The values that an option's text lists ("json, name or text; it ..."). Returns how many; 0 where
 * it is a sentence. */
unsigned help_rows_values(const char *text, char ret[HELP_ROWS_VALUES][HELP_ROWS_WORD]);

/* What the n-th word (from 0) that is no option stands for by the first line of a help: "PROFILE",
 * or "" where there is to be none. */
void help_rows_operand(const char *help, unsigned n, char ret[HELP_ROWS_WORD]);

/* Whether a whole command follows "--" by that line. */
bool help_rows_takes_command(const char *help);

#endif
