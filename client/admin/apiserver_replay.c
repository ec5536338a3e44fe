#define _GNU_SOURCE
#include "client/admin/apiserver_replay.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/cel.h"
#include "common/json_tree.h"

enum { SHOWN_MAX = 160, PATH_SIZE = 64 };

struct replay {
    struct report *report;
    const cJSON *header, *claims;
    bool refused; /* by a check before */
    /* by a file */
    const cJSON *entry;
    char path[16]; /* jwt[0] */
    cJSON *user;   /* what came out of it, as far as that is known */
    bool groups_elsewhere;
};

/* ---- the report ------------------------------------------------------------------------------ */

enum outcome { HOLDS, DOUBTFUL, REFUSES };

/* Adds what came of a check. Returns whether it is the one that a remedy belongs to. */
__attribute__((format(printf, 5, 6))) static bool tell(struct replay *r, enum outcome outcome,
                                                       const char *link, enum error_code code,
                                                       const char *format, ...)
{
    char text[2 * ERROR_DETAIL_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (r->refused) {
        report_add(r->report, LEVEL_SKIPPED, link, ERROR_NONE, "not reached%s%s",
                   outcome == REFUSES ? ", it would refuse the token too: " : ": ", text);
        return false;
    }
    report_add(r->report,
               outcome == HOLDS      ? LEVEL_OK
               : outcome == DOUBTFUL ? LEVEL_WARNING
                                     : LEVEL_ERROR,
               link, outcome == HOLDS ? ERROR_NONE : code, "%s", text);
    r->refused = outcome == REFUSES;
    return outcome != HOLDS;
}

/* A value for people, cut. The caller does not free it. */
static const char *shown(const cJSON *value, char out[SHOWN_MAX])
{
    char *text = value ? cJSON_PrintUnformatted(value) : NULL;

    snprintf(out, SHOWN_MAX, "%s", text ? text : "none");
    if (text && strlen(text) >= SHOWN_MAX)
        memcpy(out + SHOWN_MAX - 4, "...", 4);
    cJSON_free(text);
    return out;
}

/* ---- claims as Go reads them ----------------------------------------------------------------- */

/* Of a standard claim: whatever its case, the last one counts. */
static const cJSON *standard_claim(const cJSON *claims, const char *name)
{
    const cJSON *member, *found = NULL;

    cJSON_ArrayForEach (member, claims)
        if (strcasecmp(member->string, name) == 0)
            found = member;
    return found;
}

static const char *issuer_of(const cJSON *claims)
{
    const cJSON *iss = standard_claim(claims, "iss");
    const char *text = cJSON_IsString(iss) ? iss->valuestring : "";

    return strcmp(text, "accounts.google.com") == 0 ? "https://accounts.google.com" : text;
}

/* A text, where null is an empty one; NULL for anything else. */
static const char *go_text(const cJSON *value)
{
    return !value                  ? NULL
           : cJSON_IsString(value) ? value->valuestring
           : cJSON_IsNull(value)   ? ""
                                   : NULL;
}

/* Whether the audience is this text, or a list with it. */
static bool is_for(const cJSON *aud, const char *audience)
{
    const cJSON *one;

    if (go_text(aud))
        return strcmp(go_text(aud), audience) == 0;
    if (cJSON_IsArray(aud))
        cJSON_ArrayForEach (one, aud)
            if (go_text(one) && strcmp(go_text(one), audience) == 0)
                return true;
    return false;
}

/* Whether they differ in nothing but a final slash. */
static bool differ_in_slash(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), shorter = la < lb ? la : lb;

    return la + lb == 2 * shorter + 1 && strncmp(a, b, shorter) == 0 &&
           (la > lb ? a : b)[shorter] == '/';
}

static const char *algorithm_of(const cJSON *header)
{
    const cJSON *alg = cel_member(header, "alg");

    return cJSON_IsString(alg) ? alg->valuestring : "";
}

bool apiserver_knows_algorithm(const char *name)
{
    static const char *const all[] = { "RS256", "RS384", "RS512", "ES256", "ES384",
                                       "ES512", "PS256", "PS384", "PS512" };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i], name) == 0)
            return true;
    return false;
}

/* ---- by its options -------------------------------------------------------------------------- */

