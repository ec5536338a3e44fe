/*
 * account - what is known of one account: which passwords were refused, which were taken, whose
 * turn it is, how many logins it has had lately.
 *
 * Providers count failures, and often logins, by account and not by client: so do we, whatever
 * number of profiles use the account. The same rules hold for a client at a provider and for the
 * user of a proxy, whose accounts know no logins. Pure: no I/O, no clock, no allocation. Times are
 * usec of CLOCK_BOOTTIME. Passwords and clients are known by keyed digests alone.
 *
 *              refused                       refused: stopped
 *   untried ----------------------------> REFUSED <----------------+
 *      | taken                              | a person's word,     |
 *      v         refused                    v taken                |
 *   ACCEPTED ---------> DOUBTED ----(5 to 20 s)----> the probe ----+
 *      ^                                                | taken
 *      +------------------------------------------------+
 *
 * Answers that say nothing of the password (a gateway's, or none at all) put off the next login.
 */
#ifndef KUBETOKEN_ACCOUNT_H
#define KUBETOKEN_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

enum {
    ACCOUNT_BURST = 6,    /* logins at once */
    ACCOUNT_AHEAD = 4,    /* of these for whom nobody waits */
    ACCOUNT_ACCEPTED = 4, /* passwords remembered of those that were taken; the oldest goes */
    ACCOUNT_REFUSALS = 8, /* the same, of those that were refused */
    ACCOUNT_TROUBLES = 8, /* the same, of those that met no answer, or a gateway's */
    ACCOUNT_DENIALS = 3,  /* 400, 401 or 403 without a word, in a day, refuse an untried one */
    ACCOUNT_LOST = 6,     /* answers that an untried one may miss in the first day */
};

/* Of a password, or of a client with its secret; never 0. */
typedef uint64_t account_digest;

/* What is sent together. */
struct account_credential {
    account_digest password;
    account_digest client;    /* with its secret; 0 = whoever sends it, and so are the next two */
    account_digest client_id; /* without */
    account_digest profile;   /* who has it sent */
};

struct account {
    uint64_t bucket_full;   /* when it is full again */
    uint64_t full_before;   /* the same before the latest login */
    uint64_t silent_at;     /* when an answer was missed last, of whatever password; 0 = never */
    uint64_t silent_before; /* the same before the login that is under way */
    account_digest accepted[ACCOUNT_ACCEPTED]; /* the latest first, 0 = none */
    struct account_refusal {
        struct account_credential what; /* without a password: none */
        uint64_t probe_at;        /* only doubted: sent once more, then or later; 0 = refused */
        uint64_t by_client;       /* the password was taken from another since */
        uint64_t alone;           /* it lacks a one-time password, and may be right */
    } refusals[ACCOUNT_REFUSALS]; /* the latest first */
    struct account_trouble {
        account_digest password; /* 0 = none */
        uint64_t silences;       /* answers that did not come, since it was last answered */
        uint64_t silent_since;   /* the first of them */
        uint64_t softs;          /* answers that said nothing of it, in a row */
        uint64_t denied_at[ACCOUNT_DENIALS - 1]; /* those with 400, 401, 403; the latest first */
        uint64_t pause_until;                    /* no earlier by itself */
        uint64_t route_at;                       /* the last login for a new route's sake */
        uint64_t by_gateway;                     /* the pause is for softs, not for silences */
    } troubles[ACCOUNT_TROUBLES];                /* the latest first */

    struct error why;      /* what was said last of a password that was not taken */
    account_digest why_of; /* of which; 0 = not known any more */

    /* what a restart forgets */
    account_digest refused_last;   /* the latest refusal, */
    uint64_t refused_at;           /* when; 0 = not known any more, */
    bool was_forced;               /* and whether that was sent for a person's word */
    bool is_forced;                /* the same of the latest login */
    const void *holder;            /* whose login is under way */
    struct account_trouble before; /* what was known of its password */
    const void *latest;            /* whose login is the latest, while it lasts */
};

enum account_leave {
    ACCOUNT_BY_RULE,
    ACCOUNT_FOR_NOBODY, /* the same, and nobody waits: those who do may want the last logins */
    ACCOUNT_BY_ROUTE,   /* the way out of this machine has changed: a gateway may be gone */
    ACCOUNT_BY_PERSON,  /* somebody said so: nothing but another's turn and the bucket stops it */
};

