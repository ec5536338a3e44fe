#define _GNU_SOURCE
#include "client/admin/report.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/output.h"

static const char *const levels[] = { "ok", "skipped", "note", "warning", "error" };

enum { TEXT_MAX = 2 * ERROR_DETAIL_MAX };

__attribute__((format(printf, 3, 0))) static void format_clean(char *out, size_t size,
                                                               const char *format, va_list ap)
{
    char raw[TEXT_MAX];

    int n = vsnprintf(raw, sizeof raw, format, ap);
    error_clean(out, size, raw, n < 0 ? 0 : strlen(raw));
}

void report_add(struct report *r, enum level level, const char *link, enum error_code code,
                const char *format, ...)
{
    va_list ap;

    if (r->n == REPORT_MAX)
        return;
    struct finding *f = &r->findings[r->n++];
    f->level = level;
    f->link = link;
    f->what.code = code;
    va_start(ap, format);
    format_clean(f->what.detail, sizeof f->what.detail, format, ap);
    va_end(ap);
    snprintf(f->remedy, sizeof f->remedy, "%s", code == ERROR_NONE ? "" : error_remedy(code));
}

void report_remedy(struct report *r, const char *format, ...)
{
    va_list ap;

    if (r->n == 0)
        return;
    struct finding *f = &r->findings[r->n - 1];
    va_start(ap, format);
    format_clean(f->remedy, sizeof f->remedy, format, ap);
    va_end(ap);
}

void report_verdict(struct report *r, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    format_clean(r->verdict, sizeof r->verdict, format, ap);
    va_end(ap);
}

static void print_finding(const struct finding *f, const struct finding *next)
{
    const struct error *what = &f->what;

    printf("%-8s %-16s ", levels[f->level], f->link);
    if (what->code != ERROR_NONE)
        printf("%s%s", error_sentence(what->code), *what->detail ? ": " : "");
    printf("%s\n", what->detail);
    if (f->level == LEVEL_OK || f->level == LEVEL_SKIPPED)
        return;
    /* of several lines with one remedy the last has it */
    if (next && next->link == f->link && strcmp(next->remedy, f->remedy) == 0)
        return;
    if (*f->remedy)
        printf("%-25s -> %s\n", "", f->remedy);
    if (what->code != ERROR_NONE)
        printf("%-25s -> kubetoken explain %s\n", "", error_name(what->code));
}

static void print_text(const struct report *r)
{
    unsigned warnings = 0, errors = 0;

    for (unsigned i = 0; i < r->n; i++) {
        const struct finding *f = &r->findings[i];
        print_finding(f, i + 1 < r->n ? f + 1 : NULL);
        warnings += f->level == LEVEL_WARNING;
        errors += f->level == LEVEL_ERROR;
    }
    if (*r->verdict)
        puts(r->verdict);
    if (errors + warnings == 0 && !*r->verdict)
        puts("nothing is wrong");
    else if (errors + warnings > 0)
        printf("%u error%s, %u warning%s\n", errors, errors == 1 ? "" : "s", warnings,
               warnings == 1 ? "" : "s");
}

static cJSON *finding_json(const struct finding *f)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "link", f->link);
    cJSON_AddStringToObject(json, "level", levels[f->level]);
    if (f->what.code != ERROR_NONE) {
        cJSON_AddStringToObject(json, "code", error_name(f->what.code));
        cJSON_AddStringToObject(json, "sentence", error_sentence(f->what.code));
    }
    cJSON_AddStringToObject(json, "detail", f->what.detail);
    if (*f->remedy)
        cJSON_AddStringToObject(json, "remedy", f->remedy);
    return json;
}

static void print_json(const struct report *r, bool ok)
{
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "links");

    for (unsigned i = 0; i < r->n; i++)
        cJSON_AddItemToArray(list, finding_json(&r->findings[i]));
    if (*r->verdict)
        cJSON_AddStringToObject(json, "verdict", r->verdict);
    cJSON_AddBoolToObject(json, "ok", ok);
    char *text = cJSON_Print(json);
    printf("%s\n", text ? text : "");
    cJSON_free(text);
    cJSON_Delete(json);
}

int report_print(const struct report *r, bool as_json)
{
    int code = 0;

    for (unsigned i = 0; i < r->n && code == 0; i++)
        if (r->findings[i].level == LEVEL_ERROR) {
            /* what is a warning elsewhere has no exit code of its own */
            code = error_exit_code(r->findings[i].what.code);
            code = code ? code : 1;
        }
    if (code == 0 && *r->verdict)
        code = 1;
    if (as_json)
        print_json(r, code == 0);
    else
        print_text(r);
    return output_done(code);
}
