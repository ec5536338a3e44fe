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

    cJSON_ArrayForEach (finding, cJSON_GetObjectItemCaseSensitive(json, "findings")) {
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

/* Whether they differ in nothing but a final slash. */
static bool differ_in_slash(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), shorter = la < lb ? la : lb;

    return la + lb == 2 * shorter + 1 && strncmp(a, b, shorter) == 0 &&
           (la > lb ? a : b)[shorter] == '/';
}

static void check_issuer(struct doctor *d, const cJSON *claims)
{
    const char *iss = doctor_text(claims, "iss");

    if (!d->expect_issuer)
        return;
    if (strcmp(iss, d->expect_issuer) == 0) {
        report_add(&d->report, LEVEL_OK, "expect-issuer", ERROR_NONE, "%s", iss);
        return;
    }
    report_add(&d->report, LEVEL_ERROR, "expect-issuer", ERROR_ISSUER_MISMATCH,
               "expected \"%s\", the token has \"%s\"%s", d->expect_issuer, iss,
               differ_in_slash(iss, d->expect_issuer) ? ": it differs only in the final slash"
                                                      : "");
    report_remedy(&d->report, "set --oidc-issuer-url of the API server to what the token has, "
                              "byte for byte");
}

static void check_audience(struct doctor *d, const cJSON *claims)
{
    const cJSON *aud = cJSON_GetObjectItemCaseSensitive(claims, "aud"), *one;

    if (!d->expect_audience)
        return;
    bool found = cJSON_IsString(aud) && strcmp(aud->valuestring, d->expect_audience) == 0;
    if (cJSON_IsArray(aud))
        cJSON_ArrayForEach (one, aud)
            found |= cJSON_IsString(one) && strcmp(one->valuestring, d->expect_audience) == 0;
    char *text = cJSON_PrintUnformatted(aud);
    if (found)
        report_add(&d->report, LEVEL_OK, "expect-audience", ERROR_NONE, "%s", d->expect_audience);
    else
        report_add(&d->report, LEVEL_ERROR, "expect-audience", ERROR_TOKEN_AUDIENCE,
                   "expected \"%s\", the token has %s", d->expect_audience, text ? text : "none");
    if (!found)
        report_remedy(&d->report, "set --oidc-client-id of the API server to what the token has, "
                                  "or client-id to what it expects");
    cJSON_free(text);
}

/* As --oidc-required-claim: a text, and the whole of it. */
static void check_required(struct doctor *d, const cJSON *claims, const char *expected)
{
    const char *equals = strchr(expected, '='), *value;
    char name[128];

    snprintf(name, sizeof name, "%.*s", (int)(equals - expected), expected);
    const cJSON *claim = cJSON_GetObjectItemCaseSensitive(claims, name);
    value = cJSON_IsString(claim) ? claim->valuestring : NULL;
    if (value && strcmp(value, equals + 1) == 0)
        report_add(&d->report, LEVEL_OK, "expect-claim", ERROR_NONE, "%s", expected);
    else
        report_add(&d->report, LEVEL_ERROR, "expect-claim", ERROR_REQUIRED_CLAIM,
                   "expected %s, the token has %s%s", expected,
                   value   ? value
                   : claim ? "one that is no text"
                           : "none",
                   value ? "" : " of that name");
}

static void check_algorithm(struct doctor *d, const cJSON *header)
{
    const char *alg = doctor_text(header, "alg");

    if (strcmp(alg, "RS256") == 0) {
        report_add(&d->report, LEVEL_OK, "algorithm", ERROR_NONE, "%s", alg);
        return;
    }
    report_add(&d->report, LEVEL_WARNING, "algorithm", ERROR_TOKEN_ALGORITHM,
               "%s, and kube-apiserver takes RS256 alone unless it is told", alg);
    if (strcmp(alg, "EdDSA") == 0)
        report_remedy(&d->report, "have the provider sign with RS256: no API server takes EdDSA");
    else
        report_remedy(&d->report,
                      "have the provider sign with RS256, or add %s to "
                      "--oidc-signing-algs of the API server",
                      alg);
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

/* By the claim that the profile names; a prefix may come before each. */
static void add_groups(struct doctor *d, const cJSON *claims)
{
    const char *name = doctor_text(d->state, "groupsClaim");
    const cJSON *claim = cJSON_GetObjectItemCaseSensitive(claims, name);
    char *text = claim ? cJSON_PrintUnformatted(claim) : NULL;

    if (*name)
        report_add(&d->report, LEVEL_OK, "groups", ERROR_NONE, "%s",
                   text ? text : "none: the claim is not there");
    cJSON_free(text);
}

void doctor_token(struct doctor *d)
{
    struct error why = { .code = ERROR_NONE };

    if (!d->has_token) {
        report_add(&d->report, LEVEL_SKIPPED, "claims", ERROR_NONE, "there is no token");
        return;
    }
    enum error_code code = doctor_ask(d, "inspect json", d->name, &why);
    cJSON *json = cJSON_Parse(d->answer);
    if (!json) { /* an error comes with a report too, if it is one of the token */
        report_add(&d->report, LEVEL_SKIPPED, "claims", ERROR_NONE, "%s: %s", error_sentence(code),
                   why.detail);
        return;
    }
    const cJSON *claims = cJSON_GetObjectItemCaseSensitive(json, "claims");
    add_findings(d, json);
    check_issuer(d, claims);
    check_audience(d, claims);
    for (unsigned i = 0; i < d->n_expect_claims; i++)
        check_required(d, claims, d->expect_claims[i]);
    check_algorithm(d, cJSON_GetObjectItemCaseSensitive(json, "header"));
    d->inspection = json;
    check_length(d);
    report_add(&d->report, LEVEL_OK, "user", ERROR_NONE,
               "%s, as Kubernetes sees it (username-claim); Forbidden with that name means: the "
               "token is good, and no role binding names the user",
               doctor_text(d->state, "user"));
    add_groups(d, claims);
}
