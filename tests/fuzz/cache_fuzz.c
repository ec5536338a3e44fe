/* What the last fetcher learnt, as the daemon hands it on. The input is a record or its lines;
 * "print=ours" stands for the print that fits the job. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "common/tlv.h"
#include "daemon/fetch/cache.h"

/* The print of the job, which the cache alone can make: 64 hexadecimal digits. */
static void find_print(const struct job *job, char out[65])
{
    struct cache bare = { .has_document = true };
    struct result result = { 0 };
    struct tlv_reader r;
    struct tlv_field f;

    cache_write(job, &bare, &result);
    PROMISE(tlv_open(&r, result.cache, result.cache_length) > 0);
    while (tlv_next(&r, &f) > 0)
        if (tlv_is(&f, "print")) {
            PROMISE(f.length == 64);
            memcpy(out, f.value, 64);
        }
    out[64] = '\0';
    result_clear(&result);
}

/* The input with the print where it asks for it. The caller frees it. */
static uint8_t *with_print(const struct job *job, const uint8_t *data, size_t size, size_t *ret)
{
    static const char wanted[] = "print=ours";
    static char print[65];
    const uint8_t *at = memmem(data, size, wanted, sizeof wanted - 1);
    uint8_t *out = malloc(size + 64);

    PROMISE(out);
    if (!*print)
        find_print(job, print);
    size_t before = at ? (size_t)(at - data) + 6 : size;
    memcpy(out, data, before);
    if (at) {
        memcpy(out + before, print, 64);
        memcpy(out + before + 64, data + before + 4, size - before - 4);
    }
    *ret = at ? size + 60 : size;
    return out;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_taken(const struct job *job, const struct cache *c)
{
    const struct discovery *d = &c->document;

    PROMISE(!c->has_document || d->token_endpoint || !discovery_wants_token_endpoint(job));
    PROMISE(c->date >= 0 && c->date < INT64_C(1) << 40);
    PROMISE(!d->token_endpoint || http_url_allowed(job, d->token_endpoint));
    PROMISE(!d->jwks_uri || http_url_allowed(job, d->jwks_uri));
}

/* Written and read again it is the same. */
static void check_again(struct job job, const struct cache *c)
{
    struct result result = { 0 };
    struct cache again;

    cache_write(&job, c, &result);
    job.cache = result.cache;
    job.cache_length = result.cache_length;
    if (c->has_document && job.cache_length > 0) {
        cache_read(&job, &again);
        PROMISE(again.has_document);
        PROMISE(same(c->document.token_endpoint, again.document.token_endpoint));
        PROMISE(same(c->document.jwks_uri, again.document.jwks_uri));
        PROMISE(c->document.auth_post == again.document.auth_post);
        PROMISE(c->discovered == again.discovered);
        PROMISE(c->date == 0 || c->dated == 0 || c->date == again.date);
        PROMISE(!again.keys || same(c->keys, again.keys));
        cache_clear(&again);
    }
    result_clear(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct job job = fuzz_job();
    struct cache cache;
    size_t length;

    if (size % 2) /* of another grant: no token endpoint is wanted then */
        job.kind = JOB_VERIFY;
    uint8_t *input = with_print(&job, data, size, &length);
    void *record = fuzz_record(input, length, &job.cache_length);

    job.cache = record;
    cache_read(&job, &cache);
    check_taken(&job, &cache);
    check_again(job, &cache);
    cache_fresh(cache.discovered, USEC_PER_SEC);
    cache_clear(&cache);
    free(record);
    free(input);
    return 0;
}
