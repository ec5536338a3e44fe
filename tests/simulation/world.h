/*
 * world - the one that the daemon's own code is driven through: virtual time, a queue of events,
 * seeded chance, and the models of all that stands around it.
 *
 * profile.c, attempt.c, lifecycle.c, account.c, profiles.c, secret_source.c and what they need are
 * the real ones, unchanged. The loop, the clock, the fetcher, files, commands and chance are
 * replaced where the program is linked (stand_ins.c, loop.c, fetcher.c).
 */
#ifndef KUBETOKEN_SIMULATION_WORLD_H
#define KUBETOKEN_SIMULATION_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/profiles.h"
#include "daemon/private_file.h"

#define MSEC ((uint64_t)1000)
#define SECOND ((uint64_t)1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define NEVER UINT64_MAX

enum {
    PROVIDERS_MAX = 3,
    PROFILES_MAX = 24,
    CLIENTS_MAX = 32,
    WAITERS_MAX = 4096,  /* as many clients as the daemon takes */
    PASSWORDS_MAX = 256, /* of one account, in one scenario */
    ODD_A_DAY = 26,      /* how often one password is sent, by docs/design.md §1, P4 */
    LOST_A_DAY = 30,
    LOOP_MAX = 256,
    NOBODY = 255,
};

/* ---- what stands in the queue of events: each source has at most one entry ------------------- */

enum {
    EVENT_REGIME = 0, /* of a provider: the next fault, or its end */
    EVENT_PASSWORD = EVENT_REGIME + PROVIDERS_MAX,
    EVENT_KEYS = EVENT_PASSWORD + PROVIDERS_MAX,
    EVENT_FOREIGN = EVENT_KEYS + PROVIDERS_MAX, /* another machine of the user logs in there */
    EVENT_SLEEP = EVENT_FOREIGN + PROVIDERS_MAX,
    EVENT_NETWORK,
    EVENT_NETWORK_CHECK,
    EVENT_PERSON,
    EVENT_RESTART,
    EVENT_CREDENTIAL, /* of a profile: it changes, or is readable again */
    EVENT_CLIENT = EVENT_CREDENTIAL + PROFILES_MAX,
    EVENT_LOOP = EVENT_CLIENT + CLIENTS_MAX, /* of the daemon's event loop */
    EVENTS = EVENT_LOOP + LOOP_MAX,
};

struct queue {
    uint64_t time[EVENTS];
    uint16_t heap[EVENTS], place[EVENTS]; /* place: 1 + index in heap, 0 = not in it */
    unsigned length;
};

/* ---- providers ------------------------------------------------------------------------------- */

enum refresh_kind {
    REFRESH_NONE,
    REFRESH_STABLE,
    REFRESH_ROTATES, /* one that was used before kills the newest, too */
    REFRESH_WITHOUT_ID_TOKEN,
    REFRESH_STALE,   /* it brings the token of the login */
    REFRESH_FAULTY,  /* it answers 500, or what nobody can read */
    REFRESH_SESSION, /* its tokens live no longer than the session of the login */
    REFRESH_KINDS,
};

enum regime {
    REGIME_WELL,
    REGIME_DOWN,      /* no connection, at once */
    REGIME_BLACKHOLE, /* no connection, after the deadline */
    REGIME_5XX,
    REGIME_429,
    REGIME_GATEWAY,  /* a page of something in between, or another odd answer */
    REGIME_SLOW,     /* answers from a second to beyond the deadline */
    REGIME_LOST,     /* the request counts, the answer is lost */
    REGIME_DESERTED, /* its host refuses connections */
    REGIME_FLAKY,    /* any of these, request by request */
    REGIMES,
};

/* How it has a one-time password. */
enum codes {
    CODES_NONE,
    CODES_ASKED,  /* it takes the password, and asks for one, as Auth0 */
    CODES_BESIDE, /* with the password, as Keycloak, which refuses both alike */
};

struct token {
    uint32_t id; /* 0 = none */
    uint32_t key;
    uint64_t sent, lifetime;
};

