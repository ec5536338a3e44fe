/* kubetoken import: makes a profile of what a user of the kubeconfig logs in with, and has kubectl
 * run kubetoken for that user. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/ask.h"
#include "client/admin/commands.h"
#include "client/admin/grant_choice.h"
#include "client/admin/import_draft.h"
#include "client/admin/import_plan.h"
#include "client/admin/import_users.h"
#include "client/admin/kubeconfig_write.h"
#include "client/admin/password_keep.h"
#include "client/admin/profile_draft.h"
#include "client/conversation.h"
#include "client/help.h"
#include "client/locked.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/secret_form.h"
#include "common/specifiers.h"
#include "common/text.h"
#include "common/time.h"
#include "common/wrap.h"

enum { NAMES_MAX = 240 };

struct import {
    const char *user, *context, *kubeconfig, *profile; /* as they were named, or NULL */
    const char *username;
    const char *password_file, *password_command, *password_credential;
    const char *grant_wanted; /* by --grant */
    const char *folder;       /* of kubetoken */
    bool dry_run, yes, no_verify, force, password_grant;

    struct import_users users;
    const struct import_user *chosen;
    struct import_plan plan;
    char name[PROTOCOL_NAME_MAX + 1]; /* of the profile */
    struct profile_draft *draft;
    enum grant_choice grant;
    bool by_refresh_token; /* the one in the plan is to be sent */
    enum password_keep keep;
    char *secret;  /* SECRET_FORM_ROOM of locked memory: a password that was typed */
    size_t length; /* 0: none was */
};

/* ---- the command line ------------------------------------------------------------------------ */

/* An option with a value. Returns -1 where it is none of them, else an exit code. */
static int take_value(struct import *m, char **argv, int *i)
{
    const struct {
        const char *name, **place;
    } options[] = { { "user", &m->user },
                    { "context", &m->context },
                    { "kubeconfig", &m->kubeconfig },
                    { "profile", &m->profile },
                    { "username", &m->username },
                    { "grant", &m->grant_wanted },
                    { "password-file", &m->password_file },
                    { "password-command", &m->password_command },
                    { "password-credential", &m->password_credential } };
    char name[32];

    for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
        bool missing = false;
        const char *value = options_value(argv, i, options[o].name, 0, &missing);
        snprintf(name, sizeof name, "--%s", options[o].name);
        if (missing || (value && !*value))
            return help_value_missing(name);
        if (value) {
            *options[o].place = value;
            return 0;
        }
    }
    return -1;
}

static int take_option(struct import *m, char **argv, int *i)
{
    const struct {
        const char *name;
        bool *place;
    } flags[] = { { "--dry-run", &m->dry_run },
                  { "--yes", &m->yes },
                  { "--no-verify", &m->no_verify },
                  { "--force", &m->force },
                  { "--password-grant", &m->password_grant } };

    for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
        if (text_equal(argv[*i], flags[f].name)) {
            *flags[f].place = true;
            return 0;
        }
    int r = take_value(m, argv, i);
    if (r >= 0)
        return r;
    return argv[*i][0] == '-' ? help_unknown_option("import", argv[*i])
                              : output_fail(ERROR_USAGE, "it takes options alone");
}

static bool names_source(const struct import *m)
{
    return m->password_file || m->password_command || m->password_credential;
}

/* What --grant says; --password-grant is the older word for one of them. */
static int take_grant(struct import *m)
{
    bool device = m->grant_wanted && text_equal(m->grant_wanted, "device");
    bool refresh = m->grant_wanted && text_equal(m->grant_wanted, "refresh-token");

    m->password_grant |= m->grant_wanted && text_equal(m->grant_wanted, "password");
    if (m->grant_wanted && !m->password_grant && !device && !refresh)
        return output_fail(ERROR_USAGE, "--grant takes password, device or refresh-token");
    if ((device || refresh) && (m->password_grant || m->username || names_source(m)))
        return output_fail(ERROR_USAGE, "a user name, and where a password comes from, belong to "
                                        "the password grant");
    m->grant = device ? GRANT_CHOICE_DEVICE : refresh ? GRANT_CHOICE_REFRESH_TOKEN : m->grant;
    return 0;
}

static int parse(int argc, char **argv, struct import *m)
{
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++)
        r = take_option(m, argv, &i);
    if (r == 0 && m->user && m->context)
        r = output_fail(ERROR_USAGE, "--user and --context both say whom");
    if (r == 0 && !!m->password_file + !!m->password_command + !!m->password_credential > 1)
        r = output_fail(ERROR_USAGE, "one source of the password is enough");
    if (r == 0)
        r = take_grant(m);
    return r ? r : options_check_profile(m->profile);
}

