#define _GNU_SOURCE
#include "client/admin/import_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/import_auth_provider.h"
#include "client/admin/kubelogin_args.h"
#include "common/error.h"
#include "common/protocol.h"
#include "common/text.h"

static const char blanks[] = " \t\r\n";

static char *wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    return NULL;
}

const char *import_plan_text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* ---- words ----------------------------------------------------------------------------------- */

void import_plan_note(struct import_plan *plan, const char *format, ...)
{
    char text[2 * IMPORT_WORDS_MAX];
    va_list args;

    if (plan->n_notes == IMPORT_NOTES_MAX)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_clean(plan->notes[plan->n_notes++], IMPORT_WORDS_MAX, text, strlen(text));
}

void import_plan_refuse(struct import_plan *plan, const char *format, ...)
{
    char text[2 * IMPORT_WORDS_MAX];
    va_list args;

    if (*plan->why)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_clean(plan->why, sizeof plan->why, text, strlen(text));
}

/* ---- parts ----------------------------------------------------------------------------------- */

static bool is_secret(enum import_part part)
{
    return part == IMPORT_CLIENT_SECRET || part == IMPORT_PASSWORD || part == IMPORT_REFRESH_TOKEN;
}

static bool has_control(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return true;
    return false;
}

void import_plan_set(struct import_plan *plan, enum import_part part, const char *value)
{
    static const char *const names[IMPORT_PARTS] = {
        "issuer",   "client id", "client secret", "scope",   "user name",
        "password", "proxy",     "refresh token", "profile",
    };
    size_t length;

    plan->part[part] = wipe(plan->part[part]);
    if (!value)
        return;
    if (!is_secret(part))
        value += strspn(value, blanks);
    length = strlen(value);
    while (length > 0 && !is_secret(part) && strchr(blanks, value[length - 1]))
        length--;
    if (length == 0)
        return;
    if (has_control(value, length))
        import_plan_refuse(plan, "its %s has a control character; correct it in the kubeconfig",
                           names[part]);
    else
        plan->part[part] = strndup(value, length);
}

void import_plan_add_ca_file(struct import_plan *plan, const char *path)
{
    if (!*path)
        return;
    if (plan->n_ca_files == IMPORT_FILES_MAX)
        import_plan_refuse(plan, "it names over %d files of certificates; put them into one",
                           IMPORT_FILES_MAX);
    else if ((plan->ca_file[plan->n_ca_files] = strdup(path)))
        plan->n_ca_files++;
}

void import_plan_add_ca_data(struct import_plan *plan, const char *base64)
{
    if (!*base64)
        return;
    if (plan->n_ca_data == IMPORT_FILES_MAX)
        import_plan_refuse(plan, "it has over %d texts of certificates; put them into one",
                           IMPORT_FILES_MAX);
    else if ((plan->ca_data[plan->n_ca_data] = strdup(base64)))
        plan->n_ca_data++;
}

/* Whether the word is among those of the list. */
static bool is_among(const char *list, const char *word, size_t length)
{
    while (*list) {
        size_t n = strcspn(list, " ");
        if (n == length && memcmp(list, word, n) == 0)
            return true;
        list += n + (list[n] == ' ');
    }
    return false;
}

void import_plan_add_scopes(struct import_plan *plan, const char *scopes)
{
    const char *parting = ", \t\"";

    if (!plan->part[IMPORT_SCOPE])
        import_plan_set(plan, IMPORT_SCOPE, "openid");
    while (*(scopes += strspn(scopes, parting))) {
        size_t length = strcspn(scopes, parting);
        const char *have = plan->part[IMPORT_SCOPE];
        char *all;
        if (have && !is_among(have, scopes, length)) {
            if (asprintf(&all, "%s %.*s", have, (int)length, scopes) < 0)
                return;
            import_plan_set(plan, IMPORT_SCOPE, all);
            free(all);
        }
        scopes += length;
    }
}

/* ---- a user ---------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The profile that a stanza of kubetoken names: the last word of its arguments that is no option,
 * nor the value of one. */
static const char *named_profile(const cJSON *args)
{
    const char *name = NULL, *word;
    const cJSON *item;
    bool value = false, first = true;

    cJSON_ArrayForEach (item, args) {
        word = cJSON_GetStringValue(item);
        if (word && !value && *word != '-' && !first)
            name = word;
        value = word && (text_equal(word, "-o") || text_equal(word, "--output") ||
                         text_equal(word, "--min-validity") || text_equal(word, "--timeout"));
        first = first && (!word || !text_equal(word, "get"));
    }
    return name;
}

static void read_own(const cJSON *exec, struct import_plan *plan)
{
    const char *version = import_plan_text(exec, "apiVersion");

    plan->kind = IMPORT_DONE;
    import_plan_set(plan, IMPORT_PROFILE,
                    named_profile(cJSON_GetObjectItemCaseSensitive(exec, "args")));
    if (version && text_equal(version, "client.authentication.k8s.io/v1alpha1"))
        plan->kind = IMPORT_RENEW;
    else
        import_plan_refuse(plan, "it runs kubetoken already");
}