/* What becomes of a request, decided when it is sent. */
struct reply {
    uint64_t at; /* NEVER: lost */
    bool token;
    enum lifecycle_failure kind;
    enum account_end end;
    uint64_t retry_after, lifetime;
    unsigned http_status;
    bool reached;
    bool nobody_listens;
    bool counted; /* as a wrong password */
    bool overlap; /* another login of the user was under way */
    bool refresh_without_token;
    bool subject_refused;
    bool pending, slow_down, denied, expired; /* JOB_POLL */
    bool otp_sent, otp_required, otp_refused;
    uint32_t refresh_token, key;
};

/* A provider with the one account that the profiles have there, and the cluster behind it. */
struct provider {
    enum refresh_kind refresh;
    uint64_t lifetime, latency;
    bool limits_logins; /* 20 at once, one more each 6 s */
    bool
        rejects_overlap; /* as Keycloak with brute force detection: one login of a user at a time */
    bool flawless;       /* has no faults, so that long peace is simulated as well */
    uint64_t keys_every;

    enum regime regime;
    uint64_t retry_after;
    unsigned right, newest; /* passwords are numbers from 1 */
    unsigned wrong_in_row;
    uint64_t locked_until;
    uint64_t limit_full;
    uint64_t login_until;   /* a login of ours is under way there, whoever waits for it */
    uint64_t foreign_until; /* and one from another machine */
    uint32_t key;
    uint64_t cluster_broken_until; /* rejects every token */

    const char *name;
    bool silent; /* gives no reason for a refusal */
    enum codes codes;
    bool wants_code;

    /* what check.c knows */
    uint64_t well_since;                                            /* NEVER while it is not */
    unsigned refused[ACCOUNT_REFUSALS], accepted[ACCOUNT_ACCEPTED]; /* the latest first */
    uint64_t refused_at;   /* the latest of these; 0 = not known any more */
    unsigned last_refused; /* which that was */
    bool was_forced;       /* and it was sent for a person */
    struct password {
        bool accepted; /* and not refused since */
        bool alone;    /* refused for the want of a code */
        /* how often it may still be refused without a person's word: once, twice if accepted */
        unsigned chances;
        bool tried;
        uint64_t doubted_at[PROFILES_MAX];   /* refused, though accepted, by whom; 0 = not */
        unsigned overlaps;                   /* refusals for an overlap, in a row */
        uint64_t odd_at[ODD_A_DAY];          /* sent, and answered by a gateway; a ring */
        uint64_t lost_at[LOST_A_DAY];        /* sent, and not answered; a ring */
        uint64_t denied_at[ACCOUNT_DENIALS]; /* of the odd ones: 400, 401, 403; a ring */
        unsigned odd, lost, denied;
        uint64_t route_at;     /* sent for a new route's sake */
        uint64_t silent_since; /* the first answer that was lost in a row */
        unsigned silences;
    } passwords[PASSWORDS_MAX];
    uint64_t silent_at;            /* the last answer that was lost */
    uint64_t login_debt, login_at; /* the bucket, kept independently */
};

/* ---- profiles -------------------------------------------------------------------------------- */

struct call {
    uint8_t client; /* NOBODY: a burst, or a person */
    uint8_t profile;
    uint8_t calls;      /* that such a process makes with a good token */
    bool rejected;      /* --rejected */
    bool suspected;     /* by account.c */
    bool wants_new;     /* login, refresh */
    bool after_failure; /* there had been one when it asked */
    pid_t pid;          /* of client-go, 0 = something else */
    uint64_t asked, deadline, min_validity;
};

/* A call, as the daemon's server has it. */
struct caller {
    struct waiter waiter; /* the real one */
    struct call call;
    TAILQ_ENTRY(caller) entry; /* of its profile, or of those that are free */
};
TAILQ_HEAD(callers, caller);

enum flight {
    FLIGHT_NONE,
    FLIGHT_BEGUN, /* nothing is sent yet */
    FLIGHT_SENT,
};

/* Why lifecycle.c asked for a request. */
struct cause {
    enum lifecycle_event_type type;
    bool person, suspected, rejected, min_validity, fallback, again;
};

