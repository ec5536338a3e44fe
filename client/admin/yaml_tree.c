#define _GNU_SOURCE
#include "client/admin/yaml_tree.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/json_tree.h"

enum {
    DEPTH_MAX = 40,
    NODES_MAX = 20000,
    KUBECONFIG_NODES_MAX = 200000,
    ANCHORS_MAX = 64,
    PATH_MAX_LENGTH = 256
};

struct anchor {
    char *name;
    cJSON *value;
};

struct reader {
    yaml_parser_t parser;
    struct yaml_tree *tree;
    yaml_tree_twice *twice;
    void *context;
    struct anchor anchors[ANCHORS_MAX];
    unsigned n_anchors, nodes, nodes_max, depth;
    char path[PATH_MAX_LENGTH];
};

static cJSON *read_node(struct reader *r, const yaml_event_t *event);

/* ---- errors ---------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static cJSON *fail(struct reader *r, bool is_limit,
                                                         const char *format, ...)
{
    va_list ap;

    if (*r->tree->why)
        return NULL;
    r->tree->is_limit = is_limit;
    va_start(ap, format);
    vsnprintf(r->tree->why, sizeof r->tree->why, format, ap);
    va_end(ap);
    return NULL;
}

/* The next event; it is to be deleted where 0 comes back. */
static int next_event(struct reader *r, yaml_event_t *ret)
{
    if (yaml_parser_parse(&r->parser, ret))
        return 0;
    fail(r, false, "yaml: line %zu: %s", r->parser.problem_mark.line + 1,
         r->parser.problem ? r->parser.problem : "it cannot be read");
    return -1;
}

static bool may_add(struct reader *r)
{
    if (r->nodes++ < r->nodes_max)
        return true;
    fail(r, true, "more than %u values, aliases counted", r->nodes_max);
    return false;
}

/* ---- words ----------------------------------------------------------------------------------- */

static bool is_word(const char *text, const char *const words[])
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* [-+]? digits, a fraction, an exponent. */
static bool is_decimal(const char *text)
{
    static const char digits[] = "0123456789";

    text += *text == '-' || *text == '+';
    size_t before = strspn(text, digits), after = 0;
    text += before;
    if (*text == '.') {
        after = strspn(text + 1, digits);
        text += 1 + after;
    }
    if (before + after == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        if (!isdigit((unsigned char)*text))
            return false;
        text += strspn(text, digits);
    }
    return *text == '\0';
}

/* As Go's ParseInt with base 0: 0x1F, 0o17, 017, 0b11. */
static bool is_integer(const char *text, double *ret)
{
    const char *at = text + (*text == '-' || *text == '+');
    int base = 10;
    char *end;

    if (at[0] == '0' && at[1]) {
        base = at[1] == 'x' || at[1] == 'X' ? 16 : at[1] == 'b' || at[1] == 'B' ? 2 : 8;
        at += isalpha((unsigned char)at[1]) ? 2 : 1;
    }
    if (!isxdigit((unsigned char)*at))
        return false;
    errno = 0;
    unsigned long long n = strtoull(at, &end, base);
    if (*end || errno)
        return false;
    *ret = *text == '-' ? -(double)n : (double)n;
    return true;
}

static cJSON *plain_number(const char *text)
{
    char digits[64];
    size_t used = 0;
    double number;

    if (!strchr("+-.0123456789", *text) || strlen(text) >= sizeof digits)
        return NULL;
    for (; *text; text++)
        if (*text != '_')
            digits[used++] = *text;
    digits[used] = '\0';
    if (is_integer(digits, &number))
        return cJSON_CreateNumber(number);
    return is_decimal(digits) ? cJSON_CreateNumber(strtod(digits, NULL)) : NULL;
}

