#define _GNU_SOURCE
#include "client/admin/kubeconfig_edit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/yaml_marks.h"
#include "client/admin/yaml_print.h"
#include "common/json_tree.h"

/* An edit in the making: the text gets `insert` at one place, and loses a piece at another. */
struct edit {
    const char *text;
    size_t length;
    const struct kubeconfig_place *place;
    const cJSON *value;
    struct yaml_marks marks;
    struct yaml_style style;
    bool at_front;           /* what is added comes first, and not last */
    size_t cut_from, cut_to; /* what goes */
    size_t at;               /* where something comes; not within what goes */
    FILE *insert;
    char *inserted;
    size_t inserted_length;
    char *why;
};

__attribute__((format(printf, 2, 3))) static int refuse(char *why, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(why, KUBECONFIG_EDIT_WORDS_MAX, format, ap);
    va_end(ap);
    return -EINVAL;
}

/* ---- as kubectl reads it --------------------------------------------------------------------- */

static void heed_not(void *context, const char *path, const char *key, unsigned line)
{
    (void)context; /* the last of them counts; where that matters it is looked at in the marks */
    (void)path;
    (void)key;
    (void)line;
}

const char *kubeconfig_edit_text(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

static int check_word(const cJSON *root, const char *key, const char *wanted, char *why)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(root, key);
    const char *text = cJSON_GetStringValue(value);

    if (!value || cJSON_IsNull(value) || (text && (!*text || strcmp(text, wanted) == 0)))
        return 0;
    return refuse(why, "its %s is %s, not %s", key, text ? text : "no text", wanted);
}

/* A list of entries, of which no two have one name. */
static int check_list(const cJSON *root, const char *key, char *why)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, key), *entry, *first;

    if (list && !cJSON_IsArray(list) && !cJSON_IsNull(list))
        return refuse(why, "%s is no list", key);
    cJSON_ArrayForEach (entry, list) {
        if (!cJSON_IsObject(entry) && !cJSON_IsNull(entry))
            return refuse(why, "an entry of %s is none", key);
        first = kubeconfig_edit_entry(root, key, kubeconfig_edit_text(entry, "name"));
        if (first && first != entry)
            return refuse(why, "%s has \"%s\" twice", key, kubeconfig_edit_text(entry, "name"));
    }
    return 0;
}

int kubeconfig_edit_read(const char *text, size_t length, struct yaml_tree *ret, char *why)
{
    if (length >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0))
        return refuse(why, "it is UTF-16, and not UTF-8");
    yaml_tree_read_kubeconfig(text, length, heed_not, NULL, ret);
    if (!ret->root)
        return refuse(why, "%s", ret->why);
    int r = cJSON_IsObject(ret->root) || cJSON_IsNull(ret->root)
                ? 0
                : refuse(why, "it is no map of clusters, contexts and users");
    if (r == 0)
        r = check_word(ret->root, "apiVersion", "v1", why);
    if (r == 0)
        r = check_word(ret->root, "kind", "Config", why);
    if (r == 0)
        r = check_list(ret->root, "clusters", why);
    if (r == 0)
        r = check_list(ret->root, "contexts", why);
    if (r == 0)
        r = check_list(ret->root, "users", why);
    if (r)
        yaml_tree_free(ret);
    return r;
}

static int index_of(const cJSON *root, const char *list, const char *name)
{
    const cJSON *entry;
    int i = 0;

    cJSON_ArrayForEach (entry, cJSON_GetObjectItemCaseSensitive(root, list)) {
        if (strcmp(kubeconfig_edit_text(entry, "name"), name) == 0)
            return i;
        i++;
    }
    return -1;
}

const cJSON *kubeconfig_edit_entry(const cJSON *root, const char *list, const char *name)
{
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(root, list), *entry;

    cJSON_ArrayForEach (entry, all)
        if (strcmp(kubeconfig_edit_text(entry, "name"), name) == 0)
            return entry;
    return NULL;
}

/* ---- what is to come of it, as a tree -------------------------------------------------------- */

static cJSON *new_entry(const struct edit *e)
{
    cJSON *entry = cJSON_CreateObject();

    cJSON_AddStringToObject(entry, "name", e->place->name);
    json_tree_put(entry, e->place->part, cJSON_Duplicate(e->value, true));
    return entry;
}

