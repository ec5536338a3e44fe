#include "daemon/fetch/otp.h"

#include <string.h>

#include "common/heap.h"
#include "daemon/fetch/json.h"

bool otp_is_sent(const struct job *job)
{
    return job->kind == JOB_PASSWORD && job->otp && (job->otp_parameter || job->mfa_token);
}

struct secret *otp_challenge(const cJSON *json)
{
    const char *token = json ? json_string(json, "mfa_token") : NULL;
    size_t length = token ? strlen(token) : 0;

    if (length == 0 || length > OTP_CHALLENGE_MAX)
        return NULL;
    struct secret *copy = secret_copy(token, length);
    if (!copy)
        heap_note_lack();
    return copy;
}

/* What is said of an mfa_token that is too old, or no good, in words that RFC 6749 does not have
 * (Auth0: 401 expired_token). */
static bool is_void(const cJSON *json)
{
    const char *error = json ? json_string(json, "error") : NULL;

    return error && (strcmp(error, "expired_token") == 0 || strcmp(error, "invalid_token") == 0);
}

enum error_code otp_meaning(const struct job *job, const cJSON *json, enum error_code code)
{
    bool sent = otp_is_sent(job);

    switch (code) {
    case ERROR_REFUSED:
    case ERROR_REFUSED_SILENTLY:
    case ERROR_ACCESS_DENIED:
        return sent ? ERROR_OTP_REFUSED : code;
    case ERROR_SECOND_FACTOR: /* with a parameter for it a code can be sent all the same */
        return job->kind == JOB_PASSWORD && job->otp_parameter && !sent ? ERROR_OTP_REQUIRED : code;
    case ERROR_OTP_REQUIRED: /* a code was there: another kind of it is wanted */
        return job->mfa_token ? ERROR_SECOND_FACTOR : code;
    case ERROR_NONE:
        return job->mfa_token && is_void(json) ? ERROR_OTP_REFUSED : code;
    default:
        return code;
    }
}