bool apiserver_has(const struct apiserver_texts *texts, const char *text)
{
    for (unsigned i = 0; i < texts->n; i++)
        if (strcmp(texts->texts[i], text) == 0)
            return true;
    return false;
}

/* "a", "b" */
static const char *listed(const struct apiserver_texts *texts, char out[SHOWN_MAX])
{
    size_t used = 0;

    for (unsigned i = 0; i < texts->n && used < SHOWN_MAX; i++)
        used += (size_t)snprintf(out + used, SHOWN_MAX - used, "%s\"%s\"", i ? ", " : "",
                                 texts->texts[i]);
    return out;
}

static void flags_issuer(struct replay *r, const char *expected)
{
    const char *iss = issuer_of(r->claims);

    if (strcmp(iss, expected) == 0)
        tell(r, HOLDS, "expect-issuer", ERROR_NONE, "%s", iss);
    else if (tell(r, REFUSES, "expect-issuer", ERROR_ISSUER_MISMATCH,
                  "expected \"%s\", the token has \"%s\"%s", expected, iss,
                  differ_in_slash(iss, expected) ? ": it differs only in the final slash" : ""))
        report_remedy(r->report, "set --oidc-issuer-url of the API server to what the token has, "
                                 "byte for byte");
}

static void flags_audience(struct replay *r, const struct apiserver_texts *expected)
{
    const cJSON *aud = standard_claim(r->claims, "aud");
    char list[SHOWN_MAX], text[SHOWN_MAX];

    for (unsigned i = 0; i < expected->n; i++)
        if (is_for(aud, expected->texts[i])) {
            tell(r, HOLDS, "expect-audience", ERROR_NONE, "%s", expected->texts[i]);
            return;
        }
    if (tell(r, REFUSES, "expect-audience", ERROR_TOKEN_AUDIENCE, "expected %s%s, the token has %s",
             expected->n > 1 ? "one of " : "", listed(expected, list), shown(aud, text)))
        report_remedy(r->report, "set --oidc-client-id of the API server to what the token has, or "
                                 "client-id to what it expects");
}

static void algorithm_remedy(struct replay *r, const char *alg, bool by_file)
{
    if (!apiserver_knows_algorithm(alg))
        report_remedy(r->report, "have the provider sign with RS256: no API server takes %s", alg);
    else if (!by_file)
        report_remedy(r->report,
                      "have the provider sign with RS256, or add %s to --oidc-signing-algs of the "
                      "API server",
                      alg);
}

static void flags_algorithm(struct replay *r, const struct apiserver_texts *expected)
{
    const char *alg = algorithm_of(r->header);
    char list[SHOWN_MAX];

    if (expected->n ? apiserver_has(expected, alg) : strcmp(alg, "RS256") == 0)
        tell(r, HOLDS, "algorithm", ERROR_NONE, "%s", alg);
    else if (expected->n > 0
                 ? tell(r, REFUSES, "algorithm", ERROR_TOKEN_ALGORITHM,
                        "expected %s%s, the token has \"%s\"", expected->n > 1 ? "one of " : "",
                        listed(expected, list), alg)
                 : tell(r, DOUBTFUL, "algorithm", ERROR_TOKEN_ALGORITHM,
                        "%s, and kube-apiserver takes RS256 alone unless it is told", alg))
        algorithm_remedy(r, alg, false);
}

/* As --oidc-required-claim: a text, and the whole of it. */
static void required_claim(struct replay *r, const char *link, const char *name, const char *value,
                           const char *where)
{
    const cJSON *claim = cel_member(r->claims, name);
    const char *found = go_text(claim);
    char text[SHOWN_MAX];

    if (found && strcmp(found, value) == 0) {
        tell(r, HOLDS, link, ERROR_NONE, "%s%s=%s", where, name, value);
        return;
    }
    bool told = found ? tell(r, REFUSES, link, ERROR_REQUIRED_CLAIM,
                             "%sexpected %s=%s, the token has %s", where, name, value, found)
                      : tell(r, REFUSES, link, ERROR_REQUIRED_CLAIM,
                             "%sexpected %s=%s, the token has %s%s", where, name, value,
                             claim ? "one that is no text: " : "none of that name",
                             claim ? shown(claim, text) : "");
    if (told && *where)
        report_remedy(r->report,
                      "have the provider put it in, or correct the rule in the API "
                      "server's file%s",
                      *value ? "" : "; without requiredValue the claim has to be empty");
}

