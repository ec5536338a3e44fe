#define _GNU_SOURCE
#include "client/admin/cel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/cel_scope.h"

/* ---- what does not compile ------------------------------------------------------------------- */

/* What a claim is is "any", which is not all that "dyn" is. */
enum type {
    UNKNOWN,
    DYN,
    ANY,
    OPTIONAL_DYN,
    OPTIONAL_ANY,
    BOOL,
    INT,
    UINT,
    DOUBLE,
    TEXT,
    BYTES,
    NONE,
    LIST,
    MAP
};

static const char *const type_names[] = { "?",
                                          "dyn",
                                          "any",
                                          "optional_type(dyn)",
                                          "optional_type(any)",
                                          "bool",
                                          "int",
                                          "uint",
                                          "double",
                                          "string",
                                          "bytes",
                                          "null",
                                          "list",
                                          "map" };

struct checker {
    const struct cel *cel;
    bool failed;
    char *why;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void refuse(struct checker *c, const char *format, ...)
{
    va_list ap;

    if (c->failed)
        return;
    c->failed = true;
    va_start(ap, format);
    vsnprintf(c->why, c->size, format, ap);
    va_end(ap);
}

/* Whether it is one of the words, which have a blank on each side. */
static bool is_word_of(const char *words, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = words; (at = strstr(at, name)); at += length)
        if (at[-1] == ' ' && at[length] == ' ')
            return true;
    return false;
}

/* All that Kubernetes 1.36 gives to expressions. */
static bool is_known_function(const struct cel_node *call)
{
    static const char global[] =
        " has size int uint double string bytes bool dyn type duration timestamp matches quantity "
        "isQuantity url isURL ip isIP cidr isCIDR semver isSemver ";
    static const char member[] =
        " size contains endsWith startsWith matches getFullYear getMonth getDayOfYear "
        "getDayOfMonth getDate getDayOfWeek getHours getMinutes getSeconds getMilliseconds charAt "
        "indexOf lastIndexOf lowerAscii replace split substring trim upperAscii format join "
        "reverse quote slice flatten sort sortBy distinct range first last isSorted sum min max "
        "find findAll getScheme getHost getHostname getPort getEscapedPath getQuery family "
        "isCanonical isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast "
        "isGlobalUnicast containsIP containsCIDR prefixLength masked ip sign isGreaterThan "
        "isLessThan compareTo asApproximateFloat asInteger isInteger add sub major minor patch "
        "validate path group serviceAccount resource subresource namespace name check errored "
        "error allowed reason fieldSelector labelSelector or orValue value hasValue optMap "
        "optFlatMap unwrapOpt all exists exists_one existsOne map filter transformList "
        "transformMap transformMapEntry ";

    if (!call->has_target)
        return is_word_of(global, call->name);
    return is_word_of(member, call->name) || cel_is_namespace(call->children);
}

static void check_ident(struct checker *c, const struct cel_node *node,
                        const struct cel_scope *scope)
{
    static const char *const types[] = { "bool", "bytes", "double",        "int",  "list",
                                         "map",  "null",  "string",        "type", "uint",
                                         "dyn",  "any",   "optional_type", NULL };

    if (cel_is_variable(c->cel, node, scope) || cel_bound(scope, node->name) ||
        cel_is_any(node->name, types) || cel_is_namespace(node))
        return;
    refuse(c, "undeclared reference to '%s'", node->name);
}

static void check_user_field(struct checker *c, const struct cel_node *node,
                             const struct cel_scope *scope)
{
    static const char *const fields[] = { "username", "uid", "groups", "extra", NULL };
    const struct cel_node *target = node->children;

    if (c->cel->variable != CEL_USER)
        return;
    if (cel_is_variable(c->cel, target, scope)) {
        if (!cel_is_any(node->name, fields))
            refuse(c, "undefined field '%s'", node->name);
    } else if (target->kind == CEL_SELECT && cel_is_variable(c->cel, target->children, scope) &&
               strcmp(target->name, "extra") != 0 && !target->optional) {
        refuse(c, "type '%s' does not support field selection",
               strcmp(target->name, "groups") == 0 ? "list(string)" : "string");
    }
}

