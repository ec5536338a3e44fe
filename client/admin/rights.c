#define _GNU_SOURCE
#include "client/admin/rights.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { BINDING_NAME_MAX = 48, QUOTED_MAX = 160 };

void rights_request(const char *namespace, char out[RIGHTS_REQUEST_MAX])
{
    cJSON *review = cJSON_CreateObject();

    cJSON_AddStringToObject(review, "kind", "SelfSubjectRulesReview");
    cJSON_AddStringToObject(review, "apiVersion", "authorization.k8s.io/v1");
    cJSON_AddStringToObject(cJSON_AddObjectToObject(review, "spec"), "namespace", namespace);
    if (!cJSON_PrintPreallocated(review, out, RIGHTS_REQUEST_MAX, false))
        out[0] = '\0'; /* which the API server refuses */
    cJSON_Delete(review);
}

/* Whether each text of the list is one of those; a final * of theirs stands for anything. */
static bool only(const cJSON *rule, const char *member, const char *const those[])
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(rule, member), *one;

    cJSON_ArrayForEach (one, list) {
        const char *text = cJSON_IsString(one) ? one->valuestring : "";
        bool found = false;
        for (const char *const *t = those; *t && !found; t++) {
            size_t length = strlen(*t);
            found = strcmp(text, *t) == 0 ||
                    ((*t)[length - 1] == '*' && strncmp(text, *t, length - 1) == 0);
        }
        if (!found)
            return false;
    }
    return true;
}

/* Of system:basic-user. */
static bool is_basic_resource(const cJSON *rule)
{
    static const char *const groups[] = { "authentication.k8s.io", "authorization.k8s.io", NULL };
    static const char *const verbs[] = { "create", NULL };
    static const char *const resources[] = { "selfsubjectreviews", "selfsubjectaccessreviews",
                                             "selfsubjectrulesreviews", NULL };

    return only(rule, "apiGroups", groups) && only(rule, "verbs", verbs) &&
           only(rule, "resources", resources);
}

/* Of system:discovery and system:public-info-viewer, in all versions of them. */
static bool is_basic_path(const cJSON *rule)
{
    static const char *const verbs[] = { "get", "head", NULL };
    static const char *const paths[] = { "/api",         "/api/*",     "/apis",    "/apis/*",
                                         "/openapi",     "/openapi/*", "/version", "/version/*",
                                         "/healthz",     "/livez",     "/readyz",  "/swagger*",
                                         "/swaggerapi*", NULL };

    return only(rule, "verbs", verbs) && only(rule, "nonResourceURLs", paths);
}

static bool all_basic(const cJSON *status, const char *list, bool (*is_basic)(const cJSON *))
{
    const cJSON *rule;

    cJSON_ArrayForEach (rule, cJSON_GetObjectItemCaseSensitive(status, list))
        if (!is_basic(rule))
            return false;
    return true;
}

enum rights rights_judge(const cJSON *review, const char *user, const char **ret_why)
{
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(review, "status");
    const char *why = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(status, "evaluationError"));

    *ret_why = why ? why : "";
    if (!cJSON_IsObject(status))
        return RIGHTS_UNKNOWN;
    if (!all_basic(status, "resourceRules", is_basic_resource) ||
        !all_basic(status, "nonResourceRules", is_basic_path))
        return RIGHTS_SOME;
    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(status, "incomplete")))
        return RIGHTS_NONE;
    /* older API servers said so to everybody; that one knows of nodes alone */
    if (strcmp(*ret_why, "node authorizer does not support user rule resolution") == 0 &&
        strncmp(user, "system:node:", 12) != 0)
        return RIGHTS_NONE;
    return RIGHTS_UNKNOWN;
}

/* ---- the binding ----------------------------------------------------------------------------- */

/* As one word of a shell. */
static void quote(const char *text, char out[QUOTED_MAX])
{
    size_t used = 0;

    if (*text && strlen(text) < QUOTED_MAX &&
        !text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789@%_+=:,./-")]) {
        snprintf(out, QUOTED_MAX, "%s", text);
        return;
    }
    out[used++] = '\'';
    for (; *text && used < QUOTED_MAX - 6; text++) {
        if (*text == '\'') {
            memcpy(out + used, "'\\''", 4);
            used += 4;
        } else {
            out[used++] = *text;
        }
    }
    out[used++] = '\'';
    out[used] = '\0';
}

/* A name that any object may have, which tells whose it is. */
static void name_binding(const char *whose, char out[BINDING_NAME_MAX])
{
    size_t used = (size_t)snprintf(out, BINDING_NAME_MAX, "view-");

    for (; *whose && used < BINDING_NAME_MAX - 1; whose++) {
        unsigned char c = (unsigned char)*whose;
        if (c < 128 && isalnum(c))
            out[used++] = (char)tolower(c);
        else if (out[used - 1] != '-')
            out[used++] = '-';
    }
    while (out[used - 1] == '-' && used > 5)
        used--;
    if (used == 5) /* the dash of "view-" */
        used--;
    out[used] = '\0';
}

/* The first group that is the user's own, or NULL. */
static const char *own_group(const cJSON *groups)
{
    const cJSON *one;

    cJSON_ArrayForEach (one, groups)
        if (cJSON_IsString(one) && strncmp(one->valuestring, "system:", 7) != 0)
            return one->valuestring;
    return NULL;
}

void rights_binding(const char *user, const cJSON *groups, char out[RIGHTS_BINDING_MAX])
{
    const char *group = own_group(groups), *whose = user ? user : group;
    char name[BINDING_NAME_MAX], quoted[QUOTED_MAX], quoted_group[QUOTED_MAX] = "";

    if (!whose) {
        out[0] = '\0';
        return;
    }
    name_binding(whose, name);
    quote(whose, quoted);
    if (group && whose != group)
        quote(group, quoted_group);
    snprintf(out, RIGHTS_BINDING_MAX,
             "kubectl create clusterrolebinding %s --clusterrole=view --%s=%s%s%s", name,
             user ? "user" : "group", quoted, *quoted_group ? ", or with --group=" : "",
             quoted_group);
}