void apiserver_replay_flags(const struct apiserver_flags *flags, const cJSON *header,
                            const cJSON *claims, struct report *report)
{
    struct replay r = { .report = report, .header = header, .claims = claims };
    char name[128];

    if (flags->issuer)
        flags_issuer(&r, flags->issuer);
    if (flags->audiences.n > 0)
        flags_audience(&r, &flags->audiences);
    flags_algorithm(&r, &flags->algorithms);
    for (unsigned i = 0; i < flags->claims.n; i++) {
        const char *text = flags->claims.texts[i], *equals = strchr(text, '=');
        snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
        required_claim(&r, "expect-claim", name, equals + 1, "");
    }
}

/* ---- by a file: issuer, audience, algorithm -------------------------------------------------- */

static const char *text_of(const cJSON *object, const char *name)
{
    return authentication_config_text(object, name);
}

static const cJSON *part(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const cJSON *find_entry(const struct authentication_config *config, const cJSON *claims,
                               char path[16])
{
    const char *iss = issuer_of(claims);
    const cJSON *entry;
    int i = 0;

    cJSON_ArrayForEach (entry, authentication_config_entries(config)) {
        snprintf(path, 16, "jwt[%d]", i++ % 1000);
        if (*iss && strcmp(text_of(part(entry, "issuer"), "url"), iss) == 0)
            return entry;
    }
    return NULL;
}

static void no_entry(struct replay *r, const struct authentication_config *config)
{
    const char *iss = issuer_of(r->claims);
    const cJSON *entry;
    char all[ERROR_DETAIL_MAX] = "none";
    bool slash = false;
    size_t used = 0;

    cJSON_ArrayForEach (entry, authentication_config_entries(config)) {
        const char *url = text_of(part(entry, "issuer"), "url");
        slash |= differ_in_slash(url, iss);
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s\"%s\"", used ? ", " : "",
                                     url);
    }
    tell(r, REFUSES, "auth-issuer", ERROR_ISSUER_MISMATCH,
         "no entry has the token's iss \"%s\"%s; the file has %s", iss,
         slash ? ", one differs only in the final slash" : "", all);
    report_remedy(r->report, "set issuer.url of an entry to what the token has, byte for byte; the "
                             "API server's log says nothing of this");
}

/* What the file says of the way to the issuer is not walked from here. */
static void file_issuer(struct replay *r)
{
    const cJSON *is = part(r->entry, "issuer");
    const char *discovery = text_of(is, "discoveryURL");

    tell(r, HOLDS, "auth-issuer", ERROR_NONE, "%s, %s%s%s%s%s", r->path, text_of(is, "url"),
         *discovery ? "; the API server asks " : "", discovery,
         *discovery ? " for it, which was not fetched: the document there has to name this issuer"
                    : "",
         *text_of(is, "certificateAuthority")
             ? "; it trusts certificateAuthority alone, which was not tried"
             : "");
}

/* A number, or a text that is one. */
static bool is_time(const cJSON *claim)
{
    cJSON *number = cJSON_IsString(claim) ? cJSON_Parse(claim->valuestring) : NULL;
    bool ret = cJSON_IsNumber(claim) || cJSON_IsNumber(number);

    cJSON_Delete(number);
    return ret;
}

/* What is read of a token before anything in it is looked at: these have to be texts. */
static bool find_misshapen(const struct replay *r, const char **ret_name, const char **ret_why)
{
    static const char *const texts[] = { "sub", "nonce", "at_hash" };
    static const char *const times[] = { "exp", "iat", "nbf" };
    const cJSON *names = standard_claim(r->claims, "_claim_names"), *one;
    const cJSON *sources = standard_claim(r->claims, "_claim_sources");
    const cJSON *aud = standard_claim(r->claims, "aud");

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const cJSON *claim = standard_claim(r->claims, texts[i]);
        *ret_name = texts[i];
        *ret_why = "is no text";
        if (claim && !go_text(claim))
            return true;
    }
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        const cJSON *claim = standard_claim(r->claims, times[i]);
        *ret_name = times[i];
        *ret_why = "is no number";
        if (claim && !is_time(claim) && !(cJSON_IsNull(claim) && *times[i] == 'n'))
            return true;
    }
    *ret_name = "aud";
    *ret_why = "is no text and no list of texts";
    cJSON_ArrayForEach (one, aud)
        if (!go_text(one))
            return true;
    if (aud && !go_text(aud) && !cJSON_IsArray(aud))
        return true;
    *ret_name = "_claim_names";
    *ret_why = "is no object of texts";
    if (names && !cJSON_IsObject(names))
        return !cJSON_IsNull(names);
    cJSON_ArrayForEach (one, names)
        if (!go_text(one))
            return true;
    *ret_why = "names a source that _claim_sources has not";
    cJSON_ArrayForEach (one, names)
        if (!*go_text(one) || !cel_member(sources, go_text(one)))
            return true;
    return false;
}