static enum type type_of(struct checker *c, const struct cel_node *node,
                         const struct cel_scope *scope);

static bool is_concrete(enum type t)
{
    return t >= BOOL;
}

static bool is_number(enum type t)
{
    return t == INT || t == UINT || t == DOUBLE;
}

static void no_overload(struct checker *c, const char *name, enum type a, enum type b)
{
    refuse(c, "found no matching overload for '_%s_' applied to '(%s, %s)'", name, type_names[a],
           type_names[b]);
}

static enum type arithmetic(struct checker *c, const char *name, enum type a, enum type b)
{
    static const enum type never[] = { BOOL, MAP };
    bool plus = *name == '+';

    if (a == NONE || b == NONE) /* a time may be null */
        return UNKNOWN;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (a == never[i] || b == never[i])
            no_overload(c, name, a, b);
    if (!plus && (a == TEXT || b == TEXT || a == LIST || b == LIST || a == BYTES || b == BYTES))
        no_overload(c, name, a, b);
    if (*name == '%' && (a == DOUBLE || b == DOUBLE))
        no_overload(c, name, a, b);
    if (is_concrete(a) && is_concrete(b) && a != b)
        no_overload(c, name, a, b);
    return is_concrete(a) ? a : is_concrete(b) ? b : UNKNOWN;
}

static enum type comparison(struct checker *c, const char *name, enum type a, enum type b)
{
    bool order = *name == '<' || *name == '>';

    if (order && (a == NONE || b == NONE))
        return BOOL;
    if (order && (a == LIST || b == LIST || a == MAP || b == MAP))
        no_overload(c, name, a, b);
    if (is_concrete(a) && is_concrete(b) && a != b && !(order && is_number(a) && is_number(b)))
        no_overload(c, name, a, b);
    return BOOL;
}

static enum type binary_type(struct checker *c, const struct cel_node *node,
                             const struct cel_scope *scope)
{
    enum type a = type_of(c, node->children, scope);
    enum type b = type_of(c, node->children->next, scope);
    const char *name = node->name;

    if (strcmp(name, "&&") == 0 || strcmp(name, "||") == 0) {
        if ((is_concrete(a) && a != BOOL) || (is_concrete(b) && b != BOOL))
            no_overload(c, name, a, b);
        return BOOL;
    }
    if (strcmp(name, "in") == 0) {
        if (is_concrete(b) && b != LIST && b != MAP)
            refuse(c, "found no matching overload for '@in' applied to '(%s, %s)'", type_names[a],
                   type_names[b]);
        return BOOL;
    }
    if (strchr("+-*/%", *name))
        return arithmetic(c, name, a, b);
    return comparison(c, name, a, b);
}

static enum type literal_type(const struct cel_node *node)
{
    static const enum type numbers[] = { UNKNOWN, INT, UINT, DOUBLE };

    return node->number                  ? numbers[node->number]
           : cJSON_IsString(node->value) ? TEXT
           : cJSON_IsBool(node->value)   ? BOOL
           : cJSON_IsNull(node->value)   ? NONE
                                         : UNKNOWN;
}

/* All of one type, where it is a list that is written out: any is one of its own. */
static enum type list_type(struct checker *c, const struct cel_node *node,
                           const struct cel_scope *scope)
{
    enum type first = UNKNOWN;

    for (const struct cel_node *item = node->children; item; item = item->next) {
        enum type t = type_of(c, item, scope);
        bool plain = t != UNKNOWN;
        if (item == node->children)
            first = plain ? t : UNKNOWN;
        else if (plain && first != UNKNOWN && t != first && !node->optional)
            refuse(c, "expected type '%s' but found '%s'", type_names[first], type_names[t]);
    }
    return LIST;
}