/* What a word without quotes is. */
static cJSON *plain_word(const char *text)
{
    static const char *const none[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const yes[] = { "y",    "Y",    "yes", "Yes", "YES", "true",
                                       "True", "TRUE", "on",  "On",  "ON",  NULL };
    static const char *const no[] = { "n",     "N",     "no",  "No",  "NO",  "false",
                                      "False", "FALSE", "off", "Off", "OFF", NULL };

    if (is_word(text, none))
        return cJSON_CreateNull();
    if (is_word(text, yes) || is_word(text, no))
        return cJSON_CreateBool(is_word(text, yes));
    cJSON *number = plain_number(text);
    return number ? number : cJSON_CreateString(text);
}

static cJSON *read_scalar(struct reader *r, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    const char *tag = (const char *)event->data.scalar.tag;

    if (strlen(text) != event->data.scalar.length)
        return fail(r, true, "a NUL in a text, line %zu", event->start_mark.line + 1);
    if (tag && strcmp(tag, YAML_STR_TAG) != 0 && strcmp(tag, "!") != 0)
        return fail(r, true, "a tag, %.60s, line %zu", tag, event->start_mark.line + 1);
    if (tag || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return cJSON_CreateString(text);
    return plain_word(text);
}

/* ---- anchors and aliases --------------------------------------------------------------------- */

static cJSON *keep_anchor(struct reader *r, const yaml_char_t *name, cJSON *value)
{
    if (!name || !value)
        return value;
    if (r->n_anchors == ANCHORS_MAX) {
        cJSON_Delete(value);
        return fail(r, true, "more than %d anchors", ANCHORS_MAX);
    }
    r->anchors[r->n_anchors++] = (struct anchor){ strdup((const char *)name),
                                                  cJSON_Duplicate(value, true) };
    return value;
}

static unsigned count(const cJSON *value)
{
    unsigned n = 1;

    for (const cJSON *child = value->child; child; child = child->next)
        n += count(child);
    return n;
}

static cJSON *read_alias(struct reader *r, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;

    for (unsigned i = r->n_anchors; i-- > 0;) {
        const struct anchor *a = &r->anchors[i];
        if (!a->name || strcmp(a->name, name) != 0 || !a->value)
            continue;
        r->nodes += count(a->value);
        return may_add(r) ? cJSON_Duplicate(a->value, true) : NULL;
    }
    return fail(r, false, "yaml: unknown anchor '%s' referenced", name);
}

/* ---- lists and objects ----------------------------------------------------------------------- */

static void put(struct reader *r, cJSON *object, const char *key, cJSON *value, unsigned line)
{
    if (cJSON_GetObjectItemCaseSensitive(object, key))
        r->twice(r->context, r->path, key, line);
    json_tree_set(object, key, value);
}

/* Of <<: what the other object has is taken over. Takes the value. */
static void merge(struct reader *r, cJSON *object, cJSON *value, unsigned line)
{
    cJSON *item;

    if (cJSON_IsArray(value)) {
        while ((item = cJSON_DetachItemFromArray(value, 0)))
            merge(r, object, item, line);
    } else if (cJSON_IsObject(value)) {
        while ((item = value->child)) {
            cJSON_DetachItemViaPointer(value, item);
            char *key = strdup(item->string);
            put(r, object, key ? key : "", item, line);
            free(key);
        }
    } else {
        fail(r, false, "yaml: map merge requires map or sequence of maps as the value");
    }
    cJSON_Delete(value);
}

/* A key as a text. The caller frees it. */
static char *key_text(struct reader *r, const yaml_event_t *event)
{
    cJSON *key = event->type == YAML_SCALAR_EVENT ? read_scalar(r, event) : NULL;
    char *text = NULL;

    if (key && cJSON_IsString(key))
        text = strdup(key->valuestring);
    else if (key)
        text = cJSON_PrintUnformatted(key);
    else
        fail(r, true, "a key that is no word, line %zu", event->start_mark.line + 1);
    cJSON_Delete(key);
    return text;
}

static bool is_merge(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT &&
           event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !event->data.scalar.tag &&
           strcmp((const char *)event->data.scalar.value, "<<") == 0;
}

/* The value that follows. */
static cJSON *read_value(struct reader *r)
{
    yaml_event_t event;

    if (next_event(r, &event) < 0)
        return NULL;
    cJSON *value = read_node(r, &event);
    yaml_event_delete(&event);
    return value;
}

static int read_member(struct reader *r, cJSON *object, const yaml_event_t *event)
{
    size_t length = strlen(r->path);
    unsigned line = (unsigned)event->start_mark.line + 1;
    bool merges = is_merge(event);
    char *key = key_text(r, event);

    if (!key)
        return -1;
    snprintf(r->path + length, sizeof r->path - length, "%s%s", length ? "." : "", key);
    cJSON *value = read_value(r);
    r->path[length] = '\0';
    if (value && merges)
        merge(r, object, value, line);
    else if (value)
        put(r, object, key, value, line);
    free(key);
    return value ? 0 : -1;
}

static int read_item(struct reader *r, cJSON *list, const yaml_event_t *event)
{
    size_t length = strlen(r->path);

    snprintf(r->path + length, sizeof r->path - length, "[%d]", cJSON_GetArraySize(list));
    cJSON *value = read_node(r, event);
    r->path[length] = '\0';
    if (value)
        json_tree_append(list, value);
    return value ? 0 : -1;
}

static cJSON *read_collection(struct reader *r, bool is_list)
{
    yaml_event_type_t end = is_list ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT;
    cJSON *all = is_list ? cJSON_CreateArray() : cJSON_CreateObject();
    yaml_event_t event;
    int bad = 0;

    while (bad == 0 && (bad = next_event(r, &event)) == 0) {
        bool last = event.type == end;
        if (!last)
            bad = is_list ? read_item(r, all, &event) : read_member(r, all, &event);
        yaml_event_delete(&event);
        if (last)
            return all;
    }
    cJSON_Delete(all);
    return NULL;
}

static cJSON *read_node(struct reader *r, const yaml_event_t *event)
{
    cJSON *value = NULL;

    if (!may_add(r))
        return NULL;
    if (++r->depth > DEPTH_MAX)
        return fail(r, true, "nested deeper than %d levels", DEPTH_MAX);
    if (event->type == YAML_SCALAR_EVENT)
        value = keep_anchor(r, event->data.scalar.anchor, read_scalar(r, event));
    else if (event->type == YAML_ALIAS_EVENT)
        value = read_alias(r, event);
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        value = keep_anchor(r, event->data.sequence_start.anchor, read_collection(r, true));
    else if (event->type == YAML_MAPPING_START_EVENT)
        value = keep_anchor(r, event->data.mapping_start.anchor, read_collection(r, false));
    r->depth--;
    return value;
}

/* ---- documents ------------------------------------------------------------------------------- */

/* What follows the first document is not read by Kubernetes either. */
static void look_behind(struct reader *r)
{
    yaml_event_t event;

    if (!yaml_parser_parse(&r->parser, &event))
        return;
    if (event.type == YAML_DOCUMENT_START_EVENT)
        r->tree->documents++;
    yaml_event_delete(&event);
}

static void read_document(struct reader *r)
{
    yaml_event_t event;

    for (;;) {
        if (next_event(r, &event) < 0)
            return;
        bool ends = event.type == YAML_STREAM_END_EVENT;
        bool starts = event.type == YAML_DOCUMENT_START_EVENT;
        yaml_event_delete(&event);
        if (ends)
            r->tree->root = cJSON_CreateNull();
        if (ends)
            return;
        if (starts)
            break;
    }
    r->tree->documents = 1;
    r->tree->root = read_value(r);
    if (r->tree->root && next_event(r, &event) == 0) { /* the end of the document */
        yaml_event_delete(&event);
        look_behind(r);
    } else {
        cJSON_Delete(r->tree->root);
        r->tree->root = NULL;
    }
}

/* Keys that a JSON text has twice: cJSON keeps both. */
static void find_twice(struct reader *r, cJSON *value)
{
    size_t length = strlen(r->path);
    int i = 0;

    for (cJSON *child = value->child, *next; child; child = next, i++) {
        next = child->next;
        if (cJSON_IsObject(value))
            snprintf(r->path + length, sizeof r->path - length, "%s%s", length ? "." : "",
                     child->string);
        else
            snprintf(r->path + length, sizeof r->path - length, "[%d]", i);
        find_twice(r, child);
        r->path[length] = '\0';
        for (cJSON *later = next; cJSON_IsObject(value) && later; later = later->next)
            if (strcmp(later->string, child->string) == 0) {
                r->twice(r->context, r->path, child->string, 0);
                cJSON_Delete(cJSON_DetachItemViaPointer(value, child));
                break;
            }
    }
}

static bool is_deeper(const cJSON *value, int levels)
{
    if (levels == 0)
        return true;
    for (const cJSON *child = value->child; child; child = child->next)
        if (is_deeper(child, levels - 1))
            return true;
    return false;
}

/* What begins with a brace is JSON, and never YAML. */
static bool is_json(const char *text)
{
    return text[strspn(text, " \t\r\n\v\f")] == '{';
}

static unsigned line_of(const char *text, const char *at)
{
    unsigned line = 1;

    for (; at && text < at; text++)
        line += *text == '\n';
    return line;
}

static void read_as_json(struct reader *r, const char *text, size_t length)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text, length, &end, false);

    if (!root) {
        fail(r, false, "json parse error, line %u (what begins with a brace is read as JSON)",
             line_of(text, end));
        return;
    }
    if (end[strspn(end, " \t\r\n")])
        fail(r, false, "json parse error, line %u (what begins with a brace is read as JSON)",
             line_of(text, end));
    else if (is_deeper(root, DEPTH_MAX) || count(root) > NODES_MAX)
        fail(r, true, "deeper than %d levels, or more than %d values", DEPTH_MAX, NODES_MAX);
    if (*r->tree->why) {
        cJSON_Delete(root);
        return;
    }
    r->tree->root = root;
    r->tree->documents = 1;
    find_twice(r, root);
}

