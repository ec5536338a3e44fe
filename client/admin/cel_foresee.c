/*
 * What an expression can end in: each node yields the set of what is not impossible, and its value
 * where that is known. Of functions only what is the same for every argument is known.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_tree.h"

#include "client/admin/cel_scope.h"

enum {
    ANYTHING = CEL_TRUE | CEL_FALSE | CEL_OTHER | CEL_FAILS,
    TEXT_MAX = 65536,
    STEPS_MAX = 20000,
    ITEMS_MAX = 500
};

static const double EXACT = 9007199254740992.0; /* 2^53 */

static const char no_key[] = "no such key: ", no_overload[] = "no such overload";

struct value {
    unsigned may;
    const cJSON *json;      /* what it is, where that is known */
    enum cel_number number; /* of a literal; those of claims are double */
    bool optional;          /* json NULL: there is none */
    const char *reason, *key;
};

struct evaluation {
    struct cel *cel;
    const cJSON *value;
    unsigned steps;
};

static struct value evaluate(struct evaluation *e, const struct cel_node *node,
                             const struct cel_scope *scope);

/* ---- values ---------------------------------------------------------------------------------- */

static struct value anything(void)
{
    return (struct value){ .may = ANYTHING };
}

static struct value failure(const char *reason, const char *key)
{
    return (struct value){ .may = CEL_FAILS, .reason = reason, .key = key };
}

static struct value truth(bool yes)
{
    static const cJSON values[] = { { .type = cJSON_False }, { .type = cJSON_True } };

    return (struct value){ .may = yes ? CEL_TRUE : CEL_FALSE, .json = &values[yes] };
}

static struct value known(const cJSON *json)
{
    return (struct value){ .may = cJSON_IsTrue(json)    ? CEL_TRUE
                                  : cJSON_IsFalse(json) ? CEL_FALSE
                                                        : CEL_OTHER,
                           .json = json,
                           .number = cJSON_IsNumber(json) ? CEL_DOUBLE : CEL_NO_NUMBER };
}

static struct value optional_of(const cJSON *json)
{
    return (struct value){ .may = CEL_OTHER, .json = json, .optional = true };
}

static bool only_fails(struct value v)
{
    return v.may == CEL_FAILS;
}

static bool is_known(struct value v)
{
    return v.json && !v.optional && !(v.may & CEL_FAILS);
}

static bool is_simple(struct value v)
{
    return v.json && !v.optional && !cJSON_IsObject(v.json) && !cJSON_IsArray(v.json);
}

/* What may also fail as the other does, whose reason it takes if it has none. */
static struct value with_failure(struct value v, struct value other)
{
    if (!(other.may & CEL_FAILS))
        return v;
    v.may |= CEL_FAILS;
    if (!v.reason) {
        v.reason = other.reason;
        v.key = other.key;
    }
    return v;
}

/* One of the two. */
static struct value either(struct value a, struct value b)
{
    struct value v = { .may = a.may | b.may };

