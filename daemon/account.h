/*
 * account - what is known of one account at a provider: which passwords it refused, which one it
 * took, how many logins it has had lately.
 *
 * Providers count failures, and often logins, by account and not by client: so do we, whatever
 * number of profiles use the account. Pure: no I/O, no clock, no allocation. Times are usec of
 * CLOCK_BOOTTIME. Passwords are known by a salted digest alone.
 */
#ifndef KUBETOKEN_ACCOUNT_H
#define KUBETOKEN_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

enum {
    ACCOUNT_BURST = 6,    /* logins at once */
    ACCOUNT_REFUSALS = 8, /* passwords remembered; the oldest goes */
    ACCOUNT_SILENCES = 4, /* the same, of those that got no answer */
    ACCOUNT_SOFT = 3,     /* answers lost in a row before the next one is waited for longer */
    ACCOUNT_LOST = 6,     /* ... before the password is taken for refused: the refusals were lost */
};

/* Of a password, never 0. */
typedef uint64_t account_digest;

struct account {
    uint64_t bucket_full;                     /* when it is full again */
    uint64_t full_before;                     /* the same before the latest login */
    account_digest refused[ACCOUNT_REFUSALS]; /* the latest first, 0 = none */
    account_digest accepted;                  /* the last that was taken */
    struct error why;                         /* what was said of refused[0] */
    uint64_t refused_at;                      /* when; 0 = not known any more */
    struct account_silence {
        account_digest password; /* not taken yet; the latest first, 0 = none */
        uint64_t times;          /* that no answer came to it */
    } silences[ACCOUNT_SILENCES];
    const void *probing; /* who is trying one that was not taken yet */
    const void *latest;  /* whose login is the latest, while it lasts */
    bool was_forced;     /* the latest was sent because somebody said so */
};

enum account_verdict {
    ACCOUNT_GO,      /* send it; account_ended() has to follow */
    ACCOUNT_REFUSED, /* the provider refused that password before */
    ACCOUNT_PROBE,   /* somebody else is trying: wait for that */
    ACCOUNT_EMPTY,   /* too many logins: *ret_when says when there is one more */
};

/* May `who` send the password now? person: somebody said so, which a former refusal does not
 * stop. */
enum account_verdict account_ask(struct account *account, account_digest password, bool person,
                                 const void *who, uint64_t now, uint64_t *ret_when);

/* Whether the provider refused that password, or is taken to have done so. */
bool account_refuses(const struct account *account, account_digest password);

/* Whether what a person said at that time lifts a refusal of the password. Not what was said before
 * the refusal came, nor within some seconds of one that another word has brought: who says the same
 * of twenty profiles, at once or one by one, has the password sent once. */
bool account_is_forced(const struct account *account, account_digest password, uint64_t forced_at);

enum account_end {
    ACCOUNT_TOOK,     /* the provider took the password */
    ACCOUNT_REJECTED, /* it refused it */
    ACCOUNT_UNKNOWN,  /* it answered, but not with what it thinks of the password */
    ACCOUNT_SILENCE,  /* no answer came; it may have refused it, and counted that */
    ACCOUNT_NOT_SENT, /* nothing arrived there */
};

/* What came of it. Takes a `who` that sent nothing (its request was given up), too. */
void account_ended(struct account *account, account_digest password, const void *who,
                   enum account_end end, uint64_t now);

/* Whether silence would now be the third in a row for a password that was never taken: then it is
 * no failure that passes soon. */
bool account_is_soft(const struct account *account, account_digest password);

#endif
