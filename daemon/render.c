#define _GNU_SOURCE
#include "daemon/render.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kube_user.h"
#include "common/printable.h"
#include "common/time.h"
#include "common/wrap.h"
#include "daemon/memory.h"
#include "daemon/programs.h"
#include "daemon/render_json.h"
#include "daemon/render_metrics.h"
#include "daemon/status_parts.h"
#include "daemon/why.h"

static void add_part(struct rendered *out, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    out->parts[out->n_parts++] = (struct iovec){ (void *)(uintptr_t)bytes, length };
    out->total += length;
}

static void begin_with(struct rendered *out, const struct answer *answer)
{
    out->has_token = false;
    out->n_parts = 0;
    out->total = 0;
    add_part(out, out->header, answer_header(out->header, answer));
}

/* The header line, then n bytes for stdout, then those for stderr. */
static void begin(struct rendered *out, enum error_code code, size_t out_length, size_t err_length)
{
    begin_with(out, &(struct answer){ .code = code, .out = out_length, .err = err_length });
}

/* All that is no token goes through here on its way to a terminal, whoever wrote the names and
 * paths in it; ESC is the colours'. Returns its length. */
static size_t make_printable(char *text)
{
    if (!text)
        return 0;
    printable_hide(text, "\n\t\033");
    return strlen(text);
}

/* When the client should ask again, on the local wall clock, never in the past: a plugin whose
 * timestamp is past is run again for every request. */
static int64_t advertised_seconds(const struct profile *profile, const struct request *request,
                                  uint64_t now)
{
    int64_t wall = time_realtime();
    int64_t left = (int64_t)(profile_advertised_expiry(profile, request, now) - now);
    int64_t seconds = (wall + left) / (int64_t)USEC_PER_SEC;

    return seconds > wall / (int64_t)USEC_PER_SEC ? seconds : wall / (int64_t)USEC_PER_SEC + 1;
}

/* Where nothing newer could be had, and the time that is left is short. Returns the length. */
static size_t warn_of_expiry(struct rendered *out, const struct profile *profile, uint64_t now)
{
    char left[24], detail[128];
    const struct error *error = profile_error(profile);
    struct profile_look look = profile_look(profile, now);

    if (!look.fading)
        return 0;
    time_format_duration(left, sizeof left, look.expires_at - now);
    snprintf(detail, sizeof detail, "%s left%s%s", left, error->code == ERROR_NONE ? "" : ", ",
             error->code == ERROR_NONE ? "" : error_sentence(error->code));
    return error_line(out->message, sizeof out->message, profile_config(profile)->name,
                      ERROR_ABOUT_TO_EXPIRE, detail);
}

/* Unlike an ExecCredential, whose expirationTimestamp is all that tells a client when to come back,
 * this has the token's end by that name, as all JSON of ours has. */
static void frame_json(struct rendered *out, const struct profile *profile,
                       const struct request *request, uint64_t now)
{
    char end[TIME_UTC_SIZE], ask[TIME_UTC_SIZE];
    int64_t left = (int64_t)(profile_look(profile, now).expires_at - now);
    struct request unrehearsed = *request;

    unrehearsed.rehearse = 0;
    time_format_utc(end, (time_realtime() + left) / (int64_t)USEC_PER_SEC);
    time_format_utc(ask, advertised_seconds(profile, request, now));
    if (advertised_seconds(profile, request, now) < advertised_seconds(profile, &unrehearsed, now))
        memcpy(end, ask, sizeof end); /* what it is to be taken for */
    /* a profile's name needs no escapes */
    snprintf(out->prefix, sizeof out->prefix,
             "{\"schemaVersion\":%d,\"profile\":\"%s\",\"token\":\"", RENDER_JSON_SCHEMA_VERSION,
             profile_config(profile)->name);
    snprintf(out->suffix, sizeof out->suffix,
             "\",\"expirationTimestamp\":\"%s\",\"askAgainTimestamp\":\"%s\"}\n", end, ask);
}

/* Three texts in one; there is room. By hand: printf() costs a `get` a third of its instructions.
 */
static void put(char *out, const char *one, const char *two, const char *three)
{
    stpcpy(stpcpy(stpcpy(out, one), two), three);
}

static void frame(struct rendered *out, const struct profile *profile,
                  const struct request *request, uint64_t now)
{
    char when[TIME_UTC_SIZE];

    out->prefix[0] = '\0';
    switch (request->format) {
    case FORMAT_EXEC_V1:
    case FORMAT_EXEC_V1BETA1:
        time_format_utc(when, advertised_seconds(profile, request, now));
        put(out->prefix,
            "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/",
            request->format == FORMAT_EXEC_V1 ? "v1" : "v1beta1", "\",\"status\":{\"token\":\"");
        put(out->suffix, "\",\"expirationTimestamp\":\"", when, "\"}}\n");
        return;
    case FORMAT_JSON:
        frame_json(out, profile, request, now);
        return;
    case FORMAT_HEADER:
        put(out->prefix, "Authorization: Bearer ", "", "");
        put(out->suffix, "\n", "", "");
        return;
    case FORMAT_TOKEN:
    case FORMAT_TEXT:
    case FORMAT_QUIET:
    case FORMAT_METRICS:
    case FORMAT_NAME:
    case FORMAT_REFRESH_TOKEN:
    case FORMAT_USERNAME:
    case FORMAT_OTP:
    case FORMAT_DEVICE:
        put(out->suffix, "\n", "", "");
        return;
    }
}