    return with_failure(with_failure(v, a), b);
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct value member_of(struct evaluation *e, struct value target,
                              const struct cel_node *node, const char *name)
{
    const cJSON *found;

    if (only_fails(target))
        return target;
    if (target.optional && !target.json)
        return target;
    if (!target.json)
        return with_failure(anything(), target);
    if (!cJSON_IsObject(target.json))
        return target.optional || node->optional ? anything() : failure(no_overload, NULL);
    found = cel_find_member(target.json, name);
    if (!found && e->cel->variable == CEL_USER && target.json == e->value)
        return anything();
    if (target.optional || node->optional)
        return optional_of(found);
    return found ? known(found) : failure(no_key, name);
}

/* Of a list the n-th; nothing else has numbers for keys in what comes of JSON. */
static struct value item_of(struct evaluation *e, const cJSON *target, double n)
{
    if (target == e->value)
        return anything();
    if (!cJSON_IsArray(target))
        return failure("no such key", NULL);
    return n >= 0 && n < cJSON_GetArraySize(target) ? known(cJSON_GetArrayItem(target, (int)n))
                                                    : failure("index out of bounds", NULL);
}

static struct value evaluate_name(struct evaluation *e, const struct cel_node *node,
                                  const struct cel_scope *scope)
{
    const char *name = cel_selected_name(node);

    if (cel_is_namespace(node))
        return anything();
    struct value target = evaluate(e, node->children, scope);
    if (name)
        return member_of(e, target, node, name);
    struct value index = evaluate(e, node->children->next, scope);
    if (only_fails(target))
        return target;
    if (is_known(target) && index.number == CEL_INT && index.json && !node->optional)
        return item_of(e, target.json, index.json->valuedouble);
    return only_fails(index) ? index : with_failure(with_failure(anything(), target), index);
}

/* has(a.b): a has to be there. */
static struct value evaluate_has(struct evaluation *e, const struct cel_node *node,
                                 const struct cel_scope *scope)
{
    const struct cel_node *selection = node->children;
    struct value unsure = { .may = CEL_TRUE | CEL_FALSE | CEL_FAILS };

    if (selection->kind != CEL_SELECT)
        return anything();
    struct value target = evaluate(e, selection->children, scope);
    if (only_fails(target))
        return target;
    if (!cJSON_IsObject(target.json) || target.optional || selection->optional)
        return with_failure(unsure, target);
    const cJSON *found = cel_find_member(target.json, selection->name);
    return !found && e->cel->variable == CEL_USER && target.json == e->value ? unsure
                                                                             : truth(found);
}

/* ---- operators ------------------------------------------------------------------------------- */

/* As an operand of && and ||: what is no boolean fails there. */
static struct value as_condition(struct value v)
{
    if (v.may == CEL_OTHER)
        return failure(no_overload, NULL);
    if (v.may & CEL_OTHER)
        v.may = (v.may & ~(unsigned)CEL_OTHER) | CEL_FAILS;
    return v;
}

/* Either of the two may decide, whatever comes of the other: false && failure is false. */
static struct value evaluate_logic(struct value a, struct value b, bool conjunction)
{
    unsigned decides = conjunction ? CEL_FALSE : CEL_TRUE,
             passes = conjunction ? CEL_TRUE : CEL_FALSE;
    struct value v = { .may = 0 };

    a = as_condition(a);
    b = as_condition(b);
    v.may |= (a.may | b.may) & decides;
    v.may |= a.may & b.may & passes;
    if ((a.may & CEL_FAILS) && (b.may & (passes | CEL_FAILS)))
        v = with_failure(v, a);
    if ((b.may & CEL_FAILS) && (a.may & (passes | CEL_FAILS)))
        v = with_failure(v, b);
    return v.may == CEL_TRUE || v.may == CEL_FALSE ? truth(v.may == CEL_TRUE) : v;
}

static int kind_of(const cJSON *json)
{
    return cJSON_IsBool(json) ? cJSON_True : json->type & 0xFF;
}

/* Numbers that a double may hold differently from an int are not compared. */
static bool is_exact(const cJSON *json)
{
    return !cJSON_IsNumber(json) || fabs(json->valuedouble) < EXACT;
}

static bool is_same(const cJSON *a, const cJSON *b)
{
    return kind_of(a) == kind_of(b) && cJSON_Compare(a, b, true);
}

static bool are_texts(const cJSON *list)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, list)
        if (!cJSON_IsString(item))
            return false;
    return cJSON_IsArray(list);
}

static struct value evaluate_equality(struct value a, struct value b, bool equal)
{
    struct value unsure = { .may = CEL_TRUE | CEL_FALSE };

    if (is_simple(a) && is_simple(b) && is_exact(a.json) && is_exact(b.json))
        return truth(is_same(a.json, b.json) == equal);
    if (is_known(a) && is_known(b) && kind_of(a.json) != kind_of(b.json))
        return truth(!equal);
    if (is_known(a) && is_known(b) && are_texts(a.json) && are_texts(b.json))
        return truth(cJSON_Compare(a.json, b.json, true) == equal);
    return with_failure(with_failure(unsure, a), b);
}

static struct value evaluate_order(struct value a, struct value b, const char *name)
{
    struct value unsure = { .may = CEL_TRUE | CEL_FALSE | CEL_FAILS };
    double x, y;

