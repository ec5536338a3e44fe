#include "daemon/fetch/mask.h"

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
void mask_secrets(const struct job *job, char *text)
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

/* A secret that was cut with the text. */
static void mask_tail(char *text, const char *secret)
{
    size_t length = strlen(text), longest = secret ? strlen(secret) : 0;

    for (size_t n = longest < length ? longest : length; n >= 4; n--)
        if (memcmp(text + length - n, secret, n) == 0) {
            memcpy(text + length - n, "***", 4);
            return;
        }
}

static void mask_detail(const struct job *job, char *text, size_t size)
{
    mask_secrets(job, text);
    if (strlen(text) + 4 < size) /* it was not cut, or not in a secret */
        return;
    mask_tail(text, job->password);
    mask_tail(text, job->client_secret);
    mask_tail(text, job->refresh_token);
}

void mask_result(const struct job *job, struct result *result)
{
    mask_detail(job, result->error.detail, sizeof result->error.detail);
    mask_detail(job, result->changed, sizeof result->changed);
    for (unsigned i = 0; i < result->n_warnings; i++)
        mask_detail(job, result->warnings[i].detail, sizeof result->warnings[i].detail);
}
