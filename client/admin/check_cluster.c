/* What the cluster answers kubectl: whom it takes the user for, and what it lets it do. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/doctor.h"
#include "client/admin/kubectl.h"
#include "client/admin/kubectl_words.h"
#include "client/admin/rights.h"
#include "common/time.h"

enum { WHOAMI_SINCE = 28 };

#define REVIEW "/apis/authentication.k8s.io/v1/selfsubjectreviews"
#define RULES "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"

/* One conversation with the API server. */
struct cluster {
    struct doctor *d;
    char limit[48];
    const char *server, *namespace;
    bool proxied;    /* by the kubeconfig */
    cJSON *identity; /* who it says that the user is, NULL: it does not say */
};

/* ---- what is not asked, and why -------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void skip(struct doctor *d, const char *link,
                                                       const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(d->unasked, sizeof d->unasked, format, ap);
    va_end(ap);
    report_add(&d->report, LEVEL_SKIPPED, "cluster", ERROR_NONE, "after %s", link);
}

static bool is_one_of(const char *link, const char *const links[])
{
    for (; *links; links++)
        if (strcmp(link, *links) == 0)
            return true;
    return false;
}

/* The error that the cluster's answer could only repeat, or NULL. */
static const struct finding *cause(const struct doctor *d)
{
    /* with a token in hand these stand in nobody's way */
    static const char *const aside[] = { "configuration", "daemon", "clock", NULL };

    for (unsigned i = 0; i < d->report.n; i++) {
        const struct finding *f = &d->report.findings[i];
        bool ours = i < d->kubeconfig_at; /* on the way to the token */
        if (f->level != LEVEL_ERROR || (d->has_token && is_one_of(f->link, aside)))
            continue;
        if (ours && d->config && !d->plugin_used)
            continue; /* kubectl goes another way */
        if (!ours && strcmp(f->link, "plugin") == 0 && !d->user_asks)
            continue; /* its own credentials are worth a look */
        return f;
    }
    return NULL;
}

static bool skipped(struct doctor *d)
{
    const struct finding *f = cause(d);
    bool in_context = f && strcmp(f->link, "context") == 0;

    if (f)
        skip(d, f->link, "%s%s%s", error_sentence(f->what.code), in_context ? ": " : "",
             in_context ? f->what.detail : "");
    else if (!d->kubectl)
        skip(d, "kubectl", "%s",
             d->kubectl_error.code == ERROR_KUBECTL ? "there is no kubectl on the PATH"
                                                    : error_sentence(d->kubectl_error.code));
    return f || !d->kubectl;
}

/* ---- failures -------------------------------------------------------------------------------- */

