#define _GNU_SOURCE
#include "client/admin/profile_undo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/admin/ask.h"
#include "client/admin/config_text.h"
#include "client/admin/draft.h"
#include "client/admin/file_changes.h"
#include "client/admin/password_keep.h"
#include "client/conversation.h"
#include "client/output.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"
#include "common/wrap.h"

enum { FILES_MAX = DRAFT_FILES_MAX, WORDS_MAX = PATH_MAX + 200 };

struct undo {
    char name[PROTOCOL_NAME_MAX + 1];
    char section[PROTOCOL_NAME_MAX + sizeof "profile "];
    struct draft_place place;
    struct config_settings settings; /* of the section */
    char *rest;                      /* the configuration without it */
    size_t rest_length;
    char files[FILES_MAX][PATH_MAX];
    unsigned n_files;
    struct error unseen;     /* of a file that may be one of them */
    enum password_keep keep; /* whose entry goes; PASSWORD_KEEP_MAX: none does */
};

static void say(const char *text)
{
    wrap_print(stdout, text, 0, 0, output_columns());
}

/* ---- which ----------------------------------------------------------------------------------- */

/* The only one. Returns 0, or the exit code. */
static int find_only(struct undo *u)
{
    char text[WORDS_MAX], path[PATH_MAX];
    char *first = config_text_profile(u->place.text, u->place.length, 0);
    char *second = config_text_profile(u->place.text, u->place.length, 1);
    int r = 0;

    if (!first) {
        snprintf(text, sizeof text, "there is no profile in %s", draft_config_name(path));
        r = output_fail(ERROR_USAGE, text);
    } else if (second) {
        snprintf(text, sizeof text, "there are several profiles in %s: name the one that goes",
                 draft_config_name(path));
        r = output_fail(ERROR_USAGE, text);
    } else {
        snprintf(u->name, sizeof u->name, "%s", first);
    }
    free(first);
    free(second);
    return r;
}

static bool is_default(const struct undo *u)
{
    struct config_settings defaults;

    config_text_read(u->rest, u->rest_length, "defaults", &defaults, NULL);
    const char *name = config_settings_get(&defaults, "default-profile");
    bool is = name && text_equal(name, u->name);
    config_settings_clear(&defaults);
    return is;
}

static int refuse(const struct undo *u, const char *before, const char *behind)
{
    char text[WORDS_MAX], path[PATH_MAX];

    snprintf(text, sizeof text, "%s[profile %s] in %s%s", before, u->name, draft_config_name(path),
             behind);
    return output_fail(ERROR_USAGE, text);
}

/* The section of that profile. Returns 0, or the exit code. */
static int find_section(struct undo *u, const char *profile)
{
    snprintf(u->name, sizeof u->name, "%s", profile ? profile : "");
    int r = profile ? 0 : find_only(u);
    if (r)
        return r;
    snprintf(u->section, sizeof u->section, "profile %s", u->name);
    if (!config_text_read(u->place.text, u->place.length, u->section, &u->settings, NULL))
        return refuse(u, "there is no ", "");
    u->rest = config_text_drop(u->place.text, u->place.length, u->section, &u->rest_length);
    if (!u->rest)
        return output_fail_for_memory();
    return is_default(u) ? refuse(u, "", " is the default-profile there: change that first") : 0;
}

/* ---- what goes with it ----------------------------------------------------------------------- */

/* Whether the rest of the configuration speaks of it. */
static bool is_named_elsewhere(const struct undo *u, const char *name)
{
    return memmem(u->rest, u->rest_length, name, strlen(name)) != NULL;
}

/* A file beside the configuration that has the profile's name is ours. One that cannot be looked at
 * would stay behind without a word. */
static void add_file(struct undo *u, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    size_t length = strlen(u->name);

    if (strncmp(name, u->name, length) != 0 || name[length] != '.' || strchr(name, '/') ||
        !text_join(path, sizeof path, u->place.folder, "/", name))
        return;
    if (lstat(path, &st) < 0) {
        if (errno != ENOENT)
            error_set(&u->unseen, ERROR_CONFIG, "%s: %s", path, strerror(errno));
        return;
    }
    if (!S_ISREG(st.st_mode) || is_named_elsewhere(u, name) || u->n_files == FILES_MAX)
        return;
    for (unsigned i = 0; i < u->n_files; i++)
        if (text_equal(u->files[i], path))
            return;
    memcpy(u->files[u->n_files++], path, sizeof path);
}

static bool names_a_file(const char *key)
{
    static const char *const keys[] = { "client-secret-file", "password-file", "ca-file",
                                        "tls-client-cert", "tls-client-key" };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (text_equal(key, keys[i]))
            return true;
    return false;
}

static void find_files(struct undo *u)
{
    size_t folder = strlen(u->place.folder);

    for (size_t i = 0; i < u->settings.n; i++) {
        const char *value = u->settings.list[i].value;
        if (!names_a_file(u->settings.list[i].key))
            continue;
        if (strncmp(value, u->place.folder, folder) == 0 && value[folder] == '/')
            value += folder + 1;
        add_file(u, value);
    }
}

