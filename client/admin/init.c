/* kubetoken init: asks for what a profile needs, tries it, and writes it. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/ask.h"
#include "client/admin/child.h"
#include "client/admin/commands.h"
#include "client/admin/config_text.h"
#include "client/admin/draft.h"
#include "client/admin/grant_choice.h"
#include "client/admin/issuer.h"
#include "client/admin/kubeconfig_write.h"
#include "client/admin/password_keep.h"
#include "client/admin/profile_draft.h"
#include "client/admin/profile_undo.h"
#include "client/conversation.h"
#include "client/help.h"
#include "client/locked.h"
#include "client/options.h"
#include "client/output.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/secret_form.h"
#include "common/specifiers.h"
#include "common/text.h"
#include "common/time.h"
#include "common/url.h"
#include "common/wrap.h"

enum { VALUE_MAX = 4096, WORDS_MAX = 600 };

struct init {
    const char *profile; /* as it was named, or NULL */
    char name[PROTOCOL_NAME_MAX + 1];
    struct profile_draft *draft;
    struct config_settings defaults; /* what the profile has without saying it */
    struct config_settings before;   /* of the profile that is to be replaced */
    bool there;                      /* it is */
    struct provider_offers offers;   /* once the provider was asked */
    enum grant_choice grant;
    bool no_user;            /* login asks for user name and password */
    enum password_keep keep; /* PASSWORD_KEEP_MAX: not said */
    char *secret;            /* SECRET_FORM_ROOM of locked memory */
    size_t length;           /* of the password in it, 0: none was typed */
    bool client_secret_on_stdin;
    bool yes, force, no_verify, no_kubeconfig, undo;
    bool details; /* another option than those two */
    const char *context, *kubeconfig;
};

/* ---- the command line ------------------------------------------------------------------------ */

static bool is_among(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (text_equal(word, *words))
            return true;
    return false;
}

/* A path of the command line counts from here, one of the configuration from there. */
static int set_path(struct init *in, const char *key, const char *value)
{
    char here[PATH_MAX], path[3 * PATH_MAX];

    if (*value == '/' || strncmp(value, "~/", 2) == 0 || strncmp(value, "%h", 2) == 0) {
        profile_draft_set(in->draft, key, value);
        return 0;
    }
    char *folder = getcwd(here, sizeof here) ? specifiers_escape(here) : NULL;
    if (!folder)
        return output_fail(ERROR_USAGE, "the current folder is gone");
    snprintf(path, sizeof path, "%s/%s", folder, value);
    free(folder);
    profile_draft_set(in->draft, key, path);
    return 0;
}

/* argv is open to all users of the machine. */
static int refuse_secret(const char *key, const char *instead)
{
    char text[WORDS_MAX];

    snprintf(text, sizeof text, "--set takes no %s: everybody sees a command line; %s", key,
             instead);
    return output_fail(ERROR_USAGE, text);
}

static int set_key(struct init *in, const char *setting)
{
    static const char *const paths[] = { "ca-file",        "tls-client-cert",
                                         "tls-client-key", "client-secret-file",
                                         "password-file",  NULL };
    const char *equals = strchr(setting, '=');
    char key[64];

    if (!equals || equals == setting || !equals[1] || equals - setting >= (int)sizeof key)
        return output_fail(ERROR_USAGE, "--set wants KEY=VALUE, with a key of kubetoken.conf(5)");
    snprintf(key, sizeof key, "%.*s", (int)(equals - setting), setting);
    if (text_equal(key, "client-secret"))
        return refuse_secret(key, "use --client-secret-file");
    if (text_equal(key, "password"))
        return refuse_secret(key, "use --password-file, or give it on stdin");
    if (strchr(equals, '@') && (text_equal(key, "proxy") || strstr(equals, "://")))
        return refuse_secret("URL with a user in it", "write that into kubetoken.conf by hand");
    if (text_equal(key, "default-profile"))
        return output_fail(ERROR_USAGE, "default-profile is no key of a profile");
    if (is_among(key, paths))
        return set_path(in, key, equals + 1);
    profile_draft_set(in->draft, key, equals + 1);
    return 0;
}