/* What the token has that the API server compares, for who looks at its options. */
static void add_unauthorized(struct doctor *d)
{
    const cJSON *claims = cJSON_GetObjectItemCaseSensitive(d->inspection, "claims");
    char *aud = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(claims, "aud"));
    char rules[ERROR_DETAIL_MAX];

    doctor_apiserver_rules(d, rules, sizeof rules);
    if (*rules) {
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

static void add_failure(struct cluster *c, enum error_code code, const char *line)
{
    struct doctor *d = c->d;
    const char *proxy = getenv("HTTPS_PROXY") ? "HTTPS_PROXY" : "https_proxy";
    const char *value = getenv(proxy);
    bool doubt = (code == ERROR_CLUSTER_CONNECT || code == ERROR_CLUSTER_DNS ||
                  code == ERROR_CLUSTER_TIMEOUT) &&
                 !c->proxied && value && *value;

    if (code == ERROR_UNAUTHORIZED) {
        add_unauthorized(d);
        return;
    }
    report_add(&d->report, LEVEL_ERROR, "cluster", code, "%s%s%s%s", line, doubt ? " (" : "",
               doubt ? proxy : "", doubt ? " is set: that proxy may be what does not answer)" : "");
    if (code != ERROR_FORBIDDEN)
        snprintf(d->unasked, sizeof d->unasked, "%s", error_sentence(code));
}

/* A kubectl that brings no answer, or a bad one. What the kubeconfig's own credentials earn is
 * nothing that the token did. */
static void explain_failure(struct cluster *c, struct child *child)
{
    struct doctor *d = c->d;
    bool plain = strncmp(c->server, "http://", 7) == 0;

    if (child->failed) {
        add_failure(c, child->failed == ETIMEDOUT ? ERROR_CLUSTER_TIMEOUT : ERROR_CLUSTER_UNKNOWN,
                    child->failed == ETIMEDOUT ? "kubectl itself was ended"
                                               : strerror(child->failed));
        return;
    }
    bool asks = strstr(child->err, "error: EOF");
    enum error_code code = kubectl_words_code(child->err, c->proxied, plain);
    const char *line = kubectl_words_telling(child->err);
    if (code != ERROR_PLUGIN_COMMAND) /* whose own line tells, and kubectl's says that it was it */
        code = kubectl_words_code(line, c->proxied, plain);
    if (asks)
        skip(d, "plugin", "kubectl has no credentials and asks for a user name");
    else if (!d->plugin_used && code == ERROR_KUBECONFIG && strstr(line, "client-"))
        report_add(&d->report, LEVEL_SKIPPED, "cluster", ERROR_NONE, "after plugin: %s", line);
    else if (!d->plugin_used && (code == ERROR_UNAUTHORIZED || code == ERROR_FORBIDDEN))
        report_add(&d->report, LEVEL_SKIPPED, "cluster", ERROR_NONE,
                   "after plugin: the credentials that the kubeconfig's user has itself are not "
                   "kubetoken's; %s: %s",
                   code == ERROR_UNAUTHORIZED ? "the API server rejects them (401)"
                                              : "they allow nothing (403)",
                   line);
    else
        add_failure(c, code, line);
}

/* ---- who the user is ------------------------------------------------------------------------- */

static bool no_such_review(const struct doctor *d, const char *text)
{
    if (d->kubectl_minor >= WHOAMI_SINCE)
        return strstr(text, "selfsubjectreviews API is not enabled");
    /* an API server that does not know it asks first whether one may */
    return strstr(text, "(NotFound)") || strstr(text, "\" cannot create resource");
}

/* For API servers that know no such review: each user that is known may read this. */
static bool ask_plainly(struct cluster *c)
{
    const char *const raw[] = { "get", "--raw", "/apis", c->limit, NULL };
    struct child child;

    bool answered = kubectl_run(c->d, raw, NULL, &child) == 0;
    cJSON *json = answered ? cJSON_Parse(child.out) : NULL;
    bool good = strcmp(doctor_text(json, "kind"), "APIGroupList") == 0;
    if (!answered)
        explain_failure(c, &child);
    else if (!good)
        add_failure(c, ERROR_CLUSTER_OTHER, "its list of APIs (/apis) is none");
    cJSON_Delete(json);
    child_clear(&child);
    return good;
}

/* Returns whether the API server answered; c->identity is what it said. */
static bool ask_who(struct cluster *c)
{
    static const char review[] =
        "{\"kind\":\"SelfSubjectReview\",\"apiVersion\":\"authentication.k8s.io/v1\"}";
    const char *const whoami[] = { "auth", "whoami", "-o", "json", c->limit, NULL };
    const char *const raw[] = { "create", "--raw", REVIEW, "-f", "-", c->limit, NULL };
    bool old = c->d->kubectl_minor < WHOAMI_SINCE, done = false;
    struct child child;

    if (kubectl_run(c->d, old ? raw : whoami, old ? review : NULL, &child) < 0) {
        if (no_such_review(c->d, child.err))
            done = ask_plainly(c);
        else
            explain_failure(c, &child);
        child_clear(&child);
        return done;
    }
    cJSON *json = cJSON_Parse(child.out);
    cJSON *status = cJSON_GetObjectItemCaseSensitive(json, "status");
    c->identity = cJSON_DetachItemFromObjectCaseSensitive(status, "userInfo");
    done = cJSON_GetObjectItemCaseSensitive(c->identity, "username") ||
           cJSON_GetObjectItemCaseSensitive(c->identity, "groups");
    if (!done)
        add_failure(c, ERROR_CLUSTER_OTHER, "it does not say who the user is");
    cJSON_Delete(json);
    child_clear(&child);
    return done;
}

/* ---- what the user may do -------------------------------------------------------------------- */

/* An API server that cannot tell who one is names the user where it refuses something. */
static void ask_for_the_name(struct cluster *c, char *out, size_t size)
{
    static const char before[] = ": User \"";
    const char *const raw[] = { "get", "--raw", "/kubetoken-doctor", c->limit, NULL };
    struct child child;
    const char *name = NULL;

    out[0] = '\0';
    if (kubectl_run(c->d, raw, NULL, &child) < 0)
        name = strstr(child.err, before);
    const char *end = name ? strstr(name, "\" cannot get path") : NULL;
    if (end) {
        name += sizeof before - 1;
        snprintf(out, size, "%.*s", (int)(end - name), name);
    }
    child_clear(&child);
}

/* NULL: it does not tell. */
static cJSON *ask_rights(struct cluster *c)
{
    const char *const raw[] = { "create", "--raw", RULES, "-f", "-", c->limit, NULL };
    char request[RIGHTS_REQUEST_MAX];
    struct child child;
    cJSON *review = NULL;

    rights_request(c->namespace, request);
    if (kubectl_run(c->d, raw, request, &child) == 0)
        review = cJSON_Parse(child.out);
    child_clear(&child);
    return review;
}

static void add_no_rights(struct cluster *c)
{
    struct report *r = &c->d->report;
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(c->identity, "groups");
    char binding[RIGHTS_BINDING_MAX], name[256];

    if (c->identity)
        snprintf(name, sizeof name, "%s", doctor_text(c->identity, "username"));
    else
        ask_for_the_name(c, name, sizeof name);
    rights_binding(*name ? name : NULL, groups, binding);
    report_add(r, LEVEL_ERROR, "cluster", ERROR_NO_RIGHTS,
               "the API server knows you as %s and lets you do nothing, in namespace %s or outside "
               "of any",
               *name ? name : "nobody", c->namespace);
    if (*binding)
        report_remedy(r,
                      "have applied: %s; a role in another namespace alone would not show here, "
                      "kubectl config set-context --current --namespace=NAME goes there",
                      binding);
}

/* Kubectl works, but not by the token. */
static void add_bypassed(struct cluster *c, const char *groups)
{
    report_add(&c->d->report, LEVEL_SKIPPED, "cluster", ERROR_NONE,
               "after plugin: kubectl works as %s, groups %s%s, by what the kubeconfig's user has "
               "itself",
               doctor_text(c->identity, "username"), groups,
               strstr(groups, "\"system:masters\"") ? " (an administrator of the cluster)" : "");
}

static void add_identity(struct cluster *c, enum rights rights, const char *why)
{
    struct report *r = &c->d->report;
    const char *name = doctor_text(c->identity, "username");
    char *list = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(c->identity, "groups"));
    const char *groups = list ? list : "none";
    char note[ERROR_DETAIL_MAX] = "";

    report_hide(r, "user", name);
    if (!c->d->plugin_used && c->identity)
        add_bypassed(c, groups);
    else if (c->identity && doctor_other_user(c->d, c->identity, note, sizeof note))
        report_add(r, LEVEL_WARNING, "cluster", ERROR_OTHER_USER, "%s", note);
    else if (rights == RIGHTS_NONE)
        ; /* which says all of it */
    else if (c->identity)
        report_add(r, LEVEL_OK, "cluster", ERROR_NONE, "user %s, groups %s%s%s%s", name, groups,
                   note, *why ? "; what they may do it cannot tell: " : "", why);
    else
        report_add(r, LEVEL_OK, "cluster", ERROR_NONE,
                   "it takes the token; as which user API servers tell since 1.28");
    cJSON_free(list);
}