/* Whether the section has the very command that --keep-password gives it. */
static bool is_kept_by(const struct undo *u, enum password_keep keep)
{
    struct profile_draft *draft = profile_draft_new(u->name);

    if (!draft)
        return false;
    password_keep_set(keep, u->name, draft);
    const char *made = profile_draft_get(draft, "password-command");
    const char *here = config_settings_get(&u->settings, "password-command");
    bool is = made && here && text_equal(made, here);
    profile_draft_free(draft);
    return is;
}

static void find_keep(struct undo *u)
{
    char name[DRAFT_NAME_MAX];

    u->keep = PASSWORD_KEEP_MAX;
    if (is_kept_by(u, PASSWORD_KEEP_SECRET_TOOL))
        u->keep = PASSWORD_KEEP_SECRET_TOOL;
    else if (is_kept_by(u, PASSWORD_KEEP_PASS))
        u->keep = PASSWORD_KEEP_PASS;
    else if (is_kept_by(u, PASSWORD_KEEP_CREDENTIAL)) {
        snprintf(name, sizeof name, "%s.password.cred", u->name);
        add_file(u, name);
    }
}

static void say_what_goes(const struct undo *u)
{
    char text[WORDS_MAX], path[PATH_MAX], words[PASSWORD_KEEP_WORDS];

    snprintf(text, sizeof text, "To be removed: [profile %s] in %s", u->name,
             draft_config_name(path));
    say(text);
    for (unsigned i = 0; i < u->n_files; i++)
        printf("  %s\n", draft_home_short(u->files[i], path));
    if (u->keep == PASSWORD_KEEP_MAX)
        return;
    password_keep_words(u->keep, u->name, words);
    printf("  the password %s\n", words);
}

/* ---- doing it -------------------------------------------------------------------------------- */

/* A link stays, with nothing in it. */
static bool is_link(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* The configuration goes last: ended before, it still names what is to go. */
static int plan(struct undo *u, struct error *why)
{
    int r = 0;

    for (unsigned i = 0; i < u->n_files && r == 0; i++)
        r = file_changes_plan_removal(u->files[i], why);
    if (r == 0 && config_text_is_empty(u->rest, u->rest_length) && !is_link(u->place.path))
        r = file_changes_plan_removal(u->place.path, why);
    else if (r == 0)
        r = file_changes_plan(u->place.path, u->rest, u->rest_length, why);
    return r;
}

/* Whether it is as it was when the person was asked. */
static bool is_unchanged(const struct undo *u, struct error *why)
{
    struct draft_place now;

    if (draft_place_read(&now, why) < 0)
        return false;
    bool same = now.length == u->place.length && memcmp(now.text, u->place.text, now.length) == 0;
    if (!same)
        error_set(why, ERROR_CONFIG, "%s has changed meanwhile; once more", u->place.path);
    draft_place_clear(&now);
    return same;
}

/* Files, all of them or none. Returns 0, or the exit code. */
static int remove_files(struct undo *u)
{
    struct error why;
    sigset_t before = file_changes_block_signals();
    int locked = file_changes_lock(u->place.folder, &why);
    int r = locked >= 0 && is_unchanged(u, &why) ? plan(u, &why) : -1;

    if (r == 0)
        r = file_changes_carry_out(&why);
    if (r < 0)
        file_changes_take_back();
    else
        file_changes_sync(u->place.folder);
    if (r == 0)
        rmdir(u->place.folder); /* which is empty, or stays */
    file_changes_forget();
    if (locked >= 0)
        close(locked);
    sigprocmask(SIG_SETMASK, &before, NULL); /* where it was interrupted it ends here */
    return r < 0 ? output_fail(why.code, why.detail) : 0;
}

/* The daemon goes on with what it had where it finds no configuration at all: then without a token
 * and a password. Returns the exit code. */
static int have_it_forgotten(const struct undo *u)
{
    bool none_left = config_text_is_empty(u->rest, u->rest_length);
    struct line line = { .may_be_absent = true };
    char answer[1024];

    line_add(&line, "logout * ");
    line_add(&line, u->name);
    if (none_left)
        conversation_ask(&line, PROTOCOL_TIMEOUT, answer, sizeof answer);
    return draft_reload(none_left);
}

static int carry_out(struct undo *u)
{
    struct error why;
    int r = remove_files(u);

    if (r)
        return r;
    if (u->keep < PASSWORD_KEEP_MAX && password_keep_remove(u->keep, u->name, &why) < 0)
        r = output_fail(why.code, why.detail);
    int reloaded = have_it_forgotten(u);
    if (r == 0 && reloaded == 0)
        say("Removed. A kubeconfig that was written for it: kubetoken kubeconfig --undo.");
    return r ? r : reloaded;
}

int profile_undo(const char *profile)
{
    static struct undo u;
    struct error why;
    bool asks = ask_somebody();

    if (draft_place_read(&u.place, &why) < 0)
        return output_fail(why.code, why.detail);
    int r = find_section(&u, profile);
    if (r == 0) {
        find_files(&u);
        find_keep(&u);
    }
    if (r == 0 && u.unseen.code != ERROR_NONE)
        r = output_fail(u.unseen.code, u.unseen.detail);
    if (r == 0) {
        say_what_goes(&u);
        if (asks && !ask_yes("Remove it?", false))
            say("Nothing is removed.");
        else
            r = carry_out(&u);
    }
    if (u.rest)
        explicit_bzero(u.rest, u.rest_length);
    free(u.rest);
    config_settings_clear(&u.settings);
    draft_place_clear(&u.place);
    return r;
}
