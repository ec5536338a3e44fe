#define _GNU_SOURCE
#include "daemon/profiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/private_file.h"
#include "daemon/store.h"

struct profiles {
    struct context *shared;
    const char *const *paths;
    size_t n_paths;
    struct config *config; /* in force; NULL: none yet */
    struct config_report report;
    bool complained; /* the log was told of its errors */
    struct private_file_stamp stamp;
    struct profile **profiles; /* in the order of config->profiles */
    size_t n_profiles;
};

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

struct profiles *profiles_free(struct profiles *r)
{
    if (!r)
        return NULL;
    struct profile **profiles = r->profiles;
    size_t n = r->n_profiles;
    r->profiles = NULL;
    r->n_profiles = 0;
    free_profiles(profiles, n, profile_free);
    config_free(r->config);
    config_report_clear(&r->report);
    free(r);
    return NULL;
}

/* Takes the profile of that name out of the old list. */
static struct profile *take(struct profiles *r, const char *name)
{
    for (size_t i = 0; i < r->n_profiles; i++) {
        struct profile *p = r->profiles[i];
        if (p && strcmp(profile_config(p)->name, name) == 0) {
            r->profiles[i] = NULL;
            return p;
        }
    }
    return NULL;
}

/* Makes the list of the new configuration; profiles that stay keep their tokens. */
static bool adopt(struct profiles *r, struct config *config)
{
    struct profile **profiles = calloc(config->n_profiles, sizeof *profiles);

    for (size_t i = 0; profiles && i < config->n_profiles; i++) {
        profiles[i] = take(r, config->profiles[i].name);
        if (profiles[i])
            profile_configure(profiles[i], &config->profiles[i]);
        else
            profiles[i] = profile_new(r->shared, &config->profiles[i]);
        if (!profiles[i])
            abort(); /* a few hundred bytes at start-up */
    }
    if (!profiles)
        return false;

    struct profile **gone = r->profiles;
    size_t n_gone = r->n_profiles;
    r->profiles = profiles;
    r->n_profiles = config->n_profiles;
    struct config *old = r->config;
    r->config = config;
    free_profiles(gone, n_gone,
                  profile_remove); /* their waiters are answered by the new list already */
    config_free(old);
    if (r->shared->store) /* profiles that went while no daemon ran */
        store_sweep(r->shared->store);
    return true;
}

/* One line for each error, up to so many. */
enum { LINES_MAX = 20 };

static void announce(struct profiles *r)
{
    const char *event = error_name(r->report.code);
    unsigned lines = 0;

    notify_changed(r->shared->notify);
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
}

bool profiles_reload(struct profiles *r)
{
    struct config_report report;

    r->stamp = private_file_stamp(r->paths, r->n_paths);
    struct config *config = config_load(r->paths, r->n_paths, &report);
    config_report_clear(&r->report);
    r->report = report;
    if (config && !adopt(r, config))
        config_free(config);
    announce(r);
    return r->report.code == ERROR_NONE;
}

static int by_name(const void *key, const void *entry)
{
    struct profile *const *p = entry;
    return strcmp(key, profile_config(*p)->name);
}

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

struct profile *profiles_find(struct profiles *r, const char *name, struct error *why)
{
    if (!r->config && private_file_stamp(r->paths, r->n_paths).hash != r->stamp.hash)
        profiles_reload(r);
    if (!r->config) {
        error_set(why, r->report.code, "%s",
                  r->report.code == ERROR_NO_CONFIG ? r->paths[r->n_paths - 1] : "");
        return NULL;
    }
    if (!*name && r->config->default_profile)
        name = r->config->default_profile;
    if (!*name && r->n_profiles == 1)
        return r->profiles[0];
    if (!*name) {
        list_names(r, why);
        return NULL;
    }
    struct profile **found = bsearch(name, r->profiles, r->n_profiles, sizeof *r->profiles,
                                     by_name);
    if (found)
        return *found;
    error_set(why, ERROR_NO_PROFILE, "%s", name);
    return NULL;
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

const char *profiles_path(const struct profiles *r)
{
    return r->paths[r->n_paths - 1];
}

struct context *profiles_context(const struct profiles *r)
{
    return r->shared;
}

const struct config_report *profiles_report(const struct profiles *r)
{
    return r->report.code == ERROR_NONE ? NULL : &r->report;
}
