/*
 * profile - one identity at one provider: its token, the clients that wait for it, and the
 * request under way. lifecycle.c says when; this does it.
 */
#ifndef KUBETOKEN_PROFILE_H
#define KUBETOKEN_PROFILE_H

#include "common/protocol.h"
#include "daemon/attempt.h"

struct profile;

enum profile_verdict {
    PROFILE_TOKEN,  /* there is one: profile_token() */
    PROFILE_ERROR,  /* there is none, and *why says why */
    PROFILE_QUEUED, /* the waiter will be told */
};

/* A client that waits. The owner fills the first part; ready() is called once, with the waiter
 * off the list and never from within profile_want(), unless it is removed before. */
struct waiter {
    struct request request;
    struct secret *secret; /* VERB_LOGIN: the password; taken by the profile */
    pid_t peer;            /* the process that asks */
    uint64_t deadline;     /* usec of CLOCK_BOOTTIME */
    uint64_t asked;        /* the profile's: when it was queued */
    uint64_t noted;        /* the profile's: the token that it was seen to have */
    /* why is NULL with PROFILE_TOKEN */
    void (*ready)(struct waiter *waiter, struct profile *profile, const struct error *why);
    struct profile *profile; /* NULL: not on a list */
    TAILQ_ENTRY(waiter) entry;
};

/* The configuration belongs to the caller and has to outlive the profile or the next
 * profile_configure(). NULL: no memory. */
struct profile *profile_new(struct profile_shared *shared, const struct profile_config *config);
/* Tells all waiters that there is no such profile. Takes NULL. */
struct profile *profile_free(struct profile *profile);

/* Takes a new configuration: another identity makes the token void, a changed credential wakes
 * a profile that was stopped. */
void profile_configure(struct profile *profile, const struct profile_config *config);

/* A client wants a token (VERB_GET), or a new one (VERB_REFRESH; VERB_LOGIN, by the password that
 * it brings). Never blocks, and allocates nothing when a token is served. */
enum profile_verdict profile_want(struct profile *profile, struct waiter *waiter, uint64_t now,
                                  struct error *why);

/* Forgets token, refresh token and typed password. Clients that wait are told. */
void profile_logout(struct profile *profile);

/* Whether the client-go process with that pid was given the token in hand before. */
bool profile_was_handed(const struct profile *profile, pid_t pid);

/* The network came up, or the clock was set. */
void profile_world(struct profile *profile);

/* The client is gone. Takes waiters that do not wait, too. */
void profile_forget(struct waiter *waiter);

/* What others may look at, never change. */
const struct profile_config *profile_config(const struct profile *profile);
const struct lifecycle *profile_lifecycle(const struct profile *profile);
/* The token in hand, NULL when none lives. */
const struct secret *profile_token(const struct profile *profile, uint64_t now);
/* The last failure, ERROR_NONE: none since the last token. */
const struct error *profile_error(const struct profile *profile);
/* Where the fetcher was at that failure, and where one is now; NULL, or without a name: there was,
 * or is, none. */
const struct step *profile_failed_step(const struct profile *profile);
const struct step *profile_step(const struct profile *profile);
/* When the daemon acts next by itself, usec of CLOCK_BOOTTIME; 0 = not. */
uint64_t profile_next(const struct profile *profile);
/* Until when clients are told to use the token, usec of CLOCK_BOOTTIME. */
uint64_t profile_hand_over(const struct profile *profile, uint64_t now);
/* What the last renewal that changed any claims changed in them, "" = none has, and when. */
const char *profile_changed(const struct profile *profile, uint64_t *ret_when);
/* What is known of the token: whom it speaks of, findings, the provider's clock. */
const struct result *profile_facts(const struct profile *profile);

#endif
