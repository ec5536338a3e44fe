#define _GNU_SOURCE
#include "client/admin/report.h"

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/redaction.h"
#include "client/output.h"
#include "common/json_print.h"
#include "common/json_tree.h"
#include "common/wrap.h"

static const char *const levels[] = { "ok", "skipped", "note", "warning", "error" };

enum { TEXT_MAX = 2 * ERROR_DETAIL_MAX, INDENT = 26, NARROW = 64, SCHEMA_VERSION = 1 };

/* Of a text that ends with a period and has another behind it: ".; ". */
static void drop_periods(char *text)
{
    for (char *p = text; (p = strstr(p, ".; "));)
        if (p > text && p[-1] == '.')
            p += 3;
        else
            memmove(p, p + 1, strlen(p));
}

__attribute__((format(printf, 3, 0))) static void format_clean(char *out, size_t size,
                                                               const char *format, va_list ap)
{
    char raw[TEXT_MAX];

    int n = vsnprintf(raw, sizeof raw, format, ap);
    error_clean(out, size, raw, n < 0 ? 0 : strlen(raw));
    drop_periods(out);
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

int report_redact(struct report *r)
{
    r->hidden = redaction_new();
    return r->hidden ? 0 : -1;
}

void report_hide(struct report *r, const char *kind, const char *value)
{
    redaction_hide(r->hidden, kind, value);
}

void report_hide_url(struct report *r, const char *url)
{
    if (r->hidden)
        redaction_hide_url(r->hidden, url);
}

void report_raise(struct report *r, enum error_code code)
{
    for (unsigned i = 0; i < r->n; i++)
        if (r->findings[i].what.code == code)
            r->findings[i].level = LEVEL_ERROR;
}

void report_settle(struct report *r, const char *link)
{
    bool bad = false;
    unsigned n = 0;

    for (unsigned i = 0; i < r->n; i++)
        bad |= strcmp(r->findings[i].link, link) == 0 && r->findings[i].level >= LEVEL_WARNING;
    for (unsigned i = 0; i < r->n; i++) {
        const struct finding *f = &r->findings[i];
        if (!bad || f->level != LEVEL_OK || strcmp(f->link, link) != 0)
            r->findings[n++] = *f;
    }
    r->n = n;
}

/* What is behind the name of the link, and less on a narrow terminal. */
static size_t indent_for(size_t columns)
{
    return columns < NARROW ? 4 : INDENT;
}

static void print_remedy(const char *remedy, size_t columns)
{
    size_t indent = indent_for(columns);

    printf("%*s-> ", (int)indent, "");
    wrap_remedy(stdout, remedy, indent + 3, indent + 3, columns);
}

/* Whether the link quotes what others wrote: kubectl, who made the kubeconfig or the configuration.
 */
static bool is_foreign(const char *link)
{
    static const char *const our[] = { "sandbox", "profile", "fetcher", "header", "times",
                                       "length",  "clock",   "user",    "groups", "algorithm" };

    for (size_t i = 0; i < sizeof our / sizeof *our; i++)
        if (strcmp(our[i], link) == 0)
            return false;
    return true;
}

/* A detail as it may be shown; good until the next call. */
static const char *shown(const struct report *r, const char *link, const char *text)
{
    static char clean[2 * TEXT_MAX];
    char head[TEXT_MAX];

    if (!r->hidden)
        return text;
    /* what a provider or a page in its place says in words may name anything */
    const char *words = strncmp(text, "HTTP ", 5) == 0 ? strstr(text, ": ") : NULL;
    snprintf(head, sizeof head, "%.*s", words ? (int)(words + 2 - text) : (int)strlen(text), text);
    redaction_apply(r->hidden, head, is_foreign(link), clean, sizeof clean - 16);
    if (words)
        strncat(clean, "<words>", 8);
    return clean;
}

/* The same of a remedy. What the table says has nothing to hide, but what follows it may. */
static const char *shown_remedy(const struct report *r, const struct finding *f)
{
    static char whole[2 * TEXT_MAX];

    for (int keeper = ERROR_KEEPER_SYSTEMD; keeper <= ERROR_KEEPER_NONE; keeper++) {
        const char *ours = error_remedy_for(f->what.code, (enum error_keeper)keeper);
        size_t length = strlen(ours);
        if (length > 0 && strncmp(f->remedy, ours, length) == 0) {
            snprintf(whole, sizeof whole, "%s%s", ours, shown(r, f->link, f->remedy + length));
            return whole;
        }
    }
    return shown(r, f->link, f->remedy);
}

static void print_finding(const struct report *r, const struct finding *f,
                          const struct finding *next, size_t columns)
{
    const struct error *what = &f->what;
    char text[TEXT_MAX];

    snprintf(
        text, sizeof text, "%s%s%s", what->code == ERROR_NONE ? "" : error_sentence(what->code),
        what->code != ERROR_NONE && *what->detail ? ": " : "", shown(r, f->link, what->detail));
    int at = printf(*text ? "%-8s %-16s " : "%-8s %s", levels[f->level], f->link);
    wrap_print(stdout, text, (size_t)at, indent_for(columns), columns);
    if (f->level == LEVEL_OK || f->level == LEVEL_SKIPPED)
        return;
    /* of several lines with one remedy the last has it */
    if (next && next->link == f->link && strcmp(next->remedy, f->remedy) == 0)
        return;
    if (*f->remedy)
        print_remedy(shown_remedy(r, f), columns);
    if (what->code == ERROR_NONE)
        return;
    snprintf(text, sizeof text, "kubetoken explain %s", error_name(what->code));
    print_remedy(text, columns);
}

static void print_text(const struct report *r)
{
    unsigned warnings = 0, errors = 0;
    size_t columns = output_columns();

    for (unsigned i = 0; i < r->n; i++) {
        const struct finding *f = &r->findings[i];
        print_finding(r, f, i + 1 < r->n ? f + 1 : NULL, columns);
        warnings += f->level == LEVEL_WARNING;
        errors += f->level == LEVEL_ERROR;
    }
    if (*r->verdict)
        wrap_print(stdout, shown(r, "cluster", r->verdict), 0, 0, columns);
    if (errors + warnings == 0 && !*r->verdict)
        puts("nothing is wrong");
    else if (errors + warnings > 0)
        printf("%u error%s, %u warning%s\n", errors, errors == 1 ? "" : "s", warnings,
               warnings == 1 ? "" : "s");
}

static cJSON *finding_json(const struct report *r, const struct finding *f)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "link", f->link);
    cJSON_AddStringToObject(json, "level", levels[f->level]);
    if (f->what.code != ERROR_NONE) {
        cJSON_AddStringToObject(json, "code", error_name(f->what.code));
        cJSON_AddStringToObject(json, "sentence", error_sentence(f->what.code));
    }
    cJSON_AddStringToObject(json, "detail", shown(r, f->link, f->what.detail));
    if (*f->remedy)
        cJSON_AddStringToObject(json, "remedy", shown_remedy(r, f));
    return json;
}

