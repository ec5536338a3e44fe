/*
 * json_tree - putting JSON together where there may be no memory. What cJSON cannot add it leaves
 * to the caller; these delete it, so that a caller may hand over what it has just made.
 */
#ifndef KUBETOKEN_JSON_TREE_H
#define KUBETOKEN_JSON_TREE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* The item is the tree's, or gone: false. Each may be NULL, for want of memory. */
bool json_tree_put(cJSON *object, const char *name, cJSON *item);
bool json_tree_append(cJSON *array, cJSON *item);
/* In place of what the object has by that name, which may be gone even so; or as json_tree_put().
 */
bool json_tree_set(cJSON *object, const char *name, cJSON *item);

#endif
