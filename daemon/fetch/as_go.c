#define _GNU_SOURCE
#include "daemon/fetch/as_go.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/fetch/json.h"
#include "daemon/fetch/jwk_go.h"
#include "daemon/fetch/jwks.h"

__attribute__((format(printf, 2, 3))) static bool unread(char why[AS_GO_WHY], const char *format,
                                                         ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(why, AS_GO_WHY, format, ap);
    va_end(ap);
    return false;
}

/* ---- the header ------------------------------------------------------------------------------ */

/* At whatever depth: RFC 7515 §4, and the library goes further. */
static const char *twice_below(const cJSON *member)
{
    const char *twice = cJSON_IsObject(member) ? json_twice(member) : NULL;
    const cJSON *child;

    if (cJSON_IsObject(member) || cJSON_IsArray(member))
        for (child = member->child; child && !twice; child = child->next)
            twice = twice_below(child);
    return twice;
}

/* RFC 7515 §4.1.11: what is in it must be understood. b64 is (RFC 7797), as long as it is true. */
static bool is_understood(const cJSON *crit)
{
    const cJSON *entry;

    if (!crit || cJSON_IsNull(crit))
        return true;
    if (!cJSON_IsArray(crit))
        return false;
    cJSON_ArrayForEach (entry, crit)
        if (!cJSON_IsString(entry) || strcmp(entry->valuestring, "b64") != 0)
            return false;
    return true;
}

/* A key that the token brings along: used by nobody, but read. */
static bool is_public_key(const cJSON *jwk)
{
    char curve[CURVE_SIZE] = "", why[JWK_GO_WHY];
    const char *kty = json_string(jwk, "kty");

    if (!jwk || cJSON_IsNull(jwk))
        return true;
    EVP_PKEY *key = jwks_key(jwk, curve);
    bool good = jwk_go_reads(jwk, key, why) && !jwk_go_private(jwk) && strcmp(kty, "oct") != 0 &&
                jwk_go_has_exponent(jwk);
    EVP_PKEY_free(key);
    return good;
}

static bool is_text(const cJSON *member)
{
    return !member || cJSON_IsNull(member) || cJSON_IsString(member);
}

bool as_go_header(const cJSON *header, char why[AS_GO_WHY])
{
    const char *twice = twice_below(header);

    if (twice)
        return unread(why, "its header has two %.60s", twice);
    if (!is_text(json_get(header, "kid")))
        return unread(why, "its kid is no string");
    if (!is_text(json_get(header, "nonce")))
        return unread(why, "the nonce of its header is no string");
    if (!is_understood(json_get(header, "crit")))
        return unread(why, "its header has crit");
    if (cJSON_IsFalse(json_get(header, "b64"))) /* RFC 7797 §7: not in a JWT */
        return unread(why, "its header has b64");
    if (!jwk_go_certificates(json_get(header, "x5c")))
        return unread(why, "the x5c of its header is no list of certificates");
    return is_public_key(json_get(header, "jwk")) ||
           unread(why, "the jwk of its header is no public key");
}

/* ---- the claims ------------------------------------------------------------------------------ */

static bool is_date(const cJSON *claim)
{
    cJSON alone = *claim, object = { .type = cJSON_Object, .child = &alone };
    int64_t seconds;

    alone.next = NULL; /* another of the same name would be found instead */
    return json_seconds(&object, claim->string, &seconds) > 0;
}

static bool is_date_or_null(const cJSON *claim)
{
    return cJSON_IsNull(claim) || is_date(claim);
}

static bool is_audience(const cJSON *claim)
{
    const cJSON *entry;

    if (!cJSON_IsArray(claim))
        return is_text(claim);
    cJSON_ArrayForEach (entry, claim)
        if (!is_text(entry))
            return false;
    return true;
}

