#define _GNU_SOURCE
#include "daemon/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/kube_user.h"
#include "common/time.h"
#include "daemon/config_keys.h"
#include "daemon/file_watch.h"
#include "daemon/holders.h"
#include "daemon/holdings.h"
#include "daemon/journal.h"
#include "daemon/peer_process.h"
#include "daemon/profile_record.h"
#include "daemon/rejection.h"
#include "daemon/revocation.h"
#include "daemon/secret_source.h"
#include "daemon/typed_login.h"
#include "daemon/typed_user.h"
#include "daemon/who_asks.h"

TAILQ_HEAD(waiters, waiter);

/* What the log was told to be wrong, and not yet to be over. */
struct complaint {
    enum profile_trouble trouble;
    enum error_code code;
    uint64_t since; /* 0: nothing */
    struct journal_limit limit;
};

/* By device; and those that have it shown, with the last of whom it ends. */
struct login {
    struct device *device;
    struct waiters waiters;
};

struct profile {
    struct context *shared;
    LIST_ENTRY(profile) entry;     /* of all, */
    LIST_ENTRY(profile) dependent; /* and of those with from */
    struct secret *access_token;   /* for others with from; never in the store: it is got anew */
    const struct profile_config *config; /* the configured one, or that with the name of user */
    const struct profile_config *configured;
    struct typed_user *user; /* NULL: nobody typed a name */
    uint64_t config_digest;
    struct lifecycle lifecycle;
    struct lifecycle_policy policy;
    struct waiters waiters;
    struct waiters guests; /* of shares: they are told what comes, and nothing is done for them */
    struct login *login;   /* NULL: there has been none by device */
    struct holdings holdings; /* token, refresh token, and a password that somebody typed, which
                                 goes before the source's */
    uint64_t typed_until;
    struct secret *otp;     /* a one-time password that somebody typed, for the next login alone */
    bool with_otp;          /* the attempt carries one */
    enum otp_need otp_need; /* what is known of the provider */
    struct secret *offered; /* a refresh token that somebody gave while a request was under way */
    bool put_off;           /* a request, until the poll of a login by device has ended */
    bool offer_in_hand;     /* it is the one in hand, and has brought nothing yet */
    char *offer_words;      /* why that was dropped; NULL: it was not */
    bool refresh_failed;    /* the last failure was of a request by refresh token */
    uint64_t noted_use;     /* the last one that would outlive the daemon */
    struct facts facts;
    void *cache; /* the fetchers' */
    size_t cache_length;
    uint64_t refresh_since; /* when the refresh token in hand came; 0: in an earlier life */
    struct profile_counts counts;
    struct error error;
    struct step failed_step; /* where the fetcher was at that */
    const char *loss;        /* what a restart took, so that only a login helps; or NULL */
    struct complaint complaint;
    uint64_t forced_at; /* when a person asked: also what was refused is sent; 0 = nobody did */
    sd_event_source *timer;
    uint64_t armed_for; /* USEC_INFINITY: it is off */
    struct attempt *attempt;
    struct rejection rejection;
    struct rejection_client suspect; /* whom looks_rejected() told of last */
    uint64_t rejected;               /* the token that another is fetched for; 0 = none */
    enum history_reason reason;      /* of the attempt */
    bool forced_by_login;            /* forced_at */
    uint64_t began;                  /* when its request went out; 0 = not yet */
    struct holders *holders;         /* NULL: there has been none */
    char *changed;                   /* the claims, at the last renewal that changed any, or NULL */
    uint64_t changed_at;
    struct file_watch *watch; /* of the sources, while only they can help */
    bool in_system_watch;     /* counted as one whom the network interests */
    bool is_shared;
    bool depends;      /* it is one of those with from */
    bool lacks_source; /* that profile had no token to give, at the last failure */
};

/* There may be thousands, most of which nobody asks for: what a profile without a token, or in good
 * health, has no use for is allocated when there is something. */
_Static_assert(sizeof(struct profile) <= 1664, "a profile is small");

/* As the client has it: sooner, and client-go would ask for each of its requests. */
static const uint64_t rehearsal_least = 5 * USEC_PER_SEC;
/* One failing kubectl asks five or six times: of another profile, which has none, once. */
static const uint64_t source_memory = 5 * USEC_PER_SEC;
/* A crash forgets no more of when it was used last. */
static const uint64_t use_unnoted_most = 10 * 60 * USEC_PER_SEC;

static void step(struct profile *p, struct lifecycle_event event);
static void become(struct profile *p, const struct profile_config *config, const char *reason);
static void forget_all(struct profile *p, const char *reason);
static void remember(const struct profile *p, struct history_entry e);

static struct device *device_of(const struct profile *p)
{
    return p->login ? p->login->device : NULL;
}

static const struct secret *token_of(const struct profile *p)
{
    return holdings_get(&p->holdings, HOLDING_TOKEN);
}

static const struct secret *refresh_token_of(const struct profile *p)
{
    return holdings_get(&p->holdings, HOLDING_REFRESH_TOKEN);
}

static const struct secret *typed_of(const struct profile *p)
{
    return holdings_get(&p->holdings, HOLDING_PASSWORD);
}

static void drop_token(struct profile *p)
{
    holdings_drop(&p->holdings, HOLDING_TOKEN);
    p->access_token = secret_free(p->access_token);
}

/* ---- profiles whose tokens come from another's ----------------------------------------------- */

/* What has come of this one's token may let them go on, or ends theirs. */

static bool comes_from(const struct profile *d, const struct profile *p)
{
    return strcmp(d->config->from, p->config->name) == 0;
}

static bool takes_access_token(const struct profile_config *config)
{
    const char *type = config_keys_subject_type(config);

    return type && strcmp(type, "access_token") == 0;
}

static void enlist(struct profile *p)
{
    bool depends = p->config->grant == GRANT_EXCHANGE;

    if (p->depends && !depends)
        LIST_REMOVE(p, dependent);
    else if (!p->depends && depends)
        LIST_INSERT_HEAD(&p->shared->dependents, p, dependent);
    p->depends = depends;
}

struct profile *profile_named(const struct context *shared, const char *name)
{
    struct profile *p;

    LIST_FOREACH(p, &shared->profiles, entry)
    if (strcmp(p->config->name, name) == 0)
        return p;
    return NULL;
}

/* Whether a profile that is in use, or may be, takes this one's access token. */
static bool owes_access_token(const struct profile *p)
{
    const struct profile *d;

    LIST_FOREACH(d, &p->shared->dependents, dependent)
    if (comes_from(d, p) && takes_access_token(d->config))
        return true;
    return false;
}

/* Until when it is in use, if nobody comes; 0: it has not been. */
static uint64_t used_until(const struct profile *p)
{
    uint64_t last_use = p->lifecycle.last_use, keep_fresh = p->config->keep_fresh;

    if (profile_is_held(p) || keep_fresh == USEC_INFINITY)
        return USEC_INFINITY;
    return last_use > 0 ? last_use + keep_fresh : 0;
}

/* Those whose tokens come from it keep the login that they share alive. */
static uint64_t used_by_others_until(const struct profile *p)
{
    uint64_t until = 0;
    const struct profile *d;

    LIST_FOREACH(d, &p->shared->dependents, dependent)
    if (comes_from(d, p) && used_until(d) > until)
        until = used_until(d);
    return until;
}

/* There is a token: those that lacked one go on, and after a login those too whose exchange was
 * refused. A renewal is no reason to send again what was refused. */
static void wake_dependents(struct profile *p)
{
    uint64_t now = time_boottime();
    bool login = p->reason == HISTORY_LOGIN;
    struct profile *d;

    LIST_FOREACH(d, &p->shared->dependents, dependent)
    {
        // cppcheck-suppress uninitvar; it does not follow LIST_FOREACH
        bool stopped = d->lifecycle.state == LIFECYCLE_STOPPED;
        if (!comes_from(d, p) || used_until(d) < now || !(d->lacks_source || (login && stopped)))
            continue;
        if (login) {
            d->forced_at = now;
            d->forced_by_login = true;
        }
        step(d, (struct lifecycle_event){ .type = LIFECYCLE_CHANGED });
    }
}

/* Theirs are tokens of the same login. */
static void forget_dependents(struct profile *p, const char *reason)
{
    struct profile *d;

    LIST_FOREACH(d, &p->shared->dependents, dependent)
    if (comes_from(d, p)) {
        forget_all(d, reason);
        remember(d, (struct history_entry){ .kind = HISTORY_LOGOUT });
    }
}

/* ---- waiting clients ------------------------------------------------------------------------- */

/* The cause in words: the last failure, or else where the first request is stuck. */
static void cause(const struct profile *p, struct error *ret)
{
    *ret = p->error;
    if (ret->code == ERROR_NONE || attempt_is_held_up(p->attempt))
        attempt_where(p->attempt, ret);
    if (ret->code == ERROR_NOT_LOGGED_IN && device_code(device_of(p)))
        error_set(ret, ERROR_NOT_LOGGED_IN,
                  "kubetoken login %s has been said, and waits to be confirmed", p->config->name);
}

static void too_short(const struct profile *p, struct error *ret)
{
    error_set(ret, ERROR_TOO_SHORT_LIVED, "%llu s",
              (unsigned long long)(p->facts.lifetime / USEC_PER_SEC));
}

/* Who was told to come at the advertised expiry may come in the second before: what is told is
 * whole seconds. */
static bool is_advertised_expiry(const struct profile *p, uint64_t now)
{
    return now + USEC_PER_SEC >= p->lifecycle.advertised_expiry;
}

/* ---- for `log` and `why` --------------------------------------------------------------------- */

static void remember(const struct profile *p, struct history_entry e)
{
    e.at = time_boottime();
    e.took = p->began > 0 && (e.kind == HISTORY_TOKEN || e.kind == HISTORY_FAILURE)
                 ? e.at - p->began
                 : 0;
    history_add(p->shared->history, p->config->name, &e);
}

