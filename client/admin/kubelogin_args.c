#define _GNU_SOURCE
#include "client/admin/kubelogin_args.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"

enum { WORDS_MAX = 256, MOUNTS_MAX = 32 };

/* What the stanza runs, in the making. */
struct reading {
    struct import_plan *plan;
    const char *home;
    const char *words[WORDS_MAX]; /* the arguments */
    unsigned n;
    bool in_container;
    const char *mounts[MOUNTS_MAX]; /* HOST:CONTAINER[:OPTIONS] */
    unsigned n_mounts;
    const char *https_proxy, *http_proxy, *no_proxy, *roots; /* of the environment */
    char grant[32];
    bool has_username;
};

/* ---- the program ----------------------------------------------------------------------------- */

/* The name of a program without its folder, as either system writes it, and without .exe. */
static void program_name(const char *path, char *out, size_t size)
{
    for (const char *at = path; *at; at++)
        if (*at == '/' || *at == '\\')
            path = at + 1;
    snprintf(out, size, "%s", path);
    size_t length = strlen(out);
    if (length > 4 && strcasecmp(out + length - 4, ".exe") == 0)
        out[length - 4] = '\0';
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* A name that kubelogin is installed by: its own, that of krew, that of a plugin of kubectl; those
 * of the archives have system and processor behind it. */
static bool is_kubelogin(const char *name)
{
    return begins(name, "kubelogin") || begins(name, "kubectl-oidc_login") ||
           begins(name, "kubectl-oidc-login") || text_equal(name, "oidc-login") ||
           text_equal(name, "oidc_login");
}

static bool is_kubectl(const char *name)
{
    return text_equal(name, "kubectl") || begins(name, "kubectl.") || begins(name, "kubectl-1") ||
           text_equal(name, "kubectl_");
}

static bool runs_containers(const char *name)
{
    return text_equal(name, "docker") || text_equal(name, "podman") || text_equal(name, "nerdctl");
}

/* The name of the image, whatever registry, tag and digest stand around it. */
static bool is_image(const char *word)
{
    const char *at = strstr(word, "kubelogin");

    if (!at || *word == '-' || strchr(word, '=') || (at > word && at[-1] != '/'))
        return false;
    at += strlen("kubelogin");
    return *at == '\0' || *at == ':' || *at == '@';
}

static void take_words(struct reading *r, const cJSON *args)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, args) {
        const char *word = cJSON_GetStringValue(item);
        if (word && r->n < WORDS_MAX)
            r->words[r->n++] = word;
        else
            import_plan_refuse(r->plan,
                               word ? "it has too many arguments" : "an argument of it is no text");
    }
}

static void drop_words(struct reading *r, unsigned from, unsigned n)
{
    memmove(r->words + from, r->words + from + n, (r->n - from - n) * sizeof *r->words);
    r->n -= n;
}

/* ---- its environment ------------------------------------------------------------------------- */

static void take_variable(struct reading *r, const char *name, const char *value)
{
    if (!value)
        return;
    if (strcasecmp(name, "https_proxy") == 0)
        r->https_proxy = value;
    else if (strcasecmp(name, "http_proxy") == 0)
        r->http_proxy = value;
    else if (strcasecmp(name, "no_proxy") == 0)
        r->no_proxy = value;
    else if (text_equal(name, "SSL_CERT_FILE"))
        r->roots = value;
    else if (text_equal(name, "SSL_CERT_DIR"))
        import_plan_note(r->plan, "SSL_CERT_DIR is left out; set ca-file where the system's "
                                  "certificates are not enough");
}

static void take_env(struct reading *r, const cJSON *env)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, env) {
        const char *name = import_plan_text(item, "name");
        if (name)
            take_variable(r, name, import_plan_text(item, "value"));
    }
}

/* NAME=VALUE */
static void take_assignment(struct reading *r, const char *word)
{
    char name[64];
    const char *equals = strchr(word, '=');

    if (!equals || (size_t)(equals - word) >= sizeof name)
        return;
    snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
    take_variable(r, name, equals + 1);
}