static void print_json(const struct report *r, bool ok)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "schemaVersion", SCHEMA_VERSION);
    if (r->hidden)
        cJSON_AddBoolToObject(json, "redacted", true);
    else if (r->profile && *r->profile)
        cJSON_AddStringToObject(json, "profile", r->profile);
    if (r->expiration && *r->expiration)
        cJSON_AddStringToObject(json, "expirationTimestamp", r->expiration);
    cJSON *list = cJSON_AddArrayToObject(json, "links");
    for (unsigned i = 0; i < r->n; i++)
        json_tree_append(list, finding_json(r, &r->findings[i]));
    if (*r->verdict)
        cJSON_AddStringToObject(json, "verdict", shown(r, "cluster", r->verdict));
    cJSON_AddBoolToObject(json, "ok", ok);
    char *text = json_print(json);
    if (text && !output_lacks_memory()) /* else output_done() says so */
        puts(text);
    free(text);
    cJSON_Delete(json);
}

int report_print(const struct report *r, bool as_json)
{
    int code = 0;

    /* A reader that has gone must not end this: the exit code is what was found. */
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < r->n && code == 0; i++)
        if (r->findings[i].level == LEVEL_ERROR) {
            /* what is a warning elsewhere has no exit code of its own */
            code = error_exit_code(r->findings[i].what.code);
            code = code ? code : 1;
        }
    if (code == 0 && *r->verdict)
        code = 1;
    if (output_lacks_memory()) /* which findings then are true is not known */
        return output_fail_for_memory();
    if (as_json)
        print_json(r, code == 0);
    else
        print_text(r);
    int unwritten = output_done(0);
    redaction_free(r->hidden);
    return code ? code : unwritten;
}
