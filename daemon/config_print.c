#define _GNU_SOURCE
#include "daemon/config_print.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_files.h"
#include "common/json_print.h"
#include "common/json_tree.h"
#include "daemon/memory.h"

enum { SCHEMA_VERSION = 1 };

/* As build_profile() in config.c has them: a test holds the two together. */
const struct config_builtin config_builtins[] = {
    { "proxy", "auto" },
    { "timeout", "15s" },
    { "allow-http-loopback", "no" },
    { "client-auth", "auto" },
    { "scope", "openid email profile" },
    { "use-refresh-token", "yes" },
    { "keep-fresh", "12h" },
    { "start", "on-demand" },
    { "keep-over-restart", "tokens" },
    { "signing-algs", "RS256" },
};
const size_t config_builtins_count = sizeof config_builtins / sizeof *config_builtins;

struct print {
    cJSON *json, *profiles, *settings, *locked;
};

static bool is_set(const cJSON *settings, const char *key)
{
    const cJSON *setting;

    cJSON_ArrayForEach (setting, settings) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(setting, "key"));
        if (name && strcmp(name, key) == 0)
            return true;
    }
    return false;
}

/* Behind the lines of a profile. */
static void add_builtins(cJSON *settings)
{
    for (size_t i = 0; settings && i < config_builtins_count; i++) {
        const struct config_builtin *b = &config_builtins[i];
        if (is_set(settings, b->key))
            continue;
        cJSON *setting = cJSON_CreateObject();
        cJSON_AddStringToObject(setting, "key", b->key);
        cJSON_AddStringToObject(setting, "value", b->value);
        cJSON_AddStringToObject(setting, "origin", "built-in");
        json_tree_append(settings, setting);
    }
}

static void on_profile(void *context, const char *name)
{
    struct print *p = context;
    cJSON *profile = cJSON_CreateObject();

    add_builtins(p->settings); /* of the one before */
    cJSON_AddStringToObject(profile, "profile", name);
    cJSON *settings = cJSON_AddArrayToObject(profile, "settings");
    p->settings = json_tree_append(p->profiles, profile) ? settings : NULL;
}

static cJSON *setting_json(const struct config_line *line)
{
    cJSON *setting = cJSON_CreateObject();

    cJSON_AddStringToObject(setting, "key", line->key);
    if (line->value)
        cJSON_AddStringToObject(setting, "value", line->value);
    else
        cJSON_AddBoolToObject(setting, "secret", true);
    cJSON_AddStringToObject(setting, "origin", line->of_defaults ? "defaults" : "profile");
    cJSON_AddStringToObject(setting, "file", line->file);
    cJSON_AddNumberToObject(setting, "line", line->line);
    return setting;
}

static void on_line(void *context, const struct config_line *line)
{
    const struct print *p = context;

    json_tree_append(p->settings, setting_json(line));
}

static void on_default(void *context, const struct config_line *line)
{
    const struct print *p = context;

    json_tree_put(p->json, "defaultProfile", setting_json(line));
}

static void on_locked(void *context, const struct config_line *line)
{
    const struct print *p = context;
    cJSON *lock = cJSON_CreateObject();

    cJSON_AddStringToObject(lock, "key", line->value);
    cJSON_AddStringToObject(lock, "file", line->file);
    cJSON_AddNumberToObject(lock, "line", line->line);
    json_tree_append(p->locked, lock);
}

/* That were looked for. One that cannot be listed is an error of config_show(). */
static void add_files(cJSON *json, const char *const *paths, size_t n_paths)
{
    cJSON *list = cJSON_AddArrayToObject(json, "files");
    struct config_files files = { 0 };

    for (size_t i = 0; i < n_paths; i++)
        config_files_add(&files, paths[i]);
    for (size_t i = 0; i < files.n; i++)
        json_tree_append(list, cJSON_CreateString(files.list[i]));
    config_files_clear(&files);
}

char *config_print(const char *const *paths, size_t n_paths, struct config_report *report)
{
    struct print p = { .json = cJSON_CreateObject() };
    const struct config_visitor visitor = { on_profile, on_line, on_default, on_locked, &p };
    char *line = NULL, *text = NULL;

    cJSON_AddNumberToObject(p.json, "schemaVersion", SCHEMA_VERSION);
    add_files(p.json, paths, n_paths);
    p.profiles = cJSON_AddArrayToObject(p.json, "profiles");
    p.locked = cJSON_AddArrayToObject(p.json, "locked");
    int r = config_show(paths, n_paths, &visitor, report);
    add_builtins(p.settings);
    if (r == 0)
        text = json_print(p.json);
    if (text && asprintf(&line, "%s\n", text) < 0)
        line = NULL;
    free(text);
    cJSON_Delete(p.json);
    if (r == 0 && (memory_lacked() || !line)) {
        free(line);
        line = NULL;
        report->code = ERROR_INTERNAL;
        report->text = strdup("there was no memory to print the configuration\n");
    }
    return line;
}
