#define _GNU_SOURCE
#include "client/inherited.h"

#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STACK = 8 * 1024 * 1024 }; /* what everybody has; more is address space for each thread */

/* prlimit(2). By the kernel's own types: libraries differ in theirs. */
static void raise_limit(int resource, uint64_t most)
{
    struct {
        uint64_t soft, hard;
    } limit;

    if (syscall(SYS_prlimit64, 0, resource, NULL, &limit) < 0)
        return;
    uint64_t wanted = limit.hard < most ? limit.hard : most;
    if (limit.soft >= wanted)
        return;
    limit.soft = wanted;
    syscall(SYS_prlimit64, 0, resource, &limit, NULL);
}

void inherited_reset(void)
{
    static const int resources[] = { RLIMIT_AS,      RLIMIT_CPU,    RLIMIT_DATA, RLIMIT_FSIZE,
                                     RLIMIT_MEMLOCK, RLIMIT_NOFILE, RLIMIT_NPROC };
    static const int normal; /* the struct sched_param of SCHED_OTHER, 0 */
    unsigned long cpus[1024 / (8 * sizeof(unsigned long))];

    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++)
        raise_limit(resources[i], UINT64_MAX); /* no limit */
    raise_limit(RLIMIT_STACK, STACK);
    setpriority(PRIO_PROCESS, 0, 0);
    memset(cpus, 0xff, sizeof cpus); /* the kernel takes those that there are */
    /* not by libc: musl's functions refuse what differs for threads */
    syscall(SYS_sched_setscheduler, 0, 0, &normal);
    syscall(SYS_sched_setaffinity, 0, sizeof cpus, cpus);
    syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, 0);
}
