/* The token as kube-apiserver judges it. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "client/admin/doctor.h"
#include "common/job.h"
#include "common/time.h"

static const char *const checks[] = {
    "header", "signature", "issuer", "audience", "times", "claims"
};

/* The name of one of the checks, which lives as long as the report. */
static const char *check_name(const char *name)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (strcmp(checks[i], name) == 0)
            return checks[i];
    return "shape";
}

/* What is a mere warning where nobody knows how the API server was started. */
static bool is_rejected(const struct doctor *d, enum error_code code)
{
    switch (code) {
    case ERROR_USERNAME_CLAIM: /* found only where the profile names the claim */
    case ERROR_GROUPS_CLAIM:
        return true;
    case ERROR_KEYS_UNREADABLE:
    case ERROR_DISCOVERY_UNREADABLE: /* a file may name another discoveryURL: doctor_apiserver() */
        return !d->authentication_config;
    case ERROR_EMAIL_NOT_VERIFIED:
        return strcmp(doctor_text(d->state, "usernameClaim"), "email") == 0;
    default:
        return false;
    }
}

/* What a check that holds has looked at. */
static void describe(const cJSON *json, const char *check, char *out, size_t size)
{
    const cJSON *header = cJSON_GetObjectItemCaseSensitive(json, "header");
    const cJSON *claims = cJSON_GetObjectItemCaseSensitive(json, "claims");
    const cJSON *left = cJSON_GetObjectItemCaseSensitive(json, "expiresInSeconds");
    char *aud = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(claims, "aud"));
    char span[24] = "";

    out[0] = '\0';
    if (strcmp(check, "header") == 0) {
        snprintf(out, size, "alg %s, kid %s", doctor_text(header, "alg"),
                 doctor_text(header, "kid"));
    } else if (strcmp(check, "issuer") == 0) {
        snprintf(out, size, "%s", doctor_text(claims, "iss"));
    } else if (strcmp(check, "audience") == 0) {
        snprintf(out, size, "%s", aud ? aud : "");
    } else if (strcmp(check, "times") == 0 && cJSON_IsNumber(left) && left->valuedouble > 0 &&
               left->valuedouble < 1e9) {
        time_format_duration(span, sizeof span, (uint64_t)left->valuedouble * USEC_PER_SEC);
        snprintf(out, size, "expires in %s", span);
    }
    cJSON_free(aud);
}

static void add_findings(struct doctor *d, const cJSON *json)
{
    const cJSON *finding;
    char about[ERROR_DETAIL_MAX];

    cJSON_ArrayForEach (finding, cJSON_GetObjectItemCaseSensitive(json, "checks")) {
        const char *level = doctor_text(finding, "level"), *name = doctor_text(finding, "code");
        enum level l = strcmp(level, "ok") == 0        ? LEVEL_OK
                       : strcmp(level, "warning") == 0 ? LEVEL_WARNING
                       : strcmp(level, "error") == 0   ? LEVEL_ERROR
                                                       : LEVEL_SKIPPED;
        enum error_code code = *name ? error_from_name(name, strlen(name)) : ERROR_NONE;
        const char *check = check_name(doctor_text(finding, "check"));
        describe(json, check, about, sizeof about);
        report_add(&d->report, is_rejected(d, code) ? LEVEL_ERROR : l, check, code, "%s",
                   l == LEVEL_OK ? about : doctor_text(finding, "detail"));
    }
}

/* Asked for once more, for its length alone: nothing else of it leaves this function. */
static void check_length(struct doctor *d)
{
    struct error why;

    if (doctor_ask(d, "get token", d->name, &why) != ERROR_NONE)
        return;
    size_t length = strcspn(d->answer, "\n");
    explicit_bzero(d->answer, strlen(d->answer));
    if (length >= RESULT_TOKEN_LONG)
        report_add(&d->report, LEVEL_WARNING, "length", ERROR_TOKEN_LONG, "%zu bytes", length);
    else
        report_add(&d->report, LEVEL_OK, "length", ERROR_NONE, "%zu bytes", length);
}

void doctor_token(struct doctor *d)
{
    struct error why = { .code = ERROR_NONE };

    if (!d->has_token) {
        report_add(&d->report, LEVEL_SKIPPED, "claims", ERROR_NONE, "there is no token");
        doctor_apiserver(d);
        return;
    }
    enum error_code code = doctor_ask(d, "inspect json", d->name, &why);
    cJSON *json = cJSON_Parse(d->answer);
    if (!json) { /* an error comes with a report too, if it is one of the token */
        report_add(&d->report, LEVEL_SKIPPED, "claims", ERROR_NONE, "%s: %s", error_sentence(code),
                   why.detail);
        doctor_apiserver(d);
        return;
    }
    const cJSON *claims = cJSON_GetObjectItemCaseSensitive(json, "claims");
    add_findings(d, json);
    d->inspection = json;
    doctor_apiserver(d);
    check_length(d);
    if (!d->server_config) /* which says it itself, auth-user */
        doctor_user(d, claims);
}
