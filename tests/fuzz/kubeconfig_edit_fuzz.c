/* A kubeconfig that is changed: what comes out can be read, and only that user, or that context's
 * user, is another one. */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/kubeconfig_edit.h"
#include "client/admin/kubeconfig_mask.h"
#include "client/admin/kubeconfig_user.h"
#include "client/admin/text_diff.h"

static size_t count_lines(const char *text, size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++)
        n += text[i] == '\n';
    return n;
}

/* All of it but for what may have changed. */
static cJSON *rest_of(const cJSON *root, const struct kubeconfig_place *place)
{
    cJSON *rest = cJSON_IsNull(root) ? cJSON_CreateObject() : cJSON_Duplicate(root, true);
    cJSON *list = cJSON_GetObjectItemCaseSensitive(rest, place->list);
    cJSON *entry = cJSON_DetachItemViaPointer(
        list, (cJSON *)(uintptr_t)kubeconfig_edit_entry(rest, place->list, place->name));

    cJSON_DeleteItemFromObjectCaseSensitive(entry, place->part);
    if (place->member) /* of a context the rest is looked at in `mine` */
        cJSON_DeleteItemFromObjectCaseSensitive(entry, "name");
    cJSON_Delete(entry);
    if (cJSON_GetArraySize(list) == 0)
        cJSON_DeleteItemFromObjectCaseSensitive(rest, place->list);
    if (cJSON_IsNull(root)) {
        cJSON_AddStringToObject(rest, "apiVersion", "v1");
        cJSON_AddStringToObject(rest, "kind", "Config");
    }
    return rest;
}

static void check(const char *text, size_t size, const char *out, size_t length,
                  const struct kubeconfig_place *place, const cJSON *value)
{
    char why[KUBECONFIG_EDIT_WORDS_MAX], *again;
    struct yaml_tree was, is;
    size_t again_length;

    PROMISE(kubeconfig_edit_read(text, size, &was, why) == 0);
    PROMISE(kubeconfig_edit_read(out, length, &is, why) == 0);
    PROMISE(strlen(out) == length || memchr(text, '\0', size));
    const cJSON *entry = kubeconfig_edit_entry(is.root, place->list, place->name);
    PROMISE(entry);
    const cJSON *mine = cJSON_GetObjectItemCaseSensitive(entry, place->part);
    if (place->member)
        mine = cJSON_GetObjectItemCaseSensitive(mine, place->member);
    PROMISE(cJSON_Compare(mine, value, true));
    cJSON *before = rest_of(was.root, place), *after = rest_of(is.root, place);
    PROMISE(cJSON_Compare(before, after, true));
    cJSON_Delete(before);
    cJSON_Delete(after);
    PROMISE(kubeconfig_edit_set(out, length, place, value, &again, &again_length, why) ==
            -EALREADY);
    yaml_tree_free(&was);
    yaml_tree_free(&is);
}

static void edit(const char *text, size_t size, const struct kubeconfig_place *place,
                 const cJSON *value)
{
    char why[KUBECONFIG_EDIT_WORDS_MAX] = "", *out;
    size_t length;

    int r = kubeconfig_edit_set(text, size, place, value, &out, &length, why);
    PROMISE(r == 0 || r == -EALREADY || r == -EINVAL);
    PROMISE((r == -EINVAL) == (*why != '\0'));
    if (r)
        return;
    check(text, size, out, length, place, value);
    char *before = kubeconfig_mask(text, size), *after = kubeconfig_mask(out, length);
    PROMISE(before && after);
    PROMISE(count_lines(before, strlen(before)) == count_lines(text, size));
    FILE *null = fopen("/dev/null", "w");
    PROMISE(null && text_diff_print(null, "old", "new", before, after) == 0);
    fclose(null);
    free(before);
    free(after);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct kubeconfig_place places[] = {
        { "users", "user", "a", NULL },
        { "users", "user", "new: one", NULL },
        { "contexts", "context", "a", "user" },
    };
    char losses[64];

    if (size < 1)
        return 0;
    const struct kubeconfig_place *place = &places[data[0] % 3];
    char *text = fuzz_text(data + 1, size - 1);
    const cJSON other = { .type = cJSON_Object };
    cJSON *value = place->member ? cJSON_CreateString("b")
                                 : kubeconfig_user_new("p", "v1", "kubetoken", &other);
    kubeconfig_user_losses(value, losses, sizeof losses);
    PROMISE(!*losses || place->member);
    struct yaml_tree tree;
    char why[KUBECONFIG_EDIT_WORDS_MAX];
    if (kubeconfig_edit_read(text, size - 1, &tree, why) == 0) {
        /* a context has to be there for its member */
        if (!place->member || cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(
                                  kubeconfig_edit_entry(tree.root, "contexts", "a"), "context")))
            edit(text, size - 1, place, value);
        yaml_tree_free(&tree);
    }
    cJSON_Delete(value);
    free(text);
    return 0;
}
