/* Whether the kubeconfig makes kubectl run kubetoken, by the rules of client-go. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/admin/certificate.h"
#include "client/admin/doctor.h"
#include "client/admin/kubectl.h"
#include "common/protocol.h"

enum { V1_SINCE = 22 };

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

const cJSON *doctor_context(const struct doctor *d)
{
    return find_entry(d->config, "contexts", "context", doctor_text(d->config, "current-context"));
}

const cJSON *doctor_context_cluster(const struct doctor *d)
{
    return find_entry(d->config, "clusters", "cluster", doctor_text(doctor_context(d), "cluster"));
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

/* The first file that kubectl reads its configuration from. Returns whether any of them is there.
 */
static bool find_kubeconfig(const struct doctor *d, char first[PATH_MAX])
{
    const char *home = getenv("HOME"), *list = d->kubeconfig ? d->kubeconfig : getenv("KUBECONFIG");
    char usual[PATH_MAX], path[PATH_MAX];
    bool there = false;

    snprintf(usual, sizeof usual, "%s/.kube/config", home ? home : "");
    if (!list || !*list)
        list = usual;
    first[0] = '\0';
    for (const char *p = list; *p && !there; p += strcspn(p, ":"), p += *p == ':') {
        snprintf(path, sizeof path, "%.*s", (int)strcspn(p, ":"), p);
        there = *path && access(path, F_OK) == 0;
        if (!*first || there)
            snprintf(first, PATH_MAX, "%s", path);
    }
    return there;
}

/* Nothing to begin with: who has just installed kubetoken may have none. */
static bool lacks_kubeconfig(struct doctor *d)
{
    const cJSON *contexts = cJSON_GetObjectItemCaseSensitive(d->config, "contexts");
    const cJSON *users = cJSON_GetObjectItemCaseSensitive(d->config, "users");
    char file[PATH_MAX];

    bool there = find_kubeconfig(d, file);
    if (there && (!d->config || cJSON_GetArraySize(contexts) + cJSON_GetArraySize(users) > 0))
        return false;
    report_add(&d->report, LEVEL_ERROR, "context", ERROR_KUBECONFIG, "%s %s", file,
               there ? "has no context and no user" : "is not there");
    report_remedy(&d->report, "kubetoken kubeconfig prints the user to put into it; the cluster's "
                              "own part comes from who runs the cluster");
    return true;
}

static const cJSON *check_context(struct doctor *d)
{
    const char *name = doctor_text(d->config, "current-context");
    const cJSON *context = doctor_context(d);
    const char *user = doctor_text(context, "user"), *cluster = doctor_text(context, "cluster");
    struct report *r = &d->report;
    char all[200];

    list_contexts(d->config, true, all, sizeof all);
    if (!context)
        report_add(r, LEVEL_ERROR, "context", ERROR_KUBECONFIG, "%s%s%s%s",
                   *name ? "there is no context " : "it has no current context", name,
                   *all ? "; there are " : "", all);
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
        report_remedy(r, "kubectl config use-context NAME chooses one; kubetoken kubeconfig prints "
                         "a user for it");
    return NULL;
}

/* ---- the user -------------------------------------------------------------------------------- */

/* A client certificate, as far as it says itself what it is. */
static void describe_certificate(const struct doctor *d, const cJSON *user, char *out, size_t size)
{
    const char *file = doctor_text(user, "client-certificate");
    struct certificate c = { .not_after = 0 };
    char *pem = kubectl_certificate(d, file);
    char day[32];

    int r = !pem ? -errno : *file ? certificate_read(pem, &c) : certificate_read_data(pem, &c);
    free(pem);
    if (r < 0) {
        snprintf(out, size, "a client certificate%s%s%s", *file ? ", " : "", file,
                 *file ? r == -EBADMSG ? ", which is none" : ", which cannot be read" : "");
        return;
    }
    time_t end = (time_t)c.not_after;
    bool expired = end < time(NULL);
    strftime(day, sizeof day, "%Y-%m-%d", gmtime(&end));
    snprintf(out, size, "%s client certificate%s (CN %s, O %s, %s %s)",
             c.is_admin ? "an administrator's" : "a", expired ? " that has expired" : "",
             c.common_name, *c.organizations ? c.organizations : "none", expired ? "on" : "until",
             day);
}

/* What a user has beside, or instead of, an exec stanza; "": nothing. */
static void other_credentials(const struct doctor *d, const cJSON *user, char *out, size_t size)
{
    static const struct {
        const char *key, *name;
    } kinds[] = { { "token", "a token of its own" },
                  { "tokenFile", "a token file" },
                  { "client-certificate", NULL },
                  { "client-certificate-data", NULL },
                  { "username", "a user name and password" },
                  { "auth-provider", "an auth-provider" } };
    const cJSON *found = NULL;
    size_t i;

    out[0] = '\0';
    for (i = 0; i < sizeof kinds / sizeof *kinds && !found; i++)
        found = cJSON_GetObjectItemCaseSensitive(user, kinds[i].key);
    if (found && !kinds[i - 1].name)
        describe_certificate(d, user, out, size);
    else if (found && *doctor_text(found, "name"))
        snprintf(out, size, "%s (%s)", kinds[i - 1].name, doctor_text(found, "name"));
    else if (found)
        snprintf(out, size, "%s", kinds[i - 1].name);
}

