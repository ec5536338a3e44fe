/*
 * profile - one identity at one provider: its token, the clients that wait for it, and the
 * request under way. lifecycle.c says when; this does it.
 */
#ifndef KUBETOKEN_PROFILE_H
#define KUBETOKEN_PROFILE_H

#include "common/protocol.h"
#include "daemon/attempt.h"
#include "daemon/device.h"
#include "daemon/facts.h"

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
    struct secret *secret; /* VERB_LOGIN: password, perhaps behind a user's name and before a
                              one-time password, or refresh token; taken by the profile */
    pid_t peer;            /* the process that asks */
    bool guest;            /* the profile's: it came by profile_want_guest() */
    bool inside;           /* another profile waits, and no client */
    bool renew;            /* inside: the token in hand is of no use to it, another one may be */
    bool by_device;        /* the profile's: it has a login shown, and waits for its end */
    uint64_t deadline;     /* usec of CLOCK_BOOTTIME */
    uint64_t asked;        /* the profile's: when it was queued */
    uint64_t noted;        /* the profile's: the token that it was seen to have */
    /* why is NULL with PROFILE_TOKEN */
    void (*ready)(struct waiter *waiter, struct profile *profile, const struct error *why);
    /* VERB_LOGIN by device: the code is there (profile_login_code()); before ready(), and perhaps
     * from within profile_want(). */
    void (*shown)(struct waiter *waiter, struct profile *profile);
    struct profile *profile; /* NULL: not on a list */
    TAILQ_ENTRY(waiter) entry;
};

/* The configuration belongs to the caller and has to outlive the profile or the next
 * profile_configure(). NULL: no memory. */
struct profile *profile_new(struct context *shared, const struct profile_config *config);
/* Tells all waiters that there is no such profile. Takes NULL. */
struct profile *profile_free(struct profile *profile);

/* The same of one that is configured no more: nothing of it is kept. */
struct profile *profile_remove(struct profile *profile);

/* Takes a new configuration: another identity makes the token void, a changed credential wakes
 * a profile that was stopped. */
void profile_configure(struct profile *profile, const struct profile_config *config);

/* The token for a VERB_GET that needs no waiting and no look at who asks, or NULL: then
 * profile_want() knows more. Queues nobody, allocates nothing. */
const struct secret *profile_serve(struct profile *profile, const struct request *request,
                                   uint64_t now);

/* A client wants a token (VERB_GET), or a new one (VERB_REFRESH; VERB_LOGIN, by what it
 * brings). Never blocks, and allocates nothing when a token is served. */
enum profile_verdict profile_want(struct profile *profile, struct waiter *waiter, uint64_t now,
                                  struct error *why);

/* The same two for a guest, who came by a share, with a VERB_GET: it gets the token in hand, or
 * waits for the one that is being fetched. It starts no request and hurries none, and is no use of
 * the profile, nobody who waits, and no sign that the API server rejected anything. */
const struct secret *profile_serve_guest(struct profile *profile, const struct request *request,
                                         uint64_t now);
enum profile_verdict profile_want_guest(struct profile *profile, struct waiter *waiter,
                                        uint64_t now, struct error *why);

/* Keeps the token fresh as long as the process behind the pidfd runs, which is taken; min_validity
 * is what it is to live at any time, if such tokens do. Returns 0, or -1 with *why. */
int profile_hold(struct profile *profile, int pidfd, pid_t pid, uint64_t min_validity,
                 struct error *why);

/* It is shared (daemon/share.h), or not any more: kept fresh as long as that. */
void profile_share(struct profile *profile, bool shared);

/* Whether it is shared, or such a process runs. */
bool profile_is_held(const struct profile *profile);

/* Whether somebody can log in to it; if not, *why says what to do. */
bool profile_takes_login(const struct profile *profile, struct error *why);

/* Forgets token, refresh token and typed password. Clients that wait are told. The refresh token is
 * added to what is to be revoked; NULL: nothing is. */
void profile_logout(struct profile *profile, struct revocation *revocation);

/* The network came up or goes out another way, the machine woke up, or the clock was set. */
void profile_system_changed(struct profile *profile, enum system_change what);

/* The client is gone. Takes waiters that do not wait, too. */
void profile_forget(struct waiter *waiter);

/* Whether a password is in hand that somebody typed: it ends with the daemon. */
bool profile_has_typed_password(const struct profile *profile);