/* A cloud's own tool, for which token-command is nothing: what it prints is no id_token. */
static void refuse_program(struct import_plan *plan, const char *name)
{
    static const struct {
        const char *name, *prints;
    } clouds[] = { { "gke-gcloud-auth-plugin", "an access token of Google" },
                   { "gcloud", "an access token of Google" },
                   { "aws", "a signed request to AWS" },
                   { "aws-iam-authenticator", "a signed request to AWS" },
                   { "doctl", "a token of DigitalOcean" },
                   { "oci", "a signed request to OCI" } };

    for (size_t i = 0; i < sizeof clouds / sizeof *clouds; i++)
        if (text_equal(name, clouds[i].name)) {
            import_plan_refuse(plan,
                               "it runs %s, which prints %s and no id_token: that cluster does not "
                               "take what kubetoken gets",
                               name, clouds[i].prints);
            return;
        }
    import_plan_refuse(plan,
                       "it runs %s; kubetoken imports auth-provider oidc and kubelogin. If that "
                       "prints an id_token, token-command in a profile can run it",
                       name);
}

static void read_exec(const cJSON *exec, const char *home, struct import_plan *plan)
{
    const char *command = import_plan_text(exec, "command");

    if (!command || !*command)
        import_plan_refuse(plan, "its exec stanza names no command");
    else if (text_equal(base_name(command), "kubetoken") ||
             text_equal(base_name(command), "kubectl-kubetoken"))
        read_own(exec, plan);
    else if (!kubelogin_args_read(exec, home, plan))
        refuse_program(plan, base_name(command));
}

static void read_provider(const cJSON *provider, struct import_plan *plan)
{
    const char *name = import_plan_text(provider, "name");

    if (!name || !text_equal(name, "oidc")) {
        import_plan_refuse(plan, "its auth-provider is %s; oidc alone is a login by OpenID Connect",
                           name ? name : "without a name");
        return;
    }
    plan->kind = IMPORT_AUTH_PROVIDER;
    import_auth_provider_read(cJSON_GetObjectItemCaseSensitive(provider, "config"), plan);
}

/* What else kubectl would log in with. */
static const char *other_login(const cJSON *user)
{
    static const char *const ways[][2] = { { "client-certificate", "a client certificate" },
                                           { "client-certificate-data", "a client certificate" },
                                           { "token", "a token" },
                                           { "tokenFile", "a token in a file" },
                                           { "username", "a user name and password" } };

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (cJSON_HasObjectItem(user, ways[i][0]))
            return ways[i][1];
    return "nothing";
}

/* What no login works without. */
static void check(struct import_plan *plan)
{
    if (plan->kind != IMPORT_AUTH_PROVIDER && plan->kind != IMPORT_KUBELOGIN)
        return;
    if (!plan->part[IMPORT_ISSUER])
        import_plan_refuse(plan, "it names no issuer; kubetoken init asks for what is missing");
    if (!plan->part[IMPORT_CLIENT_ID])
        import_plan_refuse(plan, "it names no client id; kubetoken init asks for what is missing");
}

void import_plan_read(const cJSON *user, const char *home, struct import_plan *ret)
{
    const cJSON *exec = cJSON_GetObjectItemCaseSensitive(user, "exec");
    const cJSON *provider = cJSON_GetObjectItemCaseSensitive(user, "auth-provider");

    *ret = (struct import_plan){ .kind = IMPORT_NOTHING };
    if (cJSON_IsObject(exec)) /* kubectl lets it go before */
        read_exec(exec, home, ret);
    else if (cJSON_IsObject(provider))
        read_provider(provider, ret);
    else
        import_plan_refuse(ret, "it logs in with %s", other_login(user));
    check(ret);
}

void import_plan_clear(struct import_plan *plan)
{
    for (unsigned i = 0; i < IMPORT_PARTS; i++)
        plan->part[i] = wipe(plan->part[i]);
    while (plan->n_ca_files > 0)
        free(plan->ca_file[--plan->n_ca_files]);
    while (plan->n_ca_data > 0)
        free(plan->ca_data[--plan->n_ca_data]);
}

void import_plan_name(const char *user, char *out)
{
    size_t n = 0;

    for (; *user && n < PROTOCOL_NAME_MAX; user++) {
        bool fits = protocol_name_valid(user, 1);
        if (fits && (n > 0 || *user != '-'))
            out[n++] = *user;
        else if (!fits && n > 0 && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n > 0 && out[n - 1] == '-')
        n--;
    out[n] = '\0';
    if (n == 0)
        memcpy(out, "imported", sizeof "imported");
}
