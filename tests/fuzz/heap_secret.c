/*
 * common/secret.h on the heap, for the fuzz targets and the simulation alone: AddressSanitizer sees
 * no end of a secret within locked pages, and LeakSanitizer none that was lost. secret_test.c has
 * the real one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

struct secret {
    size_t capacity, length;
    char bytes[];
};

_Static_assert(sizeof(struct secret) == SECRET_PLACE, "the head of a secret fits its place");

struct secret *secret_new(size_t capacity)
{
    if (capacity > 16 * 1024 * 1024)
        return NULL;
    struct secret *s = malloc(sizeof *s + capacity + 1);
    if (!s)
        return NULL;
    s->capacity = capacity;
    s->length = 0;
    s->bytes[0] = '\0';
    return s;
}

struct secret *secret_copy(const void *bytes, size_t length)
{
    struct secret *s = secret_new(length);

    if (!s)
        return NULL;
    memcpy(s->bytes, bytes, length);
    secret_set_length(s, length);
    return s;
}

struct secret *secret_free(struct secret *s)
{
    free(s);
    return NULL;
}

char *secret_bytes(struct secret *s)
{
    return s->bytes;
}

const char *secret_peek(const struct secret *s)
{
    return s->bytes;
}

size_t secret_length(const struct secret *s)
{
    return s ? s->length : 0;
}

size_t secret_capacity(const struct secret *s)
{
    return s->capacity;
}

void secret_set_length(struct secret *s, size_t length)
{
    s->length = length < s->capacity ? length : s->capacity;
    s->bytes[s->length] = '\0'; /* nothing is wiped here */
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    if (!a || !b)
        return a == b;
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

bool secret_locked(void)
{
    return false;
}

void secret_cleanup(struct secret **s)
{
    secret_free(*s);
}

void secret_lock(void *memory, size_t size)
{
    (void)memory, (void)size;
}

const struct secret *secret_place(void *place, size_t length)
{
    struct secret *s = place;

    *s = (struct secret){ length, length };
    return s;
}
