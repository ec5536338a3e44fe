#include "daemon/fetch/redact.h"

#include <curl/curl.h>
#include <string.h>

static void mask(char *text, const char *secret)
{
    size_t length = secret ? strlen(secret) : 0;

    if (length < 3) /* "a" would blank half of every sentence */
        return;
    for (char *p = text; (p = strstr(p, secret)); p += 3) {
        memcpy(p, "***", 3);
        memmove(p + 3, p + length, strlen(p + length) + 1);
    }
}

/* Both as it is and as it was sent. */
static void mask_forms(char *text, const char *secret)
{
    char *sent = secret && *secret ? curl_easy_escape(NULL, secret, (int)strlen(secret)) : NULL;

    if (sent) {
        mask(text, sent);
        explicit_bzero(sent, strlen(sent));
    }
    curl_free(sent);
    mask(text, secret);
}

/* The longest first: one secret may hold another. */
void redact_secrets(const struct job *job, char *text)
{
    const char *secrets[] = { job->password, job->client_secret, job->refresh_token };

    for (size_t round = 0; round < 3; round++) {
        size_t best = 0;
        for (size_t i = 1; i < 3; i++)
            if (secrets[i] && (!secrets[best] || strlen(secrets[i]) > strlen(secrets[best])))
                best = i;
        mask_forms(text, secrets[best]);
        secrets[best] = NULL;
    }
}

void redact_result(const struct job *job, struct result *result)
{
    redact_secrets(job, result->error.detail);
    redact_secrets(job, result->changed);
    for (unsigned i = 0; i < result->n_warnings; i++)
        redact_secrets(job, result->warnings[i].detail);
}