/* ---- what is said ---------------------------------------------------------------------------- */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wrap_remedy(stdout, text, 0, 2, output_columns());
}

static int fail(enum error_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int fail(enum error_code code, const char *format, ...)
{
    char text[ERROR_DETAIL_MAX + 1];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return output_fail(code, text);
}

static void say_notes(const struct import_plan *plan)
{
    char when[TIME_UTC_SIZE];

    for (unsigned i = 0; i < plan->n_notes; i++)
        say("note: %s", plan->notes[i]);
    if (plan->ended_at) {
        time_format_utc(when, plan->ended_at);
        say("note: its id-token, good until %s, is left out: kubetoken gets its own", when);
    }
    if (plan->part[IMPORT_PASSWORD])
        say("note: its password stood in the kubeconfig in clear; it goes to a file that is closed "
            "to others");
}

/* ---- whom ------------------------------------------------------------------------------------ */

static bool is_importable(const struct import_user *user)
{
    struct import_plan plan;

    import_plan_read(user->login, getenv("HOME"), &plan);
    bool is = (plan.kind == IMPORT_AUTH_PROVIDER || plan.kind == IMPORT_KUBELOGIN ||
               plan.kind == IMPORT_RENEW) &&
              !*plan.why;
    import_plan_clear(&plan);
    return is;
}

/* The only one that can be imported, NULL: there is none, or *ret_n of them, with their names. */
static const struct import_user *find_only(const struct import *m, unsigned *ret_n, char *names)
{
    const struct import_user *found = NULL;
    size_t length = 0;

    *names = '\0';
    *ret_n = 0;
    for (unsigned i = 0; i < m->users.n; i++) {
        const struct import_user *user = &m->users.list[i];
        if (!is_importable(user))
            continue;
        found = user;
        if (length < NAMES_MAX)
            length += (size_t)snprintf(names + length, NAMES_MAX - length, "%s%s",
                                       (*ret_n)++ ? ", " : "", user->name);
    }
    return *ret_n == 1 ? found : NULL;
}

static const struct import_user *named_user(const struct import *m, int *ret)
{
    const char *name = m->user ? m->user : import_users_of_context(&m->users, m->context);
    const struct import_user *user = name ? import_users_find(&m->users, name) : NULL;

    *ret = 0;
    if (!name)
        *ret = fail(ERROR_USAGE, "there is no context %s in the kubeconfig", m->context);
    else if (!user)
        *ret = fail(ERROR_USAGE, "there is no user %s in the kubeconfig",
                    *name ? name : "in that context");
    return user;
}

/* By what was named, else that of the current context, else the only one. Returns an exit code;
 * with 0 and none chosen there is nothing to import, and it was said. */
static int choose(struct import *m)
{
    char names[NAMES_MAX];
    unsigned n;
    int r;

    if (m->user || m->context) {
        m->chosen = named_user(m, &r);
        return r;
    }
    const char *name = import_users_of_context(&m->users, NULL);
    const struct import_user *current = name ? import_users_find(&m->users, name) : NULL;
    if (current && is_importable(current)) {
        m->chosen = current;
        return 0;
    }
    m->chosen = find_only(m, &n, names);
    if (m->chosen)
        return 0;
    if (n > 1)
        return fail(ERROR_USAGE, "which user? --user names one of: %s", names);
    if (current) {
        m->chosen = current; /* why not is said of that one */
        return 0;
    }
    say("nothing to import: no user in %s logs in by auth-provider oidc or kubelogin",
        m->users.paths.n == 1 ? m->users.paths.path[0] : "the kubeconfig's files");
    return 0;
}

/* Whether it can go on with whom was chosen. Returns -1 to go on, else an exit code. */
static int judge(struct import *m)
{
    const struct import_plan *plan = &m->plan;
    bool named = m->user || m->context;

    if (plan->kind == IMPORT_DONE || (plan->kind == IMPORT_NOTHING && !named)) {
        say("nothing to import: user %s: %s", m->chosen->name, plan->why);
        return 0;
    }
    if (*plan->why)
        return fail(ERROR_NOT_IMPORTED, "%s: %s", m->chosen->name, plan->why);
    return -1;
}

/* ---- the kubeconfig -------------------------------------------------------------------------- */

/* Whether that user has no more than what is imported, so that nothing is lost. */
static bool has_nothing_else(const cJSON *login)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, login) {
        if (!text_equal(item->string, "exec") && !text_equal(item->string, "auth-provider"))
            return false;
    }
    return true;
}