enum account_verdict {
    ACCOUNT_GO,      /* send it; account_ended() has to follow */
    ACCOUNT_REFUSED, /* that was refused before */
    ACCOUNT_BUSY,    /* another login is under way: wait for its end */
    ACCOUNT_DOUBTED, /* it was taken, and then refused: *ret_when says when to send it once more */
    ACCOUNT_GATEWAY, /* something else answered the last time: *ret_when */
    ACCOUNT_SILENT,  /* nobody answered the last time: *ret_when */
    ACCOUNT_EMPTY,   /* too many logins: *ret_when says when there is one more */
    ACCOUNT_NO_ROOM, /* of permit_ask() alone: no memory to note in what comes of it */
};

/* May `who` log in with that now? The logins of an account go one after the other. The answer is
 * taken for lost until account_ended() says otherwise, so that a crash is no way around that. */
enum account_verdict account_ask(struct account *account, const struct account_credential *what,
                                 enum account_leave leave, const void *who, uint32_t random,
                                 uint64_t now, uint64_t *ret_when);

/* The same for what is no login: a client, the user of a proxy. alone: one at a time, until it was
 * taken once. GO, REFUSED, BUSY or DOUBTED. */
enum account_verdict account_admit(struct account *account, const struct account_credential *what,
                                   enum account_leave leave, bool alone, const void *who,
                                   uint64_t now, uint64_t *ret_when);

/* The same for what is counted as a login and brings no password: it takes from the bucket, waits
 * for nobody's turn, and nothing is remembered of what comes of it. GO or EMPTY. */
enum account_verdict account_take(struct account *account, enum account_leave leave,
                                  const void *who, uint64_t now, uint64_t *ret_when);
/* It is over; what was not sent is given back. */
void account_taken(struct account *account, const void *who, bool sent);

/* Whether that was refused; a doubt is none. What may have been refused for the client's sake is
 * refused with any client until the password is taken, but for who was refused and has another
 * client, or the same one with another secret, by now. */
bool account_refuses(const struct account *account, const struct account_credential *what);

/* Whether what account_refuses() was refused for the want of a one-time password. */
bool account_lacks_otp(const struct account *account, const struct account_credential *what);

/* Whether the password was taken, and not refused since. */
bool account_accepts(const struct account *account, account_digest password);

/* Whether what a person said at that time lifts a refusal of the password. Not what was said before
 * the refusal came, nor within some seconds of one that another word has brought: who says the same
 * of twenty profiles, at once or one by one, has the password sent once. */
bool account_is_forced(const struct account *account, account_digest password, uint64_t forced_at);

enum account_end {
    ACCOUNT_TOOK,     /* the password was taken */
    ACCOUNT_REJECTED, /* it was refused */
    ACCOUNT_EITHER,   /* it, or the client that sent it */
    ACCOUNT_ALONE,    /* it goes with a one-time password, and came without: refused as it is */
    ACCOUNT_DENIED,   /* 400, 401 or 403, and not a word of the password */
    ACCOUNT_ODD,      /* another answer that says nothing of it, and not that it passes soon */
    ACCOUNT_UNKNOWN,  /* an answer that says nothing of it */
    ACCOUNT_SILENCE,  /* no answer came; it may have been refused, and counted */
    ACCOUNT_NOT_SENT, /* nothing arrived there */
};

/* What came of it, and what was said (NULL: nothing). Takes a `who` that sent nothing (its request
 * was given up), too. */
void account_ended(struct account *account, const struct account_credential *what, const void *who,
                   enum account_end end, const struct error *why, uint32_t random, uint64_t now);

/* When the account lets a login with that go by itself again, as far as is known now, whatever
 * comes of one that is under way: a doubt's probe, the end of a pause; 0 = nothing stops it, or it
 * is refused. */
uint64_t account_next(const struct account *account, const struct account_credential *what);

/* A refusal of that is over, though it was not taken as a password is. */
void account_lift(struct account *account, const struct account_credential *what);

/* Brings times of another life, whose clock may have been another, to where they can be now:
 * nothing has happened later than now, and no pause ends later than one that begins now. Counts are
 * brought to where they can be counted on. */
void account_clamp(struct account *account, uint64_t now);

/* A `who` that account_admit() let go is through with it. */
void account_release(struct account *account, const void *who);

#endif