static cJSON *new_list(const struct edit *e)
{
    cJSON *list = cJSON_CreateArray();

    json_tree_append(list, new_entry(e));
    return list;
}

static cJSON *new_document(const struct edit *e)
{
    cJSON *root = cJSON_CreateObject();

    cJSON_AddStringToObject(root, "apiVersion", "v1");
    cJSON_AddStringToObject(root, "kind", "Config");
    json_tree_put(root, e->place->list, new_list(e));
    return root;
}

/* Of a tree of the text as it is. */
static cJSON *expect(const struct edit *e, const cJSON *was)
{
    const struct kubeconfig_place *p = e->place;

    if (cJSON_IsNull(was))
        return new_document(e);
    cJSON *root = cJSON_Duplicate(was, true);
    cJSON *list = cJSON_GetObjectItemCaseSensitive(root, p->list);
    cJSON *entry = cJSON_GetArrayItem(list, index_of(root, p->list, p->name));
    cJSON *part = cJSON_GetObjectItemCaseSensitive(entry, p->part);

    if (!cJSON_IsArray(list))
        json_tree_set(root, p->list, new_list(e));
    else if (!entry && e->at_front)
        cJSON_InsertItemInArray(list, 0, new_entry(e));
    else if (!entry)
        json_tree_append(list, new_entry(e));
    else if (!p->member)
        json_tree_set(entry, p->part, cJSON_Duplicate(e->value, true));
    else if (cJSON_IsObject(part))
        json_tree_set(part, p->member, cJSON_Duplicate(e->value, true));
    return root;
}

/* ---- the style of the text ------------------------------------------------------------------- */

static size_t line_start(const struct edit *e, size_t at)
{
    while (at > 0 && e->text[at - 1] != '\n')
        at--;
    return at;
}

/* Behind what stands in that line, without blanks at its end. */
static size_t line_end(const struct edit *e, size_t at)
{
    size_t end = at;

    while (end < e->length && e->text[end] != '\n')
        end++;
    return end > at && e->text[end - 1] == '\r' ? end - 1 : end;
}

static size_t skip_blanks(const struct edit *e, size_t at)
{
    while (at < e->length && (e->text[at] == ' ' || e->text[at] == '\t'))
        at++;
    return at;
}

/* Whether nothing but blanks and a comment follows in the line. */
static bool is_last_in_line(const struct edit *e, size_t at)
{
    size_t next = skip_blanks(e, at);
    bool blank = next > at || next == 0;

    return next == line_end(e, next) || (blank && e->text[next] == '#');
}

/* The first map in lines that is the value of a key of one, and the first list. */
static void find_steps(const struct yaml_node *node, unsigned *unit, int *offset, unsigned *step)
{
    for (size_t i = 0; i < node->n; i++) {
        const struct yaml_node *child = node->child[i];
        bool is_block = (child->kind == YAML_MAP || child->kind == YAML_LIST) && !child->flow &&
                        !child->anchor;
        bool is_value = node->kind == YAML_MAP && i % 2 == 1;
        const struct yaml_node *key = is_value ? node->child[i - 1] : NULL;
        if (is_block && key && child->line > key->line && child->column >= key->column) {
            unsigned columns = (unsigned)(child->column - key->column);
            if (child->kind == YAML_MAP && *unit == 0)
                *unit = columns;
            else if (child->kind == YAML_LIST && *offset < 0)
                *offset = (int)columns;
        }
        if (is_block && node->kind == YAML_LIST && child->kind == YAML_MAP && *step == 0 &&
            !node->anchor && child->column > node->column)
            *step = (unsigned)(child->column - node->column);
        if (child->kind == YAML_MAP || child->kind == YAML_LIST)
            find_steps(child, unit, offset, step);
    }
}

/* Copies what the line begins with. Returns whether nothing else stands before the offset. */
static bool copy_base(const struct edit *e, size_t at, char *out, size_t size)
{
    size_t start = line_start(e, at), end = skip_blanks(e, start);
    size_t length = end - start < size ? end - start : size - 1;

    memcpy(out, e->text + start, length);
    out[length] = '\0';
    return end >= at;
}