static int rewrite(const struct import *m, bool dry_run)
{
    const struct kubeconfig_wish wish = { .profile = m->name,
                                          .user = m->chosen->name,
                                          .file = m->chosen->file,
                                          .folder = m->folder,
                                          .dry_run = dry_run,
                                          .force = m->force || has_nothing_else(m->chosen->login) };

    return kubeconfig_write(&wish);
}

/* client-go's lock, which a rehearsal does not take. */
static int look_for_lock(const char *file)
{
    char lock[PATH_MAX];

    if (text_join(lock, sizeof lock, file, ".lock", "") && access(lock, F_OK) == 0)
        return fail(ERROR_NOT_WRITTEN,
                    "another program changes it: %s is there; remove it if no kubectl config runs "
                    "any more",
                    lock);
    return 0;
}

/* Whether that will go, before anything is sent: in silence but for what stands against it. */
static int rehearse(const struct import *m)
{
    int r = look_for_lock(m->chosen->file);

    if (r)
        return r;
    fflush(stdout);
    int kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (kept < 0 || null < 0 || dup2(null, STDOUT_FILENO) < 0)
        return fail(ERROR_INTERNAL, "%s", strerror(errno));
    r = rewrite(m, true);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(null);
    return r;
}

/* An exec stanza of an API that kubectl does not speak any more: the profile is there. */
static int renew(struct import *m)
{
    const char *profile = m->profile ? m->profile : m->plan.part[IMPORT_PROFILE];
    char answer[PROTOCOL_NAME_MAX + 2];
    struct line line = { .may_start = true };

    if (!profile) {
        line_add(&line, "profile * *");
        int r = conversation_query(&line, PROTOCOL_TIMEOUT, answer, sizeof answer);
        if (r)
            return r;
        answer[strcspn(answer, "\n")] = '\0';
        profile = answer;
    }
    if (!protocol_name_valid(profile, strlen(profile)))
        return fail(ERROR_NOT_IMPORTED, "%s: its stanza names no profile; --profile does",
                    m->chosen->name);
    snprintf(m->name, sizeof m->name, "%s", profile);
    say("The user %s runs kubetoken by v1alpha1, which kubectl takes no more: its stanza is "
        "renewed.",
        m->chosen->name);
    return rewrite(m, m->dry_run);
}

/* ---- the profile ----------------------------------------------------------------------------- */

/* A login with a browser becomes one by user name and password, which has to be wanted. */
static int agree_to_password(const struct import *m)
{
    char question[256];

    if (!m->plan.by_browser || m->password_grant || m->dry_run)
        return 0;
    snprintf(question, sizeof question,
             "The user %.100s logs in with a browser. kubetoken logs in by user name and password, "
             "which the provider has to allow for this client. Try that",
             m->chosen->name);
    if (ask_yes(question, false))
        return 0;
    return fail(ERROR_NOT_IMPORTED,
                "%s: it logs in with a browser, kubetoken by user name and password; where the "
                "provider allows that for this client: kubetoken import --password-grant; where it "
                "has the device grant: --grant device",
                m->chosen->name);
}

/* Whether the provider has what is the nearest to a login with a browser, and that is wanted. */
static bool agree_to_device(const struct import *m)
{
    struct provider_offers offers;
    struct error ignored; /* the trial says it */
    char question[300];

    if (m->dry_run || m->no_verify || m->password_grant || m->username || names_source(m) ||
        profile_draft_discover(m->draft, &offers, &ignored) != ERROR_NONE ||
        !offers.device_endpoint)
        return false;
    snprintf(
        question, sizeof question,
        "The user %.100s logs in with a browser. The provider has the device grant: kubetoken "
        "login shows a code, which is confirmed in a browser, of any machine. Log in so (grant "
        "= device)?",
        m->chosen->name);
    if (!ask_somebody())
        say("The user %s logs in with a browser, and the provider has the device grant: grant = "
            "device; --password-grant would try the password grant.",
            m->chosen->name);
    return ask_yes(question, true);
}