/* Whether the host is one that goes by no proxy: Go's rules for names. */
static bool goes_direct(const char *list, const char *host)
{
    size_t length = strlen(host);

    while (*(list += strspn(list, ", "))) {
        size_t n = strcspn(list, ", ");
        const char *name = list + (n > 1 && list[0] == '*' && list[1] == '.');
        size_t rest = n - (size_t)(name - list);
        list += n;
        if (rest == 1 && *name == '*')
            return true;
        bool below = rest > 0 && *name == '.';
        if (!below && rest == length && strncasecmp(name, host, rest) == 0)
            return true;
        if (rest > 0 && length > rest && strncasecmp(name, host + length - rest, rest) == 0 &&
            (below || host[length - rest - 1] == '.'))
            return true;
    }
    return false;
}

static void take_proxy(struct reading *r)
{
    const char *issuer = r->plan->part[IMPORT_ISSUER];
    const char *proxy = issuer && begins(issuer, "http://") ? r->http_proxy : r->https_proxy;
    char host[256], *whole = NULL;

    if (!issuer || !proxy || !*proxy)
        return;
    const char *from = strstr(issuer, "://");
    from = from ? from + 3 : issuer;
    snprintf(host, sizeof host, "%.*s", (int)strcspn(from, ":/?#"), from);
    if (r->no_proxy && goes_direct(r->no_proxy, host)) {
        import_plan_set(r->plan, IMPORT_PROXY, "none");
        return;
    }
    if (!strstr(proxy, "://") && asprintf(&whole, "http://%s", proxy) < 0)
        return;
    import_plan_set(r->plan, IMPORT_PROXY, whole ? whole : proxy);
    free(whole);
}

/* ---- containers ------------------------------------------------------------------------------ */

/* The options of `run` that stand before the image: what it sees of our files and variables. */
static void take_run_options(struct reading *r, unsigned image)
{
    for (unsigned i = 0; i < image; i++) {
        const char *word = r->words[i], *next = i + 1 < image ? r->words[i + 1] : "";
        const char *mount = text_equal(word, "-v") || text_equal(word, "--volume") ? next
                            : begins(word, "--volume=") ? word + strlen("--volume=")
                                                        : NULL;
        const char *set = text_equal(word, "-e") || text_equal(word, "--env") ? next
                          : begins(word, "--env=") ? word + strlen("--env=")
                                                   : NULL;
        if (mount && r->n_mounts < MOUNTS_MAX)
            r->mounts[r->n_mounts++] = mount;
        if (set)
            take_assignment(r, set);
    }
}