/* Those that are keys too. */
static int key_option(struct init *in, char **argv, int *i, bool *ret_taken, bool *missing)
{
    static const char *const keys[] = {
        "issuer",   "client-id", "client-auth",    "username",         "realm",
        "audience", "scope",     "username-claim", "password-command", "password-credential",
        "grant",    "from",      "token-command"
    };
    static const char *const paths[] = { "client-secret-file", "password-file", "ca-file" };
    const char *value;

    *ret_taken = true;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        if ((value = options_value(argv, i, keys[k], 0, missing))) {
            profile_draft_set(in->draft, keys[k], value);
            return 0;
        }
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
        if ((value = options_value(argv, i, paths[k], 0, missing))) {
            in->client_secret_on_stdin |= k == 0 && text_equal(value, "-");
            return k == 0 && text_equal(value, "-") ? 0 : set_path(in, paths[k], value);
        }
    *ret_taken = false;
    return 0;
}

static int take_keep(struct init *in, const char *value)
{
    in->keep = password_keep_from_name(value);
    return in->keep < PASSWORD_KEEP_MAX
               ? 0
               : output_fail(ERROR_USAGE,
                             "--keep-password takes prompt, file, secret-tool, pass or "
                             "credential");
}

static int flag_option(struct init *in, const char *arg)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = { { "--yes", &in->yes },
                  { "--force", &in->force },
                  { "--no-verify", &in->no_verify },
                  { "--no-kubeconfig", &in->no_kubeconfig },
                  { "--undo", &in->undo } };

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (text_equal(arg, flags[i].name)) {
            *flags[i].flag = true;
            in->details |= flags[i].flag != &in->yes && flags[i].flag != &in->undo;
            return 0;
        }
    return *arg == '-' ? help_unknown_option("init", arg) : options_take_profile(arg, &in->profile);
}

/* Those that are no keys. */
static int other_option(struct init *in, char **argv, int *i, bool missing)
{
    const char *value;

    if ((value = options_value(argv, i, "keep-password", 0, &missing))) {
        in->details = true;
        return take_keep(in, value);
    }
    if ((value = options_value(argv, i, "context", 0, &missing))) {
        in->context = value;
        return 0;
    }
    if ((value = options_value(argv, i, "kubeconfig", 0, &missing))) {
        in->kubeconfig = value;
        return 0;
    }
    return missing ? help_value_missing(argv[*i]) : flag_option(in, argv[*i]);
}

static int one_option(struct init *in, char **argv, int *i)
{
    const char *value;
    bool missing = false, taken;

    int r = key_option(in, argv, i, &taken, &missing);
    in->details |= taken;
    if (taken)
        return r;
    if (!(value = options_value(argv, i, "set", 0, &missing)))
        return other_option(in, argv, i, missing);
    in->details = true;
    return set_key(in, value);
}

/* Whether one of these says where the password comes from. */
static bool names_password(const struct config_settings *settings)
{
    for (size_t i = 0; i < settings->n; i++)
        if (draft_is_password(settings->list[i].key))
            return true;
    return false;
}

/* Another grant takes neither a user nor a password. */
static int check_grant(const struct init *in)
{
    const struct config_settings none = { 0 };
    char words[GRANT_CHOICE_WORDS];

    if (!grant_choice_check(&in->draft->settings, words))
        return output_fail(ERROR_USAGE, words);
    if (in->keep < PASSWORD_KEEP_MAX && grant_choice_given(&in->draft->settings) &&
        grant_choice_of(&in->draft->settings, &none) != GRANT_CHOICE_PASSWORD)
        return output_fail(ERROR_USAGE, "--keep-password belongs to the password grant");
    return 0;
}

static int check_options(const struct init *in)
{
    struct error why;

    if (in->undo && (in->details || in->context || in->kubeconfig))
        return output_fail(ERROR_USAGE, "--undo goes with --yes alone");
    if (in->undo && !in->yes && !ask_somebody())
        return output_fail(ERROR_USAGE, "nobody is there to be asked: give --yes");
    if (in->keep < PASSWORD_KEEP_MAX && names_password(&in->draft->settings))
        return output_fail(ERROR_USAGE, "--keep-password is for a password that is typed, and "
                                        "another option says where it comes from");
    if (in->keep < PASSWORD_KEEP_MAX && !password_keep_is_there(in->keep, &why))
        return output_fail(why.code, why.detail);
    if (in->no_kubeconfig && (in->context || in->kubeconfig))
        return output_fail(ERROR_USAGE, "--no-kubeconfig goes with neither --context nor "
                                        "--kubeconfig");
    if (in->client_secret_on_stdin && profile_draft_get(in->draft, "client-secret-file"))
        return output_fail(ERROR_USAGE, "--client-secret-file is given twice");
    int r = check_grant(in);
    return r ? r : options_check_profile(in->profile);
}

