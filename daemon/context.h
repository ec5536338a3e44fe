/*
 * context - what the profiles of a daemon share.
 */
#ifndef KUBETOKEN_CONTEXT_H
#define KUBETOKEN_CONTEXT_H

#include <stdbool.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "daemon/account_table.h"
#include "daemon/children.h"
#include "daemon/fetch_queue.h"
#include "daemon/fetcher.h"
#include "daemon/history.h"
#include "daemon/notify.h"
#include "daemon/system_watch.h"

struct attempt;
struct shares;
TAILQ_HEAD(attempt_list, attempt);
struct revocation;
LIST_HEAD(revocation_list, revocation);
struct profile;
LIST_HEAD(profile_list, profile);

struct context {
    sd_event *event;
    struct children *children;
    struct notify *notify; /* NULL: no systemd listens */
    struct fetcher_program fetcher;
    int program; /* our own, as it was started, and where; -1: not known */
    char program_path[PATHS_MAX];
    char log[PATHS_MAX];         /* the file of an autostarted daemon, or "" */
    char no_log[PATHS_MAX + 64]; /* why it has none, or "" */
    bool logged_out;             /* paths_logged_out(), for a socket made here */
    bool trial;                  /* each profile asks once: nothing is tried again or renewed */
    struct fetch_queue fetch_queue;
    struct account_table *accounts;
    struct store *store; /* NULL: nothing outlives this process */
    struct system_watch *system_watch;
    struct history *history;            /* NULL: none is kept */
    struct shares *shares;              /* NULL: there are none */
    unsigned inspections;               /* under way */
    struct attempt_list turns;          /* those that wait for another's login */
    struct profile_list profiles;       /* all of them, */
    struct profile_list dependents;     /* and those whose tokens come from another */
    struct revocation_list revocations; /* under way, after a logout */
    /* Called by context_progress() and context_changed(); NULL: nobody wants to know. */
    void (*on_progress)(void *who);
    void (*on_change)(void *who);
    void (*on_configured)(void *who); /* by context_configured(), likewise */
    void *who;
};

/* What a client waits for may be another by now. */
static inline void context_progress(const struct context *shared)
{
    if (shared->on_progress)
        shared->on_progress(shared->who);
}

/* What `status` says may be another by now. */
static inline void context_changed(const struct context *shared)
{
    notify_changed(shared->notify);
    if (shared->on_change)
        shared->on_change(shared->who);
}

/* Other profiles are there, or others' configuration. */
static inline void context_configured(const struct context *shared)
{
    if (shared->on_configured)
        shared->on_configured(shared->who);
}

#endif
