#define _GNU_SOURCE
#include "daemon/status_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kube_user.h"
#include "common/time.h"
#include "common/wrap.h"
#include "daemon/memory.h"
#include "daemon/programs.h"
#include "daemon/render.h"
#include "daemon/render_json.h"
#include "daemon/share.h"
#include "daemon/table.h"

enum { NOTES_AT_ONCE = 64 }; /* profiles */

enum stage { STAGE_HEAD, STAGE_ROWS, STAGE_NOTES, STAGE_TAIL, STAGE_END };

struct status_parts {
    const struct profiles *all;
    enum protocol_format format;
    struct table table; /* of text */
    enum stage stage;
    char only[PROTOCOL_NAME_MAX + 1];  /* "": all of them */
    char after[PROTOCOL_NAME_MAX + 1]; /* the last one that this stage has dealt with; "": none */
    size_t at;                         /* where the one behind it was, in the list of all */
};

/* ---- who is next ----------------------------------------------------------------------------- */

/* The first one behind `after`, which is looked for only where it is not where it was. */
static const struct profile *next_of_all(struct status_parts *s)
{
    size_t n;
    struct profile *const *list = profiles_list(s->all, &n);

    if (s->at > n || (s->at > 0 && strcmp(profile_config(list[s->at - 1])->name, s->after) != 0))
        s->at = profiles_behind(s->all, s->after);
    return s->at < n ? list[s->at++] : NULL;
}

/* By name, since others may come and go between two parts; those that were there all the time are
 * told of once. NULL: that was the last. */
static const struct profile *next_profile(struct status_parts *s)
{
    const struct profile *p = NULL;

    if (!*s->only)
        p = next_of_all(s);
    else if (!*s->after)
        p = profiles_peek(s->all, s->only);
    if (p)
        memcpy(s->after, profile_config(p)->name, strlen(profile_config(p)->name) + 1);
    return p;
}

static void enter(struct status_parts *s, enum stage stage)
{
    s->stage = stage;
    s->after[0] = '\0';
    s->at = 0;
}

/* ---- text: the table ------------------------------------------------------------------------- */

static void describe_next(const struct profile_look *look, uint64_t now, char *out, size_t size)
{
    char span[24];

    if (look->login_ends > 0) {
        time_format_duration(span, sizeof span,
                             look->login_ends > now ? look->login_ends - now : 0);
        snprintf(out, size, "login to confirm, %s", span);
        return;
    }
    time_format_duration(span, sizeof span, look->next > now ? look->next - now : 0);
    switch (look->next_is) {
    case PROFILE_NOTHING:
        snprintf(out, size, "-");
        return;
    case PROFILE_ASKING:
        snprintf(out, size, "now");
        return;
    case PROFILE_RETRY:
        snprintf(out, size, "retry in %s", span);
        return;
    case PROFILE_RENEWAL:
        snprintf(out, size, "renewal in %s", span);
        return;
    }
}

/* Where it is no password: by what the profile gets its tokens, in a word or two. */
static void describe_grant(const struct profile_config *config, char *out, size_t size)
{
    const char *word = config_grant_word(config->grant);

    if (config->grant == GRANT_EXCHANGE)
        snprintf(out, size, "from %s", config->from);
    else
        snprintf(out, size, "%s", word ? word : "");
}

/* Red: only a person mends it, or nothing is served; yellow: there is something to know. */
static enum table_tone tone_of(const struct profile *p, const struct profile_look *look)
{
    enum profile_trouble trouble = profile_trouble(p);

    if (trouble == PROFILE_REFUSED || trouble == PROFILE_LOGIN_NEEDED)
        return TABLE_BAD;
    if (trouble == PROFILE_WAITS)
        return look->expires_at > 0 ? TABLE_CARE : TABLE_BAD;
    if (look->expires_at == 0)
        return TABLE_PLAIN;
    return look->fading || profile_facts(p)->n_warnings > 0 ? TABLE_CARE : TABLE_GOOD;
}

/* Whose user is written there. */
static struct table_row row_of(const struct profile *p, uint64_t now, char user[PROFILE_USER_MAX])
{
    struct profile_look look = profile_look(p, now);
    struct table_row row = { .name = profile_config(p)->name,
                             .user = user,
                             .state = look.state,
                             .left = "-",
                             .tone = tone_of(p, &look) };

    describe_grant(profile_config(p), row.grant, sizeof row.grant);
    if (look.expires_at > 0) {
        row.remains = look.expires_at - now;
        row.life = profile_facts(p)->lifetime;
        time_format_duration(row.left, sizeof row.left, row.remains);
    }
    if (look.expires_at > 0 && look.next_is == PROFILE_RENEWAL && look.next < look.expires_at)
        row.renewal = look.expires_at - look.next;
    describe_next(&look, now, row.next, sizeof row.next);
    profile_user(p, user, PROFILE_USER_MAX);
    if (!*user)
        snprintf(user, PROFILE_USER_MAX, "-");
    return row;
}