/* What is known of the token in hand. */
static void describe_token(const struct profile *p, struct history_entry *e)
{
    const struct facts *facts = &p->facts;

    e->token = facts->sent;
    e->expires_at = facts->sent + facts->lifetime;
    e->verified = facts->verified;
    e->clock_offset = facts->has_clock_offset ? facts->clock_offset : 0;
    e->n_findings = facts->n_warnings;
    for (unsigned i = 0; i < facts->n_warnings; i++)
        e->findings[i] = facts->warnings[i];
    e->key = facts->key;
}

/* It is in hand; key: that of the one before, NULL: none is known; changed: which claims. */
static void remember_token(const struct profile *p, bool by_device, const char *key,
                           const char *changed)
{
    struct history_entry e = { .kind = HISTORY_TOKEN,
                               .reason = p->reason,
                               .by_refresh_token = p->lifecycle.by_refresh_token && !by_device,
                               .grant = (unsigned char)p->config->grant,
                               .text = changed };
    const struct facts *facts = &p->facts;

    describe_token(p, &e);
    remember(p, e);
    if (key && strcmp(key, facts->key) != 0)
        remember(p, (struct history_entry){ .kind = HISTORY_KEY,
                                            .token = e.token,
                                            .key = facts->key,
                                            .previous_key = key,
                                            .key_gone = facts->key_gone });
}

static void remember_failure(const struct profile *p)
{
    remember(p, (struct history_entry){ .kind = HISTORY_FAILURE,
                                        .reason = p->reason,
                                        .by_refresh_token = p->lifecycle.by_refresh_token,
                                        .grant = (unsigned char)p->config->grant,
                                        .code = p->error.code,
                                        .text = p->error.detail });
}

/* followed: another one is fetched. */
static void remember_rejection(struct profile *p, const struct waiter *w, bool told, bool followed)
{
    struct history_entry e = { .kind = HISTORY_REJECTION,
                               .told = told,
                               .unfollowed = !followed,
                               .handed_at = told ? 0 : p->suspect.handed_out };

    who_asks_find(NULL, w->peer, w->request.client_go, &e);
    if (p->lifecycle.expires_at > 0)
        describe_token(p, &e);
    if (followed)
        p->rejected = p->lifecycle.sent;
    remember(p, e);
}

/* ---- who asks again -------------------------------------------------------------------------- */

/* When a client that rehearses is told to come; USEC_INFINITY: it does not. */
static uint64_t rehearsed_expiry(const struct request *request, uint64_t now)
{
    uint64_t time = request->rehearse;

    if (time == 0)
        return USEC_INFINITY;
    return now + (time > rehearsal_least ? time : rehearsal_least);
}

/* Notes that the token is handed out to that client-go process. Returns its entry if it comes for
 * the same one before its time. */
static const struct rejection_client *note_client(struct profile *p, const struct request *request,
                                                  uint64_t now)
{
    if (!p->rejection.clients) /* the first; without memory for them nobody is suspected */
        p->rejection.clients = calloc(REJECTION_CLIENTS, sizeof *p->rejection.clients);
    return rejection_note(&p->rejection, request->client_go, p->lifecycle.sent,
                          rehearsed_expiry(request, now), now);
}

/* Whether the client-go process behind the request shows, by asking again early, that the API
 * server rejected the token in hand. That it is really the parent of who asks, and was there when
 * the token was handed out, the kernel has to say: a pid may be another's by now. */
static bool looks_rejected(struct profile *p, struct waiter *w, uint64_t now, bool *ret_too_soon)
{
    pid_t pid = w->request.client_go, parent;
    uint64_t started, ignored;

    *ret_too_soon = false;
    w->noted = 0;
    if (pid == 0 || !lifecycle_alive(&p->lifecycle, now) || is_advertised_expiry(p, now))
        return false;
    w->noted = p->lifecycle.sent;
    const struct rejection_client *c = note_client(p, &w->request, now);
    if (!c || peer_process_look(w->peer, &parent, &ignored) < 0 || parent != pid ||
        peer_process_look(pid, &parent, &started) < 0 || started > c->handed_out)
        return false;
    unsigned calls = peer_process_reads_manifest(pid) ? 2 : 1;
    p->suspect = *c;
    if (!rejection_confirm(&p->rejection, c, calls, now)) {
        *ret_too_soon = c->times == calls + 1 && p->rejection.unheard == c->token &&
                        p->rejection.suspected != c->token;
        return false;
    }
    journal_write(LOG_NOTICE, p->config->name, "rejected",
                  "process %d asks again early: the API server seems to reject the token; "
                  "fetching another",
                  (int)pid);
    return true;
}

/* It waits no more. */
static void dequeue(struct waiter *w)
{
    struct profile *p = w->profile;

    w->profile = NULL;
    if (w->guest) {
        TAILQ_REMOVE(&p->guests, w, entry);
        return;
    }
    if (w->by_device) {
        w->by_device = false;
        TAILQ_REMOVE(&p->login->waiters, w, entry);
        return;
    }
    TAILQ_REMOVE(&p->waiters, w, entry);
    if (TAILQ_EMPTY(&p->waiters))
        attempt_calm(p->attempt);
    notify_end_work(p->shared->notify);
}

static void tell(struct waiter *w, const struct error *why)
{
    struct profile *p = w->profile;

    if (!why && w->request.client_go && w->noted != p->lifecycle.sent)
        note_client(p, &w->request, time_boottime());
    dequeue(w);
    w->ready(w, p, why);
}

/* Whether the waiter came for a new token, not for one that is good. */
static bool wants_new(const struct waiter *w)
{
    return w->request.verb == VERB_REFRESH || w->request.verb == VERB_LOGIN;
}

/* Whether it came with a refresh token. */
static bool is_by_refresh_token(const struct waiter *w)
{
    return w->request.verb == VERB_LOGIN && w->request.format == FORMAT_REFRESH_TOKEN;
}

/* Whether the token in hand is what the waiter came for. */
static bool served(const struct profile *p, const struct waiter *w, uint64_t now)
{
    const struct lifecycle *lc = &p->lifecycle;

    return !wants_new(w) && lifecycle_alive(lc, now) &&
           lc->expires_at - now >= w->request.min_validity;
}

static bool is_login_code(enum error_code code)
{
    return code == ERROR_LOGIN_NEEDED || code == ERROR_NOT_LOGGED_IN;
}

/* The failures whose words say what a person has to do. */
static bool calls_for_person(enum error_code code)
{
    return is_login_code(code) || code == ERROR_OTP_REQUIRED || code == ERROR_OTP_REFUSED ||
           code == ERROR_SECOND_FACTOR;
}

/* That only a person helps: of other grants than the password's, none is missing. */
static enum error_code login_code(const struct profile *p)
{
    return p->config->grant == GRANT_PASSWORD ? ERROR_LOGIN_NEEDED : ERROR_NOT_LOGGED_IN;
}

/* To what stopped the password, why it was asked: the refresh token that was given. Where no
 * password is known that is said already. */
static void add_offer_words(const struct profile *p, struct error *why)
{
    const struct error last = *why;

    if (!p->offer_words || is_login_code(last.code))
        return;
    error_set(why, last.code, "%.*s%sthe refresh token was not taken before: %s",
              (int)error_stem(last.detail), last.detail, *last.detail ? "; " : "", p->offer_words);
}

/* Tells the waiter how it ended: the token, if one lives that serves it, else the cause. */
static void conclude(struct profile *p, struct waiter *w, uint64_t now)
{
    const struct lifecycle *lc = &p->lifecycle;
    bool alive = lifecycle_alive(lc, now), refresh = wants_new(w);
    struct error why;

    if (lc->state == LIFECYCLE_ASKING && now < w->deadline &&
        (refresh || (p->error.code == ERROR_NONE && !served(p, w, now))))
        return; /* what ended was begun before it was asked for, or brought too little */
    if (refresh ? p->error.code == ERROR_NONE && lc->state != LIFECYCLE_ASKING
                : served(p, w, now)) {
        p->counts.handouts += !refresh && !w->inside;
        tell(w, NULL);
        return;
    }
    if (alive && p->error.code == ERROR_NONE && !refresh)
        too_short(p, &why);
    else
        cause(p, &why);
    if (is_by_refresh_token(w))
        add_offer_words(p, &why);
    tell(w, &why);
}

/* Those whose time ends before that; and those who waited for a newer token and are served by
 * the old one, now that there will be none soon. */
static void answer_waiters(struct profile *p, uint64_t ending_before, uint64_t now)
{
    struct waiter *w, *next;

    for (w = TAILQ_FIRST(&p->waiters); w; w = next) {
        next = TAILQ_NEXT(w, entry);
        if (w->deadline < ending_before ||
            (p->lifecycle.state != LIFECYCLE_ASKING && served(p, w, now)))
            conclude(p, w, now);
    }
}

/* ---- guests ---------------------------------------------------------------------------------- */

/* Whether the token in hand is what a guest came for, and no newer one is about to be there. */
static bool serves_guest(const struct profile *p, const struct request *request, uint64_t now)
{
    const struct lifecycle *lc = &p->lifecycle;
    bool enough = lifecycle_alive(lc, now) && lc->expires_at - now >= request->min_validity;
    bool newer = lc->state == LIFECYCLE_ASKING && lc->failed_at == 0 &&
                 now >= lc->advertised_expiry;

    return enough && !newer;
}

/* Why there is nothing for a guest: without what was seen, which is the home's own. */
static void explain_to_guest(const struct profile *p, const struct request *request, uint64_t now,
                             struct error *ret)
{
    const struct lifecycle *lc = &p->lifecycle;
    char left[24];

    if (lifecycle_alive(lc, now)) {
        time_format_duration(left, sizeof left, lc->expires_at - now);
        error_set(ret, ERROR_SHARE_EMPTY, "the token in hand lives %s, and %llu s are asked for",
                  left, (unsigned long long)(request->min_validity / USEC_PER_SEC));
    } else if (p->error.code != ERROR_NONE) {
        error_set(ret, ERROR_SHARE_EMPTY, "%s", error_sentence(p->error.code));
    } else if (lc->state == LIFECYCLE_ASKING) {
        error_set(ret, ERROR_SHARE_EMPTY, "the one that is being fetched did not come in time");
    } else {
        error_set(ret, ERROR_SHARE_EMPTY, "none is in hand, and none is being fetched");
    }
}