/* What check.c knows of a profile, without looking into struct lifecycle. */
struct ledger {
    struct token token;      /* the last one, also when it died; id 0 after a logout or restart */
    uint64_t last_use;       /* before the event at hand; 0 = never */
    uint64_t use_unknown;    /* by so much earlier the daemon may think that was */
    uint64_t due_from;       /* the renewal of the token, at the earliest */
    uint64_t use_before_due; /* before the renewal of the token was due, at the earliest */
    uint64_t restarted_at;   /* what was under way then is made up for */
    uint64_t disturbed_at;   /* a failure, a sleep, a person, the bucket: not as usual */
    bool failing;            /* the last attempt failed */
    bool failed_before;      /* the last one that ended did, before a restart cut one off */
    bool forgiven;           /* but somebody said: try again */
    bool stale;              /* a refresh brought nothing newer, and there was a password */
    enum lifecycle_failure failure;
    bool put_off;          /* nothing was sent then: the account had it wait */
    unsigned failed_stamp; /* of the source, then */
    bool lost;             /* an answer was, since the last token */
    uint64_t failed_at, not_before, gave_up_at, got_at, waited_until;
    bool change_pending, person_pending; /* since the request under way began */
    bool credit;                         /* a person allowed one more try of any password */
    uint64_t said_at;                    /* that was then */
    bool probe;                          /* the password under way had not been accepted */
    uint64_t retry_by;                   /* after the network came up */
    uint64_t suspected_at;
    uint32_t suspected_token;
    uint64_t outage_since;
    unsigned outage_requests;
    uint64_t password_life; /* of the last token by password */
    bool short_life;        /* the token in hand came by refresh token, and lives half as long */
    bool faulty;            /* the last request was by refresh token, and brought a fault */
    bool fault_login;       /* one was made for that in this token's life */
    uint64_t fault_login_at;
    uint64_t route_at;              /* the last request for a new route's sake; 0 = none */
    uint64_t deserted_at, still_at; /* connections were refused, in a row: first, last; 0 = none */
    uint64_t rested_at;             /* nothing newer came, which was no failure; 0 = never */
    uint64_t unsettled_at;          /* a resume, or a change of the network; 0 = none */
    bool knocked;                   /* the request under way was begun for a client */
};

/* Where its password comes from. */
enum origin { ORIGIN_TYPED, ORIGIN_FILE, ORIGIN_COMMAND, ORIGIN_NONE };

/* What is known of a profile beyond the password: grants.c. */
struct by_token {
    uint32_t given; /* a refresh token that somebody gave, and that is not in hand yet; 0 = none */
    uint32_t refused;    /* the last one that the provider refused */
    bool useless;        /* the provider answers them without an id_token, as has been seen */
    bool rotated;        /* there is a newer one, but its answer was lost */
    bool has_cause;      /* the last one was refused in this life */
    bool is_gift;        /* the one in hand was given, and has brought nothing yet */
    unsigned losses;     /* of answers, in a row, */
    uint64_t lost_since; /* the first of them */
};

/* Of a token-command: what it prints, and how it is with that. */
struct tool {
    unsigned serial, in_hand; /* of the token that it has; of that which the profile got of it */
    uint32_t key;
    uint64_t expires_at, ended_at; /* of the token; when it was run in vain, or the token came */
    bool lazy;                     /* it prints what has expired, too */
    unsigned outcome, printed;     /* of the last run: which token, 0 = none */
};

/* Of one-time passwords: codes.c. Numbers, 0 = none. */
struct code {
    bool parameter;                                         /* its section has one */
    enum { CODE_UNKNOWN, CODE_WANTED, CODE_UNWANTED } need; /* as the provider has said */
    unsigned given;                                         /* typed, and not on its way yet, */
    unsigned begun, sent;                                   /* of the request under way */
    unsigned latest;                                        /* that was sent */
    uint64_t typed_at, given_at;                            /* of given, of begun */
};

/* A login that is to be confirmed elsewhere. */
struct device_login {
    struct caller *caller; /* who has its code shown; NULL: nobody */
    unsigned code;
    uint64_t ends_at, confirmed_at, denied_at; /* of the code; when somebody does; NEVER */
    uint64_t interval, polled_at;              /* at least, between two polls; 0 = not yet */
    bool is_polling;
};

/* Of a profile whose tokens come from another's. */
struct exchange {
    uint64_t forbidden_until; /* the provider refuses it */
    uint32_t dead_subject;    /* a token of the other's for which it gives none any more */
    bool refused;             /* by the provider */
    uint64_t forgiven_at;     /* somebody has said something since then; 0 = nobody */
    bool lacks;               /* the last attempt ended for want of the other's token */
    uint64_t woken_at;        /* since then that one has a token; 0 = no */
};

