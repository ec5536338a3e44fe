#define _GNU_SOURCE
#include "client/locked.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client/output.h"

char *locked_memory_if_any(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    prctl(PR_SET_DUMPABLE, 0);
    mlock(memory, size);
    madvise(memory, size, MADV_DONTDUMP);
    return memory;
}

char *locked_memory(size_t size)
{
    char *memory = locked_memory_if_any(size);

    if (!memory)
        _exit(output_fail_for_memory());
    return memory;
}
