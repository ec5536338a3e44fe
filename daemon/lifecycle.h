/*
 * lifecycle - WHEN to ask the provider, renew, retry and stop, for one profile.
 *
 * A pure function of (state, event, now) to (state, actions): no I/O, no clock, no
 * allocation, no randomness but what the event brings. profile.c feeds it and does what it
 * says, tests drive it through virtual time.
 *
 *                  wanted, due            token
 *        +-------+ ------------> +--------+ ------> Idle
 *        | Idle  |               | Asking |
 *        +-------+ <------------ +--------+ <----------------- timer: retry is due
 *            ^        token       |  |  |  temporary, soft,     +---------+
 *            |                    |  |  +---------------------> | Waiting |
 *   forget   |           refused  |  | no      doubted          +---------+
 *   (any) ---+                    v  v password is known
 *                      +---------+    +-----------+
 *                      | Stopped |    | NeedLogin |
 *                      +---------+    +-----------+
 *                           | credential changed, login, refresh:
 *                           v Asking
 *
 * The token is data, not a state: while it lives it is served in every state.
 * Times are usec of CLOCK_BOOTTIME.
 */
#ifndef KUBETOKEN_LIFECYCLE_H
#define KUBETOKEN_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

enum lifecycle_state {
    LIFECYCLE_IDLE,
    LIFECYCLE_ASKING,
    LIFECYCLE_WAITING,
    LIFECYCLE_STOPPED,
    LIFECYCLE_NEED_LOGIN,
};

/* No pause between two requests is longer, usec: that of an account which never answered. (But for
 * a refresh token that brings nothing newer: another life may ask once more.) */
#define LIFECYCLE_PAUSE_MOST (30 * 3600 * 1000000ULL)

/* What the configuration says about it. */
struct lifecycle_policy {
    uint64_t refresh_before;         /* usec, or 0 */
    unsigned refresh_before_percent; /* of the lifetime, or 0; both 0: the default rule */
    uint64_t keep_fresh;             /* renewed ahead so long after the last use */
    bool use_refresh_token;
    bool password_at_hand;  /* typed, or from a source; kept up to date by profile.c */
    bool lives_vary;        /* what a token had to live when it came says nothing of the next one */
    bool held;              /* in use, whoever asks: a process runs for which it is kept fresh */
    uint64_t held_validity; /* usec that the token is to live at any time meanwhile */
    uint64_t used_until;    /* in use until then for others, whose tokens come from it; 0 = none */
};

/* Read by everybody, written by lifecycle_step() alone. */
struct lifecycle {
    enum lifecycle_state state;
    uint64_t since;             /* when that state was entered */
    uint64_t sent;              /* when the token in hand was asked for */
    uint64_t expires_at;        /* when it dies; 0 = there is none */
    uint64_t renew_at;          /* when its renewal is due */
    uint64_t advertised_expiry; /* what clients are told: between renewal and death */
    uint64_t retry_at;
    uint64_t hurry_at;       /* with somebody who waits it may come soon after this; 0 = then */
    uint64_t not_before;     /* the provider, or the bucket of logins, allows no earlier retry */
    uint64_t last_use;       /* 0 = never */
    uint64_t waited_until;   /* the latest deadline of a client that was queued */
    uint64_t failed_at;      /* the last failure; 0 = none since the last token */
    uint64_t gave_up_at;     /* a client's time was up without a token */
    uint64_t patience;       /* that client's */
    uint64_t password_life;  /* of the last token that came by password; 0 = none has */
    uint64_t wanted_life;    /* the longest that a queued client wants a token to live */
    uint64_t route_at;       /* the last request for a new route's sake; 0 = none */
    uint64_t fault_login_at; /* the last login since refreshing met faults; 0 = none */
    uint64_t deserted_at;    /* the first failure in a row for which nobody listens; 0 = none */
    uint64_t unsettled_at;   /* the machine woke up, or its network changed; 0 = not yet */
    unsigned failures;       /* in a row that may pass */
    unsigned soft_failures;  /* in a row that probably do not pass soon */
    unsigned lost;           /* answers in a row that did not come in time */
    unsigned refresh_faults; /* in a row: what the refresh token brought was nobody's refusal */
    bool has_refresh_token;
    bool offered; /* somebody gave another one, which is taken when nothing is under way */
    bool refresh_is_useless; /* the provider answers it without an id_token */
    bool refresh_is_stale;   /* or with no newer one; until somebody logs in */
    bool refresh_is_short;   /* or with one that lives less than half as long; until a login */
    bool fault_login;        /* one for its faults was made in this token's life */
    bool in_turn;            /* refresh token and password take turns, */
    bool password_turn;      /* and it is the password's, once the token is dead */
    bool by_refresh_token;   /* the request under way */
    bool by_route;           /* it, or the next one, is for a new route's sake */
    bool again;              /* something changed meanwhile: ask once more when it ends */
    bool again_for_person;   /* and somebody said so */
    bool password_next;      /* the next request is by password, if one is at hand */
    bool local;              /* the last failure was on this machine, nothing was sent */
    bool put_off;            /* or about what was sent: something else may go at once */
};

enum lifecycle_event_type {
    LIFECYCLE_WANTED,  /* a client asks */
    LIFECYCLE_TIMER,   /* lifecycle_next() has come */
    LIFECYCLE_TOKEN,   /* the request brought a token */
    LIFECYCLE_FAILED,  /* the request failed */
    LIFECYCLE_CHANGED, /* the credential changed, or a person says: try again */
    LIFECYCLE_FORGET,  /* logged out, or another identity: token and refresh token are void */
    LIFECYCLE_GAVE_UP, /* a waiting client's time is up */
    LIFECYCLE_SYSTEM_CHANGED, /* the network, the clock, or awake again: it may go well now */
};

