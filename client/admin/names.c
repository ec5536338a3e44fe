/* The names that a report for everybody must not have: who and where somebody is. */
#define _GNU_SOURCE
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/authentication_config.h"
#include "client/admin/doctor.h"
#include "common/paths.h"

/* An e-mail address, and what is before its @; or any other name. */
static void hide_user(struct report *r, const char *name)
{
    const char *at = strchr(name, '@');
    char local[256];

    report_hide(r, at ? "email" : "user", name);
    snprintf(local, sizeof local, "%.*s", (int)(at ? at - name : 0), name);
    report_hide(r, "user", local);
}

/* Each entry of a list of paths. */
static void hide_paths(struct report *r, const char *list)
{
    char path[PATH_MAX];

    for (const char *p = list ? list : ""; *p; p += strcspn(p, ":"), p += *p == ':') {
        snprintf(path, sizeof path, "%.*s", (int)strcspn(p, ":"), p);
        report_hide(r, "path", path);
    }
}

/* Of the file alone: getpwuid() may wait for a directory for long, and glibc's ends by SIGSEGV
 * where there is no memory. Whom it does not have is named by USER, or by the last word of HOME. */
static void hide_account(struct report *r)
{
    const char *home = getenv("HOME"), *word = home ? strrchr(home, '/') : NULL;
    FILE *users = fopen("/etc/passwd", "re");
    const struct passwd *entry = NULL;

    while (users && (entry = fgetpwent(users)) && entry->pw_uid != getuid())
        ;
    if (entry)
        report_hide(r, "user", entry->pw_name);
    if (users)
        fclose(users);
    if (word)
        report_hide(r, "user", word + 1);
}

static void hide_machine(struct report *r)
{
    static const char *const users[] = { "USER", "LOGNAME", "SUDO_USER" };
    static const char *const paths[] = {
        "HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "KUBETOKEN_SOCKET", "KUBECONFIG", "KUBERC"
    };
    static const char *const proxies[] = { "https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
                                           "ALL_PROXY" };
    char name[256] = "", folder[PATH_MAX];

    hide_account(r);
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        report_hide(r, "user", getenv(users[i]));
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        hide_paths(r, getenv(paths[i]));
    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++)
        report_hide_url(r, getenv(proxies[i]));
    if (getcwd(folder, sizeof folder))
        report_hide(r, "path", strcmp(folder, "/") == 0 ? NULL : folder);
    if (gethostname(name, sizeof name - 1) == 0)
        report_hide(r, "host", name);
    name[strcspn(name, ".")] = '\0';
    report_hide(r, "host", name);
}

static void hide_options(struct doctor *d)
{
    struct report *r = &d->report;

    report_hide(r, "profile", d->profile);
    report_hide_url(r, d->expected.issuer);
    report_hide(r, "path", d->kubeconfig);
    report_hide(r, "path", d->authentication_config);
    for (unsigned i = 0; i < d->expected.audiences.n; i++)
        report_hide(r, "audience", d->expected.audiences.texts[i]);
    for (unsigned i = 0; i < d->expected.claims.n; i++)
        report_hide(r, "claim", strchr(d->expected.claims.texts[i], '=') + 1);
}

/* Of the API server's file, whatever part of it names somebody or some place. */
static void hide_values(struct report *r, const cJSON *json)
{
    static const struct {
        const char *member, *kind;
    } kinds[] = { { "audiences", "audience" },
                  { "prefix", "prefix" },
                  { "requiredValue", "claim" },
                  { "key", "key" } };
    const cJSON *member;

    cJSON_ArrayForEach (member, json) {
        const char *name = member->string ? member->string : json->string ? json->string : "";
        if (cJSON_IsString(member) && strcasestr(name, "url"))
            report_hide_url(r, member->valuestring);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (cJSON_IsString(member) && strcmp(name, kinds[i].member) == 0)
                report_hide(r, kinds[i].kind, member->valuestring);
        hide_values(r, member);
    }
}

static void hide_users(struct report *r, const cJSON *names)
{
    const cJSON *name;

    cJSON_ArrayForEach (name, names) {
        if (cJSON_IsString(name))
            hide_user(r, name->valuestring);
    }
}

static void hide_status(struct doctor *d)
{
    const cJSON *profile, *changed;
    struct report *r = &d->report;

    cJSON_ArrayForEach (changed,
                        cJSON_GetObjectItemCaseSensitive(d->status, "configurationChanged")) {
        report_hide(r, "profile", doctor_text(changed, "profile"));
    }
    cJSON_ArrayForEach (profile, cJSON_GetObjectItemCaseSensitive(d->status, "profiles")) {
        report_hide(r, "profile", doctor_text(profile, "profile"));
        report_hide_url(r, doctor_text(profile, "issuer"));
        hide_user(r, doctor_text(profile, "user"));
        hide_user(r, doctor_text(profile, "username"));
        hide_users(r, cJSON_GetObjectItemCaseSensitive(profile, "userByClaim"));
        report_hide(r, "prefix", doctor_text(profile, "usernamePrefix"));
        report_hide(r, "prefix", doctor_text(profile, "groupsPrefix"));
        report_hide(r, "host",
                    doctor_text(cJSON_GetObjectItemCaseSensitive(profile, "error"), "host"));
        report_hide(r, "host",
                    doctor_text(cJSON_GetObjectItemCaseSensitive(profile, "request"), "host"));
    }
}

