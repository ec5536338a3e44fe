/*
 * cel_scope - what the names of a CEL expression mean: its one variable, those that macros such as
 * all() make, and the names by which is selected. Of the files cel*.c alone.
 */
#ifndef KUBETOKEN_ADMIN_CEL_SCOPE_H
#define KUBETOKEN_ADMIN_CEL_SCOPE_H

#include "client/admin/cel.h"
#include "client/admin/cel_parse.h"

struct cel {
    struct cel_tree tree;
    enum cel_variable variable;
    cJSON *made; /* texts that an evaluation made */
};

/* The variables that macros make, the innermost first. */
struct cel_scope {
    const char *name;
    const cJSON *value; /* NULL: not known */
    const struct cel_scope *outer;
};

/* Whether the name is one of the list, which ends with NULL. */
bool cel_is_any(const char *name, const char *const names[]);

/* claims or user. */
const char *cel_variable_name(enum cel_variable variable);

/* Whether the node is the variable itself; the macro's variable of that name, or NULL. */
bool cel_is_variable(const struct cel *cel, const struct cel_node *node,
                     const struct cel_scope *scope);
const struct cel_scope *cel_bound(const struct cel_scope *scope, const char *name);

/* Whether it is the first part of a longer name: optional.of is one. */
bool cel_is_namespace(const struct cel_node *node);

/* How many variables a call makes that is a macro, else 0. */
unsigned cel_macro_variables(const struct cel_node *node);

/* The first child that such a call evaluates with its n variables, and the scope that holds them:
 * &ret[n - 1]. */
const struct cel_node *cel_macro_body(const struct cel_node *node, unsigned n);
void cel_enter_macro(const struct cel_node *node, unsigned n, const struct cel_scope *outer,
                     struct cel_scope ret[2]);

/* Whether it is has(...). */
bool cel_is_has(const struct cel_node *node);

/* The name by which a node selects, .name or ['name']; NULL where it does not. */
const char *cel_selected_name(const struct cel_node *node);

/* The member that an expression reaches by this name, in which __dot__ is a dot. */
const cJSON *cel_find_member(const cJSON *object, const char *name);

#endif
