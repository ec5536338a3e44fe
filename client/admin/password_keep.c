#define _GNU_SOURCE
#include "client/admin/password_keep.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/ask.h"
#include "client/admin/child.h"
#include "client/admin/file_changes.h"
#include "client/output.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/secret_form.h"
#include "common/text.h"
#include "common/time.h"
#include "common/trusted_program.h"

/* A keyring, or gpg's agent, may ask the person for a passphrase first. */
static const uint64_t patience = 120 * USEC_PER_SEC;

enum { NAME_MAX_ = PROTOCOL_NAME_MAX + 32, COMMAND_MAX = PATH_MAX + 200 };

static const char *const names[PASSWORD_KEEP_MAX] = { "prompt", "file", "secret-tool", "pass",
                                                      "credential" };

const char *password_keep_name(enum password_keep keep)
{
    return names[keep];
}

enum password_keep password_keep_from_name(const char *name)
{
    enum password_keep keep = PASSWORD_KEEP_PROMPT;

    while (keep < PASSWORD_KEEP_MAX && !text_equal(names[keep], name))
        keep++;
    return keep;
}

/* ---- the programs ---------------------------------------------------------------------------- */

static bool is_program(const char *name)
{
    char path[PATH_MAX];

    for (const char *at = getenv("PATH"); at && *at;) {
        size_t length = strcspn(at, ":");
        int n = snprintf(path, sizeof path, "%.*s/%s", (int)length, at, name);
        if (n > 0 && (size_t)n < sizeof path && access(path, X_OK) == 0)
            return true;
        at += length + (at[length] == ':');
    }
    return false;
}

static bool is_file(const char *variable, const char *rest)
{
    const char *folder = getenv(variable);
    char path[PATH_MAX];

    return folder && *folder == '/' && text_join(path, sizeof path, folder, rest, "") &&
           access(path, F_OK) == 0;
}

/* The file that systemd-creds makes, beside the configuration. */
static bool credential_path(const char *profile, char out[PATH_MAX])
{
    char config[PATHS_MAX];

    if (paths_user_config(config) < 0)
        return false;
    *strrchr(config, '/') = '\0';
    int n = snprintf(out, PATH_MAX, "%s/%s.password.cred", config, profile);
    return n > 0 && n < PATH_MAX;
}

/* Up to five words of a command, each in memory of the caller's. */
struct words {
    char name[NAME_MAX_], path[PATH_MAX];
    const char *argv[10];
};

static void lookup_words(enum password_keep keep, const char *profile, struct words *ret)
{
    snprintf(ret->name, sizeof ret->name, "kubetoken%c%s", keep == PASSWORD_KEEP_PASS ? '/' : '-',
             profile);
    const char *const tool[] = { "secret-tool", "lookup", "service", "kubetoken",
                                 "profile",     profile,  NULL };
    const char *const pass[] = { "pass", "show", ret->name, NULL };
    const char *const creds[] = { "systemd-creds", "--user", "decrypt", ret->path, "-", NULL };

    memset(ret->argv, 0, sizeof ret->argv);
    if (keep == PASSWORD_KEEP_SECRET_TOOL)
        memcpy(ret->argv, tool, sizeof tool);
    else if (keep == PASSWORD_KEEP_PASS)
        memcpy(ret->argv, pass, sizeof pass);
    else if (keep == PASSWORD_KEEP_CREDENTIAL && credential_path(profile, ret->path))
        memcpy(ret->argv, creds, sizeof creds);
}

static bool has_user_credentials(void)
{
    static const char *const argv[] = { "systemd-creds", "--user", "--version", NULL };
    struct child child;

    bool works = is_program(*argv) && child_run(argv, 5 * USEC_PER_SEC, &child) == 0;
    if (is_program(*argv))
        child_clear(&child);
    return works;
}

/* Whether the program may be given a password. */
static bool is_trusted(enum password_keep keep, struct error *why)
{
    static const char *const programs[PASSWORD_KEEP_MAX] = {
        [PASSWORD_KEEP_SECRET_TOOL] = "secret-tool",
        [PASSWORD_KEEP_PASS] = "pass",
        [PASSWORD_KEEP_CREDENTIAL] = "systemd-creds",
    };
    char path[PATHS_MAX], words[ERROR_DETAIL_MAX + 1];
    struct trusted_fault fault;

    if (!programs[keep] || trusted_program_find(programs[keep], path, &fault) == 0 ||
        fault.number != 0)
        return true;
    trusted_path_tell(&fault, words, sizeof words);
    if (why)
        error_set(why, ERROR_CREDENTIAL, "%s is not run: %s", programs[keep], words);
    return false;
}

