#define _GNU_SOURCE
#include "daemon/fetch/id_token.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kube_user.h"
#include "common/time.h"
#include "daemon/fetch/as_go.h"
#include "daemon/fetch/claims_diff.h"
#include "daemon/fetch/json.h"
#include "daemon/fetch/jws.h"

static const int64_t nbf_leeway = 60; /* seconds, as kube-apiserver has it; exp has none */

__attribute__((format(printf, 3, 4))) static int refuse(struct result *ret, enum error_code code,
                                                        const char *format, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    /* The password was sent and accepted: asking again soon would be one login after the other. */
    ret->outcome = OUTCOME_SOFT;
    error_set(&ret->error, code, "%s", text);
    return -1;
}

void id_token_warn(struct result *ret, enum error_code code, const char *format, ...)
{
    char text[512];
    va_list ap;

    if (ret->n_warnings == RESULT_WARNINGS_MAX)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    error_set(&ret->warnings[ret->n_warnings++], code, "%s", text);
}

/* One base64url part as a JSON object, or NULL. */
static cJSON *part_json(const char *part, size_t length)
{
    char *text = malloc(length + 1);
    cJSON *json = NULL;

    if (!text)
        return NULL;
    long n = base64url_decode(part, length, (unsigned char *)text);
    if (n > 0 && *text != '\xef') { /* cJSON skips a byte order mark, Go does not */
        text[n] = '\0';
        json = json_object(text, (size_t)n);
    }
    free(text);
    return json;
}

static bool listed(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " \t,");
        if (n == length && strncmp(p, word, n) == 0)
            return true;
        p += n + (p[n] != '\0');
    }
    return false;
}

static int check_header(const struct id_token *t, struct result *ret)
{
    const cJSON *header = t->header;
    const char *alg = json_string(header, "alg");
    char why[AS_GO_WHY];

    if (!as_go_header(header, why))
        return refuse(ret, ERROR_TOKEN_INVALID, "%s", why);
    if (!alg)
        return refuse(ret, ERROR_TOKEN_INVALID, "its header has no alg");
    if (!jws_supported(alg)) /* signing-algs takes none of these */
        return refuse(ret, ERROR_TOKEN_UNVERIFIABLE, "it is signed with %s%s", alg,
                      strncmp(alg, "HS", 2) == 0 ? ", by a secret that it shares with the client"
                      : strcmp(alg, "none") == 0 ? ", which is no signature"
                                                 : "");
    if (!listed(t->job->signing_algs, alg))
        return refuse(ret, ERROR_TOKEN_ALGORITHM, "it is signed with %s; signing-algs allows %s",
                      alg, t->job->signing_algs);
    return 0;
}

/* The key that verifies the token, of those that have its kid or of those that have none; tried is
 * how many there were. Its index, or -1. */
static ssize_t find_key(const struct id_token *t, bool unnamed, unsigned *tried)
{
    const char *alg = json_string(t->header, "alg"), *kid = json_string(t->header, "kid");

    for (size_t i = 0; i < t->keys->n; i++) {
        const struct jwk *key = &t->keys->keys[i];
        if (!jwks_fits(key, alg, kid) || jwks_unnamed(key, kid) != unnamed)
            continue;
        ++*tried;
        if (jws_verify(t->text, alg, key->key))
            return (ssize_t)i;
    }
    return -1;
}

/* No key verifies it: because of what is published? */
static int refuse_signature(const struct id_token *t, bool tried, struct result *ret)
{
    const char *alg = json_string(t->header, "alg"), *kid = json_string(t->header, "kid");

    for (size_t i = 0; i < t->keys->n_refused; i++)
        if (jwks_fits(&t->keys->refused[i], alg, kid))
            return refuse(ret, ERROR_KEY_UNSAFE, "key \"%s\": %s",
                          t->keys->refused[i].kid ? t->keys->refused[i].kid : "",
                          t->keys->refused[i].why);
    if (!tried)
        return refuse(ret, ERROR_TOKEN_SIGNATURE, "the provider publishes no %s key named \"%s\"",
                      alg, kid ? kid : "");
    return refuse(ret, ERROR_TOKEN_SIGNATURE, "alg %s, kid \"%s\"", alg, kid ? kid : "");
}

