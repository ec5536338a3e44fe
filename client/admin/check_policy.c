/* Whether kubectl's file of preferences allows it to run kubetoken, and to run at all. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "client/admin/doctor.h"
#include "client/admin/kuberc.h"

enum { POLICY_SINCE = 35 };

/* Of client-go: an entry allows the program that it is the path of, or that the PATH
 * has under its name. */
static bool is_listed(const struct doctor *d, const cJSON *exec, const struct kuberc *rc)
{
    char plugin[PATH_MAX], entry[PATH_MAX];

    if (!doctor_find_command(d, exec, plugin))
        return false;
    for (unsigned i = 0; i < rc->n; i++)
        if (doctor_find_program(rc->entries[i], entry) && strcmp(entry, plugin) == 0)
            return true;
    return false;
}

const char *doctor_judge_policy(const struct doctor *d, const cJSON *exec, const struct kuberc *rc)
{
    const char *fatal = kuberc_fatal(rc);

    if (fatal || !exec || !rc->counts)
        return fatal;
    if (strcmp(rc->policy, "DenyAll") == 0)
        return "DenyAll";
    return strcmp(rc->policy, "Allowlist") != 0 || is_listed(d, exec, rc)
               ? NULL
               : "Allowlist without kubetoken";
}

/* The whole path is what holds wherever kubectl is started. */
static void add_policy_remedy(struct doctor *d, const cJSON *exec, const char *file)
{
    char path[PATH_MAX];

    if (exec && doctor_find_command(d, exec, path) && path[0] == '/')
        report_remedy(
            &d->report,
            "in %s set credentialPluginPolicy: Allowlist, and in credentialPluginAllowlist "
            "have the entry: - %s: %s",
            file, d->kubectl_minor == POLICY_SINCE ? "name" : "command", path);
    else
        report_remedy(
            &d->report,
            "correct it; KUBERC=off has kubectl do without, kubectl kuberc view shows it");
}

/* A file in which kubectl finds nothing that it can use. It insists on one that KUBERC names. */
static void add_unusable(struct doctor *d, const char *file, bool named, int r, unsigned line)
{
    bool fatal = named && d->kubectl_minor >= POLICY_SINCE;
    const char *why = r == -EBADMSG
                          ? line ? "this is no YAML"
                                 : "no Preference of kubectl.config.k8s.io/v1beta1 is in it"
                          : strerror(-r);

    if (!fatal && r == -EBADMSG && !line)
        report_add(&d->report, LEVEL_NOTE, "policy", ERROR_NONE, "%s: kubectl ignores it, %s", file,
                   why);
    else if (line)
        report_add(&d->report, fatal ? LEVEL_ERROR : LEVEL_WARNING, "policy", ERROR_PLUGIN_POLICY,
                   "%s:%u: %s%s", file, line, why, fatal ? "; every kubectl command ends" : "");
    else
        report_add(&d->report, fatal ? LEVEL_ERROR : LEVEL_WARNING, "policy", ERROR_PLUGIN_POLICY,
                   "%s: %s%s", file, why, fatal ? "; every kubectl command ends" : "");
    if (fatal || line || r != -EBADMSG)
        report_remedy(&d->report, "correct it, or with KUBERC=off have kubectl do without");
}

static void add_policy(struct doctor *d, const cJSON *exec, const char *file,
                       const struct kuberc *rc)
{
    bool obeys = d->kubectl_minor >= POLICY_SINCE;
    const char *wrong = doctor_judge_policy(d, exec, rc);
    const char *more = obeys && kuberc_fatal(rc) ? "; every kubectl command ends" : "";

    if (!wrong && *d->kuberc_error)
        report_add(&d->report, LEVEL_ERROR, "policy", ERROR_PLUGIN_POLICY,
                   "%s: every kubectl command ends: %s", file, d->kuberc_error);
    else if (wrong)
        report_add(&d->report, obeys ? LEVEL_ERROR : LEVEL_WARNING, "policy", ERROR_PLUGIN_POLICY,
                   "%s: %s%s%s%s", file, wrong, more,
                   obeys ? "" : "; kubectl 1.35 is the first that obeys, this is ",
                   obeys ? "" : d->kubectl_version);
    else if (exec)
        report_add(&d->report, LEVEL_OK, "policy", ERROR_NONE, "%s",
                   *rc->policy ? rc->policy : "none");
    if (wrong || *d->kuberc_error)
        add_policy_remedy(d, exec, file);
}

void doctor_policy(struct doctor *d, const cJSON *exec)
{
    char file[PATH_MAX];
    struct kuberc rc = { .n = 0 };
    unsigned line = 0;
    bool named;

    int r = kuberc_path(file, sizeof file, &named) ? kuberc_read(file, &rc, &line) : -ENOENT;
    if (r < 0 && (r != -ENOENT || (named && d->kubectl_minor >= POLICY_SINCE)))
        add_unusable(d, file, named, r, line);
    else
        add_policy(d, exec, file, &rc);
}
