#define _GNU_SOURCE
#include "common/heap.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_bool lack; /* libcurl may have a thread */

void heap_note_lack(void)
{
    lack = true;
}

bool heap_lacked(void)
{
    return lack;
}

#ifdef HEAP_IS_ANOTHER

void heap_lock(void)
{
}

#else

/* A request to a provider takes less than 1 MiB, most of that certificates; the usual limit of
 * locked memory is 8 MiB, of which what is a secret by itself takes its share. */
enum { LOCKED = 4 * 1024 * 1024, PAGE = 4096 };

/* By the dynamic linker, since valgrind and other tools put theirs before libc's. */
#define FIND(name)                                                                                 \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, name)

static void give_back(void *p)
{
    static void (*real)(void *);

    FIND("free");
    if (real)
        real(p);
}

static void *take(size_t size)
{
    static void *(*real)(size_t);

    FIND("malloc");
    return real ? real(size) : NULL;
}

#define EXPORTED __attribute__((visibility("default")))

static void *note(void *p)
{
    if (!p) {
        lack = true;
        errno = ENOMEM;
    }
    return p;
}

EXPORTED void *malloc(size_t size)
{
    return note(take(size));
}

EXPORTED void *calloc(size_t n, size_t size)
{
    static void *(*real)(size_t, size_t);

    FIND("calloc");
    return note(real ? real(n, size) : NULL);
}

EXPORTED void free(void *p)
{
    if (!p)
        return;
    explicit_bzero(p, malloc_usable_size(p));
    give_back(p);
}

/* What grows within libc would leave its old place as it is. */
EXPORTED void *realloc(void *p, size_t size)
{
    size_t room = p ? malloc_usable_size(p) : 0;
    bool fits = p && size <= room && size > room / 2;

    if (fits)
        explicit_bzero((char *)p + size, room - size);
    if (fits)
        return p;
    /* of realloc(NULL, 0) a pointer is expected */
    void *moved = size > 0 || !p ? malloc(size) : NULL; // NOLINT(clang-analyzer-optin.*)
    if (!moved && size > 0)
        return NULL;
    if (p && moved)
        memcpy(moved, p, room < size ? room : size);
    free(p);
    return moved;
}

/* Until here the heap grew by brk(2) alone, so that its beginning is known. */
void heap_lock(void)
{
    mallopt(M_MMAP_THRESHOLD, LOCKED);
    mallopt(M_TRIM_THRESHOLD, 2 * LOCKED);
    void *more = take(LOCKED - 1024 * 1024); /* nobody lacks it */
    if (!more)
        return;
    uintptr_t end = (uintptr_t)sbrk(0), begin = end - mallinfo2().arena;
    give_back(more);                 /* not wiped: nobody has touched it */
    begin &= ~(uintptr_t)(PAGE - 1); // NOLINT(clang-analyzer-unix.Malloc): it was given back
    mlock2((void *)begin, end - begin, MLOCK_ONFAULT);
    madvise((void *)begin, end - begin, MADV_DONTDUMP);
}

#endif