    if (is_known(a) && is_known(b) && kind_of(a.json) != kind_of(b.json))
        return failure(no_overload, NULL);
    if (!is_simple(a) || !is_simple(b) || !cJSON_IsNumber(a.json) || !is_exact(a.json) ||
        !is_exact(b.json))
        return with_failure(with_failure(unsure, a), b);
    x = a.json->valuedouble;
    y = b.json->valuedouble;
    return truth(strcmp(name, "<") == 0    ? x < y
                 : strcmp(name, "<=") == 0 ? x <= y
                 : strcmp(name, ">") == 0  ? x > y
                                           : x >= y);
}

static struct value evaluate_in(struct value a, struct value b)
{
    struct value unsure = { .may = CEL_TRUE | CEL_FALSE | CEL_FAILS };
    const cJSON *item;
    bool found = false;

    if (is_simple(b))
        return failure(no_overload, NULL);
    if (!is_simple(a) || !b.json || b.optional)
        return with_failure(with_failure(unsure, a), b);
    if (cJSON_IsObject(b.json))
        return cJSON_IsString(a.json) ? truth(cel_find_member(b.json, a.json->valuestring))
                                      : with_failure(unsure, a);
    cJSON_ArrayForEach (item, b.json) {
        if (!is_exact(item) || cJSON_IsObject(item) || cJSON_IsArray(item))
            return unsure;
        found |= is_same(a.json, item);
    }
    return is_exact(a.json) ? truth(found) : unsure;
}

/* What an evaluation made: it lives as long as the cel. */
static struct value made(struct cel *cel, cJSON *json)
{
    if (!cel->made)
        cel->made = cJSON_CreateArray();
    return json_tree_append(cel->made, json) ? known(json) : anything();
}

static struct value joined(struct cel *cel, const char *a, const char *b)
{
    size_t before = strlen(a), size = before + strlen(b) + 1;
    char *text = size < TEXT_MAX ? malloc(size) : NULL;

    if (!text)
        return anything();
    memcpy(text, a, before);
    memcpy(text + before, b, size - before);
    cJSON *json = cJSON_CreateString(text);
    free(text);
    return made(cel, json);
}

static bool is_whole(double x)
{
    return fabs(x) < EXACT && x == (double)(long long)x;
}

/* Of whole numbers that a double holds exactly. */
static struct value computed(struct cel *cel, struct value a, struct value b, char sign)
{
    double x = a.json->valuedouble, y = b.json->valuedouble;
    double z = sign == '+' ? x + y : sign == '-' ? x - y : x * y;

    if (!is_whole(x) || !is_whole(y) || fabs(z) >= EXACT || a.number == CEL_UINT)
        return anything();
    struct value v = made(cel, cJSON_CreateNumber(z));
    v.number = a.number;
    return v;
}

/* "a" + 1, and 1.5 + 1, fail: numbers of claims are double. */
static struct value evaluate_arithmetic(struct evaluation *e, struct value a, struct value b,
                                        char sign)
{
    if (a.json && b.json && !a.optional && !b.optional &&
        (kind_of(a.json) != kind_of(b.json) || a.number != b.number || cJSON_IsBool(a.json) ||
         cJSON_IsNull(a.json) || cJSON_IsObject(a.json)))
        return failure(no_overload, NULL);
    if (is_simple(a) && is_simple(b) && !((a.may | b.may) & CEL_FAILS)) {
        if (sign == '+' && cJSON_IsString(a.json))
            return joined(e->cel, a.json->valuestring, b.json->valuestring);
        if (strchr("+-*", sign) && cJSON_IsNumber(a.json))
            return computed(e->cel, a, b, sign);
    }
    return with_failure(with_failure(anything(), a), b);
}

/* The items of a list that is written out, none of which has to be computed. */
static struct value evaluate_in_list(struct evaluation *e, const struct cel_node *node,
                                     struct value a, const struct cel_scope *scope)
{
    struct value v = { .may = CEL_FALSE };
    struct value sum = { .may = CEL_TRUE | CEL_FALSE };