/* No user and no password are in a profile with another grant. */
static void leave_out_password(struct import *m)
{
    const char *why = m->grant == GRANT_CHOICE_DEVICE ? "grant = device" : "grant = refresh-token";

    if (m->plan.part[IMPORT_USERNAME] && !m->plan.guessed_name)
        import_plan_note(&m->plan, "its user name is left out: %s asks for none", why);
    if (m->plan.part[IMPORT_PASSWORD])
        import_plan_note(&m->plan, "its password is left out: %s sends none", why);
    import_plan_set(&m->plan, IMPORT_USERNAME, NULL);
    import_plan_set(&m->plan, IMPORT_PASSWORD, NULL);
}

static int unanswered(int r, const char *what, const char *option)
{
    if (r == -ECANCELED)
        return fail(ERROR_INTERRUPTED, "nothing was changed");
    if (r == -E2BIG || r == -EILSEQ)
        return fail(ERROR_USAGE, "the %s is too long, or holds a NUL", what);
    return fail(ERROR_USAGE, "a %s is needed: %s, or a line on stdin", what, option);
}

/* A name out of an old token is no more than a preset. */
static int set_username(struct import *m, const char *known)
{
    char answer[512];

    if (known && (m->username || !m->plan.guessed_name)) {
        profile_draft_set(m->draft, "username", known);
        return 0;
    }
    if (m->dry_run) {
        profile_draft_set(m->draft, "username", known ? known : "(asked for)");
        return 0;
    }
    int r = ask_line("User name at the provider", known, answer, sizeof answer);
    if (r < 0 && r != -E2BIG && r != -EILSEQ && !ask_somebody() &&
        m->plan.part[IMPORT_REFRESH_TOKEN])
        return fail(ERROR_USAGE, "a user name is needed: --username NAME, or a line on stdin; or "
                                 "--grant refresh-token, by which its refresh token is all there "
                                 "is");
    if (r < 0)
        return unanswered(r, "user name", "--username NAME");
    profile_draft_set(m->draft, "username", answer);
    return 0;
}

/* What stands elsewhere has no specifiers. */
static int find_username(struct import *m)
{
    char *found = m->plan.part[IMPORT_USERNAME] ? specifiers_escape(m->plan.part[IMPORT_USERNAME])
                                                : NULL;
    int r = set_username(m, m->username ? m->username : found);

    free(found);
    return r;
}

/* What is named goes before a password in the kubeconfig. A path counts from here, and in the
 * configuration from there. */
static int set_source(struct import *m)
{
    char *path = NULL;

    if (m->password_file && *m->password_file != '~') {
        path = realpath(m->password_file, NULL);
        if (!path)
            return fail(ERROR_USAGE, "--password-file %s: %s", m->password_file, strerror(errno));
    }
    if (names_source(m))
        import_plan_set(&m->plan, IMPORT_PASSWORD, NULL);
    if (path)
        profile_draft_set_literal(m->draft, "password-file", path);
    else
        profile_draft_set(m->draft, "password-file", m->password_file);
    profile_draft_set(m->draft, "password-command", m->password_command);
    profile_draft_set(m->draft, "password-credential", m->password_credential);
    free(path);
    return 0;
}

/* Takes what was typed, to be tried and kept. */
static int take_password(struct import *m)
{
    const struct secret_form form = secret_form_judge(m->secret, strlen(m->secret));
    char words[SECRET_FORM_WORDS];

    if (form.fault != SECRET_FORM_GOOD) {
        secret_form_words(&form, words);
        return fail(ERROR_CREDENTIAL, "the password %s", words);
    }
    m->length = form.length;
    profile_draft_set_password(m->draft, m->secret, m->length);
    password_keep_set(m->keep, m->name, m->draft);
    if (m->keep == PASSWORD_KEEP_FILE)
        profile_draft_add_file(m->draft, "password-file", "password", m->secret, m->length);
    return 0;
}

/* A person says where it is to be kept, too; of stdin it goes to the daemon's memory. */
static int find_password(struct import *m)
{
    const char *user = profile_draft_get(m->draft, "username");
    char question[600];

    int r = ask_somebody() ? password_keep_choose(m->name, &m->keep) : 0;
    if (r < 0)
        return unanswered(r, "place", "--password-file FILE");
    m->secret = locked_memory(SECRET_FORM_ROOM);
    snprintf(question, sizeof question, "Password for %s", user);
    r = ask_secret(question, m->secret, SECRET_FORM_ROOM);
    if (r < 0)
        return m->plan.part[IMPORT_REFRESH_TOKEN]
                   ? fail(ERROR_USAGE, "the refresh token in it is sent with --yes, or with a "
                                       "source of the password: --password-file FILE")
                   : unanswered(r, "password", "--password-file FILE");
    return take_password(m);
}

