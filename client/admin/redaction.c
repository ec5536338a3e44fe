#define _GNU_SOURCE
#include "client/admin/redaction.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"

enum { ENTRIES_MAX = 4096, VALUE_MAX = 4096, QUOTE_MAX = 400 };

struct entry {
    const char *kind;
    char *value;
    unsigned number; /* 0: not met yet */
};

struct redaction {
    struct entry *entries; /* the longest first */
    size_t n, room;
};

/* What is being read, and what comes of it. */
struct pass {
    struct redaction *r;
    const char *text;
    bool foreign;
    char *out;
    size_t size, used;
    bool quoted;        /* within "..." */
    char before[2][32]; /* the last words, the latest first */
    bool list;          /* of names, as x509 has one, up to "not" */
};

struct redaction *redaction_new(void)
{
    return calloc(1, sizeof(struct redaction));
}

struct redaction *redaction_free(struct redaction *redaction)
{
    for (size_t i = 0; redaction && i < redaction->n; i++)
        free(redaction->entries[i].value);
    if (redaction)
        free(redaction->entries);
    free(redaction);
    return NULL;
}

static bool has(const char *word, size_t length, const char *part)
{
    return memmem(word, length, part, strlen(part)) != NULL;
}

/* ---- our own words --------------------------------------------------------------------------- */

/* Words that a detail may have and a name may look like; what identifies nobody. */
static const char *const own[] = {
    "kubetoken",
    "kubetokend",
    "kubetoken-fetch",
    "kubetoken-admin",
    "kubectl",
    "kubectl-kubetoken",
    "kube-apiserver",
    "client-go",
    "kubernetes",
    "kubernetes-admin",
    "kubetoken.conf",
    "kubetoken.service",
    "kubetoken.socket",
    "hardened.conf",
    "localhost",
    "root",
    "nobody",
    "default",
    "systemd",
    "nginx",
    "HAProxy",
    "x509",
    "utf-8",
    "UTF-8",
    "email",
    "sub",
    "aud",
    "iss",
    "exp",
    "nbf",
    "iat",
    "groups",
    "alg",
    "kid",
    "email_verified",
    "preferred_username",
    "openid",
    "profile",
    "none",
    "basic",
    "basic-raw",
    "post",
    "exec",
    "exec/v1",
    "exec/v1beta1",
    "v1/v1beta1",
    "/v1beta1",
    "get",
    "Never",
    "Always",
    "IfAvailable",
    "DenyAll",
    "AllowAll",
    "Allowlist",
    "credentialPluginPolicy",
    "credentialPluginAllowlist",
    "apiVersion",
    "interactiveMode",
    "current-context",
    "use-context",
    "self-signed",
    "read-only",
    "client-certificate",
    "certificate-authority",
    "auth-provider",
    "auth-whoami",
    "no-such",
    "e-mail",
    "id_token",
    "id_tokens",
    "user-name",
    "time-out",
    "system:authenticated",
    "system:masters",
    "kind",
    "token-endpoint",
    "jwks-uri",
    "ca-file",
    "tls-client-cert",
    "tls-client-key",
    "client-id",
    "client-auth",
    "client-secret",
    "client-secret-file",
    "client-secret-command",
    "client-secret-credential",
    "password-file",
    "password-command",
    "password-credential",
    "password-lifetime",
    "token-parameter",
    "use-refresh-token",
    "refresh-before",
    "keep-fresh",
    "keep-over-restart",
    "signing-algs",
    "username-claim",
    "username-prefix",
    "groups-claim",
    "groups-prefix",
    "allow-http-loopback",
    "default-profile",
    "token-command",
    "device-authorization-endpoint",
    "device_authorization_endpoint",
    "grant_types_supported",
    "offline_access",
    "refresh-token",
    "refresh_token",
    "base64url",
    "invalid_grant",
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "access_denied",
    "unauthorized_client",
    "unsupported_grant_type",
    "server_error",
    "temporarily_unavailable",
    "mfa_required",
    "interaction_required",
    "consent_required",
    "login_required",
    "on-demand",
    "with-daemon",
    "command-line",
    "in-force",
    "and/or",
    "true/false",
};

/* Programs and files that a path may end with and tell nobody by: those stay behind it. */
static const char *const own_files[] = { "kubetoken",       "kubetokend", "kubetoken-fetch",
                                         "kubetoken-admin", "kubectl",    "kubetoken.conf",
                                         "kuberc",          "socket",     "kubetoken.service" };