/* How what is in brackets looks: in one line, or one for each member. */
static void find_flow_style(struct edit *e)
{
    const struct yaml_node *root = e->marks.root;
    const char *colon = memmem(e->text, e->length, "\":", 2);

    if (!root || root->kind != YAML_MAP || !root->flow)
        return;
    size_t at = colon ? (size_t)(colon - e->text) + 2 : 0;
    e->style.compact = root->n > 0 && root->child[0]->quoted && at > 0 && at < e->length &&
                       !strchr(" \t\r\n", e->text[at]);
    e->style.many = root->n > 0 && root->child[0]->line > root->line &&
                    copy_base(e, root->child[0]->start, e->style.step, sizeof e->style.step);
}

static void find_style(struct edit *e)
{
    unsigned unit = 0, step = 0;
    int offset = -1;

    if (e->marks.root)
        find_steps(e->marks.root, &unit, &offset, &step);
    e->style.unit = unit ? unit : 2;
    e->style.list_offset = offset > 0 ? (unsigned)offset : 0;
    e->style.item_step = step ? step : 2;
    find_flow_style(e);
}

/* ---- what goes, what comes ------------------------------------------------------------------- */

/* That is where something comes, with lines that end as the one there does; the last may have no
 * end. */
static void place_at(struct edit *e, size_t at)
{
    const char *end = memchr(e->text + at, '\n', e->length - at);

    if (!end)
        end = memchr(e->text, '\n', e->length);
    e->at = at;
    e->style.newline = end && end > e->text && end[-1] == '\r' ? "\r\n" : "\n";
}

static void new_line(struct edit *e, size_t column)
{
    fprintf(e->insert, "%s%*s", e->style.newline, (int)column, "");
}

/* Where something is added behind a value, in a map or list in lines that begins at that column:
 * behind what else its line has, and behind the comments below that are indented as it is. */
static size_t behind(const struct edit *e, size_t at, size_t column)
{
    if (!is_last_in_line(e, at))
        return at;
    size_t end = line_end(e, at);
    for (;;) {
        const char *newline = memchr(e->text + end, '\n', e->length - end);
        size_t start = newline ? (size_t)(newline - e->text) + 1 : e->length;
        size_t word = skip_blanks(e, start);
        if (word == e->length || e->text[word] != '#' || word - start <= column)
            return end;
        end = line_end(e, word);
    }
}

/* JSON's quotes, where those beside it have them. */
static void heed_quotes(struct edit *e, const struct yaml_node *map)
{
    const struct yaml_node *first = map && map->n > 0 ? map->child[0] : NULL;

    while (first && first->kind != YAML_SCALAR && first->n > 0)
        first = first->child[0];
    if (!first)
        e->style.quotes = e->marks.root->flow;
    else
        e->style.quotes = first->kind == YAML_SCALAR && first->quoted;
}

/* Replaces a value; key is that of the map in which it stands. */
static void replace(struct edit *e, const struct yaml_node *map, const struct yaml_node *key,
                    const struct yaml_node *node, const cJSON *value)
{
    bool is_list = cJSON_IsArray(value), is_block = node->n > 0 && !node->flow;

    place_at(e, node->start);
    e->cut_from = node->start;
    e->cut_to = node->end;
    if (map->flow) {
        heed_quotes(e, map);
        copy_base(e, node->start, e->style.base, sizeof e->style.base);
        if (node->end == node->start && node->start > 0 && e->text[node->start - 1] == ':')
            fputc(' ', e->insert);
        yaml_print_flow(e->insert, value, &e->style);
        return;
    }
    if (!is_list && !cJSON_IsObject(value)) {
        const struct yaml_style plain = { .newline = e->style.newline };
        if (node->end == node->start)
            fputc(' ', e->insert);
        yaml_print_flow(e->insert, value, &plain);
        return;
    }
    size_t column = key->column + (is_list ? e->style.list_offset : e->style.unit);
    if (is_block)
        column = node->child[0]->column;
    bool in_place = is_block && node->child[0]->start == node->start;
    if (!in_place && is_last_in_line(e, node->end)) {
        place_at(e, line_end(e, node->end));
        while (skip_blanks(e, node->end) == e->at && e->cut_from > 0 &&
               e->text[e->cut_from - 1] == ' ')
            e->cut_from--;
        if (skip_blanks(e, node->end) == e->at)
            e->cut_to = e->at;
    }
    if (!in_place)
        new_line(e, column);
    yaml_print_block(e->insert, value, (unsigned)column, &e->style);
}