static void file_shape(struct replay *r)
{
    const char *name, *why;
    char text[SHOWN_MAX];

    if (find_misshapen(r, &name, &why) &&
        tell(r, REFUSES, "auth-claims", ERROR_TOKEN_INVALID, "the claim %s %s: %s", name, why,
             shown(standard_claim(r->claims, name), text)))
        report_remedy(r->report, "have the provider leave the claim out, or send it as OpenID "
                                 "Connect says");
}

static void file_audience(struct replay *r)
{
    const cJSON *is = part(r->entry, "issuer"), *list = part(is, "audiences"), *one;
    const cJSON *aud = standard_claim(r->claims, "aud");
    char wanted[SHOWN_MAX], got[SHOWN_MAX];

    cJSON_ArrayForEach (one, list)
        if (go_text(one) && is_for(aud, go_text(one))) {
            tell(r, HOLDS, "auth-audience", ERROR_NONE, "%s, of %s%s%s", shown(one, got),
                 shown(list, wanted), *text_of(is, "audienceMatchPolicy") ? ", " : "",
                 text_of(is, "audienceMatchPolicy"));
            return;
        }
    if (tell(r, REFUSES, "auth-audience", ERROR_TOKEN_AUDIENCE,
             "%s.issuer.audiences are %s, the token has %s", r->path, shown(list, wanted),
             shown(aud, got)))
        report_remedy(r->report, "add the token's audience to issuer.audiences of the entry (with "
                                 "audienceMatchPolicy: MatchAny), or change client-id");
}

static void file_algorithm(struct replay *r)
{
    const char *alg = algorithm_of(r->header);

    if (apiserver_knows_algorithm(alg))
        tell(r, HOLDS, "auth-algorithm", ERROR_NONE, "%s", alg);
    else if (tell(r, REFUSES, "auth-algorithm", ERROR_TOKEN_ALGORITHM,
                  "%s, and by a file the API server takes RS, ES and PS with 256, 384 and 512",
                  alg))
        algorithm_remedy(r, alg, true);
}

/* ---- by a file: expressions ------------------------------------------------------------------ */

/* What has to come of an expression. */
enum wanted { CONDITION, NAME, TEXT, TEXTS };

struct expression {
    const char *link, *path, *text, *message;
    enum wanted wanted;
    enum cel_variable variable;
};

struct expression_outcome {
    struct cel *cel;
    struct cel_outcome o;
    bool is_known; /* o.value is what comes of it */
    char refusal[CEL_REASON_MAX +
                 160]; /* why the token is refused for it; "": it is not for certain */
};

/* A text, a list of texts, or null; empty ones are left out, or kept. NULL for anything else. */
static cJSON *texts_of(const cJSON *value, bool keep_empty)
{
    cJSON *list = cJSON_CreateArray();
    const cJSON *one = NULL;

    if (cJSON_IsString(value) && (keep_empty || *value->valuestring))
        json_tree_append(list, cJSON_CreateString(value->valuestring));
    if (cJSON_IsString(value) || cJSON_IsNull(value))
        return list;
    if (cJSON_IsArray(value)) {
        cJSON_ArrayForEach (one, value) {
            const char *text = keep_empty ? go_text(one) : cJSON_GetStringValue(one);
            if (!text)
                break;
            if (keep_empty || *text)
                json_tree_append(list, cJSON_CreateString(text));
        }
        if (!one)
            return list;
    }
    cJSON_Delete(list);
    return NULL;
}

