#define _GNU_SOURCE
#include "daemon/fetch/refusal.h"

#include <string.h>

#include "daemon/fetch/answer_text.h"
#include "daemon/fetch/json.h"

#define N(array) (sizeof(array) / sizeof *(array))

struct meaning {
    const char *word;
    enum error_code code;
};

static enum error_code look_up(const struct meaning *rows, size_t n, const char *word)
{
    for (size_t i = 0; word && i < n; i++)
        if (strcmp(rows[i].word, word) == 0)
            return rows[i].code;
    return ERROR_NONE;
}

/* The errors that the same credentials will meet again (RFC 6749 §5.2 and the providers' own). */
static const struct meaning errors[] = {
    { "invalid_grant", ERROR_REFUSED },
    { "access_denied", ERROR_ACCOUNT }, /* a rule (Auth0) or policy (Okta, Authentik) says no */
    { "invalid_client", ERROR_CLIENT_REFUSED },
    { "unauthorized_client", ERROR_GRANT_REFUSED },
    { "unsupported_grant_type", ERROR_GRANT_REFUSED },
    { "mfa_required", ERROR_ACCOUNT },
    { "mfa_enrollment_required", ERROR_ACCOUNT },
    { "two_factor_required", ERROR_ACCOUNT },
    { "change_password_required", ERROR_ACCOUNT },
    { "interaction_required", ERROR_ACCOUNT },
    { "login_required", ERROR_ACCOUNT },
    { "consent_required", ERROR_ACCOUNT },
    { "account_selection_required", ERROR_ACCOUNT },
    { "password_expired", ERROR_ACCOUNT },
    { "password_leaked", ERROR_ACCOUNT },
    { "user_blocked", ERROR_ACCOUNT },
    { "account_locked", ERROR_ACCOUNT },
};

/* What some add to invalid_grant for programs to read. Entra ID's suberror, FusionAuth's reason. */
static const struct meaning reasons[] = {
    { "consent_required", ERROR_ACCOUNT }, { "user_password_expired", ERROR_ACCOUNT },
    { "user_locked", ERROR_ACCOUNT },      { "user_expired", ERROR_ACCOUNT },
    { "login_prevented", ERROR_ACCOUNT },
};

/* Entra ID's error_codes: a lock, an expired password, a disabled account, a second factor (to use,
 * to set up, of somebody else), a rule of Conditional Access, a consent. */
static const int account_numbers[] = { 50053, 50055, 50057, 50072, 50074, 50076, 50079,
                                       50158, 53000, 53001, 53002, 53003, 65001 };

/* Keycloak has no error of its own for these: beside invalid_grant and invalid_client its text
 * alone tells them from a wrong password or secret. It decides which remedy is named, and nothing
 * else: refused they are in any case, and of the same class. */
static const struct {
    const char *error, *text;
    enum error_code code;
} texts[] = {
    { "invalid_grant", "not fully set up", ERROR_ACCOUNT },
    { "invalid_grant", "account disabled", ERROR_ACCOUNT },
    { "invalid_client", "requires user consent", ERROR_GRANT_REFUSED },
};

static bool has_account_number(const cJSON *json)
{
    const cJSON *number;

    cJSON_ArrayForEach (number, json_get(json, "error_codes")) {
        for (size_t i = 0; cJSON_IsNumber(number) && i < N(account_numbers); i++)
            if (number->valueint == account_numbers[i])
                return true;
    }
    return false;
}

static enum error_code refine(const cJSON *json, const char *error, enum error_code code)
{
    const char *text = json_string(json, "error_description");

    for (size_t i = 0; text && i < N(texts); i++)
        if (strcmp(texts[i].error, error) == 0 && strcasestr(text, texts[i].text))
            return texts[i].code;
    if (code != ERROR_REFUSED)
        return code;
    if (has_account_number(json) ||
        look_up(reasons, N(reasons), json_string(json, "suberror")) != ERROR_NONE ||
        look_up(reasons, N(reasons), json_string(json, "error_reason")) != ERROR_NONE)
        return ERROR_ACCOUNT;
    return code;
}