/* The columns are as wide as all rows are now. */
static void lay_out(struct status_parts *s, const struct request *request, uint64_t now)
{
    const struct table_style style = { render_columns(request), request->bar, request->colour };
    char user[PROFILE_USER_MAX];
    const struct profile *p;

    table_begin(&s->table, &style);
    while ((p = next_profile(s))) {
        const struct table_row row = row_of(p, now, user);
        table_measure(&s->table, &row);
    }
    table_fit(&s->table);
    enter(s, STAGE_HEAD);
}

static void print_row(const struct status_parts *s, FILE *f, const struct profile *p, uint64_t now)
{
    char user[PROFILE_USER_MAX];
    const struct table_row row = row_of(p, now, user);

    table_print_row(f, &s->table, &row);
}

/* ---- text: what stands below it -------------------------------------------------------------- */

/* What may be the reason of a refusal, or become one. */
static void print_oddities(FILE *f, const struct profile *p)
{
    struct error odd;
    char text[1024];

    profile_oddities(p, &odd);
    if (odd.code == ERROR_NONE)
        return;
    error_text(text, sizeof text, odd.code, odd.detail);
    fprintf(f, "%s: warning: %s\n", profile_config(p)->name, text);
}

/* Below the table: what a person should know or do. */
static void print_notes(FILE *f, const struct profile *p, uint64_t now)
{
    const struct error *error = profile_error(p);
    const struct facts *facts = profile_facts(p);
    const char *name = profile_config(p)->name;
    struct profile_look look = profile_look(p, now);
    char span[24], text[1024];
    struct error warning;

    if (!look.idle) {
        time_format_duration(span, sizeof span, now - look.since);
        fprintf(f, "%s: %s for %s\n", name, look.state, span);
    }
    if (error->code != ERROR_NONE) {
        error_text(text, sizeof text, error->code, error->detail);
        fprintf(f, "%s: error: %s\n", name, text);
    }
    print_oddities(f, p);
    uint64_t when;
    const char *changed = profile_changed(p, &when);
    if (*changed) {
        time_format_duration(span, sizeof span, now - when);
        fprintf(f, "%s: %s ago claims changed: %s\n", name, span, changed);
    }
    for (unsigned i = 0; look.expires_at > 0 && i < facts->n_warnings; i++) {
        facts_warning(facts, i, &warning);
        error_text(text, sizeof text, warning.code, warning.detail);
        fprintf(f, "%s: warning: %s\n", name, text);
    }
    if (facts->has_clock_offset && llabs((long long)facts->clock_offset) > 30)
        fprintf(f, "%s: warning: the provider's clock is %+" PRId64 " s from ours\n", name,
                facts->clock_offset);
}

/* Where guests get the token of one of them. */
static void print_shares(const struct status_parts *s, FILE *f, uint64_t now)
{
    const struct shares *all = profiles_context(s->all)->shares;
    char left[24];

    for (const struct share *one = share_next(all, NULL); one; one = share_next(all, one)) {
        if (*s->only && strcmp(s->only, share_profile(one)) != 0)
            continue;
        time_format_duration(left, sizeof left, share_ends(one) > now ? share_ends(one) - now : 0);
        fprintf(f, "%s: shared as %s for %s more: %s\n", share_profile(one), share_name(one), left,
                share_path(one));
    }
}

/* Whom Kubernetes would see by each of the usual flags, where the profile does not say which one
 * the API server has. */
static void print_possible_users(FILE *f, const struct profile *p, uint64_t now)
{
    const struct profile_config *config = profile_config(p);
    const struct facts *facts = profile_facts(p);
    char user[PROFILE_USER_MAX];

    if (config->username_claim || profile_look(p, now).expires_at == 0)
        return;
    kube_user_name(user, sizeof user, KUBE_USER_DEFAULT, NULL, config->issuer, facts->sub);
    fprintf(f, "%s: user by --oidc-username-claim=sub (the default): %s\n", config->name,
            *facts->sub ? user : "none");
    fprintf(f, "%s: user by --oidc-username-claim=email: %s\n", config->name,
            *facts->email ? facts->email : "none");
}

/* An upgrade that the daemon has not seen yet, or half an installation. */
static void print_programs(FILE *f, struct context *shared)
{
    struct error why;
    bool found = programs_find_fetcher(shared, &why);
    const char *other = NULL;

    if (!programs_daemon_current(shared))
        other = shared->program_path;
    else if (found && !programs_fetcher_current(shared))
        other = shared->fetcher.path;
    if (!found)
        fprintf(f, "error: %s: %s; %s\n", error_sentence(why.code), why.detail,
                error_remedy(ERROR_INCOMPLETE));
    if (other)
        fprintf(f, "warning: %s is not the one that this daemon runs; %s\n", other,
                error_remedy(ERROR_OUTDATED));
}

static void warn_of(FILE *f, enum error_code code)
{
    char text[1024];

    error_text(text, sizeof text, code, NULL);
    fprintf(f, "warning: %s\n", text);
}