/* Why it is refused, whatever its evaluation ends in; "" where it may be taken. */
static void find_refusal(const struct expression *x, struct expression_outcome *e)
{
    const struct cel_outcome *o = &e->o;
    enum cel_type type = cel_type(e->cel);
    const char *why = "";
    cJSON *list = NULL;

    if (o->may == CEL_FAILS)
        snprintf(e->refusal, sizeof e->refusal, "ends in the error %s",
                 *o->reason ? o->reason : "of a wrong type");
    else if (x->wanted == CONDITION && !(o->may & CEL_TRUE))
        snprintf(e->refusal, sizeof e->refusal, "cannot be true%s%.100s%s%s%s",
                 *x->message ? " (" : "", x->message, *x->message ? ")" : "",
                 *o->reason ? ": " : "", o->reason);
    else if (x->wanted == CONDITION)
        return;
    else if (x->wanted == TEXTS) {
        list = e->is_known ? texts_of(o->value, false) : NULL;
        if (!(o->may & CEL_OTHER) || type == CEL_BOOLEAN_TYPE || type == CEL_OTHER_TYPE ||
            (e->is_known && !list))
            why = "yields no string and no list of strings, and it must return one";
        cJSON_Delete(list);
    } else if (!(o->may & CEL_OTHER) || type >= CEL_LIST_TYPE || type == CEL_BOOLEAN_TYPE ||
               (e->is_known && !cJSON_IsString(o->value)))
        why = "yields no string, and it must return one";
    else if (x->wanted == NAME && e->is_known && !*o->value->valuestring)
        why = "yields an empty name, which is refused";
    if (*why)
        snprintf(e->refusal, sizeof e->refusal, "%s", why);
}

static const char *foreseen(const struct expression *x, const struct expression_outcome *e,
                            char out[SHOWN_MAX + 16])
{
    char text[SHOWN_MAX];

    out[0] = '\0';
    if (x->wanted == CONDITION && e->o.may == CEL_TRUE)
        snprintf(out, SHOWN_MAX + 16, ", foreseen: true");
    else if (x->wanted != CONDITION && e->is_known)
        snprintf(out, SHOWN_MAX + 16, ", foreseen: %s", shown(e->o.value, text));
    return out;
}

/* Tells of one, and what can be foreseen of it. The caller frees e->cel when it is done with
 * e->o. */
static void tell_expression(struct replay *r, const struct expression *x,
                            struct expression_outcome *e)
{
    char reads[300] = "", why[160], then[SHOWN_MAX + 16];
    const cJSON *value = x->variable == CEL_USER ? r->user : r->claims;

    *e = (struct expression_outcome){ .cel = cel_compile(x->text, x->variable, why, sizeof why) };
    if (!e->cel) /* a file that loads has none */
        return;
    e->o = cel_foresee(e->cel, value);
    e->is_known = e->o.value && !(e->o.may & CEL_FAILS);
    cel_describe(e->cel, value, reads, sizeof reads);
    find_refusal(x, e);
    const char *reading = *reads ? "; it reads " : "";
    if (*e->refusal)
        tell(r, REFUSES, x->link, ERROR_CLAIM_RULE, "%s: '%.160s' %s%s%s; not evaluated", x->path,
             x->text, e->refusal, reading, reads);
    else if ((e->o.may & CEL_FAILS) && *e->o.reason)
        tell(r, DOUBTFUL, x->link, ERROR_CLAIM_RULE,
             "%s: '%.160s' ends in the error %s where it comes to that%s%s; not evaluated", x->path,
             x->text, e->o.reason, reading, reads);
    else
        tell(r, HOLDS, x->link, ERROR_NONE, "%s: '%.160s'%s%s; not evaluated%s", x->path, x->text,
             reading, reads, foreseen(x, e, then));
}

/* Of username and uid. Returns what comes of it, to be freed, or NULL where that is not known. */
static cJSON *text_by_expression(struct replay *r, const struct expression *x)
{
    struct expression_outcome e;
    cJSON *ret = NULL;

    tell_expression(r, x, &e);
    if (!*e.refusal && e.is_known)
        ret = cJSON_CreateString(e.o.value->valuestring);
    cel_free(e.cel);
    return ret;
}