static enum type macro_type(struct checker *c, const struct cel_node *node, unsigned n,
                            const struct cel_scope *scope)
{
    static const char *const booleans[] = { "all", "exists", "exists_one", "existsOne", NULL };
    static const char *const lists[] = { "map", "filter", "transformList", NULL };
    struct cel_scope inner[2];
    bool boolean = cel_is_any(node->name, booleans), list = cel_is_any(node->name, lists);

    enum type target = type_of(c, node->children, scope);
    if ((boolean || list) && (is_concrete(target) || target == ANY) && target != LIST &&
        target != MAP)
        refuse(c,
               "expression of type '%s' cannot be range of a comprehension (must be list, map, "
               "or dynamic)",
               type_names[target]);
    cel_enter_macro(node, n, scope, inner);
    for (const struct cel_node *body = cel_macro_body(node, n); body; body = body->next) {
        enum type t = type_of(c, body, &inner[n - 1]);
        if (boolean && is_concrete(t) && t != BOOL)
            refuse(c, "found no matching overload: %s() wants a condition, not %s", node->name,
                   type_names[t]);
    }
    return boolean ? BOOL : list ? LIST : UNKNOWN;
}

static const struct {
    const char *name;
    enum type type;
    bool of_text; /* nothing but a string has it */
} functions[] = {
    { "startsWith", BOOL, true }, { "endsWith", BOOL, true },    { "matches", BOOL, true },
    { "contains", BOOL, true },   { "lowerAscii", TEXT, true },  { "upperAscii", TEXT, true },
    { "trim", TEXT, true },       { "replace", TEXT, true },     { "substring", TEXT, true },
    { "charAt", TEXT, true },     { "split", LIST, true },       { "find", TEXT, true },
    { "findAll", LIST, true },    { "hasValue", BOOL, false },   { "size", INT, false },
    { "indexOf", INT, false },    { "lastIndexOf", INT, false }, { "join", TEXT, false },
};

/* Of a claim that may be missing: claims.?x.orValue('y') is of the claim's type, whatever y is. */
static enum type optional_call_type(const char *name, enum type target)
{
    bool yields = strcmp(name, "orValue") == 0 || strcmp(name, "value") == 0;

    return !yields                  ? UNKNOWN
           : target == OPTIONAL_ANY ? ANY
           : target == OPTIONAL_DYN ? DYN
                                    : UNKNOWN;
}

static enum type member_call_type(struct checker *c, const struct cel_node *node, enum type target,
                                  enum type argument)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, node->name) == 0) {
            bool tests = functions[i].of_text && functions[i].type == BOOL;
            if (functions[i].of_text && is_concrete(target) && target != TEXT)
                refuse(c, "found no matching overload for '%s' applied to '%s'", node->name,
                       type_names[target]);
            if (tests && is_concrete(argument) && argument != TEXT)
                refuse(c, "found no matching overload for '%s' applied to '%s.(%s)'", node->name,
                       type_names[target], type_names[argument]);
            return functions[i].type;
        }
    return optional_call_type(node->name, target);
}

static enum type call_type(struct checker *c, const struct cel_node *node,
                           const struct cel_scope *scope)
{
    static const struct {
        const char *name;
        enum type type;
    } conversions[] = { { "string", TEXT }, { "int", INT },   { "double", DOUBLE },
                        { "size", INT },    { "uint", UINT }, { "bool", BOOL },
                        { "dyn", DYN },     { "isIP", BOOL }, { "isURL", BOOL } };
    const struct cel_node *first = node->children;
    bool of_others = node->has_target && cel_is_namespace(first);
    unsigned n = cel_macro_variables(node);

    if (!is_known_function(node))
        refuse(c, "undeclared reference to '%s'", node->name);
    if (!node->has_target && strcmp(node->name, "has") == 0) {
        if (!cel_is_has(node) || first->kind != CEL_SELECT)
            refuse(c, "invalid argument to has() macro");
        else
            type_of(c, first, scope);
        return BOOL;
    }
    if (n > 0)
        return macro_type(c, node, n, scope);
    bool of_sets = of_others && first->kind == CEL_IDENT && strcmp(first->name, "sets") == 0;
    enum type target = UNKNOWN, argument = UNKNOWN;
    for (const struct cel_node *child = of_others ? first->next : first; child;
         child = child->next) {
        argument = type_of(c, child, scope);
        if (of_sets && is_concrete(argument) && argument != LIST)
            refuse(c, "found no matching overload for 'sets.%s' applied to '%s'", node->name,
                   type_names[argument]);
        if (child == first)
            target = argument;
    }
    for (size_t i = 0; !node->has_target && i < sizeof conversions / sizeof *conversions; i++)
        if (strcmp(conversions[i].name, node->name) == 0)
            return conversions[i].type;
    return node->has_target && !of_others
               ? member_call_type(c, node, target, node->n == 2 ? argument : UNKNOWN)
           : of_sets ? BOOL
                     : UNKNOWN;
}