/* Whether a password is at hand, typed or from a source; and whether the provider takes it with a
 * one-time password alone, as far as is known. */
bool profile_knows_password(const struct profile *profile);
bool profile_wants_otp(const struct profile *profile);

/* What others may look at, never change: with the user's name that somebody typed, and as the files
 * have it. */
const struct profile_config *profile_config(const struct profile *profile);
const struct profile_config *profile_configured(const struct profile *profile);
/* The token in hand, NULL when none lives. */
const struct secret *profile_token(const struct profile *profile, uint64_t now);
/* The access token that came with it, as long as it lives; NULL: none, or no other profile is
 * configured to get its tokens for it. */
const struct secret *profile_access_token(const struct profile *profile, uint64_t now);
/* The profile of that name among all of the daemon, or NULL. */
struct profile *profile_named(const struct context *shared, const char *name);
/* Why the refresh token that somebody gave last was dropped, in words; "": it was not. */
const char *profile_offer_words(const struct profile *profile);
/* The last failure, ERROR_NONE: none since the last token. */
const struct error *profile_error(const struct profile *profile);
/* What is wrong with a profile, the worst first. */
enum profile_trouble {
    PROFILE_REFUSED,      /* nothing is sent until the credential changes */
    PROFILE_LOGIN_NEEDED, /* until somebody types a password */
    PROFILE_WAITS,        /* it is tried again */
    PROFILE_WELL,
};
/* What is wrong with it now; profile_error() says why. */
enum profile_trouble profile_trouble(const struct profile *profile);
/* Where the fetcher was at that failure, and where one is now; NULL, or without a name: there was,
 * or is, none. */
const struct step *profile_failed_step(const struct profile *profile);
const struct step *profile_step(const struct profile *profile);
/* What a client that is queued waits for now, in words. */
void profile_words(const struct profile *profile, uint64_t now, char *out, size_t size);
/* The same of one that waits for a login by device; and the code that is to be shown to it, NULL:
 * there is none (yet). */
void profile_login_words(const struct profile *profile, uint64_t now, char *out, size_t size);
const struct device_code *profile_login_code(const struct profile *profile);
/* Until when the client behind the request is told to use the token, usec of CLOCK_BOOTTIME: in a
 * rehearsal not as long as others. */
uint64_t profile_advertised_expiry(const struct profile *profile, const struct request *request,
                                   uint64_t now);

/* Times are usec of CLOCK_BOOTTIME. */
struct profile_look {
    const char *state;   /* its name, as status shows it */
    bool idle;           /* in which nothing is wrong, and nothing under way */
    bool fading;         /* the token is about to die, and nothing newer could be had */
    uint64_t since;      /* when it entered that state */
    uint64_t expires_at; /* of the token in hand; 0 = none lives */
    enum profile_next {
        PROFILE_NOTHING, /* until somebody comes */
        PROFILE_ASKING,  /* a request is under way */
        PROFILE_RETRY,   /* at next */
        PROFILE_RENEWAL,
    } next_is;
    uint64_t next;       /* when the daemon acts next by itself; 0 = not */
    uint64_t login_ends; /* until then a login by device may be confirmed; 0 = none is under way */
};
/* How it stands now. */
struct profile_look profile_look(const struct profile *profile, uint64_t now);
/* What the last renewal that changed any claims changed in them, "" = none has, and when. */
const char *profile_changed(const struct profile *profile, uint64_t *ret_when);
/* What is seldom meant in the form of its secrets, or ERROR_NONE. */
void profile_oddities(const struct profile *profile, struct error *ret);
/* Whether a refresh token is in hand, and since when (0: of an earlier life of the daemon). */
bool profile_holds_refresh_token(const struct profile *profile, uint64_t *ret_since);
/* What happened to it since the daemon began. */
struct profile_counts {
    uint64_t handouts; /* tokens given to clients */
    uint64_t renewals; /* tokens that the provider gave */
    uint64_t failures; /* attempts that brought none */
};
/* All of it, up to now. */
struct profile_counts profile_counts(const struct profile *profile);
/* What is known of the token: whom it speaks of, findings, the provider's clock. */
const struct facts *profile_facts(const struct profile *profile);
/* The user: as Kubernetes names him where username-claim says by what and the token has it, else
 * by his name at the provider; "": nobody has typed one yet. */
enum { PROFILE_USER_MAX = 1024 };
void profile_user(const struct profile *profile, char *out, size_t size);

#endif
