/* Each allocation of cJSON fails in turn, and those that live are counted. */
#include "support.h"

#include <stdlib.h>

#include "common/json_tree.h"

static unsigned alive, made, fails;

static void *make(size_t size)
{
    void *p = ++made == fails ? NULL : malloc(size);

    alive += p != NULL;
    return p;
}

static void give_back(void *p)
{
    alive -= p != NULL;
    free(p);
}

static void row(cJSON *list, const char *name)
{
    cJSON *json = cJSON_CreateObject(), *member = cJSON_CreateObject();

    cJSON_AddStringToObject(member, "name", name);
    bool has = json_tree_put(json, "member", member);
    assert_int_equal(has, cJSON_GetObjectItem(json, "member") != NULL);
    json_tree_put(json, "last", cJSON_CreateTrue());
    cJSON *other = cJSON_CreateString(name);
    bool set = json_tree_set(json, "member", other);
    assert_int_equal(set, other && cJSON_GetObjectItem(json, "member") == other);
    if (made < fails) /* so far there was memory */
        assert_ptr_equal(json->child, other);
    for (const cJSON *child = json ? json->child : NULL; child; child = child->next)
        assert_non_null(child->string);
    int n = cJSON_GetArraySize(list);
    bool kept = json_tree_append(list, json);
    assert_int_equal(cJSON_GetArraySize(list), n + kept);
}

static void what_cannot_be_added_is_deleted(void **state)
{
    cJSON_Hooks counting = { make, give_back };

    (void)state;
    cJSON_InitHooks(&counting);
    for (fails = 1, made = 0; fails == 1 || made >= fails - 1; fails++) {
        made = 0;
        cJSON *list = cJSON_CreateArray();
        row(list, "one");
        row(list, "other");
        cJSON_Delete(list);
        assert_int_equal(alive, 0);
    }
    cJSON_InitHooks(NULL);
    assert_true(fails > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_added_is_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
