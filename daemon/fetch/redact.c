#define _GNU_SOURCE
#include "daemon/fetch/redact.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/printable.h"
#include "daemon/fetch/proxy.h"

enum { SHORT = 3 }; /* what is shorter stays: "a" would blank half of every sentence */

/* ---- words ----------------------------------------------------------------------------------- */

static bool is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
}

/* What holds the parts of an address, a host or a name together. */
static bool joins(char c)
{
    return c != '\0' && strchr("@._+-", c);
}

/* The word that has text[from] to text[to] in it. */
static void widen(const char *text, size_t *from, size_t *to)
{
    while (*from > 0 &&
           (is_letter((unsigned char)text[*from - 1]) ||
            (*from > 1 && joins(text[*from - 1]) && is_letter((unsigned char)text[*from - 2]))))
        --*from;
    while (is_letter((unsigned char)text[*to]) ||
           (joins(text[*to]) && is_letter((unsigned char)text[*to + 1])))
        ++*to;
}

static bool has_word(const char *text, const char *word, size_t length)
{
    for (size_t at = 0; text && length <= strlen(text + at); at++) {
        size_t from = at, to = at + length;
        if (memcmp(text + at, word, length) != 0)
            continue;
        widen(text, &from, &to);
        if (from == at && to == at + length)
            return true;
    }
    return false;
}

/* Whether it is what everybody may know: with stars in its place here and in full elsewhere it
 * would tell the secret. */
static bool is_known(const struct job *job, const char *user, const char *word, size_t length)
{
    const char *const known[] = { user,       job->username, job->issuer,        job->client_id,
                                  job->realm, job->audience, job->token_endpoint };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (has_word(known[i], word, length))
            return true;
    return false;
}

/* Never a part of a word: the rest may be known from elsewhere. */
static void mask(const struct job *job, char *text, const char *secret)
{
    size_t length = secret ? strlen(secret) : 0;

    for (char *p = text; length >= SHORT && (p = strstr(p, secret));) {
        size_t from = (size_t)(p - text), to = from + length;
        widen(text, &from, &to);
        if (!is_known(job, NULL, text + from, to - from)) {
            memcpy(text + from, "***", 3);
            memmove(text + from + 3, text + to, strlen(text + to) + 1);
            to = from + 3;
        }
        p = text + to;
    }
}

/* Whether it stands there by itself. In a longer word, or as what is known, it tells nobody that it
 * is one. */
static bool stands_in(const struct job *job, const char *user, const char *text, const char *secret)
{
    size_t length = secret ? strlen(secret) : 0;

    return length >= SHORT && !is_known(job, user, secret, length) &&
           (has_word(text, secret, length) ||
            (strpbrk(secret, " \t") && strstr(text, secret) != NULL));
}

/* Both as it is and as it was sent. */
static void mask_forms(const struct job *job, char *text, const char *secret)
{
    char *sent = secret && *secret ? curl_easy_escape(NULL, secret, (int)strlen(secret)) : NULL;

    if (sent) {
        mask(job, text, sent);
        explicit_bzero(sent, strlen(sent));
    }
    curl_free(sent);
    mask(job, text, secret);
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
    if (id && secret && (pair = malloc(strlen(id) + strlen(secret) + 2))) {
        stpcpy(stpcpy(stpcpy(pair, id), ":"), secret); /* printf() would leave it on the stack */
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
    const char *secrets[] = {
        job->password, job->client_secret, job->refresh_token, raw,
        encoded,       proxy.password,     proxy.as_written,   job->subject_token,
        job->otp,      job->mfa_token,     job->device_code
    };
    const size_t n = sizeof secrets / sizeof *secrets;
    for (size_t round = 0; round < n; round++) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            if (secrets[i] && (!secrets[best] || strlen(secrets[i]) > strlen(secrets[best])))
                best = i;
        mask_forms(job, text, secrets[best]);
        secrets[best] = NULL;
    }
    proxy_clear(&proxy);
    wipe(raw);
    wipe(encoded);
}

/* What is not seen, and what stands for broken UTF-8 (json_text.c), parts words as a blank does. */
static void part_words(char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";

    for (char *p = text; *p;) {
        size_t n = strncmp(p, replacement, 3) == 0 ? 3 : printable_format(p, strnlen(p, 4));
        if (n > 0)
            memset(p, ' ', n);
        p += n > 0 ? n : 1;
    }
}

/* And once more when it is printable: "two\twords" is then "two words", which may be a secret. */
void redact_error(const struct job *job, struct error *why, enum error_code code,
                  const char *before, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = strdup(text), *clean = malloc(size);

    if (copy && clean) {
        redact_secrets(job, copy);
        part_words(copy);
        error_clean(clean, size, copy, strlen(copy));
        redact_secrets(job, clean);
    }
    error_set(why, code, "%s%s", before, copy && clean ? clean : "");
    free(copy);
    free(clean);
}

/* Of claims nothing is masked: the token itself and `inspect` show them, and stars would tell which
 * word is a secret. A text with one that stands by itself is left out. */
static void drop_claims(const struct job *job, const char *user, char *text)
{
    const char *const secrets[] = { job->password,      job->client_secret, job->refresh_token,
                                    job->subject_token, job->otp,           job->device_code };

    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (stands_in(job, user, text, secrets[i])) {
            text[0] = '\0';
            return;
        }
}

void redact_result(const struct job *job, struct result *result)
{
    redact_secrets(job, result->error.detail);
    drop_claims(job, result->user, result->changed);
    drop_claims(job, result->user, result->key);
    for (unsigned i = 0; i < result->n_warnings; i++)
        drop_claims(job, result->user, result->warnings[i].detail);
}