static void look_at(struct cluster *c)
{
    const char *why = "";

    if (!ask_who(c))
        return;
    cJSON *review = c->d->plugin_used ? ask_rights(c) : NULL;
    enum rights rights = RIGHTS_UNKNOWN;
    if (review)
        rights = rights_judge(review, doctor_text(c->identity, "username"), &why);
    add_identity(c, rights, rights == RIGHTS_UNKNOWN ? why : "");
    if (rights == RIGHTS_NONE)
        add_no_rights(c);
    cJSON_Delete(review);
}

void doctor_cluster(struct doctor *d)
{
    struct cluster c = { .d = d };

    if (skipped(d))
        return;
    const cJSON *context = doctor_context(d), *cluster = doctor_context_cluster(d);
    const char *namespace = doctor_text(context, "namespace");
    c.namespace = *namespace ? namespace : "default";
    c.server = doctor_text(cluster, "server");
    c.proxied = *doctor_text(cluster, "proxy-url");
    snprintf(c.limit, sizeof c.limit, "--request-timeout=%llus",
             (unsigned long long)((d->timeout + USEC_PER_SEC - 1) / USEC_PER_SEC));
    look_at(&c);
    cJSON_Delete(c.identity);
    if (!d->plugin_used && !*d->unasked)
        snprintf(d->unasked, sizeof d->unasked, "kubectl does not get it from kubetoken");
}
