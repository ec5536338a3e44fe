#include "daemon/memory.h"

#include <cjson/cJSON.h>
#include <malloc.h>
#include <stdlib.h>

static bool lack;

static void *take(size_t size)
{
    void *p = malloc(size);

    lack |= !p;
    return p;
}

void memory_watch_json(void)
{
    cJSON_Hooks hooks = { .malloc_fn = take, .free_fn = free };

    cJSON_InitHooks(&hooks);
}

/* Another libc's heap has neither function. That of musl maps large blocks by itself. */
#ifdef __GLIBC__

/* glibc's own, which it would raise to the largest block that was ever freed, and twice that is
 * what it keeps then (mallopt(3)). */
enum { LARGE = 128 * 1024 };

void memory_map_large(void)
{
    mallopt(M_MMAP_THRESHOLD, LARGE);
}

void memory_give_back(void)
{
    malloc_trim(0);
}

#else

void memory_map_large(void)
{
}

void memory_give_back(void)
{
}

#endif

void memory_note_lack(void)
{
    lack = true;
}

bool memory_lacked(void)
{
    bool lacked = lack;

    lack = false;
    return lacked;
}

FILE *memory_stream(char **text, size_t *size)
{
    FILE *f;

    *text = NULL;
    f = open_memstream(text, size);
    lack |= !f;
    return f;
}

void memory_close(FILE *f, char **text)
{
    if (!f)
        return;
    bool whole = fflush(f) == 0 && !ferror(f);
    fclose(f); /* which may have no memory to end it */
    if (whole && *text)
        return;
    lack = true;
    free(*text);
    *text = NULL;
}
