/* kubetoken config show: what the files say together, with the origin of each line. */
#define _GNU_SOURCE
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/child.h"
#include "client/admin/commands.h"
#include "client/autostart.h"
#include "client/conversation.h"
#include "client/options.h"
#include "client/output.h"
#include "client/help.h"
#include "common/config_files.h"
#include "common/json_print.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

enum { ANSWER_MAX = 1024 * 1024 };

static const char *text_of(const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));

    return text ? text : "";
}

/* ---- as text, in the form of the file itself ------------------------------------------------- */

/* Where the line stands; for those that are built in at the first of them. */
static void print_origin(const cJSON *setting, const char *before)
{
    const cJSON *line = cJSON_GetObjectItemCaseSensitive(setting, "line");
    const char *origin = text_of(setting, "origin");

    if (line)
        printf("# %s:%d%s\n", text_of(setting, "file"), line->valueint,
               text_equal(origin, "defaults") ? " [defaults]" : "");
    else if (!text_equal(origin, before))
        puts("# built in");
}

static void print_setting(const cJSON *setting, const char *before)
{
    print_origin(setting, before);
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(setting, "secret")))
        printf("# %s = (set, not shown)\n", text_of(setting, "key"));
    else
        printf("%s = %s\n", text_of(setting, "key"), text_of(setting, "value"));
}

static void print_profile(const cJSON *profile)
{
    const cJSON *setting;
    const char *before = "";

    printf("[profile %s]\n", text_of(profile, "profile"));
    cJSON_ArrayForEach (setting, cJSON_GetObjectItemCaseSensitive(profile, "settings")) {
        print_setting(setting, before);
        before = text_of(setting, "origin");
    }
}

/* Keys of one line stand in one line. */
static void print_locked(const cJSON *locked, const char *blank)
{
    const cJSON *lock;
    int line = 0;
    const char *file = "";

    cJSON_ArrayForEach (lock, locked) {
        int at = (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(lock, "line"));
        if (at == line && text_equal(file, text_of(lock, "file"))) {
            printf(" %s", text_of(lock, "key"));
            continue;
        }
        printf("%s", line == 0 ? blank : "\n");
        line = at;
        file = text_of(lock, "file");
        printf("%s# %s:%d\nkeys = %s", lock == locked->child ? "[locked]\n" : "", file, at,
               text_of(lock, "key"));
    }
    if (line > 0)
        putchar('\n');
}

static void print_text(const cJSON *config)
{
    const cJSON *named = cJSON_GetObjectItemCaseSensitive(config, "defaultProfile"), *profile;
    const char *blank = "";

    if (named) {
        puts("[defaults]");
        print_setting(named, "");
        blank = "\n";
    }
    cJSON_ArrayForEach (profile, cJSON_GetObjectItemCaseSensitive(config, "profiles")) {
        fputs(blank, stdout);
        print_profile(profile);
        blank = "\n";
    }
    print_locked(cJSON_GetObjectItemCaseSensitive(config, "locked"), blank);
}

static void print_json(const cJSON *config)
{
    char *text = json_print(config);

    if (text)
        puts(text);
    free(text);
}

/* ---- the command ----------------------------------------------------------------------------- */

/* Leaves that profile alone. Returns the exit code. */
static int keep_profile(cJSON *config, const char *name)
{
    cJSON *profiles = cJSON_GetObjectItemCaseSensitive(config, "profiles"), *profile;
    bool found = false;

    for (int i = cJSON_GetArraySize(profiles) - 1; i >= 0; i--) {
        profile = cJSON_GetArrayItem(profiles, i);
        if (text_equal(text_of(profile, "profile"), name))
            found = true;
        else
            cJSON_DeleteItemFromArray(profiles, i);
    }
    if (!found)
        return output_fail(ERROR_NO_PROFILE, name);
    return 0;
}

/* What a daemon that runs does not know yet. */
static void tell_change(void)
{
    static char answer[ANSWER_MAX];
    struct line line = { .may_be_absent = true };

    line_add(&line, "status json *");
    conversation_ask(&line, 5 * USEC_PER_SEC, answer, sizeof answer);
    cJSON *status = cJSON_Parse(answer);
    if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(status, "configurationInForce"))) {
        fflush(stdout);
        fputs("kubetoken: the daemon has another configuration in force; kubetoken reload\n",
              stderr);
    }
    cJSON_Delete(status);
}

static bool is_missing(const char *path)
{
    return access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* Its lines are an error each. */
static int complain(const struct child *child, const char *program)
{
    char config[PATHS_MAX];

    if (child->failed)
        return output_fail(ERROR_INCOMPLETE, program);
    if (paths_user_config(config) == 0 && is_missing(config) && !config_files_has_system())
        return output_fail(ERROR_NO_CONFIG, config);
    fputs(child->err, stderr);
    return child->exit_code;
}

static int show(const struct options *o)
{
    char program[PATHS_MAX];
    const char *argv[] = { program, "--print-config", NULL };
    struct child child;

    autostart_program(program);
    child_run(argv, o->timeout, &child);
    cJSON *config = child.exit_code == 0 ? cJSON_Parse(child.out) : NULL;
    int r = config ? 0 : complain(&child, program);
    if (config)
        fputs(child.err, stderr); /* what does not count of it */
    child_clear(&child);
    if (r == 0 && o->profile)
        r = keep_profile(config, o->profile);
    if (r == 0) {
        if (o->json) {
            print_json(config);
        } else {
            json_print_hide(config);
            print_text(config);
        }
        tell_change();
    }
    cJSON_Delete(config);
    return r ? r : output_done(0);
}

int config_run(int argc, char **argv, const char *folder)
{
    struct options o = { .command = "config", .timeout = PROTOCOL_TIMEOUT, .may_json = true };

    (void)folder;
    int shown = argc > 1 && text_equal(argv[1], "show");
    int r = options_parse(argc - shown, argv + shown, &o);
    if (r == 0 && !shown)
        r = output_fail(ERROR_USAGE, "it is kubetoken config show");
    return r ? r : show(&o);
}
