#define _GNU_SOURCE
#include "daemon/fetch/refusal.h"

#include <string.h>

#include "daemon/fetch/answer_text.h"
#include "daemon/fetch/json.h"
#include "daemon/fetch/otp.h"

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
    { "mfa_required", ERROR_SECOND_FACTOR },
    { "mfa_enrollment_required", ERROR_ACCOUNT },
    { "two_factor_required", ERROR_SECOND_FACTOR }, /* FusionAuth: its own API takes the code */
    { "change_password_required", ERROR_NEW_PASSWORD },
    { "interaction_required", ERROR_ACCOUNT },
    { "login_required", ERROR_ACCOUNT },
    { "consent_required", ERROR_ACCOUNT },
    { "account_selection_required", ERROR_ACCOUNT },
    { "password_expired", ERROR_NEW_PASSWORD },
    { "password_leaked", ERROR_NEW_PASSWORD },
    { "user_blocked", ERROR_ACCOUNT },
    { "account_locked", ERROR_ACCOUNT },
};

/* What some add to invalid_grant for programs to read. Entra ID's suberror, FusionAuth's reason. */
static const struct meaning reasons[] = {
    { "consent_required", ERROR_ACCOUNT }, { "user_password_expired", ERROR_NEW_PASSWORD },
    { "user_locked", ERROR_ACCOUNT },      { "user_expired", ERROR_ACCOUNT },
    { "login_prevented", ERROR_ACCOUNT },
};

/* Entra ID's error_codes: a lock, a disabled account, a rule of Conditional Access, a consent; a
 * second factor (to use, to set up, of somebody else), which it takes in a browser alone; an
 * expired password, there or in the directory behind it. */
static const int account_numbers[] = { 50053, 50057, 53000, 53001, 53002, 53003, 65001 };
static const int factor_numbers[] = { 50072, 50074, 50076, 50079, 50158 };
static const int password_numbers[] = { 50055, 50144 };

/* Keycloak has no error of its own for these: beside invalid_grant and invalid_client its text
 * alone tells them from a wrong password or secret; of an expired password others have no more than
 * words either. It decides which remedy is named, and nothing else: refused they are in any case,
 * and of the same class. */
static const struct {
    const char *error, *text;
    enum error_code code;
} texts[] = {
    { "invalid_grant", "not fully set up", ERROR_ACCOUNT_SETUP },
    { "invalid_grant", "account disabled", ERROR_ACCOUNT },
    { "invalid_grant", "password has expired", ERROR_NEW_PASSWORD },
    { "invalid_grant", "password is expired", ERROR_NEW_PASSWORD },
    { "invalid_grant", "password expired", ERROR_NEW_PASSWORD },
    { "invalid_grant", "password must be changed", ERROR_NEW_PASSWORD },
    { "invalid_grant", "must change your password", ERROR_NEW_PASSWORD },
    { "invalid_grant", "must change password", ERROR_NEW_PASSWORD },
    { "invalid_client", "requires user consent", ERROR_GRANT_REFUSED },
};

static bool has_number(const cJSON *json, const int *numbers, size_t n)
{
    const cJSON *number;

    cJSON_ArrayForEach (number, json_get(json, "error_codes")) {
        for (size_t i = 0; cJSON_IsNumber(number) && i < n; i++)
            if (number->valueint == numbers[i])
                return true;
    }
    return false;
}

/* What stands beside invalid_grant for programs, ERROR_REFUSED: nothing that is known. */
static enum error_code find_reason(const cJSON *json)
{
    static const char *const members[] = { "suberror", "error_reason" };

    if (has_number(json, password_numbers, N(password_numbers)))
        return ERROR_NEW_PASSWORD;
    if (has_number(json, factor_numbers, N(factor_numbers)))
        return ERROR_SECOND_FACTOR;
    if (has_number(json, account_numbers, N(account_numbers)))
        return ERROR_ACCOUNT;
    for (size_t i = 0; i < N(members); i++) {
        enum error_code code = look_up(reasons, N(reasons), json_string(json, members[i]));
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_REFUSED;
}

/* Auth0's mfa_required names what a one-time password is to be sent with. */
static bool asks_for_code(const cJSON *json, const char *error)
{
    const char *token = json_string(json, "mfa_token");

    return strcmp(error, "mfa_required") == 0 && token && *token &&
           strlen(token) <= OTP_CHALLENGE_MAX;
}

static enum error_code refine(const cJSON *json, const char *error, enum error_code code)
{
    const char *text = json_string(json, "error_description");

    for (size_t i = 0; text && i < N(texts); i++)
        if (strcmp(texts[i].error, error) == 0 && strcasestr(text, texts[i].text))
            return texts[i].code;
    if (code == ERROR_SECOND_FACTOR && asks_for_code(json, error))
        return ERROR_OTP_REQUIRED;
    if (code == ERROR_ACCOUNT && has_number(json, factor_numbers, N(factor_numbers)))
        return ERROR_SECOND_FACTOR;
    return code == ERROR_REFUSED ? find_reason(json) : code;
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