/* A file in the container, as it is out here; false where none of the mounts has it. */
static bool find_outside(const struct reading *r, const char *path, char *out, size_t size)
{
    for (unsigned i = 0; i < r->n_mounts; i++) {
        const char *host = r->mounts[i], *inside = strchr(host, ':');
        if (!inside || *host != '/')
            continue;
        size_t length = strcspn(inside + 1, ":");
        while (length > 1 && inside[length] == '/')
            length--;
        if (strncmp(path, inside + 1, length) == 0 &&
            (path[length] == '/' || path[length] == '\0')) {
            int n = snprintf(out, size, "%.*s%s", (int)(inside - host), host, path + length);
            return (size_t)n < size;
        }
    }
    return false;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* As kubelogin has it: ~ is the home, whatever follows it. */
static void take_ca_file(struct reading *r, const char *path, const char *flag)
{
    char whole[PATH_MAX];

    if (r->in_container) {
        if (find_outside(r, path, whole, sizeof whole))
            import_plan_add_ca_file(r->plan, whole);
        else
            import_plan_refuse(r->plan,
                               "%s %s is a file in the container; mount it, or name it in "
                               "a profile by kubetoken init",
                               flag, path);
        return;
    }
    if (*path != '~') {
        import_plan_add_ca_file(r->plan, path);
        return;
    }
    const char *rest = path + 1 + strspn(path + 1, "/");
    if (!r->home || (size_t)snprintf(whole, sizeof whole, "%s/%s", r->home, rest) >= sizeof whole)
        import_plan_refuse(r->plan, "%s %s: there is no home folder", flag, path);
    else
        import_plan_add_ca_file(r->plan, whole);
}

/* ---- its flags ------------------------------------------------------------------------------- */

enum what {
    TAKE_PART,
    TAKE_SCOPE,
    TAKE_CA_FILE,
    TAKE_CA_DATA,
    TAKE_GRANT,
    TAKE_NAME,
    IGNORE,      /* it is about a browser, a cache or the log: nothing is lost */
    IGNORE_BOOL, /* the same, and it needs no value */
    LEAVE_OUT,   /* it may matter */
    LEAVE_OUT_BOOL,
    REFUSE_BOOL,
    OF_AZURE,
    OF_AZURE_BOOL,
};

static const struct flag {
    const char *name;
    enum what what;
    enum import_part part;
    const char *words; /* why it is refused or left out */
} flags[] = {
    { "oidc-issuer-url", TAKE_PART, IMPORT_ISSUER, NULL },
    { "oidc-client-id", TAKE_PART, IMPORT_CLIENT_ID, NULL },
    { "oidc-client-secret", TAKE_PART, IMPORT_CLIENT_SECRET, NULL },
    { "username", TAKE_NAME, IMPORT_USERNAME, NULL },
    { "password", TAKE_PART, IMPORT_PASSWORD, NULL },
    { "oidc-extra-scope", TAKE_SCOPE, 0, NULL },
    { "certificate-authority", TAKE_CA_FILE, 0, NULL },
    { "certificate-authority-data", TAKE_CA_DATA, 0, NULL },
    { "grant-type", TAKE_GRANT, 0, NULL },
    { "insecure-skip-tls-verify", REFUSE_BOOL, 0,
      "kubetoken always checks who the provider is; name the provider's certificate with "
      "--certificate-authority there instead, and import again" },
    { "oidc-use-access-token", REFUSE_BOOL, 0,
      "kubetoken hands out the id_token alone; see whether the API server takes that "
      "(its --oidc-client-id), take the flag out, and import again" },
    { "oidc-request-header", LEAVE_OUT, 0, "kubetoken sends no headers of one's own" },
    { "oidc-auth-request-extra-params", LEAVE_OUT, 0, "it is sent with a browser's login alone" },
    { "tls-renegotiation-once", LEAVE_OUT_BOOL, 0, "kubetoken's TLS has no renegotiation" },
    { "tls-renegotiation-freely", LEAVE_OUT_BOOL, 0, "kubetoken's TLS has no renegotiation" },
    { "oidc-use-pkce", IGNORE_BOOL, 0, NULL },
    { "oidc-pkce-method", IGNORE, 0, NULL },
    { "oidc-redirect-url", IGNORE, 0, NULL },
    { "oidc-redirect-url-hostname", IGNORE, 0, NULL },
    { "oidc-redirect-url-authcode-keyboard", IGNORE, 0, NULL },
    { "token-cache-dir", IGNORE, 0, NULL },
    { "token-cache-storage", IGNORE, 0, NULL },
    { "force-refresh", IGNORE_BOOL, 0, NULL },
    { "force-keyring", IGNORE_BOOL, 0, NULL },
    { "no-keyring", IGNORE_BOOL, 0, NULL },
    { "listen-address", IGNORE, 0, NULL },
    { "listen-port", IGNORE, 0, NULL },
    { "skip-open-browser", IGNORE_BOOL, 0, NULL },
    { "browser-command", IGNORE, 0, NULL },
    { "authentication-timeout-sec", IGNORE, 0, NULL },
    { "local-server-cert", IGNORE, 0, NULL },
    { "local-server-key", IGNORE, 0, NULL },
    { "open-url-after-authentication", IGNORE, 0, NULL },
    { "v", IGNORE, 0, NULL },
    { "vmodule", IGNORE, 0, NULL },
    { "add_dir_header", IGNORE_BOOL, 0, NULL },
    { "alsologtostderr", IGNORE_BOOL, 0, NULL },
    { "log_backtrace_at", IGNORE, 0, NULL },
    { "log_dir", IGNORE, 0, NULL },
    { "log_file", IGNORE, 0, NULL },
    { "log_file_max_size", IGNORE, 0, NULL },
    { "logtostderr", IGNORE_BOOL, 0, NULL },
    { "one_output", IGNORE_BOOL, 0, NULL },
    { "skip_headers", IGNORE_BOOL, 0, NULL },
    { "skip_log_headers", IGNORE_BOOL, 0, NULL },
    { "stderrthreshold", IGNORE, 0, NULL },
    { "server-id", OF_AZURE, 0, NULL },
    { "login", OF_AZURE, 0, NULL },
    { "l", OF_AZURE, 0, NULL },
    { "tenant-id", OF_AZURE, 0, NULL },
    { "environment", OF_AZURE, 0, NULL },
    { "client-id", OF_AZURE, 0, NULL },
    { "client-secret", OF_AZURE, 0, NULL },
    { "authority-host", OF_AZURE, 0, NULL },
    { "federated-token-file", OF_AZURE, 0, NULL },
    { "legacy", OF_AZURE_BOOL, 0, NULL },
};

static const struct flag *find_flag(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strlen(flags[i].name) == length && memcmp(flags[i].name, name, length) == 0)
            return &flags[i];
    return NULL;
}