/* The name is asked for later, where it is not given: until then the draft has another. */
static int parse(int argc, char **argv, struct init *in)
{
    bool only_names = false;
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++)
        if (only_names)
            r = options_take_profile(argv[i], &in->profile);
        else if (!(only_names = text_equal(argv[i], "--")))
            r = one_option(in, argv, &i);
    return r ? r : check_options(in);
}

/* ---- questions ------------------------------------------------------------------------------- */

static int say_stopped(int r, const char *flag)
{
    char text[WORDS_MAX];

    if (r == -ECANCELED)
        return output_fail(ERROR_USAGE, "the input has ended; nothing is written");
    if (r == -E2BIG)
        return output_fail(ERROR_USAGE, "the answer is too long");
    if (r == -EILSEQ)
        return output_fail(ERROR_USAGE, "the answer holds a NUL byte");
    snprintf(text, sizeof text, "nobody is there to be asked: give %s", flag);
    return output_fail(ERROR_USAGE, text);
}

static const char *preset_of(const struct init *in, const char *key)
{
    const char *value = config_settings_get(&in->before, key);

    return value ? value : config_settings_get(&in->defaults, key);
}

/* What [defaults] says already is not said again. */
static void take_answer(struct init *in, const char *key, const char *value)
{
    const char *known = config_settings_get(&in->defaults, key);

    if (!known || !text_equal(known, value))
        profile_draft_set(in->draft, key, value);
}

/* Whether the key has to be asked for: it is not given, nor known where nobody is to be asked. */
static bool is_open(const struct init *in, const char *key)
{
    return !profile_draft_get(in->draft, key) &&
           (ask_somebody() || !config_settings_get(&in->defaults, key));
}

static int ask_key(struct init *in, const char *key, const char *question, bool by_stdin)
{
    char value[VALUE_MAX], flag[80];
    const char *preset = preset_of(in, key);
    int r = -ENODATA;

    if (!is_open(in, key))
        return 0;
    if (ask_somebody() || (by_stdin && !isatty(STDIN_FILENO)))
        while ((r = ask_line(question, preset, value, sizeof value)) == -ENODATA && ask_somebody())
            ;
    snprintf(flag, sizeof flag, "--%s%s", key, by_stdin ? ", or a line on stdin" : "");
    if (r < 0)
        return say_stopped(r, flag);
    take_answer(in, key, value);
    return 0;
}

/* ---- the issuer ------------------------------------------------------------------------------ */

static void say(const char *text)
{
    wrap_print(stdout, text, 0, 0, output_columns());
}

static void set_issuer(struct init *in, const char *issuer)
{
    profile_draft_set(in->draft, "issuer", issuer);
}

/* Asks the provider by that name, and where it calls itself otherwise by its final slash alone, by
 * that. */
static enum error_code look_for(struct init *in, struct error *why)
{
    char other[VALUE_MAX], text[VALUE_MAX + 100];
    const char *issuer = profile_draft_get(in->draft, "issuer");
    struct error ignored;

    enum error_code code = profile_draft_discover(in->draft, &in->offers, why);
    if (code != ERROR_ISSUER_MISMATCH || !issuer ||
        issuer_with_other_slash(issuer, other, sizeof other) < 0)
        return code;
    char *given = strdup(issuer);
    set_issuer(in, other);
    if (profile_draft_discover(in->draft, &in->offers, &ignored) == ERROR_ISSUER_MISMATCH) {
        set_issuer(in, given ? given : other);
    } else {
        snprintf(text, sizeof text,
                 "The provider calls itself %s, with%s a slash at its end: so "
                 "it is written.",
                 other, other[strlen(other) - 1] == '/' ? "" : "out");
        say(text);
        code = ERROR_NONE;
    }
    free(given);
    return code;
}

static void print_error(enum error_code code, const char *detail)
{
    char text[2 * ERROR_DETAIL_MAX];

    int n = snprintf(text, sizeof text, "kubetoken: ");
    error_text(text + n, sizeof text - (size_t)n, code, detail);
    fflush(stdout);
    if (isatty(STDERR_FILENO))
        wrap_remedy(stderr, text, 0, 4, output_columns());
    else
        fprintf(stderr, "%s\n", text);
}