static bool is_extra(const struct checker *c, const struct cel_node *node,
                     const struct cel_scope *scope)
{
    return c->cel->variable == CEL_USER && node->kind == CEL_SELECT && !node->optional &&
           strcmp(node->name, "extra") == 0 && cel_is_variable(c->cel, node->children, scope);
}

static enum type select_type(struct checker *c, const struct cel_node *node,
                             const struct cel_scope *scope)
{
    const struct cel_node *target = node->children;
    enum type t = UNKNOWN;

    if (!cel_is_namespace(node))
        t = type_of(c, target, scope);
    check_user_field(c, node, scope);
    if (is_concrete(t) && t != MAP)
        refuse(c, "type '%s' does not support field selection", type_names[t]);
    if (t == OPTIONAL_ANY || t == OPTIONAL_DYN)
        return OPTIONAL_DYN;
    if (node->optional)
        return c->cel->variable == CEL_USER             ? UNKNOWN
               : cel_is_variable(c->cel, target, scope) ? OPTIONAL_ANY
               : t == ANY || t == DYN                   ? OPTIONAL_DYN
                                                        : UNKNOWN;
    if (cel_is_variable(c->cel, target, scope)) {
        if (c->cel->variable == CEL_CLAIMS)
            return ANY;
        return strcmp(node->name, "groups") == 0  ? LIST
               : strcmp(node->name, "extra") == 0 ? MAP
                                                  : TEXT;
    }
    return t == DYN || t == ANY ? DYN : is_extra(c, target, scope) ? LIST : UNKNOWN;
}

static enum type index_type(struct checker *c, const struct cel_node *node,
                            const struct cel_scope *scope)
{
    enum type t = type_of(c, node->children, scope);
    enum type index = type_of(c, node->children->next, scope);
    bool of_claims = c->cel->variable == CEL_CLAIMS &&
                     cel_is_variable(c->cel, node->children, scope);

    if (is_concrete(t) && t != LIST && t != MAP)
        refuse(c, "found no matching overload for '_[_]' applied to '(%s, %s)'", type_names[t],
               type_names[index]);
    if (of_claims && is_concrete(index) && index != TEXT)
        refuse(c, "found no matching overload for '_[_]' applied to '(map(string, any), %s)'",
               type_names[index]);
    if (t == OPTIONAL_ANY || t == OPTIONAL_DYN)
        return OPTIONAL_DYN;
    if (node->optional)
        return of_claims ? OPTIONAL_ANY : t == ANY || t == DYN ? OPTIONAL_DYN : UNKNOWN;
    return of_claims                            ? ANY
           : t == DYN || t == ANY               ? DYN
           : is_extra(c, node->children, scope) ? LIST
                                                : UNKNOWN;
}

static enum type choice_type(struct checker *c, const struct cel_node *node,
                             const struct cel_scope *scope)
{
    enum type condition = type_of(c, node->children, scope);
    enum type yes = type_of(c, node->children->next, scope);
    enum type no = type_of(c, node->children->next->next, scope);

    if (is_concrete(condition) && condition != BOOL)
        refuse(c, "found no matching overload for '_?_:_' applied to '(%s, %s, %s)'",
               type_names[condition], type_names[yes], type_names[no]);
    if (is_concrete(yes) && is_concrete(no) && yes != no && yes != NONE && no != NONE)
        refuse(c, "found no matching overload for '_?_:_' applied to '(bool, %s, %s)'",
               type_names[yes], type_names[no]);
    bool any = yes == DYN || yes == ANY || no == DYN || no == ANY;
    return yes == no ? yes : any && yes != UNKNOWN && no != UNKNOWN ? DYN : UNKNOWN;
}

