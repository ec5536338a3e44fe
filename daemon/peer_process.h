/*
 * peer_process - what /proc says of another process.
 */
#ifndef KUBETOKEN_PEER_PROCESS_H
#define KUBETOKEN_PEER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct peer_process {
    pid_t parent;
    uint64_t started; /* usec of CLOCK_BOOTTIME */
    char name[16];    /* of the program, as the kernel has it; printable, no arguments */
};

/* Returns 0, or -1: it is gone. */
int peer_process_read(pid_t pid, struct peer_process *ret);

/* What /proc/PID/stat says, NUL-terminated. Returns 0, or -1: that is none. */
int peer_process_parse(const char *text, struct peer_process *ret);

/* Its parent and when it was started (usec of CLOCK_BOOTTIME). Returns 0, or -1: it is gone. */
int peer_process_look(pid_t pid, pid_t *ret_parent, uint64_t *ret_started);

/* Whether its arguments name a file "-": -f -, -f-, --filename=-, --filename -. kubectl then
 * runs its credential plugin twice, with nothing wrong. */
bool peer_process_reads_manifest(pid_t pid);

/* The same of arguments as /proc gives them: each with a NUL behind it. */
bool peer_process_arguments_read_manifest(const char *arguments, size_t length);

#endif