/* Those whose token is there, and those for whom none is coming any more. */
static void answer_guests(struct profile *p, uint64_t now)
{
    struct waiter *w, *next;
    struct error why;

    for (w = TAILQ_FIRST(&p->guests); w; w = next) {
        next = TAILQ_NEXT(w, entry);
        bool over = p->lifecycle.state != LIFECYCLE_ASKING || now >= w->deadline;
        if (serves_guest(p, &w->request, now) || (over && served(p, w, now))) {
            p->counts.handouts++;
            tell(w, NULL);
        } else if (over) {
            explain_to_guest(p, &w->request, now, &why);
            tell(w, &why);
        }
    }
}

const struct secret *profile_serve_guest(struct profile *p, const struct request *request,
                                         uint64_t now)
{
    if (!serves_guest(p, request, now))
        return NULL;
    p->counts.handouts++;
    return token_of(p);
}

/* ---- deadlines ------------------------------------------------------------------------------- */

static uint64_t first_deadline(const struct waiters *list)
{
    uint64_t first = USEC_INFINITY;
    const struct waiter *w;

    TAILQ_FOREACH (w, list, entry)
        if (w->deadline < first)
            first = w->deadline;
    return first;
}

/* How long the most patient of those whose time is up has waited. */
static uint64_t patience(const struct profile *p, uint64_t now)
{
    uint64_t most = 0;
    const struct waiter *w;

    TAILQ_FOREACH (w, &p->waiters, entry)
        if (w->deadline <= now && w->deadline > w->asked && w->deadline - w->asked > most)
            most = w->deadline - w->asked;
    return most;
}

/* ---- the one timer --------------------------------------------------------------------------- */