/* "kubectl oidc-login": of the arguments, which may hold passwords, no more than that. */
static void name_plugin(const cJSON *user, char *out, size_t size)
{
    const cJSON *exec = cJSON_GetObjectItemCaseSensitive(user, "exec");
    const char *command = doctor_text(exec, "command"), *slash = strrchr(command, '/');
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(exec, "args"), 0);
    const char *verb = cJSON_GetStringValue(first);
    bool plain = verb && *verb != '-' && strcmp(slash ? slash + 1 : command, "kubectl") == 0;

    snprintf(out, size, "%s%s%s", command, plain ? " " : "", plain ? verb : "");
}

static void add_not_used(struct doctor *d, const char *plugin, const char *others)
{
    char better[200];

    list_contexts(d->config, false, better, sizeof better);
    report_add(&d->report, LEVEL_ERROR, "plugin", ERROR_NOT_USED, "the user %s%s%s%s",
               *plugin   ? "runs "
               : *others ? "has "
                         : "has no credentials",
               *plugin ? plugin : others, *better ? "; with kubetoken: context " : "", better);
    if (*better)
        report_remedy(&d->report, "kubectl config use-context NAME, with one of: %s", better);
}

static const cJSON *check_user(struct doctor *d, const cJSON *user)
{
    const cJSON *exec = stanza_of(user);
    char plugin[200], others[400];

    other_credentials(d, user, others, sizeof others);
    name_plugin(user, plugin, sizeof plugin);
    d->plugin_used = exec && !*others;
    d->user_asks = (!exec && *plugin) || cJSON_HasObjectItem(user, "auth-provider");
    if (d->plugin_used)
        report_add(&d->report, LEVEL_OK, "plugin", ERROR_NONE, "%s", doctor_text(exec, "command"));
    else if (exec)
        report_add(&d->report, LEVEL_ERROR, "plugin", ERROR_BYPASSED, "%s", others);
    else
        add_not_used(d, plugin, others);
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

bool doctor_find_program(const char *name, char *path)
{
    const char *list = getenv("PATH");

    if (!strchr(name, '/'))
        return found_in(list ? list : "", false, name, path);
    snprintf(path, PATH_MAX, "%s", name);
    return can_run(path);
}

bool doctor_find_command(const struct doctor *d, const cJSON *exec, char *path)
{
    const char *command = doctor_text(exec, "command"), *home = getenv("HOME");
    const char *files = d->kubeconfig ? d->kubeconfig : getenv("KUBECONFIG");
    char usual[PATH_MAX];

    if (command[0] == '/' || !strchr(command, '/'))
        return doctor_find_program(command, path);
    snprintf(usual, sizeof usual, "%s/.kube/config", home ? home : "");
    /* client-go: relative to the file that names it */
    return found_in(files && *files ? files : usual, true, command, path);
}

/* A desktop program has the PATH of the login or of the user's systemd, not that of a shell. */
static bool is_on_a_desktop(const char *command)
{
    char path[PATH_MAX];
    return found_in("/usr/local/bin:/usr/bin:/bin", false, command, path);
}

static void check_command(struct doctor *d, const cJSON *exec)
{
    const char *command = doctor_text(exec, "command");
    char path[PATH_MAX];

    bool found = doctor_find_command(d, exec, path);
    if (found && (strchr(command, '/') || path[0] != '/' || is_on_a_desktop(command))) {
        report_add(&d->report, LEVEL_OK, "command", ERROR_NONE, "%s", command);
    } else if (found) {
        report_add(&d->report, LEVEL_NOTE, "command", ERROR_NONE,
                   "%s is on this PATH, but not on the short one that desktop programs have "
                   "(/usr/local/bin:/usr/bin:/bin)",
                   command);
        report_remedy(&d->report, "for those write the full path as command: %s", path);
    } else {
        report_add(&d->report, LEVEL_ERROR, "command", ERROR_PLUGIN_COMMAND, "%s is not %s",
                   command, strchr(command, '/') ? "there, or cannot be run" : "on the PATH");
    }
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

static void add_no_kubectl(struct doctor *d)
{
    bool absent = d->kubectl_error.code == ERROR_KUBECTL;

    report_add(&d->report, absent ? LEVEL_WARNING : LEVEL_ERROR, "kubectl", d->kubectl_error.code,
               "%s", d->kubectl_error.detail);
}

static const cJSON *check_stanza(struct doctor *d)
{
    const cJSON *user = check_context(d);
    const cJSON *exec = user ? check_user(d, user) : NULL;

    if (!exec)
        return NULL;
    check_command(d, exec);
    check_version(d, exec);
    check_interactive(d, exec);
    check_arguments(d, exec);
    check_profile(d, exec);
    return exec;
}

void doctor_kubeconfig(struct doctor *d)
{
    const cJSON *exec = NULL;

    if (!d->kubectl) {
        add_no_kubectl(d);
        return;
    }
    report_add(&d->report, LEVEL_OK, "kubectl", ERROR_NONE, "%s", d->kubectl_version);
    if (lacks_kubeconfig(d))
        ; /* said */
    else if (!d->config)
        report_add(&d->report, LEVEL_ERROR, "context", d->kubectl_error.code, "%s",
                   d->kubectl_error.detail);
    else
        exec = check_stanza(d);
    doctor_policy(d, exec);
}
