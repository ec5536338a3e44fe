#define _GNU_SOURCE
#include "client/admin/authentication_config.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/cel.h"

enum { ENTRIES_MAX = 64, QUOTED_MAX = 200 };

static const char group[] = "apiserver.config.k8s.io/";

struct judge {
    struct authentication_config *config;
    char path[AUTHENTICATION_PATH_MAX];
    /* of one entry */
    bool uses_email, uses_verified, not_all_known;
};

/* ---- problems -------------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static void add(struct judge *j,
                                                      enum authentication_problem_kind kind,
                                                      const char *below, const char *format, ...)
{
    struct authentication_config *c = j->config;
    va_list ap;

    if (c->n++ >= AUTHENTICATION_PROBLEMS_MAX)
        return;
    struct authentication_problem *p = &c->problems[c->n - 1];
    p->kind = kind;
    snprintf(p->path, sizeof p->path, "%s%s", j->path, *j->path ? below : below + (*below == '.'));
    va_start(ap, format);
    vsnprintf(p->text, sizeof p->text, format, ap);
    va_end(ap);
}

/* As Go quotes a text. */
static const char *quoted(const char *text, char out[QUOTED_MAX])
{
    size_t used = 0;

    out[used++] = '"';
    for (; *text && used < QUOTED_MAX - 8; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            out[used++] = '\\';
        if (c == '\n')
            used += (size_t)snprintf(out + used, 3, "\\n");
        else
            out[used++] = c < ' ' || c == 0x7F ? '?' : (char)c;
    }
    snprintf(out + used, QUOTED_MAX - used, "%s\"", *text ? "..." : "");
    return out;
}

static void invalid(struct judge *j, const char *below, const char *value, const char *why)
{
    char text[QUOTED_MAX];

    add(j, AUTHENTICATION_VALUE, below, "Invalid value: %s: %s", quoted(value, text), why);
}

static void required(struct judge *j, const char *below, const char *why)
{
    add(j, AUTHENTICATION_VALUE, below, "Required value%s%s", *why ? ": " : "", why);
}

static void duplicate(struct judge *j, const char *below, const char *value)
{
    char text[QUOTED_MAX];

    add(j, AUTHENTICATION_VALUE, below, "Duplicate value: %s", quoted(value, text));
}

/* Goes down: returns what leave() wants. */
__attribute__((format(printf, 2, 3))) static size_t enter(struct judge *j, const char *format, ...)
{
    size_t length = strlen(j->path);
    va_list ap;

    va_start(ap, format);
    vsnprintf(j->path + length, sizeof j->path - length, format, ap);
    va_end(ap);
    if (length == 0 && j->path[0] == '.')
        memmove(j->path, j->path + 1, strlen(j->path));
    return length;
}

static void leave(struct judge *j, size_t length)
{
    j->path[length] = '\0';
}

/* ---- the fields and their types -------------------------------------------------------------- */

enum type { TEXT, BOOLEAN, TEXTS, OBJECT, OBJECTS };

struct field {
    const char *name;
    enum type type;
    const struct field *fields; /* of an object, the last without a name */
};

static const struct field mapping[] = { { "claim", TEXT, NULL },
                                        { "prefix", TEXT, NULL },
                                        { "expression", TEXT, NULL },
                                        { NULL, TEXT, NULL } };
static const struct field uid[] = { { "claim", TEXT, NULL },
                                    { "expression", TEXT, NULL },
                                    { NULL, TEXT, NULL } };
static const struct field extra[] = { { "key", TEXT, NULL },
                                      { "valueExpression", TEXT, NULL },
                                      { NULL, TEXT, NULL } };
static const struct field mappings[] = { { "username", OBJECT, mapping },
                                         { "groups", OBJECT, mapping },
                                         { "uid", OBJECT, uid },
                                         { "extra", OBJECTS, extra },
                                         { NULL, TEXT, NULL } };
static const struct field issuer[] = { { "url", TEXT, NULL },
                                       { "discoveryURL", TEXT, NULL },
                                       { "certificateAuthority", TEXT, NULL },
                                       { "audiences", TEXTS, NULL },
                                       { "audienceMatchPolicy", TEXT, NULL },
                                       { "egressSelectorType", TEXT, NULL },
                                       { NULL, TEXT, NULL } };
