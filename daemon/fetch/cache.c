#define _GNU_SOURCE
#include "daemon/fetch/cache.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/time.h"
#include "common/tlv.h"

enum { CACHE_VERSION = 1, PRINT_SIZE = 2 * EVP_MAX_MD_SIZE + 1 };
/* Of a clock; what is behind it is none (the year 10000). */
#define DATE_MOST 253402300800LL

static void digest_text(EVP_MD_CTX *context, const char *text)
{
    EVP_DigestUpdate(context, text ? text : "", text ? strlen(text) + 1 : 1);
}

/* A certificate may be replaced behind the same name. */
static void digest_file(EVP_MD_CTX *context, const char *path)
{
    struct stat st = { 0 };

    digest_text(context, path);
    if (!path || stat(path, &st) < 0)
        return;
    EVP_DigestUpdate(context, &st.st_ino, sizeof st.st_ino);
    EVP_DigestUpdate(context, &st.st_size, sizeof st.st_size);
    EVP_DigestUpdate(context, &st.st_mtim, sizeof st.st_mtim);
}

/* The print of what the cache depends on, in hexadecimal. False: libcrypto failed. */
static bool print_of(const struct job *job, char out[PRINT_SIZE])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned n = 0;

    if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1) {
        digest_text(context, job->issuer);
        digest_text(context, job->token_endpoint);
        digest_text(context, job->jwks_uri);
        digest_text(context, job->proxy);
        digest_text(context, job->allow_http_loopback ? "yes" : "no");
        digest_file(context, job->ca_file);
        digest_file(context, job->tls_client_cert);
        digest_file(context, job->tls_client_key);
        if (EVP_DigestFinal_ex(context, bytes, &n) != 1)
            n = 0;
    }
    EVP_MD_CTX_free(context);
    for (unsigned i = 0; i < n; i++)
        snprintf(out + 2 * (size_t)i, 3, "%02x", bytes[i]);
    return n > 0;
}

static char *text_of(const struct tlv_field *f)
{
    return memchr(f->value, '\0', f->length) ? NULL : strndup(f->value, f->length);
}

static void take_text(char **slot, const struct tlv_field *f)
{
    if (!*slot)
        *slot = text_of(f);
}

static void take_field(struct cache *c, const struct tlv_field *f)
{
    int64_t number = 0;

    if (tlv_is(f, "token-endpoint"))
        take_text(&c->document.token_endpoint, f);
    else if (tlv_is(f, "jwks-uri"))
        take_text(&c->document.jwks_uri, f);
    else if (tlv_is(f, "revocation-endpoint"))
        take_text(&c->document.revocation_endpoint, f);
    else if (tlv_is(f, "device-endpoint"))
        take_text(&c->document.device_endpoint, f);
    else if (tlv_is(f, "keys"))
        take_text(&c->keys, f);
    else if (tlv_is(f, "unreadable"))
        error_clean(c->document.unreadable, sizeof c->document.unreadable, f->value, f->length);
    else if (tlv_number(f, &number) < 0 || number < 0)
        return;
    else if (tlv_is(f, "discovered"))
        c->has_document = true, c->discovered = (uint64_t)number;
    else if (tlv_is(f, "keyed"))
        c->keyed = (uint64_t)number;
    else if (tlv_is(f, "date") && number <= DATE_MOST)
        c->date = number;
    else if (tlv_is(f, "dated"))
        c->dated = (uint64_t)number;
    else if (tlv_is(f, "keys-used"))
        c->keys_used = number != 0;
    else if (tlv_is(f, "auth-listed"))
        c->document.auth_listed = number != 0;
    else if (tlv_is(f, "auth-post"))
        c->document.auth_post = number != 0;
    else if (tlv_is(f, "auth-basic"))
        c->document.auth_basic = number != 0;
}

/* URLs have to pass the same gate as in a discovery document. */
static bool believable(const struct job *job, const struct cache *c)
{
    const struct discovery *d = &c->document;

    return (!c->has_document || d->token_endpoint || !discovery_wants_token_endpoint(job)) &&
           (!d->token_endpoint || http_url_allowed(job, d->token_endpoint)) &&
           (!d->jwks_uri || http_url_allowed(job, d->jwks_uri)) &&
           (!d->revocation_endpoint || http_url_allowed(job, d->revocation_endpoint)) &&
           (!d->device_endpoint || http_url_allowed(job, d->device_endpoint));
}

void cache_read(const struct job *job, struct cache *ret)
{
    char print[PRINT_SIZE];
    struct tlv_reader r;
    struct tlv_field f;
    bool ours = false;
    int more;

    *ret = (struct cache){ .keys = NULL };
    if (job->cache_length == 0 || !print_of(job, print) ||
        tlv_open(&r, job->cache, job->cache_length) != (long)job->cache_length)
        return;
    while ((more = tlv_next(&r, &f)) > 0) {
        if (tlv_is(&f, "print"))
            ours = f.length == strlen(print) && memcmp(f.value, print, f.length) == 0;
        else
            take_field(ret, &f);
    }
    if (more < 0 || !ours || !believable(job, ret))
        cache_clear(ret);
}

void cache_clear(struct cache *c)
{
    discovery_clear(&c->document);
    free(c->keys);
    *c = (struct cache){ .keys = NULL };
}

static size_t encode(const struct job *job, const struct cache *c, bool keys, void *memory)
{
    char print[PRINT_SIZE];
    struct tlv_writer w;

    if (!print_of(job, print))
        return 0;
    tlv_begin(&w, memory, RESULT_CACHE_MAX);
    tlv_put_number(&w, "version", CACHE_VERSION);
    tlv_put_text(&w, "print", print);
    if (c->has_document) {
        if (c->document.token_endpoint)
            tlv_put_text(&w, "token-endpoint", c->document.token_endpoint);
        if (c->document.jwks_uri)
            tlv_put_text(&w, "jwks-uri", c->document.jwks_uri);
        if (*c->document.unreadable)
            tlv_put_text(&w, "unreadable", c->document.unreadable);
        if (c->document.revocation_endpoint)
            tlv_put_text(&w, "revocation-endpoint", c->document.revocation_endpoint);
        if (c->document.device_endpoint)
            tlv_put_text(&w, "device-endpoint", c->document.device_endpoint);
        tlv_put_number(&w, "auth-listed", c->document.auth_listed);
        tlv_put_number(&w, "auth-post", c->document.auth_post);
        tlv_put_number(&w, "auth-basic", c->document.auth_basic);
        tlv_put_number(&w, "discovered", (int64_t)c->discovered);
    }
    if (keys && c->keys) {
        tlv_put_text(&w, "keys", c->keys);
        tlv_put_number(&w, "keyed", (int64_t)c->keyed);
        tlv_put_number(&w, "keys-used", c->keys_used);
    }
    if (c->date > 0 && c->dated > 0) {
        tlv_put_number(&w, "date", c->date);
        tlv_put_number(&w, "dated", (int64_t)c->dated);
    }
    return tlv_end(&w);
}

void cache_write(const struct job *job, const struct cache *c, struct result *ret)
{
    if (!c->has_document && !c->keys)
        return;
    ret->cache = malloc(RESULT_CACHE_MAX);
    if (!ret->cache)
        return;
    ret->cache_length = encode(job, c, true, ret->cache);
    if (ret->cache_length == 0)
        ret->cache_length = encode(job, c, false, ret->cache);
}

bool cache_fresh(uint64_t learnt, uint64_t limit)
{
    uint64_t now = time_boottime();

    return learnt > 0 && learnt <= now && now - learnt < limit;
}