/* The provider means it well, but the API server will not find the key. */
static void foresee_keys(const struct id_token *t, bool unnamed, struct result *ret)
{
    if (*t->keys->unreadable)
        id_token_warn(ret, ERROR_KEYS_UNREADABLE, "%s", t->keys->unreadable);
    if (unnamed)
        id_token_warn(ret, ERROR_KEYS_UNREADABLE,
                      "the token names key \"%s\", and the key that signed it has no kid",
                      json_string(t->header, "kid"));
}

static int check_signature(const struct id_token *t, struct result *ret)
{
    bool unnamed = false;
    unsigned tried = 0;

    if (!t->keys || !json_string(t->header, "alg"))
        return 0;
    ssize_t found = find_key(t, false, &tried);
    if (found < 0) {
        unnamed = true;
        found = find_key(t, true, &tried);
    }
    if (found < 0)
        return refuse_signature(t, tried > 0, ret);
    const struct jwk *key = &t->keys->keys[found];
    jwks_mark_used(t->keys, (size_t)found);
    ret->verified = !key->leaked;
    if (key->leaked) /* the API server does not mind */
        id_token_warn(ret, ERROR_KEY_UNSAFE, "key \"%s\": its private part is published as another",
                      key->kid ? key->kid : "");
    foresee_keys(t, unnamed, ret);
    return 0;
}

/* A claim in another spelling, for one that is not good itself. The standards know it not, and so
 * it is not taken here; but who sees the API server take it should know why. */
static const char *say_instead(const cJSON *instead, char out[80])
{
    *out = '\0';
    if (instead)
        snprintf(out, 80, "; its \"%.20s\" counts for the API server alone", instead->string);
    return out;
}

/* For whom it is to be beside the client: of an exchange that was asked for an audience the API
 * server may have that as its client id. */
static const char *other_audience(const struct job *job)
{
    return job->subject_token_type ? job->audience : NULL;
}

static bool is_for_us(const struct id_token *t, const cJSON *aud)
{
    const char *other = other_audience(t->job);

    return json_holds(aud, t->job->client_id) || (other && json_holds(aud, other));
}

static int refuse_audience(const struct id_token *t, const cJSON *aud, const cJSON *instead,
                           struct result *ret)
{
    char *text = aud ? cJSON_PrintUnformatted(aud) : NULL, more[80];
    const char *other = other_audience(t->job);

    refuse(ret, ERROR_TOKEN_AUDIENCE, "expected \"%s\"%s%s%s, got %s%s", t->job->client_id,
           other ? " or \"" : "", other ? other : "", other ? "\"" : "", text ? text : "none",
           say_instead(instead, more));
    cJSON_free(text);
    return -1;
}

static int check_audience(const struct id_token *t, struct result *ret)
{
    const cJSON *aud = json_get(t->claims, "aud"), *instead = as_go_instead(t->claims, "aud");
    const cJSON *entry;

    if (!is_for_us(t, aud))
        return refuse_audience(t, aud, is_for_us(t, instead) ? instead : NULL, ret);
    if (cJSON_IsArray(aud))
        cJSON_ArrayForEach (entry, aud)
            if (!cJSON_IsString(entry) && !cJSON_IsNull(entry))
                return refuse(ret, ERROR_TOKEN_INVALID, "its aud holds what is no string");
    if (instead && !is_for_us(t, instead))
        return refuse(ret, ERROR_TOKEN_AUDIENCE, "the API server takes its \"%s\" for aud",
                      instead->string);
    return 0;
}

static cJSON *claims_of(const char *token)
{
    const char *payload = strchr(token, '.');
    const char *signature = payload ? strchr(payload + 1, '.') : NULL;

    return signature ? part_json(payload + 1, (size_t)(signature - payload - 1)) : NULL;
}

