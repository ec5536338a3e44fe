#define _GNU_SOURCE
#include "daemon/profiles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_files.h"
#include "common/text.h"
#include "common/time.h"
#include "daemon/config_keys.h"
#include "daemon/journal.h"
#include "daemon/memory.h"
#include "daemon/private_file.h"
#include "daemon/profile_index.h"
#include "daemon/store.h"

struct profiles {
    struct context *shared;
    const char *const *paths;
    size_t n_paths;
    struct config *config; /* in force; NULL: none yet */
    struct config **more;  /* that profiles were taken from since */
    size_t n_more;
    struct config *read;   /* the profiles that are new in the files, not in force; NULL: none */
    char *default_profile; /* in force */
    struct config_change change;
    struct config_report report;
    bool complained;                 /* the log was told of its errors */
    struct private_file_stamp stamp; /* of the files as they were read last */
    bool young;                      /* they may have been half written then */
    struct profile **profiles;       /* sorted by name */
    size_t n_profiles;
    struct profile_index *index; /* of them; NULL: there is no list at all */
};

/* Younger files may be half written. */
enum { SETTLED = 2 /* seconds */ };

struct profiles *profiles_new(struct context *shared, const char *const *paths, size_t n_paths)
{
    struct profiles *r = calloc(1, sizeof *r);

    if (r)
        *r = (struct profiles){ .shared = shared, .paths = paths, .n_paths = n_paths };
    return r;
}

static void free_profiles(struct profile **profiles, size_t n,
                          struct profile *(*each)(struct profile *))
{
    for (size_t i = 0; i < n; i++)
        each(profiles[i]);
    free(profiles);
}

/* What was read, and is not in force. */
static void forget_read(struct profiles *r)
{
    r->read = config_free(r->read);
    config_change_clear(&r->change);
}

static void free_configs(struct config *config, struct config **more, size_t n)
{
    for (size_t i = 0; i < n; i++)
        config_free(more[i]);
    free(more);
    config_free(config);
}

struct profiles *profiles_free(struct profiles *r)
{
    if (!r)
        return NULL;
    struct profile **profiles = r->profiles;
    size_t n = r->n_profiles;
    r->profiles = NULL;
    r->n_profiles = 0;
    if (r->index)
        profile_index_fill(r->index, NULL, 0);
    free_profiles(profiles, n, profile_free);
    forget_read(r);
    free_configs(r->config, r->more, r->n_more);
    free(r->index);
    free(r->default_profile);
    config_report_clear(&r->report);
    free(r);
    return NULL;
}

static struct profile *find(const struct profiles *r, const char *name)
{
    return r->index ? profile_index_find(r->index, r->profiles, name) : NULL;
}

/* What a configuration makes. */
struct made {
    struct profile **list; /* NULL where one of that name is there already */
    struct profile_index *index;
    char *default_profile;
};

static void unmake(struct made *made, size_t n)
{
    free_profiles(made->list, made->list ? n : 0, profile_free);
    free(made->index);
    free(made->default_profile);
}

/* Makes those profiles of the configuration that are new, and room for the others. False: no
 * memory, and nothing was made. */
static bool prepare(const struct profiles *r, const struct config *config, struct made *ret)
{
    const char *named = config->default_profile;
    size_t n = config->n_profiles;
    struct made made = { .list = calloc(n + 1, sizeof *made.list),
                         .index = profile_index_new(n),
                         .default_profile = named ? strdup(named) : NULL };
    bool whole = made.list && made.index && (made.default_profile || !named);

    for (size_t i = 0; whole && i < n; i++) {
        if (find(r, config->profiles[i].name))
            continue;
        made.list[i] = profile_new(r->shared, &config->profiles[i]);
        whole = made.list[i] != NULL;
    }
    if (whole)
        *ret = made;
    else
        unmake(&made, n);
    return whole;
}

/* Those of the list that are of another one, or none, now. */
static void remove_gone(const struct profiles *r, struct profile **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (find(r, profile_config(list[i])->name) != list[i])
            profile_remove(list[i]);
    free(list);
}

/* Makes the list of the new configuration; profiles that stay keep their tokens. False: no memory,
 * and all is as it was. */
