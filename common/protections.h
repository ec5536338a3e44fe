/*
 * protections - which walls hold around a process that has secrets: what the kernel says, not what
 * was asked of it.
 */
#ifndef KUBETOKEN_PROTECTIONS_H
#define KUBETOKEN_PROTECTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct protections {
    bool known;        /* false: nobody has told */
    bool locked;       /* no secret is swapped out */
    bool undumpable;   /* no other program of the user may look into it (ptrace(2)) */
    bool no_core;      /* a crash writes its memory nowhere */
    bool no_new_privs; /* it gains none by what it runs */
    bool seccomp;      /* a filter of system calls is in force */
    unsigned landlock; /* the ABI of the Landlock that it has put around itself, 0: none */
};

enum { PROTECTIONS_LANDLOCK_MAX = 1000 };

/* Of this process. Landlock tells nothing of itself: the caller knows. */
void protections_look(struct protections *ret);

/* As a number, for a record: what is a bool above, in that order from bit 0. */
int64_t protections_pack(const struct protections *protections);
void protections_unpack(int64_t bits, struct protections *ret);

#endif
