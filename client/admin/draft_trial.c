/* Tries a draft, see trial.h: whether the daemon takes it, whether there is the provider that it
 * names, whether a login comes through. */
#define _GNU_SOURCE
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/child.h"
#include "client/admin/draft.h"
#include "client/admin/trial.h"
#include "client/autostart.h"
#include "client/conversation.h"
#include "client/output.h"
#include "common/config_files.h"
#include "common/heap.h"
#include "common/json_print.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/specifiers.h"
#include "common/text.h"
#include "common/time.h"
#include "common/wrap.h"

enum { ANSWER_MAX = 1024 * 1024 };

/* A command that prints a password has a minute, a request its `timeout`, of 5 min at most. */
static const uint64_t patience = 6 * 60 * USEC_PER_SEC;
static const uint64_t moment = 20 * USEC_PER_SEC;

/* ---- its configuration ----------------------------------------------------------------------- */

static bool is_path(const char *key)
{
    static const char *const keys[] = { "ca-file", "tls-client-cert", "tls-client-key",
                                        "client-secret-file", "password-file" };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (text_equal(key, keys[i]))
            return true;
    return false;
}

/* Both are sources of the same secret: the later one counts. */
static bool displaces(const char *key, const char *old)
{
    static const char client[] = "client-secret";

    if (text_equal(key, "token-parameter"))
        return false;
    return text_equal(key, old) || (draft_is_password(key) && draft_is_password(old)) ||
           (strncmp(key, client, sizeof client - 1) == 0 &&
            strncmp(old, client, sizeof client - 1) == 0);
}

/* Whether the administrator's [locked], of which these are the lines, names that key, or another
 * source of the same secret. */
static bool is_locked(const struct config_settings *locked, const char *key)
{
    for (size_t i = 0; i < locked->n; i++)
        for (const char *p = locked->list[i].value; *p; p += strcspn(p, " \t,")) {
            char word[64];
            p += strspn(p, " \t,");
            snprintf(word, sizeof word, "%.*s", (int)strcspn(p, " \t,"), p);
            if (text_equal(word, key) || displaces(word, key))
                return true;
        }
    return false;
}

/* Once the daemon has put in what %h stands for. */
static bool is_relative(const char *path)
{
    return *path != '/' && strncmp(path, "~/", 2) != 0 && strncmp(path, "%h", 2) != 0;
}

/* Lays one setting over those that there are, as the daemon does with a later file. */
static void lay(struct config_settings *over, const char *key, const char *value,
                const char *from_folder)
{
    char path[PATHS_MAX];

    for (size_t i = over->n; i > 0; i--)
        if (displaces(key, over->list[i - 1].key))
            config_settings_drop_at(over, i - 1);
    char *folder = is_path(key) && from_folder && is_relative(value)
                       ? specifiers_escape(from_folder)
                       : NULL;
    if (folder && text_join(path, sizeof path, folder, "/", value))
        value = path;
    config_settings_add(over, key, value);
    free(folder);
}

/* Without what is locked; NULL: nothing is. */
static void lay_section(struct config_settings *over, const char *text, size_t length,
                        const char *section, const char *from_folder,
                        const struct config_settings *locked)
{
    struct config_settings there;

    config_text_read(text, length, section, &there, NULL);
    for (size_t i = 0; i < there.n; i++)
        if (!text_equal(there.list[i].key, "default-profile") &&
            !(locked && is_locked(locked, there.list[i].key)))
            lay(over, there.list[i].key, there.list[i].value, from_folder);
    config_settings_clear(&there);
}

static bool is_own_file(const struct profile_draft *draft, const char *value)
{
    for (unsigned i = 0; i < draft->n_files; i++)
        if (text_equal(draft->files[i].name, value))
            return true;
    return false;
}

static void drop_passwords(struct config_settings *from)
{
    static const char *const keys[] = { "password", "password-file", "password-command",
                                        "password-credential" };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        config_settings_drop(from, keys[i]);
}

/* What a section of the administrator's is laid over. */
struct pile {
    struct config_settings *over;
    const char *section;
};