static bool adopt(struct profiles *r, struct config *config)
{
    struct made made;

    if (!prepare(r, config, &made))
        return false;
    for (size_t i = 0; i < config->n_profiles; i++) {
        if (made.list[i])
            continue;
        made.list[i] = find(r, config->profiles[i].name);
        profile_configure(made.list[i], &config->profiles[i]);
    }
    const struct profiles old = *r;
    profile_index_fill(made.index, made.list, config->n_profiles);
    r->profiles = made.list;
    r->n_profiles = config->n_profiles;
    r->index = made.index;
    r->default_profile = made.default_profile;
    r->config = config;
    r->more = NULL;
    r->n_more = 0;
    remove_gone(r, old.profiles, old.n_profiles); /* whose waiters the new list answers already */
    free(old.index);
    free(old.default_profile);
    free_configs(old.config, old.more, old.n_more);
    if (r->shared->store) /* profiles that went while no daemon ran */
        store_sweep(r->shared->store);
    context_configured(r->shared);
    return true;
}

static void remember(const struct profiles *r)
{
    const char *line = r->report.text ? r->report.text : r->paths[r->n_paths - 1];
    char text[512];

    if (r->report.code == ERROR_NONE)
        snprintf(text, sizeof text, "the configuration was read: %zu profile%s", r->n_profiles,
                 r->n_profiles == 1 ? "" : "s");
    else
        snprintf(text, sizeof text, "%s: %.*s", error_sentence(r->report.code),
                 (int)strcspn(line, "\n"), line);
    history_add(
        r->shared->history, NULL,
        &(struct history_entry){ .kind = HISTORY_RELOAD, .at = time_boottime(), .text = text });
}

/* One line for each error, up to so many. */
enum { LINES_MAX = 20 };

static void announce(struct profiles *r)
{
    const char *event = error_name(r->report.code);
    unsigned lines = 0;

    context_changed(r->shared);
    remember(r);
    if (r->complained && r->report.code == ERROR_NONE)
        journal_write(LOG_NOTICE, NULL, "recovered", "the configuration is in order again");
    r->complained = r->report.text != NULL;
    if (r->report.code == ERROR_NO_CONFIG)
        journal_write(LOG_NOTICE, NULL, event, "there is no %s yet", r->paths[r->n_paths - 1]);
    for (const char *line = r->report.text; line && *line && lines < LINES_MAX;
         line += strcspn(line, "\n") + 1, lines++)
        journal_write(LOG_ERR, NULL, event, "%.*s", (int)strcspn(line, "\n"), line);
    if (lines == LINES_MAX && r->report.count > lines)
        journal_write(LOG_ERR, NULL, event, "and %u more errors", r->report.count - lines);
    for (const char *line = profiles_notes(r); *line; line += strcspn(line, "\n") + 1)
        journal_write(LOG_WARNING, NULL, "locked", "%.*s", (int)strcspn(line, "\n"), line);
}

static void take_report(struct profiles *r, const struct config_report *report)
{
    config_report_clear(&r->report);
    r->report = *report;
    r->change.broken = report->code == ERROR_CONFIG;
    r->change.gone = report->code == ERROR_NO_CONFIG;
    if (report->code == ERROR_INTERNAL || report->passing) /* the next request looks again */
        r->stamp = (struct private_file_stamp){ 0 };
}

/* What the files say cannot be told or taken now. */
static void lack_memory(struct profiles *r)
{
    const struct config_report report = { .code = ERROR_INTERNAL };

    forget_read(r);
    take_report(r, &report);
}

/* What shows a change: the files that there may be now, and the folders that they are in. What
 * cannot be listed shows itself when it is read. */
static struct config_files files_of(const struct profiles *r)
{
    struct config_files files = { 0 };

    for (size_t i = 0; i < r->n_paths; i++) {
        if (config_files_is_folder(r->paths[i]))
            config_files_add_path(&files, r->paths[i]);
        config_files_add(&files, r->paths[i]);
    }
    return files;
}

static struct private_file_stamp stamp_of(const struct config_files *files)
{
    return private_file_stamp((const char *const *)files->list, files->n);
}

bool profiles_reload(struct profiles *r)
{
    struct config_report report;
    struct config_files files = files_of(r);

    r->stamp = stamp_of(&files);
    config_files_clear(&files);
    r->young = false;
    struct config *config = config_load(r->paths, r->n_paths, &report);
    forget_read(r);
    take_report(r, &report);
    if (config && !adopt(r, config)) {
        config_free(config);
        lack_memory(r);
    }
    memory_give_back(); /* two configurations were there at once, and what they were read from */
    announce(r);
    return r->report.code == ERROR_NONE;
}

