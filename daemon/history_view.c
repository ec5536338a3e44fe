#define _GNU_SOURCE
#include "daemon/history_view.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/error.h"
#include "common/json_print.h"
#include "common/json_tree.h"
#include "common/time.h"
#include "common/wrap.h"
#include "daemon/config.h"
#include "daemon/memory.h"

enum { NAMES_MAX = 24 }; /* what is longer moves its own line alone */

static int64_t wall_seconds(uint64_t at, uint64_t now)
{
    return (time_realtime() + (int64_t)(at - now)) / (int64_t)USEC_PER_SEC;
}

static struct tm local(uint64_t at, uint64_t now)
{
    time_t seconds = (time_t)wall_seconds(at, now);
    struct tm tm = { 0 };

    localtime_r(&seconds, &tm);
    return tm;
}

static long day_of(const struct tm *tm)
{
    return tm->tm_year * 400L + tm->tm_yday + 1;
}

const char *history_clock(char out[HISTORY_CLOCK_SIZE], uint64_t at, uint64_t now)
{
    struct tm then = local(at, now), today = local(now, now);
    size_t used = 0;

    if (day_of(&then) != day_of(&today))
        used = strftime(out, HISTORY_CLOCK_SIZE, "%e %b ", &then);
    strftime(out + used, HISTORY_CLOCK_SIZE - used, "%H:%M:%S", &then);
    return out[0] == ' ' ? out + 1 : out;
}

/* ---- in words -------------------------------------------------------------------------------- */

void history_print_process(FILE *f, const struct history_entry *e)
{
    if (!*e->program)
        fprintf(f, "a program that is not known");
    else
        fprintf(f, "%s", e->program);
    if (e->pid > 0)
        fprintf(f, " (%d%s)", (int)e->pid, e->confirmed ? "" : ", as it says");
}

const char *history_end_words(enum history_end end)
{
    static const char *const words[] = {
        [HISTORY_OVER] = "its time is over",
        [HISTORY_SAID] = "somebody said unshare",
        [HISTORY_NO_PLACE] = "its socket is gone",
        [HISTORY_UNCONFIGURED] = "its profile is configured no more",
        [HISTORY_OTHER_IDENTITY] = "the configuration names another identity now",
    };

    return words[end];
}

static void print_often(FILE *f, const struct history_entry *e, uint64_t now)
{
    char clock[HISTORY_CLOCK_SIZE];

    if (e->count < 2)
        return;
    fprintf(f, ", %u times", e->count);
    if (e->processes > 1)
        fprintf(f, " to %u processes", e->processes);
    fprintf(f, " since %s", history_clock(clock, e->first, now));
}

static void print_span(FILE *f, uint64_t usec)
{
    char span[24];

    time_format_duration(span, sizeof span, usec);
    if (usec < USEC_PER_SEC)
        fprintf(f, "%u ms", (unsigned)(usec / USEC_PER_MSEC));
    else if (usec < 10 * USEC_PER_SEC)
        fprintf(f, "%.1f s", (double)usec / (double)USEC_PER_SEC);
    else
        fprintf(f, "%s", span);
}

/* By what it was asked for; for people, and for programs. */
static const char *by_words(const struct history_entry *e)
{
    static const char *const words[] = { [GRANT_PASSWORD] = "password",
                                         [GRANT_DEVICE] = "device",
                                         [GRANT_REFRESH_TOKEN] = "refresh token",
                                         [GRANT_EXCHANGE] = "exchange",
                                         [GRANT_COMMAND] = "token-command" };

    return words[e->by_refresh_token ? GRANT_REFRESH_TOKEN : e->grant];
}

static const char *by_name(const struct history_entry *e)
{
    static const char *const names[] = { [GRANT_PASSWORD] = "password",
                                         [GRANT_DEVICE] = "device",
                                         [GRANT_REFRESH_TOKEN] = "refresh-token",
                                         [GRANT_EXCHANGE] = "exchange",
                                         [GRANT_COMMAND] = "token-command" };

    return names[e->by_refresh_token ? GRANT_REFRESH_TOKEN : e->grant];
}