static bool is_later(const cJSON *claims, const cJSON *before, int64_t date)
{
    int64_t iat, old_iat, exp, old_exp;

    if (json_seconds(claims, "iat", &iat) > 0 && json_seconds(before, "iat", &old_iat) > 0)
        return iat > old_iat || (date > 0 && date <= iat + 1); /* both are whole seconds */
    return json_seconds(claims, "exp", &exp) <= 0 || json_seconds(before, "exp", &old_exp) <= 0 ||
           exp > old_exp;
}

bool id_token_is_newer(const char *token, const char *before, int64_t date)
{
    if (strcmp(token, before) == 0)
        return false;
    cJSON *claims = claims_of(token), *old = claims_of(before);
    bool newer = !claims || !old || is_later(claims, old, date);
    cJSON_Delete(claims);
    cJSON_Delete(old);
    return newer;
}

/* How long it lives from when it was asked for, in seconds; 0 or less: it is dead. A token dies at
 * sent + min(exp - iat, exp - Date). Where Date is missing, or would have it dead on arrival,
 * exp - iat alone is as good, for a token that was issued just now (docs/design.md §4). */
static int64_t life_of(const struct id_token *t, int64_t exp, const int64_t *iat,
                       struct result *ret)
{
    const char *before = t->job->previous;
    int64_t wall = time_realtime() / (int64_t)USEC_PER_SEC, now = t->date > 0 ? t->date : wall;
    bool newer = !before || id_token_is_newer(t->text, before, t->date);
    /* one issued after its own end says nothing: the API server does not look at iat */
    int64_t left = exp - now, whole = iat && *iat < exp ? exp - *iat : left;

    if (t->job->kind == JOB_VERIFY) /* a program may have had it for long */
        return whole < left ? whole : left;
    if (t->date <= 0 && newer)
        return whole;
    if (left > 0 || whole <= 0 || !newer || exp <= wall)
        return whole < left ? whole : left;
    id_token_warn(ret, ERROR_TOKEN_EXPIRED,
                  "by the provider's own clock (Date) its token is expired by %lld s",
                  (long long)-left);
    return whole;
}

static int check_times(const struct id_token *t, struct result *ret)
{
    const cJSON *claims = t->claims;
    int64_t date = t->date, exp = 0, iat = 0, nbf = 0;
    int has_exp = json_seconds(claims, "exp", &exp), has_iat = json_seconds(claims, "iat", &iat);
    int has_nbf = json_seconds(claims, "nbf", &nbf);
    char more[80];

    if (cJSON_IsNull(json_get(claims, "nbf"))) /* Go takes null for no nbf, but not for no exp */
        has_nbf = 0;
    if (has_exp <= 0)
        return refuse(ret, ERROR_TOKEN_INVALID, "its exp is %s%s", has_exp ? "no date" : "missing",
                      say_instead(as_go_instead(claims, "exp"), more));
    if (has_iat < 0 || has_nbf < 0)
        return refuse(ret, ERROR_TOKEN_INVALID, "its %s is no date", has_iat < 0 ? "iat" : "nbf");
    const char *exp_name = as_go_shorten(claims, "exp", &exp);
    const char *nbf_name = as_go_shorten(claims, "nbf", &nbf);
    if (exp == -JSON_SECONDS_MOST) /* long past for Go, which was not meant */
        return refuse(ret, ERROR_TOKEN_INVALID, "its %s is no date", exp_name);
    if (nbf && date > 0 && nbf > date + nbf_leeway)
        return refuse(ret, ERROR_TOKEN_INVALID, "it is valid only in %lld s (%s)",
                      (long long)(nbf - date), nbf_name);
    /* what was cut to seconds, iat and Date, may have been nearly one more */
    int64_t life = life_of(t, exp, has_iat ? &iat : NULL, ret) - 1;
    if (life < 0)
        return refuse(ret, ERROR_TOKEN_EXPIRED, "%s is %lld s past", exp_name,
                      (long long)(-life - 1));
    if (life == 0)
        return refuse(ret, ERROR_TOKEN_EXPIRED, "it lives for less than a second");
    ret->lifetime = (uint64_t)(life < RESULT_LIFETIME_MAX ? life : RESULT_LIFETIME_MAX) *
                    USEC_PER_SEC;
    return 0;
}

