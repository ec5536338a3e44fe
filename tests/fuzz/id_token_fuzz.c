/*
 * The id_token. The input is one letter, then a whole token ("t", "T" without keys), or its
 * header and its payload, one line each, of which the target makes a token: signed by one of the
 * keys of the set ("r" RS256, "s" ES256, "e" EdDSA), by a key that is not in it ("f"), or with
 * the third line as its signature ("u", "U" without keys). A "0" behind the letter: no Date.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/fetch/id_token.h"
#include "daemon/fetch/json.h"

static struct jwk three[3];
static struct jwks keys = { .keys = three };
static EVP_PKEY *foreign;

static void add_key(EVP_PKEY *key, const char *kid, const char *curve)
{
    struct jwk *k = &keys.keys[keys.n++];

    PROMISE(key);
    k->kid = kid;
    k->key = key;
    snprintf(k->curve, sizeof k->curve, "%s", curve);
}

static void make_keys(void)
{
    static const unsigned char seed[32] = "the same in every run, no secret";

    add_key(EVP_RSA_gen(2048), "rsa", "");
    add_key(EVP_EC_gen("P-256"), "p256", "P-256");
    add_key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed), "ed25519",
            "Ed25519");
    foreign = EVP_EC_gen("P-256");
    PROMISE(foreign);
}

static char *base64url(const void *bytes, size_t length)
{
    char *out = malloc(4 * (length / 3 + 1) + 1);

    PROMISE(out);
    int n = EVP_EncodeBlock((unsigned char *)out, bytes, (int)length);
    while (n > 0 && out[n - 1] == '=')
        n--;
    out[n] = '\0';
    for (char *p = out; *p; p++)
        *p = (char)(*p == '+' ? '-' : *p == '/' ? '_' : *p);
    return out;
}

/* r and s side by side (RFC 7518 §3.4). */
static size_t raw_signature(unsigned char *bytes, size_t length)
{
    const unsigned char *p = bytes;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &p, (long)length);

    PROMISE(signature);
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), bytes, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), bytes + 32, 32);
    ECDSA_SIG_free(signature);
    return 64;
}

static char *sign(EVP_PKEY *key, const char *input)
{
    unsigned char bytes[512];
    size_t length = sizeof bytes;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();

    PROMISE(context && EVP_DigestSignInit(context, NULL, digest, NULL, key) == 1);
    PROMISE(EVP_DigestSign(context, bytes, &length, (const unsigned char *)input, strlen(input)) ==
            1);
    EVP_MD_CTX_free(context);
    if (EVP_PKEY_is_a(key, "EC"))
        length = raw_signature(bytes, length);
    return base64url(bytes, length);
}

/* The next line of the text, which moves behind it. */
static char *take_line(char **text)
{
    char *line = *text, *end = line + strcspn(line, "\n");

    *text = *end ? end + 1 : end;
    *end = '\0';
    return line;
}

/* The key to sign with, or NULL. */
static EVP_PKEY *key_of(char letter)
{
    switch (letter) {
    case 'r':
        return keys.keys[0].key;
    case 's':
        return keys.keys[1].key;
    case 'e':
        return keys.keys[2].key;
    case 'f':
        return foreign;
    default:
        return NULL;
    }
}

static char *make_token(char letter, char *text)
{
    char *header = take_line(&text), *payload = take_line(&text), *input, *token;
    char *first = base64url(header, strlen(header)), *second = base64url(payload, strlen(payload));

    PROMISE(asprintf(&input, "%s.%s", first, second) > 0);
    char *third = key_of(letter) ? sign(key_of(letter), input) : strdup(take_line(&text));
    PROMISE(third && asprintf(&token, "%s.%s", input, third) > 0);
    free(first);
    free(second);
    free(third);
    free(input);
    return token;
}

/* The claims of a token that was taken, read once more. */
static void check_claims(const struct job *job, const char *token)
{
    const char *payload = strchr(token, '.') + 1;
    size_t length = strcspn(payload, ".");
    char *text = malloc(length + 1);

    PROMISE(text);
    long n = base64url_decode(payload, length, (unsigned char *)text);
    PROMISE(n > 0);
    text[n] = '\0';
    cJSON *claims = json_object(text, (size_t)n);
    PROMISE(claims && json_string(claims, "iss"));
    PROMISE(strcmp(json_string(claims, "iss"), job->issuer) == 0);
    PROMISE(json_holds(json_get(claims, "aud"), job->client_id));
    PROMISE(json_get(claims, "exp"));
    cJSON_Delete(claims);
    free(text);
}

static void check(const struct job *job, const char *token, struct jwks *with, int64_t date,
                  bool genuine)
{
    struct result result = { 0 };
    char *exact = fuzz_text((const uint8_t *)token, strlen(token));

    for (size_t i = 0; with && i < with->n; i++)
        with->keys[i].used = false;
    if (id_token_check(job, exact, strlen(token), with, date, &result) == 0) {
        PROMISE(job_token_shaped(token, strlen(token)));
        PROMISE(result.lifetime > 0 && result.lifetime <= RESULT_LIFETIME_MAX * USEC_PER_SEC);
        PROMISE(result.verified == (with != NULL));
        PROMISE(!with || genuine);
        PROMISE(!with || id_token_key_known(token, strlen(token), with));
        PROMISE(!with || jwks_any_used(with));
        check_claims(job, token);
    } else {
        PROMISE(result.outcome == OUTCOME_SOFT);
        PROMISE(!result.verified);
        fuzz_check_error(&result.error);
    }
    fuzz_check_words(&result);
    id_token_changes(exact, exact, result.changed, sizeof result.changed);
    PROMISE(result.changed[0] == '\0');
    free(exact);
    result_clear(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct job job = fuzz_job();

    if (keys.n == 0)
        make_keys();
    if (size < 2)
        return 0;
    char letter = (char)data[0];
    bool known = !strchr("TU", letter), timed = data[1] != '0', genuine = false;
    size_t skip = timed ? 1 : 2;
    char *text = fuzz_text(data + skip, size - skip), *token;

    if (letter == 't' || letter == 'T') {
        token = strdup(take_line(&(char *){ text }));
    } else {
        token = make_token(letter, text);
        genuine = key_of(letter) && letter != 'f';
    }
    PROMISE(token);
    check(&job, token, known ? &keys : NULL, timed ? FUZZ_DATE : 0, genuine);
    free(token);
    free(text);
    return 0;
}