static bool has_source(const struct import *m)
{
    return names_source(m) || m->plan.part[IMPORT_PASSWORD];
}

/* It is said before it is sent. */
static bool agree_to_refresh_token(const struct import *m)
{
    say("The refresh token in the kubeconfig is going to be sent to the provider. From then on it "
        "is spent for the tool that it was got for, and kubetoken keeps what it gets for it in "
        "memory alone: a reboot ends it.");
    if (has_source(m) || m->yes)
        return true;
    return ask_yes("Send it", false);
}

static int find_credential(struct import *m)
{
    if (m->plan.part[IMPORT_REFRESH_TOKEN] && !m->no_verify) {
        m->by_refresh_token = agree_to_refresh_token(m);
        if (m->by_refresh_token)
            return 0;
    }
    return has_source(m) ? 0 : find_password(m);
}

static int make_draft(struct import *m)
{
    struct error why;

    if (m->profile)
        snprintf(m->name, sizeof m->name, "%s", m->profile);
    else
        import_plan_name(m->chosen->name, m->name);
    m->draft = profile_draft_new(m->name);
    if (!m->draft)
        return fail(ERROR_INTERNAL, "no memory");
    int r = set_source(m);
    if (r)
        return r;
    if (import_draft_fill(m->draft, &m->plan, m->chosen->file, &why) < 0)
        return fail(why.code, "%s: %s", m->chosen->name, why.detail);
    return 0;
}

/* By what the profile is to log in: what was said, what the stanza says, what the provider has. The
 * draft is there. */
static int choose_grant(struct import *m)
{
    bool browser = m->grant == GRANT_CHOICE_PASSWORD && m->plan.by_browser;

    if (m->grant == GRANT_CHOICE_PASSWORD &&
        ((m->plan.by_device && !m->password_grant) || (browser && agree_to_device(m))))
        m->grant = GRANT_CHOICE_DEVICE;
    if (m->grant == GRANT_CHOICE_PASSWORD)
        return agree_to_password(m);
    m->plan.by_browser = false;
    leave_out_password(m);
    profile_draft_free(m->draft);
    int r = make_draft(m);
    if (r == 0)
        profile_draft_set(m->draft, "grant",
                          m->grant == GRANT_CHOICE_DEVICE ? "device" : "refresh-token");
    return r;
}

static int show(struct import *m)
{
    import_draft_print(m->draft, m->name, stdout);
    if (m->plan.part[IMPORT_REFRESH_TOKEN])
        puts("# its refresh token: the first credential");
    if (m->plan.by_browser)
        puts("# it logs in with a browser: grant = device where the provider has that, else "
             "--password-grant");
    putchar('\n');
    return rewrite(m, true);
}

/* ---- doing it -------------------------------------------------------------------------------- */

/* What an earlier run has brought about: a refresh token is sent once. */
static bool has_token(const struct import *m)
{
    struct line line = { .may_start = true };
    char *answer = locked_memory(PROTOCOL_TOKEN_MAX + 1);

    if (profile_draft_look(m->draft) != PROFILE_DRAFT_SAME)
        return false;
    line_add(&line, "get token ");
    line_add(&line, m->name);
    enum error_code code = conversation_ask(&line, PROTOCOL_TIMEOUT, answer,
                                            PROTOCOL_TOKEN_MAX + 1);
    explicit_bzero(answer, PROTOCOL_TOKEN_MAX + 1);
    return code == ERROR_NONE;
}

/* Hands it to the daemon, which sends it. */
static int send_refresh_token(const struct import *m)
{
    const char *token = m->plan.part[IMPORT_REFRESH_TOKEN];
    struct line line = {
        .may_start = true, .sent_once = true, .block = token, .block_length = strlen(token)
    };

    line_add(&line, "login refresh-token ");
    line_add(&line, m->name);
    line_add_number(&line, "secret", line.block_length);
    fflush(stdout);
    return conversation_run(&line, PROTOCOL_TIMEOUT);
}

/* Trying a refresh token spends it, so that it is tried where it is to stay. */
static int write_and_log_in(const struct import *m)
{
    int r = profile_draft_write(m->draft, m->force);
    if (r)
        return r;
    r = send_refresh_token(m);
    if (r) {
        profile_draft_take_back(m->draft);
        say("Nothing has changed, neither the kubeconfig nor the profiles.");
    }
    return r;
}

