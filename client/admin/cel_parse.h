/*
 * cel_parse - the syntax of CEL: text to a tree. What is meant by it is cel.c's.
 */
#ifndef KUBETOKEN_ADMIN_CEL_PARSE_H
#define KUBETOKEN_ADMIN_CEL_PARSE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

enum cel_kind {
    CEL_LITERAL, /* value */
    CEL_BYTES,
    CEL_IDENT,  /* name */
    CEL_SELECT, /* first.name */
    CEL_INDEX,  /* first[second] */
    CEL_CALL,   /* name(children), or of a target: first.name(others) */
    CEL_UNARY,  /* name: ! or - */
    CEL_BINARY, /* name: the operator */
    CEL_CHOICE, /* first ? second : third */
    CEL_LIST,   /* children */
    CEL_MAP,    /* key, value, key, value */
    CEL_MESSAGE /* name{...}: children are the values */
};

/* The types of literals that JSON does not tell apart. */
enum cel_number { CEL_NO_NUMBER, CEL_INT, CEL_UINT, CEL_DOUBLE };

struct cel_node {
    enum cel_kind kind;
    char *name;
    cJSON *value;
    enum cel_number number;
    bool optional; /* .? and [? */
    bool has_target;
    unsigned n; /* children */
    struct cel_node *children, *next, *allocated;
};

struct cel_tree {
    struct cel_node *root;
    struct cel_node *allocated;
    bool too_large; /* beyond our limits: nothing is known of it */
};

/* Parses it. Returns 0, or -1 with the reason in why. To be freed in either case. */
int cel_parse(const char *text, struct cel_tree *ret, char *why, size_t size);

/* Frees what is in it. */
void cel_tree_free(struct cel_tree *tree);

#endif