/* ---- the files have changed ------------------------------------------------------------------ */

static bool is_new(const struct profile_config *config, void *context)
{
    return !find(context, config->name);
}

/* The profile that is meant without a name, or NULL. */
static const char *default_of(const char *named, size_t n, const char *first)
{
    return named ? named : n == 1 ? first : NULL;
}

static bool is_other_default(const struct profiles *r, const struct config *read)
{
    const char *mine = default_of(r->default_profile, r->n_profiles,
                                  r->n_profiles ? profile_config(r->profiles[0])->name : NULL);
    const char *theirs = default_of(read->default_profile, read->n_profiles,
                                    read->n_profiles ? read->profiles[0].name : NULL);

    return mine && theirs ? strcmp(mine, theirs) != 0 : mine != theirs;
}

/* Notes what is not in force. Returns 0, or -ENOMEM. */
static int note_changes(struct profiles *r, const struct config *read)
{
    int e = 0;

    for (size_t i = 0; i < r->n_profiles; i++) {
        const struct profile_config *mine = profile_configured(r->profiles[i]);
        const struct profile_config *theirs = config_find(read, mine->name);
        if (!theirs)
            e |= config_change_note(&r->change, mine->name, CONFIG_GONE);
        else if (config_keys_digest(mine) != config_keys_digest(theirs))
            e |= config_change_note(&r->change, mine->name, CONFIG_OTHER);
    }
    for (size_t i = 0; i < read->n_profiles; i++)
        if (is_new(&read->profiles[i], r))
            e |= config_change_note(&r->change, read->profiles[i].name, CONFIG_NEW);
    return e < 0 ? -ENOMEM : 0;
}

/* Notes what is not in force, and keeps what is new. */
static void compare(struct profiles *r, struct config *read)
{
    bool lacking = note_changes(r, read) < 0;

    if (!lacking && !r->config) { /* all of it is new */
        r->read = read;
        return;
    }
    r->change.default_profile = is_other_default(r, read);
    lacking = lacking || config_split(read, is_new, r, &r->read) < 0;
    config_free(read);
    if (lacking)
        lack_memory(r);
}

/* Whether there is something to read. Notes how the files are, then. */
static bool is_unread(struct profiles *r)
{
    struct config_files files = files_of(r);
    struct private_file_stamp stamp = stamp_of(&files);
    int64_t now = time_realtime() / (int64_t)USEC_PER_SEC;
    bool same = stamp.hash == r->stamp.hash, unread = !same || r->young;

    if (unread) {
        bool young = private_file_is_young((const char *const *)files.list, files.n, SETTLED, now);
        unread = !same || !young;
        r->young = young;
        r->stamp = stamp;
    }
    config_files_clear(&files);
    return unread;
}

void profiles_look(struct profiles *r)
{
    struct config_report report;

    if (!is_unread(r))
        return;
    struct config *config = config_load(r->paths, r->n_paths, &report);
    forget_read(r);
    if (config && !r->config && r->young) /* what is wrong stays so until it is taken */
        config_report_clear(&report);
    else
        take_report(r, &report);
    if (config)
        compare(r, config);
    memory_give_back();
    if (r->young)
        return;
    announce(r);
    if (config_change_waits(&r->change))
        journal_write(LOG_NOTICE, NULL, error_name(ERROR_CONFIG_CHANGED), "%s",
                      config_change_notice(&r->change));
}

static int by_profile(const void *a, const void *b)
{
    struct profile *const *x = a, *const *y = b;
    return strcmp(profile_config(*x)->name, profile_config(*y)->name);
}

static void take_new(struct profiles *r, struct config *config)
{
    struct config **more = reallocarray(r->more, r->n_more + 1, sizeof *more);
    struct profile **list = reallocarray(r->profiles, r->n_profiles + config->n_profiles,
                                         sizeof(struct profile *));
    struct profile_index *index = profile_index_new(r->n_profiles + config->n_profiles);

    r->more = more ? more : r->more;
    r->profiles = list ? list : r->profiles;
    bool stays = !r->default_profile && r->n_profiles == 1; /* the one that is meant */
    char *named = stays ? strdup(profile_config(r->profiles[0])->name) : NULL;

    if (!more || !list || !index || (stays && !named)) {
        free(index);
        free(named);
        config_free(config);
        lack_memory(r);
        return;
    }
    r->more[r->n_more++] = config;
    r->default_profile = stays ? named : r->default_profile;
    for (size_t i = 0; i < config->n_profiles; i++) {
        struct profile *p = profile_new(r->shared, &config->profiles[i]);
        if (!p) { /* the rest of them is new the next time, too */
            lack_memory(r);
            break;
        }
        r->profiles[r->n_profiles++] = p;
    }
    qsort(r->profiles, r->n_profiles, sizeof(struct profile *), by_profile);
    free(r->index);
    r->index = index;
    profile_index_fill(r->index, r->profiles, r->n_profiles);
}

