/*
 * yaml_marks - where everything stands in the first document of a YAML or JSON text: what is to be
 * changed there can be, and nothing else.
 */
#ifndef KUBETOKEN_ADMIN_YAML_MARKS_H
#define KUBETOKEN_ADMIN_YAML_MARKS_H

#include <stdbool.h>
#include <stddef.h>

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP, YAML_ALIAS };

/* A value, and where it is: from its first byte (that of its anchor or tag, if it has one) to
 * behind its last, without what follows it. Offsets are bytes. */
struct yaml_node {
    enum yaml_kind kind;
    size_t start, end;
    size_t column, line; /* of its first byte, or of the first key; the first line is 0 */
    bool flow;           /* a list or map in brackets */
    bool quoted;         /* a scalar in quotes, or a block of lines */
    char *text;          /* of a scalar; the name, of an alias */
    char *anchor;        /* NULL: it has none */
    size_t n;
    struct yaml_node **child; /* of a map: key, value, key, value, ... */
};

struct yaml_marks {
    struct yaml_node *root; /* NULL: there is no document */
    size_t root_at;         /* where one would begin */
    unsigned documents;     /* two at most are counted */
};

/* Reads it. A byte order mark is not looked at, but counts in the offsets. Returns 0; -EBADMSG: it
 * is no YAML; -E2BIG: too deep; -ENOMEM. */
int yaml_marks_read(const char *text, size_t length, struct yaml_marks *ret);

/* Frees what is in it. */
void yaml_marks_free(struct yaml_marks *marks);

/* The value of a key of a map, of several the last; NULL: there is none. *ret_times, unless that is
 * NULL: how often the key is there. Keys by aliases and merges are none. */
struct yaml_node *yaml_marks_member(const struct yaml_node *map, const char *key,
                                    unsigned *ret_times);

#endif
