#define _GNU_SOURCE
#include "daemon/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/digest.h"
#include "daemon/memory.h"
#include "daemon/render_json.h"
#include "daemon/share.h"

/* How long a table stays as it is while nothing changes, and at least. */
static const uint64_t redraw_after = 60 * USEC_PER_SEC, pause_between = 100 * USEC_PER_MSEC;

/* A profile as it was told. */
struct seen {
    char name[PROTOCOL_NAME_MAX + 1];
    uint64_t print;
    uint64_t expires_at; /* 0: without a token */
};

struct watch {
    const struct profiles *all;
    const struct request *request;
    struct seen *seen; /* sorted by name */
    size_t n_seen;
    uint64_t print; /* of what is no profile's */
    uint64_t told;  /* when; 0: not yet */
    uint64_t next;
    bool is_over;
};

struct watch *watch_new(const struct profiles *all, const struct request *request)
{
    struct watch *w = calloc(1, sizeof *w);

    if (w)
        *w = (struct watch){ .all = all, .request = request, .next = USEC_INFINITY };
    return w;
}

struct watch *watch_free(struct watch *w)
{
    if (w)
        free(w->seen);
    free(w);
    return NULL;
}

bool watch_is_over(const struct watch *w)
{
    return w->is_over;
}

uint64_t watch_next(const struct watch *w)
{
    return w->next;
}

/* ---- what is there now ----------------------------------------------------------------------- */

static void add(uint64_t *print, uint64_t number)
{
    *print = digest_pair(*print, number);
}

static void add_text(uint64_t *print, const char *text)
{
    add(print, digest_text(text ? text : ""));
}

static void add_error(uint64_t *print, const struct error *error)
{
    add(print, error->code);
    add_text(print, error->detail);
}

static struct seen look_at(const struct profile *p, uint64_t now)
{
    const struct profile_config *config = profile_config(p);
    const struct facts *facts = profile_facts(p);
    const struct profile_look look = profile_look(p, now);
    struct seen seen = { .print = 1, .expires_at = look.expires_at };
    struct error warning;
    uint64_t when;

    memcpy(seen.name, config->name, strlen(config->name) + 1);
    add_text(&seen.print, look.state);
    add(&seen.print, look.since);
    add(&seen.print, look.expires_at);
    add(&seen.print, look.next_is);
    add(&seen.print, look.next);
    add(&seen.print, look.login_ends);
    add_error(&seen.print, profile_error(p));
    for (unsigned i = 0; i < facts->n_warnings; i++) {
        facts_warning(facts, i, &warning);
        add_error(&seen.print, &warning);
    }
    add_text(&seen.print, profile_changed(p, &when));
    add(&seen.print, when);
    add_text(&seen.print, config->issuer);
    add_text(&seen.print, config->username);
    add_text(&seen.print, config->from);
    add_text(&seen.print, config->username_claim);
    add_text(&seen.print, config->username_prefix);
    add_text(&seen.print, config->groups_claim);
    add_text(&seen.print, config->groups_prefix);
    return seen;
}

/* The configuration as a whole, and the shares. */
static uint64_t print_of_files(const struct profiles *all)
{
    const struct config_report *report = profiles_report(all);
    char what[1024];
    uint64_t print = 1;

    add(&print, report ? report->code : ERROR_NONE);
    add_text(&print, report ? report->text : NULL);
    add_text(&print, profiles_notes(all));
    config_change_describe(profiles_change(all), what, sizeof what);
    add_text(&print, what);
    const struct shares *shares = profiles_context(all)->shares;
    for (const struct share *s = share_next(shares, NULL); s; s = share_next(shares, s)) {
        add_text(&print, share_name(s));
        add_text(&print, share_profile(s));
        add(&print, share_ends(s));
    }
    return print;
}

/* The profiles that are watched: all, or the one of that name. */
static struct profile *const *watched(const struct watch *w, size_t *ret_n)
{
    struct profile *const *list = profiles_list(w->all, ret_n);
    size_t n = *ret_n;

