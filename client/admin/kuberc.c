#define _GNU_SOURCE
#include "client/admin/kuberc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

bool kuberc_path(char *out, unsigned size, bool *ret_named)
{
    const char *file = getenv("KUBERC"), *home = getenv("HOME"), *gate = getenv("KUBECTL_KUBERC");

    *ret_named = false;
    if (gate && strcasecmp(gate, "false") == 0)
        return false;
    if (file && *file) {
        snprintf(out, size, "%s", file);
        return *ret_named = strcmp(file, "off") != 0;
    }
    snprintf(out, size, "%s/.kube/kuberc", home ? home : "");
    return home != NULL;
}

/* ---- what a node is -------------------------------------------------------------------------- */

static bool looks_like_a_number(const char *text)
{
    char *end;

    strtod(text, &end);
    return *text && !*end;
}

/* As YAML 1.1 reads a scalar without quotes. */
static bool is_null(const yaml_node_t *node)
{
    const char *text = node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "x";

    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

/* What it is as a text, "" for null; NULL where it is something else. */
static const char *as_text(const yaml_node_t *node)
{
    static const char *const bools[] = { "true", "false", "yes", "no", "on", "off" };

    if (!node || is_null(node))
        return "";
    if (node->type != YAML_SCALAR_NODE)
        return NULL;
    const char *text = (const char *)node->data.scalar.value;
    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return text;
    for (size_t i = 0; i < sizeof bools / sizeof *bools; i++)
        if (strcasecmp(text, bools[i]) == 0)
            return NULL;
    return looks_like_a_number(text) ? NULL : text;
}

/* The value of a key of a mapping, the last one if it is there twice, or NULL. */
static yaml_node_t *member(yaml_document_t *doc, const yaml_node_t *map, const char *key)
{
    yaml_node_t *found = NULL;

    if (!map || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        const char *name = as_text(yaml_document_get_node(doc, p->key));
        if (name && strcmp(name, key) == 0)
            found = yaml_document_get_node(doc, p->value);
    }
    return found;
}

/* ---- a document ------------------------------------------------------------------------------ */

/* The plugin of an entry: command, or name as in 1.35. Returns false where it is no entry. */
static bool read_entry(yaml_document_t *doc, const yaml_node_t *entry, char out[KUBERC_TEXT_MAX])
{
    const char *command = as_text(member(doc, entry, "command"));
    const char *name = as_text(member(doc, entry, "name"));

    out[0] = '\0';
    if (is_null(entry))
        return true;
    if (entry->type != YAML_MAPPING_NODE || !command || !name)
        return false;
    if (*command && *name && strcmp(command, name) != 0)
        return false;
    snprintf(out, KUBERC_TEXT_MAX, "%s", *command ? command : name);
    return true;
}

static bool read_list(yaml_document_t *doc, const yaml_node_t *list, struct kuberc *ret)
{
    if (!list || is_null(list))
        return true;
    if (list->type != YAML_SEQUENCE_NODE)
        return false;
    ret->has_list = true;
    for (yaml_node_item_t *i = list->data.sequence.items.start;
         i < list->data.sequence.items.top && ret->n < KUBERC_ENTRIES_MAX; i++)
        if (!read_entry(doc, yaml_document_get_node(doc, *i), ret->entries[ret->n++]))
            return false;
    return true;
}

/* Returns whether kubectl can use it. */
static bool read_document(yaml_document_t *doc, struct kuberc *ret)
{
    static const char group[] = "kubectl.config.k8s.io/";
    const yaml_node_t *root = yaml_document_get_root_node(doc);
    const char *version = as_text(member(doc, root, "apiVersion"));
    const char *kind = as_text(member(doc, root, "kind"));
    const char *policy = as_text(member(doc, root, "credentialPluginPolicy"));

    *ret = (struct kuberc){ .n = 0 };
    if (!version || !kind || strncmp(version, group, sizeof group - 1) != 0 ||
        strcmp(kind, "Preference") != 0)
        return false;
    version += sizeof group - 1;
    if (strcmp(version, "v1alpha1") == 0) /* which knows no policy */
        return true;
    if (strcmp(version, "v1beta1") != 0 || !policy)
        return false;
    ret->counts = true;
    snprintf(ret->policy, sizeof ret->policy, "%s", policy);
    return read_list(doc, member(doc, root, "credentialPluginAllowlist"), ret);
}

/* ---- the file -------------------------------------------------------------------------------- */

static unsigned lines_in(const char *text, size_t length)
{
    unsigned n = 0;

    for (size_t i = 0; i < length; i++)
        n += text[i] == '\n';
    return n;
}

/* Parses one document by itself, so that an error in it is none of the next. Returns whether
 * kubectl can use it; *ret_line is that of an error, within it. */
static bool parse(const char *text, size_t length, struct kuberc *ret, unsigned *ret_line)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    bool good = false;

    *ret_line = 0;
    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    if (yaml_parser_load(&parser, &doc)) {
        good = read_document(&doc, ret);
        yaml_document_delete(&doc);
    } else {
        /* of a text without a last newline libyaml names the line behind it */
        unsigned last = lines_in(text, length), at = (unsigned)parser.problem_mark.line;
        *ret_line = (at < last ? at : last) + 1;
    }
    yaml_parser_delete(&parser);
    return good;
}