/* Where the bracket of a list or map has its content. */
static size_t inside(const struct edit *e, const struct yaml_node *node)
{
    size_t at = node->start;

    while (at < node->end && e->text[at] != '[' && e->text[at] != '{')
        at++;
    return at + 1;
}

/* Before or behind what is in the bracket: a member with its key, or an item. */
static void add_in_brackets(struct edit *e, const struct yaml_node *node, const char *key,
                            const cJSON *value)
{
    const struct yaml_node *last = node->n > 0 ? node->child[node->n - 1] : NULL;
    const struct yaml_node *mark = last && key ? node->child[node->n - 2] : last;
    bool many = e->style.many;
    size_t step = strlen(e->style.step);

    heed_quotes(e, node);
    place_at(e, last ? last->end : inside(e, node));
    bool own_line = copy_base(e, mark ? mark->start : e->at, e->style.base, sizeof e->style.base);
    if (!last && many && strlen(e->style.base) + step < sizeof e->style.base)
        memcpy(e->style.base + strlen(e->style.base), e->style.step, step + 1);
    bool breaks = many && (own_line || !last);
    if (last)
        fputs(breaks || e->style.compact ? "," : ", ", e->insert);
    if (breaks)
        fprintf(e->insert, "%s%s", e->style.newline, e->style.base);
    if (key)
        yaml_print_flow_key(e->insert, key, &e->style);
    yaml_print_flow(e->insert, value, &e->style);
    if (!last && many)
        fprintf(e->insert, "%s%.*s", e->style.newline, (int)(strlen(e->style.base) - step),
                e->style.base);
}

/* A key and its value in lines, of a map whose keys begin at that column. */
static void print_key(struct edit *e, const char *key, const cJSON *value, size_t column)
{
    cJSON *map = cJSON_CreateObject();

    json_tree_put(map, key, cJSON_Duplicate(value, true));
    yaml_print_block(e->insert, map, (unsigned)column, &e->style);
    cJSON_Delete(map);
}

static void add_key(struct edit *e, const struct yaml_node *map, const char *key,
                    const cJSON *value)
{
    if (map->flow || map->n == 0) {
        add_in_brackets(e, map, key, value);
        return;
    }
    size_t column = map->child[0]->column;
    place_at(e,
             e->at_front ? map->child[0]->start : behind(e, map->child[map->n - 1]->end, column));
    if (!e->at_front)
        new_line(e, column);
    print_key(e, key, value, column);
    if (e->at_front)
        new_line(e, column);
}

/* Where the first dash of a list in lines is. */
static size_t first_dash(const struct edit *e, const struct yaml_node *list, size_t *ret_column)
{
    size_t at = list->child[0]->start;

    *ret_column = list->column;
    if (!list->anchor)
        return list->start;
    while (at > list->start && e->text[at] != '-')
        at--;
    *ret_column = at - line_start(e, at);
    return at;
}

static void add_item(struct edit *e, const struct yaml_node *map, const struct yaml_node *list,
                     const struct yaml_node *key, cJSON *item)
{
    size_t column;

    if (list->n == 0 && !map->flow && inside(e, list) + 1 == list->end) {
        cJSON *all = cJSON_CreateArray();
        json_tree_append(all, cJSON_Duplicate(item, true));
        replace(e, map, key, list, all);
        cJSON_Delete(all);
        return;
    }
    if (list->flow || list->n == 0) {
        add_in_brackets(e, list, NULL, item);
        return;
    }
    size_t dash = first_dash(e, list, &column);
    place_at(e, e->at_front ? dash : behind(e, list->end, column));
    if (!e->at_front)
        new_line(e, column);
    fprintf(e->insert, "-%*s", (int)e->style.item_step - 1, "");
    yaml_print_block(e->insert, item, (unsigned)column + e->style.item_step, &e->style);
    if (e->at_front)
        new_line(e, column);
}

/* A text without a document, or with an empty one. */
static void put_document(struct edit *e)
{
    const struct yaml_node *root = e->marks.root;
    cJSON *document = new_document(e);
    size_t next = root ? root->end : e->marks.root_at;

    place_at(e, root ? root->start : e->marks.root_at);
    if (root && root->end > root->start) {
        e->cut_from = root->start;
        e->cut_to = root->end;
    }
    if (e->at > 0 && e->text[e->at - 1] != '\n' && (unsigned char)e->text[e->at - 1] != 0xBF)
        new_line(e, 0);
    yaml_print_block(e->insert, document, 0, &e->style);
    if (next == e->length || (e->text[next] != '\r' && e->text[next] != '\n'))
        new_line(e, 0);
    cJSON_Delete(document);
}