static void lay_file(void *context, const char *path, const char *text, size_t length)
{
    const struct pile *pile = context;
    char folder[PATHS_MAX];

    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    lay_section(pile->over, text, length, pile->section, folder, NULL);
}

static void lay_system(struct config_settings *over, const char *section)
{
    struct pile pile = { over, section };

    draft_system_files(lay_file, &pile);
}

static void add_locks(void *context, const char *path, const char *text, size_t length)
{
    struct config_settings there;

    (void)path;
    config_text_read(text, length, "locked", &there, NULL);
    for (size_t i = 0; i < there.n; i++)
        config_settings_add(context, there.list[i].key, there.list[i].value);
    config_settings_clear(&there);
}

void draft_defaults(const struct draft_place *place, struct config_settings *ret)
{
    struct config_settings locked = { 0 };

    draft_system_files(add_locks, &locked);
    lay_system(ret, "defaults");
    lay_section(ret, place->text, place->length, "defaults", place->folder, &locked);
    config_settings_clear(&locked);
}

/* What the files say below [defaults] and of this profile, with the draft laid over it. */
static void merge(const struct profile_draft *draft, const struct draft_place *place,
                  struct config_settings *defaults, struct config_settings *profile)
{
    struct config_settings locked = { 0 };

    draft_system_files(add_locks, &locked);
    draft_defaults(place, defaults);
    lay_system(profile, draft->section);
    for (size_t i = 0; i < draft->settings.n; i++) {
        const struct config_setting *s = &draft->settings.list[i];
        if (!is_locked(&locked, s->key))
            lay(profile, s->key, s->value, is_own_file(draft, s->value) ? NULL : place->folder);
    }
    config_settings_clear(&locked);
    if (draft->password.bytes) {
        drop_passwords(defaults);
        drop_passwords(profile);
    }
}

static int no_memory(struct error *why)
{
    error_set(why, ERROR_INTERNAL, "no memory");
    return -1;
}

static bool holds_secret(const struct config_settings *settings)
{
    return config_settings_get(settings, "password") ||
           config_settings_get(settings, "client-secret") || config_settings_get(settings, "proxy");
}

static int write_config(const struct config_settings *defaults,
                        const struct config_settings *profile, const char *section,
                        struct error *why)
{
    size_t length;
    char *empty = config_text_put("", 0, "defaults", defaults, &length);
    char *text = empty ? config_text_put(empty, length, section, profile, &length) : NULL;
    int r = text ? trial_write("kubetoken.conf", text, length, why) : no_memory(why);

    if (text)
        explicit_bzero(text, length);
    free(text);
    if (empty)
        explicit_bzero(empty, strlen(empty));
    free(empty);
    return r;
}

/* ---- the trial ---------------------------------------------------------------------------- */

static int make_trial(const struct profile_draft *draft, struct error *why)
{
    struct config_settings defaults = { 0 }, profile = { 0 };
    struct draft_place place;
    int r = draft_place_read(&place, why);

    if (r == 0 && (r = draft_place_judge(&place, why)) < 0) /* before a login is spent */
        draft_place_clear(&place);
    if (r < 0)
        return r;
    merge(draft, &place, &defaults, &profile);
    draft_place_clear(&place);
    r = trial_begin(draft->n_files > 0 || holds_secret(&defaults) || holds_secret(&profile), why);
    if (r == 0)
        r = write_config(&defaults, &profile, draft->section, why);
    for (unsigned i = 0; r == 0 && i < draft->n_files; i++)
        r = trial_write(draft->files[i].name, draft->files[i].content.bytes,
                        draft->files[i].content.length, why);
    config_settings_clear(&defaults);
    config_settings_clear(&profile);
    if (r == 0 && heap_lacked()) /* half a draft is none that a login may be spent on */
        r = no_memory(why);
    return r == 0 ? trial_start(why) : r;
}

/* ---- what came of it ------------------------------------------------------------------------- */

static const char *text_of(const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));

    return text ? text : "";
}