/* The whole folder stays where the file is one of these, too. */
static const char *const own_folders[] = { "/etc/kubetoken",
                                           "/usr/bin",
                                           "/usr/local/bin",
                                           "/bin",
                                           "/usr/lib/kubetoken",
                                           "/usr/libexec/kubetoken",
                                           "/usr/local/libexec/kubetoken" };

static bool is_one_of(const char *const *list, size_t n, const char *word, size_t length)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i]) == length && memcmp(list[i], word, length) == 0)
            return true;
    return false;
}

#define IS_ONE_OF(list, word, length) is_one_of(list, sizeof(list) / sizeof *(list), word, length)

static bool is_code(const char *word, size_t length)
{
    return error_from_name(word, length) != ERROR_INTERNAL;
}

/* Of kube-apiserver, of kubectl, of our own: whatever name is a part of it. */
static bool is_own_option(const char *word, size_t length)
{
    static const char *const names[] = { "issuer-url",     "client-id",       "signing-algs",
                                         "username-claim", "username-prefix", "groups-claim",
                                         "groups-prefix",  "required-claim",  "ca-file" };
    static const char *const whole[] = { "--authentication-config",
                                         "--clusterrole",
                                         "--user",
                                         "--group",
                                         "--namespace",
                                         "--current",
                                         "--kubeconfig" };
    const char *oidc = "--oidc-";
    size_t n = strlen(oidc);

    return IS_ONE_OF(whole, word, length) ||
           (length > n && memcmp(word, oidc, n) == 0 && IS_ONE_OF(names, word + n, length - n));
}

static bool is_own_word(const char *word, size_t length)
{
    static const char *const groups[] = { "client.authentication.k8s.io", "authentication.k8s.io",
                                          "rbac.authorization.k8s.io", "apiserver.config.k8s.io",
                                          "kubectl.config.k8s.io" };
    const char *slash = memchr(word, '/', length); /* and a version */
    size_t group = slash ? (size_t)(slash - word) : length;

    return IS_ONE_OF(own, word, length) || is_code(word, length) || is_own_option(word, length) ||
           (IS_ONE_OF(groups, word, group) && length - group <= sizeof "/v1alpha1" - 1);
}

/* "1.32.3" of a program, with whatever it has behind it. */
static bool is_version(const char *word, size_t length)
{
    unsigned numbers = 0;

    for (size_t i = 0; i < length && numbers < 3; i++, numbers++) {
        size_t digits = strspn(word + i, "0123456789");
        if (digits == 0)
            return false;
        i += digits;
        if (numbers < 2 && (i >= length || word[i] != '.'))
            return false;
    }
    return numbers == 3;
}

/* A number, with its unit; a version, a date, an algorithm: RS256. */
static bool is_figure(const char *word, size_t length)
{
    size_t letters = 0, i = word[0] == 'v' && length > 1 && isdigit((unsigned char)word[1]);

    if (length == 5 && isupper((unsigned char)word[0]) && isupper((unsigned char)word[1]) &&
        strspn(word + 2, "0123456789") == 3)
        return true;
    if (!isdigit((unsigned char)word[i]))
        return false;
    if (i == 1 && is_version(word + 1, length - 1))
        return true;
    for (; i < length; i++)
        if (isalpha((unsigned char)word[i]))
            letters++;
        else if (!isdigit((unsigned char)word[i]) && !strchr(".:+-%", word[i]))
            return false;
    if (letters == 0 || !memchr(word, '.', length))
        return letters <= 5; /* 1h30m, v1beta1, 2026-11-24T14:05:12Z */
    return has(word, length, "-rc.") || has(word, length, "-beta.") || has(word, length, "-alpha.");
}

/* ---- what looks like something --------------------------------------------------------------- */

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || c == '_';
}

static bool is_email(const char *word, size_t length)
{
    const char *at = memchr(word, '@', length);

    return at && at > word && is_letter(at[-1]) && at + 1 < word + length && is_letter(at[1]);
}

