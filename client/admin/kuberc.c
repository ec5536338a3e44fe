#define _GNU_SOURCE
#include "client/admin/kuberc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

bool kuberc_path(char *out, unsigned size)
{
    const char *file = getenv("KUBERC"), *home = getenv("HOME"), *gate = getenv("KUBECTL_KUBERC");

    if (gate && strcasecmp(gate, "false") == 0)
        return false;
    if (file && *file) {
        snprintf(out, size, "%s", file);
        return strcmp(file, "off") != 0;
    }
    snprintf(out, size, "%s/.kube/kuberc", home ? home : "");
    return home != NULL;
}

static const char *scalar(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

/* The value of a key of a mapping, or NULL. */
static yaml_node_t *member(yaml_document_t *doc, const yaml_node_t *map, const char *key)
{
    if (!map || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++)
        if (strcmp(scalar(yaml_document_get_node(doc, p->key)), key) == 0)
            return yaml_document_get_node(doc, p->value);
    return NULL;
}

static void read_list(yaml_document_t *doc, const yaml_node_t *list, struct kuberc *ret)
{
    if (!list || list->type != YAML_SEQUENCE_NODE)
        return;
    ret->has_list = true;
    for (yaml_node_item_t *i = list->data.sequence.items.start;
         i < list->data.sequence.items.top && ret->n < KUBERC_ENTRIES_MAX; i++) {
        const yaml_node_t *entry = yaml_document_get_node(doc, *i);
        const yaml_node_t *name = member(doc, entry, "command");
        if (!name) /* kubectl 1.35 called it so */
            name = member(doc, entry, "name");
        snprintf(ret->entries[ret->n++], KUBERC_TEXT_MAX, "%s", scalar(name));
    }
}

int kuberc_read(const char *path, struct kuberc *ret, unsigned *ret_line)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    int r = -EBADMSG;

    *ret = (struct kuberc){ .n = 0 };
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    if (!yaml_parser_initialize(&parser)) {
        fclose(f);
        return -ENOMEM;
    }
    yaml_parser_set_input_file(&parser, f);
    if (yaml_parser_load(&parser, &doc)) {
        const yaml_node_t *root = yaml_document_get_root_node(&doc);
        snprintf(ret->policy, sizeof ret->policy, "%s",
                 scalar(member(&doc, root, "credentialPluginPolicy")));
        read_list(&doc, member(&doc, root, "credentialPluginAllowlist"), ret);
        yaml_document_delete(&doc);
        r = 0;
    }
    *ret_line = (unsigned)parser.problem_mark.line + 1;
    yaml_parser_delete(&parser);
    fclose(f);
    return r;
}