/* A claim as Go reads it into a string: "" for null too. Returns NULL for what it does not take. */
static const char *text_of(const cJSON *claim)
{
    return cJSON_IsNull(claim) ? "" : cJSON_IsString(claim) ? claim->valuestring : NULL;
}

static const char *kind_of(const cJSON *claim)
{
    return cJSON_IsNull(claim)     ? "null"
           : cJSON_IsString(claim) ? "a text"
           : cJSON_IsNumber(claim) ? "a number"
           : cJSON_IsArray(claim)  ? "a list"
           : cJSON_IsObject(claim) ? "an object"
                                   : "true or false";
}

static void keep_text(const struct id_token *t, const char *claim, char *out, size_t size)
{
    const char *text = json_string(t->claims, claim);

    if (text)
        error_clean(out, size, text, strlen(text));
}

/* With the username claim email the API server looks at this once it could read the email. */
static bool is_unverified(const struct id_token *t)
{
    const cJSON *verified = json_get(t->claims, "email_verified");

    return verified && !cJSON_IsTrue(verified);
}

static bool counts_email(const struct id_token *t)
{
    return !t->job->username_claim || strcmp(t->job->username_claim, "email") == 0;
}

/* The username claim that the profile names. One that is there and empty makes a user of the
 * prefix alone. */
static void check_username(const struct id_token *t, struct result *ret)
{
    const char *claim = t->job->username_claim, *prefix = t->job->username_prefix;
    const cJSON *value = json_get(t->claims, claim);
    const char *text = text_of(value);
    char user[RESULT_DETAIL_MAX];

    if (!value) {
        id_token_warn(ret, ERROR_USERNAME_CLAIM, "%s is missing: the API server answers 401",
                      claim);
    } else if (!text) {
        id_token_warn(ret, ERROR_USERNAME_CLAIM, "%s is %s, no text: the API server answers 401",
                      claim, kind_of(value));
    } else if (*text == '\0' && !(counts_email(t) && is_unverified(t))) {
        kube_user_name(user, sizeof user, claim, prefix, t->job->issuer, "");
        id_token_warn(ret, ERROR_USERNAME_CLAIM, "%s is %s: the API server sees the user \"%s\"",
                      claim, cJSON_IsNull(value) ? "null" : "empty", user);
    }
}

/* Whether the request asked for it: what was not asked for is not missed. */
static bool asked_for_email(const struct job *job)
{
    return job->scope && listed(job->scope, "email");
}

/* No username-claim says whether the email counts: it does for many an API server. */
static void check_email_untold(const struct id_token *t, struct result *ret)
{
    const cJSON *email = json_get(t->claims, "email");
    const char *text = text_of(email);

    if (!email && asked_for_email(t->job))
        id_token_warn(ret, ERROR_EMAIL_CLAIM,
                      "it has no email: with username claim email the API server would answer 401");
    else if (email && !text)
        id_token_warn(ret, ERROR_EMAIL_CLAIM,
                      "its email is %s, no text: with username claim email the API server would "
                      "answer 401",
                      kind_of(email));
    else if (email && *text == '\0' && !is_unverified(t))
        id_token_warn(ret, ERROR_EMAIL_CLAIM,
                      "its email is %s: with username claim email the API server would see the "
                      "user \"\", and answer 403",
                      cJSON_IsNull(email) ? "null" : "empty");
}

