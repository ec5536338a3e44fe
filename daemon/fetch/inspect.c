#define _GNU_SOURCE
#include "daemon/fetch/inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_print.h"
#include "common/json_tree.h"
#include "common/time.h"
#include "daemon/fetch/as_go.h"
#include "daemon/fetch/id_token.h"
#include "daemon/fetch/json.h"
#include "daemon/fetch/offers.h"
#include "daemon/fetch/provider.h"

enum { FINDINGS_MAX = ID_TOKEN_CHECKS + RESULT_WARNINGS_MAX + 3, SCHEMA_VERSION = 1 };

#define YEAR_10000 INT64_C(253402300800) /* in seconds: what no date reaches */

enum level { LEVEL_OK, LEVEL_SKIPPED, LEVEL_WARNING, LEVEL_ERROR };

static const char *const levels[] = { "ok", "not checked", "warning", "error" };

struct check_outcome {
    enum level level;
    const char *check;
    struct error what; /* ERROR_NONE: the detail says it all */
};

struct token_report {
    const struct job *job;
    struct id_token token;
    int64_t now; /* seconds */
    struct check_outcome findings[FINDINGS_MAX];
    size_t n;
    const char *unreadable; /* of the discovery document, for the API server; "": nothing */
    unsigned offers;        /* by what it gives tokens, of its document */
    struct error provider;  /* why nothing is known of it, ERROR_NONE: it is */
};

/* ---- the checks ------------------------------------------------------------------------------ */

static void find(struct token_report *in, enum level level, const char *check,
                 const struct error *what)
{
    if (in->n < FINDINGS_MAX)
        in->findings[in->n++] = (struct check_outcome){ level, check, *what };
}

/* Unlike a token that came just now, an old one is judged by its exp alone. */
static int check_expiry(const struct token_report *in, struct error *why)
{
    int64_t exp;

    if (json_seconds(in->token.claims, "exp", &exp) <= 0)
        return 0;
    const char *name = as_go_shorten(in->token.claims, "exp", &exp);
    if (exp > in->now)
        return 0;
    error_set(why, ERROR_TOKEN_EXPIRED, "%s is %" PRId64 " s past", name, in->now - exp);
    return -1;
}

static void run_check(struct token_report *in, const struct id_token_check_row *row)
{
    struct result r = { .n_warnings = 0 };
    const struct error nothing = { ERROR_NONE, "" };
    bool times = strcmp(row->name, "times") == 0;
    int bad = row->run(&in->token, &r);

    if (times && (bad == 0 || r.error.code == ERROR_TOKEN_EXPIRED))
        bad = check_expiry(in, &r.error);
    if (times) /* its warnings are about a clock that is not asked here */
        r.n_warnings = 0;
    if (bad < 0 || r.n_warnings == 0)
        find(in, bad < 0 ? LEVEL_ERROR : LEVEL_OK, row->name, bad < 0 ? &r.error : &nothing);
    for (unsigned i = 0; i < r.n_warnings; i++)
        find(in, LEVEL_WARNING, row->name, &r.warnings[i]);
}

static void skip(struct token_report *in, const char *check, enum error_code code, const char *text)
{
    struct error why;

    error_set(&why, code, "%s", text);
    find(in, code == ERROR_NONE ? LEVEL_SKIPPED : LEVEL_WARNING, check, &why);
}

static void run_checks(struct token_report *in, const struct error *no_keys)
{
    bool expected = *in->job->issuer != '\0';

    for (size_t i = 0; i < ID_TOKEN_CHECKS; i++) {
        const struct id_token_check_row *row = &id_token_checks[i];
        if (!expected && (strcmp(row->name, "issuer") == 0 || strcmp(row->name, "audience") == 0 ||
                          strcmp(row->name, "signature") == 0))
            skip(in, row->name, ERROR_NONE, "no profile says what to expect");
        else if (strcmp(row->name, "signature") == 0 && !in->token.keys)
            skip(in, row->name,
                 no_keys->code == ERROR_KEYS_UNREADABLE && !in->job->jwks_uri
                     ? ERROR_KEYS_UNREADABLE
                     : ERROR_NOT_VERIFIED,
                 no_keys->detail);
        else
            run_check(in, row);
        if (strcmp(row->name, "signature") == 0 && *in->unreadable)
            skip(in, row->name, ERROR_DISCOVERY_UNREADABLE, in->unreadable);
    }
}