/* IPv4, perhaps with a mask; IPv6, perhaps with a zone. */
static bool is_address(const char *word, size_t length)
{
    size_t dots = 0, colons = 0, digits = 0, hex = 0, other = 0;

    for (size_t i = 0; i < length && word[i] != '%' && word[i] != '/'; i++) {
        dots += word[i] == '.';
        colons += word[i] == ':';
        digits += isdigit((unsigned char)word[i]) != 0;
        hex += isxdigit((unsigned char)word[i]) != 0;
        other += !isxdigit((unsigned char)word[i]) && !strchr(".:", word[i]);
    }
    if (other > 0)
        return false;
    return (dots == 3 && colons == 0 && hex == digits && digits >= 4) || has(word, length, "::") ||
           colons >= 5;
}

/* "name.example.com", and "claims.sub" not: of our own way to name a claim or a field. */
static bool is_host(const char *word, size_t length)
{
    static const char *const fields[] = {
        "claims", "jwt",   "claimMappings", "claimValidationRules",
        "issuer", "user",  "username",      "groups",
        "uid",    "extra", "anonymous",     "userValidationRules"
    };
    static const char *const of_field[] = { "url",
                                            "audiences",
                                            "audienceMatchPolicy",
                                            "claim",
                                            "prefix",
                                            "username",
                                            "groups",
                                            "uid",
                                            "expression",
                                            "extra",
                                            "certificateAuthority",
                                            "discoveryURL",
                                            "email",
                                            "bufsize" };
    size_t last = 0, labels = 1, first = strcspn(word, ".");

    if (length > 2 && memcmp(word, "*.", 2) == 0) /* of a certificate */
        return is_host(word + 2, length - 2) || length > 4;

    for (size_t i = 0; i < length; i++) {
        if (!is_letter(word[i]) && word[i] != '-' && word[i] != '.')
            return false;
        if (word[i] == '.') {
            labels++;
            last = i + 1;
        }
    }
    if (labels < 2 || length - last < 2 || strcspn(word + last, "0123456789_") < length - last)
        return false;
    if (labels == 2 && strncmp(word, "claims.", 7) == 0)
        return false;
    return !(IS_ONE_OF(fields, word, first) && IS_ONE_OF(of_field, word + last, length - last)) &&
           !is_one_of((const char *const[]){ "tune.bufsize" }, 1, word, length);
}

static bool looks_named(const char *word, size_t length)
{
    bool letters = false, odd = false;

    for (size_t i = 0; i < length; i++) {
        letters |= isalpha((unsigned char)word[i]) != 0;
        odd |= isdigit((unsigned char)word[i]) || (unsigned char)word[i] >= 0x80 ||
               (strchr("-_:|", word[i]) && i > 0 && i + 1 < length);
    }
    return letters && odd;
}

/* ---- the registry ---------------------------------------------------------------------------- */

static struct entry *find(struct redaction *r, const char *kind, const char *value, size_t length)
{
    for (size_t i = 0; i < r->n; i++)
        if (strlen(r->entries[i].value) == length &&
            strncasecmp(r->entries[i].value, value, length) == 0 &&
            (!kind || strcmp(r->entries[i].kind, kind) == 0))
            return &r->entries[i];
    return NULL;
}

static struct entry *add(struct redaction *r, const char *kind, const char *value, size_t length)
{
    size_t at = 0;

    if (r->n == r->room) {
        size_t room = r->room ? 2 * r->room : 64;
        struct entry *grown = room > ENTRIES_MAX ? NULL : realloc(r->entries, room * sizeof *grown);
        if (!grown)
            return NULL;
        r->entries = grown;
        r->room = room;
    }
    char *copy = strndup(value, length);
    if (!copy)
        return NULL;
    while (at < r->n && strlen(r->entries[at].value) >= length)
        at++;
    memmove(r->entries + at + 1, r->entries + at, (r->n - at) * sizeof *r->entries);
    r->n++;
    r->entries[at] = (struct entry){ kind, copy, 0 };
    return &r->entries[at];
}

void redaction_hide(struct redaction *redaction, const char *kind, const char *value)
{
    char clean[VALUE_MAX];

    if (!redaction || !value)
        return;
    size_t length = error_clean(clean, sizeof clean, value, strlen(value)); /* as it is printed */
    if (length < 2 || (length < 4 && strspn(clean, "0123456789") == length) ||
        IS_ONE_OF(own, clean, length) || find(redaction, NULL, clean, length))
        return;
    add(redaction, kind, clean, length);
}