static void print_user(const cJSON *state)
{
    const cJSON *possible = cJSON_GetObjectItemCaseSensitive(state, "userByClaim");
    const char *sub = text_of(possible, "sub"), *email = text_of(possible, "email");

    if (!possible) {
        printf("The API server will see: %s\n", text_of(state, "user"));
        return;
    }
    puts("The API server will see:");
    printf("  %s\n    with --oidc-username-claim=sub, the default\n", *sub ? sub : "nobody");
    if (*email)
        printf("  %s\n    with --oidc-username-claim=email\n", email);
}

static void print_warnings(const cJSON *state)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(state, "warnings"), *warning;
    char text[1024], line[1100];

    cJSON_ArrayForEach (warning, list) {
        const char *name = text_of(warning, "code");
        error_text(text, sizeof text, error_from_name(name, strlen(name)),
                   text_of(warning, "detail"));
        snprintf(line, sizeof line, "warning: %s", text);
        wrap_remedy(stdout, line, 0, 4, output_columns());
    }
}

static enum error_code last;

/* There is no profile yet that could be refreshed or logged in to, nor anything that is tried
 * again by itself. */
static const char *remedy_of(enum error_code code)
{
    static const struct {
        enum error_code code;
        const char *remedy;
    } own[] = {
        { ERROR_REFUSED, "check the user name and the password" },
        { ERROR_REFUSED_SILENTLY, "check the password first, then the client's secret and whether "
                                  "it may use this grant" },
        { ERROR_ACCESS_DENIED, "check the password and the client's secret (Auth0 means the "
                               "secret, Dex the password)" },
        { ERROR_ACCOUNT, "it may want a second factor, a consent or a new password, or a rule or "
                         "lock denies it" },
        { ERROR_OTP_REQUIRED, "it cannot be tried without one: say --no-verify, and then kubetoken "
                              "login --otp" },
        { ERROR_SECOND_FACTOR, "the profile needs grant = device" },
        { ERROR_CLIENT_REFUSED, "check the client id, the client secret and client-auth" },
        { ERROR_GRANT_REFUSED, "have the password grant enabled for the client" },
        { ERROR_NO_ID_TOKEN, "check scope, and whether the provider asks for a second factor" },
        { ERROR_TIMEOUT, "try again; timeout = 1m gives it more time" },
        { ERROR_GATEWAY, "see to VPN, proxy and tls-client-cert" },
        { ERROR_LOGIN_NEEDED, "say where its password comes from" },
    };
    enum error_class class = error_class(code);

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i].code == code)
            return own[i].remedy;
    return class == ERROR_CLASS_LOST || class == ERROR_CLASS_TRANSIENT ? "try again later"
                                                                       : error_remedy(code);
}

static void print_failure(const char *profile, const struct error *why)
{
    const char *remedy = remedy_of(why->code);
    char line[2048];

    int n = snprintf(line, sizeof line, "kubetoken: %s: %s%s%s", profile, error_sentence(why->code),
                     *why->detail ? ": " : "", why->detail);
    size_t stem = n > 0 && (size_t)n < sizeof line ? error_stem(line) : 0;
    snprintf(line + stem, sizeof line - stem, "%s%s", *remedy ? "; " : "", remedy);
    fflush(stdout);
    if (isatty(STDERR_FILENO))
        wrap_remedy(stderr, line, 0, 4, output_columns());
    else
        fprintf(stderr, "%s\n", line);
}

/* What the daemon says of the profile; the caller deletes it. */
static cJSON *read_state(const char *profile, char *answer)
{
    struct line line = { 0 };

    line_add(&line, "status json ");
    line_add(&line, profile);
    if (conversation_ask(&line, moment, answer, ANSWER_MAX) != ERROR_NONE)
        return NULL;
    cJSON *status = cJSON_Parse(answer);
    cJSON *state = cJSON_DetachItemFromArray(cJSON_GetObjectItemCaseSensitive(status, "profiles"),
                                             0);
    cJSON_Delete(status);
    json_print_hide(state);
    return state;
}

