/* Whether the kubeconfig makes kubectl run kubetoken, by the rules of client-go. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/admin/doctor.h"
#include "client/admin/kuberc.h"
#include "common/protocol.h"

enum { V1_SINCE = 22, POLICY_SINCE = 35 };

static const char group[] = "client.authentication.k8s.io/";

/* The entry of that name in a list such as `contexts`, and its part, such as `context`. */
static const cJSON *find_entry(const cJSON *config, const char *list, const char *part,
                               const char *name)
{
    const cJSON *entry;

    cJSON_ArrayForEach (entry, cJSON_GetObjectItemCaseSensitive(config, list))
        if (strcmp(doctor_text(entry, "name"), name) == 0)
            return cJSON_GetObjectItemCaseSensitive(entry, part);
    return NULL;
}

/* The exec stanza, if it runs kubetoken. */
static const cJSON *stanza_of(const cJSON *user)
{
    const cJSON *exec = cJSON_GetObjectItemCaseSensitive(user, "exec");
    const char *command = doctor_text(exec, "command"), *slash = strrchr(command, '/');
    const char *name = slash ? slash + 1 : command;

    return strcmp(name, "kubetoken") == 0 || strcmp(name, "kubectl-kubetoken") == 0 ? exec : NULL;
}

static const cJSON *user_of(const cJSON *config, const char *context)
{
    const cJSON *found = find_entry(config, "contexts", "context", context);
    return find_entry(config, "users", "user", doctor_text(found, "user"));
}

/* What the stanza's args say. */
struct plugin_arguments {
    const char *verb, *format, *profile;
};

static bool takes_value(const char *arg)
{
    return strcmp(arg, "-o") == 0 || strcmp(arg, "--output") == 0 ||
           strcmp(arg, "--timeout") == 0 || strcmp(arg, "--min-validity") == 0;
}

static struct plugin_arguments read_arguments(const cJSON *exec)
{
    struct plugin_arguments a = { "", NULL, NULL };
    const cJSON *arg;

    cJSON_ArrayForEach (arg, cJSON_GetObjectItemCaseSensitive(exec, "args")) {
        const char *text = cJSON_IsString(arg) ? arg->valuestring : "";
        if (!*a.verb)
            a.verb = text;
        else if (strncmp(text, "--output=", 9) == 0)
            a.format = text + 9;
        else if (strncmp(text, "-o", 2) == 0 && text[2])
            a.format = text + 2;
        else if (takes_value(text) && arg->next) {
            arg = arg->next;
            if (text[1] == 'o' || text[2] == 'o')
                a.format = cJSON_IsString(arg) ? arg->valuestring : "";
        } else if (text[0] != '-')
            a.profile = text;
    }
    return a;
}

const char *doctor_kubeconfig_profile(const struct doctor *d)
{
    const char *context = doctor_text(d->config, "current-context");
    const char *profile = read_arguments(stanza_of(user_of(d->config, context))).profile;

    return profile && protocol_name_valid(profile, strlen(profile)) ? profile : NULL;
}

/* ---- context and user ------------------------------------------------------------------------ */