void redaction_hide_url(struct redaction *redaction, const char *url)
{
    const char *host = url ? strstr(url, "://") : NULL;
    char name[256];

    redaction_hide(redaction, "url", url);
    if (!host)
        return;
    host += 3;
    const char *at = memchr(host, '@', strcspn(host, "/"));
    host = at ? at + 1 : host;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(host, ":/"), host);
    redaction_hide(redaction, is_address(name, strlen(name)) ? "address" : "host", name);
}

/* ---- the text -------------------------------------------------------------------------------- */

static void put(struct pass *p, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length && p->used + 1 < p->size; i++)
        p->out[p->used++] = bytes[i];
    p->out[p->used] = '\0';
}

/* <KIND-N>: the first that is met is 1. */
static void put_placeholder(struct pass *p, struct entry *e, const char *kind)
{
    char text[64];
    unsigned most = 0;

    for (size_t i = 0; i < p->r->n; i++)
        if (strcmp(p->r->entries[i].kind, kind) == 0 && p->r->entries[i].number > most)
            most = p->r->entries[i].number;
    if (e && e->number == 0)
        e->number = most + 1;
    int n = snprintf(text, sizeof text, "<%s-%u>", kind, e ? e->number : 0);
    put(p, text, (size_t)n);
}

static void hide(struct pass *p, const char *kind, const char *word, size_t length)
{
    struct entry *e = find(p->r, kind, word, length);

    put_placeholder(p, e ? e : add(p->r, kind, word, length), kind);
}

static bool separates(char c)
{
    return c == '\0' || c == ' ' || strchr("\"'`(),;<>[]{}=", c);
}

/* A registered value that begins here and ends with a word; the longest. */
static struct entry *match_here(struct pass *p, const char *at)
{
    for (size_t i = 0; i < p->r->n; i++) {
        struct entry *e = &p->r->entries[i];
        size_t length = strlen(e->value);
        if (strncasecmp(at, e->value, length) != 0)
            continue;
        const char *end = at + length;
        if (separates(*end) || (strchr(".:!?", *end) && (separates(end[1]) || end[1] == ' ')) ||
            (*end == ':' && isdigit((unsigned char)end[1])))
            return e;
    }
    return NULL;
}

/* One that stands in the word, between signs. */
static struct entry *match_within(struct pass *p, const char *word, size_t length)
{
    for (size_t i = 0; i < p->r->n; i++) {
        struct entry *e = &p->r->entries[i];
        size_t n = strlen(e->value);
        for (size_t at = 0; n >= 3 && at + n <= length; at++)
            if (strncasecmp(word + at, e->value, n) == 0 && (at == 0 || !is_letter(word[at - 1])) &&
                (at + n == length || !is_letter(word[at + n])))
                return e;
    }
    return NULL;
}

static void put_path(struct pass *p, const char *word, size_t length)
{
    static const char *const devices[] = { "/dev/null", "/dev/full", "/dev/stdin", "/dev/tty" };
    const char *slash = memrchr(word, '/', length);
    size_t folder = slash ? (size_t)(slash - word) : 0;
    bool known = folder > 0 && IS_ONE_OF(own_files, slash + 1, length - folder - 1);

    if ((known && IS_ONE_OF(own_folders, word, folder)) || IS_ONE_OF(devices, word, length)) {
        put(p, word, length);
        return;
    }
    hide(p, "path", word, known ? folder : length);
    if (known)
        put(p, slash, length - folder);
}

/* What follows these words is a name, whatever it looks like. */
static bool is_announced(const struct pass *p, const char *word, size_t length)
{
    static const char *const common[] = { "is",    "has", "that", "of",  "in",  "the",
                                          "names", "a",   "and",  "not", "any", "or" };
    const char *last = p->before[0], *other = p->before[1];

    if (!p->foreign || IS_ONE_OF(common, word, length))
        return false;
    return p->list || strcmp(last, "profile") == 0 || strcmp(last, "lookup") == 0 ||
           (strcmp(last, "to") == 0 && strcmp(other, "belongs") == 0);
}

/* The length of what is behind a word and no part of it: a sentence's sign, a port, a line. */
static size_t tail_of(const char *word, size_t length)
{
    size_t end = length;

    while (end > 1 && strchr(".:!?*", word[end - 1]))
        end--;
    if (is_address(word, end)) /* the last colon may be its own */
        return length - end;
    for (size_t colon = end; colon > 1 && end - colon < 7; colon--)
        if (word[colon - 1] == ':' && colon < end) {
            end = colon - 1;
            colon = end + 1;
        } else if (!isdigit((unsigned char)word[colon - 1])) {
            break;
        }
    return length - end;
}