static void tell(const char *profile, char *answer, struct error *why)
{
    cJSON *state = read_state(profile, answer);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(state, "error");

    if (last == ERROR_NONE) {
        puts("It works: the provider gave a token.");
        print_user(state);
        print_warnings(state);
    } else {
        if (error) /* as it is known, without what a command of ours would mend */
            error_set(why, last, "%s", text_of(error, "detail"));
        print_failure(profile, why);
    }
    cJSON_Delete(state);
}

/* One request: a login, or what the source of the password gives. */
static int ask_once(const struct profile_draft *draft)
{
    struct line line = { .block = draft->password.bytes, .block_length = draft->password.length };
    char *answer = malloc(ANSWER_MAX);
    struct error why;

    if (!answer)
        return last = ERROR_INTERNAL, output_fail_for_memory();
    line_add(&line, line.block ? "login * " : "get token ");
    line_add(&line, draft->name);
    if (line.block)
        line_add_number(&line, "secret", line.block_length);
    last = conversation_ask_why(&line, patience, answer, ANSWER_MAX, &why);
    explicit_bzero(answer, strlen(answer));
    tell(draft->name, answer, &why);
    free(answer);
    return error_exit_code(last);
}

enum error_code profile_draft_trial_error(void)
{
    return last;
}

int profile_draft_try(const struct profile_draft *draft)
{
    struct error why;
    int r;

    fflush(stdout);
    if (make_trial(draft, &why) == 0) {
        r = ask_once(draft);
    } else {
        last = why.code;
        r = output_fail(why.code, why.detail);
    }
    fflush(stdout);
    trial_end();
    return r;
}

/* ---- whether the daemon takes it --------------------------------------------------------------
 */

/* A newline in a value would be another key. */
static int check_values(const struct profile_draft *draft)
{
    char detail[200];

    for (size_t i = 0; i < draft->settings.n; i++) {
        const struct config_setting *s = &draft->settings.list[i];
        for (const unsigned char *p = (const unsigned char *)s->value; *p; p++)
            if (*p < 0x20 || *p == 0x7f) {
                snprintf(detail, sizeof detail, "%.64s holds a control character", s->key);
                return output_fail(ERROR_USAGE, detail);
            }
        if (!*s->value) {
            snprintf(detail, sizeof detail, "%.64s has no value", s->key);
            return output_fail(ERROR_USAGE, detail);
        }
    }
    return 0;
}

/* Its lines, with the name of the real file. */
static void print_lines(const char *lines, const char *path)
{
    size_t length = strlen(trial_config());
    const char *at;

    fflush(stdout);
    for (; *lines; lines += strcspn(lines, "\n"), lines += *lines == '\n') {
        int n = (int)strcspn(lines, "\n");
        at = length > 0 ? memmem(lines, (size_t)n, trial_config(), length) : NULL;
        if (at)
            fprintf(stderr, "kubetoken: %.*s%s%.*s\n", (int)(at - lines), lines, path,
                    n - (int)(at - lines) - (int)length, at + length);
        else
            fprintf(stderr, "kubetoken: %.*s\n", n, lines);
    }
}

/* Whether it may hold a secret: then it is in memory alone. */
static bool may_hold_secret(const char *text, size_t length)
{
    return memmem(text, length, "password", 8) || memmem(text, length, "secret", 6) ||
           memmem(text, length, "proxy", 5);
}

/* What kubetokend makes of the configuration in that folder (NULL: the real one); tells too what
 * does not count of it, if that is wanted. */
static int run_check(const char *config_home, const char *path, bool tell)
{
    char program[PATHS_MAX];
    const char *argv[] = { program, "--print-config", NULL };
    const char *home = getenv("XDG_CONFIG_HOME");
    char *old = home ? strdup(home) : NULL;
    struct child child;

    autostart_program(program);
    if (config_home)
        setenv("XDG_CONFIG_HOME", config_home, 1);
    child_run(argv, moment, &child);
    if (config_home && old)
        setenv("XDG_CONFIG_HOME", old, 1);
    else if (config_home)
        unsetenv("XDG_CONFIG_HOME");
    free(old);
    int r = child.exit_code;
    if (child.failed)
        r = output_fail(ERROR_INCOMPLETE, program);
    else if (r != 0 || tell)
        print_lines(child.err, path);
    child_clear(&child);
    return r;
}