/* ---- as text --------------------------------------------------------------------------------- */

static bool is_date(const char *name)
{
    static const char *const names[] = { "exp", "iat", "nbf", "auth_time", "updated_at" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* "2026-11-24T14:05:12Z, expires in 23 min" */
static void date_in_words(const struct token_report *in, const char *name, int64_t at, char *out,
                          size_t size)
{
    char when[TIME_UTC_SIZE], span[24];
    int64_t left = at - in->now;
    bool exp = strcmp(name, "exp") == 0;

    time_format_utc(when, at);
    time_format_duration(span, sizeof span,
                         (uint64_t)(left < 0 ? -left : left) * (uint64_t)USEC_PER_SEC);
    if (left >= 0)
        snprintf(out, size, "%s, %sin %s", when, exp ? "expires " : "", span);
    else
        snprintf(out, size, "%s, %s%s ago", when, exp ? "expired " : "", span);
}

/* Foreign text must not move the cursor. */
static void print_member(FILE *f, const struct token_report *in, const cJSON *parent,
                         const cJSON *member)
{
    char *printed = cJSON_IsString(member) ? NULL : cJSON_PrintUnformatted(member);
    const char *text = cJSON_IsString(member) ? member->valuestring : printed ? printed : "";
    size_t size = strlen(text) + 1;
    char *clean = malloc(size), name[64], words[80];
    int64_t at;

    error_clean(name, sizeof name, member->string, strlen(member->string));
    if (clean)
        error_clean(clean, size, text, size - 1);
    fprintf(f, "  %-20s %s", name, clean ? clean : "");
    if (is_date(member->string) && json_seconds(parent, member->string, &at) > 0 && at >= 0 &&
        at < YEAR_10000) {
        date_in_words(in, member->string, at, words, sizeof words);
        fprintf(f, "  (%s)", words);
    }
    fputc('\n', f);
    free(clean);
    cJSON_free(printed);
}

static void print_part(FILE *f, const struct token_report *in, const char *title, const cJSON *part)
{
    const cJSON *member;

    if (!part)
        return;
    fprintf(f, "%s\n", title);
    cJSON_ArrayForEach (member, part) {
        print_member(f, in, part, member);
    }
}

static void print_finding(FILE *f, const struct check_outcome *finding)
{
    const struct error *what = &finding->what;
    char text[2 * ERROR_DETAIL_MAX];

    fprintf(f, "  %-11s %s", levels[finding->level], finding->check);
    if (what->code != ERROR_NONE)
        error_text(text, sizeof text, what->code, what->detail);
    else
        snprintf(text, sizeof text, "%s", what->detail);
    fprintf(f, "%s%s\n", *text ? ": " : "", text);
}

static void print_text(FILE *f, const struct token_report *in)
{
    print_part(f, in, "header", in->token.header);
    print_part(f, in, "claims", in->token.claims);
    fputs("checks\n", f);
    for (size_t i = 0; i < in->n; i++)
        print_finding(f, &in->findings[i]);
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static cJSON *finding_json(const struct check_outcome *finding)
{
    cJSON *json = cJSON_CreateObject();
    enum error_code code = finding->what.code;

    cJSON_AddStringToObject(json, "check", finding->check);
    cJSON_AddStringToObject(json, "level",
                            finding->level == LEVEL_SKIPPED ? "skipped" : levels[finding->level]);
    if (code != ERROR_NONE) {
        cJSON_AddStringToObject(json, "code", error_name(code));
        cJSON_AddStringToObject(json, "sentence", error_sentence(code));
    }
    cJSON_AddStringToObject(json, "detail", finding->what.detail);
    if (code != ERROR_NONE && *error_remedy(code))
        cJSON_AddStringToObject(json, "remedy", error_remedy(code));
    return json;
}

/* For who wants to know about the provider alone. */
static void add_provider(cJSON *json, const struct error *why)
{
    if (why->code == ERROR_NONE)
        return;
    cJSON *member = cJSON_AddObjectToObject(json, "providerError");
    cJSON_AddStringToObject(member, "code", error_name(why->code));
    cJSON_AddStringToObject(member, "sentence", error_sentence(why->code));
    cJSON_AddStringToObject(member, "detail", why->detail);
}

/* The token's end, where it is one that can be said. */
static void add_end(cJSON *json, const struct token_report *in)
{
    char when[TIME_UTC_SIZE];
    int64_t exp;

    if (!in->token.claims || json_seconds(in->token.claims, "exp", &exp) <= 0 || exp < 0 ||
        exp >= YEAR_10000)
        return;
    time_format_utc(when, exp);
    cJSON_AddStringToObject(json, "expirationTimestamp", when);
    cJSON_AddNumberToObject(json, "expiresInSeconds", (double)(exp - in->now));
}

static void print_json(FILE *f, const struct token_report *in)
{
    cJSON *json = cJSON_CreateObject();
    bool ok = true;

    cJSON_AddNumberToObject(json, "schemaVersion", SCHEMA_VERSION);
    if (in->token.header)
        json_tree_put(json, "header", cJSON_Duplicate(in->token.header, true));
    if (in->token.claims)
        json_tree_put(json, "claims", cJSON_Duplicate(in->token.claims, true));
    add_end(json, in);
    cJSON *list = cJSON_AddArrayToObject(json, "checks");
    for (size_t i = 0; i < in->n; i++) {
        json_tree_append(list, finding_json(&in->findings[i]));
        ok = ok && in->findings[i].level != LEVEL_ERROR;
    }
    add_provider(json, &in->provider);
    offers_add(json, in->offers);
    cJSON_AddBoolToObject(json, "ok", ok);
    char *text = json_print(json);
    fprintf(f, "%s\n", text ? text : "");
    free(text);
    cJSON_Delete(json);
}

/* ---- the job --------------------------------------------------------------------------------- */

static void write_report(const struct token_report *in, struct result *ret)
{
    size_t size;
    FILE *f = open_memstream(&ret->report, &size);

    ret->outcome = OUTCOME_CONFIG;
    error_set(&ret->error, ERROR_INTERNAL, "no memory");
    if (!f)
        return;
    if (in->job->json)
        print_json(f, in);
    else
        print_text(f, in);
    if (fclose(f) != 0)
        return;
    if (size > RESULT_REPORT_MAX) {
        error_set(&ret->error, ERROR_INTERNAL, "a report of %zu bytes, and %d at most", size,
                  RESULT_REPORT_MAX);
        free(ret->report);
        ret->report = NULL;
        return;
    }
    ret->outcome = OUTCOME_REPORT;
    ret->error = (struct error){ ERROR_NONE, "" };
    for (size_t i = 0; i < in->n && ret->error.code == ERROR_NONE; i++)
        if (in->findings[i].level == LEVEL_ERROR)
            ret->error = in->findings[i].what;
}

void inspect_run(struct http *http, const struct job *job, struct result *ret)
{
    struct token_report in = { .job = job, .now = time_realtime() / (int64_t)USEC_PER_SEC };
    struct provider provider;
    struct result shape = { .n_warnings = 0 };
    struct error no_keys = { ERROR_NONE, "" };

    provider_open(&provider, http, job);
    int r = id_token_open(&in.token, job, job->token, strlen(job->token), &shape);
    in.token.date = in.now;
    if (r == 0 && *job->issuer) {
        if (provider_find_endpoints(&provider, ret) < 0)
            no_keys = in.provider = ret->error;
        else if (provider_find_keys(&provider, &no_keys) == 0)
            in.token.keys = &provider.keys;
    }
    in.unreadable = provider.endpoints.unreadable;
    in.offers = provider.endpoints.offers;
    if (r == 0)
        run_checks(&in, &no_keys);
    else
        find(&in, LEVEL_ERROR, "shape", &shape.error);
    write_report(&in, ret);
    id_token_close(&in.token);
    provider_close(&provider, ret);
}