bool password_keep_is_there(enum password_keep keep, struct error *why)
{
    const char *missing = NULL;

    if (keep == PASSWORD_KEEP_SECRET_TOOL && !is_program("secret-tool"))
        missing = "there is no secret-tool (Debian: libsecret-tools)";
    else if (keep == PASSWORD_KEEP_SECRET_TOOL && !getenv("DBUS_SESSION_BUS_ADDRESS") &&
             !is_file("XDG_RUNTIME_DIR", "/bus"))
        missing = "secret-tool finds no session bus, and so no keyring";
    else if (keep == PASSWORD_KEEP_PASS && !is_program("pass"))
        missing = "there is no pass";
    else if (keep == PASSWORD_KEEP_PASS && !is_file("PASSWORD_STORE_DIR", "/.gpg-id") &&
             !is_file("HOME", "/.password-store/.gpg-id"))
        missing = "pass has no store yet; pass init makes one";
    else if (keep == PASSWORD_KEEP_CREDENTIAL && !has_user_credentials())
        missing = "systemd-creds here encrypts for root alone (for users from 256 on); load a file "
                  "with LoadCredential= (kubetoken.conf(5)) and name it by --password-credential";
    if (missing && why)
        error_set(why, ERROR_USAGE, "%s", missing);
    return !missing && is_trusted(keep, why);
}

void password_keep_words(enum password_keep keep, const char *profile,
                         char out[PASSWORD_KEEP_WORDS])
{
    static const char *const words[PASSWORD_KEEP_MAX] = {
        "nowhere: it is typed at each login, and forgotten by logout",
        "in a file that you alone can read, %s.password",
        "in the keyring, by secret-tool",
        "in pass, as kubetoken/%s",
        "encrypted by systemd-creds, in %s.password.cred",
    };

    const char *hole = strstr(words[keep], "%s");
    int head = hole ? (int)(hole - words[keep]) : (int)strlen(words[keep]);
    snprintf(out, PASSWORD_KEEP_WORDS, "%.*s%s%s", head, words[keep], hole ? profile : "",
             hole ? hole + 2 : "");
}

int password_keep_choose(const char *profile, enum password_keep *ret)
{
    enum password_keep offered[PASSWORD_KEEP_MAX];
    char words[PASSWORD_KEEP_WORDS], answer[32];
    size_t n = 0;

    puts("Where is the password to be kept?");
    for (enum password_keep k = PASSWORD_KEEP_PROMPT; k < PASSWORD_KEEP_MAX; k++)
        if (password_keep_is_there(k, NULL)) {
            offered[n++] = k;
            password_keep_words(k, profile, words);
            printf("  %zu  %s\n", n, words);
        }
    for (;;) {
        int r = ask_line("Number", "1", answer, sizeof answer);
        if (r < 0 && r != -E2BIG)
            return r;
        if (r == 0 && *answer > '0' && answer[1] == '\0' && (size_t)(*answer - '0') <= n) {
            *ret = offered[*answer - '1'];
            return 0;
        }
    }
}

/* ---- the keys -------------------------------------------------------------------------------- */

/* As the daemon's reader of commands takes it apart again. */
static void command_line(const struct words *words, char out[COMMAND_MAX])
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; words->argv[i] && used < COMMAND_MAX; i++) {
        const char *quote = strchr(words->argv[i], ' ') ? "\"" : "";
        used += (size_t)snprintf(out + used, COMMAND_MAX - used, "%s%s%s%s", i ? " " : "", quote,
                                 words->argv[i], quote);
    }
}

void password_keep_set(enum password_keep keep, const char *profile, struct profile_draft *draft)
{
    char command[COMMAND_MAX], file[NAME_MAX_];
    struct words words = { 0 };

    if (keep == PASSWORD_KEEP_FILE) {
        snprintf(file, sizeof file, "%s.password", profile);
        profile_draft_set(draft, "password-file", file);
    } else if (keep != PASSWORD_KEEP_PROMPT) {
        lookup_words(keep, profile, &words);
        command_line(&words, command);
        profile_draft_set_literal(draft, "password-command", command);
    }
}

/* ---- the secret ------------------------------------------------------------------------------ */

enum password_keep_state password_keep_look(enum password_keep keep, const char *profile,
                                            const char *password, size_t length)
{
    enum password_keep_state state = PASSWORD_KEEP_NONE;
    struct words words = { 0 };
    struct child child;

    if (keep == PASSWORD_KEEP_PROMPT || keep == PASSWORD_KEEP_FILE)
        return state;
    lookup_words(keep, profile, &words);
    if (child_run(words.argv, patience, &child) == 0 && *child.out) {
        const struct secret_form form = secret_form_judge(child.out, strlen(child.out));
        state = form.length == length && memcmp(child.out, password, length) == 0
                    ? PASSWORD_KEEP_SAME
                    : PASSWORD_KEEP_ANOTHER;
    }
    explicit_bzero(child.out, strlen(child.out));
    child_clear(&child);
    return state;
}

