/*
 * history - what happened lately: hand-outs, tokens, failures, rejections, keys. A bounded ring in
 * memory, for `log` and `why`; it ends with the daemon, and no secret gets into it.
 *
 * Pure: no I/O, no clock. Times are usec of CLOCK_BOOTTIME. All functions take a history that is
 * NULL: then nothing is kept.
 */
#ifndef KUBETOKEN_HISTORY_H
#define KUBETOKEN_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/job.h"

enum {
    HISTORY_MAX = 1024,        /* entries in all, some 200 bytes each: the oldest go first */
    HISTORY_PROFILE_MAX = 64,  /* hand-outs of a profile, and as many of all else */
    HISTORY_UNLOOKED_MAX = 32, /* who is beyond that in one turn of the loop has no name */
    HISTORY_PROGRAM_SIZE = 16, /* as the kernel has it */
};

/* A process of a program that gets the same token so soon after another is one entry with it, or
 * `watch kubectl get pods` would leave room for nothing else. */
#define HISTORY_TOGETHER (60 * 1000000ULL)

enum history_kind {
    HISTORY_STARTED,   /* the daemon */
    HISTORY_RELOAD,    /* the configuration was read: text */
    HISTORY_HAND_OUT,  /* a token to a process */
    HISTORY_TOKEN,     /* one was fetched */
    HISTORY_FAILURE,   /* none was */
    HISTORY_REJECTION, /* the API server seems to have rejected one */
    HISTORY_KEY,       /* the provider signs with another key */
    HISTORY_LOGOUT,
    HISTORY_IDENTITY, /* another one is configured: the token is void */
    HISTORY_SHARE,    /* a share was opened, or is to end at another time: expires_at */
    HISTORY_UNSHARE,  /* it ended: end */
};

/* Why a share ended. */
enum history_end {
    HISTORY_OVER,     /* its time is */
    HISTORY_SAID,     /* by somebody */
    HISTORY_NO_PLACE, /* its socket is gone, or another's */
    HISTORY_UNCONFIGURED,
    HISTORY_OTHER_IDENTITY,
};

/* Why a token was asked for. */
enum history_reason {
    HISTORY_WANTED,   /* somebody asked, and there was none */
    HISTORY_AHEAD,    /* the one in hand was due to be renewed */
    HISTORY_REJECTED, /* it was rejected */
    HISTORY_REFRESH,  /* a person said `refresh` */
    HISTORY_LOGIN,    /* or `login` */
};

/* What does not fit the kind is 0 in an entry that is added; in one that a history returns it is
 * not there: of each no more is kept than its kind has, which is why those that few have come last.
 */
struct history_entry {
    enum history_kind kind;
    bool unlooked;       /* HAND_OUT: nobody has looked at it yet: pid is what it says */
    unsigned char end;   /* UNSHARE: enum history_end */
    unsigned count;      /* how often; */
    unsigned processes;  /* HAND_OUT: by how many */
    const char *profile; /* NULL: the daemon's own */
    uint64_t id;         /* grows with each change: an entry that is added to gets another */
    uint64_t at;         /* the last time; */
    uint64_t first;      /* the first one */
    const char *text;    /* TOKEN: changed claims; FAILURE, RELOAD: what was seen; NULL: nothing;
                          * HAND_OUT, SHARE, UNSHARE: the share's name */
    /* HAND_OUT, TOKEN, REJECTION, KEY: which token */
    uint64_t token;      /* when it was asked for, which tells tokens apart */
    uint64_t expires_at; /* when it dies */
    /* HAND_OUT, REJECTION: who it was */
    pid_t peer;                         /* who connected, for the look */
    pid_t pid;                          /* of the program; of several the last */
    uint64_t started;                   /* when that process was, 0 = not known */
    bool confirmed;                     /* the kernel says so too, not the client alone */
    char program[HISTORY_PROGRAM_SIZE]; /* printable, "" = not known */
    /* REJECTION */
    bool told;          /* by get --rejected, not by the look of it */
    bool unfollowed;    /* so soon after another one that none is fetched */
    uint64_t handed_at; /* when that process had got it */
    /* TOKEN, FAILURE */
    enum history_reason reason;
    enum error_code code;
    uint64_t took; /* usec; 0: nothing was sent */
    bool by_refresh_token;
    unsigned char grant; /* enum grant: of the profile, where it was not by refresh token */
    /* KEY */
    bool key_gone; /* the former one is published no more */
    /* TOKEN, REJECTION: what is known of the token */
    bool verified;
    const char *key;          /* that it is signed with; KEY: the new one; NULL: none is named */
    const char *previous_key; /* KEY */
    int64_t clock_offset;     /* seconds that the provider's clock is ahead of ours */
    unsigned n_findings;
    enum error_code findings[RESULT_WARNINGS_MAX];
};

struct history;

/* NULL: no memory, which is no reason to do without a daemon. */
struct history *history_new(void);
struct history *history_free(struct history *history);

/* Called after each change, from within the call that made it. */
void history_on_change(struct history *history, void (*changed)(void *context), void *context);

/* Notes what happened to the profile (NULL: to the daemon). The entry's at is set, its id, first
 * and count are not. What repeats the last entry adds to it. */
void history_add(struct history *history, const char *profile, const struct history_entry *entry);

/* The first entry that nobody has looked at, or NULL; and what a look has found: pid, started,
 * program, confirmed. It may be added to another one, and be gone then. */
const struct history_entry *history_unlooked(const struct history *history);
void history_settle(struct history *history, const struct history_entry *entry,
                    const struct history_entry *found);

/* Nothing is kept of that profile any more. */
void history_forget(struct history *history, const char *profile);

/* In the order of their ids; NULL: there are no more. */
const struct history_entry *history_after(const struct history *history, uint64_t id);
const struct history_entry *history_next(const struct history_entry *entry);
const struct history_entry *history_last(const struct history *history);
const struct history_entry *history_before(const struct history_entry *entry);

/* Up to which id entries went for want of room: those of that profile, NULL: of any, and the
 * daemon's. 0: none. */
uint64_t history_lost(const struct history *history, const char *profile);

#endif