/* ---- where it is to be done ------------------------------------------------------------------ */

static bool is_nothing(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR && !node->quoted;
}

/* The value of a key. Returns 0, and NULL where there is none; or refuses. */
static int find_member(struct edit *e, const struct yaml_node *map, const char *key,
                       const struct yaml_node **ret_key, const struct yaml_node **ret)
{
    unsigned times;

    *ret = yaml_marks_member(map, key, &times);
    *ret_key = NULL;
    for (size_t i = 0; i + 1 < map->n; i += 2)
        if (map->child[i + 1] == *ret)
            *ret_key = map->child[i];
    return times < 2 ? 0
                     : refuse(e->why, "line %zu: \"%s\" is there twice", (*ret_key)->line + 1, key);
}

static int refuse_alias(struct edit *e, const struct yaml_node *node, const char *what)
{
    return refuse(e->why, "line %zu: %s is an alias, *%s, and what that stands for is others', too",
                  node->line + 1, what, node->text);
}

static int set_member(struct edit *e, const struct yaml_node *part)
{
    const struct yaml_node *key, *node;

    if (part->kind == YAML_ALIAS)
        return refuse_alias(e, part, e->place->part);
    if (part->kind != YAML_MAP)
        return refuse(e->why, "line %zu: %s is no map", part->line + 1, e->place->part);
    int r = find_member(e, part, e->place->member, &key, &node);
    if (r == 0 && node)
        replace(e, part, key, node, e->value);
    else if (r == 0)
        add_key(e, part, e->place->member, e->value);
    return r;
}

static int set_part(struct edit *e, const struct yaml_node *entry)
{
    const struct yaml_node *key, *part;

    if (entry->kind == YAML_ALIAS)
        return refuse_alias(e, entry, "the entry");
    if (entry->kind != YAML_MAP)
        return refuse(e->why, "line %zu: the entry is no map", entry->line + 1);
    int r = find_member(e, entry, e->place->part, &key, &part);
    if (r)
        return r;
    if (part && e->place->member)
        return set_member(e, part);
    if (part)
        replace(e, entry, key, part, e->value);
    else
        add_key(e, entry, e->place->part, e->value);
    return 0;
}

static int set_in_list(struct edit *e, const cJSON *was)
{
    const struct yaml_node *root = e->marks.root, *key, *list;
    int i = index_of(was, e->place->list, e->place->name);
    cJSON *all = cJSON_GetObjectItemCaseSensitive(was, e->place->list);
    cJSON *added = NULL;

    int r = find_member(e, root, e->place->list, &key, &list);
    if (r)
        return r;
    if (list && list->kind == YAML_ALIAS)
        return refuse_alias(e, list, e->place->list);
    if (list && list->kind == YAML_LIST && (int)list->n != cJSON_GetArraySize(all))
        return refuse(e->why, "line %zu: %s is not what it seems", list->line + 1, e->place->list);
    if (list && list->kind == YAML_LIST && i >= 0)
        return set_part(e, list->child[i]);
    if (!list || is_nothing(list)) {
        added = new_list(e);
        if (list)
            replace(e, root, key, list, added);
        else
            add_key(e, root, e->place->list, added);
    } else {
        added = new_entry(e);
        add_item(e, root, list, key, added);
    }
    cJSON_Delete(added);
    return 0;
}

/* ---- the new text ---------------------------------------------------------------------------- */

/* Whether an anchor that goes is named by what stays. */
static bool is_named(const struct yaml_node *node, const struct edit *e, const char *anchor)
{
    if (node->kind == YAML_ALIAS && strcmp(node->text, anchor) == 0 && node->start >= e->cut_to)
        return true;
    for (size_t i = 0; i < node->n; i++)
        if (is_named(node->child[i], e, anchor))
            return true;
    return false;
}

static int check_anchors(struct edit *e, const struct yaml_node *node)
{
    int r = 0;

    if (node->anchor && node->start >= e->cut_from && node->end <= e->cut_to &&
        is_named(e->marks.root, e, node->anchor))
        return refuse(e->why, "line %zu: &%s stands in what is replaced, and is used elsewhere",
                      node->line + 1, node->anchor);
    for (size_t i = 0; i < node->n && r == 0; i++)
        r = check_anchors(e, node->child[i]);
    return r;
}