static int fail_by(const char *program, const struct child *child, struct error *why)
{
    error_set(why, ERROR_CREDENTIAL, "%s: %.*s", program, (int)strcspn(child->err, "\n"),
              child->failed ? strerror(child->failed) : child->err);
    return -1;
}

/* Runs it with the password on stdin; *ret is freed by the caller where it went well. */
static int give(const char *const argv[], const char *password, struct child *ret,
                struct error *why)
{
    if (child_run_with(argv, password, patience, ret) == 0)
        return 0;
    int r = fail_by(argv[0], ret, why);
    child_clear(ret);
    return r;
}

static int store_credential(const char *profile, const char *password, struct profile_draft *draft,
                            struct error *why)
{
    char name[NAME_MAX_], option[NAME_MAX_ + 8], file[NAME_MAX_];
    struct child child;

    snprintf(name, sizeof name, "%s.password.cred", profile);
    snprintf(option, sizeof option, "--name=%s", name); /* decrypt takes it from the file's name */
    const char *const argv[] = { "systemd-creds", "--user", "encrypt", option, "-", "-", NULL };
    if (give(argv, password, &child, why) < 0)
        return -1;
    snprintf(file, sizeof file, "%s", "password.cred");
    profile_draft_add_file(draft, "password-command", file, child.out, strlen(child.out));
    password_keep_set(PASSWORD_KEEP_CREDENTIAL, profile, draft);
    child_clear(&child);
    return 0;
}

static int store_by_program(enum password_keep keep, const char *profile, const char *password,
                            size_t length, struct error *why)
{
    char label[NAME_MAX_], name[NAME_MAX_];
    struct child child;

    snprintf(label, sizeof label, "--label=kubetoken %s", profile);
    snprintf(name, sizeof name, "kubetoken/%s", profile);
    const char *const tool[] = { "secret-tool", "store",   label,   "service",
                                 "kubetoken",   "profile", profile, NULL };
    const char *const pass[] = { "pass", "insert", "--multiline", "--force", name, NULL };
    const char *const *argv = keep == PASSWORD_KEEP_PASS ? pass : tool;

    if (give(argv, password, &child, why) < 0)
        return -1;
    child_clear(&child);
    if (password_keep_look(keep, profile, password, length) == PASSWORD_KEEP_SAME)
        return 0;
    error_set(why, ERROR_CREDENTIAL, "%s gives back another password than it was given", *argv);
    return -1;
}

int password_keep_store(enum password_keep keep, const char *profile, const char *password,
                        size_t length, struct profile_draft *draft, struct error *why)
{
    switch (keep) {
    case PASSWORD_KEEP_FILE:
        profile_draft_add_file(draft, "password-file", "password", password, length);
        return 0;
    case PASSWORD_KEEP_CREDENTIAL:
        return store_credential(profile, password, draft, why);
    case PASSWORD_KEEP_SECRET_TOOL:
    case PASSWORD_KEEP_PASS:
        return store_by_program(keep, profile, password, length, why);
    case PASSWORD_KEEP_PROMPT:
    case PASSWORD_KEEP_MAX:
        break;
    }
    return 0;
}

int password_keep_remove(enum password_keep keep, const char *profile, struct error *why)
{
    char name[NAME_MAX_];
    struct child child;

    snprintf(name, sizeof name, "kubetoken/%s", profile);
    const char *const tool[] = { "secret-tool", "clear", "service", "kubetoken",
                                 "profile",     profile, NULL };
    const char *const pass[] = { "pass", "rm", "--force", name, NULL };

    const char *const *argv = keep == PASSWORD_KEEP_PASS ? pass : tool;
    struct error ignored;

    if (keep != PASSWORD_KEEP_SECRET_TOOL && keep != PASSWORD_KEEP_PASS)
        return 0;
    int r = child_run(argv, patience, &child);
    if (r < 0 || child.exit_code != 0)
        r = fail_by(*argv, &child, why ? why : &ignored);
    child_clear(&child);
    return r;
}

int password_keep_write(enum password_keep keep, const char *profile, const char *password,
                        size_t length, struct profile_draft *draft, bool force)
{
    sigset_t before = file_changes_block_signals();
    struct error why;
    int r = 0;

    if (length > 0 && keep < PASSWORD_KEEP_MAX &&
        password_keep_store(keep, profile, password, length, draft, &why) < 0)
        r = file_changes_is_interrupted() ? 1 : output_fail(why.code, why.detail);
    if (r == 0)
        r = profile_draft_write_files(draft, force);
    if (r != 0)
        password_keep_remove(keep, profile, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}