/* Of groups and extra. Returns the list, to be freed, or NULL where it is not known. */
static cJSON *texts_by_expression(struct replay *r, const struct expression *x)
{
    struct expression_outcome e;
    cJSON *ret = NULL;

    tell_expression(r, x, &e);
    if (!*e.refusal && e.is_known)
        ret = texts_of(e.o.value, false);
    if (!*e.refusal && !r->refused && e.cel && cel_ends_in(e.cel, "split") &&
        tell(r, DOUBTFUL, x->link, ERROR_CLAIM_RULE,
             "%s: Kubernetes 1.36 was seen to refuse the list that split() yields", x->path))
        report_remedy(r->report, "put .map(x, x) behind split(...): the list is taken then");
    cel_free(e.cel);
    return ret;
}

/* ---- by a file: the user --------------------------------------------------------------------- */

/* Only where the name is the claim email, and not where an expression reads it. */
static bool email_is_verified(struct replay *r, const char *path)
{
    const cJSON *verified = cel_member(r->claims, "email_verified");
    char text[SHOWN_MAX];

    if (!verified || cJSON_IsTrue(verified))
        return true;
    tell(r, REFUSES, "auth-username", ERROR_EMAIL_NOT_VERIFIED, "%s: email_verified is %s", path,
         shown(verified, text));
    return false;
}

static void username_by_claim(struct replay *r, const cJSON *m, const char *path)
{
    const char *claim = text_of(m, "claim"), *prefix = text_of(m, "prefix");
    const cJSON *value = cel_member(r->claims, claim);
    char name[ERROR_DETAIL_MAX], text[SHOWN_MAX];

    if (!go_text(value)) {
        tell(r, REFUSES, "auth-username", ERROR_USERNAME_CLAIM, "%s: the claim %s is %s", path,
             claim, value ? shown(value, text) : "not there");
        return;
    }
    if (strcmp(claim, "email") == 0 && !email_is_verified(r, path))
        return;
    snprintf(name, sizeof name, "%s%s", prefix, go_text(value));
    cJSON_AddStringToObject(r->user, "username", name);
    if (*name)
        tell(r, HOLDS, "auth-username", ERROR_NONE, "%s, by the claim %s", name, claim);
    else
        tell(r, DOUBTFUL, "auth-username", ERROR_USERNAME_CLAIM,
             "%s: the claim %s is empty, and so is the user's name", path, claim);
}

static void file_username(struct replay *r)
{
    const cJSON *m = part(part(r->entry, "claimMappings"), "username");
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s.claimMappings.username", r->path);
    if (!*text_of(m, "expression")) {
        username_by_claim(r, m, path);
        return;
    }
    cJSON *name = text_by_expression(r, &(struct expression){ "auth-username", path,
                                                              text_of(m, "expression"), "", NAME,
                                                              CEL_CLAIMS });
    if (name)
        json_tree_put(r->user, "username", name);
}

/* The API server fetches groups that the token has not in it, before it looks at anything else. */
static void file_elsewhere(struct replay *r)
{
    const char *claim = text_of(part(part(r->entry, "claimMappings"), "groups"), "claim");
    const cJSON *source = cel_member(r->claims, "_claim_names");

    if (!*claim || cel_member(r->claims, claim) || !source)
        return;
    if (!cel_member(r->claims, "_claim_sources")) {
        tell(r, REFUSES, "auth-groups", ERROR_GROUPS_ELSEWHERE,
             "there are _claim_names, and no _claim_sources");
        return;
    }
    source = cel_member(source, claim);
    source = cel_member(cel_member(r->claims, "_claim_sources"), go_text(source));
    if (!go_text(cel_member(source, "endpoint")) || !*go_text(cel_member(source, "endpoint")))
        return;
    r->groups_elsewhere = true;
    tell(r, DOUBTFUL, "auth-groups", ERROR_GROUPS_ELSEWHERE,
         "the API server fetches the claim %s, which was not tried", claim);
}