/* What was killed, and holds on to what it has. */
static void print_stuck(FILE *f, const struct children *children)
{
    struct child_look look;
    struct error e;
    char text[1024];

    for (size_t i = 0; children_stuck(children, i, &look); i++) {
        child_look_words(&look, &e);
        error_text(text, sizeof text, e.code, e.detail);
        fprintf(f, "warning: %s\n", text);
    }
}

/* What waits for reload; errors of the files are said by themselves. */
static void print_change(FILE *f, const struct config_change *change)
{
    char what[1024];

    if (change->broken || change->gone || !config_change_any(change))
        return;
    config_change_describe(change, what, sizeof what);
    fprintf(f, "warning: %s (not in force: %s)\n", config_change_notice(change), what);
}

/* The one profile that there is to be told of, or NULL: of many it would hide what matters. */
static const struct profile *single(const struct status_parts *s)
{
    size_t n;
    struct profile *const *list = profiles_list(s->all, &n);

    return *s->only ? profiles_peek(s->all, s->only) : n == 1 ? list[0] : NULL;
}

/* What is no profile's, a line each. */
static void print_last_notes(const struct status_parts *s, FILE *f, uint64_t now)
{
    const struct config_report *report = profiles_report(s->all);
    struct context *shared = profiles_context(s->all);

    if (single(s))
        print_possible_users(f, single(s), now);
    print_shares(s, f, now);
    if (report)
        fprintf(f, "the configuration on disk is not in force:\n%s",
                report->text ? report->text : "it is missing\n");
    print_change(f, profiles_change(s->all));
    for (const char *line = profiles_notes(s->all); *line; line += strcspn(line, "\n") + 1)
        fprintf(f, "warning: %.*s\n", (int)strcspn(line, "\n"), line);
    print_programs(f, shared);
    print_stuck(f, shared->children);
    if (!secret_locked())
        warn_of(f, ERROR_NOT_LOCKED);
    if (shared->logged_out)
        warn_of(f, ERROR_LOGGED_OUT);
    if (*shared->no_log)
        fprintf(f, "warning: no log is kept: %s\n", shared->no_log);
}

/* Each line in as many as it takes, those behind the first indented. */
static void print_wrapped(FILE *f, char *text, size_t columns)
{
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        wrap_remedy(f, line, 0, 4, columns);
    }
}

/* Those of some profiles; once there are no more, the last. */
static void print_some_notes(struct status_parts *s, FILE *f, uint64_t now)
{
    char *text;
    size_t size;
    FILE *notes = memory_stream(&text, &size);
    const struct profile *p = NULL;

    for (int i = 0; notes && i < NOTES_AT_ONCE && (p = next_profile(s)); i++)
        print_notes(notes, p, now);
    if (notes && !p)
        print_last_notes(s, notes, now);
    if (!p)
        enter(s, STAGE_END);
    memory_close(notes, &text);
    if (text)
        print_wrapped(f, text, s->table.style.columns);
    free(text);
}

/* ---- one step after the other ---------------------------------------------------------------- */

static void write_head(struct status_parts *s, FILE *f)
{
    if (s->format == FORMAT_TEXT)
        table_print_heading(f, &s->table);
    else if (s->format == FORMAT_JSON)
        render_json_head(f);
    enter(s, STAGE_ROWS);
}

static void write_row(struct status_parts *s, FILE *f, uint64_t now)
{
    bool first = !*s->after;
    const struct profile *p = next_profile(s);

    if (!p)
        enter(s, s->format == FORMAT_TEXT   ? STAGE_NOTES
                 : s->format == FORMAT_JSON ? STAGE_TAIL
                                            : STAGE_END);
    else if (s->format == FORMAT_TEXT)
        print_row(s, f, p, now);
    else if (s->format == FORMAT_JSON)
        render_json_profile(f, p, first, now);
    else
        fprintf(f, "%s\n", profile_config(p)->name);
}

static void write_some(struct status_parts *s, FILE *f, uint64_t now)
{
    switch (s->stage) {
    case STAGE_HEAD:
        write_head(s, f);
        break;
    case STAGE_ROWS:
        write_row(s, f, now);
        break;
    case STAGE_NOTES:
        print_some_notes(s, f, now);
        break;
    case STAGE_TAIL:
        render_json_tail(f, s->all, now);
        enter(s, STAGE_END);
        break;
    case STAGE_END:
        break;
    }
}

struct status_parts *status_parts_new(const struct profiles *all, const struct profile *only,
                                      const struct request *request, uint64_t now)
{
    const char *name = only ? profile_config(only)->name : "";
    struct status_parts *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    *s = (struct status_parts){ .all = all, .format = request->format };
    memcpy(s->only, name, strlen(name) + 1);
    if (s->format == FORMAT_TEXT)
        lay_out(s, request, now);
    return s;
}

char *status_parts_next(struct status_parts *s, size_t enough, uint64_t now, bool *ret_more)
{
    char *text;
    size_t size = 0;
    FILE *f = memory_stream(&text, &size);

    while (f && s->stage != STAGE_END && size < enough) {
        write_some(s, f, now);
        fflush(f); /* sets the size */
    }
    memory_close(f, &text);
    *ret_more = s->stage != STAGE_END;
    return text;
}