static bool is_names(const cJSON *claim)
{
    const cJSON *entry;

    if (cJSON_IsObject(claim))
        cJSON_ArrayForEach (entry, claim)
            if (!is_text(entry))
                return false;
    return cJSON_IsObject(claim) || cJSON_IsNull(claim);
}

static bool is_sources(const cJSON *claim)
{
    const cJSON *entry;

    if (cJSON_IsObject(claim))
        cJSON_ArrayForEach (entry, claim)
            if (!cJSON_IsNull(entry) &&
                (!cJSON_IsObject(entry) || !is_text(json_get_as_go(entry, "endpoint")) ||
                 !is_text(json_get_as_go(entry, "access_token"))))
                return false;
    return cJSON_IsObject(claim) || cJSON_IsNull(claim);
}

static const struct kind {
    const char *name, *what;
    bool (*is)(const cJSON *claim);
    bool elsewhere; /* the check of the claim itself looks at the exact name */
} kinds[] = {
    { "iss", "string", is_text, true },
    { "aud", "string or list of strings", is_audience, true },
    { "exp", "date", is_date, true },
    { "iat", "date", is_date, true },
    { "nbf", "date", is_date_or_null, true },
    { "sub", "string", is_text, false },
    { "nonce", "string", is_text, false },
    { "at_hash", "string", is_text, false },
    { "_claim_names", "object of strings", is_names, false },
    { "_claim_sources", "object of objects", is_sources, false },
};

/* Where a claim is to be had instead (OIDC Core, section 5.6.2). */
static bool are_found(const cJSON *claims, char why[AS_GO_WHY])
{
    const cJSON *names = json_get_as_go(claims, "_claim_names"), *name;
    const cJSON *sources = json_get_as_go(claims, "_claim_sources");

    if (cJSON_IsObject(names))
        cJSON_ArrayForEach (name, names)
            if (!cJSON_IsString(name) || !json_get(sources, name->valuestring))
                return unread(why, "its _claim_sources lacks that of %.60s", name->string);
    return true;
}

bool as_go_claims(const cJSON *claims, char why[AS_GO_WHY])
{
    const cJSON *claim;

    cJSON_ArrayForEach (claim, claims)
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (json_same_name(claim->string, kinds[i].name) &&
                !(kinds[i].elsewhere && claim == json_get(claims, kinds[i].name)) &&
                !kinds[i].is(claim))
                return unread(why, "its %.60s is no %s", claim->string, kinds[i].what);
    return are_found(claims, why);
}

bool as_go_document(const cJSON *document, char why[AS_GO_WHY])
{
    static const char *const names[] = { "issuer", "authorization_endpoint", "token_endpoint",
                                         "jwks_uri", "userinfo_endpoint" };
    const cJSON *member, *other = as_go_instead(document, "issuer");
    const char *issuer = json_string(document, "issuer");

    cJSON_ArrayForEach (member, document)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (json_same_name(member->string, names[i]) && !is_text(member))
                return unread(why, "its %.60s is no text", member->string);
    if (other && (!issuer || strcmp(other->valuestring, issuer) != 0))
        return unread(why, "its %.60s, taken for issuer, is another", other->string);
    return true;
}

const cJSON *as_go_instead(const cJSON *claims, const char *name)
{
    const cJSON *found = NULL, *claim;
    bool text = strncmp(name, "iss", 3) == 0; /* of iss and issuer null leaves one as it is */

    cJSON_ArrayForEach (claim, claims)
        if (json_same_name(claim->string, name) && !(text && cJSON_IsNull(claim)))
            found = claim;
    return found && strcmp(found->string, name) != 0 ? found : NULL;
}

const char *as_go_shorten(const cJSON *claims, const char *name, int64_t *at)
{
    const cJSON *instead = as_go_instead(claims, name);
    bool exp = strcmp(name, "exp") == 0;
    int64_t other;

    if (!instead || json_seconds(claims, instead->string, &other) <= 0 ||
        (exp ? other >= *at : other <= *at))
        return name;
    *at = other;
    return instead->string;
}