/* It is read in the place of the real one. */
static int check_text(const char *text, size_t length, const char *path, bool tell)
{
    struct error why;
    int r;

    if (trial_begin(may_hold_secret(text, length), &why) < 0 ||
        trial_write("kubetoken.conf", text, length, &why) < 0)
        r = output_fail(why.code, why.detail);
    else
        r = run_check(trial_config_home(), path, tell);
    trial_end();
    return r;
}

static int check_with(const struct profile_draft *draft, const struct draft_place *place, bool tell)
{
    size_t length;
    int r = check_values(draft);

    if (r)
        return r;
    char *text = config_text_put(place->text, place->length, draft->section, &draft->settings,
                                 &length);
    if (!text)
        return output_fail_for_memory();
    r = check_text(text, length, place->path, tell);
    explicit_bzero(text, length);
    free(text);
    return r;
}

static int check(const struct profile_draft *draft, bool tell)
{
    struct draft_place place;
    struct error why;
    int r = 0;

    if (draft_place_read(&place, &why) < 0)
        return output_fail(why.code, why.detail);
    if (draft_place_judge(&place, &why) < 0)
        r = output_fail(why.code, why.detail);
    else if (draft)
        r = check_with(draft, &place, tell);
    else if (place.exists || config_files_has_system())
        r = run_check(NULL, place.path, false);
    draft_place_clear(&place);
    return r;
}

int profile_draft_check(const struct profile_draft *draft)
{
    return check(draft, true);
}

/* ---- the provider alone ---------------------------------------------------------------------- */

/* The draft as far as it says how the provider is reached. The caller frees it. NULL: no memory. */
static struct profile_draft *way_to_provider(const struct profile_draft *draft)
{
    static const char *const keys[] = { "issuer",         "token-endpoint", "jwks-uri",
                                        "ca-file",        "proxy",          "tls-client-cert",
                                        "tls-client-key", "timeout",        "allow-http-loopback" };
    struct profile_draft *way = profile_draft_new(draft->name);

    if (!way)
        return NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        profile_draft_set(way, keys[i], profile_draft_get(draft, keys[i]));
    for (unsigned i = 0; i < draft->n_files; i++) {
        way->files[i] = draft->files[i];
        way->files[i].content = draft_bytes_copy(draft->files[i].content.bytes,
                                                 draft->files[i].content.length);
    }
    way->n_files = draft->n_files;
    profile_draft_set(way, "client-id", "-"); /* of which nothing is sent */
    profile_draft_set(way, "username", "-");
    profile_draft_set(way, "grant", "password"); /* whatever [defaults] has */
    profile_draft_set(way, "client-auth", "auto");
    return way;
}

static enum error_code look_up(const char *profile, struct provider_offers *ret, struct error *why)
{
    char *answer = malloc(ANSWER_MAX);

    if (!answer) {
        no_memory(why);
        return why->code;
    }
    enum error_code code = provider_offers_ask(profile, patience, answer, ANSWER_MAX, ret, why);
    free(answer);
    return code;
}

int profile_draft_check_way(const struct profile_draft *draft)
{
    struct profile_draft *way = way_to_provider(draft);
    int r = way ? check(way, false) : output_fail_for_memory();

    profile_draft_free(way);
    return r;
}

enum error_code profile_draft_discover(const struct profile_draft *draft,
                                       struct provider_offers *ret, struct error *why)
{
    struct profile_draft *way = way_to_provider(draft);

    *ret = (struct provider_offers){ .known = false };
    int r = way ? make_trial(way, why) : no_memory(why);
    enum error_code code = r == 0 ? look_up(way->name, ret, why) : why->code;
    trial_end();
    profile_draft_free(way);
    return code;
}
