#define _GNU_SOURCE
#include "client/admin/kubeconfig_mask.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/admin/yaml_marks.h"

enum { DEPTH_MAX = 60 };

struct mask {
    const char *text;
    size_t length;
    bool *covered; /* by byte */
    struct yaml_marks marks;
};

static void cover(struct mask *m, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < m->length; i++)
        m->covered[i] = true;
}

/* ---- what is harmless ------------------------------------------------------------------------ */

static bool is_harmless(const char *key)
{
    static const char *const keys[] = {
        "apiVersion",
        "args",
        "as",
        "as-groups",
        "as-uid",
        "auth-provider",
        "client-id",
        "command",
        "client-certificate",
        "client-key",
        "config",
        "exec",
        "env",
        "extra-scopes",
        "idp-certificate-authority",
        "idp-issuer-url",
        "installHint",
        "interactiveMode",
        "name",
        "provideClusterInfo",
        "tokenFile",
        "user",
        "username",
    };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

/* An option that is followed by a secret. */
static bool names_a_secret(const char *arg, size_t length)
{
    static const char *const words[] = { "secret", "password", "passwd", "token", "key" };

    if (length < 2 || arg[0] != '-' || memchr(arg, ' ', length))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (size_t at = 0; at + strlen(words[i]) <= length; at++)
            if (strncasecmp(arg + at, words[i], strlen(words[i])) == 0)
                return true;
    return false;
}

/* user:password@host */
static bool has_user_info(const char *text)
{
    const char *slashes = strstr(text, "://");
    return slashes && memchr(slashes + 3, '@', strcspn(slashes + 3, "/?# "));
}

/* ---- going through it ------------------------------------------------------------------------ */

static const struct yaml_node *find_anchor(const struct yaml_node *node, const char *name)
{
    const struct yaml_node *found = NULL;

    if (node->anchor && strcmp(node->anchor, name) == 0)
        return node;
    for (size_t i = 0; i < node->n && !found; i++)
        found = find_anchor(node->child[i], name);
    return found;
}

static void cover_in(struct mask *m, const struct yaml_node *node, bool harmless, bool are_args,
                     unsigned depth);

/* --password=X, or --password and then X. */
static void cover_args(struct mask *m, const struct yaml_node *list, unsigned depth)
{
    bool next = false;

    for (size_t i = 0; i < list->n; i++) {
        const struct yaml_node *arg = list->child[i];
        const char *text = arg->kind == YAML_SCALAR ? arg->text : "";
        size_t name = strcspn(text, "=");
        cover_in(m, arg, !next, false, depth);
        next = names_a_secret(text, name) && !text[name];
        if (!text[name] || !names_a_secret(text, name))
            continue;
        const char *equals = memchr(m->text + arg->start, '=', arg->end - arg->start);
        cover(m, equals ? (size_t)(equals - m->text) + 1 : arg->start, arg->end);
    }
}

static void cover_in(struct mask *m, const struct yaml_node *node, bool harmless, bool are_args,
                     unsigned depth)
{
    if (depth > DEPTH_MAX)
        return;
    if (node->kind == YAML_ALIAS)
        node = find_anchor(m->marks.root, node->text);
    if (!node)
        return;
    if (node->kind == YAML_SCALAR && (!harmless || has_user_info(node->text)))
        cover(m, node->start, node->end);
    if (node->kind == YAML_LIST && are_args)
        cover_args(m, node, depth + 1);
    else if (node->kind == YAML_LIST)
        for (size_t i = 0; i < node->n; i++)
            cover_in(m, node->child[i], harmless, false, depth + 1);
    if (node->kind != YAML_MAP)
        return;
    for (size_t i = 0; i + 1 < node->n; i += 2) {
        const char *key = node->child[i]->kind == YAML_SCALAR ? node->child[i]->text : "";
        bool merges = strcmp(key, "<<") == 0;
        cover_in(m, node->child[i + 1], merges || is_harmless(key), strcmp(key, "args") == 0,
                 depth + 1);
    }
}

/* Users, wherever they are; what others may have as theirs by an alias, also when that is no longer
 * so; and a password in the URL of somebody's proxy. */
static void cover_all(struct mask *m, const struct yaml_node *node)
{
    if (node->kind == YAML_SCALAR && (node->anchor || has_user_info(node->text)))
        cover(m, node->start, node->end);
    for (size_t i = 0; i < node->n; i++)
        cover_all(m, node->child[i]);
    if (node->kind != YAML_MAP)
        return;
    for (size_t i = 0; i + 1 < node->n; i += 2)
        if (node->child[i]->kind == YAML_SCALAR && strcmp(node->child[i]->text, "users") == 0)
            cover_in(m, node->child[i + 1], false, false, 0);
}

/* Keys that kubectl does not know hold what others name. */
static void cover_unknown(struct mask *m)
{
    static const char *const known[] = { "apiVersion",      "clusters", "contexts",
                                         "current-context", "kind",     "extensions",
                                         "preferences" };
    const struct yaml_node *root = m->marks.root;

    for (size_t i = 0; root->kind == YAML_MAP && i + 1 < root->n; i += 2) {
        const char *key = root->child[i]->kind == YAML_SCALAR ? root->child[i]->text : "";
        bool is_known = false;
        for (size_t j = 0; j < sizeof known / sizeof *known; j++)
            is_known = is_known || strcmp(key, known[j]) == 0;
        if (!is_known)
            cover_in(m, root->child[i + 1], false, false, 0);
    }
}

/* ---- the text -------------------------------------------------------------------------------- */

static char *print(const struct mask *m)
{
    char *out;
    size_t size;
    bool said = false; /* in this line, of this piece */

    FILE *f = open_memstream(&out, &size);
    if (!f)
        return NULL;
    for (size_t i = 0; i < m->length; i++) {
        char c = m->text[i];
        bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (c == '\n' || !m->covered[i])
            said = false;
        if (!m->covered[i] || (blank && !said)) {
            fputc(c, f);
        } else if (!said) {
            fputs("***", f);
            said = true;
        }
    }
    return fclose(f) == 0 ? out : NULL;
}

char *kubeconfig_mask(const char *text, size_t length)
{
    struct mask m = { .text = text, .length = length };
    char *out = NULL;

    if (yaml_marks_read(text, length, &m.marks) < 0)
        return NULL;
    m.covered = calloc(length + 1, 1);
    if (m.covered && m.marks.root) {
        cover_all(&m, m.marks.root);
        cover_unknown(&m);
        if (m.marks.documents > 1) /* not looked into */
            cover(&m, m.marks.root->end, length);
    }
    if (m.covered)
        out = print(&m);
    free(m.covered);
    yaml_marks_free(&m.marks);
    return out;
}