static char *join(const struct edit *e, size_t *ret_length)
{
    size_t end = e->at > e->cut_to ? e->at : e->cut_to;
    char *out = malloc(e->length + e->inserted_length + 1);
    char *p = out;

    if (!out)
        return NULL;
    p = mempcpy(p, e->text, e->cut_from < e->at ? e->cut_from : e->at);
    if (e->at < e->cut_from)
        p = mempcpy(p, e->inserted, e->inserted_length);
    if (e->at < e->cut_from)
        p = mempcpy(p, e->text + e->at, e->cut_from - e->at);
    if (e->at > e->cut_to)
        p = mempcpy(p, e->text + e->cut_to, e->at - e->cut_to);
    if (e->at >= e->cut_from)
        p = mempcpy(p, e->inserted, e->inserted_length);
    p = mempcpy(p, e->text + end, e->length - end);
    *p = '\0';
    *ret_length = (size_t)(p - out);
    return out;
}

/* Whether just that has changed. */
static bool is_right(const struct edit *e, const struct yaml_tree *was, const char *text,
                     size_t length)
{
    char why[KUBECONFIG_EDIT_WORDS_MAX];
    struct yaml_tree is;

    if (kubeconfig_edit_read(text, length, &is, why) < 0)
        return false;
    cJSON *expected = expect(e, was->root);
    bool right = cJSON_Compare(expected, is.root, true) &&
                 is.documents == (was->documents ? was->documents : 1);
    cJSON_Delete(expected);
    yaml_tree_free(&is);
    return right;
}

/* One way to do it. */
static int attempt(struct edit *e, const struct yaml_tree *was, char **ret_text, size_t *ret_length)
{
    struct yaml_node *root = e->marks.root;
    int r = 0;

    e->cut_from = e->cut_to = 0;
    e->inserted = NULL;
    e->insert = open_memstream(&e->inserted, &e->inserted_length);
    if (!e->insert)
        return -ENOMEM;
    if (!root || cJSON_IsNull(was->root))
        put_document(e);
    else
        r = set_in_list(e, was->root);
    if (e->cut_to == 0)
        e->cut_from = e->cut_to = e->at;
    fclose(e->insert);
    if (r == 0 && root)
        r = check_anchors(e, root);
    if (r == 0) {
        *ret_text = join(e, ret_length);
        r = !*ret_text ? -ENOMEM : is_right(e, was, *ret_text, *ret_length) ? 0 : -EAGAIN;
    }
    free(e->inserted);
    if (r)
        free(*ret_text);
    if (r)
        *ret_text = NULL;
    return r;
}

static int edit_text(struct edit *e, const struct yaml_tree *was, char **ret_text,
                     size_t *ret_length)
{
    int r = yaml_marks_read(e->text, e->length, &e->marks);

    if (r == -ENOMEM)
        return r;
    if (r)
        return refuse(e->why, "a word before a comma or bracket ends with a colon");
    find_style(e);
    r = attempt(e, was, ret_text, ret_length);
    e->at_front = true;
    if (r == -EAGAIN)
        r = attempt(e, was, ret_text, ret_length);
    yaml_marks_free(&e->marks);
    return r == -EAGAIN ? refuse(e->why, "%s \"%s\" cannot be changed without changing more",
                                 e->place->part, e->place->name)
                        : r;
}

int kubeconfig_edit_set(const char *text, size_t length, const struct kubeconfig_place *place,
                        const cJSON *value, char **ret_text, size_t *ret_length, char *why)
{
    struct edit e = { .text = text, .length = length, .place = place, .value = value, .why = why };
    struct yaml_tree was;

    *ret_text = NULL;
    int r = kubeconfig_edit_read(text, length, &was, why);
    if (r < 0)
        return r;
    const cJSON *is = cJSON_GetObjectItemCaseSensitive(
        kubeconfig_edit_entry(was.root, place->list, place->name), place->part);
    if (place->member)
        is = cJSON_GetObjectItemCaseSensitive(is, place->member);
    r = is && cJSON_Compare(is, value, true) ? -EALREADY
                                             : edit_text(&e, &was, ret_text, ret_length);
    yaml_tree_free(&was);
    return r;
}
