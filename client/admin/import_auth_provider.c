#define _GNU_SOURCE
#include "client/admin/import_auth_provider.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

enum { CLAIMS_MAX = 64 * 1024 };

static int value_of(char c)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_";
    const char *at = c ? strchr(letters, c) : NULL;

    return at ? (int)(at - letters) : -1;
}

/* The claims of an id_token, read for a preset and a date alone: nothing is believed of them. NULL
 * where it has none. */
static cJSON *read_claims(const char *token)
{
    const char *at = strchr(token, '.');
    size_t length = at ? strcspn(at + 1, ".") : 0, n = 0;
    uint32_t bits = 0;
    unsigned have = 0;

    if (length == 0 || length > CLAIMS_MAX)
        return NULL;
    char *text = calloc(1, length + 1);
    if (!text)
        return NULL;
    for (size_t i = 0; i < length && value_of(at[1 + i]) >= 0; i++) {
        bits = bits << 6 | (uint32_t)value_of(at[1 + i]);
        have += 6;
        if (have >= 8)
            text[n++] = (char)(bits >> (have -= 8) & 0xff);
    }
    cJSON *claims = cJSON_Parse(text);
    free(text);
    return claims;
}

static void read_token(const char *token, struct import_plan *plan)
{
    cJSON *claims = token ? read_claims(token) : NULL;
    const cJSON *exp = cJSON_GetObjectItemCaseSensitive(claims, "exp");
    const char *name = import_plan_text(claims, "email");

    if (!name)
        name = import_plan_text(claims, "preferred_username");
    if (cJSON_IsNumber(exp) && exp->valuedouble > 0 && exp->valuedouble < 1e11)
        plan->ended_at = (int64_t)exp->valuedouble;
    if (name) {
        bool refused = *plan->why;
        import_plan_set(plan, IMPORT_USERNAME, name);
        if (!refused) /* no reason not to import it: somebody else's words are no more than a preset
                       */
            plan->why[0] = '\0';
        plan->guessed_name = plan->part[IMPORT_USERNAME] != NULL;
    }
    cJSON_Delete(claims);
}

/* A name of somebody's own is nothing that kubectl has read either. */
static void note_unknown(const cJSON *config, struct import_plan *plan)
{
    static const char *const known[] = { "idp-issuer-url",
                                         "client-id",
                                         "client-secret",
                                         "idp-certificate-authority",
                                         "idp-certificate-authority-data",
                                         "extra-scopes",
                                         "refresh-token",
                                         "id-token" };
    const cJSON *item;

    cJSON_ArrayForEach (item, config) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known && !found; i++)
            found = text_equal(item->string, known[i]);
        if (!found)
            import_plan_note(plan, "%s is left out: no kubectl has read it", item->string);
    }
}

void import_auth_provider_read(const cJSON *config, struct import_plan *plan)
{
    const char *file = import_plan_text(config, "idp-certificate-authority");
    const char *data = import_plan_text(config, "idp-certificate-authority-data");
    const char *scopes = import_plan_text(config, "extra-scopes");

    import_plan_set(plan, IMPORT_ISSUER, import_plan_text(config, "idp-issuer-url"));
    import_plan_set(plan, IMPORT_CLIENT_ID, import_plan_text(config, "client-id"));
    import_plan_set(plan, IMPORT_CLIENT_SECRET, import_plan_text(config, "client-secret"));
    import_plan_set(plan, IMPORT_REFRESH_TOKEN, import_plan_text(config, "refresh-token"));
    if (data && *data) { /* goes before the file, as in client-go */
        import_plan_add_ca_data(plan, data);
        if (file && *file)
            import_plan_note(plan,
                             "%s is left out: kubectl lets "
                             "idp-certificate-authority-data go before it",
                             file);
    } else if (file) {
        import_plan_add_ca_file(plan, file);
    }
    if (scopes && *scopes) {
        import_plan_set(plan, IMPORT_SCOPE, "openid email profile"); /* kubetoken's own */
        import_plan_add_scopes(plan, scopes);
    }
    read_token(import_plan_text(config, "id-token"), plan);
    note_unknown(config, plan);
}