/* ---- prefix: oidc:} -------------------------------------------------------------------------- */

/* Kubernetes takes a word that ends with a colon before , or } (as in {claim: sub, prefix: oidc:}),
 * libyaml does not: such words are quoted before it reads them. */

/* Where the text's n-th character is. */
static size_t offset_of(const char *text, size_t length, size_t n)
{
    size_t at = 0;

    while (n > 0 && at < length) {
        at++;
        while (at < length && ((unsigned char)text[at] & 0xC0) == 0x80)
            at++;
        n--;
    }
    return at;
}

/* Finds the first such word. Returns false where there is none. */
static bool find_colon(const char *text, size_t length, size_t *ret_from, size_t *ret_to)
{
    yaml_parser_t parser;
    yaml_event_t event;
    bool ends = false, found;

    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    while (!ends && yaml_parser_parse(&parser, &event)) {
        ends = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    found = !ends && parser.problem && strcmp(parser.problem, "found unexpected ':'") == 0;
    *ret_from = offset_of(text, length, parser.context_mark.index);
    *ret_to = offset_of(text, length, parser.problem_mark.index);
    yaml_parser_delete(&parser);
    return found && *ret_from < *ret_to && *ret_to < length && text[*ret_to] == ':' &&
           !memchr(text + *ret_from, '"', *ret_to - *ret_from) &&
           !memchr(text + *ret_from, '\\', *ret_to - *ret_from);
}

/* The text with these words quoted; the caller frees it. */
static char *quote_colons(const char *text, size_t *length)
{
    enum { WORDS_MAX = 256 };
    char *copy = malloc(*length + 2 * WORDS_MAX + 1);
    size_t from, to;

    if (!copy)
        return NULL;
    memcpy(copy, text, *length);
    for (int i = 0; i < WORDS_MAX && find_colon(copy, *length, &from, &to); i++) {
        memmove(copy + to + 3, copy + to + 1, *length - to - 1);
        copy[to + 2] = '"';
        memmove(copy + from + 1, copy + from, to + 1 - from);
        copy[from] = '"';
        *length += 2;
    }
    copy[*length] = '\0';
    return copy;
}

static void read_as_yaml(struct reader *r, const char *plain, size_t length)
{
    char *text = quote_colons(plain, &length);

    if (!text || !yaml_parser_initialize(&r->parser)) {
        free(text);
        fail(r, true, "no memory");
        return;
    }
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, length);
    read_document(r);
    yaml_parser_delete(&r->parser);
    free(text);
    for (unsigned i = 0; i < r->n_anchors; i++) {
        free(r->anchors[i].name);
        cJSON_Delete(r->anchors[i].value);
    }
}