static void groups_by_claim(struct replay *r, const cJSON *m, const char *path)
{
    const char *claim = text_of(m, "claim"), *prefix = text_of(m, "prefix");
    const cJSON *value = cel_member(r->claims, claim), *one;
    char text[SHOWN_MAX], name[ERROR_DETAIL_MAX];

    if (!value) {
        json_tree_put(r->user, "groups", cJSON_CreateArray());
        tell(r, HOLDS, "auth-groups", ERROR_NONE, "none: the claim %s is not there", claim);
        return;
    }
    cJSON *found = texts_of(value, true);
    if (!found) {
        tell(r, REFUSES, "auth-groups", ERROR_GROUPS_CLAIM, "%s: the claim %s is %s", path, claim,
             shown(value, text));
        return;
    }
    cJSON *list = cJSON_AddArrayToObject(r->user, "groups");
    cJSON_ArrayForEach (one, found) {
        snprintf(name, sizeof name, "%s%s", prefix, one->valuestring);
        json_tree_append(list, cJSON_CreateString(name));
    }
    cJSON_Delete(found);
    tell(r, HOLDS, "auth-groups", ERROR_NONE, "%s, by the claim %s", shown(list, text), claim);
}

static void file_groups(struct replay *r)
{
    const cJSON *m = part(part(r->entry, "claimMappings"), "groups");
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s.claimMappings.groups", r->path);
    if (*text_of(m, "expression")) {
        cJSON *list = texts_by_expression(r, &(struct expression){ "auth-groups", path,
                                                                   text_of(m, "expression"), "",
                                                                   TEXTS, CEL_CLAIMS });
        if (list)
            json_tree_put(r->user, "groups", list);
    } else if (!*text_of(m, "claim")) {
        json_tree_put(r->user, "groups", cJSON_CreateArray());
    } else if (!r->groups_elsewhere) {
        groups_by_claim(r, m, path);
    }
}

static void file_uid(struct replay *r)
{
    const cJSON *m = part(part(r->entry, "claimMappings"), "uid");
    const char *claim = text_of(m, "claim");
    const cJSON *value = cel_member(r->claims, claim);
    char path[PATH_SIZE], text[SHOWN_MAX];
    cJSON *uid = NULL;

    snprintf(path, sizeof path, "%s.claimMappings.uid", r->path);
    if (*text_of(m, "expression"))
        uid = text_by_expression(r,
                                 &(struct expression){ "auth-uid", path, text_of(m, "expression"),
                                                       "", TEXT, CEL_CLAIMS });
    else if (*claim && go_text(value)) {
        tell(r, HOLDS, "auth-uid", ERROR_NONE, "%s, by the claim %s", go_text(value), claim);
        uid = cJSON_CreateString(go_text(value));
    } else if (*claim)
        tell(r, REFUSES, "auth-uid", ERROR_REQUIRED_CLAIM, "%s: the claim %s is %s", path, claim,
             value ? shown(value, text) : "not there");
    else
        uid = cJSON_CreateString("");
    if (uid)
        json_tree_put(r->user, "uid", uid);
}

static cJSON *free_json(cJSON *json)
{
    cJSON_Delete(json);
    return NULL;
}

static void file_extra(struct replay *r)
{
    const cJSON *one;
    char path[PATH_SIZE + 40];
    int i = 0;

    cJSON *known = cJSON_CreateObject();              /* NULL: not all of it is */
    if (cJSON_IsString(cel_member(r->claims, "jti"))) /* is put in by the API server */
        known = free_json(known);
    cJSON_ArrayForEach (one, part(part(r->entry, "claimMappings"), "extra")) {
        snprintf(path, sizeof path, "%s.claimMappings.extra[%d] %.40s", r->path, i++,
                 text_of(one, "key"));
        cJSON *list = texts_by_expression(r, &(struct expression){ "auth-extra", path,
                                                                   text_of(one, "valueExpression"),
                                                                   "", TEXTS, CEL_CLAIMS });
        if (!list)
            known = free_json(known);
        if (known && cJSON_GetArraySize(list) > 0)
            json_tree_put(known, text_of(one, "key"), list);
        else
            cJSON_Delete(list);
    }
    if (known)
        json_tree_put(r->user, "extra", known);
}

/* ---- by a file: the rules -------------------------------------------------------------------- */

static void file_required(struct replay *r)
{
    const cJSON *rule;
    char path[PATH_SIZE];
    int i = 0;

    cJSON_ArrayForEach (rule, part(r->entry, "claimValidationRules")) {
        snprintf(path, sizeof path, "%s.claimValidationRules[%d]: ", r->path, i++);
        if (*text_of(rule, "claim"))
            required_claim(r, "auth-required", text_of(rule, "claim"),
                           text_of(rule, "requiredValue"), path);
    }
}

