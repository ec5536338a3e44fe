/* A job, as the fetcher reads it. The input is a record, or its lines. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check_list(const char *const *a, const char *const *b)
{
    size_t n = 0;

    for (; a[n]; n++)
        PROMISE(b[n] && strcmp(a[n], b[n]) == 0);
    PROMISE(!b[n] && n <= JOB_LIST_MAX);
}

/* Encoded and decoded once more it is the same. */
static void check_again(const struct job *job)
{
    struct secret *bytes = job_encode(job);
    struct job again;

    if (!bytes) /* longer than what came: the numbers are always written */
        return;
    PROMISE(job_decode(secret_peek(bytes), secret_length(bytes), &again) == 0);
    PROMISE(again.kind == job->kind && again.deadline == job->deadline);
    PROMISE(strcmp(again.issuer, job->issuer) == 0);
    PROMISE(strcmp(again.signing_algs, job->signing_algs) == 0);
    PROMISE(!again.password == !job->password);
    PROMISE(!again.password || strcmp(again.password, job->password) == 0);
    PROMISE(again.cache_length == job->cache_length);
    PROMISE(job->cache_length == 0 || memcmp(again.cache, job->cache, job->cache_length) == 0);
    check_list(job->parameters, again.parameters);
    check_list(job->environment, again.environment);
    job_clear(&again);
    secret_free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length;
    void *bytes = fuzz_record(data, size, &length);
    struct job job;

    if (length > 0 && job_decode(bytes, length, &job) == 0) {
        PROMISE(job.issuer && job.client_id && job.client_auth && job.signing_algs);
        check_again(&job);
        job_clear(&job);
    }
    free(bytes);
    return 0;
}
