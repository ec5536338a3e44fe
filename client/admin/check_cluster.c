/* kubectl: what it is, what its configuration says, and what the cluster answers it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/child.h"
#include "client/admin/doctor.h"
#include "common/time.h"

enum { WHOAMI_SINCE = 28, ARGUMENTS = 12 };

/* Runs kubectl with these arguments, those that all runs have going first. */
static int run_kubectl(const struct doctor *d, const char *const args[], struct child *ret)
{
    const char *argv[ARGUMENTS] = { "kubectl" };
    size_t n = 1;

    if (d->kubeconfig) {
        argv[n++] = "--kubeconfig";
        argv[n++] = d->kubeconfig;
    }
    while (*args && n < ARGUMENTS - 1)
        argv[n++] = *args++;
    argv[n] = NULL;
    return child_run(argv, d->timeout, ret);
}

/* The last line that says something: kubectl logs its own attempts before it. */
static char *last_line(char *text)
{
    size_t length = strlen(text);

    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    char *line = strrchr(text, '\n');
    return line ? line + 1 : text;
}

void doctor_read_kubectl(struct doctor *d)
{
    const char *const version[] = { "version", "--client", "-o", "json", NULL };
    const char *const view[] = { "config", "view", "-o", "json", NULL };
    struct child child;

    if (run_kubectl(d, version, &child) < 0) {
        error_set(&d->kubectl_error, ERROR_KUBECTL, "%s",
                  child.failed == ENOENT ? "there is none on the PATH"
                  : child.failed         ? strerror(child.failed)
                                         : last_line(child.err));
        child_free(&child);
        return;
    }
    d->kubectl = cJSON_Parse(child.out);
    const cJSON *client = cJSON_GetObjectItemCaseSensitive(d->kubectl, "clientVersion");
    d->kubectl_version = doctor_text(client, "gitVersion");
    d->kubectl_minor = strtol(doctor_text(client, "minor"), NULL, 10); /* "32+" */
    child_free(&child);

    if (run_kubectl(d, view, &child) == 0)
        d->config = cJSON_Parse(child.out);
    if (!d->config)
        error_set(&d->kubectl_error, ERROR_KUBECONFIG, "%s",
                  child.failed ? strerror(child.failed) : last_line(child.err));
    child_free(&child);
}

/* ---- what the cluster says ------------------------------------------------------------------- */

static bool says_any(const char *text, const char *const words[])
{
    for (; *words; words++)
        if (strstr(text, *words))
            return true;
    return false;
}

/* What the token has that the API server compares, for who looks at its options. */
static void add_unauthorized(struct doctor *d)
{
    const cJSON *claims = cJSON_GetObjectItemCaseSensitive(d->inspection, "claims");
    char *aud = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(claims, "aud"));
    char rules[ERROR_DETAIL_MAX];

    doctor_apiserver_rules(d, rules, sizeof rules);
    if (!d->plugin_used)
        report_add(&d->report, LEVEL_ERROR, "cluster", ERROR_UNAUTHORIZED,
                   "it is not kubetoken's, see the link plugin");
    else if (*rules) {
        report_add(&d->report, LEVEL_ERROR, "cluster", ERROR_UNAUTHORIZED,
                   "by the file its entry is %s", rules);
        report_remedy(&d->report, "ask whether the API server was started with this file and took "
                                  "its last change; its log names the check that failed");
    } else if (claims)
        report_add(&d->report, LEVEL_ERROR, "cluster", ERROR_UNAUTHORIZED,
                   "the token has iss \"%s\", aud %s, alg %s", doctor_text(claims, "iss"),
                   aud ? aud : "none",
                   doctor_text(cJSON_GetObjectItemCaseSensitive(d->inspection, "header"), "alg"));
    else
        report_add(&d->report, LEVEL_ERROR, "cluster", ERROR_UNAUTHORIZED, "%s", "");
    cJSON_free(aud);
}