static int try_and_write(const struct import *m)
{
    int r = m->no_verify ? 0 : profile_draft_try(m->draft);

    if (r == 0)
        r = password_keep_write(m->keep, m->name, m->secret, m->length, m->draft, m->force);
    return r ? r : profile_draft_hand_over(m->draft);
}

/* Nobody is there to confirm a login now, but whether one could is seen. */
static int check_provider(const struct import *m)
{
    struct provider_offers offers;
    struct error why;

    if (m->no_verify)
        return 0;
    if (profile_draft_discover(m->draft, &offers, &why) != ERROR_NONE)
        return output_fail(why.code, why.detail);
    if (m->grant == GRANT_CHOICE_DEVICE && offers.known && !offers.device_endpoint)
        return fail(ERROR_NO_DEVICE_LOGIN, "%s cannot log in by device", m->chosen->name);
    return 0;
}

/* Without a password. Sets whether there is still a login to be made. */
static int write_other_grant(struct import *m)
{
    bool sends = m->grant == GRANT_CHOICE_REFRESH_TOKEN && m->plan.part[IMPORT_REFRESH_TOKEN] &&
                 !m->no_verify && agree_to_refresh_token(m);

    m->by_refresh_token = sends;
    if (sends)
        return write_and_log_in(m);
    int r = check_provider(m);
    return r ? r : profile_draft_write(m->draft, m->force);
}

static bool holds_secret(const struct import_plan *plan)
{
    return plan->part[IMPORT_CLIENT_SECRET] || plan->part[IMPORT_PASSWORD] ||
           plan->part[IMPORT_REFRESH_TOKEN];
}

static void say_next(const struct import *m)
{
    char words[GRANT_CHOICE_WORDS];

    grant_choice_next(m->grant, m->name, NULL, words);
    say("%s", words);
}

static int carry_out(struct import *m)
{
    int r = rehearse(m);

    if (r == 0 && !m->force && profile_draft_look(m->draft) == PROFILE_DRAFT_ANOTHER)
        r = fail(ERROR_USAGE,
                 "there is another [profile %s]; --profile names a new one, --force "
                 "replaces it",
                 m->name);
    if (r)
        return r;
    bool has = has_token(m);
    if (!has && m->grant != GRANT_CHOICE_PASSWORD) {
        r = write_other_grant(m);
    } else if (!has) {
        r = find_credential(m);
        if (r == 0)
            r = m->by_refresh_token ? write_and_log_in(m) : try_and_write(m);
    }
    if (r)
        return r;
    say("The profile is %s.", m->name);
    r = rewrite(m, false);
    if (r == 0 && holds_secret(&m->plan))
        say("That backup holds the secrets which stood in the kubeconfig; remove it once all "
            "works.");
    if (r)
        say("The profile %s is there and works; what is left: kubetoken import again, or kubetoken "
            "kubeconfig --write %s",
            m->name, m->name);
    if (!has && !m->by_refresh_token && m->grant != GRANT_CHOICE_PASSWORD)
        say_next(m);
    return r;
}

static int import_chosen(struct import *m)
{
    import_plan_read(m->chosen->login, getenv("HOME"), &m->plan);
    int r = judge(m);
    if (r >= 0)
        return r;
    if (m->plan.kind == IMPORT_RENEW)
        return renew(m);
    r = make_draft(m);
    if (r == 0)
        r = choose_grant(m);
    if (r)
        return r;
    say_notes(&m->plan);
    r = m->grant == GRANT_CHOICE_PASSWORD ? find_username(m) : 0;
    if (r)
        return r;
    return m->dry_run ? show(m) : carry_out(m);
}

int import_run(int argc, char **argv, const char *folder)
{
    static struct import m; /* the paths are large */
    struct error why;

    int r = parse(argc, argv, &m);
    if (r)
        return r;
    m.folder = folder;
    if (m.yes)
        ask_nobody();
    if (import_users_read(m.kubeconfig, &m.users, &why) < 0)
        r = output_fail(why.code, why.detail);
    if (r == 0)
        r = choose(&m);
    if (r == 0 && m.chosen)
        r = import_chosen(&m);
    import_plan_clear(&m.plan);
    profile_draft_free(m.draft);
    if (m.secret)
        explicit_bzero(m.secret, SECRET_FORM_ROOM);
    import_users_clear(&m.users);
    return output_done(r);
}