void render_token(struct rendered *out, const struct profile *profile,
                  const struct request *request, uint64_t now)
{
    const struct secret *token = profile_token(profile, now);
    size_t warning = warn_of_expiry(out, profile, now);

    out->heap = NULL;
    frame(out, profile, request, now);
    size_t prefix = strlen(out->prefix), suffix = strlen(out->suffix);
    begin(out, ERROR_NONE, prefix + secret_length(token) + suffix, warning);
    out->has_token = true;
    add_part(out, out->prefix, prefix);
    add_part(out, secret_peek(token), secret_length(token));
    add_part(out, out->suffix, suffix);
    add_part(out, out->message, warning);
}

/* "FILE:3: this\nFILE:9: that\n" as one line: an error under kubectl is one line. */
static char *join_lines(const char *text)
{
    size_t length = strlen(text), used = 0;
    char *joined = malloc(2 * length + 1);

    for (size_t i = 0; joined && i < length; i++) {
        if (text[i] != '\n') {
            joined[used++] = text[i];
        } else if (i + 1 < length) {
            joined[used] = '\0';
            used = error_stem(joined);
            joined[used++] = ';';
            joined[used++] = ' ';
        }
    }
    if (joined)
        joined[used] = '\0';
    return joined;
}

/* Behind an error that may be gone once the files are read. */
static void add_words(char *line, size_t length, size_t size, const char *words)
{
    size_t more = strlen(words);

    if (more > 0 && length + more + 3 <= size)
        stpcpy(stpcpy(stpcpy(line + length - 1, "; "), words), "\n");
}

static void render_error_with(struct rendered *out, const struct profiles *all, const char *profile,
                              const struct error *why, const char *words)
{
    const struct config_report *report = profiles_report(all);
    char *line = out->message, *joined = NULL;
    size_t size = sizeof out->message;

    out->heap = NULL;
    if (why->code == ERROR_CONFIG && report && report->text &&
        (joined = join_lines(report->text))) {
        size = strlen(joined) + sizeof out->message;
        out->heap = malloc(size);
        line = out->heap ? out->heap : out->message;
        size = out->heap ? size : sizeof out->message;
    }
    size_t length = error_line(line, size, profile, why->code, joined ? joined : why->detail);
    free(joined);
    add_words(line, length, size, words);
    length = make_printable(line);
    begin(out, why->code, 0, length);
    add_part(out, line, length);
}

void render_failure(struct rendered *out, const struct profiles *all, const char *profile,
                    const struct error *why)
{
    const struct config_change *change = profiles_change(all);
    bool told = (why->code == ERROR_CONFIG || why->code == ERROR_NO_CONFIG) &&
                (change->broken || change->gone);

    render_error_with(out, all, profile, why, told ? "" : config_change_notice(change));
}

void render_error(struct rendered *out, const struct profiles *all, const char *profile,
                  const struct error *why)
{
    render_error_with(out, all, profile, why, "");
}

void render_report(struct rendered *out, const char *report, enum error_code code)
{
    out->heap = strdup(report);
    if (!out->heap)
        memory_note_lack();
    size_t length = make_printable(out->heap);
    begin(out, code, length, 0);
    add_part(out, out->heap, length);
}

void render_both(struct rendered *out, const char *text, const char *errors, enum error_code code)
{
    size_t length = strlen(text), more = strlen(errors);

    out->heap = malloc(length + more + 1);
    if (!out->heap) {
        memory_note_lack();
        length = more = 0;
    } else {
        memcpy(mempcpy(out->heap, text, length), errors, more + 1);
        more = make_printable(out->heap + length);
    }
    begin(out, code, length, more);
    add_part(out, out->heap, length + more);
}

void render_text(struct rendered *out, const char *text)
{
    render_report(out, text, ERROR_NONE);
}

void render_forgotten(struct rendered *out, const struct profiles *all)
{
    size_t n, size;
    struct profile *const *list = profiles_list(all, &n);
    char line[512], *text;
    FILE *f = memory_stream(&text, &size);

    for (size_t i = 0; f && i < n; i++)
        if (profile_has_typed_password(list[i])) {
            error_line(line, sizeof line, profile_config(list[i])->name, ERROR_FORGOTTEN, NULL);
            fputs(line, f);
        }
    memory_close(f, &text);
    render_text(out, text ? text : "");
    free(text);
}

/* ---- status ---------------------------------------------------------------------------------- */

