/*
 * yaml_print - prints a value as YAML, in the style of the file that it is to stand in.
 */
#ifndef KUBETOKEN_ADMIN_YAML_PRINT_H
#define KUBETOKEN_ADMIN_YAML_PRINT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

struct yaml_style {
    const char *newline;
    unsigned unit;        /* columns by which a map in a map is indented */
    unsigned list_offset; /* by which a list in a map is */
    unsigned item_step;   /* from the dash to what follows it */
    /* In brackets: */
    bool quotes;   /* keys and texts stand in quotes, as in JSON */
    bool compact;  /* no blanks behind colons and commas */
    bool many;     /* one line for each member */
    char step[16]; /* what a level adds to the beginning of a line */
    char base[64]; /* what the line of the bracket begins with */
};

/* Prints a map or list in lines, the first without its indentation, the last without its end. */
void yaml_print_block(FILE *out, const cJSON *value, unsigned column,
                      const struct yaml_style *style);

/* Prints any value in brackets, where it has members. */
void yaml_print_flow(FILE *out, const cJSON *value, const struct yaml_style *style);

/* Prints a key of a map in brackets, with its colon. */
void yaml_print_flow_key(FILE *out, const char *key, const struct yaml_style *style);

/* Whether a text can stand without quotes, and is no number, truth or null then. */
bool yaml_print_is_plain(const char *text);

#endif