/* What was given, as it is meant. */
static int put_right(struct init *in)
{
    char issuer[VALUE_MAX];
    const char *given = profile_draft_get(in->draft, "issuer");

    if (!given)
        return 0;
    if (issuer_from(given, issuer, sizeof issuer) < 0)
        return output_fail(ERROR_USAGE, "the issuer is too long");
    if (!text_equal(issuer, given)) {
        char text[VALUE_MAX + 40];
        snprintf(text, sizeof text, "The issuer is %s.", issuer);
        say(text);
    }
    set_issuer(in, issuer);
    return 0;
}

/* A provider with a CA of its own. Returns whether there is something else to be tried. */
static bool ask_ca_file(struct init *in)
{
    char path[VALUE_MAX];

    if (profile_draft_get(in->draft, "ca-file") ||
        ask_line("File with the provider's CA (PEM), empty for another issuer", "", path,
                 sizeof path) < 0 ||
        !*path)
        return false;
    return set_path(in, "ca-file", path) == 0;
}

/* Plain http is for a provider on this machine alone, and said once more. */
static void ask_for_http(struct init *in)
{
    const char *issuer = profile_draft_get(in->draft, "issuer");

    if (issuer && url_is_loopback_http(issuer) &&
        !profile_draft_get(in->draft, "allow-http-loopback") && ask_somebody() &&
        ask_yes("Plain http, to this machine itself: allow it (allow-http-loopback)?", false))
        profile_draft_set(in->draft, "allow-http-loopback", "yes");
}

/* Whether there is that provider. What is wrong has been said. Returns the exit code. */
static int check_issuer(struct init *in)
{
    struct error why;

    ask_for_http(in);
    int r = profile_draft_check_way(in->draft);
    if (r || in->no_verify)
        return r;
    enum error_code code = look_for(in, &why);
    if (code == ERROR_TLS && ask_somebody()) {
        print_error(code, why.detail);
        if (!ask_ca_file(in))
            return error_exit_code(code);
        code = look_for(in, &why);
    }
    if (code != ERROR_NONE)
        print_error(code, why.detail);
    return error_exit_code(code);
}

static int find_issuer(struct init *in)
{
    bool given = profile_draft_get(in->draft, "issuer") != NULL;
    int r, bad;

    do {
        r = ask_key(in, "issuer", "Issuer (the provider's URL)", false);
        if (r == 0)
            r = put_right(in);
        bad = r == 0 ? check_issuer(in) : 0;
        if (bad && !given && ask_somebody())
            profile_draft_set(in->draft, "issuer", NULL);
        else if (r == 0)
            return bad;
    } while (r == 0);
    return r;
}

/* ---- the grant ------------------------------------------------------------------------------- */

/* Whether who calls has the password grant in mind. */
static bool names_user(const struct init *in)
{
    return in->keep < PASSWORD_KEEP_MAX || names_password(&in->draft->settings) ||
           names_password(&in->defaults) || profile_draft_get(in->draft, "username") ||
           config_settings_get(&in->defaults, "username");
}

/* What the profile had before, where a person replaces it. */
static void take_former_grant(struct init *in)
{
    static const char *const keys[] = { "grant", "from", "token-command" };

    for (size_t i = 0; i < sizeof keys / sizeof *keys && ask_somebody() && !names_user(in); i++)
        if (config_settings_get(&in->before, keys[i]))
            profile_draft_set(in->draft, keys[i], config_settings_get(&in->before, keys[i]));
}

/* The best that the provider has; a person may want another. */
static enum grant_choice propose(const struct init *in)
{
    enum grant_choice best = grant_choice_best(&in->offers);

    if (best != GRANT_CHOICE_DEVICE || names_user(in))
        return GRANT_CHOICE_PASSWORD;
    say("The provider does not list the password grant, and it has the device grant: a login is "
        "confirmed in a browser, of any machine.");
    return ask_yes("Log in so (grant = device)?", true) ? best : GRANT_CHOICE_PASSWORD;
}

/* One that nobody could log in by. */
static int check_device_endpoint(const struct init *in)
{
    if (in->grant != GRANT_CHOICE_DEVICE || !in->offers.known || in->offers.device_endpoint ||
        profile_draft_get(in->draft, "device-authorization-endpoint") ||
        config_settings_get(&in->defaults, "device-authorization-endpoint"))
        return 0;
    return output_fail(ERROR_NO_DEVICE_LOGIN,
                       "where there is one all the same, --set device-authorization-endpoint=URL");
}

