#define _GNU_SOURCE
#include "common/secret.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/*
 * A region is a run of locked pages cut into chunks; each chunk is a header and its bytes.
 * Allocation takes the first free chunk that fits and joins free neighbours on its way:
 * a daemon holds a few thousand secrets and changes one in minutes, so a scan is cheap
 * and a lock budget of 8 MiB (the usual RLIMIT_MEMLOCK) goes far.
 *
 * What is large (a job, a result, a long token) has a region of its own, of as many pages as it
 * takes, which goes with it. In a common one it would leave a rest that no other large one fits,
 * and a token that found room beside a job would keep all of that locked for as long as it lives.
 */
enum { REGION_SIZE = 64 * 1024, LARGE = 16 * 1024, ALIGNMENT = 16 };

struct secret {
    uint32_t size; /* of the chunk with this header, a multiple of ALIGNMENT */
    uint32_t used; /* bool */
    uint32_t capacity;
    uint32_t length;
};

_Static_assert(sizeof(struct secret) == SECRET_PLACE, "the head of a secret fits its place");

struct region {
    struct region *next;
    size_t size;
    bool own; /* of one large secret */
};

enum { REGION_HEADER = (sizeof(struct region) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT };

static struct region *regions;
static bool all_locked = true;

static struct secret *first_chunk(struct region *region)
{
    return (struct secret *)(void *)((char *)region + REGION_HEADER);
}

static struct secret *next_chunk(struct region *region, struct secret *chunk)
{
    char *next = (char *)chunk + chunk->size;
    return next < (char *)region + region->size ? (struct secret *)(void *)next : NULL;
}

static bool is_large(size_t need)
{
    return need > LARGE;
}

static struct region *map_region(size_t need)
{
    size_t size = is_large(need) ? (need + REGION_HEADER + 4095) & ~4095UL : REGION_SIZE;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    secret_lock(p, size);
    madvise(p, size, MADV_WIPEONFORK);

    struct region *region = p;
    *region = (struct region){ regions, size, is_large(need) };
    *first_chunk(region) = (struct secret){ .size = (uint32_t)(size - REGION_HEADER) };
    regions = region;
    return region;
}

static void unmap_region(struct region *region)
{
    for (struct region **p = &regions; *p; p = &(*p)->next)
        if (*p == region) {
            *p = region->next;
            munmap(region, region->size);
            return;
        }
}

static struct secret *take(struct region *region, size_t need)
{
    for (struct secret *c = first_chunk(region); c; c = next_chunk(region, c)) {
        if (c->used)
            continue;
        for (struct secret *n; (n = next_chunk(region, c)) && !n->used;)
            c->size += n->size;
        if (c->size < need)
            continue;
        if (c->size - need >= sizeof *c + ALIGNMENT) {
            struct secret *rest = (struct secret *)(void *)((char *)c + need);
            *rest = (struct secret){ .size = c->size - (uint32_t)need };
            c->size = (uint32_t)need;
        }
        c->used = 1;
        return c;
    }
    return NULL;
}

struct secret *secret_new(size_t capacity)
{
    if (capacity > 16 * 1024 * 1024)
        return NULL;
    size_t need = (sizeof(struct secret) + capacity + 1 + ALIGNMENT - 1) & ~(ALIGNMENT - 1UL);
    struct secret *s = NULL;

    for (struct region *r = regions; r && !s && !is_large(need); r = r->next)
        if (!r->own)
            s = take(r, need);
    if (!s) {
        struct region *r = map_region(need);
        s = r ? take(r, need) : NULL;
    }
    if (!s)
        return NULL;
    s->capacity = (uint32_t)capacity;
    s->length = 0;
    secret_bytes(s)[0] = '\0';
    return s;
}

struct secret *secret_copy(const void *bytes, size_t length)
{
    struct secret *s = secret_new(length);
    if (!s)
        return NULL;
    memcpy(secret_bytes(s), bytes, length);
    secret_set_length(s, length);
    return s;
}

static bool is_empty(struct region *region)
{
    for (struct secret *c = first_chunk(region); c; c = next_chunk(region, c))
        if (c->used)
            return false;
    return true;
}

/* One that is empty is kept for what comes next; what thousands of peers have needed for a moment
 * is given back. */
static bool is_other_empty(const struct region *region)
{
    for (struct region *r = regions; r; r = r->next)
        if (r != region && !r->own && is_empty(r))
            return true;
    return false;
}

struct secret *secret_free(struct secret *s)
{
    if (!s)
        return NULL;
    explicit_bzero(s + 1, s->size - sizeof *s);
    s->used = 0;

    for (struct region *r = regions; r; r = r->next)
        if ((char *)s > (char *)r && (char *)s < (char *)r + r->size) {
            if (r->own || (is_empty(r) && is_other_empty(r)))
                unmap_region(r);
            break;
        }
    return NULL;
}

char *secret_bytes(struct secret *s)
{
    return (char *)(s + 1);
}

const char *secret_peek(const struct secret *s)
{
    return (const char *)(s + 1);
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
    s->length = length < s->capacity ? (uint32_t)length : s->capacity;
    explicit_bzero(secret_bytes(s) + s->length, s->capacity - s->length + 1);
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    if (!a || !b)
        return a == b;
    if (a->length != b->length)
        return false;
    unsigned char differs = 0;
    for (uint32_t i = 0; i < a->length; i++)
        differs |= (unsigned char)(secret_peek(a)[i] ^ secret_peek(b)[i]);
    return differs == 0;
}

void secret_lock(void *memory, size_t size)
{
    if (mlock(memory, size) < 0)
        all_locked = false;
    madvise(memory, size, MADV_DONTDUMP);
}

const struct secret *secret_place(void *place, size_t length)
{
    struct secret *s = place;

    *s = (struct secret){ .capacity = (uint32_t)length, .length = (uint32_t)length };
    return s;
}

bool secret_locked(void)
{
    return all_locked;
}

void secret_cleanup(struct secret **s)
{
    secret_free(*s);
}
