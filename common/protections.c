#define _GNU_SOURCE
#include "common/protections.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/secret.h"

enum { LOCKED = 1, UNDUMPABLE = 2, NO_CORE = 4, NO_NEW_PRIVS = 8, SECCOMP = 16 };

void protections_look(struct protections *ret)
{
    struct rlimit core;

    *ret = (struct protections){
        .known = true,
        .locked = secret_locked(),
        .undumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0,
        .no_core = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0,
        .no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
        .seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER,
    };
}

int64_t protections_pack(const struct protections *p)
{
    return (p->locked ? LOCKED : 0) | (p->undumpable ? UNDUMPABLE : 0) |
           (p->no_core ? NO_CORE : 0) | (p->no_new_privs ? NO_NEW_PRIVS : 0) |
           (p->seccomp ? SECCOMP : 0);
}

void protections_unpack(int64_t bits, struct protections *ret)
{
    ret->known = true;
    ret->locked = bits & LOCKED;
    ret->undumpable = bits & UNDUMPABLE;
    ret->no_core = bits & NO_CORE;
    ret->no_new_privs = bits & NO_NEW_PRIVS;
    ret->seccomp = bits & SECCOMP;
}