static void take_read(struct profiles *r)
{
    struct config *config = r->read;
    size_t n = config->n_profiles;

    r->read = NULL;
    config_change_taken(&r->change);
    if (r->config)
        take_new(r, config);
    else if (!adopt(r, config)) {
        config_free(config);
        lack_memory(r);
    }
    context_changed(r->shared);
    journal_write(LOG_NOTICE, NULL, "configuration", "%zu new profile%s of a changed file taken", n,
                  n == 1 ? "" : "s");
}

void profiles_take(struct profiles *r)
{
    profiles_look(r);
    if (r->read && !r->young)
        take_read(r);
}

const struct config_change *profiles_change(const struct profiles *r)
{
    return &r->change;
}

/* ---- finding one ----------------------------------------------------------------------------- */

static void list_names(const struct profiles *r, struct error *why)
{
    char names[ERROR_DETAIL_MAX + 1] = "";
    size_t used = 0;

    for (size_t i = 0; i < r->n_profiles; i++) {
        const char *name = profile_config(r->profiles[i])->name;
        int n = snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", name);
        if (n < 0 || (size_t)n >= sizeof names - used)
            break;
        used += (size_t)n;
    }
    error_set(why, ERROR_NO_DEFAULT, "there are %s", names);
}

static void suggest(const struct profiles *r, const char *name, struct error *why)
{
    struct text_nearest nearest = text_nearest_to(name);
    const char *best = NULL;

    for (size_t i = 0; i < r->n_profiles; i++)
        if (text_nearest_try(&nearest, profile_config(r->profiles[i])->name))
            best = profile_config(r->profiles[i])->name;
    error_set(why, ERROR_NO_PROFILE, "%s%s%s%s", name, best ? "; did you mean \"" : "",
              best ? best : "", best ? "\"?" : "");
}

static struct profile *find_named(struct profiles *r, const char *name, struct error *why)
{
    if (!r->config) {
        error_set(why, r->report.code, "%s",
                  r->report.code == ERROR_NO_CONFIG ? r->paths[r->n_paths - 1] : "");
        return NULL;
    }
    if (!*name && r->default_profile)
        name = r->default_profile;
    if (!*name && r->n_profiles == 1)
        return r->profiles[0];
    if (!*name) {
        list_names(r, why);
        return NULL;
    }
    struct profile *found = find(r, name);
    if (!found)
        suggest(r, name, why);
    return found;
}

struct profile *profiles_find(struct profiles *r, const char *name, struct error *why)
{
    struct profile *found = find_named(r, name, why);

    if (found)
        return found;
    profiles_take(r);
    return find_named(r, name, why);
}

void profiles_system_changed(struct profiles *r, enum system_change what)
{
    for (size_t i = 0; i < r->n_profiles; i++)
        profile_system_changed(r->profiles[i], what);
}

struct profile *const *profiles_list(const struct profiles *r, size_t *ret_n)
{
    *ret_n = r->n_profiles;
    return r->profiles;
}

struct profile *profiles_peek(const struct profiles *r, const char *name)
{
    return find(r, name);
}

size_t profiles_behind(const struct profiles *r, const char *name)
{
    size_t low = 0, high = r->n_profiles;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(profile_config(r->profiles[middle])->name, name) > 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

bool profiles_are_held(const struct profiles *r)
{
    for (size_t i = 0; i < r->n_profiles; i++)
        if (profile_is_held(r->profiles[i]))
            return true;
    return false;
}

const char *profiles_path(const struct profiles *r)
{
    return r->paths[r->n_paths - 1];
}

struct context *profiles_context(const struct profiles *r)
{
    return r->shared;
}

const char *profiles_notes(const struct profiles *r)
{
    return r->report.notes ? r->report.notes : "";
}

const struct config_report *profiles_report(const struct profiles *r)
{
    return r->report.code == ERROR_NONE ? NULL : &r->report;
}
