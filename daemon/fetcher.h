/*
 * fetcher - starts one kubetoken-fetch for a job and takes its result.
 *
 * Nothing here waits: the owner polls fetcher_fd() for input and calls fetcher_read(), and
 * kills the process by fetcher_free() when its time is up. The process can do no harm: it is
 * read within limits, killed with its owner (PR_SET_PDEATHSIG), and has neither descriptors
 * nor environment of ours.
 */
#ifndef KUBETOKEN_FETCHER_H
#define KUBETOKEN_FETCHER_H

#include "common/job.h"
#include "common/paths.h"
#include "daemon/children.h"

struct fetcher;

/* The program of a daemon, opened once, so that all jobs run the same one, also across an
 * upgrade. */
struct fetcher_program {
    int fd;                 /* < 0: -errno, why there is none */
    char path[PATHS_MAX];   /* of the one that was opened, or where it was looked for in vain */
    char beside[PATHS_MAX]; /* the places, "" and NULL: none */
    const char *installed;
};

/* The program, opened if it is not yet: a daemon without one serves the error, and looks again at
 * each job. Returns its descriptor, or -1 with *why set. */
int fetcher_find(struct fetcher_program *program, struct error *why);

/* Opens a program. Returns a descriptor, or -errno. */
int fetcher_open(const char *path);

/* Whether the file at that path is still the program that was opened, or another by now (or
 * none, while an upgrade is under way). */
bool fetcher_is_current(int program, const char *path);

/* Starts the program on an encoded job (copied; the caller may free it at once), for a profile, or
 * NULL. Returns 0 and the fetcher, or -1 with *why set. */
int fetcher_start(struct children *children, int program, const char *profile,
                  const struct secret *job, struct fetcher **ret, struct error *why);

/* Kills the process if it still runs, without waiting for its end (children.h), and wipes what it
 * sent. Takes NULL. */
struct fetcher *fetcher_free(struct fetcher *fetcher);

/* The descriptor to poll for input, another one once fetcher_read() has seen the end of what it
 * sends: to be asked for after each. Owned by the fetcher. */
int fetcher_fd(const struct fetcher *fetcher);

/* Reads what has come. Returns 1 when the result is there (*ret is filled; the caller clears
 * it), 0 when there is more to wait for, -1 when it ended without a believable result
 * (*why says how). */
int fetcher_read(struct fetcher *fetcher, struct result *ret, struct error *why);

/* Whether the request for a token has begun: before that nothing secret has left. */
bool fetcher_sent_grant(const struct fetcher *fetcher);

/* The last step that it told; without a name before the first. Owned by the fetcher. */
const struct step *fetcher_step(const struct fetcher *fetcher);

/* What the last one that ended with a result said of itself. */
const struct protections *fetcher_protections(void);

/* Where the fetcher is, in words: "resolving login.example.com". */
void fetcher_where(const struct fetcher *fetcher, char *out, size_t size);

#endif