enum lifecycle_failure {
    LIFECYCLE_TEMPORARY, /* may pass: network, 5xx, 429 */
    LIFECYCLE_SOFT,      /* an answer that says nothing of the credentials, or none, and may stay */
    LIFECYCLE_REFUSED,   /* the provider refused what was sent */
    LIFECYCLE_STALE,     /* the refresh token, or a command, brought no newer token */
    LIFECYCLE_LOCAL,     /* could not even be sent: an unreadable password, a missing file */
    LIFECYCLE_NO_LOGIN,  /* there is no password */
    LIFECYCLE_DEFERRED,  /* the account allows the next login later */
};

struct lifecycle_event {
    enum lifecycle_event_type type;
    uint32_t random; /* for jitter: TOKEN, FAILED, WORLD */
    union {
        struct {
            uint64_t deadline;     /* until when the client waits */
            uint64_t min_validity; /* how long the token has to live */
            bool rejected;         /* the API server refused the one in hand, says a person */
            bool suspected;        /* the same, by the look of it */
        } wanted;
        struct {
            uint64_t patience; /* how long the client had waited */
        } gave_up;
        struct {
            uint64_t sent;
            uint64_t lifetime;
            bool refresh_token; /* one is in hand now */
            bool login;         /* a person logged in elsewhere: it was not asked for from here */
        } token;
        struct {
            enum lifecycle_failure kind;
            uint64_t retry_after;       /* usec; 0 = none; until the next login if DEFERRED */
            bool yielded;               /* DEFERRED: somebody who waits may go before that */
            bool not_the_token;         /* the client was refused, or by the proxy */
            bool refresh_without_token; /* a refresh succeeded but brought no id_token */
            bool fault;                 /* an answer came that nobody could use */
            bool lost;                  /* SOFT, TEMPORARY: none came in time */
            bool nobody_waits;          /* STALE: for another token */
            bool nobody_listens; /* TEMPORARY: the host refuses connections, nothing was sent */
        } failed;
        struct {
            bool person;        /* somebody said so, and is going to use the token */
            bool password;      /* and typed one */
            uint64_t deadline;  /* until when they wait; 0 = nobody does */
            bool refresh_token; /* they gave one */
        } changed;
        struct {
            bool need_login; /* no password is known */
        } forget;
        struct {
            bool route;   /* the default route changed */
            bool resume;  /* the machine slept, and woke up */
            bool clock;   /* no more than that was set */
        } system_changed; /* none of these: the network came up */
    };
};

enum lifecycle_verdict {
    LIFECYCLE_SERVE,     /* hand out the token in hand */
    LIFECYCLE_QUEUE,     /* let the client wait */
    LIFECYCLE_FAIL,      /* answer with the last error */
    LIFECYCLE_TOO_SHORT, /* the provider's tokens never live that long */
};

enum lifecycle_waiters {
    LIFECYCLE_KEEP,        /* they go on waiting */
    LIFECYCLE_ANSWER_ALL,  /* the token if one lives, else the error */
    LIFECYCLE_ANSWER_SOON, /* those whose time ends before retry_at */
};

struct lifecycle_actions {
    bool request;                   /* start one, by refresh token if by_refresh_token */
    bool drop_refresh_token;        /* wipe it */
    bool take_offered;              /* then have the one that somebody gave in its place */
    bool drop_token;                /* wipe it */
    bool newly_waiting;             /* a change of state that is worth a line in the log */
    enum lifecycle_verdict verdict; /* WANTED only */
    enum lifecycle_waiters waiters; /* all other events */
};

/* A profile that nobody has asked for yet. */
void lifecycle_init(struct lifecycle *lc, uint64_t now);

/* As things stood in another life (kept), with the past behind now. What was under way then is not
 * any more; nobody waits; the token is told by itself. */
void lifecycle_restore(struct lifecycle *lc, const struct lifecycle *kept,
                       const struct lifecycle_policy *policy, bool refresh_token, uint64_t now);

/* And the token that was in hand then. */
void lifecycle_restore_token(struct lifecycle *lc, const struct lifecycle_policy *policy,
                             uint64_t sent, uint64_t lifetime);

/* One step. The actions are to be carried out in full before the next one. */
struct lifecycle_actions lifecycle_step(struct lifecycle *lc, const struct lifecycle_policy *policy,
                                        const struct lifecycle_event *event, uint64_t now);

/* When LIFECYCLE_TIMER is wanted next; UINT64_MAX = not at all. */
uint64_t lifecycle_next(const struct lifecycle *lc, const struct lifecycle_policy *policy);

/* How long a request that nobody waits for is put off, so that profiles that are all due at once
 * (after a sleep) part: up to two seconds, and never more than an eighth of what the token in hand
 * has to live. */
uint64_t lifecycle_delay(const struct lifecycle *lc, uint32_t random, uint64_t now);

/* Whether the token in hand is good, lives that long, and is not due to be renewed: a client that
 * wants no other is served at once. */
bool lifecycle_serves(const struct lifecycle *lc, uint64_t min_validity, uint64_t now);

/* Whether the token in hand is about to die and nothing newer could be had. */
bool lifecycle_fading(const struct lifecycle *lc, uint64_t now);

/* Whether it is no failure, as long as nobody waits, that a request brought no newer token: the one
 * in hand is good for a while, and came by no refresh token. */
bool lifecycle_rests(const struct lifecycle *lc, uint64_t now);

/* Whether the token in hand is alive. */
bool lifecycle_alive(const struct lifecycle *lc, uint64_t now);

/* "idle", "asking", ... as status shows it. */
const char *lifecycle_state_name(enum lifecycle_state state);

#endif
