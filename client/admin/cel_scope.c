#define _GNU_SOURCE
#include "client/admin/cel_scope.h"

#include <stdio.h>
#include <string.h>

bool cel_is_any(const char *name, const char *const names[])
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

const char *cel_variable_name(enum cel_variable variable)
{
    return variable == CEL_USER ? "user" : "claims";
}

const struct cel_scope *cel_bound(const struct cel_scope *scope, const char *name)
{
    while (scope && strcmp(scope->name, name) != 0)
        scope = scope->outer;
    return scope;
}

bool cel_is_variable(const struct cel *cel, const struct cel_node *node,
                     const struct cel_scope *scope)
{
    return node->kind == CEL_IDENT && strcmp(node->name, cel_variable_name(cel->variable)) == 0 &&
           !cel_bound(scope, node->name);
}

/* Functions of others: optional.of(x) is one name. */
bool cel_is_namespace(const struct cel_node *node)
{
    static const char *const names[] = { "optional", "sets", "lists",      "ip",  "format",
                                         "google",   "net",  "kubernetes", "k8s", NULL };

    while (node->kind == CEL_SELECT)
        node = node->children;
    return node->kind == CEL_IDENT && cel_is_any(node->name, names);
}

/* How many variables a macro makes; 0 where the call is none. The first child is its target. */
unsigned cel_macro_variables(const struct cel_node *node)
{
    static const char *const one[] = { "all",    "exists", "exists_one", "existsOne", "map",
                                       "filter", "optMap", "optFlatMap", "sortBy",    NULL };
    static const char *const two[] = {
        "all",           "exists",       "exists_one",        "existsOne",
        "transformList", "transformMap", "transformMapEntry", NULL
    };
    unsigned n = 0;

    if (node->kind != CEL_CALL || !node->has_target)
        return 0;
    if (node->n == 3 && cel_is_any(node->name, one))
        n = 1;
    else if (node->n == 4)
        n = strcmp(node->name, "map") == 0 ? 1 : cel_is_any(node->name, two) ? 2 : 0;
    else if (node->n == 5 && strncmp(node->name, "transform", 9) == 0)
        n = 2;
    const struct cel_node *variable = node->children->next;
    for (unsigned i = 0; i < n; i++, variable = variable->next)
        if (variable->kind != CEL_IDENT)
            return 0;
    return n;
}

/* The first child that a macro evaluates with its variables. */
const struct cel_node *cel_macro_body(const struct cel_node *node, unsigned n)
{
    const struct cel_node *body = node->children->next;

    while (n-- > 0)
        body = body->next;
    return body;
}

void cel_enter_macro(const struct cel_node *node, unsigned n, const struct cel_scope *outer,
                     struct cel_scope ret[2])
{
    const struct cel_node *variable = node->children->next;

    ret[0] = (struct cel_scope){ variable->name, NULL, outer };
    if (n == 2)
        ret[1] = (struct cel_scope){ variable->next->name, NULL, &ret[0] };
}

bool cel_is_has(const struct cel_node *node)
{
    return node->kind == CEL_CALL && !node->has_target && node->n == 1 &&
           strcmp(node->name, "has") == 0;
}

const cJSON *cel_member(const cJSON *object, const char *name)
{
    const cJSON *member, *found = NULL;

    if (name && cJSON_IsObject(object))
        cJSON_ArrayForEach (member, object)
            if (strcmp(member->string, name) == 0)
                found = member;
    return found;
}

/* a__dot__b is the claim a.b, by the rules of Kubernetes. Returns false for an escape that there
 * is not. */
static bool unescape(const char *name, char *out, size_t size)
{
    static const struct {
        const char *escaped, *meant;
    } all[] = {
        { "__underscores__", "__" }, { "__dot__", "." }, { "__dash__", "-" }, { "__slash__", "/" }
    };
    size_t used = 0;

    while (*name && used + 3 < size) {
        size_t between = strncmp(name, "__", 2) == 0 ? strcspn(name + 2, "_") : 0, i = 0;
        if (between == 0 || strncmp(name + 2 + between, "__", 2) != 0) {
            out[used++] = *name++;
            continue;
        }
        while (i < 4 && strncmp(name, all[i].escaped, strlen(all[i].escaped)) != 0)
            i++;
        if (i == 4)
            return false;
        used += (size_t)snprintf(out + used, size - used, "%s", all[i].meant);
        name += strlen(all[i].escaped);
    }
    out[used] = '\0';
    return true;
}

/* The name by which a node selects: .name, or ['name']; NULL for anything else. */
const char *cel_selected_name(const struct cel_node *node)
{
    const struct cel_node *index;

    if (node->kind == CEL_SELECT)
        return node->name;
    index = node->kind == CEL_INDEX ? node->children->next : NULL;
    return index && index->kind == CEL_LITERAL && cJSON_IsString(index->value)
               ? index->value->valuestring
               : NULL;
}

const cJSON *cel_find_member(const cJSON *object, const char *name)
{
    char meant[256];

    if (strlen(name) >= sizeof meant - 4 || !unescape(name, meant, sizeof meant))
        return NULL;
    return cel_member(object, meant);
}