static void check_email_verified(const struct id_token *t, struct result *ret)
{
    const cJSON *verified = json_get(t->claims, "email_verified");

    if (!counts_email(t) || !text_of(json_get(t->claims, "email")) || !is_unverified(t))
        return;
    id_token_warn(ret, ERROR_EMAIL_NOT_VERIFIED, "email_verified is %s: %s",
                  cJSON_IsFalse(verified)    ? "false"
                  : cJSON_IsNull(verified)   ? "null"
                  : cJSON_IsString(verified) ? "a text, not true"
                                             : "not true",
                  t->job->username_claim
                      ? "the API server answers 401"
                      : "with username claim email the API server would answer 401");
}

/* kube-apiserver then fetches them (OIDC Core, section 5.6.2). */
static bool are_elsewhere(const cJSON *claims, const char *name)
{
    const cJSON *names = json_get(claims, "_claim_names");

    return !json_get(claims, name) && cJSON_IsObject(names) && json_get(names, name);
}

static void check_groups(const struct id_token *t, struct result *ret)
{
    const cJSON *groups = json_get(t->claims, t->job->groups_claim), *entry;
    /* null is none, and an empty one, as Go reads it */
    bool good = !groups || cJSON_IsString(groups) || cJSON_IsArray(groups) || cJSON_IsNull(groups);

    if (cJSON_IsArray(groups))
        cJSON_ArrayForEach (entry, groups)
            good &= cJSON_IsString(entry) || cJSON_IsNull(entry);
    if (!good)
        id_token_warn(ret, ERROR_GROUPS_CLAIM, "%s", t->job->groups_claim);
    if (are_elsewhere(t->claims, t->job->groups_claim))
        id_token_warn(ret, ERROR_GROUPS_ELSEWHERE, "%s", t->job->groups_claim);
}

/* What the API server makes of a token that is good: whom it sees, and what it still rejects. */
static void foresee(const struct id_token *t, struct result *ret)
{
    const char *claim = t->job->username_claim;

    keep_text(t, "sub", ret->sub, sizeof ret->sub);
    if (!is_unverified(t)) /* else there is no user by it */
        keep_text(t, "email", ret->email, sizeof ret->email);
    if (claim) {
        keep_text(t, claim, ret->user, sizeof ret->user);
        check_username(t, ret);
    } else {
        check_email_untold(t, ret);
    }
    check_email_verified(t, ret);
    if (t->job->groups_claim)
        check_groups(t, ret);
}

/* The last that is not null, which Go passes over. */
static const char *issuer_of(const cJSON *claims)
{
    const cJSON *claim, *found = NULL;

    cJSON_ArrayForEach (claim, claims) {
        if (strcmp(claim->string, "iss") == 0 && !cJSON_IsNull(claim))
            found = claim;
    }
    return cJSON_GetStringValue(found);
}

static int check_issuer(const struct id_token *t, struct result *ret)
{
    const cJSON *instead = as_go_instead(t->claims, "iss");
    const char *iss = issuer_of(t->claims);
    bool other = instead &&
                 (!cJSON_IsString(instead) || strcmp(instead->valuestring, t->job->issuer) != 0);
    char more[80];

    if (!iss || strcmp(iss, t->job->issuer) != 0)
        return refuse(ret, ERROR_ISSUER_MISMATCH, "configured \"%s\", the id_token says \"%s\"%s",
                      t->job->issuer, iss ? iss : "", say_instead(other ? NULL : instead, more));
    if (other)
        return refuse(ret, ERROR_ISSUER_MISMATCH, "the API server takes its \"%s\" for iss",
                      instead->string);
    return 0;
}

static void warn_of_spellings(const cJSON *claims, struct result *ret)
{
    static const char *const names[] = { "iss", "aud", "exp", "iat", "nbf", "sub" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cJSON *instead = as_go_instead(claims, names[i]);
        if (instead && json_get(claims, names[i]))
            id_token_warn(ret, ERROR_CLAIM_TWICE, "%s and %.60s", names[i], instead->string);
    }
}

static int check_claims(const struct id_token *t, struct result *ret)
{
    const char *twice = json_twice(t->claims);
    char why[AS_GO_WHY];

    if (!as_go_claims(t->claims, why))
        return refuse(ret, ERROR_TOKEN_INVALID, "%s", why);
    if (twice)
        id_token_warn(ret, ERROR_CLAIM_TWICE, "%s", twice);
    warn_of_spellings(t->claims, ret);
    foresee(t, ret);
    return 0;
}