/* What is registered nowhere, by its look. */
static void put_unknown(struct pass *p, const char *word, size_t length)
{
    if (is_host(word, length) && !(word > p->text && word[-1] == ']')) /* jwt[0].issuer */
        hide(p, "host", word, length);
    else if (is_announced(p, word, length) || (p->foreign && looks_named(word, length)))
        hide(p, "name", word, length);
    else
        put(p, word, length);
}

static void put_word(struct pass *p, const char *word, size_t length)
{
    struct entry *e;

    if (is_own_word(word, length)) {
        put(p, word, length);
        return;
    }
    if ((e = find(p->r, NULL, word, length)))
        put_placeholder(p, e, e->kind);
    else if (has(word, length, "://"))
        hide(p, "url", word, length);
    else if (is_email(word, length))
        hide(p, "email", word, length);
    else if (is_address(word, length))
        hide(p, "address", word, length);
    else if (memchr(word, '/', length) && length > 1)
        put_path(p, word, length);
    else if ((e = match_within(p, word, length)))
        hide(p, e->kind, word, length);
    else if (!is_figure(word, length))
        put_unknown(p, word, length);
    else
        put(p, word, length);
}

static void remember(struct pass *p, const char *word, size_t length)
{
    memcpy(p->before[1], p->before[0], sizeof p->before[1]);
    snprintf(p->before[0], sizeof p->before[0], "%.*s", length < 31 ? (int)length : 31, word);
    if (strcmp(p->before[0], "for") == 0 && strcmp(p->before[1], "valid") == 0)
        p->list = true;
    else if (strcmp(p->before[0], "not") == 0)
        p->list = false;
}

/* "..." is a value, unless it is a word of our own. Returns how much was taken, 0: no such thing.
 */
static size_t quotation(struct pass *p, const char *at)
{
    size_t length = strcspn(at, "\"");

    if (at[length] != '"' || length == 0 || length > QUOTE_MAX)
        return 0;
    if (memchr(at, ' ', length) ||
        (!is_own_word(at, length) && !is_figure(at, length) && !has(at, length, "://") &&
         !memchr(at, '/', length) && !is_email(at, length) && !match_within(p, at, length) &&
         !is_address(at, length) && !is_host(at, length))) {
        struct entry *e = find(p->r, NULL, at, length);
        if (e)
            put_placeholder(p, e, e->kind);
        else
            hide(p, "value", at, length);
    } else {
        put_word(p, at, length);
    }
    return length;
}

/* Of a program: -o, --oidc-issuer-url. */
static bool is_option(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)word[i]) && word[i] != '-')
            return false;
    return length > 1 && word[0] == '-';
}

/* A word, or a registered value of several. Returns how much was taken. */
static size_t next_word(struct pass *p, const char *at)
{
    size_t length = 0;
    struct entry *e = match_here(p, at);

    while (!separates(at[length]))
        length++;
    if (e && !is_own_word(at, strlen(e->value))) {
        put_placeholder(p, e, e->kind);
        remember(p, "", 0);
        return strlen(e->value);
    }
    if (is_option(at, length) && !match_within(p, at, length)) {
        put(p, at, length);
        return length;
    }
    size_t word = length - tail_of(at, length);
    if (p->foreign && at == p->text && at[word] == ':' && at[word + 1] == ' ' && word > 1 &&
        !is_own_word(at, word) && !memchr(at, '/', word))
        hide(p, "name", at, word); /* "PROFILE: what is wrong" */
    else
        put_word(p, at, word);
    put(p, at + word, length - word);
    remember(p, at, word);
    return length;
}

void redaction_apply(struct redaction *redaction, const char *text, bool foreign, char *out,
                     size_t size)
{
    struct pass p = { .r = redaction, .text = text, .foreign = foreign, .out = out, .size = size };

    out[0] = '\0';
    for (const char *at = text; *at;) {
        if (*at == '"') {
            p.quoted = !p.quoted;
            put(&p, at++, 1);
            if (p.quoted) {
                size_t taken = quotation(&p, at);
                at += taken;
            }
        } else if (separates(*at)) {
            put(&p, at++, 1);
        } else {
            at += next_word(&p, at);
        }
    }
}