/* The length of the document that begins there; *ret_next: with the line "---" behind it. */
static size_t document_length(const char *text, size_t *ret_next)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        bool ends = strncmp(line, "---", 3) == 0 && 3 + strspn(line + 3, " \t\r") == length;
        const char *next = line + length + (line[length] == '\n');
        if (ends) {
            *ret_next = (size_t)(next - text);
            return (size_t)(line - text);
        }
        line = next;
    }
    *ret_next = strlen(text);
    return strlen(text);
}

int kuberc_parse(const char *text, struct kuberc *ret, unsigned *ret_line)
{
    unsigned before = 0, line;
    size_t next;

    *ret = (struct kuberc){ .n = 0 };
    *ret_line = 0;
    if (!*text)
        return 0;
    for (const char *at = text; *at; at += next) {
        size_t length = document_length(at, &next);
        if (parse(at, length, ret, &line))
            return 0;
        if (line && !*ret_line)
            *ret_line = before + line;
        before += lines_in(at, next);
    }
    *ret = (struct kuberc){ .n = 0 };
    return -EBADMSG;
}

int kuberc_read(const char *path, struct kuberc *ret, unsigned *ret_line)
{
    *ret = (struct kuberc){ .n = 0 };
    *ret_line = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    char *text = malloc(KUBERC_FILE_MAX + 1);
    if (!text) {
        fclose(f);
        return -ENOMEM;
    }
    size_t n = fread(text, 1, KUBERC_FILE_MAX, f);
    int r = ferror(f) ? -EIO : 0; /* a folder */
    fclose(f);
    text[n] = '\0';
    if (r == 0)
        r = kuberc_parse(text, ret, ret_line);
    free(text);
    return r;
}

/* Go's filepath.Clean() would change it. */
static bool is_not_clean(const char *path)
{
    size_t length = strlen(path);

    if (!strchr(path, '/'))
        return false;
    if (strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../") ||
        strncmp(path, "./", 2) == 0 || (length > 1 && path[length - 1] == '/'))
        return true;
    const char *last = strrchr(path, '/') + 1;
    return strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

const char *kuberc_fatal(const struct kuberc *rc)
{
    bool listing = strcmp(rc->policy, "Allowlist") == 0;

    if (!rc->counts)
        return NULL;
    if (!listing && *rc->policy && strcmp(rc->policy, "AllowAll") != 0 &&
        strcmp(rc->policy, "DenyAll") != 0)
        return "there is no policy of that name";
    if (listing && !rc->has_list)
        return "Allowlist without credentialPluginAllowlist";
    if (listing && rc->n == 0)
        return "credentialPluginAllowlist is empty";
    if (!listing && rc->has_list)
        return "credentialPluginAllowlist without the policy Allowlist";
    for (unsigned i = 0; i < rc->n; i++) {
        if (!*rc->entries[i])
            return "an entry of credentialPluginAllowlist is empty";
        if (is_not_clean(rc->entries[i]))
            return "a path of credentialPluginAllowlist has . or .. or // in it";
    }
    return NULL;
}