static void print_token(FILE *f, const struct history_entry *e)
{
    static const char *const what[] = {
        [HISTORY_WANTED] = "got a token",
        [HISTORY_AHEAD] = "renewed the token",
        [HISTORY_REJECTED] = "replaced the rejected token",
        [HISTORY_REFRESH] = "got another token, as somebody said,",
        [HISTORY_LOGIN] = "logged in,",
    };
    char span[24];

    fprintf(f, "%s by %s in ", what[e->reason], by_words(e));
    print_span(f, e->took);
    time_format_duration(span, sizeof span, e->expires_at - e->token);
    fprintf(f, ", to live %s", span);
    if (e->text)
        fprintf(f, "; claims changed: %s", e->text);
    for (unsigned i = 0; i < e->n_findings; i++)
        fprintf(f, "; %s", error_sentence(e->findings[i]));
}

static const char *sentence_of(const struct history_entry *e)
{
    return e->by_refresh_token ? error_sentence_of_refresh(e->code) : error_sentence(e->code);
}

static void print_failure(FILE *f, const struct history_entry *e, uint64_t now)
{
    fprintf(f, "no token by %s", by_words(e));
    if (e->took > 0) {
        fprintf(f, " after ");
        print_span(f, e->took);
    }
    print_often(f, e, now);
    fprintf(f, ": %s%s%s", sentence_of(e), e->text ? ": " : "", e->text ? e->text : "");
}

static void print_rejection(FILE *f, const struct history_entry *e, uint64_t now)
{
    char clock[HISTORY_CLOCK_SIZE], left[24];

    history_print_process(f, e);
    if (e->token > 0)
        fprintf(f, " %s the token of %s", e->told ? "says that the API server rejected" : "had",
                history_clock(clock, e->token, now));
    else
        fprintf(f, " says that the API server rejected a token");
    time_format_duration(left, sizeof left, e->expires_at > e->at ? e->expires_at - e->at : 0);
    if (!e->told)
        fprintf(f, ", good for %s, and came for another: it was rejected, it seems", left);
    if (e->unfollowed)
        fprintf(f, "; so soon after the last time none is fetched");
}

static void print_key(FILE *f, const struct history_entry *e)
{
    fprintf(f, "the provider signs with another key: %s, before %s%s", e->key ? e->key : "no name",
            e->previous_key ? e->previous_key : "no name",
            e->key_gone ? ", which is published no more" : "");
}

static void print_words(FILE *f, const struct history_entry *e, uint64_t now)
{
    char clock[HISTORY_CLOCK_SIZE];

    switch (e->kind) {
    case HISTORY_STARTED:
    case HISTORY_RELOAD:
        fprintf(f, "%s", e->text ? e->text : "");
        return;
    case HISTORY_HAND_OUT:
        fprintf(f, "handed out to ");
        history_print_process(f, e);
        if (e->text)
            fprintf(f, " by the share %s", e->text);
        print_often(f, e, now);
        return;
    case HISTORY_TOKEN:
        print_token(f, e);
        return;
    case HISTORY_FAILURE:
        print_failure(f, e, now);
        return;
    case HISTORY_REJECTION:
        print_rejection(f, e, now);
        return;
    case HISTORY_KEY:
        print_key(f, e);
        return;
    case HISTORY_LOGOUT:
        fprintf(f, "logged out: token, refresh token and typed password are forgotten");
        return;
    case HISTORY_IDENTITY:
        fprintf(f, "the configuration names another identity now: the token is void");
        return;
    case HISTORY_SHARE:
        fprintf(f, "the share %s is open until %s", e->text ? e->text : "",
                history_clock(clock, e->expires_at, now));
        return;
    case HISTORY_UNSHARE:
        fprintf(f, "the share %s ended: %s", e->text ? e->text : "", history_end_words(e->end));
        return;
    }
}

/* ---- for programs ---------------------------------------------------------------------------- */

static void add_time(cJSON *json, const char *name, uint64_t at, uint64_t now)
{
    char when[TIME_UTC_SIZE];

    if (at == 0)
        return;
    time_format_utc(when, wall_seconds(at, now));
    cJSON_AddStringToObject(json, name, when);
}

static void add_text(cJSON *json, const char *name, const char *text)
{
    if (text && *text)
        cJSON_AddStringToObject(json, name, text);
}

static void add_process(cJSON *json, const struct history_entry *e)
{
    add_text(json, "program", e->program);
    if (e->pid > 0) {
        cJSON_AddNumberToObject(json, "pid", (double)e->pid);
        cJSON_AddBoolToObject(json, "confirmed", e->confirmed);
    }
}

