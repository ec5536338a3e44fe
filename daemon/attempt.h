/*
 * attempt - one attempt to get a token: the credentials from their sources, a slot, the leave of
 * their accounts (permit.h), the fetcher. Before them, where a token of another profile is what is
 * given, that one (subject.h): SUBJECT.
 *
 *   start -> DELAYED -> CLIENT_SECRET -> PASSWORD -> QUEUED ------> FETCHING -> done
 *            nobody      command?       command?     ^    | account: another
 *            waits                                   |    v login is under way
 *                                                    +- TURN
 *
 * With token-command, TOOL takes the place of CLIENT_SECRET and PASSWORD: that command runs, and
 * what it printed is verified by the fetcher.
 *
 * Each of these is a stage, and the only way on is advance(). Any of them may fail, which is the
 * end of the attempt. One struct attempt is used again and again by its profile, one attempt at a
 * time.
 */
#ifndef KUBETOKEN_ATTEMPT_H
#define KUBETOKEN_ATTEMPT_H

#include "common/job.h"
#include "daemon/config.h"
#include "daemon/context.h"
#include "daemon/lifecycle.h"
#include "daemon/permit.h"

struct attempt;

/* What to try. All of it belongs to the caller and, but for `typed` and `otp`, has to live until
 * the end. */
struct attempt_order {
    const struct profile_config *config;
    const struct secret *typed; /* a password that goes before the source's, or NULL */
    struct secret
        *otp;       /* goes beside the password, this once; the attempt's from now on, or NULL */
    bool needs_otp; /* without one no password is sent */
    const struct secret *refresh_token; /* used instead of any password, or NULL */
    bool device;                        /* a device code is asked for: neither of them is sent */
    const struct secret *device_code;   /* with device: asks what became of that login */
    const struct secret *previous;      /* the token in hand, or NULL */
    const void *cache;                  /* the fetchers' */
    size_t cache_length;
    uint64_t forced_at;  /* when somebody asked, so that what was refused is sent too; 0 = nobody */
    bool by_route;       /* the way out of this machine has changed */
    bool urgent;         /* a client waits */
    bool patient;        /* the last answer did not come in time */
    uint64_t delay;      /* usec before it begins, unless a client comes meanwhile */
    uint64_t wait_until; /* for another profile's token; usec of CLOCK_BOOTTIME */
    bool wants_access_token; /* for which other profiles get their tokens */
};

/* What stands against sending the same again, as numbers that outlive the daemon. */
enum { ATTEMPT_NOTE = 8 + PERMIT_PARTS * 5 };
struct attempt_note {
    uint64_t numbers[ATTEMPT_NOTE];
};

/* How it ended: with a result that holds a token (attempt_token), or with a failure. */
struct attempt_end {
    struct result *result; /* NULL: no fetcher gave one; what is taken from it is set to NULL */
    bool reached;          /* the provider was asked for a token */
    bool otp_sent;         /* a one-time password went out, or may have */
    enum lifecycle_failure kind; /* the next three where there is no token */
    struct error error;
    bool lost; /* the request was sent, and no answer came in time */
    uint64_t retry_after;
    bool by_source;   /* the other profile has no token to give: that one's state decides */
    bool yielded;     /* DEFERRED: somebody who waits may go before that */
    struct step step; /* where the fetcher was at the end; without a name: there was none */
};

/* The result, if it holds a token, or NULL. */
struct result *attempt_token(const struct attempt_end *end);

/* The result of an order for a device, if the login it is about goes on: a device code, or that
 * nobody has confirmed it yet; or NULL. */
struct result *attempt_device(const struct attempt_end *end);

typedef void (*attempt_done_fn)(void *context, struct attempt_end *end);

/* Told just before a request goes out. */
typedef void (*attempt_sending_fn)(void *context);

/* done() is called at the end of each attempt that is not cancelled, never from within
 * attempt_start(). NULL: no memory. */
struct attempt *attempt_new(struct context *shared, attempt_sending_fn sending,
                            attempt_done_fn done, void *context);
struct attempt *attempt_free(struct attempt *attempt);

/* Begins; a running attempt is cancelled. */
void attempt_start(struct attempt *attempt, const struct attempt_order *order);
void attempt_cancel(struct attempt *attempt);

/* What the order names is elsewhere now: the configuration, by one of the same identity; the token
 * in hand and the refresh token. */
void attempt_update(struct attempt *attempt, const struct profile_config *config,
                    const struct secret *previous, const struct secret *refresh_token);

/* A client waits for it now: no more delay, and before others. Or nobody does any more: others go
 * before it. */
void attempt_hurry(struct attempt *attempt);
void attempt_calm(struct attempt *attempt);

/* The answer that it waits for longer than usual may be one that never comes. */
void attempt_network_changed(struct attempt *attempt);

/* What it waits for now, in words: "resolving login.example.com". */
void attempt_words(const struct attempt *attempt, char *out, size_t size);

/* The same, as an error of who does not wait with it: "still resolving ...". */
void attempt_where(const struct attempt *attempt, struct error *ret);

/* Where its fetcher is, or NULL. */
const struct step *attempt_step(const struct attempt *attempt);

/* Whether it waits for another attempt, which attempt_where() names. */
bool attempt_is_held_up(const struct attempt *attempt);

/* After a refusal: whether another try may go better by now, since something else would be sent, or
 * somebody had the refusal lifted. */
bool attempt_worthwhile(const struct attempt *attempt, const struct profile_config *config,
                        uint64_t now);

/* Whether it need not wait any more for the time that its account set: since then another profile
 * was let in, or refused. */
bool attempt_is_decided(const struct attempt *attempt, uint64_t now);

/* What stands against another try, and what an earlier life knew of that. why: the last failure of
 * that life, which may be another's. */
struct attempt_note attempt_note(const struct attempt *attempt);
void attempt_restore(struct attempt *attempt, const struct attempt_note *note,
                     const struct error *why, uint64_t now);

/* It is another identity now: what stood against sending the last one's request is over. */
void attempt_forget(struct attempt *attempt);

/* What is seldom meant in the form of the secrets that were read last, as ERROR_ODD_CREDENTIAL;
 * ERROR_NONE: nothing, or they may be others by now. */
void attempt_oddities(const struct attempt *attempt, const struct profile_config *config,
                      struct error *ret);

/* They come from elsewhere now, or were forgotten. */
void attempt_forget_secrets(struct attempt *attempt);

/* Whether the sources of credentials have changed since the last attempt read them. */
bool attempt_is_outdated(const struct attempt *attempt, const struct profile_config *config);

#endif