    for (const struct cel_node *item = node->children; item; item = item->next) {
        struct value one = evaluate(e, item, scope);
        if (only_fails(one))
            return one;
        sum = with_failure(sum, one);
        if (is_known(one) && is_known(a) && kind_of(one.json) != kind_of(a.json))
            continue;
        if (!is_simple(one) || !is_simple(a) || !is_exact(one.json) || !is_exact(a.json))
            v.may |= CEL_TRUE;
        else if (is_same(a.json, one.json))
            v.may = CEL_TRUE;
        if (v.may == CEL_TRUE)
            break;
    }
    if (v.may == CEL_TRUE || v.may == CEL_FALSE)
        return truth(v.may == CEL_TRUE);
    return with_failure(sum, a);
}

static struct value evaluate_binary(struct evaluation *e, const struct cel_node *node,
                                    const struct cel_scope *scope)
{
    const struct cel_node *right = node->children->next;
    const char *name = node->name;
    struct value a = evaluate(e, node->children, scope);
    bool listed = strcmp(name, "in") == 0 && right->kind == CEL_LIST && !right->optional;
    struct value b = listed ? anything() : evaluate(e, right, scope);

    if (strcmp(name, "&&") == 0 || strcmp(name, "||") == 0)
        return evaluate_logic(a, b, *name == '&');
    if (only_fails(a))
        return a;
    if (only_fails(b))
        return b;
    if (listed)
        return evaluate_in_list(e, right, a, scope);
    /* Kubernetes 1.36 gives claims, which it decodes one by one, no such operator */
    if (strcmp(name, "in") == 0 && b.json == e->value && e->cel->variable == CEL_CLAIMS)
        return failure(no_overload, NULL);
    if (strcmp(name, "in") == 0)
        return evaluate_in(a, b);
    if (strcmp(name, "==") == 0 || strcmp(name, "!=") == 0)
        return evaluate_equality(a, b, *name == '=');
    return strchr("<>", *name) ? evaluate_order(a, b, name) : evaluate_arithmetic(e, a, b, *name);
}

static struct value evaluate_unary(struct evaluation *e, const struct cel_node *node,
                                   const struct cel_scope *scope)
{
    struct value v = evaluate(e, node->children, scope);

    if (*node->name == '-')
        return only_fails(v)                             ? v
               : is_simple(v) && !cJSON_IsNumber(v.json) ? failure(no_overload, NULL)
                                                         : with_failure(anything(), v);
    v = as_condition(v);
    v.may = (v.may & CEL_FAILS) | (v.may & CEL_TRUE ? CEL_FALSE : 0) |
            (v.may & CEL_FALSE ? CEL_TRUE : 0);
    v.json = NULL;
    return v.may == CEL_TRUE || v.may == CEL_FALSE ? truth(v.may == CEL_TRUE) : v;
}