static int find_grant(struct init *in)
{
    char words[GRANT_CHOICE_WORDS];

    if (!grant_choice_given(&in->draft->settings))
        take_former_grant(in);
    in->grant = grant_choice_of(&in->draft->settings, &in->defaults);
    if (!grant_choice_given(&in->draft->settings) && !grant_choice_given(&in->defaults)) {
        in->grant = propose(in);
        if (in->grant == GRANT_CHOICE_DEVICE)
            profile_draft_set(in->draft, "grant", "device");
    }
    grant_choice_remark(in->grant, &in->offers, words);
    if (*words)
        say(words);
    return check_device_endpoint(in);
}

/* ---- secrets --------------------------------------------------------------------------------- */

static int complain(const char *what, const struct secret_form *form)
{
    char words[SECRET_FORM_WORDS], text[WORDS_MAX];

    secret_form_words(form, words);
    snprintf(text, sizeof text, "the %s %s", what, words);
    return output_fail(form->fault == SECRET_FORM_EMPTY || form->fault == SECRET_FORM_TOO_LONG
                           ? ERROR_USAGE
                           : ERROR_CREDENTIAL,
                       text);
}

/* Reads one into in->secret. Returns 0 with its length (0: there is none), or the exit code. */
static int read_secret(struct init *in, const char *question, const char *what, size_t *ret_length)
{
    if (!in->secret)
        in->secret = locked_memory(SECRET_FORM_ROOM);
    *ret_length = 0;
    for (;;) {
        int r = ask_secret(question, in->secret, SECRET_FORM_ROOM);
        if (r == -ENODATA)
            return 0;
        if (r < 0)
            return say_stopped(r, "it on stdin");
        const struct secret_form form = secret_form_judge(in->secret, strlen(in->secret));
        *ret_length = form.length;
        if (form.fault == SECRET_FORM_GOOD)
            return 0;
        r = complain(what, &form);
        if (!ask_somebody())
            return r;
    }
}

static void wipe(struct init *in)
{
    if (in->secret)
        explicit_bzero(in->secret, SECRET_FORM_ROOM);
    in->length = 0;
}

static const char *client_secret_key(const struct config_settings *settings)
{
    for (size_t i = 0; i < settings->n; i++)
        if (strncmp(settings->list[i].key, "client-secret", sizeof "client-secret" - 1) == 0)
            return settings->list[i].key;
    return NULL;
}

static bool has_client_secret(const struct init *in)
{
    static const char *const keys[] = { "client-secret-file", "client-secret-command",
                                        "client-secret-credential" };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (profile_draft_get(in->draft, keys[i]))
            return true;
    return client_secret_key(&in->defaults) != NULL;
}

/* One that is typed becomes a file beside the configuration. */
static int find_client_secret(struct init *in)
{
    const char *auth = profile_draft_get(in->draft, "client-auth");
    const char *before = client_secret_key(&in->before);
    size_t length;
    int r;

    if (has_client_secret(in) || (!in->client_secret_on_stdin && !ask_somebody()) ||
        (auth && text_equal(auth, "none")) || in->grant == GRANT_CHOICE_COMMAND)
        return 0;
    r = read_secret(in,
                    before ? "Client secret (not shown; empty: as it is)"
                           : "Client secret (not shown; empty for a public client)",
                    "client secret", &length);
    if (r == 0 && length > 0)
        profile_draft_add_file(in->draft, "client-secret-file", "client-secret", in->secret,
                               length);
    else if (r == 0 && before)
        profile_draft_set(in->draft, before, config_settings_get(&in->before, before));
    else if (r == 0 && in->client_secret_on_stdin)
        r = output_fail(ERROR_USAGE, "there is no client secret on stdin");
    wipe(in);
    return r;
}

/* ---- the user -------------------------------------------------------------------------------- */

static int choose_keep(struct init *in)
{
    int r = password_keep_choose(in->name, &in->keep);

    return r < 0 ? say_stopped(r, "--keep-password") : 0;
}

/* Whether a password is to be read: nobody says where it comes from. */
static bool needs_password(const struct init *in)
{
    return in->grant == GRANT_CHOICE_PASSWORD && !names_password(&in->draft->settings) &&
           !names_password(&in->defaults);
}

/* Whether a token comes only once somebody has logged in, for which nothing is known now. */
static bool waits_for_login(const struct init *in)
{
    return in->no_user || in->grant == GRANT_CHOICE_DEVICE ||
           in->grant == GRANT_CHOICE_REFRESH_TOKEN || in->grant == GRANT_CHOICE_EXCHANGE;
}

