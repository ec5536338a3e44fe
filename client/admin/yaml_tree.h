/*
 * yaml_tree - the first document of a YAML or JSON text as cJSON, as Kubernetes reads it: plain
 * words are what YAML 1.1 takes them for, keys are texts, the last of two keys counts.
 */
#ifndef KUBETOKEN_ADMIN_YAML_TREE_H
#define KUBETOKEN_ADMIN_YAML_TREE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    YAML_TREE_TEXT_MAX = 1 << 20,
    YAML_TREE_KUBECONFIG_MAX = 8 << 20,
    YAML_TREE_WORDS_MAX = 200
};

struct yaml_tree {
    cJSON *root; /* NULL where it cannot be read: why */
    char why[YAML_TREE_WORDS_MAX];
    bool is_limit;      /* it is we who cannot read it: too large, too deep, too many aliases */
    unsigned documents; /* that there are, two at most: only the first is read */
};

/* Told of each key that an object has twice; path as in "jwt[0].issuer", line 0 for JSON. */
typedef void yaml_tree_twice(void *context, const char *path, const char *key, unsigned line);

/* Reads it. The caller frees what it is with yaml_tree_free(). */
void yaml_tree_read(const char *text, size_t length, yaml_tree_twice *twice, void *context,
                    struct yaml_tree *ret);

/* The same for a kubeconfig: what begins with a brace is YAML, too, as kubectl reads it, and the
 * limits are those of somebody with a thousand clusters. */
void yaml_tree_read_kubeconfig(const char *text, size_t length, yaml_tree_twice *twice,
                               void *context, struct yaml_tree *ret);

/* Frees what is in it. */
void yaml_tree_free(struct yaml_tree *tree);

#endif