/* What of a token says how it is made, and nobody by it. */
static bool is_technical(const char *claim)
{
    static const char *const names[] = { "typ",   "acr", "amr", "token_use",
                                         "scope", "scp", "alg", "locale" };

    for (size_t i = 0; claim && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], claim) == 0)
            return true;
    return false;
}

/* All texts in a claim. */
static void hide_claim(struct doctor *d, const char *name, const cJSON *value)
{
    static const struct {
        const char *claim, *kind;
    } kinds[] = { { "aud", "audience" },
                  { "azp", "audience" },
                  { "sub", "user" },
                  { "name", "user" },
                  { "preferred_username", "user" },
                  { "groups", "group" },
                  { "roles", "group" },
                  { "kid", "key" } };
    const char *kind = strcmp(name, doctor_text(d->state, "groupsClaim")) == 0 ? "group" : "claim";
    const cJSON *entry;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].claim, name) == 0)
            kind = kinds[i].kind;
    if (cJSON_IsString(value) && strstr(value->valuestring, "://"))
        report_hide_url(&d->report, value->valuestring);
    else if (cJSON_IsString(value) && strchr(value->valuestring, '@'))
        hide_user(&d->report, value->valuestring);
    else if (cJSON_IsString(value))
        report_hide(&d->report, kind, value->valuestring);
    cJSON_ArrayForEach (entry, value) {
        hide_claim(d, name, entry);
    }
}

static void hide_token(struct doctor *d)
{
    static const char *const parts[] = { "claims", "header" };
    const cJSON *claim;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cJSON_ArrayForEach (claim, cJSON_GetObjectItemCaseSensitive(d->inspection, parts[i])) {
            if (!is_technical(claim->string))
                hide_claim(d, claim->string, claim);
        }
}

static void hide_texts(struct report *r, const char *kind, const cJSON *value)
{
    const cJSON *entry;

    if (cJSON_IsString(value) && strstr(value->valuestring, "://"))
        report_hide_url(r, value->valuestring);
    else if (cJSON_IsString(value))
        report_hide(r, kind, value->valuestring);
    cJSON_ArrayForEach (entry, value) {
        hide_texts(r, kind, entry);
    }
}

/* The names of the entries of such a list, and the members of each entry that are names. */
static void hide_list(struct doctor *d, const char *list, const char *part, const char *kind,
                      const char *const members[])
{
    const cJSON *entry;

    cJSON_ArrayForEach (entry, cJSON_GetObjectItemCaseSensitive(d->config, list)) {
        const cJSON *whole = cJSON_GetObjectItemCaseSensitive(entry, part);
        report_hide(&d->report, kind, doctor_text(entry, "name"));
        for (size_t i = 0; members[i]; i++)
            hide_texts(&d->report, members[i], cJSON_GetObjectItemCaseSensitive(whole, members[i]));
    }
}

static void hide_kubeconfig(struct doctor *d)
{
    static const char *const context[] = { "cluster", "user", "namespace", NULL };
    static const char *const cluster[] = { "server", "proxy-url", "tls-server-name",
                                           "certificate-authority", NULL };
    static const char *const user[] = {
        "username", "client-certificate", "client-key",    "tokenFile",
        "as",       "as-groups",          "auth-provider", NULL
    };
    const cJSON *entry, *one;

    report_hide(&d->report, "context", doctor_text(d->config, "current-context"));
    hide_list(d, "contexts", "context", "context", context);
    hide_list(d, "clusters", "cluster", "cluster", cluster);
    hide_list(d, "users", "user", "user", user);
    report_hide(&d->report, "profile", doctor_kubeconfig_profile(d));
    cJSON_ArrayForEach (entry, cJSON_GetObjectItemCaseSensitive(d->config, "users")) {
        const cJSON *exec = cJSON_GetObjectItemCaseSensitive(
            cJSON_GetObjectItemCaseSensitive(entry, "user"), "exec");
        report_hide(&d->report, "command", doctor_text(exec, "command"));
        cJSON_ArrayForEach (one, cJSON_GetObjectItemCaseSensitive(exec, "env")) {
            hide_texts(&d->report, "value", cJSON_GetObjectItemCaseSensitive(one, "value"));
        }
    }
}

void doctor_hide_names(struct doctor *d)
{
    if (!d->report.hidden)
        return;
    hide_options(d);
    if (d->server_config)
        hide_values(&d->report, authentication_config_entries(d->server_config));
    hide_machine(&d->report);
    hide_kubeconfig(d);
    hide_status(d);
    hide_token(d);
}
