#include "daemon/fetch/exchange.h"

#include <stdio.h>
#include <string.h>

#include "daemon/fetch/json.h"
#include "daemon/fetch/redact.h"
#include "daemon/fetch/refusal.h"

/* Without what all of them begin with; "": it is not said, though it has to be (§2.2.1). */
static const char *issued_type(const cJSON *json)
{
    const char *type = json_string(json, "issued_token_type");
    size_t length = sizeof EXCHANGE_TYPE - 1;

    if (!type)
        return "";
    return strncmp(type, EXCHANGE_TYPE, length) == 0 ? type + length : type;
}

static bool is_jwt(const char *token)
{
    return token && job_token_shaped(token, strlen(token));
}

/* By whatever name the type has, it is in access_token (§2.2.1); some put an id_token beside it. A
 * refresh token (Keycloak's is a JWT, too) is for no API server. */
const char *exchange_token(const cJSON *json)
{
    const char *type = issued_type(json), *token = json_string(json, "access_token");
    const char *beside = json_string(json, "id_token");
    bool named = strcmp(type, "id_token") == 0 || strcmp(type, "jwt") == 0;
    bool may_be = named || *type == '\0' || strcmp(type, "access_token") == 0;

    if (named && is_jwt(token))
        return token;
    if (is_jwt(beside))
        return beside;
    return may_be && is_jwt(token) ? token : NULL;
}

void exchange_explain(const struct job *job, const cJSON *json, struct error *ret)
{
    const char *type = issued_type(json), *token = json_string(json, "access_token");
    char before[96];

    snprintf(before, sizeof before, "asked for an id_token, got %s: issued_token_type ",
             token && *token ? "another token" : "none");
    redact_error(job, ret, ERROR_EXCHANGE_TYPE, before, *type ? type : "is not said");
}

/* What of the token or the request is invalid no word tells apart: Keycloak and Dex say
 * invalid_request of a token that has ended, others invalid_grant (§2.2.2), or a word of RFC 6750.
 */
static bool is_about_subject(const char *error)
{
    static const char *const words[] = { "invalid_grant", "invalid_request", "invalid_token",
                                         "expired_token" };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(error, words[i]) == 0)
            return true;
    return false;
}

enum error_code exchange_refusal(const struct http_reply *reply, const cJSON *json,
                                 enum error_code code)
{
    const char *error = json ? json_string(json, "error") : NULL;
    bool rejected = reply->status / 100 == 4 && !refusal_is_temporary(reply, json);

    if (code == ERROR_CLIENT_REFUSED)
        return code;
    if (error && rejected && is_about_subject(error))
        return ERROR_SUBJECT_REFUSED;
    if (error && rejected &&
        (strcmp(error, "invalid_target") == 0 || strcmp(error, "invalid_scope") == 0))
        return ERROR_EXCHANGE_REFUSED;
    return code == ERROR_NONE ? ERROR_NONE : ERROR_EXCHANGE_REFUSED;
}