/* A profile of the configuration, and what is known of the real one from outside. */
struct model {
    char name[8];
    uint8_t provider, number;
    struct profile *real;       /* NULL: it is not configured */
    const struct lifecycle *lc; /* looked at, for P3 and P8 */
    const struct lifecycle_policy *policy;

    /* its configuration */
    bool absent; /* from the file, at the next reload */
    enum grant grant;
    enum origin origin;
    bool other_path, other_scope; /* which of two */
    uint64_t keep_fresh, refresh_before, password_lifetime;
    unsigned refresh_before_percent;
    bool use_refresh_token, with_daemon, has_secret;
    enum keep_over_restart keep, kept; /* kept: over the last restart, by what both lives say */

    /* the password at its source, and the typed one */
    unsigned source, stamp;
    bool source_broken;   /* cannot be read, or not be meant */
    unsigned source_next; /* what EVENT_CREDENTIAL is going to set */
    struct file_watch *watch;
    unsigned typed;
    uint64_t typed_until;

    struct callers callers; /* those that wait */
    unsigned waiters;
    uint64_t first_deadline;
    bool deadline_gone; /* first_deadline is to be looked for again */
    struct token token; /* the newest */

    /* the request under way */
    enum flight flight;
    struct cause cause;
    bool by_refresh_token, sent_forced, sent_by_route;
    unsigned password;
    uint32_t refresh_token;
    uint64_t begun, sent;
    unsigned begun_with; /* the typed password, 0 = none */
    struct reply reply;
    uint32_t newest_refresh_token; /* that an answer brought */

    /* at the provider */
    uint32_t valid_refresh_token;
    uint64_t session_until;

    uint8_t source_profile; /* GRANT_EXCHANGE: from */
    enum job_kind job;
    uint32_t subject; /* JOB_EXCHANGE: the other profile's token */
    struct by_token by_token;
    struct tool tool;
    struct exchange exchange;
    struct device_login device;
    struct code code;
    struct ledger ledger;
    uint64_t class_since;
    unsigned hand_outs; /* to client-go */
};

/* Whether the request under way, or the last one, is a login. */
static inline bool by_password(const struct model *p)
{
    return p->job == JOB_PASSWORD;
}

/* Whether no timeout is configured, so that it may wait longer after an answer that was lost. */
static inline bool is_patient(const struct model *p)
{
    return p->number % 2 == 0;
}

/* ---- clients --------------------------------------------------------------------------------- */

enum client_kind {
    CLIENT_KUBECTL,
    CLIENT_K9S,
    CLIENT_PYTHON,
    CLIENT_SHELL,
    CLIENT_MIN_VALIDITY,
    CLIENT_REJECTED,
    CLIENT_BURST,
    CLIENT_KINDS,
};

struct client {
    enum client_kind kind;
    uint8_t profile;
    bool waits, in_command, with_stdin, seldom;
    pid_t pid;
    unsigned calls, most_calls, errors, most_errors;
    uint64_t session_until;
    uint32_t token; /* the last one it was told */
    unsigned times; /* in a row, by this process */
    struct token held;
    bool saw_rejection;
    unsigned hand_outs; /* of its profile, when it was told that token first */
    uint64_t expires;
};

/* ---- the world ------------------------------------------------------------------------------- */

enum { TRACE_LINES = 64 };

struct trace_line {
    uint64_t now, step;
    const char *what;
    const char *detail; /* NULL, or a word */
    uint8_t profile;
    uint64_t seconds[2]; /* usec, printed as seconds; NEVER = none */
};

/* Classes of faults, for the statistics. */
enum class {
    CLASS_WELL,
    CLASS_OUTAGE,
    CLASS_LIMITED,
    CLASS_ODD, /* slow, lost, doubtful, flaky */
    CLASS_WRONG_PASSWORD,
    CLASS_SHORT, /* no fault, but a life under two minutes */
    CLASSES,
};