static const struct field claim_rule[] = { { "claim", TEXT, NULL },
                                           { "requiredValue", TEXT, NULL },
                                           { "expression", TEXT, NULL },
                                           { "message", TEXT, NULL },
                                           { NULL, TEXT, NULL } };
static const struct field user_rule[] = { { "expression", TEXT, NULL },
                                          { "message", TEXT, NULL },
                                          { NULL, TEXT, NULL } };
static const struct field entry_fields[] = { { "issuer", OBJECT, issuer },
                                             { "claimValidationRules", OBJECTS, claim_rule },
                                             { "claimMappings", OBJECT, mappings },
                                             { "userValidationRules", OBJECTS, user_rule },
                                             { NULL, TEXT, NULL } };
static const struct field condition[] = { { "path", TEXT, NULL }, { NULL, TEXT, NULL } };
static const struct field anonymous[] = { { "enabled", BOOLEAN, NULL },
                                          { "conditions", OBJECTS, condition },
                                          { NULL, TEXT, NULL } };
static const struct field top[] = { { "apiVersion", TEXT, NULL },
                                    { "kind", TEXT, NULL },
                                    { "jwt", OBJECTS, entry_fields },
                                    { "anonymous", OBJECT, anonymous },
                                    { NULL, TEXT, NULL } };

static void check_fields(struct judge *j, const cJSON *object, const struct field *fields);

static const char *name_of(const cJSON *value)
{
    return cJSON_IsString(value)   ? "string"
           : cJSON_IsNumber(value) ? "number"
           : cJSON_IsBool(value)   ? "bool"
           : cJSON_IsArray(value)  ? "array"
                                   : "object";
}

static void wrong_type(struct judge *j, const cJSON *value, enum type wanted)
{
    static const char *const names[] = { "string", "bool", "string", "struct", "struct" };
    bool list = wanted == TEXTS || wanted == OBJECTS;

    add(j, AUTHENTICATION_UNREADABLE, "", "json: cannot unmarshal %s into a field of type %s%s",
        name_of(value), list ? "[]" : "", names[wanted]);
}

static void check_type(struct judge *j, const cJSON *value, const struct field *field)
{
    enum type t = field->type;
    const cJSON *item;
    int i = 0;

    if (cJSON_IsNull(value))
        return;
    if (t == TEXT      ? !cJSON_IsString(value)
        : t == BOOLEAN ? !cJSON_IsBool(value)
        : t == OBJECT  ? !cJSON_IsObject(value)
                       : !cJSON_IsArray(value)) {
        wrong_type(j, value, t);
    } else if (t == OBJECT) {
        check_fields(j, value, field->fields);
    } else if (t == TEXTS || t == OBJECTS) {
        struct field one = { "", t == TEXTS ? TEXT : OBJECT, field->fields };
        cJSON_ArrayForEach (item, value) {
            size_t up = enter(j, "[%d]", i++);
            check_type(j, item, &one);
            leave(j, up);
        }
    }
}

static void check_fields(struct judge *j, const cJSON *object, const struct field *fields)
{
    const cJSON *member;

    cJSON_ArrayForEach (member, object) {
        const struct field *f = fields;
        while (f->name && strcmp(f->name, member->string) != 0)
            f++;
        size_t up = enter(j, ".%s", member->string);
        if (f->name)
            check_type(j, member, f);
        else
            add(j, AUTHENTICATION_STRICT, "", "unknown field \"%s\"", j->path);
        leave(j, up);
    }
}

static void found_twice(void *context, const char *path, const char *key, unsigned line)
{
    struct judge *j = context;
    size_t up = enter(j, "%s%s%s", path, *path ? "." : "", key);

    if (line)
        add(j, AUTHENTICATION_STRICT, "", "line %u: key \"%s\" already set in map", line, key);
    else
        add(j, AUTHENTICATION_STRICT, "", "duplicate field \"%s\"", j->path);
    leave(j, up);
}

/* ---- what every member is asked for ---------------------------------------------------------- */

const char *authentication_config_text(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(member) ? member->valuestring : "";
}