/* Whether that of a typed password may be missing: it is typed too, at each login. */
static bool may_lack_user(const struct init *in)
{
    return needs_password(in) &&
           (in->keep == PASSWORD_KEEP_MAX || in->keep == PASSWORD_KEEP_PROMPT);
}

static int ask_user(struct init *in)
{
    char value[VALUE_MAX];
    const char *preset = preset_of(in, "username");
    int r = -ENODATA;

    if (!may_lack_user(in))
        return ask_key(in, "username", "User name at the provider", true);
    if (!is_open(in, "username"))
        return 0;
    if (ask_somebody())
        r = ask_line(preset ? "User name at the provider"
                            : "User name at the provider (empty: login asks)",
                     preset, value, sizeof value);
    else if (!isatty(STDIN_FILENO))
        r = ask_line("", NULL, value, sizeof value);
    if (r == -ENODATA || (r == -ECANCELED && !ask_somebody()))
        in->no_user = true;
    else if (r < 0)
        return say_stopped(r, "--username, or a line on stdin");
    else
        take_answer(in, "username", value);
    return 0;
}

static int ask_password(struct init *in)
{
    char question[VALUE_MAX + 40], letter;
    const char *user = profile_draft_get(in->draft, "username");
    int error;

    user = user ? user : config_settings_get(&in->defaults, "username");
    char *name = specifiers_expand(user, &error, &letter);
    snprintf(question, sizeof question, "Password of %s", name ? name : user);
    free(name);
    int r = read_secret(in, question, "password", &in->length);
    if (r == 0 && in->length == 0)
        r = output_fail(ERROR_USAGE,
                        ask_somebody()
                            ? "there is no password; nothing is written"
                            : "there is no password on stdin: give it there, or name its source by "
                              "--password-file, --password-command or --password-credential");
    if (r == 0)
        profile_draft_set_password(in->draft, in->secret, in->length);
    return r;
}

static int find_user(struct init *in)
{
    int r = in->grant == GRANT_CHOICE_PASSWORD ? ask_user(in) : 0;

    if (r || !needs_password(in))
        return r;
    if (in->keep == PASSWORD_KEEP_MAX && ask_somebody() && !in->no_user)
        r = choose_keep(in);
    if (in->keep == PASSWORD_KEEP_MAX)
        in->keep = PASSWORD_KEEP_PROMPT;
    password_keep_set(in->keep, in->name, in->draft);
    return r;
}

/* ---- what is there --------------------------------------------------------------------------- */

static int refuse_to_replace(const struct init *in)
{
    char text[WORDS_MAX], path[PATH_MAX];

    snprintf(text, sizeof text,
             "[profile %s] is there already, with other settings, in %.150s; "
             "--force replaces it",
             in->name, draft_config_name(path));
    return output_fail(ERROR_USAGE, text);
}

/* A person is not asked ten things for nothing. */
static int look_before_asking(struct init *in)
{
    in->there = profile_draft_before(in->draft, &in->before, &in->defaults);
    bool asks = ask_somebody() &&
                (is_open(in, "issuer") || is_open(in, "client-id") ||
                 (!grant_choice_given(&in->draft->settings) && is_open(in, "username")));
    if (in->there && !in->force && asks)
        return refuse_to_replace(in);
    if (!in->force)
        config_settings_clear(&in->before);
    return 0;
}

static bool is_same_at_last(const struct init *in)
{
    return profile_draft_look(in->draft) == PROFILE_DRAFT_SAME &&
           (in->keep == PASSWORD_KEEP_MAX || in->keep <= PASSWORD_KEEP_FILE ||
            password_keep_look(in->keep, in->name, in->secret, in->length) == PASSWORD_KEEP_SAME);
}

/* ---- the trial ------------------------------------------------------------------------------- */

static bool may_be_mistyped(enum error_code code)
{
    return code == ERROR_REFUSED || code == ERROR_REFUSED_SILENTLY || code == ERROR_ACCESS_DENIED;
}

/* What systemd gives to the service alone cannot be tried by a daemon of ours. */
static int check_credentials(const struct init *in)
{
    if (getenv("CREDENTIALS_DIRECTORY") || (!profile_draft_get(in->draft, "password-credential") &&
                                            !profile_draft_get(in->draft, "client-secret-"
                                                                          "credential")))
        return 0;
    return output_fail(ERROR_USAGE, "a systemd credential can be read by the service alone: write "
                                    "it with --no-verify, and try it with kubetoken doctor");
}