struct statistics {
    uint64_t steps, time;
    uint64_t requests[CLASSES], class_time[CLASSES]; /* time of one profile */
    uint64_t longest_wait, longest_wait_seed;
    unsigned most_odd, most_lost; /* of one password, in a day */
    uint64_t overlaps, doubts;
    /* beyond the password */
    uint64_t gifts, gifts_under_way, gifts_taken, tokens_refused, rotations_lost, rotations_missed,
        cut_off;
    uint64_t runs, prints, printed_again, printed_expired, commands_failed;
    uint64_t codes, polls, polls_lost, slowed_down, confirmed, denied, expired, abandoned;
    uint64_t exchanges, subjects_refused, exchanges_refused, sources_lacking, woken;
    /* one-time passwords */
    uint64_t code_logins, codes_taken, codes_refused, codes_lost, codes_in_vain, codes_cut_off,
        codes_required, codes_waived, codes_demanded;
    uint64_t served, queued, failed, suspicions, heals, tokens, kept;
};

struct world {
    uint64_t seed, now, step, steps;
    uint64_t chance[4];
    struct queue queue;
    unsigned n_providers, n_profiles, n_clients;
    struct provider providers[PROVIDERS_MAX];
    struct model profiles[PROFILES_MAX];
    struct client clients[CLIENTS_MAX];
    struct caller callers[WAITERS_MAX];
    struct callers free_callers;
    uint32_t last_token, last_refresh_token;
    unsigned last_code;
    pid_t last_pid;
    struct context shared; /* of the real daemon */
    struct profiles *configured;
    int kept;           /* what systemd keeps of it, -1: nothing */
    bool config_broken; /* the file, at the next reload */
    bool grants;        /* there is more than the password in it */
    bool codes;         /* there are one-time passwords */
    uint64_t private_file_stamp;
    int wanting;              /* how many profiles the network interests */
    int working;              /* requests and attempts under way, for the watchdog */
    struct call *asking;      /* the call that the daemon deals with, NULL: none */
    bool speaking;            /* a person says login or refresh */
    bool crashing;            /* what the daemon does now is not known to its next life */
    enum account_leave leave; /* account_ask() was last asked with */
    struct model *acting;     /* whose source of the loop is served */
    uint64_t slept_at;        /* when it woke up last */
    unsigned network_events;
    bool tracing;
    struct trace_line trace[TRACE_LINES];
    uint64_t traced;
    struct statistics statistics;
};

/* ---- chance ---------------------------------------------------------------------------------- */

/* Begins the sequence of a seed. */
void chance_seed(struct world *w, uint64_t seed);
uint64_t chance(struct world *w);
/* 0 to n - 1. */
uint64_t chance_below(struct world *w, uint64_t n);
/* True in so many of a thousand cases. */
bool chance_permille(struct world *w, unsigned n);
/* From least to most, each doubling alike. */
uint64_t chance_span(struct world *w, uint64_t least, uint64_t most);

/* ---- the queue ------------------------------------------------------------------------------- */

/* Puts the source there, or moves it. NEVER takes it off. */
void queue_set(struct queue *q, unsigned source, uint64_t time);
/* The next source, taken off; its time. EVENTS when there is none. */
unsigned queue_take(struct queue *q, uint64_t *ret_time);

/* ---- the trace ------------------------------------------------------------------------------- */

/* One line; NEVER for a time that is not to be shown. */
void trace(struct world *w, const struct model *p, const char *what, const char *detail,
           uint64_t usec, uint64_t usec2);
/* The last lines, on stdout. */
void trace_print(const struct world *w);

/* ---- provider.c ------------------------------------------------------------------------------ */

/* A new one, of random nature. */
void provider_init(struct world *w, struct provider *v);
/* The request that profile p sends now. */
struct reply provider_receive(struct world *w, struct model *p);
/* Gives a token that begins now. */
void provider_issue(struct world *w, struct model *p, struct provider *v, struct reply *r);
/* Events of EVENT_REGIME, EVENT_PASSWORD, EVENT_KEYS, EVENT_FOREIGN. */
void provider_regime(struct world *w, struct provider *v);
void provider_foreign(struct world *w, struct provider *v);
void provider_password(struct world *w, struct provider *v);
void provider_keys(struct world *w, struct provider *v);
/* Whether the cluster takes the token. */
bool provider_accepts(const struct world *w, const struct provider *v, const struct token *token);
/* A password that nobody has used yet; 0 when there have been too many. */
unsigned provider_new_password(struct provider *v);

/* ---- loop.c: the sd_event of the daemon, on the world's queue -------------------------------- */