static void explain_failure(struct doctor *d, struct child *child)
{
    static const char *const unauthorized[] = { "Unauthorized", "must be logged in",
                                                "provide credentials", NULL };
    static const char *const forbidden[] = { "Forbidden", "forbidden", NULL };
    static const char *const tls[] = { "x509: ", "tls: ", NULL };
    static const char *const plugin[] = { "getting credentials", "exec plugin", NULL };
    const char *text = child->err;

    if (child->failed == ETIMEDOUT)
        report_add(&d->report, LEVEL_SKIPPED, "cluster", ERROR_NONE,
                   "kubectl gave no answer in time");
    else if (says_any(text, plugin))
        report_add(&d->report, LEVEL_ERROR, "cluster", ERROR_PLUGIN_COMMAND, "%s",
                   last_line(child->err));
    else if (says_any(text, tls))
        report_add(&d->report, LEVEL_ERROR, "cluster", ERROR_CLUSTER_TLS, "%s",
                   last_line(child->err));
    else if (says_any(text, unauthorized))
        add_unauthorized(d);
    else if (says_any(text, forbidden))
        report_add(&d->report, LEVEL_ERROR, "cluster", ERROR_FORBIDDEN, "%s",
                   last_line(child->err));
    else if (strstr(text, "error: EOF"))
        report_add(&d->report, LEVEL_SKIPPED, "cluster", ERROR_NONE,
                   "kubectl has no credentials and asks for a user name");
    else
        report_add(&d->report, LEVEL_SKIPPED, "cluster", ERROR_NONE, "kubectl says: %s",
                   last_line(child->err));
}

static void add_identity(struct doctor *d, const char *json)
{
    cJSON *review = cJSON_Parse(json);
    const cJSON *info = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(review, "status"), "userInfo");
    char *groups = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(info, "groups"));
    char note[ERROR_DETAIL_MAX];

    if (doctor_other_user(d, info, note, sizeof note))
        report_add(&d->report, LEVEL_WARNING, "cluster", ERROR_OTHER_USER, "%s", note);
    else
        report_add(&d->report, LEVEL_OK, "cluster", ERROR_NONE, "user %s, groups %s%s",
                   doctor_text(info, "username"), groups ? groups : "none", note);
    cJSON_free(groups);
    cJSON_Delete(review);
}

/* For kubectls and API servers that know no whoami: each user that is known may read this. */
static void ask_plainly(struct doctor *d, const char *limit)
{
    const char *const raw[] = { "get", "--raw", "/apis", limit, NULL };
    struct child child;

    if (run_kubectl(d, raw, &child) == 0)
        report_add(&d->report, LEVEL_OK, "cluster", ERROR_NONE,
                   "it takes the token; as which user only kubectl auth whoami tells, and API "
                   "servers since 1.28");
    else
        explain_failure(d, &child);
    child_free(&child);
}

void doctor_cluster(struct doctor *d)
{
    char limit[48];
    struct child child;

    if (!d->config || !*doctor_text(d->config, "current-context")) {
        report_add(&d->report, LEVEL_SKIPPED, "cluster", ERROR_NONE, "%s",
                   d->config ? "no current context" : "no kubectl, or no kubeconfig");
        return;
    }
    snprintf(limit, sizeof limit, "--request-timeout=%llus",
             (unsigned long long)((d->timeout + USEC_PER_SEC - 1) / USEC_PER_SEC));
    if (d->kubectl_minor < WHOAMI_SINCE) {
        ask_plainly(d, limit);
        return;
    }
    const char *const whoami[] = { "auth", "whoami", "-o", "json", limit, NULL };
    if (run_kubectl(d, whoami, &child) == 0)
        add_identity(d, child.out);
    else if (strstr(child.err, "selfsubjectreviews API is not enabled"))
        ask_plainly(d, limit);
    else
        explain_failure(d, &child);
    child_free(&child);
}