static cJSON *error_json(enum error_code code, const char *sentence, const char *detail)
{
    bool remedied = *error_remedy(code) && sentence == error_sentence(code);
    cJSON *error = cJSON_CreateObject();

    cJSON_AddStringToObject(error, "code", error_name(code));
    cJSON_AddStringToObject(error, "sentence", sentence);
    cJSON_AddStringToObject(error, "detail", detail ? detail : "");
    if (remedied) /* there is none for a refresh token */
        cJSON_AddStringToObject(error, "remedy", error_remedy(code));
    return error;
}

static void add_findings(cJSON *json, const struct history_entry *e)
{
    cJSON *list = cJSON_AddArrayToObject(json, "warnings");

    for (unsigned i = 0; i < e->n_findings; i++)
        json_tree_append(list, error_json(e->findings[i], error_sentence(e->findings[i]), NULL));
}

static void add_request(cJSON *json, const struct history_entry *e)
{
    static const char *const reasons[] = {
        [HISTORY_WANTED] = "wanted",   [HISTORY_AHEAD] = "ahead", [HISTORY_REJECTED] = "rejected",
        [HISTORY_REFRESH] = "refresh", [HISTORY_LOGIN] = "login",
    };

    cJSON_AddStringToObject(json, "reason", reasons[e->reason]);
    cJSON_AddStringToObject(json, "by", by_name(e));
    cJSON_AddNumberToObject(json, "tookMilliseconds", (double)(e->took / USEC_PER_MSEC));
}

static void add_rejection(cJSON *json, const struct history_entry *e)
{
    add_process(json, e);
    cJSON_AddBoolToObject(json, "told", e->told);
    cJSON_AddBoolToObject(json, "followed", !e->unfollowed);
    cJSON_AddNumberToObject(
        json, "expiresInSeconds",
        (double)((e->expires_at > e->at ? e->expires_at - e->at : 0) / USEC_PER_SEC));
    if (e->token > 0)
        add_findings(json, e);
    add_text(json, "key", e->key);
}

static void add_kind(cJSON *json, const struct history_entry *e)
{
    switch (e->kind) {
    case HISTORY_STARTED:
    case HISTORY_RELOAD:
        add_text(json, "text", e->text);
        return;
    case HISTORY_HAND_OUT:
        add_process(json, e);
        cJSON_AddNumberToObject(json, "processes", e->processes);
        add_text(json, "share", e->text);
        return;
    case HISTORY_TOKEN:
        add_request(json, e);
        cJSON_AddBoolToObject(json, "verified", e->verified);
        add_text(json, "changedClaims", e->text);
        add_text(json, "key", e->key);
        add_findings(json, e);
        return;
    case HISTORY_FAILURE:
        add_request(json, e);
        json_tree_put(json, "error", error_json(e->code, sentence_of(e), e->text));
        return;
    case HISTORY_REJECTION:
        add_rejection(json, e);
        return;
    case HISTORY_KEY:
        add_text(json, "key", e->key);
        add_text(json, "previousKey", e->previous_key);
        cJSON_AddBoolToObject(json, "previousKeyGone", e->key_gone);
        return;
    case HISTORY_SHARE:
        add_text(json, "share", e->text);
        return;
    case HISTORY_UNSHARE:
        add_text(json, "share", e->text);
        add_text(json, "text", history_end_words(e->end));
        return;
    case HISTORY_LOGOUT:
    case HISTORY_IDENTITY:
        return;
    }
}

/* Whether it speaks of a token, or of a share's end: in the others that is not there. */
static bool has_times(enum history_kind kind)
{
    return kind != HISTORY_STARTED && kind != HISTORY_RELOAD && kind != HISTORY_LOGOUT &&
           kind != HISTORY_IDENTITY && kind != HISTORY_UNSHARE;
}