/* Dispatches a source of EVENT_LOOP. */
void loop_dispatch(struct world *w, unsigned number);
/* Something can be read from that descriptor. */
void loop_ready(int fd);

/* ---- stand_ins.c ----------------------------------------------------------------------------- */

/* The world that they belong to. */
extern struct world *the_world;
/* The password at the source of that profile has changed, or can be read again. */
void stand_ins_source_changed(struct world *w, struct model *p);

/* ---- driver.c: starts the real daemon, asks it, and sees what it does ------------------------ */

/* Starts it with what systemd kept of an earlier life; ends it, with all who wait. */
void daemon_start(struct world *w);
void daemon_stop(struct world *w, bool again);
/* A client asks. Whoever it is, client_told() follows, at once or later. */
void daemon_get(struct world *w, struct call call);
/* A person says login (password > 0) or refresh (0). */
void daemon_renew(struct world *w, struct model *p, unsigned password);
/* A person says login with what they typed, 0 = nothing; or that the password goes alone. */
void daemon_log_in(struct world *w, struct model *p, unsigned password, unsigned code, bool alone);
/* Begins one that is confirmed elsewhere; leaves it. */
void daemon_login_by_device(struct world *w, struct model *p);
void daemon_leave_login(struct world *w, struct model *p);
/* The same, with a refresh token. */
void daemon_renew_by_token(struct world *w, struct model *p, uint32_t refresh_token);
void daemon_logout(struct world *w, struct model *p);
void daemon_reload(struct world *w);
void daemon_restart(struct world *w);
/* The network came up; the machine woke up. */
void daemon_network(struct world *w);
void daemon_resume(struct world *w);
/* The client of that number waits no longer. */
void daemon_client_gone(struct world *w, unsigned client);
/* Until when clients are told to use the token. */
uint64_t daemon_advertised_expiry(const struct model *p, uint64_t now);
/* How much of a profile is kept over restarts, by chance. */
enum keep_over_restart daemon_some_keep(struct world *w);
/* The profile of that name. */
struct model *daemon_model(struct world *w, const char *name);
/* What came of a request is about to be told to lifecycle.c; a token is the newest from now on. */
void daemon_sent(struct world *w, struct model *p);
/* The number behind a letter or two: that of a password, "pw7", or of a token. */
unsigned daemon_number(const char *text);

/* ---- grants.c: what there is beside the password -------------------------------------------- */

/* Whether the world of that seed has any of it: the others stay as they are without. */
bool grants_are_in(uint64_t seed);
/* Perhaps another grant for a profile that is about to be configured. */
void grants_init(struct world *w, struct model *p);
/* What a person does for the sake of it. False: what they do for any profile. */
bool grants_person(struct world *w, struct model *p);
/* An answer comes that nobody reads. */
void grants_unread(struct world *w, struct model *p, const struct reply *reply);
/* A job is about to be sent that is no login by password. */
void grants_take_job(struct world *w, struct model *p, const struct job *job);
/* How a token-command ends: its output in text, or false. Writes how long it takes, up to `time`.
 */
bool grants_print(struct world *w, struct model *p, char *text, size_t size);
uint64_t grants_run(struct world *w, struct model *p, uint64_t time);
/* What comes of a job that is neither a login nor a refresh. */
struct reply grants_verify(struct world *w, struct model *p, uint64_t at);
struct reply grants_exchange(struct world *w, struct model *p, uint64_t at);
/* What comes of a job of a login that is confirmed elsewhere. */
struct reply grants_device(struct world *w, struct model *p, const struct job *job);
void grants_device_ended(struct world *w, struct model *p, const struct reply *r, bool read);
/* Whether it has a token by a person alone, or by the refresh token that came of that. */
bool grants_need_person(const struct model *p);
/* Whether a request counts for the bucket of the provider's one account. */
bool grants_count(const struct model *p);
/* Whether another profile that is in use keeps it in use. */
bool grants_use(const struct model *p, uint64_t at);
/* The call of a profile that waits for the token of another, which is asked now. */
struct call grants_call(struct world *w, struct model *p, const struct lifecycle_event *event);
/* Prints what happened of it. Returns whether all did that is looked for. */
bool grants_report(const struct statistics *s);

/* ---- codes.c: one-time passwords ------------------------------------------------------------- */

