/* The users of a kubeconfig, whoever wrote it, or one as JSON: what is taken can stand in a
 * configuration, and what is said of it is printable. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "client/admin/import_plan.h"
#include "client/admin/kubeconfig_edit.h"
#include "common/protocol.h"

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static void check(const struct import_plan *plan)
{
    for (unsigned i = 0; i < IMPORT_PARTS; i++)
        PROMISE(!plan->part[i] || (*plan->part[i] && is_plain(plan->part[i])));
    PROMISE(plan->n_ca_files <= IMPORT_FILES_MAX && plan->n_ca_data <= IMPORT_FILES_MAX);
    PROMISE(plan->n_notes <= IMPORT_NOTES_MAX);
    for (unsigned i = 0; i < plan->n_notes; i++)
        PROMISE(is_plain(plan->notes[i]));
    PROMISE(is_plain(plan->why));
    if (!*plan->why && (plan->kind == IMPORT_AUTH_PROVIDER || plan->kind == IMPORT_KUBELOGIN))
        PROMISE(plan->part[IMPORT_ISSUER] && plan->part[IMPORT_CLIENT_ID]);
    PROMISE(plan->kind != IMPORT_NOTHING || *plan->why);
}

static void import(const cJSON *user, const char *called)
{
    struct import_plan plan;
    char name[PROTOCOL_NAME_MAX + 1];

    import_plan_read(user, "/home/me", &plan);
    check(&plan);
    import_plan_clear(&plan);
    import_plan_name(called, name);
    PROMISE(protocol_name_valid(name, strlen(name)));
}

static void import_all(const char *text, size_t length)
{
    char why[KUBECONFIG_EDIT_WORDS_MAX];
    struct yaml_tree tree;
    const cJSON *entry;

    if (kubeconfig_edit_read(text, length, &tree, why) < 0)
        return;
    cJSON_ArrayForEach (entry, cJSON_GetObjectItemCaseSensitive(tree.root, "users"))
        import(cJSON_GetObjectItemCaseSensitive(entry, "user"),
               kubeconfig_edit_text(entry, "name"));
    yaml_tree_free(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    cJSON *user = cJSON_Parse(text);

    import(user, text);
    import_all(text, size);
    cJSON_Delete(user);
    free(text);
    return 0;
}