static void file_rules(struct replay *r, const char *list, const char *link,
                       enum cel_variable variable)
{
    const cJSON *rule;
    struct expression_outcome e;
    char path[PATH_SIZE];
    int i = 0;

    cJSON_ArrayForEach (rule, part(r->entry, list)) {
        snprintf(path, sizeof path, "%s.%s[%d]", r->path, list, i++);
        if (!*text_of(rule, "expression"))
            continue;
        tell_expression(r,
                        &(struct expression){ link, path, text_of(rule, "expression"),
                                              text_of(rule, "message"), CONDITION, variable },
                        &e);
        cel_free(e.cel);
    }
}

static void tell_user(struct replay *r)
{
    const cJSON *groups = part(r->user, "groups"), *uid = part(r->user, "uid");
    const cJSON *name = part(r->user, "username");
    char text[SHOWN_MAX];

    tell(r, HOLDS, "auth-user", ERROR_NONE, "%s, groups %s, uid %s",
         name ? text_of(r->user, "username") : "not known: its expression is not evaluated",
         groups ? shown(groups, text) : "not known",
         !uid                       ? "not known"
         : *text_of(r->user, "uid") ? text_of(r->user, "uid")
                                    : "none");
}

void apiserver_replay_file(const struct authentication_config *config, const cJSON *header,
                           const cJSON *claims, struct report *report)
{
    struct replay r = { .report = report, .header = header, .claims = claims };

    r.entry = find_entry(config, claims, r.path);
    if (!r.entry) {
        no_entry(&r, config);
        return;
    }
    r.user = cJSON_CreateObject();
    file_issuer(&r);
    file_shape(&r);
    file_audience(&r);
    file_algorithm(&r);
    file_elsewhere(&r);
    file_username(&r);
    file_groups(&r);
    file_uid(&r);
    file_extra(&r);
    file_required(&r);
    file_rules(&r, "claimValidationRules", "auth-rule", CEL_CLAIMS);
    file_rules(&r, "userValidationRules", "auth-user-rule", CEL_USER);
    tell_user(&r);
    cJSON_Delete(r.user);
}

/* ---- the entry in words ---------------------------------------------------------------------- */

struct words {
    char *out;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void say(struct words *w, const char *format, ...)
{
    size_t used = strlen(w->out);
    va_list ap;

    va_start(ap, format);
    vsnprintf(w->out + used, w->size - used, format, ap);
    va_end(ap);
}

static void say_mapping(struct words *w, const char *name, const cJSON *m)
{
    if (*text_of(m, "claim"))
        say(w, "; %s from %s%s", name, text_of(m, "prefix"), text_of(m, "claim"));
    else if (*text_of(m, "expression"))
        say(w, "; %s '%.80s'", name, text_of(m, "expression"));
}

void apiserver_describe_entry(const struct authentication_config *config, const cJSON *claims,
                              char *out, size_t size)
{
    struct words w = { out, size };
    char path[16], text[SHOWN_MAX];
    const cJSON *entry = find_entry(config, claims, path), *rule;
    const cJSON *m = part(entry, "claimMappings");

    out[0] = '\0';
    if (!entry)
        return;
    say(&w, "%s: audiences %s", path, shown(part(part(entry, "issuer"), "audiences"), text));
    say_mapping(&w, "username", part(m, "username"));
    say_mapping(&w, "groups", part(m, "groups"));
    say_mapping(&w, "uid", part(m, "uid"));
    cJSON_ArrayForEach (rule, part(m, "extra")) {
        say(&w, "; extra '%.80s'", text_of(rule, "valueExpression"));
    }
    cJSON_ArrayForEach (rule, part(entry, "claimValidationRules"))
        if (*text_of(rule, "claim"))
            say(&w, "; %s=%s", text_of(rule, "claim"), text_of(rule, "requiredValue"));
    cJSON_ArrayForEach (rule, part(entry, "claimValidationRules"))
        if (*text_of(rule, "expression"))
            say(&w, "; '%.80s'", text_of(rule, "expression"));
    cJSON_ArrayForEach (rule, part(entry, "userValidationRules")) {
        say(&w, "; '%.80s'", text_of(rule, "expression"));
    }
}
