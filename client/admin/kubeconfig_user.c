#define _GNU_SOURCE
#include "client/admin/kubeconfig_user.h"

#include <stdio.h>
#include <string.h>

#include "common/json_tree.h"

static const char hint[] = "kubetoken is not installed, or not on the PATH.\n"
                           "It gets and renews the id_token that this cluster wants.\n";

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_kubetoken(const char *command)
{
    const char *name = name_of(command);
    return strcmp(name, "kubetoken") == 0 || strcmp(name, "kubectl-kubetoken") == 0;
}

const char *kubeconfig_user_command(const cJSON *user)
{
    const char *command = text_of(cJSON_GetObjectItemCaseSensitive(user, "exec"), "command");
    return is_kubetoken(command) ? command : NULL;
}

cJSON *kubeconfig_user_new(const char *profile, const char *version, const char *command,
                           const cJSON *was)
{
    cJSON *user = cJSON_CreateObject(), *exec = cJSON_AddObjectToObject(user, "exec");
    const cJSON *env = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(was, "exec"), "env");
    char text[64];

    snprintf(text, sizeof text, "client.authentication.k8s.io/%s", version);
    cJSON_AddStringToObject(exec, "apiVersion", text);
    cJSON_AddStringToObject(exec, "command", command);
    cJSON *args = cJSON_AddArrayToObject(exec, "args");
    snprintf(text, sizeof text, "exec/%s", version);
    json_tree_append(args, cJSON_CreateString("get"));
    json_tree_append(args, cJSON_CreateString("-o"));
    json_tree_append(args, cJSON_CreateString(text));
    json_tree_append(args, cJSON_CreateString(profile));
    if (kubeconfig_user_command(was) && cJSON_GetArraySize(env) > 0)
        json_tree_put(exec, "env", cJSON_Duplicate(env, true));
    cJSON_AddStringToObject(exec, "installHint", hint);
    cJSON_AddStringToObject(exec, "interactiveMode", "Never");
    cJSON_AddFalseToObject(exec, "provideClusterInfo");
    return user;
}

/* kubelogin, by any of its names; kubectl and containers run it, too. */
static bool is_kubelogin(const cJSON *exec)
{
    static const char *const names[] = { "kubelogin", "kubectl-oidc_login", "kubectl-oidc-login" };
    static const char *const runners[] = { "kubectl", "docker", "podman", "nerdctl" };
    const char *name = name_of(text_of(exec, "command"));
    const cJSON *arg;
    bool runs = false;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof runners / sizeof *runners; i++)
        runs = runs || strcmp(name, runners[i]) == 0;
    cJSON_ArrayForEach (arg, cJSON_GetObjectItemCaseSensitive(exec, "args")) {
        const char *text = cJSON_GetStringValue(arg);
        if (runs && text && (strcmp(text, "oidc-login") == 0 || strstr(text, "/kubelogin")))
            return true;
    }
    return false;
}

/* Whether kubetoken does what that member does. */
static bool stands_for(const cJSON *member)
{
    const char *key = member->string;

    if (cJSON_IsNull(member) || strcmp(key, "token") == 0)
        return true;
    if (strcmp(key, "auth-provider") == 0)
        return strcmp(text_of(member, "name"), "oidc") == 0;
    return strcmp(key, "exec") == 0 &&
           (is_kubetoken(text_of(member, "command")) || is_kubelogin(member) || !member->child);
}

void kubeconfig_user_losses(const cJSON *user, char *out, size_t size)
{
    const cJSON *member;
    size_t used = 0;

    out[0] = '\0';
    cJSON_ArrayForEach (member, user) {
        if (stands_for(member) || used >= size)
            continue;
        const char *more = strcmp(member->string, "exec") == 0 ? text_of(member, "command")
                           : strcmp(member->string, "auth-provider") == 0 ? text_of(member, "name")
                                                                          : "";
        used += (size_t)snprintf(out + used, size - used, "%s%s%s%s", used ? ", " : "",
                                 member->string, *more ? " " : "", more);
    }
}