/* Whether the world of that seed has any: the others stay as they are without. */
bool codes_are_in(uint64_t seed);
void codes_init_provider(struct world *w, struct provider *v);
void codes_init_profile(struct world *w, struct model *p);
/* Perhaps the provider wants one from now on, or none any more. */
void codes_rule_changes(struct world *w, struct provider *v);
/* What a person does for the sake of it. False: what they do for any profile. */
bool codes_person(struct world *w, struct model *p);
/* Whether the password is worth nothing alone, as far as the profile can know. */
bool codes_wanted(const struct model *p);
/* Whether a refresh token in hand does without it. */
bool codes_spared(const struct model *p);
/* Of a login whose password is right: whether there is a token for it. Else writes why not. */
bool codes_pass(struct world *w, struct model *p, struct provider *v, struct reply *r);
/* What the reply to a login says, with the code that went with it. */
void codes_judge(struct model *p, struct reply *r);
/* A request is about to begin; its job is about to be sent. */
void codes_begin(struct model *p, bool by_refresh_token);
void codes_take_job(struct world *w, struct model *p, const struct job *job);
/* Prints what happened of it. Returns whether all did that is looked for. */
bool codes_report(const struct statistics *s);

/* ---- client.c -------------------------------------------------------------------------------- */

/* A new one, of random kind. */
void client_init(struct world *w, unsigned number);
/* Events of EVENT_CLIENT. */
void client_act(struct world *w, unsigned number);
/* How a call ended: with the token in hand, or an error. */
void client_told(struct world *w, const struct call *call, const struct token *token);

/* ---- check.c --------------------------------------------------------------------------------- */

enum fact_kind {
    FACT_WANTED,    /* a client asked, the verdict is known */
    FACT_TOLD,      /* a client got the token, or an error */
    FACT_SUSPECTED, /* account.c takes the token for rejected */
    FACT_REQUEST,   /* lifecycle.c asked for a request */
    FACT_SENT,      /* it goes to the provider */
    FACT_ENDED,     /* it ended, perhaps unsent, and lifecycle.c is about to be told */
    FACT_CHANGED,   /* a credential changed, or (person) somebody says so */
    FACT_NETWORK,   /* the network came up, or the machine woke up */
    FACT_FORGOTTEN, /* logout, restart of one of which nothing is kept */
    FACT_RESTARTED, /* of one of which something is */
    FACT_SLEPT,     /* time has leapt */
    FACT_GAVE_UP,   /* a client's time was up */
    FACT_GIVEN,     /* a refresh token that somebody gave is in hand */
    FACT_EXPLAINED, /* somebody asked, and is told at once why there is nothing */
    FACT_REST,      /* after each event: the profile rests */
};

struct fact {
    enum fact_kind kind;
    const struct call *call;   /* WANTED, TOLD, SUSPECTED, EXPLAINED */
    const struct token *token; /* TOLD: NULL = an error */
    const struct error *why;   /* EXPLAINED */
    enum lifecycle_verdict verdict;
    bool failed;                    /* ENDED */
    bool person, password;          /* CHANGED: somebody says so, and typed one */
    bool refresh_token;             /* CHANGED: or gave one */
    bool rests;                     /* ENDED: with nothing newer, which is no failure */
    bool use;                       /* CHANGED: counts as a use */
    bool route;                     /* NETWORK: the default route changed */
    enum lifecycle_failure failure; /* ENDED, failed */
};

/* Holds every promise against what happened, then writes it down in the ledger. A promise that is
 * broken ends the program. */
void check(struct world *w, struct model *p, const struct fact *fact);
/* The same of what there is beside the password, in grants.c. */
void check_grant(struct world *w, struct model *p, const struct fact *fact);
/* And of one-time passwords, in codes.c. */
void codes_check(struct world *w, struct model *p, const struct fact *fact);
/* A promise is broken, or the world itself: ends the program. */
_Noreturn void check_broken(const struct world *w, const struct model *p, const char *promise,
                            const char *what);
/* Event of EVENT_NETWORK_CHECK: three seconds after the network came up. */
void check_network(struct world *w);
/* Time has not moved for so many steps. */
void check_standstill(struct world *w);
/* Adds up the time that has passed in each class of fault, before a class may change. */
void check_classes(struct world *w);
/* The class of fault that a profile lives under. */
enum class check_class(const struct world *w, const struct model *p);

#endif