void yaml_tree_read(const char *text, size_t length, yaml_tree_twice *twice, void *context,
                    struct yaml_tree *ret)
{
    struct reader r = { .tree = ret, .twice = twice, .context = context, .nodes_max = NODES_MAX };

    *ret = (struct yaml_tree){ .root = NULL };
    if (length > YAML_TREE_TEXT_MAX)
        fail(&r, true, "larger than %d bytes", YAML_TREE_TEXT_MAX);
    else if (is_json(text))
        read_as_json(&r, text, length);
    else
        read_as_yaml(&r, text, length);
}

void yaml_tree_read_kubeconfig(const char *text, size_t length, yaml_tree_twice *twice,
                               void *context, struct yaml_tree *ret)
{
    struct reader r = {
        .tree = ret, .twice = twice, .context = context, .nodes_max = KUBECONFIG_NODES_MAX
    };

    *ret = (struct yaml_tree){ .root = NULL };
    if (length > YAML_TREE_KUBECONFIG_MAX)
        fail(&r, true, "larger than %d bytes", YAML_TREE_KUBECONFIG_MAX);
    else
        read_as_yaml(&r, text, length);
}

void yaml_tree_free(struct yaml_tree *tree)
{
    cJSON_Delete(tree->root);
    tree->root = NULL;
}
