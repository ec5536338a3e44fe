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

bool json_tree_set(cJSON *object, const char *name, cJSON *item)
{
    if (!cJSON_GetObjectItemCaseSensitive(object, name))
        return json_tree_put(object, name, item);
    if (!kept(cJSON_ReplaceItemInObjectCaseSensitive(object, name, item), item))
        return false;
    if (item->string)
        return true;
    cJSON_Delete(cJSON_DetachItemViaPointer(object, item)); /* cJSON 1.7.15 looks at nothing */
    return false;
}