static struct value evaluate_choice(struct evaluation *e, const struct cel_node *node,
                                    const struct cel_scope *scope)
{
    struct value condition = as_condition(evaluate(e, node->children, scope));
    const struct cel_node *yes = node->children->next;

    if (condition.may == CEL_TRUE)
        return evaluate(e, yes, scope);
    if (condition.may == CEL_FALSE)
        return evaluate(e, yes->next, scope);
    struct value v = { .may = 0 };
    if (condition.may & CEL_TRUE)
        v = evaluate(e, yes, scope);
    if (condition.may & CEL_FALSE)
        v = v.may ? either(v, evaluate(e, yes->next, scope)) : evaluate(e, yes->next, scope);
    return with_failure(v, condition);
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* Functions that nothing but a text has, and what they yield. */
static bool is_of_text(const char *name, bool *ret_boolean)
{
    static const char *const booleans[] = { "startsWith", "endsWith", "contains", "matches", NULL };
    static const char *const others[] = { "lowerAscii", "upperAscii", "trim",  "replace",
                                          "substring",  "charAt",     "split", NULL };

    *ret_boolean = cel_is_any(name, booleans);
    return *ret_boolean || cel_is_any(name, others);
}

static struct value evaluate_text_test(const char *name, const char *text, const char *part)
{
    size_t a = strlen(text), b = strlen(part);

    if (strcmp(name, "startsWith") == 0)
        return truth(strncmp(text, part, b) == 0);
    if (strcmp(name, "endsWith") == 0)
        return truth(a >= b && strcmp(text + a - b, part) == 0);
    if (strcmp(name, "contains") == 0)
        return truth(strstr(text, part));
    return (struct value){ .may = CEL_TRUE | CEL_FALSE | CEL_FAILS };
}

static struct value evaluate_optional(struct evaluation *e, const struct cel_node *node,
                                      struct value target, const struct cel_scope *scope)
{
    const struct cel_node *argument = node->children->next;

    if (strcmp(node->name, "hasValue") == 0 && !argument)
        return truth(target.json);
    if (strcmp(node->name, "orValue") == 0 && argument)
        return target.json ? known(target.json) : evaluate(e, argument, scope);
    if (strcmp(node->name, "value") == 0 && !argument)
        return target.json ? known(target.json) : failure("optional.none() dereference", NULL);
    return anything();
}

/* all() and exists() are && and || over the items. */
static struct value fold_items(struct evaluation *e, const struct cel_node *body,
                               const cJSON *items, struct cel_scope *scope, bool all)
{
    struct value v = truth(all);
    const cJSON *item;

    cJSON_ArrayForEach (item, items) {
        scope->value = item;
        v = evaluate_logic(v, evaluate(e, body, scope), all);
    }
    return v;
}

/* map() and filter() over a list, where each result is known: of map() a text. */
static struct value map_items(struct evaluation *e, const struct cel_node *body, const cJSON *items,
                              struct cel_scope *scope, bool filter)
{
    cJSON *list = cJSON_CreateArray();
    const cJSON *item;

    cJSON_ArrayForEach (item, items) {
        scope->value = item;
        struct value one = evaluate(e, body, scope);
        if (only_fails(one)) {
            cJSON_Delete(list);
            return one;
        }
        bool unsure = filter ? one.may != CEL_TRUE && one.may != CEL_FALSE
                             : !is_simple(one) || !cJSON_IsString(one.json) || one.may != CEL_OTHER;
        if (unsure) {
            cJSON_Delete(list);
            return with_failure(anything(), one);
        }
        if (!filter || one.may == CEL_TRUE)
            json_tree_append(list, cJSON_Duplicate(filter ? item : one.json, true));
    }
    return made(e->cel, list);
}

/* Over a list that is known. Returns whether the macro is one of those that it knows. */
static bool over_items(struct evaluation *e, const struct cel_node *node, const cJSON *items,
                       struct cel_scope *scope, struct value *ret)
{
    const struct cel_node *body = node->children->next->next;
    const char *name = node->name;

    if (node->n != 3)
        return false;
    if (strcmp(name, "all") == 0 || strcmp(name, "exists") == 0)
        *ret = fold_items(e, body, items, scope, *name == 'a');
    else if (strcmp(name, "map") == 0 || strcmp(name, "filter") == 0)
        *ret = map_items(e, body, items, scope, *name == 'f');
    else
        return false;
    return true;
}

static struct value evaluate_macro(struct evaluation *e, const struct cel_node *node, unsigned n,
                                   const struct cel_scope *scope)
{
    struct cel_scope inner[2];
    struct value target = evaluate(e, node->children, scope), v = anything();

    if (only_fails(target))
        return target;
    if (strncmp(node->name, "opt", 3) == 0)
        return with_failure(v, target);
    if (is_simple(target))
        return failure(no_overload, NULL);
    v = with_failure(v, target);
    bool filled = is_known(target) && target.json != e->value;
    cel_enter_macro(node, n, scope, inner);
    if (filled && cJSON_IsArray(target.json) && cJSON_GetArraySize(target.json) <= ITEMS_MAX &&
        over_items(e, node, target.json, &inner[0], &v))
        return v;
    struct value inside = evaluate(e, cel_macro_body(node, n), &inner[n - 1]);
    if (filled && target.json->child && only_fails(inside) && strcmp(node->name, "sortBy") != 0)
        return inside; /* of each item */
    return with_failure(v, inside);
}

/* A text in pieces. */
static struct value evaluate_split(struct evaluation *e, const char *text, const char *separator)
{
    size_t length = strlen(separator);
    char *copy = length > 0 && strlen(text) < TEXT_MAX ? strdup(text) : NULL;
    cJSON *list = copy ? cJSON_CreateArray() : NULL;
    unsigned n = 0;

    for (char *at = copy, *next; at && n <= ITEMS_MAX; at = next, n++) {
        next = strstr(at, separator);
        if (next)
            *next = '\0';
        json_tree_append(list, cJSON_CreateString(at));
        next = next ? next + length : NULL;
    }
    free(copy);
    if (n <= ITEMS_MAX)
        return made(e->cel, list);
    cJSON_Delete(list);
    return anything();
}

/* Of a text in characters, of a list in items. */
static struct value evaluate_size(struct evaluation *e, const cJSON *json)
{
    int n = cJSON_GetArraySize(json);

    if (json == e->value)
        return anything();
    if (cJSON_IsString(json))
        for (const char *at = json->valuestring; *at; at++)
            n += ((unsigned char)*at & 0xC0) != 0x80;
    else if (is_simple(known(json)))
        return failure(no_overload, NULL);
    struct value v = made(e->cel, cJSON_CreateNumber(n));
    v.number = CEL_INT;
    return v;
}

static struct value evaluate_case(struct evaluation *e, const char *text, bool upper)
{
    cJSON *json = cJSON_CreateString(text);
    struct value v = made(e->cel, json);

    for (char *at = v.json ? json->valuestring : NULL; at && *at; at++)
        if (upper ? *at >= 'a' && *at <= 'z' : *at >= 'A' && *at <= 'Z')
            *at = (char)(*at ^ 0x20);
    return v;
}

/* string() of what is no number. */
static struct value evaluate_string(struct evaluation *e, const cJSON *json)
{
    if (json == e->value || cJSON_IsNumber(json))
        return anything();
    if (cJSON_IsBool(json))
        return made(e->cel, cJSON_CreateString(cJSON_IsTrue(json) ? "true" : "false"));
    return cJSON_IsString(json) ? known(json) : failure(no_overload, NULL);
}

static struct value evaluate_int(struct evaluation *e, const cJSON *json)
{
    if (!is_whole(cJSON_GetNumberValue(json)))
        return anything();
    struct value v = made(e->cel, cJSON_CreateNumber(cJSON_GetNumberValue(json)));
    v.number = CEL_INT;
    return v;
}

/* One that a text has; v: what it may end in by its parts. */
static struct value evaluate_method(struct evaluation *e, const struct cel_node *node,
                                    struct value target, struct value last, struct value v)
{
    bool boolean;

    if (!is_of_text(node->name, &boolean))
        return v;
    if (target.json && !cJSON_IsString(target.json))
        return failure(no_overload, NULL);
    bool known_text = target.json && node->n == 2 && cJSON_IsString(last.json) && !last.optional &&
                      target.may == CEL_OTHER && last.may == CEL_OTHER;
    if (known_text && strcmp(node->name, "split") == 0)
        return evaluate_split(e, target.json->valuestring, last.json->valuestring);
    if (node->n == 1 && is_known(target) && cJSON_IsString(target.json) &&
        (strcmp(node->name, "lowerAscii") == 0 || strcmp(node->name, "upperAscii") == 0))
        return evaluate_case(e, target.json->valuestring, *node->name == 'u');
    if (boolean && known_text)
        return evaluate_text_test(node->name, target.json->valuestring, last.json->valuestring);
    if (boolean)
        v.may &= ~(unsigned)CEL_OTHER;
    return v;
}

static struct value evaluate_call(struct evaluation *e, const struct cel_node *node,
                                  const struct cel_scope *scope)
{
    unsigned n = cel_macro_variables(node);
    bool of_others = node->has_target && cel_is_namespace(node->children);

    if (cel_is_has(node))
        return evaluate_has(e, node, scope);
    if (n > 0)
        return evaluate_macro(e, node, n, scope);
    bool of_sets = of_others && node->children->kind == CEL_IDENT &&
                   strcmp(node->children->name, "sets") == 0;
    struct value target = { .may = CEL_OTHER }, v = anything(), last = target;
    if (node->has_target && !of_others)
        target = evaluate(e, node->children, scope);
    if (only_fails(target))
        return target;
    if (target.optional)
        return evaluate_optional(e, node, target, scope);
    if (!node->has_target && node->n == 1 && strcmp(node->name, "dyn") == 0)
        return evaluate(e, node->children, scope);
    if (strcmp(node->name, "size") == 0 && node->n == 1) {
        last = node->has_target ? target : evaluate(e, node->children, scope);
        if (only_fails(last))
            return last;
        if (last.json && !last.optional && !(last.may & CEL_FAILS))
            return evaluate_size(e, last.json);
    }
    v = with_failure(v, target);
    for (const struct cel_node *arg = node->has_target ? node->children->next : node->children; arg;
         arg = arg->next) {
        last = evaluate(e, arg, scope);
        if (only_fails(last))
            return last;
        v = with_failure(v, last);
        if (of_sets && is_known(last) && is_simple(last))
            return failure(no_overload, NULL);
    }
    if (!node->has_target && node->n == 1 && is_known(last) && strcmp(node->name, "string") == 0)
        return evaluate_string(e, last.json);
    if (!node->has_target && node->n == 1 && strcmp(node->name, "int") == 0 && is_known(last) &&
        cJSON_IsNumber(last.json))
        return evaluate_int(e, last.json);
    if (of_others || !node->has_target)
        return v;
    return evaluate_method(e, node, target, last, v);
}

/* A list that is written out is known where all in it is, and simple. An int in it would be taken
 * for a double, as those of claims are. */
static struct value evaluate_made(struct evaluation *e, const struct cel_node *node,
                                  const struct cel_scope *scope)
{
    struct value v = { .may = node->kind == CEL_MESSAGE ? ANYTHING : CEL_OTHER };
    cJSON *list = node->kind == CEL_LIST && !node->optional ? cJSON_CreateArray() : NULL;

    for (const struct cel_node *item = node->children; item; item = item->next) {
        struct value one = evaluate(e, item, scope);
        if (only_fails(one)) {
            cJSON_Delete(list);
            return one;
        }
        if (list && is_known(one) && is_simple(one) &&
            (one.number == CEL_NO_NUMBER || one.number == CEL_DOUBLE)) {
            json_tree_append(list, cJSON_Duplicate(one.json, false));
        } else {
            cJSON_Delete(list);
            list = NULL;
        }
        v = with_failure(v, one);
    }
    if (node->kind == CEL_MAP && node->n == 0)
        return made(e->cel, cJSON_CreateObject());
    return list ? made(e->cel, list) : v;
}

static struct value evaluate(struct evaluation *e, const struct cel_node *node,
                             const struct cel_scope *scope)
{
    const struct cel_scope *bound;
    struct value v;

    if (++e->steps > STEPS_MAX)
        return anything();
    switch (node->kind) {
    case CEL_LITERAL:
        v = known(node->value);
        v.number = node->number;
        return v;
    case CEL_BYTES:
        return (struct value){ .may = CEL_OTHER };
    case CEL_IDENT:
        bound = cel_bound(scope, node->name);
        if (bound)
            return bound->value ? known(bound->value) : anything();
        return cel_is_variable(e->cel, node, scope) ? known(e->value) : anything();
    case CEL_SELECT:
    case CEL_INDEX:
        return evaluate_name(e, node, scope);
    case CEL_CALL:
        return evaluate_call(e, node, scope);
    case CEL_UNARY:
        return evaluate_unary(e, node, scope);
    case CEL_BINARY:
        return evaluate_binary(e, node, scope);
    case CEL_CHOICE:
        return evaluate_choice(e, node, scope);
    case CEL_LIST:
    case CEL_MAP:
    case CEL_MESSAGE:
        return evaluate_made(e, node, scope);
    }
    return anything();
}

struct cel_outcome cel_foresee(struct cel *cel, const cJSON *value)
{
    struct evaluation e = { .cel = cel, .value = value };
    struct cel_outcome ret = { .may = ANYTHING };

    if (cel->tree.too_large)
        return ret;
    struct value v = evaluate(&e, cel->tree.root, NULL);
    ret.may = v.may;
    ret.value = v.optional ? NULL : v.json;
    if (v.reason)
        snprintf(ret.reason, sizeof ret.reason, "%s%s", v.reason, v.key ? v.key : "");
    return ret;
}