/* "a, b": the contexts whose user runs kubetoken, or all. */
static void list_contexts(const cJSON *config, bool all, char *out, size_t size)
{
    const cJSON *entry;
    size_t used = 0;

    out[0] = '\0';
    cJSON_ArrayForEach (entry, cJSON_GetObjectItemCaseSensitive(config, "contexts")) {
        const char *name = doctor_text(entry, "name");
        if ((all || stanza_of(user_of(config, name))) && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", name);
    }
}

static const cJSON *check_context(struct doctor *d)
{
    const char *name = doctor_text(d->config, "current-context");
    const cJSON *context = find_entry(d->config, "contexts", "context", name);
    const char *user = doctor_text(context, "user"), *cluster = doctor_text(context, "cluster");
    struct report *r = &d->report;
    char all[200];

    list_contexts(d->config, true, all, sizeof all);
    if (!context)
        report_add(r, LEVEL_ERROR, "context", ERROR_KUBECONFIG, "%s%s%s%s%s",
                   *name ? "there is no context " : "it has no current context", name,
                   *all ? "; there are " : "", all, d->kubeconfig || *all ? "" : "; is it empty?");
    else if (!find_entry(d->config, "clusters", "cluster", cluster))
        report_add(r, LEVEL_ERROR, "context", ERROR_KUBECONFIG, "context %s: no cluster \"%s\"",
                   name, cluster);
    else if (!find_entry(d->config, "users", "user", user))
        report_add(r, LEVEL_ERROR, "context", ERROR_KUBECONFIG, "context %s: no user \"%s\"", name,
                   user);
    else {
        report_add(r, LEVEL_OK, "context", ERROR_NONE, "%s, user %s, cluster %s", name, user,
                   cluster);
        return find_entry(d->config, "users", "user", user);
    }
    if (!context)
        report_remedy(r, "kubectl config use-context NAME chooses one");
    return NULL;
}

/* What a user has beside, or instead of, an exec stanza; NULL: nothing. */
static const char *other_credentials(const cJSON *user)
{
    static const struct {
        const char *key, *name;
    } kinds[] = { { "token", "a token" },
                  { "tokenFile", "a token file" },
                  { "client-certificate", "a client certificate" },
                  { "client-certificate-data", "a client certificate" },
                  { "username", "a user name and password" },
                  { "auth-provider", "an auth-provider" } };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (cJSON_GetObjectItemCaseSensitive(user, kinds[i].key))
            return kinds[i].name;
    return NULL;
}

static const cJSON *check_user(struct doctor *d, const cJSON *user)
{
    const cJSON *exec = stanza_of(user);
    const char *others = other_credentials(user);
    const char *command = doctor_text(cJSON_GetObjectItemCaseSensitive(user, "exec"), "command");
    char better[200];

    d->plugin_used = exec && !others;
    if (d->plugin_used) {
        report_add(&d->report, LEVEL_OK, "plugin", ERROR_NONE, "%s", doctor_text(exec, "command"));
    } else if (exec) {
        report_add(&d->report, LEVEL_ERROR, "plugin", ERROR_BYPASSED, "%s", others);
    } else {
        list_contexts(d->config, false, better, sizeof better);
        report_add(&d->report, LEVEL_ERROR, "plugin", ERROR_NOT_USED, "the user %s%s%s%s",
                   *command ? "runs "
                   : others ? "has "
                            : "has no credentials",
                   *command ? command
                   : others ? others
                            : "",
                   *better ? "; with kubetoken: context " : "", better);
        if (*better)
            report_remedy(&d->report, "kubectl config use-context NAME, with one of: %s", better);
    }
    return exec;
}

/* ---- the exec stanza ------------------------------------------------------------------------- */

static bool can_run(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Looks for the name in the folders of a list such as PATH. With files: in the folder of each file
 * of a list such as KUBECONFIG. Returns whether it is there, with its path. */
static bool found_in(const char *list, bool files, const char *name, char path[PATH_MAX])
{
    for (const char *p = list; *p; p += strcspn(p, ":"), p += *p == ':') {
        size_t length = strcspn(p, ":");
        const char *slash = files ? memrchr(p, '/', length) : p + length;
        int n = snprintf(path, PATH_MAX, "%.*s/%s", slash ? (int)(slash - p) : 1, slash ? p : ".",
                         name);
        if (n > 0 && n < PATH_MAX && can_run(path))
            return true;
    }
    return false;
}

/* As client-go finds a program: by its path, or on the PATH. */
static bool find_program(const char *name, char path[PATH_MAX])
{
    const char *list = getenv("PATH");

    if (!strchr(name, '/'))
        return found_in(list ? list : "", false, name, path);
    snprintf(path, PATH_MAX, "%s", name);
    return can_run(path);
}

static bool find_command(const struct doctor *d, const cJSON *exec, char path[PATH_MAX])
{
    const char *command = doctor_text(exec, "command"), *home = getenv("HOME");
    const char *files = d->kubeconfig ? d->kubeconfig : getenv("KUBECONFIG");
    char usual[PATH_MAX];

    if (command[0] == '/' || !strchr(command, '/'))
        return find_program(command, path);
    snprintf(usual, sizeof usual, "%s/.kube/config", home ? home : "");
    /* client-go: relative to the file that names it */
    return found_in(files && *files ? files : usual, true, command, path);
}

static void check_command(struct doctor *d, const cJSON *exec)
{
    const char *command = doctor_text(exec, "command");
    char path[PATH_MAX];

    if (find_command(d, exec, path))
        report_add(&d->report, LEVEL_OK, "command", ERROR_NONE, "%s", command);
    else
        report_add(&d->report, LEVEL_ERROR, "command", ERROR_PLUGIN_COMMAND, "%s is not %s",
                   command, strchr(command, '/') ? "there, or cannot be run" : "on the PATH");
}

static void check_version(struct doctor *d, const cJSON *exec)
{
    const char *version = doctor_text(exec, "apiVersion");
    const char *name = strncmp(version, group, sizeof group - 1) == 0 ? version + sizeof group - 1
                                                                      : "";

    if (strcmp(name, "v1beta1") == 0 || (strcmp(name, "v1") == 0 && d->kubectl_minor >= V1_SINCE))
        report_add(&d->report, LEVEL_OK, "apiversion", ERROR_NONE, "%s", version);
    else if (strcmp(name, "v1") == 0)
        report_add(&d->report, LEVEL_ERROR, "apiversion", ERROR_PLUGIN_VERSION,
                   "kubectl knows v1 since 1.22, this is %s", d->kubectl_version);
    else
        report_add(&d->report, LEVEL_ERROR, "apiversion", ERROR_PLUGIN_VERSION, "%s",
                   *version ? version : "none is set");
}

static void check_interactive(struct doctor *d, const cJSON *exec)
{
    const char *mode = doctor_text(exec, "interactiveMode");
    const char *version = doctor_text(exec, "apiVersion");
    struct report *r = &d->report;

    if (d->kubectl_minor < V1_SINCE) { /* and `config view` does not show it */
        report_add(r, LEVEL_OK, "interactive", ERROR_NONE, "not looked at by kubectl %s",
                   d->kubectl_version);
        return;
    }
    if (strcmp(mode, "Never") == 0 || strcmp(mode, "IfAvailable") == 0)
        report_add(r, LEVEL_OK, "interactive", ERROR_NONE, "%s", mode);
    else if (strcmp(mode, "Always") == 0)
        report_add(r, LEVEL_ERROR, "interactive", ERROR_PLUGIN_STANZA,
                   "interactiveMode is Always: without a terminal kubectl does not run the plugin");
    else if (*mode)
        report_add(r, LEVEL_ERROR, "interactive", ERROR_PLUGIN_STANZA,
                   "kubectl knows no interactiveMode \"%s\"", mode);
    else if (strncmp(version, group, sizeof group - 1) == 0 &&
             strcmp(version + sizeof group - 1, "v1") == 0)
        report_add(r, LEVEL_ERROR, "interactive", ERROR_PLUGIN_STANZA,
                   "interactiveMode is not set, and v1 needs it");
    else
        report_add(r, LEVEL_OK, "interactive", ERROR_NONE, "not set");
}

static void check_arguments(struct doctor *d, const cJSON *exec)
{
    const struct plugin_arguments a = read_arguments(exec);
    struct report *r = &d->report;

    if (strcmp(a.verb, "get") != 0)
        report_add(r, LEVEL_ERROR, "arguments", ERROR_PLUGIN_STANZA,
                   "args begin with \"%s\" instead of get", a.verb);
    else if (a.format && strncmp(a.format, "exec", 4) != 0)
        report_add(r, LEVEL_ERROR, "arguments", ERROR_PLUGIN_STANZA,
                   "-o %s makes no ExecCredential", a.format);
    else if (!a.format || strcmp(a.format, "exec") == 0)
        report_add(r, LEVEL_WARNING, "arguments", ERROR_PLUGIN_STANZA,
                   "args lack -o exec/v1 (or v1beta1): kubectl does without, the JavaScript client "
                   "does not");
    else
        report_add(r, LEVEL_OK, "arguments", ERROR_NONE, "-o %s", a.format);
}

/* Of the profile that kubectl will ask for. */
static void check_profile(struct doctor *d, const cJSON *exec)
{
    const char *profile = read_arguments(exec).profile;
    struct error why;

    enum error_code code = doctor_ask(d, "profile *", profile, &why);
    d->answer[strcspn(d->answer, "\n")] = '\0';
    if (code == ERROR_NO_PROFILE || code == ERROR_NO_DEFAULT)
        report_add(&d->report, LEVEL_ERROR, "kubectl-profile", code, "%s",
                   profile ? profile : why.detail);
    else if (code != ERROR_NONE)
        report_add(&d->report, LEVEL_SKIPPED, "kubectl-profile", ERROR_NONE, "%s",
                   error_sentence(code));
    else if (*d->name && strcmp(d->answer, d->name) != 0)
        report_add(&d->report, LEVEL_WARNING, "kubectl-profile", ERROR_NOT_USED,
                   "it asks for %.64s, the links above are those of %s", d->answer, d->name);
    else
        report_add(&d->report, LEVEL_OK, "kubectl-profile", ERROR_NONE, "%.64s", d->answer);
}

/* ---- kuberc ---------------------------------------------------------------------------------- */

/* Of client-go: an entry allows the program that it is the path of, or that the PATH
 * has under its name. */
static bool is_listed(const struct doctor *d, const cJSON *exec, const struct kuberc *rc)
{
    char plugin[PATH_MAX], entry[PATH_MAX];

    if (!find_command(d, exec, plugin))
        return false;
    for (unsigned i = 0; i < rc->n; i++)
        if (find_program(rc->entries[i], entry) && strcmp(entry, plugin) == 0)
            return true;
    return false;
}

/* What is wrong with the policy, NULL: nothing. */
static const char *judge_policy(const struct doctor *d, const cJSON *exec, const struct kuberc *rc)
{
    bool listing = strcmp(rc->policy, "Allowlist") == 0;

    if (strcmp(rc->policy, "DenyAll") == 0)
        return "DenyAll";
    if (listing != rc->has_list)
        return listing ? "Allowlist without credentialPluginAllowlist"
                       : "credentialPluginAllowlist without the policy Allowlist";
    if (!listing && *rc->policy && strcmp(rc->policy, "AllowAll") != 0)
        return "there is no policy of that name";
    return !listing || is_listed(d, exec, rc) ? NULL : "Allowlist without kubetoken";
}

static void check_policy(struct doctor *d, const cJSON *exec)
{
    char file[PATH_MAX];
    struct kuberc rc = { .n = 0 };
    unsigned line = 0;
    bool counts = d->kubectl_minor >= POLICY_SINCE;

    int r = kuberc_path(file, sizeof file) ? kuberc_read(file, &rc, &line) : -ENOENT;
    if (r < 0 && r != -ENOENT) {
        report_add(&d->report, LEVEL_WARNING, "policy", ERROR_PLUGIN_POLICY, "%s:%u: %s", file,
                   line, r == -EBADMSG ? "this is no YAML" : strerror(-r));
        return;
    }
    const char *wrong = judge_policy(d, exec, &rc);
    if (!wrong)
        report_add(&d->report, LEVEL_OK, "policy", ERROR_NONE, "%s",
                   *rc.policy ? rc.policy : "none");
    else
        report_add(&d->report, counts ? LEVEL_ERROR : LEVEL_WARNING, "policy", ERROR_PLUGIN_POLICY,
                   "%s: %s%s%s", file, wrong,
                   counts ? "" : "; kubectl 1.35 is the first that obeys, this is ",
                   counts ? "" : d->kubectl_version);
}

void doctor_kubeconfig(struct doctor *d)
{
    if (!d->kubectl) {
        report_add(&d->report, LEVEL_SKIPPED, "kubectl", ERROR_KUBECTL, "%s",
                   d->kubectl_error.detail);
        return;
    }
    report_add(&d->report, LEVEL_OK, "kubectl", ERROR_NONE, "%s", d->kubectl_version);
    if (!d->config) {
        report_add(&d->report, LEVEL_ERROR, "context", d->kubectl_error.code, "%s",
                   d->kubectl_error.detail);
        return;
    }
    const cJSON *user = check_context(d);
    const cJSON *exec = user ? check_user(d, user) : NULL;
    if (!exec)
        return;
    check_command(d, exec);
    check_version(d, exec);
    check_interactive(d, exec);
    check_arguments(d, exec);
    check_profile(d, exec);
    check_policy(d, exec);
}