/* By exit code: what only a person mends is worse than what may pass. 0: nothing bad. */
static int badness(enum error_code code)
{
    static const unsigned char worst_first[] = { 9, 6, 5, 8, 7 };
    const int n = sizeof worst_first;

    for (int i = 0; i < n; i++)
        if (error_exit_code(code) == worst_first[i])
            return 2 + n - i;
    return code != ERROR_NONE && error_exit_code(code) > 0 ? 1 : 0;
}

enum error_code render_worse(enum error_code a, enum error_code b)
{
    return badness(b) > badness(a) ? b : a;
}

/* The worst that the table of all, or the row of one, tells as an error. */
static enum error_code worst(const struct profiles *all, struct profile *const *profiles, size_t n,
                             bool only_one)
{
    enum error_code found = ERROR_NONE;
    struct error why;

    for (size_t i = 0; i < n; i++)
        if (badness(profile_error(profiles[i])->code) > badness(found))
            found = profile_error(profiles[i])->code;
    if (!only_one && profiles_report(all) && badness(ERROR_CONFIG) > badness(found))
        found = profiles_report(all)->code;
    if (badness(found) == 0 && !programs_find_fetcher(profiles_context(all), &why))
        found = ERROR_INCOMPLETE;
    return found;
}

size_t render_columns(const struct request *request)
{
    if (request->columns == 0)
        return WRAP_COLUMNS;
    if (request->columns > WRAP_COLUMNS_MAX)
        return WRAP_COLUMNS_MAX;
    return request->columns < WRAP_COLUMNS_MIN ? WRAP_COLUMNS_MIN : request->columns;
}

/* All of it. */
static char *whole_status(const struct profiles *all, const struct profile *only,
                          const struct request *request, uint64_t now)
{
    struct status_parts *parts = status_parts_new(all, only, request, now);
    char *text = NULL;
    bool more;

    if (parts)
        text = status_parts_next(parts, SIZE_MAX, now, &more);
    else
        memory_note_lack();
    free(parts);
    return text;
}

void render_status(struct rendered *out, const struct profiles *all, const struct profile *only,
                   const struct request *request, uint64_t now)
{
    enum error_code code = ERROR_NONE;
    struct profile *one = (struct profile *)(uintptr_t)only;
    size_t n = 1;
    struct profile *const *profiles = only ? &one : profiles_list(all, &n);

    out->heap = NULL;
    if (request->format == FORMAT_QUIET)
        code = worst(all, profiles, n, only != NULL);
    else if (request->format == FORMAT_METRICS)
        out->heap = render_metrics(all, profiles, n, request->with_user, now);
    else
        out->heap = whole_status(all, only, request, now);
    size_t length = make_printable(out->heap);
    begin(out, code, length, 0);
    add_part(out, out->heap, length);
}

enum { PART = 16 * 1024 };

bool render_status_part(struct rendered *out, struct status_parts *parts, uint64_t now)
{
    bool more;

    out->heap = status_parts_next(parts, PART, now, &more);
    size_t length = make_printable(out->heap);
    begin_with(out, &(struct answer){ .code = ERROR_NONE, .out = length, .part = more });
    add_part(out, out->heap, length);
    return more;
}

/* ---- log, why -------------------------------------------------------------------------------- */

static void take_stream(struct rendered *out, FILE *f)
{
    memory_close(f, &out->heap);
    size_t length = make_printable(out->heap);
    begin(out, ERROR_NONE, length, 0);
    add_part(out, out->heap, length);
}

struct history_view render_view(const struct profiles *all, const struct profile *only,
                                const struct request *request)
{
    size_t n;
    struct profile *const *list = profiles_list(all, &n);
    struct history_view view = { .profile = only ? profile_config(only)->name : NULL,
                                 .json = request->format == FORMAT_JSON,
                                 .columns = render_columns(request) };

    for (size_t i = 0; !only && n > 1 && i < n; i++)
        if (strlen(profile_config(list[i])->name) > view.names)
            view.names = strlen(profile_config(list[i])->name);
    if (view.names > 0 && view.names < sizeof "PROFILE" - 1)
        view.names = sizeof "PROFILE" - 1;
    return view;
}

void render_log(struct rendered *out, const struct profiles *all, struct history_view *view,
                uint64_t now)
{
    size_t size;

    FILE *f = memory_stream(&out->heap, &size);
    if (f)
        history_view_print(view, profiles_context(all)->history, f, now);
    take_stream(out, f);
}

void render_why(struct rendered *out, const struct profiles *all, const struct profile *only,
                const struct request *request, uint64_t now)
{
    const struct history *history = profiles_context(all)->history;
    const char *name = only ? profile_config(only)->name : NULL;
    size_t size;

    FILE *f = memory_stream(&out->heap, &size);
    if (f && request->format == FORMAT_JSON)
        why_print_json(f, history, name, now);
    else if (f)
        why_print(f, history, name, render_columns(request), now);
    take_stream(out, f);
}

void render_clear(struct rendered *out)
{
    free(out->heap);
    out->heap = NULL;
}
