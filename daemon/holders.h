/*
 * holders - the processes for as long as which a token is kept fresh (`kubetoken run`): a
 * profile's. The kernel says when one ends; nothing looks.
 */
#ifndef KUBETOKEN_HOLDERS_H
#define KUBETOKEN_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

enum { HOLDERS_MAX = 64 }; /* of a profile; one more, and the eldest is followed no longer */

/* One process, as another life of the daemon finds it again. */
struct holder {
    uint64_t started;      /* usec of CLOCK_BOOTTIME: the pid may be another's by then */
    uint64_t min_validity; /* usec that the token is to live at any time */
    int64_t pid;
};

struct holders;

/* changed is called when a process has ended. NULL: no memory. */
struct holders *holders_new(sd_event *event, void (*changed)(void *context), void *context);
struct holders *holders_free(struct holders *holders);

/* Adds the process behind a pidfd, which is taken. Returns 0, or -1: it has ended. */
int holders_add(struct holders *holders, int pidfd, pid_t pid, uint64_t min_validity);

/* Adds one of another life, if it still runs. */
void holders_resume(struct holders *holders, const struct holder *holder);

/* Whether any of them runs, and the longest that one of them wants a token to live. Take NULL. */
bool holders_any(const struct holders *holders);
uint64_t holders_min_validity(const struct holders *holders);

/* Those that can be found again. Takes NULL. Returns how many. */
size_t holders_list(const struct holders *holders, struct holder out[HOLDERS_MAX]);

#endif