static bool needs_value(enum what what)
{
    return what != IGNORE_BOOL && what != LEAVE_OUT_BOOL && what != REFUSE_BOOL &&
           what != OF_AZURE_BOOL;
}

/* As Go's ParseBool() reads it. */
static bool is_false(const char *value)
{
    return text_equal(value, "0") || text_equal(value, "f") || text_equal(value, "F") ||
           text_equal(value, "false") || text_equal(value, "False") || text_equal(value, "FALSE");
}

static void take_flag(struct reading *r, const struct flag *flag, const char *value)
{
    struct import_plan *plan = r->plan;
    char name[48];

    snprintf(name, sizeof name, "--%s", flag->name);
    switch (flag->what) {
    case TAKE_NAME:
        r->has_username = *value;
        import_plan_set(plan, flag->part, value);
        break;
    case TAKE_PART:
        import_plan_set(plan, flag->part, value);
        break;
    case TAKE_SCOPE:
        import_plan_add_scopes(plan, value);
        break;
    case TAKE_CA_FILE:
        take_ca_file(r, value, name);
        break;
    case TAKE_CA_DATA:
        import_plan_add_ca_data(plan, value);
        break;
    case TAKE_GRANT:
        snprintf(r->grant, sizeof r->grant, "%s", value);
        break;
    case LEAVE_OUT_BOOL:
    case LEAVE_OUT:
        if (flag->what == LEAVE_OUT || !is_false(value))
            import_plan_note(plan, "%s is left out: %s", name, flag->words);
        break;
    case REFUSE_BOOL:
        if (!is_false(value))
            import_plan_refuse(plan, "it has %s; %s", name, flag->words);
        break;
    case OF_AZURE:
    case OF_AZURE_BOOL:
        import_plan_refuse(plan,
                           "it runs the kubelogin of Azure (%s), whose logins are others; "
                           "only that of int128 can be imported",
                           name);
        break;
    case IGNORE:
    case IGNORE_BOOL:
        break;
    }
}

/* Letters behind one dash: the last one has the value. Returns how many words it took. */
static unsigned take_short(struct reading *r, unsigned i)
{
    const char *word = r->words[i];
    const struct flag *flag = find_flag(word + 1, 1);

    if (!flag) {
        import_plan_note(r->plan, "%.2s is left out: it is not known", word);
        return 1;
    }
    if (word[2] != '\0') {
        take_flag(r, flag, word + 2 + (word[2] == '='));
        return 1;
    }
    take_flag(r, flag, i + 1 < r->n ? r->words[i + 1] : "");
    return 2;
}

/* "--name=value", "--name value"; of a flag that needs none a value only behind =. */
static unsigned take_long(struct reading *r, unsigned i)
{
    const char *word = r->words[i] + 2, *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const struct flag *flag = find_flag(word, length);
    const char *next = i + 1 < r->n ? r->words[i + 1] : NULL;

    if (!flag) { /* what follows it and is no flag is its value: there is nothing else */
        import_plan_note(r->plan, "--%.*s is left out: it is not known", (int)length, word);
        return !equals && next && *next != '-' ? 2 : 1;
    }
    if (equals)
        take_flag(r, flag, equals + 1);
    else if (!needs_value(flag->what))
        take_flag(r, flag, "true");
    else if (next)
        take_flag(r, flag, next);
    else
        import_plan_refuse(r->plan, "--%s has no value", flag->name);
    return !equals && needs_value(flag->what) ? 2 : 1;
}

