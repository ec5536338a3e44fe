#define _GNU_SOURCE
#include "daemon/fetch/redact.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/proxy.h"

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

/* What client-auth basic sends of them (grant.c): debugging pages show the header fields that came.
 * NULL: nothing, or no memory. */
static char *basic_pair(const struct job *job, bool encoded)
{
    char *id, *secret, *pair = NULL, *base64 = NULL;

    if (!job->client_id || !job->client_secret || !*job->client_id || !*job->client_secret)
        return NULL;
    id = encoded ? curl_easy_escape(NULL, job->client_id, 0) : strdup(job->client_id);
    secret = encoded ? curl_easy_escape(NULL, job->client_secret, 0) : strdup(job->client_secret);
    if (id && secret && asprintf(&pair, "%s:%s", id, secret) > 0) {
        size_t length = strlen(pair);
        base64 = malloc(4 * (length / 3 + 1) + 1);
        if (base64)
            EVP_EncodeBlock((unsigned char *)base64, (const unsigned char *)pair, (int)length);
        explicit_bzero(pair, length);
    }
    free(pair);
    encoded ? curl_free(id) : free(id);
    if (secret)
        explicit_bzero(secret, strlen(secret));
    encoded ? curl_free(secret) : free(secret);
    return base64;
}

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

/* The longest first: one secret may hold another. */
void redact_secrets(const struct job *job, char *text)
{
    struct proxy proxy;
    char *raw = basic_pair(job, false), *encoded = basic_pair(job, true);

    proxy_read(job, &proxy);
    const char *secrets[] = { job->password, job->client_secret, job->refresh_token, raw,
                              encoded,       proxy.password,     proxy.as_written };
    const size_t n = sizeof secrets / sizeof *secrets;
    for (size_t round = 0; round < n; round++) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            if (secrets[i] && (!secrets[best] || strlen(secrets[i]) > strlen(secrets[best])))
                best = i;
        mask_forms(text, secrets[best]);
        secrets[best] = NULL;
    }
    proxy_clear(&proxy);
    wipe(raw);
    wipe(encoded);
}

/* And once more when it is printable: "two\twords" is then "two words", which may be a secret. */
void redact_error(const struct job *job, struct error *why, enum error_code code,
                  const char *before, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = strdup(text), *clean = malloc(size);

    if (copy && clean) {
        redact_secrets(job, copy);
        error_clean(clean, size, copy, strlen(copy));
        redact_secrets(job, clean);
    }
    error_set(why, code, "%s%s", before, copy && clean ? clean : "");
    free(copy);
    free(clean);
}

void redact_result(const struct job *job, struct result *result)
{
    redact_secrets(job, result->error.detail);
    redact_secrets(job, result->changed);
    for (unsigned i = 0; i < result->n_warnings; i++)
        redact_secrets(job, result->warnings[i].detail);
}