static const cJSON *member_of(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool has_text(const cJSON *object, const char *name)
{
    return *authentication_config_text(object, name) != '\0';
}

/* Whether an earlier item of the list that it is in has the same text. */
static bool is_repeated(const cJSON *list, const cJSON *item, const char *name)
{
    const char *text = authentication_config_text(item, name);

    for (const cJSON *other = list->child; other && other != item; other = other->next)
        if (strcmp(authentication_config_text(other, name), text) == 0)
            return true;
    return false;
}

/* ---- URLs ------------------------------------------------------------------------------------ */

/* What Go's url.Parse() says of it; NULL where it takes it, or where we cannot say. */
static const char *url_fault(const char *url)
{
    size_t scheme = strspn(url,
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    const char *authority, *end;

    for (const char *at = url; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7F)
            return "invalid control character in URL";
    if (url[0] == ':')
        return "missing protocol scheme";
    if (url[scheme] != ':' || !isalpha((unsigned char)url[0]) ||
        strncmp(url + scheme, "://", 3) != 0)
        return NULL;
    authority = url + scheme + 3;
    end = authority + strcspn(authority, "/?#");
    for (const char *at = authority; at < end; at++)
        if (strchr(" <>\"{}|\\^`", *at))
            return "invalid character in host name";
    for (const char *at = authority; at < end; at++) /* of ASCII none is allowed there */
        if (*at == '%' && at[1] && strchr("01234567", at[1]) && strncmp(at, "%25", 3) != 0)
            return "invalid URL escape";
    for (const char *at = authority; *at && *at != '?'; at++)
        if (*at == '%' && (!isxdigit((unsigned char)at[1]) || !isxdigit((unsigned char)at[2])))
            return "invalid URL escape";
    const char *host = memrchr(authority, '@', (size_t)(end - authority));
    const char *port = memrchr(host ? host : authority, ':',
                               (size_t)(end - (host ? host : authority)));
    if (port && !memchr(port, ']', (size_t)(end - port)) &&
        strspn(port + 1, "0123456789") < (size_t)(end - port - 1))
        return "invalid port after host";
    return NULL;
}

static void check_url(struct judge *j, const char *below, const char *url)
{
    const char *fault = url_fault(url), *fragment = strchr(url, '#');
    size_t length = fragment ? (size_t)(fragment - url) : strlen(url);
    const char *query = memchr(url, '?', length);
    size_t scheme = strcspn(url, ":/?#");

    if (fault) {
        add(j, AUTHENTICATION_VALUE, below, "Invalid value: \"%.200s\": parse: %s", url, fault);
        return;
    }
    if (scheme != 5 || url[5] != ':' || strncasecmp(url, "https", 5) != 0)
        invalid(j, below, url, "URL scheme must be https");
    const char *slashes = url[scheme] == ':' ? url + scheme + 1 : url;
    if (strncmp(slashes, "//", 2) == 0 && memchr(slashes + 2, '@', strcspn(slashes + 2, "/?#")))
        invalid(j, below, url, "URL must not contain a username or password");
    if (query && query + 1 < url + length)
        invalid(j, below, url, "URL must not contain a query");
    if (fragment && fragment[1])
        invalid(j, below, url, "URL must not contain a fragment");
}

static size_t without_slashes(const char *url)
{
    size_t length = strlen(url);

    while (length > 0 && url[length - 1] == '/')
        length--;
    return length;
}

static void check_issuer_urls(struct judge *j, const cJSON *is)
{
    const char *url = authentication_config_text(is, "url");
    const char *discovery = authentication_config_text(is, "discoveryURL");

    if (*url)
        check_url(j, ".url", url);
    else
        required(j, ".url", "");
    if (!*discovery)
        return;
    if (*url && without_slashes(url) == without_slashes(discovery) &&
        strncmp(url, discovery, without_slashes(url)) == 0)
        invalid(j, ".discoveryURL", discovery, "discoveryURL must be different from URL");
    check_url(j, ".discoveryURL", discovery);
}

/* ---- the rest of the issuer ------------------------------------------------------------------ */

static void check_audiences(struct judge *j, const cJSON *is)
{
    const cJSON *list = member_of(is, "audiences"), *one, *other;
    const char *policy = authentication_config_text(is, "audienceMatchPolicy");
    bool any = strcmp(policy, "MatchAny") == 0;
    int n = cJSON_GetArraySize(list), i = 0;

    if (n == 0) {
        add(j, AUTHENTICATION_VALUE, ".audiences",
            "Required value: at least one %s.audiences is required", j->path);
        return;
    }
    cJSON_ArrayForEach (one, list) {
        const char *text = cJSON_IsString(one) ? one->valuestring : "";
        size_t up = enter(j, ".audiences[%d]", i++);
        if (!*text)
            required(j, "", "");
        for (other = list->child; other != one; other = other->next)
            if (strcmp(cJSON_IsString(other) ? other->valuestring : "", text) == 0)
                break;
        if (other != one)
            duplicate(j, "", text);
        leave(j, up);
    }
    if (n > 1 && !any)
        invalid(j, ".audienceMatchPolicy", policy,
                "audienceMatchPolicy must be MatchAny for multiple audiences");
    if (n == 1 && *policy && !any)
        invalid(j, ".audienceMatchPolicy", policy,
                "audienceMatchPolicy must be empty or MatchAny for single audience");
}

static int base64_digit(char c)
{
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(all, c) : NULL;

    return at ? (int)(at - all) : -1;
}

/* Whether the base64 holds one DER sequence and no more: that much of a certificate is looked at.
 */
static bool is_one_sequence(const char *text, const char *end)
{
    unsigned char head[6] = { 0 };
    size_t n = 0, padding = 0;
    unsigned bits = 0, have = 0;

    for (; text < end; text++) {
        int digit = base64_digit(*text);
        if (isspace((unsigned char)*text))
            continue;
        if (*text == '=') {
            padding++;
            continue;
        }
        if (digit < 0 || padding)
            return false;
        bits = (bits << 6 | (unsigned)digit) & 0xFFFF;
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (n < sizeof head)
                head[n] = (unsigned char)(bits >> have);
            n++;
        }
    }
    size_t length = head[1], prefix = 2;
    if (length == 0x81) {
        length = head[2];
        prefix = 3;
    } else if (length == 0x82) {
        length = (size_t)head[2] << 8 | head[3];
        prefix = 4;
    } else if (length >= 0x80) {
        length = (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        prefix = 5;
    }
    return padding <= 2 && head[0] == 0x30 && n == prefix + length;
}

static void check_authority(struct judge *j, const char *pem)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    unsigned n = 0;

    if (!*pem)
        return;
    for (const char *at = pem, *stop; (at = strstr(at, begin)); at = stop) {
        at += sizeof begin - 1;
        stop = strstr(at, end);
        if (!stop)
            break;
        if (memchr(at, ':', (size_t)(stop - at))) /* a block with headers is left out */
            continue;
        if (is_one_sequence(at, stop))
            n++;
    }
    if (n == 0)
        add(j, AUTHENTICATION_VALUE, ".certificateAuthority",
            "Invalid value: \"<omitted>\": data does not contain any valid RSA or ECDSA "
            "certificates");
}

static void check_issuer(struct judge *j, const cJSON *is)
{
    const char *egress = authentication_config_text(is, "egressSelectorType");
    size_t up = enter(j, ".issuer");

    check_issuer_urls(j, is);
    check_audiences(j, is);
    check_authority(j, authentication_config_text(is, "certificateAuthority"));
    if (*egress && strcmp(egress, "controlplane") != 0 && strcmp(egress, "cluster") != 0)
        invalid(j, ".egressSelectorType", egress,
                "egress selector must be either controlplane or cluster");
    else if (*egress)
        add(j, AUTHENTICATION_NOTE, ".egressSelectorType",
            "the API server takes %s only where its --egress-selector-config-file has it", egress);
    leave(j, up);
}

/* ---- expressions ----------------------------------------------------------------------------- */

/* What an expression is for: whether it has to be a condition, and whether claims that it names
 * count for the rule of email and email_verified. */
enum role { CLAIM_RULE, USER_RULE, USERNAME, EXTRA, MAPPING };

static void check_expression(struct judge *j, const char *below, const char *text, enum role role)
{
    enum cel_variable variable = role == USER_RULE ? CEL_USER : CEL_CLAIMS;
    bool is_rule = role == CLAIM_RULE || role == USER_RULE;
    char why[256] = "", detail[320];
    struct cel *cel = cel_compile(text, variable, why, sizeof why);

    if (!cel) {
        snprintf(detail, sizeof detail, "compilation failed: %s", why);
        invalid(j, below, text, detail);
        return;
    }
    enum cel_type type = cel_type(cel);
    if (is_rule && type != CEL_UNKNOWN_TYPE && type != CEL_BOOLEAN_TYPE)
        invalid(j, below, text, "must evaluate to bool");
    else if (role == CLAIM_RULE || role == USERNAME || role == EXTRA)
        j->uses_verified |= cel_selects(cel, "email_verified");
    if (role == USERNAME)
        j->uses_email |= cel_selects(cel, "email");
    j->not_all_known |= cel_is_beyond(cel);
    cel_free(cel);
}

static void check_claim_rule(struct judge *j, const cJSON *list, const cJSON *rule)
{
    const char *expression = authentication_config_text(rule, "expression");
    const char *claim = authentication_config_text(rule, "claim");

    if (*claim && *expression) {
        invalid(j, "", claim, "claim and expression can't both be set");
    } else if (!*claim && !*expression) {
        required(j, "", "claim or expression is required");
    } else if (*claim) {
        if (has_text(rule, "message"))
            invalid(j, ".message", authentication_config_text(rule, "message"),
                    "may not be specified when claim is set");
        for (const cJSON *other = list->child; other != rule; other = other->next)
            if (!has_text(other, "expression") &&
                strcmp(authentication_config_text(other, "claim"), claim) == 0) {
                duplicate(j, ".claim", claim);
                break;
            }
    } else {
        if (has_text(rule, "requiredValue"))
            invalid(j, ".requiredValue", authentication_config_text(rule, "requiredValue"),
                    "may not be specified when expression is set");
        for (const cJSON *other = list->child; other != rule; other = other->next)
            if (!has_text(other, "claim") &&
                strcmp(authentication_config_text(other, "expression"), expression) == 0) {
                duplicate(j, ".expression", expression);
                return;
            }
        check_expression(j, ".expression", expression, CLAIM_RULE);
    }
}

/* Of username and groups. */
static void check_mapping(struct judge *j, const cJSON *m, const char *name, bool is_username)
{
    const char *expression = authentication_config_text(m, "expression");
    const cJSON *prefix = member_of(m, "prefix");
    bool claim = has_text(m, "claim"), prefixed = cJSON_IsString(prefix);
    size_t up = enter(j, ".%s", name);

    if (claim && *expression)
        invalid(j, "", "", "claim and expression can't both be set");
    else if (!claim && !*expression && is_username)
        required(j, "", "claim or expression is required");
    else if (*expression) {
        if (prefixed)
            invalid(j, ".prefix", prefix->valuestring,
                    "may not be specified when expression is set");
        check_expression(j, ".expression", expression,
                         is_username && !prefixed ? USERNAME : MAPPING);
    } else if (claim && !prefixed)
        required(j, ".prefix",
                 "prefix is required when claim is set. It can be set to an empty "
                 "string to disable prefixing");
    leave(j, up);
}

static void check_uid(struct judge *j, const cJSON *m)
{
    const char *expression = authentication_config_text(m, "expression");
    size_t up = enter(j, ".uid");

    if (*expression && has_text(m, "claim"))
        invalid(j, "", "", "claim and expression can't both be set");
    else if (*expression)
        check_expression(j, ".expression", expression, MAPPING);
    leave(j, up);
}

/* ---- extra ----------------------------------------------------------------------------------- */

/* Lower-case labels of RFC 1123, with dots between them. */
static bool is_subdomain(const char *text, size_t length)
{
    static const char inside[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

    for (size_t i = 0; i < length; i++) {
        bool edge = i == 0 || i + 1 == length || text[i - 1] == '.' || text[i + 1] == '.';
        if (!strchr(inside, text[i]) || ((edge || text[i] == '.') && text[i] == '-') ||
            (text[i] == '.' && edge && (i == 0 || i + 1 == length || text[i + 1] == '.')))
            return false;
    }
    return length > 0;
}

static bool ends_in(const char *text, size_t length, const char *domain)
{
    size_t n = strlen(domain);

    return length >= n && strncmp(text + length - n, domain, n) == 0 &&
           (length == n || text[length - n - 1] == '.');
}

static void check_extra_key(struct judge *j, const char *key)
{
    static const char path_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                          "0123456789/-._~%!$&'()*+,;=:";
    const char *slash = strchr(key, '/');
    size_t host = slash ? (size_t)(slash - key) : 0;
    bool upper = false;

    if (!*key)
        required(j, ".key", "");
    else if (host == 0 || !slash[1])
        invalid(j, ".key", key, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    else {
        if (host > 253)
            invalid(j, ".key", key, "must be no more than 253 characters");
        if (!is_subdomain(key, host))
            invalid(j, ".key", key,
                    "a lowercase RFC 1123 subdomain must consist of lower case "
                    "alphanumeric characters, '-' or '.'");
        if (strspn(slash + 1, path_characters) != strlen(slash + 1))
            invalid(j, ".key", key, "Invalid path");
    }
    for (const char *at = key; *at; at++)
        upper |= isupper((unsigned char)*at) != 0;
    if (upper)
        invalid(j, ".key", key, "must be lowercase");
    if (ends_in(key, host, "kubernetes.io") || ends_in(key, host, "k8s.io"))
        invalid(j, ".key", key,
                "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use");
}

static void check_extra(struct judge *j, const cJSON *list)
{
    const cJSON *one;
    int i = 0;

    cJSON_ArrayForEach (one, list) {
        const char *key = authentication_config_text(one, "key");
        const char *expression = authentication_config_text(one, "valueExpression");
        size_t up = enter(j, ".extra[%d]", i++);
        check_extra_key(j, key);
        if (is_repeated(list, one, "key"))
            duplicate(j, ".key", key);
        else if (!*expression)
            required(j, ".valueExpression", "");
        else
            check_expression(j, ".valueExpression", expression, EXTRA);
        leave(j, up);
    }
}

/* ---- an entry, and all ----------------------------------------------------------------------- */

static void check_rules(struct judge *j, const cJSON *list)
{
    const cJSON *rule;
    int i = 0;

    cJSON_ArrayForEach (rule, list) {
        size_t up = enter(j, ".claimValidationRules[%d]", i++);
        check_claim_rule(j, list, rule);
        leave(j, up);
    }
}

static void check_mappings(struct judge *j, const cJSON *m)
{
    const cJSON *username = member_of(m, "username");
    size_t up = enter(j, ".claimMappings");

    check_mapping(j, username, "username", true);
    check_mapping(j, member_of(m, "groups"), "groups", false);
    check_uid(j, member_of(m, "uid"));
    check_extra(j, member_of(m, "extra"));
    if (j->uses_email && !j->uses_verified && !j->not_all_known)
        invalid(j, ".username.expression", authentication_config_text(username, "expression"),
                "claims.email_verified must be used in claimMappings.username.expression or "
                "claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when "
                "claims.email is used in claimMappings.username.expression");
    leave(j, up);
}

static void check_user_rules(struct judge *j, const cJSON *list)
{
    const cJSON *rule;
    int i = 0;

    cJSON_ArrayForEach (rule, list) {
        const char *expression = authentication_config_text(rule, "expression");
        size_t up = enter(j, ".userValidationRules[%d]", i++);
        if (!*expression)
            required(j, ".expression", "");
        else if (is_repeated(list, rule, "expression"))
            duplicate(j, ".expression", expression);
        else
            check_expression(j, ".expression", expression, USER_RULE);
        leave(j, up);
    }
}

/* Whether an entry before has the same issuer, or the same place to ask. */
static bool is_earlier(const cJSON *list, const cJSON *entry, const char *name)
{
    const char *text = authentication_config_text(member_of(entry, "issuer"), name);

    for (const cJSON *other = list->child; other != entry; other = other->next)
        if (strcmp(authentication_config_text(member_of(other, "issuer"), name), text) == 0)
            return true;
    return false;
}

static void check_entry(struct judge *j, const cJSON *list, const cJSON *entry)
{
    const cJSON *is = member_of(entry, "issuer");

    j->uses_email = j->uses_verified = j->not_all_known = false;
    check_issuer(j, is);
    check_rules(j, member_of(entry, "claimValidationRules"));
    check_mappings(j, member_of(entry, "claimMappings"));
    check_user_rules(j, member_of(entry, "userValidationRules"));
    if (is_earlier(list, entry, "url"))
        duplicate(j, ".issuer.url", authentication_config_text(is, "url"));
    if (has_text(is, "discoveryURL") && is_earlier(list, entry, "discoveryURL"))
        duplicate(j, ".issuer.discoveryURL", authentication_config_text(is, "discoveryURL"));
}

static void check_values(struct judge *j, const cJSON *root)
{
    const cJSON *list = member_of(root, "jwt"), *entry, *anon = member_of(root, "anonymous");
    int i = 0, n = cJSON_GetArraySize(list);

    if (n > ENTRIES_MAX) {
        add(j, AUTHENTICATION_VALUE, "jwt", "Too many: %d: must have at most %d items", n,
            ENTRIES_MAX);
        return;
    }
    cJSON_ArrayForEach (entry, list) {
        size_t up = enter(j, "jwt[%d]", i++);
        check_entry(j, list, entry);
        leave(j, up);
    }
    if (cJSON_IsObject(anon) && !cJSON_IsTrue(member_of(anon, "enabled")) &&
        cJSON_GetArraySize(member_of(anon, "conditions")) > 0)
        add(j, AUTHENTICATION_VALUE, "anonymous.conditions",
            "Invalid value: enabled should be set to true when conditions are defined");
}

/* ---- the file -------------------------------------------------------------------------------- */

static bool is_unreadable(const struct authentication_config *c)
{
    for (unsigned i = 0; i < c->n && i < AUTHENTICATION_PROBLEMS_MAX; i++)
        if (c->problems[i].kind == AUTHENTICATION_UNREADABLE)
            return true;
    return false;
}

static void check_kind(struct judge *j, const cJSON *root)
{
    const char *version = authentication_config_text(root, "apiVersion");
    const char *kind = authentication_config_text(root, "kind");
    const char *own = strncmp(version, group, sizeof group - 1) == 0 ? version + sizeof group - 1
                                                                     : "";

    if (!cJSON_IsObject(root))
        add(j, AUTHENTICATION_UNREADABLE, "", "it holds no object");
    else if (!*kind)
        add(j, AUTHENTICATION_UNREADABLE, "kind", "Object 'Kind' is missing");
    else if (strcmp(own, "v1") != 0 && strcmp(own, "v1beta1") != 0 && strcmp(own, "v1alpha1") != 0)
        add(j, AUTHENTICATION_UNREADABLE, "apiVersion",
            "no kind \"%.60s\" is registered for version \"%.100s\": %sv1 is", kind, version,
            group);
    else if (strcmp(kind, "AuthenticationConfiguration") != 0)
        add(j, AUTHENTICATION_UNREADABLE, "kind", "\"%.60s\", expected AuthenticationConfiguration",
            kind);
    else if (strcmp(own, "v1") != 0)
        add(j, AUTHENTICATION_NOTE, "apiVersion",
            "whether the API server knows %s depends on its version: %s", own,
            own[2] == 'b' ? "1.30 and later do" : "1.29 to 1.36 do");
}

void authentication_config_read(const char *text, size_t length, struct authentication_config *ret)
{
    struct judge j = { .config = ret };

    *ret = (struct authentication_config){ .n = 0 };
    if (length == 0)
        add(&j, AUTHENTICATION_UNREADABLE, "", "empty config data");
    else
        yaml_tree_read(text, length, found_twice, &j, &ret->tree);
    if (ret->tree.is_limit) {
        ret->is_unknown = true;
        ret->n = 0;
        add(&j, AUTHENTICATION_NOTE, "", "it is not looked at: %s", ret->tree.why);
    } else if (*ret->tree.why)
        add(&j, AUTHENTICATION_UNREADABLE, "", "%s", ret->tree.why);
    if (!ret->tree.root)
        return;
    check_kind(&j, ret->tree.root);
    if (is_unreadable(ret))
        return;
    if (ret->tree.documents > 1)
        add(&j, AUTHENTICATION_NOTE, "", "only the first of its documents is read");
    check_fields(&j, ret->tree.root, top);
    if (!is_unreadable(ret))
        check_values(&j, ret->tree.root);
}

void authentication_config_free(struct authentication_config *config)
{
    yaml_tree_free(&config->tree);
}

bool authentication_config_loads(const struct authentication_config *config)
{
    if (config->n > AUTHENTICATION_PROBLEMS_MAX)
        return false;
    for (unsigned i = 0; i < config->n; i++)
        if (config->problems[i].kind != AUTHENTICATION_NOTE)
            return false;
    return true;
}

const cJSON *authentication_config_entries(const struct authentication_config *config)
{
    return member_of(config->tree.root, "jwt");
}