static enum type unary_type(struct checker *c, const struct cel_node *node,
                            const struct cel_scope *scope)
{
    enum type t = type_of(c, node->children, scope);
    bool negates = *node->name == '!';

    if (is_concrete(t) && (negates ? t != BOOL : t != INT && t != DOUBLE))
        refuse(c, "found no matching overload for '%s_' applied to '(%s)'", node->name,
               type_names[t]);
    return negates ? BOOL : t;
}

static enum type children_type(struct checker *c, const struct cel_node *node,
                               const struct cel_scope *scope)
{
    for (const struct cel_node *child = node->children; child; child = child->next)
        type_of(c, child, scope);
    return node->kind == CEL_MAP ? MAP : UNKNOWN;
}

/* The type as far as it is certain; what the checker would refuse is refused on the way. */
static enum type type_of(struct checker *c, const struct cel_node *node,
                         const struct cel_scope *scope)
{
    switch (node->kind) {
    case CEL_LITERAL:
        return literal_type(node);
    case CEL_BYTES:
        return BYTES;
    case CEL_IDENT:
        check_ident(c, node, scope);
        return cel_is_variable(c->cel, node, scope) && c->cel->variable == CEL_CLAIMS ? MAP
                                                                                      : UNKNOWN;
    case CEL_SELECT:
        return select_type(c, node, scope);
    case CEL_INDEX:
        return index_type(c, node, scope);
    case CEL_CALL:
        return call_type(c, node, scope);
    case CEL_UNARY:
        return unary_type(c, node, scope);
    case CEL_BINARY:
        return binary_type(c, node, scope);
    case CEL_CHOICE:
        return choice_type(c, node, scope);
    case CEL_LIST:
        return list_type(c, node, scope);
    case CEL_MAP:
    case CEL_MESSAGE:
        return children_type(c, node, scope);
    }
    return UNKNOWN;
}

struct cel *cel_compile(const char *text, enum cel_variable variable, char *why, size_t size)
{
    struct cel *cel = calloc(1, sizeof *cel);
    struct checker c = { .cel = cel, .why = why, .size = size };

    if (!cel) {
        snprintf(why, size, "no memory");
        return NULL;
    }
    cel->variable = variable;
    int r = cel_parse(text, &cel->tree, why, size);
    if (r == 0 && !cel->tree.too_large)
        type_of(&c, cel->tree.root, NULL);
    return r < 0 || c.failed ? cel_free(cel) : cel;
}

struct cel *cel_free(struct cel *cel)
{
    if (cel) {
        cel_tree_free(&cel->tree);
        cJSON_Delete(cel->made);
    }
    free(cel);
    return NULL;
}

bool cel_is_beyond(const struct cel *cel)
{
    return cel->tree.too_large;
}

bool cel_ends_in(const struct cel *cel, const char *function)
{
    const struct cel_node *root = cel->tree.root;

    return !cel->tree.too_large && root->kind == CEL_CALL && root->has_target &&
           strcmp(root->name, function) == 0;
}

enum cel_type cel_type(const struct cel *cel)
{
    struct checker c = { .cel = cel };
    enum type t = cel->tree.too_large ? UNKNOWN : type_of(&c, cel->tree.root, NULL);

    return t == UNKNOWN             ? CEL_UNKNOWN_TYPE
           : t == ANY || t == DYN   ? CEL_ANY_TYPE
           : t == BOOL              ? CEL_BOOLEAN_TYPE
           : t == TEXT              ? CEL_TEXT_TYPE
           : t == LIST || t == NONE ? CEL_LIST_TYPE
                                    : CEL_OTHER_TYPE;
}

/* ---- what it reads --------------------------------------------------------------------------- */

