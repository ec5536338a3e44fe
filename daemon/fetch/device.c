#define _GNU_SOURCE
#include "daemon/fetch/device.h"

#include <stdlib.h>
#include <string.h>

#include "common/heap.h"
#include "common/time.h"
#include "daemon/fetch/grant.h"
#include "daemon/fetch/json.h"
#include "daemon/fetch/provider.h"

enum {
    INTERVAL = 5,           /* where none is given; and what slow_down adds (RFC 8628 §3.5) */
    INTERVAL_MOST = 5 * 60, /* nobody waits that long for a page to go on */
    LIFETIME_MOST = 24 * 3600,
};

/* ---- the device code ------------------------------------------------------------------------- */

static int refuse(struct result *ret, const char *what)
{
    ret->outcome = OUTCOME_SOFT;
    error_set(&ret->error, ERROR_ANSWER_INVALID, "its answer to a request for a code %s", what);
    return -1;
}

/* Seconds, at most so many, as usec. What is no number is as if it were absent. */
static uint64_t seconds_of(const cJSON *json, const char *name, int64_t absent, int64_t most)
{
    int64_t n = absent;

    if (json_seconds(json, name, &n) != 1)
        n = absent;
    n = n < 0 ? 0 : n > most ? most : n;
    return (uint64_t)n * USEC_PER_SEC;
}

/* A page that a person is to open. Google has a name of its own for it. */
static bool take_page(const struct job *job, const char *url, char out[RESULT_URI_MAX + 1])
{
    size_t length = url ? strlen(url) : 0;

    if (length == 0 || length > RESULT_URI_MAX || !http_url_allowed(job, url))
        return false;
    memcpy(out, url, length + 1);
    return true;
}

/* The code is typed from what is shown: whole, or it is none. */
static bool take_user_code(const char *code, char out[RESULT_USER_CODE_MAX + 1])
{
    size_t length = code ? strlen(code) : 0;

    return length > 0 && length <= RESULT_USER_CODE_MAX &&
           error_clean(out, RESULT_USER_CODE_MAX + 1, code, length) == length &&
           memcmp(out, code, length) == 0;
}

int device_take(const struct job *job, const cJSON *json, struct result *ret)
{
    const char *code = json_string(json, "device_code"),
               *page = json_string(json, "verification_uri");

    if (!code || !*code || strlen(code) > RESULT_DEVICE_CODE_MAX)
        return refuse(ret, "has no device_code, or one that is too long");
    if (!take_user_code(json_string(json, "user_code"), ret->user_code))
        return refuse(ret, "has no user_code that can be typed");
    if (!take_page(job, page ? page : json_string(json, "verification_url"), ret->verification_uri))
        return refuse(ret, "has no verification_uri that is an https:// URL");
    if (!take_page(job, json_string(json, "verification_uri_complete"),
                   ret->verification_uri_complete))
        ret->verification_uri_complete[0] = '\0';
    ret->code_lifetime = seconds_of(json, "expires_in", 0, LIFETIME_MOST);
    if (ret->code_lifetime == 0)
        return refuse(ret, "does not say how long the code lives");
    ret->interval = seconds_of(json, "interval", INTERVAL, INTERVAL_MOST);
    if (ret->interval < USEC_PER_SEC)
        ret->interval = USEC_PER_SEC;
    ret->device_code = secret_copy(code, strlen(code));
    if (!ret->device_code) {
        heap_note_lack();
        ret->outcome = OUTCOME_TEMPORARY;
        error_set(&ret->error, ERROR_INTERNAL, "no memory for the device code");
        return -1;
    }
    ret->outcome = OUTCOME_DEVICE;
    error_set(&ret->error, ERROR_NONE, "%s", "");
    return 0;
}

void device_run(struct http *http, const struct job *job, struct result *ret)
{
    struct provider p;
    const char *url;

    error_set(&ret->error, ERROR_NONE, "%s", "");
    provider_open(&p, http, job);
    if (provider_find_device(&p, &url, ret) == 0)
        grant_ask_device(http, job, &p.cache.document, url, ret);
    ret->nobody_listens = ret->error.code == ERROR_CONNECT && http_refused_connection(http);
    provider_close(&p, ret);
}

/* ---- a poll ---------------------------------------------------------------------------------- */

/* What RFC 8628 §3.5 knows, and the words that Entra ID has for the same; of a code that is spent
 * or unknown most say invalid_grant. */
static const struct {
    const char *word;
    enum error_code code;
} words[] = {
    { "access_denied", ERROR_LOGIN_DENIED }, { "authorization_declined", ERROR_LOGIN_DENIED },
    { "expired_token", ERROR_CODE_EXPIRED }, { "bad_verification_code", ERROR_CODE_EXPIRED },
    { "invalid_grant", ERROR_CODE_EXPIRED },
};

enum error_code device_judge_poll(const cJSON *json, struct result *ret)
{
    const char *error = json ? json_string(json, "error") : NULL;
    bool slow = error && strcmp(error, "slow_down") == 0;

    if (slow || (error && strcmp(error, "authorization_pending") == 0)) {
        ret->outcome = OUTCOME_PENDING;
        ret->interval = slow ? INTERVAL * USEC_PER_SEC : 0;
        error_set(&ret->error, ERROR_NONE, "%s", "");
        return ERROR_NONE;
    }
    for (size_t i = 0; error && i < sizeof words / sizeof *words; i++)
        if (strcmp(error, words[i].word) == 0)
            return words[i].code;
    return ERROR_MAX;
}
