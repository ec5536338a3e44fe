/*
 * children - the processes that the daemon starts: their pidfd, and their end.
 *
 * Nothing here waits. SIGKILL does not end a process that sleeps uninterruptibly (in a file system
 * that does not answer) or that a debugger holds. Who gives such a one up is rid of it all the
 * same: it is followed by its pidfd and collected when it ends, and one that takes long is stuck:
 * logged, and named by `status`.
 *
 *   child_prepare -> child_fork -> child_free: kill -> collected, at once or by its pidfd
 *                                                 `-> stuck after a moment -> collected
 */
#ifndef KUBETOKEN_CHILDREN_H
#define KUBETOKEN_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "common/error.h"

/* While so many are stuck no other process is started: what holds them would hold it too. */
enum { CHILDREN_STUCK_MAX = 8 };

struct children;
struct child;

/* changed is called when children_stuck() says something else (NULL: nobody wants to know), never
 * from within a call. NULL: no memory. */
struct children *children_new(sd_event *event, void (*changed)(void *context), void *context);

/* Gives those that were killed a second to end, for all together, and leaves the others behind:
 * says so in the log. */
struct children *children_free(struct children *children);

/* The loop that they are followed in. */
sd_event *children_event(const struct children *children);

/* One that is stuck; killed_at in usec of CLOCK_BOOTTIME. The texts are the child's. */
struct child_look {
    pid_t pid;
    const char *program, *profile; /* "": of none */
    uint64_t killed_at;
};

/* The i-th that is stuck, the eldest first. False: there are not so many. Takes NULL. */
bool children_stuck(const struct children *children, size_t i, struct child_look *ret);

/* It in words, as the detail of ERROR_STUCK. */
void child_look_words(const struct child_look *look, struct error *ret);

/* Whether all of them have ended, also those not stuck. */
bool children_all_ended(const struct children *children);

/* Before one is forked: nothing needs memory after that. program is a literal; profile is copied,
 * NULL: for none. NULL with *why: too many are stuck, or no memory. */
struct child *child_prepare(struct children *children, const char *program, const char *profile,
                            struct error *why);

/* As fork(2). In the parent: its pid, or -errno. */
pid_t child_fork(struct child *child);

/* To be polled: it can be read when the process has ended. The child's. */
int child_pidfd(const struct child *child);

/* Whether it has ended; *ret_status as waitpid(2) says it, then and later. One that ended and that
 * a debugger has not let go of says nothing: -1. */
bool child_has_ended(struct child *child, int *ret_status);

/* It leads a process group: that is killed. */
void child_leads(struct child *child);

/* Does not wait for the end. */
void child_kill(struct child *child);

/* It is wanted no more. One that was forked and runs is killed. Takes NULL. */
struct child *child_free(struct child *child);

/* It may go on by itself for so long (usec), and is killed then. */
void child_release(struct child *child, uint64_t time);

/* Why none can be started, by errno: ERROR_DESCRIPTORS where there are no more descriptors, else
 * that code and the system's word. before: the head of the detail, as "the command cannot be
 * started: ". */
void child_no_start(struct error *why, enum error_code code, const char *before, int error);

#endif