static void arm(struct profile *p)
{
    uint64_t next = p->shared->trial ? USEC_INFINITY : lifecycle_next(&p->lifecycle, &p->policy);
    uint64_t client = first_deadline(&p->waiters), guest = first_deadline(&p->guests);

    client = guest < client ? guest : client;
    if (client < next)
        next = client;
    if (typed_of(p) && p->typed_until < next)
        next = p->typed_until;
    p->armed_for = next;
    if (next == USEC_INFINITY) {
        sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time(p->timer, next);
    sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct profile *p = context;
    uint64_t now = time_boottime();

    (void)source, (void)usec;
    if (first_deadline(&p->waiters) <= now) {
        struct lifecycle_event event = { .type = LIFECYCLE_GAVE_UP,
                                         .gave_up.patience = patience(p, now) };
        answer_waiters(p, now + 1, now);
        step(p, event);
    }
    step(p, (struct lifecycle_event){ .type = LIFECYCLE_TIMER });
    return 0;
}

/* ---- attempts -------------------------------------------------------------------------------- */

/* Whether the provider takes no password without a one-time password. Before anything was seen of
 * that, a parameter for it says so. */
static bool wants_otp(const struct profile *p)
{
    if (p->config->grant != GRANT_PASSWORD)
        return false;
    return p->otp_need == OTP_UNKNOWN ? p->config->otp_parameter != NULL
                                      : p->otp_need == OTP_NEEDED;
}

/* Whether it is a person who has a token be got, where no refresh token does. */
static bool needs_person(const struct profile *p)
{
    switch (p->config->grant) {
    case GRANT_PASSWORD:
        return p->config->password.kind == SOURCE_NONE || wants_otp(p);
    case GRANT_DEVICE:
    case GRANT_REFRESH_TOKEN:
        return true;
    case GRANT_EXCHANGE:
    case GRANT_COMMAND:
        break;
    }
    return false;
}

/* A new one replaces the old at once; none means keep it. */
static void take_refresh_token(struct profile *p, struct result *result)
{
    if (!result->refresh_token)
        return;
    holdings_take(&p->holdings, HOLDING_REFRESH_TOKEN, result->refresh_token, NULL, 0);
    p->refresh_since = time_boottime();
    result->refresh_token = NULL;
}

/* The facts go with the token. */
static void hold_token(struct profile *p, struct secret *token)
{
    char bytes[PROFILE_RECORD_MAX];
    struct result facts;

    facts_give(&p->facts, &facts);
    holdings_take(&p->holdings, HOLDING_TOKEN, token, bytes,
                  result_encode(&facts, bytes, sizeof bytes));
}

static void set_text(char **text, const char *to)
{
    free(*text);
    *text = *to ? strdup(to) : NULL; /* without memory: nothing is said */
}

static void log_token(struct profile *p, bool first, uint64_t lifetime)
{
    unsigned long long seconds = lifetime / USEC_PER_SEC;
    uint64_t since = p->complaint.since;
    char span[24], user[PROFILE_USER_MAX];

    profile_user(p, user, sizeof user);
    p->complaint.since = 0;
    if (since == 0) {
        journal_write(first ? LOG_INFO : LOG_DEBUG, p->config->name, "token", "%s for %s, %llu s",
                      first ? "token" : "token renewed", user, seconds);
        return;
    }
    time_format_duration(span, sizeof span, time_boottime() - since);
    journal_write(LOG_NOTICE, p->config->name, "recovered",
                  "recovered after %s: token for %s, %llu s", span, user, seconds);
}

/* login: a person confirmed one elsewhere. */
static void take_token(struct profile *p, struct result *result, bool login)
{
    bool first = !token_of(p), knows_key = p->facts.lifetime > 0;
    char key[RESULT_KEY_MAX + 1];

    p->counts.renewals++;
    memcpy(key, p->facts.key, strlen(p->facts.key) + 1);
    if (p->lifecycle.by_refresh_token || login)
        p->offer_in_hand = false; /* it is one like any other now */
    if (p->lifecycle.sent > 0)
        rejection_calm(&p->rejection, p->lifecycle.sent);
    take_refresh_token(p, result);
    struct secret *token = result->id_token;
    result->id_token = NULL;
    facts_take(&p->facts, result);
    hold_token(p, token);
    secret_free(p->access_token);
    p->access_token = result->access_token;
    result->access_token = NULL;
    p->lacks_source = false;
    p->error = (struct error){ ERROR_NONE, "" };
    log_token(p, first, result->lifetime);
    remember_token(p, login, knows_key ? key : NULL, result->changed);
    if (*result->changed) {
        set_text(&p->changed, result->changed);
        p->changed_at = time_boottime();
        journal_write(LOG_NOTICE, p->config->name, "changed", "claims changed: %s",
                      result->changed);
    }
    for (unsigned i = 0; first && i < result->n_warnings; i++)
        journal_write(LOG_WARNING, p->config->name, "warning", "%s: %s",
                      error_sentence(result->warnings[i].code), result->warnings[i].detail);
    step(p, (struct lifecycle_event){
                .type = LIFECYCLE_TOKEN,
                .token = { .sent = result->sent,
                           .lifetime = result->lifetime,
                           .refresh_token = refresh_token_of(p) != NULL,
                           .login = login },
            });
    wake_dependents(p);
}

/* A failure in words; what was refused may be no password. */
static void in_words(const struct profile *p, const struct error *e, struct error *ret)
{
    const char *sentence = p->refresh_failed ? error_sentence_of_refresh(e->code)
                                             : error_sentence(e->code);

    error_set(ret, login_code(p), "%s%s%s", sentence, *e->detail ? ": " : "", e->detail);
}

/* That a login is needed, and why; where no password would do, also which. */
static void set_no_login(struct profile *p, enum error_code code, const char *why)
{
    struct error copy;

    if (code == ERROR_NOT_LOGGED_IN)
        error_set(&copy, code, "%.*s%skubetoken login %s", (int)error_stem(why), why,
                  *why ? "; " : "", p->config->name);
    else
        error_set(&copy, code, "%s", why);
    p->error = copy;
}

/* Why there is nothing but a login left: what became of the refresh token, if that was the last. */
static void set_login_needed(struct profile *p)
{
    struct error last = p->error;
    bool bare = last.code == ERROR_NONE || last.code == ERROR_LOGIN_NEEDED;

    if (last.code == ERROR_NOT_LOGGED_IN)
        return; /* it says so already */
    if (!bare)
        in_words(p, &p->error, &last);
    set_no_login(p, login_code(p), bare && p->loss ? p->loss : last.detail);
}

/* A password is there, and is worth nothing without a code; or what became of the one that was. */
static void set_otp_needed(struct profile *p, const struct error *why)
{
    const struct error last = p->error;

    if (*why->detail || last.code == ERROR_NONE || last.code == ERROR_LOGIN_NEEDED)
        p->error = *why;
    else if (last.code != why->code)
        in_words(p, &last, &p->error);
    p->error.code = why->code;
}

/* Of a login that needs a code, or had one: it is used up, and the password is not sent without. So
 * nothing is tried again by itself. */
static void weigh_otp(struct profile *p, struct attempt_end *end)
{
    const struct error last = end->error;
    enum error_code code = last.code;

    if (p->lifecycle.by_refresh_token)
        return;
    if (code == ERROR_OTP_REQUIRED || code == ERROR_OTP_REFUSED) {
        p->otp_need = OTP_NEEDED;
        end->kind = LIFECYCLE_NO_LOGIN;
    } else if (p->with_otp && end->kind != LIFECYCLE_REFUSED && end->kind != LIFECYCLE_NO_LOGIN) {
        p->otp_need = OTP_NEEDED;
        if (end->kind != LIFECYCLE_TEMPORARY) /* what the account says of the password alone */
            end->retry_after = 0;
        end->kind = LIFECYCLE_NO_LOGIN;
        error_set(&end->error, ERROR_OTP_REQUIRED, "the one before is used up: %s%s%s",
                  error_sentence(code), *last.detail ? ": " : "", last.detail);
    }
}

/* A token by password tells whether that was enough. */
static void learn_otp(struct profile *p, bool otp_sent)
{
    bool of_interest = p->otp_need != OTP_UNKNOWN || p->config->otp_parameter;

    if (p->lifecycle.by_refresh_token || p->config->grant != GRANT_PASSWORD)
        return;
    if (otp_sent)
        p->otp_need = OTP_NEEDED;
    else if (of_interest)
        p->otp_need = OTP_NOT_NEEDED;
}

/* Whether a password that was refused is worth nothing. An account that wants more than a password,
 * or is locked, is the user's too: what was typed is right for all one knows. */
static bool doubts_password(enum error_code code)
{
    enum error_class class = error_class(code);

    return (class == ERROR_CLASS_REFUSED_USER || class == ERROR_CLASS_REFUSED_EITHER) &&
           code != ERROR_ACCOUNT && code != ERROR_ACCOUNT_SETUP && code != ERROR_SECOND_FACTOR;
}

/* Whether what was refused was the client, or the proxy's user, and a refresh token stays good.
 * With a grant that the client may not use it is not: by password it may still go. */
static bool spares_the_token(enum error_code code)
{
    enum error_class class = error_class(code);

    return class == ERROR_CLASS_PROXY ||
           (class == ERROR_CLASS_REFUSED_CLIENT && code != ERROR_GRANT_REFUSED);
}

/* Whether the provider answered, or began to, with nothing that could be used: a fault of its own,
 * half an answer, a token that is not valid. Not that it asks to slow down, and not a page of
 * something in between. */
static bool is_fault(const struct attempt_end *end)
{
    enum error_code code = end->error.code;
    bool said_well = end->result && end->result->http_status == 200;

    switch (error_class(code)) {
    case ERROR_CLASS_TRANSIENT:
        return code != ERROR_RATE_LIMITED;
    case ERROR_CLASS_LOST:
    case ERROR_CLASS_LOCAL: /* a fetcher that an answer has killed */
    case ERROR_CLASS_ACCEPTED:
        return end->reached;
    case ERROR_CLASS_SOFT:
        return said_well;
    case ERROR_CLASS_NONE:
    case ERROR_CLASS_UNSENT:
    case ERROR_CLASS_THROTTLED:
    case ERROR_CLASS_REFUSED_USER:
    case ERROR_CLASS_REFUSED_CLIENT:
    case ERROR_CLASS_REFUSED_EITHER:
    case ERROR_CLASS_PROXY:
        break;
    }
    return false;
}

static void take_failure(struct profile *p, const struct attempt_end *end)
{
    enum error_code code = end->error.code;

    /* whatever is wrong with what came: where there is a new one, the old one may be void */
    if (end->result && (end->kind == LIFECYCLE_STALE || p->lifecycle.by_refresh_token))
        take_refresh_token(p, end->result);
    p->counts.failures++;
    p->failed_step = end->step;
    p->lacks_source = end->by_source;
    if (end->kind == LIFECYCLE_NO_LOGIN && !end->by_source && !is_login_code(code))
        set_otp_needed(p, &end->error);
    else if (end->kind == LIFECYCLE_NO_LOGIN && !end->by_source)
        set_login_needed(p);
    else
        p->error = end->error;
    remember_failure(p);
    p->refresh_failed = p->lifecycle.by_refresh_token;
    if (end->kind == LIFECYCLE_REFUSED && !p->lifecycle.by_refresh_token && doubts_password(code))
        holdings_drop(&p->holdings, HOLDING_PASSWORD);
    step(p,
         (struct lifecycle_event){
             .type = LIFECYCLE_FAILED,
             .failed = { .kind = end->kind,
                         .not_the_token = spares_the_token(code),
                         .retry_after = end->retry_after,
                         .yielded = end->yielded,
                         .refresh_without_token = end->result && end->result->refresh_without_token,
                         .nobody_listens = end->result && end->result->nobody_listens,
                         .lost = end->lost,
                         .fault = is_fault(end) },
         });
}

/* The command printed what is in hand already, and that is good for a while: no failure. */
static void keep_token(struct profile *p)
{
    step(p,
         (struct lifecycle_event){ .type = LIFECYCLE_FAILED,
                                   .failed = { .kind = LIFECYCLE_STALE, .nobody_waits = true } });
}

/* A request by refresh token that no answer is known of: providers that rotate them may have given
 * the next one, and take the old one for stolen. */
static const char in_flight[] = "sent";

static void mark_in_flight(struct profile *p)
{
    holdings_take(&p->holdings, HOLDING_REFRESH_TOKEN, NULL, in_flight, sizeof in_flight);
}

static void on_sending(void *context)
{
    struct profile *p = context;

    p->began = time_boottime();
    if (p->lifecycle.by_refresh_token)
        mark_in_flight(p);
    attempt_update(p->attempt, p->config, token_of(p), refresh_token_of(p));
}

/* What came of it is known, whatever that is. A new one takes its place, mark and all. */
static void refresh_token_landed(struct profile *p, const struct result *result)
{
    size_t length;

    if (result && result->refresh_token)
        return;
    holdings_rest(&p->holdings, HOLDING_REFRESH_TOKEN, &length);
    if (length > 0)
        holdings_take(&p->holdings, HOLDING_REFRESH_TOKEN, NULL, NULL, 0);
}

/* What the fetchers have learnt of the provider. */
static void take_cache(struct profile *p, struct result *result)
{
    if (!result || !result->cache)
        return;
    free(p->cache);
    p->cache = result->cache;
    p->cache_length = result->cache_length;
    result->cache = NULL;
    result->cache_length = 0;
}

static void on_done(void *context, struct attempt_end *end)
{
    struct profile *p = context;

    take_cache(p, end->result);
    struct result *token = attempt_token(end);

    refresh_token_landed(p, end->result);
    /* a person's word counts for one request by password, one token that was not under way by then,
     * one word of the account; and who gave a refresh token said nothing for a password that was
     * refused */
    if ((token && !p->lifecycle.again_for_person) || p->with_otp ||
        (p->lifecycle.by_refresh_token && p->offer_in_hand) || p->config->grant == GRANT_COMMAND ||
        (!p->lifecycle.by_refresh_token && (end->reached || end->kind == LIFECYCLE_REFUSED)))
        p->forced_at = 0;
    if (token)
        learn_otp(p, end->otp_sent);
    else
        weigh_otp(p, end);
    if (token)
        take_token(p, token, false);
    else if (end->kind == LIFECYCLE_STALE && TAILQ_EMPTY(&p->waiters) &&
             lifecycle_rests(&p->lifecycle, time_boottime()))
        keep_token(p);
    else
        take_failure(p, end);
}

static uint64_t start_delay(const struct profile *p)
{
    uint32_t random = 0;

    if (p->forced_at > 0 || getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        return 0;
    return lifecycle_delay(&p->lifecycle, random, time_boottime());
}

static enum history_reason reason_of(const struct profile *p)
{
    if (p->forced_at > 0)
        return p->forced_by_login ? HISTORY_LOGIN : HISTORY_REFRESH;
    if (!token_of(p))
        return HISTORY_WANTED;
    return p->rejected == p->lifecycle.sent ? HISTORY_REJECTED : HISTORY_AHEAD;
}

/* Until when another profile's token is waited for: as long as a client waits for ours. */
static uint64_t last_deadline(const struct profile *p)
{
    uint64_t last = 0;
    const struct waiter *w;

    TAILQ_FOREACH (w, &p->waiters, entry)
        last = w->deadline > last ? w->deadline : last;
    return last > 0 ? last : time_boottime() + p->config->patience;
}

static void start_attempt(struct profile *p)
{
    p->put_off = device_is_polling(device_of(p)); /* which may bring a token, too */
    if (p->put_off)
        return;
    bool by_password = !p->lifecycle.by_refresh_token;
    struct secret *otp = by_password ? p->otp : NULL;

    if (by_password)
        p->otp = NULL;
    p->with_otp = otp != NULL;
    if (otp && p->forced_at == 0) /* the word counted for a request that was under way */
        p->forced_at = time_boottime();
    p->reason = reason_of(p);
    p->began = 0;
    attempt_start(p->attempt,
                  &(struct attempt_order){
                      .config = p->config,
                      .typed = typed_of(p),
                      .otp = otp,
                      .needs_otp = by_password && wants_otp(p),
                      .refresh_token = p->lifecycle.by_refresh_token ? refresh_token_of(p) : NULL,
                      .previous = token_of(p),
                      .cache = p->cache,
                      .cache_length = p->cache_length,
                      .forced_at = p->forced_at,
                      .by_route = p->lifecycle.by_route,
                      .urgent = !TAILQ_EMPTY(&p->waiters),
                      .patient = p->lifecycle.lost > 0,
                      .delay = start_delay(p),
                      .wait_until = last_deadline(p),
                      .wants_access_token = owes_access_token(p),
                  });
}

/* ---- lifecycle ------------------------------------------------------------------------------- */

/* What is still as it was told is not told again, whoever asked meanwhile. */
static bool is_told(const struct profile *p)
{
    const struct complaint *c = &p->complaint;

    return c->since > 0 && c->trouble == profile_trouble(p) && c->code == p->error.code;
}

/* Of the profile that somebody logs in to. */
static const char *login_name(const struct profile *p)
{
    return p->config->grant == GRANT_EXCHANGE ? p->config->from : p->config->name;
}

static void log_change(struct profile *p, uint64_t now)
{
    static const char *const next[] = {
        [PROFILE_REFUSED] = "; it is not tried again until the credential changes",
        [PROFILE_LOGIN_NEEDED] = "; say kubetoken login ",
        [PROFILE_WAITS] = "; it is tried again",
        [PROFILE_WELL] = "",
    };
    struct complaint *c = &p->complaint;
    enum profile_trouble trouble = profile_trouble(p);
    bool names_login = p->error.code == ERROR_NOT_LOGGED_IN;
    bool login = trouble == PROFILE_LOGIN_NEEDED && !names_login;
    char left_out[48] = "";

    if (is_told(p) || !journal_allows(&c->limit, now))
        return;
    if (c->limit.left_out > 0)
        snprintf(left_out, sizeof left_out, " (%u lines before it were left out)",
                 c->limit.left_out);
    c->limit.left_out = 0;
    c->trouble = trouble;
    c->code = p->error.code;
    c->since = c->since > 0 ? c->since : now;
    journal_write(trouble == PROFILE_REFUSED ? LOG_ERR : LOG_WARNING, p->config->name,
                  error_name(p->error.code), "%s%s%.*s%s%s%s", error_sentence(p->error.code),
                  *p->error.detail ? ": " : "", (int)error_stem(p->error.detail), p->error.detail,
                  names_login ? "" : next[trouble], login ? login_name(p) : "", left_out);
}

static void on_sources(void *context)
{
    struct profile *p = context;
    bool stopped = p->lifecycle.state == LIFECYCLE_STOPPED;

    if (stopped ? attempt_worthwhile(p->attempt, p->config, time_boottime())
                : attempt_is_outdated(p->attempt, p->config))
        step(p, (struct lifecycle_event){ .type = LIFECYCLE_CHANGED });
}

/* Listens to what could end the state that it is in, and to nothing else. */
static void attend(struct profile *p)
{
    const struct lifecycle *lc = &p->lifecycle;
    bool waiting = lc->state == LIFECYCLE_WAITING;
    bool sources = lc->state == LIFECYCLE_STOPPED || (waiting && (lc->local || lc->put_off));

    if (sources && !p->watch)
        p->watch = file_watch_new(p->shared->event, p->config, on_sources, p);
    else if (!sources)
        p->watch = file_watch_free(p->watch);
    if (waiting != p->in_system_watch)
        system_watch_want(p->shared->system_watch, waiting);
    p->in_system_watch = waiting;
}

void profile_system_changed(struct profile *p, enum system_change what)
{
    if (what != SYSTEM_CLOCK)
        attempt_network_changed(p->attempt);
    step(p, (struct lifecycle_event){
                .type = LIFECYCLE_SYSTEM_CHANGED,
                .system_changed = { .route = what == SYSTEM_ROUTE,
                                    .resume = what == SYSTEM_RESUME,
                                    .clock = what == SYSTEM_CLOCK },
            });
}

/* Writes down how it stands, for a next life. */
static void note(struct profile *p)
{
    char bytes[PROFILE_RECORD_MAX];
    struct profile_record r = { .lifecycle = p->lifecycle,
                                .error = p->error,
                                .failed_step = p->failed_step,
                                .rejection = p->rejection,
                                .changed_at = p->changed_at,
                                .note = attempt_note(p->attempt),
                                .configuration = p->config_digest,
                                .otp_need = p->otp_need,
                                .had_password = typed_of(p) != NULL,
                                .had_refresh_token = refresh_token_of(p) != NULL };

    if (p->changed)
        memcpy(r.changed, p->changed, strlen(p->changed) + 1);
    r.n_holders = holders_list(p->holders, r.holders);
    p->noted_use = p->lifecycle.last_use;
    holdings_note(&p->holdings, bytes, profile_record_encode(&r, bytes, sizeof bytes));
}

static void drop_refresh_token(struct profile *p)
{
    struct error why;

    if (p->offer_in_hand) {
        in_words(p, &p->error, &why);
        set_text(&p->offer_words, why.detail);
    }
    p->offer_in_hand = false;
    holdings_drop(&p->holdings, HOLDING_REFRESH_TOKEN);
}

static void take_offered(struct profile *p)
{
    holdings_take(&p->holdings, HOLDING_REFRESH_TOKEN, p->offered, NULL, 0);
    p->refresh_since = time_boottime();
    p->offered = NULL;
    p->offer_in_hand = true;
}

static void carry_out(struct profile *p, const struct lifecycle_actions *actions, uint64_t now)
{
    if (actions->drop_token)
        drop_token(p);
    if (actions->drop_refresh_token)
        drop_refresh_token(p);
    if (actions->take_offered)
        take_offered(p);
    if (actions->newly_waiting)
        log_change(p, now);
    if (actions->request)
        start_attempt(p);
    note(p); /* before anybody is told of it: it is not forgotten then */
    if (actions->waiters != LIFECYCLE_KEEP)
        answer_waiters(p,
                       actions->waiters == LIFECYCLE_ANSWER_ALL || p->shared->trial ||
                               p->lacks_source /* that one has weighed how long to wait */
                           ? USEC_INFINITY
                           : p->lifecycle.retry_at,
                       now);
    answer_guests(p, now);
    bool watching = p->watch != NULL;
    context_changed(p->shared);
    attend(p);
    arm(p);
    if (p->lifecycle.state != LIFECYCLE_ASKING)
        device_go_on(device_of(p));
    if (!TAILQ_EMPTY(&p->waiters))
        context_progress(p->shared);
    /* what changed before the watch was there, while a request was under way, is told by nobody */
    if (!watching && p->watch && attempt_is_outdated(p->attempt, p->config))
        on_sources(p);
}

/* A typed password whose time is over is gone, also when something comes before the timer: a resume
 * brings all of them at once. */
static void update_policy(struct profile *p)
{
    if (typed_of(p) && time_boottime() >= p->typed_until)
        holdings_drop(&p->holdings, HOLDING_PASSWORD);
    p->policy.password_at_hand = p->otp || (typed_of(p) && !wants_otp(p)) || !needs_person(p);
    p->policy.lives_vary = p->config->grant == GRANT_COMMAND; /* it may be an old one */
    p->policy.held = profile_is_held(p);
    p->policy.used_until = used_by_others_until(p);
    p->policy.held_validity = holders_min_validity(p->holders);
}

static void step(struct profile *p, struct lifecycle_event event)
{
    uint64_t now = time_boottime();

    update_policy(p);
    if (getrandom(&event.random, sizeof event.random, GRND_NONBLOCK) < 0)
        event.random = (uint32_t)now;
    struct lifecycle_actions actions = lifecycle_step(&p->lifecycle, &p->policy, &event, now);
    carry_out(p, &actions, now);
}

static void enqueue(struct profile *p, struct waiter *w)
{
    attempt_hurry(p->attempt);
    w->profile = p;
    w->asked = time_boottime();
    TAILQ_INSERT_TAIL(&p->waiters, w, entry);
    notify_begin_work(p->shared->notify);
}

static void hold_password(struct profile *p, struct secret *password)
{
    p->loss = NULL;
    holdings_take(&p->holdings, HOLDING_PASSWORD, password, &p->typed_until, sizeof p->typed_until);
}

static const struct source somebody = { .kind = SOURCE_NONE };

static int accept_password(struct profile *p, struct secret *given, uint64_t now, struct error *why)
{
    struct secret *typed;

    if (secret_source_accept("password", &somebody, given, &typed, why) < 0)
        return -1;
    p->typed_until = p->config->password_lifetime == USEC_INFINITY
                         ? USEC_INFINITY
                         : now + p->config->password_lifetime;
    hold_password(p, typed);
    return 0;
}

bool profile_takes_login(const struct profile *p, struct error *why)
{
    return typed_login_possible(p->config, why);
}

/* It is not held before nothing is under way: what a request brings speaks of another one. */
static int accept_refresh_token(struct profile *p, struct secret *given, struct error *why)
{
    struct secret *offered;

    if (!typed_login_by_refresh_token(p->config, why)) {
        secret_free(given);
        return -1;
    }
    if (secret_source_accept("refresh token", &somebody, given, &offered, why) < 0)
        return -1;
    secret_free(p->offered);
    p->offered = offered;
    p->otp = secret_free(p->otp);
    set_text(&p->offer_words, "");
    p->loss = NULL;
    return 0;
}

/* Another user than the one before has nothing of that one's. */
static int accept_user(struct profile *p, const char *name, struct error *why)
{
    if (!typed_login_by_password(p->config, why) ||
        !typed_login_has_user(p->configured, name, p->user != NULL, why))
        return -1;
    bool same = p->configured->username || !*name ||
                (p->user && strcmp(p->config->username, name) == 0);
    if (same)
        return 0;
    struct typed_user *user = typed_user_new(p->shared->store, p->configured, name), *old = p->user;
    if (!user) {
        error_set(why, ERROR_INTERNAL, "no memory");
        return -1;
    }
    p->user = user;
    become(p, typed_user_config(user), "somebody logs in as another user");
    typed_user_free(old);
    return 0;
}

/* Whether the password goes with the code, or without one: as the provider wants it, for all that
 * is known, or as a person says. */
static int check_otp(struct profile *p, const struct waiter *w, const struct typed_login *login,
                     struct error *why)
{
    if (!login->password && !profile_knows_password(p)) {
        error_set(why, ERROR_LOGIN_NEEDED, "the one-time password came alone");
        return -1;
    }
    if (w->request.no_otp)
        p->otp_need = OTP_NOT_NEEDED;
    return 0;
}

/* A password whose code is still to come is kept: it is not typed twice. */
static int demand_otp(struct profile *p, const struct typed_login *login, struct error *why)
{
    if (login->otp || !wants_otp(p))
        return 0;
    error_set(why, ERROR_OTP_REQUIRED, "%s", "");
    if (p->error.code == ERROR_LOGIN_NEEDED) /* it is another thing that lacks now */
        p->error = *why;
    note(p);
    context_changed(p->shared);
    arm(p); /* its time ends, though no request follows */
    return -1;
}

static int accept_login(struct profile *p, const struct waiter *w, struct secret *given,
                        uint64_t now, struct error *why)
{
    struct typed_login login;

    if (typed_login_part(&w->request, given, &login, why) < 0)
        return -1;
    int r = accept_user(p, login.name, why);
    if (r == 0)
        r = check_otp(p, w, &login, why);
    if (r == 0 && login.password) {
        r = accept_password(p, login.password, now, why);
        login.password = NULL;
    }
    if (r == 0)
        r = demand_otp(p, &login, why);
    if (r == 0) { /* the one before was not sent yet, and never will be */
        secret_free(p->otp);
        p->otp = login.otp;
        login.otp = NULL;
    }
    typed_login_clear(&login);
    return r;
}

/* ---- a login that a person confirms elsewhere ------------------------------------------------ */

static void answer_logins(struct profile *p, const struct error *why)
{
    while (p->login && !TAILQ_EMPTY(&p->login->waiters))
        tell(TAILQ_FIRST(&p->login->waiters), why);
}

/* It is given up. Those who have it shown are told why. */
static void end_login(struct profile *p, const char *reason)
{
    struct error why;

    device_cancel(device_of(p));
    if (p->put_off)
        start_attempt(p);
    error_set(&why, ERROR_INTERRUPTED, "%s", reason);
    answer_logins(p, &why);
    context_changed(p->shared);
}

static void on_shown(void *context)
{
    struct profile *p = context;
    struct waiter *w;

    journal_write(LOG_INFO, p->config->name, "login-shown",
                  "a login is to be confirmed: its code was shown to who asked for it");
    TAILQ_FOREACH (w, &p->login->waiters, entry) {
        w->shown(w, p);
    }
    context_changed(p->shared);
}

static bool on_whether_busy(void *context)
{
    const struct profile *p = context;

    return p->lifecycle.state == LIFECYCLE_ASKING;
}

static void on_polled(void *context)
{
    struct profile *p = context;

    if (p->put_off)
        start_attempt(p);
}

/* Whoever confirmed it may be another user than the one before, of whom nothing is kept. */
static void take_login(struct profile *p, struct result *token)
{
    attempt_cancel(p->attempt);
    p->put_off = false;
    p->forced_at = 0;
    p->reason = HISTORY_LOGIN;
    p->began = token->sent;
    p->loss = NULL;
    if (!token->refresh_token)
        holdings_drop(&p->holdings, HOLDING_REFRESH_TOKEN);
    take_token(p, token, true);
}

/* What is in hand stays as it was. */
static void fail_login(struct profile *p, const struct error *why)
{
    p->counts.failures++;
    remember(p, (struct history_entry){ .kind = HISTORY_FAILURE,
                                        .reason = HISTORY_LOGIN,
                                        .grant = GRANT_DEVICE,
                                        .code = why->code,
                                        .text = why->detail });
    journal_write(LOG_NOTICE, p->config->name, error_name(why->code), "no login: %s%s%s",
                  error_sentence(why->code), *why->detail ? ": " : "", why->detail);
    if (p->put_off)
        start_attempt(p);
    context_changed(p->shared);
}

static void on_login_done(void *context, struct attempt_end *end)
{
    struct profile *p = context;
    struct result *token = attempt_token(end);
    const struct error why = end->error;

    take_cache(p, end->result);
    if (token)
        take_login(p, token);
    else
        fail_login(p, &why);
    answer_logins(p, token ? NULL : &why);
}

static struct login *login_new(struct profile *p)
{
    static const struct device_calls calls = { on_shown, on_whether_busy, on_polled,
                                               on_login_done };
    struct login *login = calloc(1, sizeof *login);

    if (!login)
        return NULL;
    TAILQ_INIT(&login->waiters);
    login->device = device_new(p->shared, &calls, p);
    if (login->device)
        return login;
    free(login);
    return NULL;
}

/* One for all who want one: they are one user's. */
static enum profile_verdict want_login(struct profile *p, struct waiter *w, struct error *why)
{
    if (p->config->grant != GRANT_DEVICE) {
        error_set(why, ERROR_USAGE, "its configuration does not say grant = device");
        return PROFILE_ERROR;
    }
    if (!p->login && !(p->login = login_new(p))) {
        error_set(why, ERROR_INTERNAL, "no memory");
        return PROFILE_ERROR;
    }
    struct device *device = p->login->device;
    w->profile = p;
    w->by_device = true;
    TAILQ_INSERT_TAIL(&p->login->waiters, w, entry);
    if (!device_is_under_way(device))
        device_start(device, p->config, p->cache, p->cache_length, w->deadline);
    else if (device_code(device))
        w->shown(w, p);
    return PROFILE_QUEUED;
}

/* ---- a new token ----------------------------------------------------------------------------- */

/* Whether the last failure says all that another request would: without a person there is nothing
 * to send, and what is to be sent no more has had its answer. */
static bool still_needs_person(const struct profile *p)
{
    return calls_for_person(p->error.code) && !refresh_token_of(p) && needs_person(p) &&
           (!typed_of(p) || wants_otp(p));
}

static enum profile_verdict want_new(struct profile *p, struct waiter *w, uint64_t now,
                                     struct error *why)
{
    bool login = w->request.verb == VERB_LOGIN, by_token = is_by_refresh_token(w);
    struct secret *given = w->secret;

    w->secret = NULL;
    if (login &&
        (by_token ? accept_refresh_token(p, given, why) : accept_login(p, w, given, now, why)) < 0)
        return PROFILE_ERROR;
    if (login)
        end_login(p, "somebody logged in otherwise");
    p->forced_at = now;
    p->forced_by_login = login;
    if (login || !still_needs_person(p)) /* the answer speaks of this attempt */
        p->error = (struct error){ ERROR_NONE, "" };
    enqueue(p, w);
    step(p, (struct lifecycle_event){ .type = LIFECYCLE_CHANGED,
                                      .changed = { .person = true,
                                                   .password = login && !by_token,
                                                   .refresh_token = by_token,
                                                   .deadline = w->deadline } });
    return PROFILE_QUEUED;
}

/* ---- held by a process ----------------------------------------------------------------------- */

/* What is due is another now. */
static void on_holders(void *context)
{
    struct profile *p = context;

    update_policy(p);
    note(p);
    arm(p);
}

static struct holders *holders_of(struct profile *p)
{
    if (!p->holders)
        p->holders = holders_new(p->shared->event, on_holders, p);
    return p->holders; /* NULL: no memory */
}

int profile_hold(struct profile *p, int pidfd, pid_t pid, uint64_t min_validity, struct error *why)
{
    struct holders *h = holders_of(p);

    if (!h || holders_add(h, pidfd, pid, min_validity) < 0) {
        error_set(why, ERROR_INTERNAL, "the process that asks cannot be followed");
        return -1;
    }
    on_holders(p);
    return 0;
}

void profile_share(struct profile *p, bool shared)
{
    if (p->is_shared == shared)
        return;
    p->is_shared = shared;
    on_holders(p);
}

bool profile_is_held(const struct profile *p)
{
    return p->is_shared || holders_any(p->holders);
}

/* ---- a token that is in hand ----------------------------------------------------------------- */

/* A use, also one in vain, may bring a renewal or a retry into the time that keep-fresh covers. */
static void arm_for_use(struct profile *p)
{
    if (lifecycle_next(&p->lifecycle, &p->policy) < p->armed_for) {
        arm(p);
        context_changed(p->shared);
    }
    if (p->lifecycle.last_use - p->noted_use > use_unnoted_most)
        note(p);
}

const struct secret *profile_serve(struct profile *p, const struct request *request, uint64_t now)
{
    pid_t pid = request->client_go;
    struct lifecycle *lc = &p->lifecycle;

    if (request->rejected || !lifecycle_serves(lc, request->min_validity, now) ||
        (pid && rejection_knows(&p->rejection, pid, lc->sent)))
        return NULL;
    if (pid && !is_advertised_expiry(p, now))
        note_client(p, request, now);
    const struct lifecycle_event event = { .type = LIFECYCLE_WANTED,
                                           .wanted.min_validity = request->min_validity };
    if (lifecycle_step(lc, &p->policy, &event, now).verdict != LIFECYCLE_SERVE)
        abort(); /* by lifecycle_serves() */
    arm_for_use(p);
    p->counts.handouts++;
    return token_of(p);
}

/* Whether a request that is not due may go better by now: something else would be sent, or the
 * account has decided meanwhile. */
static bool may_go_better(const struct profile *p, uint64_t now)
{
    const struct lifecycle *lc = &p->lifecycle;

    if (p->lacks_source && lc->state != LIFECYCLE_ASKING && now - lc->failed_at >= source_memory)
        return true; /* what that one says now costs nothing */
    if (lc->state == LIFECYCLE_STOPPED)
        return attempt_worthwhile(p->attempt, p->config, now);
    return lc->state == LIFECYCLE_WAITING &&
           (attempt_is_decided(p->attempt, now) ||
            (lc->put_off && attempt_is_outdated(p->attempt, p->config)));
}

enum profile_verdict profile_want(struct profile *p, struct waiter *w, uint64_t now,
                                  struct error *why)
{
    bool too_soon;

    w->profile = NULL;
    if (w->request.verb == VERB_LOGIN && w->request.format == FORMAT_DEVICE)
        return want_login(p, w, why);
    if (wants_new(w))
        return want_new(p, w, now, why);

    const struct lifecycle_event event = {
        .type = LIFECYCLE_WANTED,
        .wanted = { .deadline = w->deadline,
                    .min_validity = w->request.min_validity,
                    .rejected = w->request.rejected,
                    .suspected = looks_rejected(p, w, now, &too_soon) || w->renew },
    };
    if (may_go_better(p, now))
        step(p, (struct lifecycle_event){ .type = LIFECYCLE_CHANGED });

    update_policy(p);
    struct lifecycle_actions actions = lifecycle_step(&p->lifecycle, &p->policy, &event, now);
    if (!w->renew && (event.wanted.rejected || event.wanted.suspected || too_soon))
        remember_rejection(p, w, event.wanted.rejected, p->lifecycle.state == LIFECYCLE_ASKING);
    if (actions.verdict == LIFECYCLE_QUEUE)
        enqueue(p, w);
    if (actions.verdict == LIFECYCLE_QUEUE || actions.request || event.wanted.suspected)
        carry_out(p, &actions, now);
    else
        arm_for_use(p);
    switch (actions.verdict) {
    case LIFECYCLE_SERVE:
        p->counts.handouts += !w->inside;
        return PROFILE_TOKEN;
    case LIFECYCLE_QUEUE:
        return PROFILE_QUEUED;
    case LIFECYCLE_TOO_SHORT:
        too_short(p, why);
        return PROFILE_ERROR;
    case LIFECYCLE_FAIL:
        break;
    }
    cause(p, why);
    return PROFILE_ERROR;
}

enum profile_verdict profile_want_guest(struct profile *p, struct waiter *w, uint64_t now,
                                        struct error *why)
{
    w->guest = true;
    w->profile = NULL;
    if (profile_serve_guest(p, &w->request, now))
        return PROFILE_TOKEN;
    if (p->lifecycle.state != LIFECYCLE_ASKING) {
        explain_to_guest(p, &w->request, now, why);
        return PROFILE_ERROR;
    }
    w->profile = p;
    TAILQ_INSERT_TAIL(&p->guests, w, entry);
    arm(p);
    return PROFILE_QUEUED;
}

void profile_forget(struct waiter *w)
{
    struct profile *p = w->profile;

    if (!p)
        return;
    bool by_device = w->by_device;
    dequeue(w);
    if (by_device && TAILQ_EMPTY(&p->login->waiters)) /* nobody has its code before their eyes */
        end_login(p, "");
    arm(p);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* What a person is needed for. */
static enum error_code person_code(const struct profile *p)
{
    return wants_otp(p) && profile_knows_password(p) ? ERROR_OTP_REQUIRED : login_code(p);
}

/* Back to the start: whatever was got or typed is void. Who waits is told why. */
static void forget_all(struct profile *p, const char *reason)
{
    attempt_cancel(p->attempt);
    attempt_forget_secrets(p->attempt);
    p->put_off = false;
    end_login(p, reason);
    holdings_drop(&p->holdings, HOLDING_PASSWORD);
    p->otp = secret_free(p->otp);
    p->with_otp = false;
    p->offered = secret_free(p->offered);
    p->offer_in_hand = false;
    p->forced_at = 0;
    facts_clear(&p->facts);
    set_text(&p->changed, "");
    p->failed_step = (struct step){ "", "" };
    p->complaint.since = 0;
    error_set(&p->error, ERROR_INTERRUPTED, "%s", reason);
    step(p, (struct lifecycle_event){ .type = LIFECYCLE_FORGET, .forget = { needs_person(p) } });
    p->error = (struct error){ ERROR_NONE, "" };
    if (needs_person(p))
        set_no_login(p, person_code(p), "");
    note(p); /* that, and not what they were told who waited: it may end by a crash */
}

void profile_logout(struct profile *p, struct revocation *revocation)
{
    const struct secret *refresh_token = holdings_get(&p->holdings, HOLDING_REFRESH_TOKEN);

    if (revocation && refresh_token)
        revocation_add(revocation, p->config, refresh_token, p->cache, p->cache_length);
    if (p->user) { /* whose name is forgotten, too */
        become(p, p->configured, "somebody said logout");
        p->user = typed_user_forget(p->user, p->shared->store);
    } else {
        forget_all(p, "somebody said logout");
        forget_dependents(p, "somebody said logout of the profile from which its tokens come");
    }
    journal_write(LOG_INFO, p->config->name, "logout", "logged out");
    remember(p, (struct history_entry){ .kind = HISTORY_LOGOUT });
}

static void take_policy(struct profile *p)
{
    p->config_digest = config_keys_digest(p->config);
    enlist(p);
    p->policy = (struct lifecycle_policy){
        .refresh_before = p->config->refresh_before,
        .refresh_before_percent = p->config->refresh_before_percent,
        .keep_fresh = p->config->keep_fresh,
        .use_refresh_token = p->config->use_refresh_token && p->config->grant != GRANT_EXCHANGE,
        .held = profile_is_held(p),
        .used_until = used_by_others_until(p),
        .held_validity = holders_min_validity(p->holders),
    };
}

/* start = with-daemon: as if somebody had asked. */
static void start_with_daemon(struct profile *p)
{
    if (p->config->start_with_daemon && !needs_person(p))
        step(p,
             (struct lifecycle_event){ .type = LIFECYCLE_CHANGED, .changed = { .person = true } });
}

/* Whether what it stands at may be what another configuration mends. */
static bool is_mendable(const struct profile *p)
{
    enum lifecycle_state state = p->lifecycle.state;

    return state == LIFECYCLE_WAITING || state == LIFECYCLE_STOPPED ||
           (state == LIFECYCLE_NEED_LOGIN && !needs_person(p));
}

/* ---- another life ---------------------------------------------------------------------------- */

static bool restore_token(struct profile *p, uint64_t now)
{
    const struct secret *token = token_of(p);
    struct result facts;
    size_t length;
    const void *rest = holdings_rest(&p->holdings, HOLDING_TOKEN, &length);

    if (!token)
        return false;
    if (result_restore(rest, length, token, now, &facts) == 0 &&
        now < facts.sent + facts.lifetime) {
        facts_take(&p->facts, &facts);
        lifecycle_restore_token(&p->lifecycle, &p->policy, facts.sent, facts.lifetime);
        return true;
    }
    holdings_drop(&p->holdings, HOLDING_TOKEN);
    return false;
}

static void restore_password(struct profile *p, uint64_t now)
{
    uint64_t lifetime = p->config->password_lifetime;
    size_t length;
    const void *rest = holdings_rest(&p->holdings, HOLDING_PASSWORD, &length);

    p->typed_until = USEC_INFINITY;
    if (length == sizeof p->typed_until)
        memcpy(&p->typed_until, rest, length);
    if (lifetime != USEC_INFINITY && p->typed_until > now + lifetime)
        p->typed_until = now + lifetime;
    if (p->typed_until <= now || !needs_person(p))
        holdings_drop(&p->holdings, HOLDING_PASSWORD);
}

/* Returns whether it was lost because nobody knows what came of it. */
static bool restore_refresh_token(struct profile *p)
{
    size_t length;

    holdings_rest(&p->holdings, HOLDING_REFRESH_TOKEN, &length);
    if (length > 0)
        holdings_drop(&p->holdings, HOLDING_REFRESH_TOKEN);
    return length > 0;
}

/* Why only a login helps, where an earlier life needed none. */
static void explain_loss(struct profile *p, const struct profile_record *r, bool in_doubt)
{
    bool lost = r->had_password || (r->had_refresh_token && !refresh_token_of(p));
    enum error_code code = person_code(p);

    if (p->lifecycle.state == LIFECYCLE_NEED_LOGIN && !lost && p->error.code == ERROR_NONE)
        error_set(&p->error, code, "%s", "");
    if (p->lifecycle.state != LIFECYCLE_NEED_LOGIN || !lost)
        return;
    if (in_doubt)
        p->loss = "kubetokend ended while the refresh token was under way, and it is not sent "
                  "twice";
    else
        p->loss = r->had_password ? "a restart of kubetokend ended the typed one; "
                                    "keep-over-restart = all keeps it"
                                  : "a restart of kubetokend ended the refresh token; "
                                    "keep-over-restart = all keeps it";
    set_no_login(p, code, p->loss);
    p->lifecycle.failed_at = time_boottime();
    log_change(p, p->lifecycle.failed_at);
}

/* Its refresh token had just been refused when that life ended. */
static void explain_refusal(struct profile *p)
{
    bool told = calls_for_person(p->error.code) || p->error.code == ERROR_SOURCE_LOGIN;

    if (p->lifecycle.state != LIFECYCLE_NEED_LOGIN || told)
        return;
    p->refresh_failed = true;
    set_login_needed(p);
    p->error.code = person_code(p); /* a code may be all that lacks */
}

static void restore_record(struct profile *p, const struct profile_record *r, uint64_t now)
{
    lifecycle_restore(&p->lifecycle, &r->lifecycle, &p->policy, refresh_token_of(p) != NULL, now);
    p->rejection = r->rejection;
    for (size_t i = 0; i < r->n_holders; i++)
        holders_resume(holders_of(p), &r->holders[i]);
    update_policy(p);
    set_text(&p->changed, r->changed);
    p->changed_at = r->changed_at;
    p->failed_step = r->failed_step;
    if (p->lifecycle.state != LIFECYCLE_IDLE)
        p->error = r->error;
    p->lacks_source = p->depends && (p->lifecycle.state == LIFECYCLE_WAITING ||
                                     p->error.code == ERROR_SOURCE_REFUSED);
    explain_refusal(p);
    attempt_restore(p->attempt, &r->note, &r->error, now);
}

/* Takes up what an earlier life knew, into *r. Returns whether there was anything. */
static bool restore(struct profile *p, struct profile_record *r)
{
    uint64_t now = time_boottime();
    size_t length;

    holdings_open(&p->holdings, p->shared->store, p->config);
    const void *noted = holdings_noted(&p->holdings, &length);
    bool known = noted && profile_record_decode(noted, length, now, r) == 0;
    if (known)
        p->otp_need = r->otp_need;
    restore_password(p, now);
    bool in_doubt = restore_refresh_token(p);
    update_policy(p);
    if (known)
        restore_record(p, r, now);
    bool token = restore_token(p, now);
    if (p->lifecycle.failed_at > 0) /* that life has told it */
        p->complaint = (struct complaint){ .trouble = profile_trouble(p),
                                           .code = p->error.code,
                                           .since = p->lifecycle.failed_at };
    explain_loss(p, r, in_doubt);
    return known || token;
}

static void begin(struct profile *p)
{
    struct profile_record r = { .error = { ERROR_NONE, "" } };
    struct lifecycle_actions nothing = { 0 };

    if (!restore(p, &r))
        forget_all(p, "");
    else if (is_mendable(p) && r.configuration != p->config_digest)
        step(p, (struct lifecycle_event){ .type = LIFECYCLE_CHANGED });
    else
        carry_out(p, &nothing, time_boottime());
    if (p->lifecycle.state == LIFECYCLE_IDLE && !token_of(p))
        start_with_daemon(p);
}

static void leave_lists(struct profile *p)
{
    LIST_REMOVE(p, entry);
    if (p->depends)
        LIST_REMOVE(p, dependent);
}

struct profile *profile_new(struct context *shared, const struct profile_config *config)
{
    struct profile *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->shared = shared;
    p->configured = config;
    LIST_INSERT_HEAD(&shared->profiles, p, entry);
    bool types_name = !config->username && config->grant == GRANT_PASSWORD;
    p->user = types_name ? typed_user_restore(shared->store, config) : NULL;
    p->config = p->user ? typed_user_config(p->user) : config;
    TAILQ_INIT(&p->waiters);
    TAILQ_INIT(&p->guests);
    facts_clear(&p->facts);
    take_policy(p);
    lifecycle_init(&p->lifecycle, time_boottime());
    p->attempt = attempt_new(shared, on_sending, on_done, p);
    if (!p->attempt ||
        sd_event_add_time(shared->event, &p->timer, CLOCK_BOOTTIME, 0, 1, on_timer, p) < 0) {
        attempt_free(p->attempt);
        typed_user_free(p->user);
        leave_lists(p);
        free(p);
        return NULL;
    }
    sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
    p->armed_for = USEC_INFINITY;
    begin(p);
    return p;
}

static void destroy(struct profile *p)
{
    struct error gone;

    leave_lists(p);
    error_set(&gone, ERROR_NO_PROFILE, "%s is no longer configured", p->config->name);
    while (!TAILQ_EMPTY(&p->waiters))
        tell(TAILQ_FIRST(&p->waiters), &gone);
    while (!TAILQ_EMPTY(&p->guests))
        tell(TAILQ_FIRST(&p->guests), &gone);
    answer_logins(p, &gone);
    if (p->login)
        device_free(p->login->device);
    free(p->login);
    if (p->in_system_watch)
        system_watch_want(p->shared->system_watch, false);
    file_watch_free(p->watch);
    attempt_free(p->attempt);
    sd_event_source_disable_unref(p->timer);
    holders_free(p->holders);
    holdings_close(&p->holdings);
    secret_free(p->offered);
    secret_free(p->access_token);
    secret_free(p->otp);
    facts_clear(&p->facts);
    free(p->rejection.clients);
    free(p->offer_words);
    free(p->changed);
    free(p->cache);
    typed_user_free(p->user);
    free(p);
}

struct profile *profile_free(struct profile *p)
{
    if (!p)
        return NULL;
    note(p);
    destroy(p);
    return NULL;
}

struct profile *profile_remove(struct profile *p)
{
    if (!p)
        return NULL;
    holdings_wipe(&p->holdings);
    history_forget(p->shared->history, p->config->name);
    attempt_cancel(p->attempt); /* it names the configuration that is the user's */
    device_cancel(device_of(p));
    p->config = p->configured;
    p->user = typed_user_forget(p->user, p->shared->store);
    destroy(p);
    return NULL;
}

static bool same_source(const struct source *a, const struct source *b)
{
    return a->kind == b->kind && secret_equal(a->value, b->value) &&
           (a->text && b->text ? strcmp(a->text, b->text) == 0 : a->text == b->text);
}

/* What is held may have moved, and have left behind what was said of it. */
static void configure_holdings(struct profile *p, bool same_identity)
{
    holdings_configure(&p->holdings, p->config, same_identity);
    if (token_of(p))
        hold_token(p, NULL);
    if (typed_of(p))
        hold_password(p, NULL);
    if (refresh_token_of(p) && p->lifecycle.by_refresh_token && attempt_step(p->attempt))
        mark_in_flight(p);
    attempt_update(p->attempt, p->config, token_of(p), refresh_token_of(p));
    device_configure(device_of(p), p->config);
    note(p);
}

/* Another identity: all that is in hand is void. */
static void become(struct profile *p, const struct profile_config *config, const char *reason)
{
    p->config = config;
    p->watch = file_watch_free(p->watch); /* the paths may be others */
    take_policy(p);
    configure_holdings(p, false);
    p->otp_need = OTP_UNKNOWN;
    attempt_forget(p->attempt);
    forget_all(p, reason);
    forget_dependents(p, "the profile from which its tokens come is of another identity now");
}

static void become_another(struct profile *p)
{
    become(p, p->configured, "the configuration names another identity now");
    p->user = typed_user_forget(p->user, p->shared->store);
    remember(p, (struct history_entry){ .kind = HISTORY_IDENTITY });
    start_with_daemon(p);
}

/* The same identity. A name that stands in the configuration by now is no typed one any more. */
static void go_on(struct profile *p)
{
    bool stays = p->user && !p->configured->username;

    if (stays)
        typed_user_configure(p->user, p->shared->store, p->configured);
    p->config = stays ? typed_user_config(p->user) : p->configured;
    p->watch = file_watch_free(p->watch); /* the paths may be others */
    take_policy(p);
    configure_holdings(p, true);
    if (!stays)
        p->user = typed_user_forget(p->user, p->shared->store);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

void profile_configure(struct profile *p, const struct profile_config *config)
{
    const struct profile_config *old = p->config;
    struct profile_config next = *config;

    if (!next.username)
        next.username = p->user ? old->username : NULL;
    bool identity = !config_keys_same_identity(old, &next);
    bool credential = !same_source(&old->password, &config->password) ||
                      !same_source(&old->client_secret, &config->client_secret) ||
                      strcmp(old->client_auth, config->client_auth) != 0;

    p->configured = config;
    if (!same_text(old->otp_parameter, config->otp_parameter))
        p->otp_need = OTP_UNKNOWN;
    if (!identity)
        go_on(p);
    if (credential)
        attempt_forget_secrets(p->attempt);
    if (identity) {
        become_another(p);
        return;
    }
    if (is_mendable(p) || (credential && p->lifecycle.state == LIFECYCLE_ASKING))
        step(p, (struct lifecycle_event){ .type = LIFECYCLE_CHANGED });
    arm(p);
}

bool profile_has_typed_password(const struct profile *p)
{
    return typed_of(p) != NULL;
}

const struct profile_config *profile_config(const struct profile *p)
{
    return p->config;
}

const struct profile_config *profile_configured(const struct profile *p)
{
    return p->configured;
}

const struct secret *profile_token(const struct profile *p, uint64_t now)
{
    return lifecycle_alive(&p->lifecycle, now) ? token_of(p) : NULL;
}

const struct secret *profile_access_token(const struct profile *p, uint64_t now)
{
    return lifecycle_alive(&p->lifecycle, now) ? p->access_token : NULL;
}

const char *profile_offer_words(const struct profile *p)
{
    return p->offer_words ? p->offer_words : "";
}

const struct error *profile_error(const struct profile *p)
{
    return &p->error;
}

enum profile_trouble profile_trouble(const struct profile *p)
{
    switch (p->lifecycle.state) {
    case LIFECYCLE_STOPPED:
        return PROFILE_REFUSED;
    case LIFECYCLE_NEED_LOGIN:
        return PROFILE_LOGIN_NEEDED;
    case LIFECYCLE_WAITING:
    case LIFECYCLE_ASKING:
        return p->error.code == ERROR_NONE ? PROFILE_WELL : PROFILE_WAITS;
    case LIFECYCLE_IDLE:
        break;
    }
    return PROFILE_WELL;
}

const struct step *profile_failed_step(const struct profile *p)
{
    return &p->failed_step;
}

const struct step *profile_step(const struct profile *p)
{
    return attempt_step(p->attempt);
}

void profile_words(const struct profile *p, uint64_t now, char *out, size_t size)
{
    const struct lifecycle *lc = &p->lifecycle;
    char span[24];

    if (lc->state == LIFECYCLE_ASKING) {
        attempt_words(p->attempt, out, size);
        return;
    }
    time_format_duration(span, sizeof span,
                         (lc->retry_at > now ? lc->retry_at - now : 0) + USEC_PER_SEC - 1);
    snprintf(out, size, "trying again in %s: %s%s%s", span, error_sentence(p->error.code),
             *p->error.detail ? ": " : "", p->error.detail);
}

void profile_login_words(const struct profile *p, uint64_t now, char *out, size_t size)
{
    device_words(device_of(p), now, out, size);
}

const struct device_code *profile_login_code(const struct profile *p)
{
    return device_code(device_of(p));
}

struct profile_look profile_look(const struct profile *p, uint64_t now)
{
    const struct lifecycle *lc = &p->lifecycle;
    uint64_t next = lifecycle_next(lc, &p->policy);
    struct profile_look look = { .state = lifecycle_state_name(lc->state),
                                 .idle = lc->state == LIFECYCLE_IDLE,
                                 .fading = lifecycle_fading(lc, now),
                                 .since = lc->since,
                                 .expires_at = lifecycle_alive(lc, now) ? lc->expires_at : 0,
                                 .next = next == USEC_INFINITY ? 0 : next };

    if (device_code(device_of(p)))
        look.login_ends = device_code(device_of(p))->ends_at;
    if (lc->state == LIFECYCLE_ASKING)
        look.next_is = PROFILE_ASKING;
    else if (look.next > 0)
        look.next_is = lc->state == LIFECYCLE_WAITING ? PROFILE_RETRY : PROFILE_RENEWAL;
    return look;
}

uint64_t profile_advertised_expiry(const struct profile *p, const struct request *request,
                                   uint64_t now)
{
    const struct lifecycle *lc = &p->lifecycle;
    uint64_t sooner = rehearsed_expiry(request, now);
    /* Within seconds of now, client-go would run the plugin on every request. */
    uint64_t told = lc->advertised_expiry > now + 10 * USEC_PER_SEC ? lc->advertised_expiry
                                                                    : lc->expires_at;

    return sooner < told ? sooner : told;
}

const char *profile_changed(const struct profile *p, uint64_t *ret_when)
{
    *ret_when = p->changed_at;
    return p->changed ? p->changed : "";
}

void profile_oddities(const struct profile *p, struct error *ret)
{
    attempt_oddities(p->attempt, p->config, ret);
}

bool profile_holds_refresh_token(const struct profile *p, uint64_t *ret_since)
{
    bool held = refresh_token_of(p) != NULL;

    *ret_since = held ? p->refresh_since : 0;
    return held;
}

struct profile_counts profile_counts(const struct profile *p)
{
    return p->counts;
}

const struct facts *profile_facts(const struct profile *p)
{
    return &p->facts;
}

void profile_user(const struct profile *p, char *out, size_t size)
{
    const struct profile_config *config = p->config;
    const struct profile *source = p->depends ? profile_named(p->shared, config->from) : NULL;
    const char *name = source ? source->config->username : config->username;

    if (config->username_claim && *p->facts.user)
        kube_user_name(out, size, config->username_claim, config->username_prefix, config->issuer,
                       p->facts.user);
    else if (name)
        snprintf(out, size, "%s", name);
    else /* nobody's is configured: whose the token is */
        snprintf(out, size, "%s", *p->facts.email ? p->facts.email : p->facts.sub);
}

bool profile_wants_otp(const struct profile *p)
{
    return wants_otp(p);
}

bool profile_knows_password(const struct profile *p)
{
    return typed_of(p) || p->config->password.kind != SOURCE_NONE;
}