const struct id_token_check_row id_token_checks[ID_TOKEN_CHECKS] = {
    { "header", check_header },     { "signature", check_signature }, { "issuer", check_issuer },
    { "audience", check_audience }, { "times", check_times },         { "claims", check_claims },
};

void id_token_changes(const char *before, const char *after, char *out, size_t size)
{
    cJSON *old = claims_of(before), *new = claims_of(after);

    out[0] = '\0';
    if (old && new)
        claims_diff(old, new, out, size);
    cJSON_Delete(old);
    cJSON_Delete(new);
}

static cJSON *header_of(const char *token, size_t length)
{
    const char *dot = memchr(token, '.', length);

    return part_json(token, dot ? (size_t)(dot - token) : 0);
}

void id_token_key(const char *token, size_t length, char *out, size_t size)
{
    cJSON *header = header_of(token, length);
    const char *kid = header ? json_string(header, "kid") : NULL;

    error_clean(out, size, kid ? kid : "", kid ? strlen(kid) : 0);
    cJSON_Delete(header);
}

bool id_token_key_known(const char *token, size_t length, const struct jwks *keys)
{
    cJSON *header = header_of(token, length);
    const char *alg = header ? json_string(header, "alg") : NULL;
    bool known = false;

    for (size_t i = 0; alg && i < keys->n; i++)
        known |= jwks_fits(&keys->keys[i], alg, json_string(header, "kid"));
    cJSON_Delete(header);
    return known;
}

/* RFC 7516 §9: five parts, and enc in the header. */
static bool is_encrypted(const char *text)
{
    size_t dots = 0;

    for (const char *p = text; (p = strchr(p, '.')); p++)
        dots++;
    cJSON *header = dots == 4 ? part_json(text, strcspn(text, ".")) : NULL;
    bool encrypted = header && json_get(header, "enc");
    cJSON_Delete(header);
    return encrypted;
}

static int refuse_shape(const char *text, size_t length, struct result *ret)
{
    if (length > RESULT_TOKEN_MAX)
        return refuse(ret, ERROR_TOKEN_TOO_LONG, "%zu bytes, and %d at most", length,
                      RESULT_TOKEN_MAX);
    if (is_encrypted(text))
        return refuse(ret, ERROR_TOKEN_ENCRYPTED, "it has the five parts of a JWE, not three");
    return refuse(ret, ERROR_TOKEN_INVALID, "it is not three base64url parts");
}

int id_token_open(struct id_token *ret, const struct job *job, const char *text, size_t length,
                  struct result *result)
{
    *ret = (struct id_token){ .job = job, .text = text };
    if (!job_token_shaped(text, length))
        return refuse_shape(text, length, result);
    const char *payload = strchr(text, '.') + 1, *signature = strchr(payload, '.') + 1;
    ret->header = part_json(text, (size_t)(payload - text - 1));
    ret->claims = part_json(payload, (size_t)(signature - payload - 1));
    if (!ret->header || !ret->claims)
        return refuse(result, ERROR_TOKEN_INVALID, "its %s is not a JSON object",
                      ret->header ? "payload" : "header");
    return 0;
}

void id_token_close(struct id_token *t)
{
    cJSON_Delete(t->header);
    cJSON_Delete(t->claims);
    *t = (struct id_token){ .text = NULL };
}

int id_token_check(const struct job *job, const char *token, size_t length, struct jwks *keys,
                   int64_t date, struct result *ret)
{
    struct id_token t;
    int r = id_token_open(&t, job, token, length, ret);

    t.keys = keys;
    t.date = date;
    for (size_t i = 0; r == 0 && i < ID_TOKEN_CHECKS; i++)
        r = id_token_checks[i].run(&t, ret);
    ret->verified &= r == 0;
    id_token_close(&t);
    return r;
}
