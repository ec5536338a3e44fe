#define _GNU_SOURCE
#include "client/admin/yaml_marks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { DEPTH_MAX = 40 };

struct reader {
    yaml_parser_t parser;
    const char *text;
    size_t length;   /* of the text */
    size_t *offsets; /* of each of its characters, and behind the last: libyaml counts those */
    size_t n;
    unsigned depth;
    int error;
};

static struct yaml_node *read_node(struct reader *r, const yaml_event_t *event);

static void free_node(struct yaml_node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->n; i++)
        free_node(node->child[i]);
    free(node->child);
    free(node->text);
    free(node->anchor);
    free(node);
}

/* ---- bytes and characters -------------------------------------------------------------------- */

static bool starts_with_mark(const char *text, size_t length)
{
    return length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
}

static int count_characters(struct reader *r)
{
    r->offsets = malloc((r->length + 1) * sizeof *r->offsets);
    if (!r->offsets)
        return -ENOMEM;
    for (size_t i = starts_with_mark(r->text, r->length) ? 3 : 0; i < r->length; i++)
        if (((unsigned char)r->text[i] & 0xC0) != 0x80)
            r->offsets[r->n++] = i;
    r->offsets[r->n] = r->length;
    return 0;
}

static size_t offset_of(const struct reader *r, const yaml_mark_t *mark)
{
    return r->offsets[mark->index < r->n ? mark->index : r->n];
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* The next event; it is to be deleted where 0 comes back. */
static int next_event(struct reader *r, yaml_event_t *ret)
{
    if (yaml_parser_parse(&r->parser, ret))
        return 0;
    r->error = r->parser.error == YAML_MEMORY_ERROR ? -ENOMEM : -EBADMSG;
    return -1;
}

static struct yaml_node *new_node(struct reader *r, const yaml_event_t *event, enum yaml_kind kind,
                                  const yaml_char_t *anchor)
{
    struct yaml_node *node = calloc(1, sizeof *node);

    if (node && anchor && !(node->anchor = strdup((const char *)anchor))) {
        free(node);
        node = NULL;
    }
    if (!node) {
        r->error = -ENOMEM;
        return NULL;
    }
    node->kind = kind;
    node->start = offset_of(r, &event->start_mark);
    node->end = offset_of(r, &event->end_mark);
    node->column = event->start_mark.column;
    node->line = event->start_mark.line;
    return node;
}

static struct yaml_node *read_scalar(struct reader *r, const yaml_event_t *event)
{
    struct yaml_node *node = new_node(r, event, YAML_SCALAR, event->data.scalar.anchor);

    if (!node)
        return NULL;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->text = strdup((const char *)event->data.scalar.value);
    while (node->end > node->start && is_space(r->text[node->end - 1]))
        node->end--; /* a block of lines reaches to the next word */
    if (node->text)
        return node;
    r->error = -ENOMEM;
    free_node(node);
    return NULL;
}

static struct yaml_node *read_alias(struct reader *r, const yaml_event_t *event)
{
    struct yaml_node *node = new_node(r, event, YAML_ALIAS, NULL);

    if (node && !(node->text = strdup((const char *)event->data.alias.anchor))) {
        r->error = -ENOMEM;
        free_node(node);
        return NULL;
    }
    return node;
}

/* Takes the child. */
static int add_child(struct reader *r, struct yaml_node *node, struct yaml_node *child)
{
    struct yaml_node **all = node->child;

    if (child && (node->n & (node->n - 1)) == 0)
        all = realloc(node->child, (node->n ? 2 * node->n : 1) * sizeof *all);
    if (all)
        node->child = all;
    if (!child || !all) {
        if (child)
            r->error = -ENOMEM;
        free_node(child);
        return -1;
    }
    node->child[node->n++] = child;
    return 0;
}

static struct yaml_node *read_children(struct reader *r, struct yaml_node *node,
                                       yaml_event_type_t end)
{
    yaml_event_t event;
    int bad = 0;

    while (node && bad == 0 && (bad = next_event(r, &event)) == 0) {
        bool last = event.type == end;
        if (last && node->flow)
            node->end = offset_of(r, &event.end_mark);
        else if (!last)
            bad = add_child(r, node, read_node(r, &event));
        yaml_event_delete(&event);
        if (last && !node->flow && node->n > 0) /* its end is said to be where the next begins */
            node->end = node->child[node->n - 1]->end;
        if (last)
            return node;
    }
    free_node(node);
    return NULL;
}

static struct yaml_node *read_node(struct reader *r, const yaml_event_t *event)
{
    struct yaml_node *node = NULL;

    if (r->depth == DEPTH_MAX) {
        r->error = -E2BIG;
        return NULL;
    }
    r->depth++;
    if (event->type == YAML_SCALAR_EVENT) {
        node = read_scalar(r, event);
    } else if (event->type == YAML_ALIAS_EVENT) {
        node = read_alias(r, event);
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        node = new_node(r, event, YAML_LIST, event->data.sequence_start.anchor);
        if (node)
            node->flow = event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        node = read_children(r, node, YAML_SEQUENCE_END_EVENT);
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        node = new_node(r, event, YAML_MAP, event->data.mapping_start.anchor);
        if (node)
            node->flow = event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        node = read_children(r, node, YAML_MAPPING_END_EVENT);
    }
    r->depth--;
    /* Behind an anchor the first key is what counts. */
    if (node && node->anchor && !node->flow && node->n > 0)
        node->column = node->child[0]->column;
    return node;
}

/* ---- documents ------------------------------------------------------------------------------- */

static void read_documents(struct reader *r, struct yaml_marks *marks)
{
    yaml_event_t event;
    bool ends = false;

    while (!ends && next_event(r, &event) == 0) {
        yaml_event_type_t type = event.type;
        ends = type == YAML_STREAM_END_EVENT;
        if (ends && marks->documents == 0)
            marks->root_at = offset_of(r, &event.start_mark);
        if (type == YAML_DOCUMENT_START_EVENT)
            ends = ++marks->documents > 1;
        else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_END_EVENT && !ends)
            marks->root = read_node(r, &event);
        yaml_event_delete(&event);
        if (r->error)
            return;
    }
    if (marks->documents > 0 && marks->root && r->error == -EBADMSG)
        r->error = 0; /* behind the first one */
}

int yaml_marks_read(const char *text, size_t length, struct yaml_marks *ret)
{
    struct reader r = { .text = text, .length = length };
    size_t skip = starts_with_mark(text, length) ? 3 : 0;

    *ret = (struct yaml_marks){ .root = NULL };
    if (!yaml_parser_initialize(&r.parser))
        return -ENOMEM;
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text + skip, length - skip);
    r.error = count_characters(&r);
    if (r.error == 0)
        read_documents(&r, ret);
    yaml_parser_delete(&r.parser);
    free(r.offsets);
    if (r.error)
        yaml_marks_free(ret);
    return r.error;
}

void yaml_marks_free(struct yaml_marks *marks)
{
    free_node(marks->root);
    marks->root = NULL;
}

struct yaml_node *yaml_marks_member(const struct yaml_node *map, const char *key,
                                    unsigned *ret_times)
{
    struct yaml_node *found = NULL;
    unsigned times = 0;

    for (size_t i = 0; map && map->kind == YAML_MAP && i + 1 < map->n; i += 2)
        if (map->child[i]->kind == YAML_SCALAR && strcmp(map->child[i]->text, key) == 0) {
            found = map->child[i + 1];
            times++;
        }
    if (ret_times)
        *ret_times = times;
    return found;
}