/* Glewlwyd refuses by the status alone. A gateway that does sends a type with its page, or asks for
 * a log-in of its own. */
static bool is_silent(const struct http_reply *reply)
{
    bool rejected = reply->status == 400 || reply->status == 401 || reply->status == 403;

    return rejected && reply->length == 0 && !reply->fields.content_type &&
           !reply->fields.www_authenticate;
}

enum error_code refusal_find(const struct http_reply *reply, const cJSON *json)
{
    const char *error = json ? json_string(json, "error") : NULL;
    enum error_code code = look_up(errors, N(errors), error);

    if (is_silent(reply))
        return ERROR_REFUSED_SILENTLY;
    if (code == ERROR_NONE)
        return ERROR_NONE;
    if (reply->status == 401 && strcmp(error, "unauthorized_client") == 0)
        return ERROR_CLIENT_REFUSED; /* Keycloak's words for a wrong secret */
    if (reply->status == 401 && strcmp(error, "access_denied") == 0)
        return ERROR_ACCESS_DENIED; /* Auth0's for a wrong secret, Dex's for a wrong password */
    return refine(json, error, code);
}

/* Auth0 looks for the user in a connection: the one that `realm` names, or the tenant's Default
 * Directory. Only the text says so. It decides which remedy is named, and nothing else. */
static bool is_about_realm(const cJSON *json, const char *error)
{
    static const char *const missing[] = { "not exist", "not found", "unknown", "not enabled",
                                           "invalid" };
    const char *text = json_string(json, "error_description");

    if (!text || (strcmp(error, "invalid_request") != 0 && strcmp(error, "server_error") != 0))
        return false;
    if (strcasestr(text, "default connection"))
        return true;
    bool named = strcasestr(text, "connection") || strcasestr(text, "realm");
    for (size_t i = 0; named && i < N(missing); i++)
        if (strcasestr(text, missing[i]))
            return true;
    return false;
}

/* An error that says that it will pass, whatever the status. */
static enum error_code passing(const char *error)
{
    static const struct meaning rows[] = {
        { "temporarily_unavailable", ERROR_PROVIDER_FAULT }, /* RFC 6749 §4.1.2.1, not for here */
        { "server_error", ERROR_PROVIDER_FAULT },
        { "slow_down", ERROR_RATE_LIMITED }, /* RFC 8628 §3.5 */
    };

    return look_up(rows, N(rows), error);
}

bool refusal_is_temporary(const struct http_reply *reply, const cJSON *json)
{
    long status = reply->status;

    return status == 408 || status == 425 || status == 429 || status >= 500 ||
           (json && passing(json_string(json, "error")) != ERROR_NONE);
}

/* Of one that is neither a refusal nor temporary. */
static enum error_code doubtful(const struct http_reply *reply, const cJSON *json)
{
    long status = reply->status;
    bool ok = status / 100 == 2;

    if (!json && answer_is_page(reply) && (ok || status / 100 == 4))
        return ERROR_GATEWAY;
    if (status == 407 || (status == 401 && reply->length == 0))
        return ERROR_GATEWAY;
    if (!json && reply->length == 0 && reply->fields.content_type &&
        (status == 400 || status == 403))
        return ERROR_GATEWAY;
    if (status / 100 == 4 || (status == 200 && json))
        return ERROR_PROVIDER_ERROR;
    return ERROR_ANSWER_INVALID;
}

enum error_code refusal_fault(const struct http_reply *reply, const cJSON *json)
{
    const char *error = json ? json_string(json, "error") : NULL;

    if (error && is_about_realm(json, error))
        return ERROR_REALM;
    if (reply->status == 429)
        return ERROR_RATE_LIMITED;
    if (passing(error) != ERROR_NONE)
        return passing(error);
    return refusal_is_temporary(reply, json) ? ERROR_PROVIDER_FAULT : doubtful(reply, json);
}