    if (!*w->request->profile)
        return list;
    for (size_t i = 0; i < n; i++)
        if (strcmp(profile_config(list[i])->name, w->request->profile) == 0) {
            *ret_n = 1;
            return list + i;
        }
    *ret_n = 0;
    return list;
}

/* ---- what has changed ------------------------------------------------------------------------ */

/* Goes through what was told and what is there, both sorted by name. With f: writes a line for each
 * difference. Returns whether there is one. */
static bool compare(const struct watch *w, struct profile *const *profiles, const struct seen *now,
                    size_t n, FILE *f, uint64_t time)
{
    bool differs = false;

    for (size_t i = 0, j = 0; i < n || j < w->n_seen;) {
        int order = i == n ? 1 : j == w->n_seen ? -1 : strcmp(now[i].name, w->seen[j].name);
        bool is_news = order != 0 || now[i].print != w->seen[j].print;
        if (is_news && f && order > 0)
            render_json_gone(f, w->seen[j].name);
        else if (is_news && f)
            render_json_change(f, profiles[i], time);
        differs |= is_news;
        i += order <= 0;
        j += order >= 0;
    }
    return differs;
}

/* When the next token dies that nothing may take the place of. */
static uint64_t first_death(const struct watch *w, uint64_t now)
{
    uint64_t first = USEC_INFINITY;

    for (size_t i = 0; i < w->n_seen; i++)
        if (w->seen[i].expires_at > now && w->seen[i].expires_at < first)
            first = w->seen[i].expires_at;
    return first;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Whether a table is due; else says when to look again. */
static bool is_time(struct watch *w, bool differs, uint64_t now)
{
    uint64_t due = w->told == 0 ? 0 : w->told + (differs ? pause_between : redraw_after);

    if (now >= due)
        return true;
    w->next = least(due, first_death(w, now));
    return false;
}

static void render_gone(struct watch *w, struct rendered *out)
{
    struct error why;

    error_set(&why, ERROR_NO_PROFILE, "%s is no longer configured", w->request->profile);
    render_error(out, w->all, NULL, &why);
    w->is_over = true;
}

static void tell_table(const struct watch *w, struct rendered *out, struct profile *const *profiles,
                       uint64_t now)
{
    const struct profile *only = *w->request->profile ? profiles[0] : NULL;

    render_status(out, w->all, only, w->request, now);
}

static void tell_lines(const struct watch *w, struct rendered *out, struct profile *const *profiles,
                       const struct seen *seen, size_t n, uint64_t now)
{
    char *text = NULL;
    size_t size;
    FILE *f = memory_stream(&text, &size);

    if (f)
        compare(w, profiles, seen, n, f, now);
    memory_close(f, &text);
    render_text(out, text ? text : "");
    free(text);
}

bool watch_answer(struct watch *w, struct rendered *out, uint64_t now)
{
    bool as_text = w->request->format == FORMAT_TEXT;
    size_t n;
    struct profile *const *profiles = watched(w, &n);
    struct seen *seen = calloc(n + 1, sizeof *seen);
    uint64_t print = print_of_files(w->all);

    if (!seen) { /* told at the next change, or when it is time */
        w->next = least(w->next, now + redraw_after);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        seen[i] = look_at(profiles[i], now);
    bool differs = w->told == 0 || compare(w, profiles, seen, n, NULL, now);
    if (as_text ? !is_time(w, differs || print != w->print, now) : !differs) {
        free(seen);
        if (!as_text)
            w->next = first_death(w, now);
        return false;
    }
    if (n == 0 && *w->request->profile)
        render_gone(w, out);
    else if (as_text)
        tell_table(w, out, profiles, now);
    else
        tell_lines(w, out, profiles, seen, n, now);
    free(w->seen);
    w->seen = seen;
    w->n_seen = n;
    w->print = print;
    w->told = now;
    w->next = least(as_text ? now + redraw_after : USEC_INFINITY, first_death(w, now));
    return true;
}
