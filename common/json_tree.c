#include "common/json_tree.h"

static bool kept(cJSON_bool added, cJSON *item)
{
    if (!added)
        cJSON_Delete(item);
    return added;
}

bool json_tree_put(cJSON *object, const char *name, cJSON *item)
{
    return kept(cJSON_AddItemToObject(object, name, item), item);
}

bool json_tree_append(cJSON *array, cJSON *item)
{
    return kept(cJSON_AddItemToArray(array, item), item);
}