/* One login each time that a person types the password. */
static int verify(struct init *in)
{
    int bad = check_credentials(in);

    if (bad)
        return bad;
    for (;;) {
        char text[VALUE_MAX + 40];
        const char *issuer = profile_draft_get(in->draft, "issuer");
        snprintf(text, sizeof text,
                 in->grant == GRANT_CHOICE_COMMAND
                     ? "Trying it: what the command prints is checked by the keys of %s ..."
                     : "Trying it, with one login at %s ...",
                 issuer ? issuer : config_settings_get(&in->defaults, "issuer"));
        say(text);
        int r = profile_draft_try(in->draft);
        if (r == 0)
            return 0;
        if (in->length == 0 || !ask_somebody() || !may_be_mistyped(profile_draft_trial_error())) {
            say("Nothing is written.");
            return r;
        }
        say("Once more, or ^C to leave it. Each counts at the provider, which may lock the "
            "account.");
        r = ask_password(in);
        if (r)
            return r;
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

static int write_profile(struct init *in)
{
    char text[WORDS_MAX], path[PATH_MAX];

    if (in->keep < PASSWORD_KEEP_MAX && in->length > 0 && !in->force &&
        password_keep_look(in->keep, in->name, in->secret, in->length) == PASSWORD_KEEP_ANOTHER) {
        snprintf(text, sizeof text,
                 "%s has another password for kubetoken and %s; --force "
                 "replaces it",
                 password_keep_name(in->keep), in->name);
        return output_fail(ERROR_USAGE, text);
    }
    int r = password_keep_write(in->keep, in->name, in->secret, in->length, in->draft, in->force);
    wipe(in);
    if (r)
        return r;
    snprintf(text, sizeof text, "Written: [profile %s] in %.200s.", in->name,
             draft_config_name(path));
    say(text);
    return 0;
}

/* A second profile may leave commands without a name. */
static void tell_default(void)
{
    struct line line = { .may_be_absent = true };
    char answer[256];

    line_add(&line, "profile * *");
    if (conversation_ask(&line, 5 * USEC_PER_SEC, answer, sizeof answer) == ERROR_NO_DEFAULT)
        say("There are several profiles now: commands want its name, or default-profile in "
            "[defaults].");
}

static int hand_over(struct init *in)
{
    char text[WORDS_MAX];

    fflush(stdout);
    int r = profile_draft_hand_over(in->draft);
    if (needs_password(in) && in->length == 0 && in->no_verify && !in->no_user) {
        snprintf(text, sizeof text, "kubetoken login %s hands its password to the daemon.",
                 in->name);
        say(text);
    }
    tell_default();
    return r;
}

/* ---- behind it ------------------------------------------------------------------------------- */

/* The context that kubectl uses, "" where there is none. */
static void current_context(const struct init *in, char *out, size_t size)
{
    const char *file = in->kubeconfig ? "--kubeconfig" : NULL;
    const char *argv[] = { "kubectl", "config", "current-context", file, in->kubeconfig, NULL };
    struct child child;

    child_run(argv, 10 * USEC_PER_SEC, &child);
    snprintf(out, size, "%.*s", child.exit_code == 0 ? (int)strcspn(child.out, "\n") : 0,
             child.out);
    child_clear(&child);
}

static int offer_kubeconfig(struct init *in, const char *folder)
{
    char context[256], question[400];
    struct kubeconfig_wish wish = { .profile = in->name,
                                    .context = in->context,
                                    .file = in->kubeconfig,
                                    .folder = folder,
                                    .force = in->force };

    if (in->no_kubeconfig)
        return 0;
    if (!in->context && ask_somebody()) {
        current_context(in, context, sizeof context);
        if (*context)
            snprintf(question, sizeof question,
                     "Have kubectl's context %s use it (kubeconfig --write)?", context);
        else
            snprintf(question, sizeof question, "Add it to the kubeconfig (kubeconfig --write)?");
        if (!ask_yes(question, true))
            return 0;
        wish.context = *context ? context : NULL;
    }
    fflush(stdout);
    return kubeconfig_write(&wish);
}

static void run_doctor(const struct init *in, const char *folder)
{
    char *argv[] = { (char[]){ "doctor" }, (char[]){ "--" }, (char *)(uintptr_t)in->name, NULL };

    say("\nEvery link from here to the API server (kubetoken doctor):");
    fflush(stdout);
    doctor_run(3, argv, folder);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int find_name(struct init *in)
{
    const char *name = in->profile;
    char answer[PROTOCOL_NAME_MAX + 2];

    while (!name) {
        int r = ask_somebody() ? ask_line("Name of the profile", "default", answer, sizeof answer)
                               : 0;
        if (r == -ECANCELED)
            return say_stopped(r, "");
        if (!ask_somebody())
            name = "default";
        else if (r == 0 && protocol_name_valid(answer, strlen(answer)))
            name = answer;
        else
            say("1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    snprintf(in->name, sizeof in->name, "%s", name);
    profile_draft_rename(in->draft, in->name);
    return 0;
}

static int find_all(struct init *in)
{
    int r = find_name(in);

    if (r == 0)
        r = look_before_asking(in);
    if (r == 0)
        r = find_issuer(in);
    if (r == 0)
        r = find_grant(in);
    if (r == 0)
        r = ask_key(in, "client-id", "Client id", false);
    if (r == 0)
        r = find_client_secret(in);
    if (r == 0)
        r = find_user(in);
    return r;
}

static int say_unchanged(const struct init *in)
{
    char text[WORDS_MAX], path[PATH_MAX];

    snprintf(text, sizeof text,
             "[profile %s] in %.200s says just that already: nothing is "
             "changed.",
             in->name, draft_config_name(path));
    say(text);
    return 0;
}

/* The password, where it matters: not for a profile that is there already and has none. */
static int complete(struct init *in, bool *ret_same)
{
    bool keys_same = profile_draft_look_keys(in->draft) == PROFILE_DRAFT_SAME;
    bool typed = in->keep < PASSWORD_KEEP_MAX;

    *ret_same = false;
    if (in->there && !keys_same && !in->force)
        return refuse_to_replace(in);
    int r = profile_draft_check(in->draft);
    if (r)
        return r;
    if (waits_for_login(in) ||
        (typed && in->keep == PASSWORD_KEEP_PROMPT && (keys_same || in->no_verify))) {
        *ret_same = is_same_at_last(in);
        return 0;
    }
    if (typed)
        r = ask_password(in);
    if (r == 0 && in->keep == PASSWORD_KEEP_FILE)
        profile_draft_add_file(in->draft, "password-file", "password", in->secret, in->length);
    if (r == 0)
        *ret_same = is_same_at_last(in);
    if (r == 0 && !*ret_same && keys_same && !in->force &&
        profile_draft_look(in->draft) == PROFILE_DRAFT_ANOTHER)
        r = refuse_to_replace(in);
    return r;
}

/* What only a person can do. */
static void say_next(const struct init *in)
{
    char words[GRANT_CHOICE_WORDS];
    const char *from = profile_draft_get(in->draft, "from");

    grant_choice_next(in->grant, in->name, from ? from : config_settings_get(&in->defaults, "from"),
                      words);
    say(words);
}

/* What comes behind it is done also where a part of it fails: the profile is there. */
static int go_on(struct init *in, bool same, const char *folder)
{
    int r = same ? 0 : hand_over(in);
    int edited = offer_kubeconfig(in, folder);

    if (!same && !in->no_verify && (!waits_for_login(in) || in->grant == GRANT_CHOICE_EXCHANGE))
        run_doctor(in, folder);
    if (!same && waits_for_login(in))
        say_next(in);
    return r ? r : edited;
}

static int run(struct init *in, const char *folder)
{
    bool same = false;

    int r = profile_draft_check(NULL);
    if (r)
        return r;
    if (ask_somebody())
        say("A profile for kubetoken. Enter takes what stands in brackets; ^C leaves nothing "
            "behind.");
    r = find_all(in);
    if (r == 0)
        r = complete(in, &same);
    if (r == 0 && !same && !in->no_verify && !waits_for_login(in))
        r = verify(in);
    if (r == 0)
        r = same ? say_unchanged(in) : write_profile(in);
    return r ? r : go_on(in, same, folder);
}

int init_run(int argc, char **argv, const char *folder)
{
    static struct init in = { .keep = PASSWORD_KEEP_MAX };

    in.draft = profile_draft_new("default");
    if (!in.draft)
        return output_fail_for_memory();
    int r = parse(argc, argv, &in);
    if (r == 0 && in.yes)
        ask_nobody();
    if (r == 0)
        r = in.undo ? profile_undo(in.profile) : run(&in, folder);
    wipe(&in);
    profile_draft_free(in.draft);
    config_settings_clear(&in.defaults);
    config_settings_clear(&in.before);
    return r ? r : output_done(0);
}
