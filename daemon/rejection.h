/*
 * rejection - the rule by which a client that asks again tells that the API server rejected its
 * token: client-go runs its plugin again after a 401, and does not say why.
 *
 * Pure: no I/O, no clock, no allocation. Times are usec of CLOCK_BOOTTIME. What the process is, the
 * caller finds out (peer_process.h).
 */
#ifndef KUBETOKEN_REJECTION_H
#define KUBETOKEN_REJECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { REJECTION_CLIENTS = 64 };

/* What was handed out to client-go processes lately, for one profile. */
struct rejection {
    struct rejection_client {
        pid_t pid;
        unsigned times;      /* that token */
        uint64_t token;      /* when it was sent for, which tells tokens apart */
        uint64_t handed_out; /* the first time */
        uint64_t until;      /* it was told to come again then; UINT64_MAX: when all are */
    } * clients;             /* REJECTION_CLIENTS of the caller's, all zero at first; NULL: nobody
                              * is noted */
    uint64_t suspected;      /* the last token that was suspected, 0 = none */
    uint64_t unheard;        /* the last token of which that came too soon after the one before */
    uint64_t at;             /* when the last was suspected */
    uint64_t floor;          /* between two suspicions, 0 = the least */
};

/* Notes a hand-out to a process that is told to come again at until (in a rehearsal; else
 * UINT64_MAX: the caller knows when all are told to). Returns the entry if that process has had
 * that token before and comes earlier than it was told: then it is worth looking at the process,
 * and rejection_confirm() decides. NULL otherwise. */
const struct rejection_client *rejection_note(struct rejection *s, pid_t pid, uint64_t token,
                                              uint64_t until, uint64_t now);

/* Whether that process has had that token. */
bool rejection_knows(const struct rejection *s, pid_t pid, uint64_t token);

/* Whether the token is to be taken for rejected. calls is how many times such a process asks
 * with a good token: 1, and 2 for a manifest on stdin. */
bool rejection_confirm(struct rejection *s, const struct rejection_client *client, unsigned calls,
                       uint64_t now);

/* A token was replaced in the normal way: the clients are content with them, unless it was
 * suspected after all. */
void rejection_calm(struct rejection *s, uint64_t token);

#endif
