/*
 * fuzz - what the fuzz targets share: promises that end the process when broken, inputs as
 * blocks of exactly their size, a job.
 */
#ifndef KUBETOKEN_TESTS_FUZZ_H
#define KUBETOKEN_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/job.h"

/* A promise: says which one is broken and ends the process, so that the input is kept. */
#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_broken(#condition, __FILE__, __LINE__);                                           \
    } while (0)

/* What PROMISE() calls. */
void fuzz_broken(const char *condition, const char *file, int line) __attribute__((noreturn));

/* libFuzzer calls it with each input. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy in a block of that size, so that a byte read behind it is seen. The caller frees it.
 * The text has one byte more, its NUL. */
void *fuzz_bytes(const uint8_t *data, size_t size);
char *fuzz_text(const uint8_t *data, size_t size);

/* A record: the bytes themselves where they begin with "KTR1", else one made of their lines
 * "name=value", which a fuzzer changes with more success; of "name=#1,2" the value is two numbers
 * of 64 bits. The caller frees it. */
void *fuzz_record(const uint8_t *data, size_t size, size_t *ret_length);

/* Zeroes what lies behind the text in its room, so that structs can be compared. */
void fuzz_wipe_tail(char *text, size_t room);

/* Whether the text is UTF-8 in lines without control characters; blanks stand between words. */
bool fuzz_is_clean(const char *text);

/* The promises of any struct error that says something, and of any result's words. */
void fuzz_check_error(const struct error *e);
void fuzz_check_words(const struct result *result);

enum { FUZZ_DATE = 1795507200 }; /* the provider's clock */

/* The secrets of fuzz_job(), which nothing that a person reads may hold. One has blanks. */
#define FUZZ_PASSWORD "hunter 22 twice"
#define FUZZ_CLIENT_SECRET "s3cret/+client"
#define FUZZ_REFRESH_TOKEN "v1.refresh"

/* A job with everything in it. Nothing of it is to be freed. */
struct job fuzz_job(void);

#endif