cJSON *history_json(const struct history_entry *e, uint64_t now)
{
    static const char *const events[] = {
        [HISTORY_STARTED] = "started",     [HISTORY_RELOAD] = "reload",
        [HISTORY_HAND_OUT] = "hand-out",   [HISTORY_TOKEN] = "token",
        [HISTORY_FAILURE] = "failure",     [HISTORY_REJECTION] = "rejection",
        [HISTORY_KEY] = "key-change",      [HISTORY_LOGOUT] = "logout",
        [HISTORY_IDENTITY] = "other-user", [HISTORY_SHARE] = "share",
        [HISTORY_UNSHARE] = "unshare",
    };
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "id", (double)e->id);
    add_time(json, "timestamp", e->at, now);
    if (e->profile)
        cJSON_AddStringToObject(json, "profile", e->profile);
    cJSON_AddStringToObject(json, "event", events[e->kind]);
    if (e->count > 1)
        add_time(json, "firstTimestamp", e->first, now);
    cJSON_AddNumberToObject(json, "count", e->count);
    if (has_times(e->kind)) {
        add_time(json, "tokenTimestamp", e->token, now);
        add_time(json, "expirationTimestamp", e->expires_at, now);
    }
    add_kind(json, e);
    return json;
}

static void print_object(FILE *f, cJSON *json)
{
    char *text = json_print(json);

    cJSON_Delete(json);
    if (text)
        fprintf(f, "%s\n", text);
    else
        memory_note_lack();
    free(text);
}

/* ---- line by line ---------------------------------------------------------------------------- */

static size_t name_width(const struct history_view *v)
{
    return v->names > NAMES_MAX ? NAMES_MAX : v->names;
}

/* The time, the profile, and the words beside them. */
static void print_line(const struct history_view *v, FILE *f, const struct history_entry *e,
                       uint64_t now)
{
    struct tm tm = local(e->at, now);
    int width = (int)name_width(v), n;
    size_t size, indent = 10 + (width ? (size_t)width + 2 : 0);
    char *text;
    FILE *words = memory_stream(&text, &size);

    if (!words)
        return;
    print_words(words, e, now);
    memory_close(words, &text);
    n = fprintf(f, "%02d:%02d:%02d  ", tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (width)
        n += fprintf(f, "%-*s  ", width, e->profile ? e->profile : "-");
    if (text)
        wrap_print(f, text, n > 0 ? (size_t)n : 0, indent, v->columns);
    free(text);
}

static void print_day(struct history_view *v, FILE *f, const struct history_entry *e, uint64_t now)
{
    struct tm tm = local(e->at, now), today = local(now, now);
    long before = v->day ? v->day : day_of(&today);
    char date[32];

    v->day = day_of(&tm);
    if (v->day == before)
        return;
    strftime(date, sizeof date, "%Y-%m-%d", &tm);
    fprintf(f, "%s\n", date);
}

static bool is_shown(const struct history_view *v, const struct history_entry *e)
{
    return !v->profile || !e->profile || strcmp(v->profile, e->profile) == 0;
}

static void print_lost(const struct history_view *v, FILE *f, uint64_t lost, uint64_t now)
{
    if (v->json) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddNumberToObject(json, "id", (double)lost);
        add_time(json, "timestamp", now, now);
        cJSON_AddStringToObject(json, "event", "lost");
        print_object(f, json);
    } else {
        fprintf(f, "(%s)\n",
                v->seen ? "some were lost: they came faster than they were read"
                        : "older ones are not kept");
    }
}

static void print_entry(struct history_view *v, FILE *f, const struct history_entry *e,
                        uint64_t now)
{
    if (v->json) {
        print_object(f, history_json(e, now));
        return;
    }
    print_day(v, f, e, now);
    print_line(v, f, e, now);
}

void history_view_print(struct history_view *v, const struct history *h, FILE *f, uint64_t now)
{
    const struct history_entry *e = history_after(h, v->seen);
    uint64_t lost = history_lost(h, v->profile);

    if (!v->json && v->seen == 0 && v->names)
        fprintf(f, "%-8s  %-*s  %s\n", "TIME", (int)name_width(v), "PROFILE", "WHAT");
    else if (!v->json && v->seen == 0)
        fprintf(f, "%-8s  %s\n", "TIME", "WHAT");
    if (lost > v->seen)
        print_lost(v, f, lost, now);
    for (; e; e = history_next(e)) {
        v->seen = e->id;
        if (is_shown(v, e))
            print_entry(v, f, e, now);
    }
}

bool history_view_waits(const struct history_view *v, const struct history *h)
{
    for (const struct history_entry *e = history_after(h, v->seen); e; e = history_next(e))
        if (is_shown(v, e))
            return true;
    return false;
}