static bool selects(const struct cel *cel, const struct cel_node *node, const char *field)
{
    if (node->kind == CEL_SELECT && node->children->kind == CEL_IDENT &&
        strcmp(node->children->name, cel_variable_name(cel->variable)) == 0 &&
        strcmp(node->name, field) == 0)
        return true;
    for (const struct cel_node *child = node->children; child; child = child->next)
        if (selects(cel, child, field))
            return true;
    return false;
}

bool cel_selects(const struct cel *cel, const char *field)
{
    return !cel->tree.too_large && selects(cel, cel->tree.root, field);
}

/* The value at the end of a chain of names, and the chain itself. */
static const cJSON *follow(const struct cel *cel, const struct cel_node *node, const cJSON *value,
                           char *path, size_t size)
{
    const char *name = cel_selected_name(node);

    if (!name) {
        snprintf(path, size, "%s", cel_variable_name(cel->variable));
        return value;
    }
    value = follow(cel, node->children, value, path, size);
    size_t used = strlen(path);
    bool plain = node->kind == CEL_SELECT || (*name && strspn(name, "abcdefghijklmnopqrstuvwxyz"
                                                                    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                                    "0123456789_") == strlen(name));
    snprintf(path + used, size - used, plain ? ".%s" : "['%s']", name);
    return cel_find_member(value, name);
}

struct description {
    const struct cel *cel;
    const cJSON *value;
    char *out;
    size_t size;
};

static void describe_one(struct description *d, const char *path, const cJSON *value)
{
    enum { SHOWN = 48 };
    size_t used = strlen(d->out), length = strlen(path);
    char *text = value ? cJSON_PrintUnformatted(value) : NULL;

    for (const char *at = d->out; (at = strstr(at, path)); at += length)
        if (at[length] == ' ') { /* it was named before */
            cJSON_free(text);
            return;
        }
    const char *shown = text ? text : d->cel->variable == CEL_USER ? "not known" : "missing";
    if (used < d->size)
        snprintf(d->out + used, d->size - used, "%s%s %.*s%s", used ? ", " : "", path, SHOWN, shown,
                 strlen(shown) > SHOWN ? "..." : "");
    cJSON_free(text);
}

static bool is_chain(const struct cel *cel, const struct cel_node *node,
                     const struct cel_scope *scope)
{
    while (cel_selected_name(node))
        node = node->children;
    if (node->kind == CEL_CALL && !node->has_target && node->n == 1 &&
        strcmp(node->name, "dyn") == 0) /* dyn(claims).email */
        node = node->children;
    return cel_is_variable(cel, node, scope);
}

static void describe(struct description *d, const struct cel_node *node,
                     const struct cel_scope *scope)
{
    char path[256];
    unsigned n = cel_macro_variables(node);
    struct cel_scope inner[2];

    if (cel_selected_name(node) && is_chain(d->cel, node, scope)) {
        const cJSON *value = follow(d->cel, node, d->value, path, sizeof path);
        describe_one(d, path, value);
        return;
    }
    if (node->kind == CEL_BINARY && strcmp(node->name, "in") == 0 &&
        cJSON_IsString(node->children->value) && is_chain(d->cel, node->children->next, scope)) {
        const char *name = node->children->value->valuestring;
        const cJSON *in = follow(d->cel, node->children->next, d->value, path, sizeof path);
        size_t used = strlen(path);
        snprintf(path + used, sizeof path - used, ".%s", name);
        describe_one(d, path, cel_find_member(in, name));
        return;
    }
    if (n > 0)
        cel_enter_macro(node, n, scope, inner);
    for (const struct cel_node *child = node->children; child; child = child->next)
        describe(d, child, n > 0 && child != node->children ? &inner[n - 1] : scope);
}

void cel_describe(const struct cel *cel, const cJSON *value, char *out, size_t size)
{
    struct description d = { .cel = cel, .value = value, .out = out, .size = size };

    out[0] = '\0';
    if (!cel->tree.too_large)
        describe(&d, cel->tree.root, NULL);
}
