/* The user of a kubeconfig, whoever wrote it: what is taken can stand in a configuration, and what
 * is said of it is printable. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "client/admin/import_plan.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), name[PROTOCOL_NAME_MAX + 1];
    cJSON *user = cJSON_Parse(text);
    struct import_plan plan;

    import_plan_read(user, "/home/me", &plan);
    check(&plan);
    import_plan_clear(&plan);
    import_plan_name(text, name);
    PROMISE(protocol_name_valid(name, strlen(name)));
    cJSON_Delete(user);
    free(text);
    return 0;
}