static void take_flags(struct reading *r)
{
    for (unsigned i = 0; i < r->n;) {
        const char *word = r->words[i];
        if (text_equal(word, "--"))
            break;
        if (word[0] != '-' || word[1] == '\0')
            import_plan_refuse(r->plan, "its argument %u is none that kubelogin takes", ++i);
        else
            i += word[1] == '-' ? take_long(r, i) : take_short(r, i);
    }
}

/* ---- the whole stanza ------------------------------------------------------------------------ */

/* Takes the words that are kubelogin's own out of what else runs it. False: it is not kubelogin. */
static bool unwrap(struct reading *r, const char *command)
{
    char name[64];
    unsigned skip = 0;

    program_name(command, name, sizeof name);
    if (text_equal(name, "env")) { /* NAME=VALUE... PROGRAM */
        while (skip < r->n && strchr(r->words[skip], '=') && *r->words[skip] != '-')
            take_assignment(r, r->words[skip++]);
        if (skip == r->n)
            return false;
        program_name(r->words[skip], name, sizeof name);
        drop_words(r, 0, skip + 1);
    }
    if (is_kubectl(name)) {
        if (r->n == 0 ||
            (!text_equal(r->words[0], "oidc-login") && !text_equal(r->words[0], "oidc_login")))
            return false;
        drop_words(r, 0, 1);
        return true;
    }
    if (!runs_containers(name))
        return is_kubelogin(name);
    for (skip = 0; skip < r->n && !is_image(r->words[skip]);)
        skip++;
    if (skip == r->n)
        return false;
    r->in_container = true;
    take_run_options(r, skip);
    drop_words(r, 0, skip + 1);
    return true;
}

/* Takes out the command; flags may stand before it. */
static bool take_command(struct reading *r)
{
    for (unsigned i = 0; i < r->n; i++)
        if (text_equal(r->words[i], "get-token")) {
            drop_words(r, i, 1);
            return true;
        }
    return false;
}

/* Which login it is: with a name, auto is by password. */
static void take_grant(struct reading *r)
{
    struct import_plan *plan = r->plan;
    bool automatic = *r->grant == '\0' || text_equal(r->grant, "auto");

    if (text_equal(r->grant, "password") || (automatic && r->has_username))
        return;
    if (text_equal(r->grant, "device-code")) {
        plan->by_device = true;
        return;
    }
    if (text_equal(r->grant, "client-credentials") || text_equal(r->grant, "token-exchange"))
        import_plan_refuse(plan,
                           "its --grant-type %s logs in no person; token-command in a profile can "
                           "run what prints such an id_token (kubetoken.conf(5))",
                           r->grant);
    plan->by_browser = true;
}

bool kubelogin_args_read(const cJSON *exec, const char *home, struct import_plan *plan)
{
    struct reading r = { .plan = plan, .home = home };
    const char *command = import_plan_text(exec, "command");

    take_words(&r, cJSON_GetObjectItemCaseSensitive(exec, "args"));
    take_env(&r, cJSON_GetObjectItemCaseSensitive(exec, "env"));
    if (!command || !unwrap(&r, command))
        return false;
    plan->kind = IMPORT_KUBELOGIN;
    if (!take_command(&r)) {
        import_plan_refuse(plan, "it runs kubelogin without get-token; only that gives kubectl a "
                                 "token");
        return true;
    }
    import_plan_set(plan, IMPORT_SCOPE, "openid"); /* all that kubelogin asks for by itself */
    take_flags(&r);
    if (r.roots && plan->n_ca_files + plan->n_ca_data == 0)
        take_ca_file(&r, r.roots, "SSL_CERT_FILE");
    take_proxy(&r);
    take_grant(&r);
    return true;
}
