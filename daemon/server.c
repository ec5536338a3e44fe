#define _GNU_SOURCE
#include "daemon/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/owner.h"
#include "common/container.h"
#include "common/time.h"
#include "daemon/inspection.h"
#include "daemon/revocation.h"
#include "daemon/journal.h"
#include "daemon/memory.h"
#include "daemon/offspring.h"
#include "daemon/poll_set.h"
#include "daemon/render.h"
#include "daemon/round.h"
#include "daemon/share.h"
#include "daemon/watch.h"
#include "daemon/who_asks.h"

enum {
    CLIENTS_MAX = 4096,
    WATCHERS_MAX = 64, /* each is work at every change */
    ACCEPTS_A_TURN = 64,
    GATHERED_MAX = 16,    /* of them at once */
    REQUESTS_A_TURN = 16, /* of those that came behind others: who asks once waits for no more */
    CROWD = 256,          /* whose memory is given back once most are gone */
    LOOKS_A_TURN = 64,    /* for one that makes room */
    RESERVE_MAX = 64,     /* descriptors that no client gets; of a low limit a quarter */
    TOKEN_AT_ONCE_MAX = 64 * 1024, /* a new socket's buffer takes that with its frame */
};

/* As chown(2) has it: no peer's uid. */
static const uid_t nobody = (uid_t)-1;
/* Whoever comes so soon after others is not the last. */
static const uint64_t crowded = 100;
/* For the rest of a request whose first byte has come, and for an answer to be read. */
static const uint64_t patience = 10 * USEC_PER_SEC;
/* The daemon answers that much before the client would give up, to say the cause. */
static const uint64_t headstart = 500 * USEC_PER_MSEC;
/* Until another try to accept: where no peer is what takes the room, nobody tells when it is over.
 */
static const uint64_t accept_again = 1 * USEC_PER_SEC;

/* A peer whose request was not answered at once. One that asked for a token that is there
 * never becomes a client. waiter.secret holds what has come of the block behind a request. `line`,
 * what has come and was not taken yet, is a secret too: such a block may be among it. */
struct client {
    struct server *server;
    struct share *share; /* by which it came; NULL: it is at home */
    int fd;
    uint32_t events; /* that are asked for */
    struct waiter waiter;
    struct inspection *inspection; /* under way for it */
    struct revocation *revocation; /* the same; and what its answer will be */
    char *logged_out;
    struct round *round;          /* the same */
    struct watch *watch;          /* it gets an answer at each change, and asks nothing more */
    const struct profile *handed; /* its token is in the answer that is being sent */
    struct history_entry who;     /* asks; looked at because it has to wait. at is 0: not yet */
    struct history_view view;     /* following: what it was sent of the log */
    bool following;
    struct secret *unsent;        /* the rest of an answer, */
    char *unsent_text;            /* or of one without a token, which needs no locked memory */
    const char *unsent_end;       /* of either, */
    size_t left;                  /* and so much before it is still to be sent */
    struct status_parts *parts;   /* what of the answer is to be rendered yet */
    struct secret *line;          /* NULL: nothing of it */
    uint64_t deadline;            /* 0: nothing is due from the peer */
    bool close_after;             /* the answer */
    bool no_more;                 /* the peer has shut down its side; it still reads */
    bool held;                    /* waiter.request is parsed and its block is not there yet */
    bool answered;                /* once at least */
    bool draining;                /* it sent nonsense: told so, and no longer listened to */
    bool by_root;                 /* see is_by_root() */
    bool deaf;                    /* a wait line found no room: it is told no more */
    char told[PROTOCOL_WAIT_MAX]; /* the last wait line, with its newline */
    TAILQ_ENTRY(client) entry;    /* the longest-silent first */
    bool has_turn;                /* its next request has come, and has yet to be looked at */
    TAILQ_ENTRY(client) turn;
};

TAILQ_HEAD(clients, client);

struct server {
    sd_event *event;
    int listener;
    sd_event_source *source, *timer;
    struct poll_set *peers;    /* the clients' descriptors */
    sd_event_source *again;    /* on while accepting is paused */
    int reserve;               /* from that number on descriptors are none for clients, */
    size_t least;              /* unless there are so few: it is not they who have the others */
    bool paused;               /* nobody is accepted */
    sd_event_source *progress; /* on while somebody may have to be told what it waits for */
    sd_event_source *change;   /* on while there may be something to tell those who watch */
    sd_event_source *tick;     /* on while somebody watches and is to be told by itself */
    sd_event_source *turn;     /* on while there are turns: a timer, since a deferred source is
                                * always dispatched before all others */
    struct who_asks *who_asks;
    struct profiles *profiles;
    struct shares *shares;
    void (*stop)(void *context);
    void *stop_context;
    struct clients clients;
    struct clients turns; /* those whose next request is to be dealt with, in turn */
    size_t n_clients, n_watchers, n_followers, n_guests;
    size_t most_clients;  /* since there were none, or seven of eight have gone */
    bool crowded;         /* there was a crowd since there were none */
    struct client *spare; /* for the next one, so that its answer waits for no memory; or NULL */
    uint64_t asked;       /* when a peer last came or asked */
    uint64_t welcomed;    /* when the last that came were dealt with */
    uid_t own;            /* this user's */
    uid_t known;          /* of a peer that was let in: the next one's, most likely */
    struct secret *first; /* what a new connection brought: a password may be among it */
};

static void settle(struct client *c);

/* ---- clients --------------------------------------------------------------------------------- */

/* There may be room again: somebody has gone, or has been answered. */
static void resume(struct server *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    sd_event_source_set_enabled(s->source, SD_EVENT_ON);
    sd_event_source_set_enabled(s->again, SD_EVENT_OFF);
}

/* When the first of those who watch is due by itself. One that has not read its last answer is told
 * when it has. */
static void arm_tick(struct server *s)
{
    uint64_t first = USEC_INFINITY;

    for (struct client *c = TAILQ_FIRST(&s->clients); c; c = TAILQ_NEXT(c, entry))
        if (c->watch && c->left == 0 && watch_next(c->watch) < first)
            first = watch_next(c->watch);
    if (first != USEC_INFINITY)
        sd_event_source_set_time(s->tick, first);
    sd_event_source_set_enabled(s->tick, first == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static void stop_watching(struct client *c)
{
    if (!c->watch)
        return;
    c->watch = watch_free(c->watch);
    c->server->n_watchers--;
    arm_tick(c->server);
}

static void set_turn(struct client *c, bool has_turn)
{
    struct server *s = c->server;

    if (has_turn && !c->has_turn)
        TAILQ_INSERT_TAIL(&s->turns, c, turn);
    else if (!has_turn && c->has_turn)
        TAILQ_REMOVE(&s->turns, c, turn);
    c->has_turn = has_turn;
    if (has_turn)
        sd_event_source_set_enabled(s->turn, SD_EVENT_ONESHOT);
}

/* A client is gone. glibc by itself keeps what lies below anything that is in use, and some of a
 * crowd may stay for days. */
static void disperse(struct server *s)
{
    s->crowded |= s->most_clients >= CROWD;
    if (s->n_clients > s->most_clients / 8)
        return;
    if (s->crowded)
        memory_give_back();
    s->most_clients = s->n_clients;
    s->crowded = s->crowded && s->n_clients > 0;
}

static void client_free(struct client *c)
{
    struct server *s = c->server;

    profile_forget(&c->waiter);
    inspection_free(c->inspection);
    revocation_leave(c->revocation);
    free(c->logged_out);
    stop_watching(c);
    set_turn(c, false);
    round_free(c->round);
    poll_set_remove(s->peers, c->fd, c);
    close(c->fd);
    TAILQ_REMOVE(&s->clients, c, entry);
    s->n_clients--;
    if (c->share) {
        share_count_peer(c->share, -1);
        s->n_guests--;
    }
    resume(s);
    if (c->following && --s->n_followers == 0)
        who_asks_tell(s->who_asks, false);
    secret_free(c->unsent);
    free(c->unsent_text);
    free(c->parts);
    secret_free(c->waiter.secret);
    secret_free(c->line);
    free(c);
    if (!s->spare)
        s->spare = calloc(1, sizeof *s->spare);
    disperse(s);
}

/* The peer did something: it goes to the end of the line. */
static void touch(struct client *c)
{
    TAILQ_REMOVE(&c->server->clients, c, entry);
    TAILQ_INSERT_TAIL(&c->server->clients, c, entry);
}

/* Its answer is still to come. */
static bool is_owed(const struct client *c)
{
    return c->waiter.profile != NULL || c->inspection || c->round || c->revocation;
}

static bool waiting(const struct client *c)
{
    return is_owed(c) || c->watch || c->following;
}

/* Whether something of an answer is to be sent before anything else. */
static bool is_writing(const struct client *c)
{
    return c->left > 0 || c->parts;
}

static bool has_line(const struct client *c)
{
    return c->line && memchr(secret_peek(c->line), '\n', secret_length(c->line));
}

/* Whether a request can be dealt with, and there is one. */
static bool has_request(const struct client *c)
{
    if (waiting(c) || is_writing(c) || c->draining)
        return false;
    if (c->waiter.secret) /* whose line was taken before */
        return !c->held;
    return secret_length(c->line) == PROTOCOL_REQUEST_MAX || has_line(c);
}

/* Input is asked for only when a request and its answer can be dealt with. */
static void update(struct client *c)
{
    bool more = has_request(c);
    uint32_t events = is_writing(c) ? EPOLLOUT : waiting(c) || more || c->no_more ? 0 : EPOLLIN;
    bool due = is_writing(c) || c->draining || ((c->line || c->held) && !waiting(c) && !more);
    set_turn(c, more);
    if (c->following) /* who reads slowly is sent no more meanwhile, and misses some */
        due = false;

    if (!is_owed(c))
        resume(c->server);
    /* A peer that is gone shows in any case. */
    bool lost = events != c->events && poll_set_change(c->server->peers, c->fd, events, c) < 0;
    if (!lost)
        c->events = events;
    due |= lost; /* who finds it closed tries again, and is not left without a word */
    if (lost)
        c->deadline = time_boottime();
    else if (!due)
        c->deadline = 0;
    else if (c->deadline == 0) /* a peer that drips gets no more time than one that is silent */
        c->deadline = time_boottime() + patience;
    if (due && (lost || sd_event_source_get_enabled(c->server->timer, NULL) == SD_EVENT_OFF)) {
        sd_event_source_set_time(c->server->timer, c->deadline);
        sd_event_source_set_enabled(c->server->timer, SD_EVENT_ONESHOT);
    }
}

static int on_patience(sd_event_source *source, uint64_t usec, void *context)
{
    struct server *s = context;
    struct client *c, *next;
    uint64_t now = time_boottime(), soonest = USEC_INFINITY;

    (void)usec;
    for (c = TAILQ_FIRST(&s->clients); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->deadline == 0)
            continue;
        if (c->deadline <= now)
            client_free(c);
        else if (c->deadline < soonest)
            soonest = c->deadline;
    }
    if (soonest != USEC_INFINITY) {
        sd_event_source_set_time(source, soonest);
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static ssize_t transmit(int fd, struct rendered *r)
{
    struct msghdr message = { .msg_iov = r->parts, .msg_iovlen = r->n_parts };
    ssize_t n;

    do
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 && errno == EAGAIN ? 0 : n;
}

/* Copies what is behind the first so many bytes. */
static void copy_rest(char *to, const struct rendered *r, size_t done)
{
    for (size_t i = 0; i < r->n_parts; i++) {
        size_t length = r->parts[i].iov_len, skip = done < length ? done : length;
        to = mempcpy(to, (const char *)r->parts[i].iov_base + skip, length - skip);
        done -= skip;
    }
}

/* Keeps what did not fit into the socket's buffer. */
static bool keep_rest(struct client *c, const struct rendered *r, size_t done)
{
    size_t left = r->total - done;
    struct secret *secret = r->has_token ? secret_new(left) : NULL;
    char *text = r->has_token ? NULL : malloc(left);

    if (!secret && !text)
        return false;
    copy_rest(secret ? secret_bytes(secret) : text, r, done);
    if (secret)
        secret_set_length(secret, left);
    c->unsent = secret;
    c->unsent_text = text;
    c->unsent_end = (secret ? secret_peek(secret) : text) + left;
    c->left = left;
    return true;
}

static void drop_rest(struct client *c)
{
    c->unsent = secret_free(c->unsent);
    free(c->unsent_text);
    c->unsent_text = NULL;
    c->left = 0;
}

static void drop_parts(struct client *c)
{
    free(c->parts);
    c->parts = NULL;
}

/* For the log, once the answer is out. e.at is 0: nobody has looked at who asks. Where client-go
 * does that is soon enough once nothing else is to be done; else the client is about to end, and it
 * alone knows who wants the token. */
static void note_hand_out(const struct server *s, struct share *share, const struct profile *p,
                          const struct request *request, struct history_entry e)
{
    const struct facts *facts = profile_facts(p);

    if (share) {
        share_count_handout(share);
        e.text = share_name(share);
    }

    if (e.at == 0) {
        e.pid = request->client_go;
        e.unlooked = request->client_go > 0;
    }
    if (e.at == 0 && !e.unlooked)
        who_asks_find(s->who_asks, e.peer, 0, &e);
    e.kind = HISTORY_HAND_OUT;
    e.at = time_boottime();
    e.token = facts->sent;
    e.expires_at = facts->sent + facts->lifetime;
    history_add(profiles_context(s->profiles)->history, profile_config(p)->name, &e);
}

static void answer_lack(struct rendered *r, const struct profiles *profiles)
{
    struct error why;

    error_set(&why, ERROR_INTERNAL, "no memory for the answer");
    render_error(r, profiles, NULL, &why);
}

/* Sends the answer to a client. False: the client is gone. */
static bool respond(struct client *c, struct rendered *r)
{
    if (memory_lacked()) { /* half of it is none */
        render_clear(r);
        answer_lack(r, c->server->profiles);
        c->handed = NULL;
        drop_parts(c);
    }
    ssize_t n = transmit(c->fd, r);
    bool whole = n == (ssize_t)r->total;

    c->answered = true;
    if (c->handed && n >= 0)
        note_hand_out(c->server, c->share, c->handed, &c->waiter.request, c->who);
    c->handed = NULL;
    if (n < 0 || (whole && c->close_after && !c->parts) ||
        (!whole && !keep_rest(c, r, (size_t)n))) {
        client_free(c);
        return false;
    }
    return true;
}

static int flush(struct client *c)
{
    ssize_t n = c->left == 0
                    ? 0
                    : send(c->fd, c->unsent_end - c->left, c->left, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        return -1;
    c->left -= (size_t)n;
    if (c->left > 0)
        return 0;
    drop_rest(c);
    c->deadline = 0; /* what is due next has a time of its own */
    if (c->following)
        who_asks_tell(c->server->who_asks, true); /* there may be more by now */
    if (c->draining)
        shutdown(c->fd, SHUT_WR);
    return c->close_after && !c->parts ? -1 : 0;
}

/* ---- wait lines ------------------------------------------------------------------------------ */

/* Tells a client that asked for it what it waits for, if that is another thing than it was told
 * last. Never waits for the peer, and frees nobody. */
static void say(struct client *c)
{
    char line[PROTOCOL_WAIT_MAX], text[1024];

    if (!c->waiter.request.tell || !waiting(c) || c->watch || c->deaf)
        return;
    if (c->inspection)
        inspection_words(c->inspection, text, sizeof text);
    else if (c->round)
        round_words(c->round, time_boottime(), text, sizeof text);
    else if (c->revocation)
        revocation_words(c->revocation, text, sizeof text);
    else if (c->waiter.by_device)
        profile_login_words(c->waiter.profile, time_boottime(), text, sizeof text);
    else
        profile_words(c->waiter.profile, time_boottime(), text, sizeof text);
    size_t length = wait_line(line, text);
    if (memcmp(line, c->told, length) == 0) /* with its newline: neither begins the other */
        return;
    memcpy(c->told, line, length);
    ssize_t n = send(c->fd, line, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    c->deaf = n != (ssize_t)length;
    if (n > 0 && c->deaf) /* half a line would run into the answer; the peer tries again */
        shutdown(c->fd, SHUT_RDWR);
}

/* Sends what a person needs to confirm a login, as a part of the answer to come: a word and its
 * value a line. As say(): who does not read what fits any socket's buffer is lost. */
static void on_shown(struct waiter *waiter, struct profile *profile)
{
    struct client *c = container_of(waiter, struct client, waiter);
    const struct device_code *code = profile_login_code(profile);
    char text[2 * RESULT_URI_MAX + RESULT_USER_CODE_MAX + 256], header[PROTOCOL_HEADER_MAX];
    uint64_t now = time_boottime(), left = code->ends_at > now ? code->ends_at - now : 0;
    struct answer part = { .part = true };

    part.out = (size_t)snprintf(
        text, sizeof text, "user-code %s\nverification-uri %s\n%s%s%sexpires-in %llu\n",
        code->user_code, code->page, *code->whole_page ? "verification-uri-complete " : "",
        code->whole_page, *code->whole_page ? "\n" : "",
        (unsigned long long)((left + USEC_PER_SEC - 1) / USEC_PER_SEC));
    struct iovec parts[] = { { header, answer_header(header, &part) }, { text, part.out } };
    const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    size_t whole = parts[0].iov_len + parts[1].iov_len;
    if (!c->deaf && sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)whole) {
        c->deaf = true;
        shutdown(c->fd, SHUT_RDWR);
    }
    explicit_bzero(text, sizeof text);
}

static int on_progress(sd_event_source *source, void *context)
{
    struct server *s = context;

    (void)source;
    for (struct client *c = TAILQ_FIRST(&s->clients); c; c = TAILQ_NEXT(c, entry))
        say(c);
    return 0;
}

/* Once this turn of the loop is over: much may change in it. */
static void progress(void *context)
{
    struct server *s = context;

    if (s->n_clients > 0)
        sd_event_source_set_enabled(s->progress, SD_EVENT_ONESHOT);
}

/* ---- those who watch ------------------------------------------------------------------------- */

/* The client may be gone then. */
static void tell_watcher(struct client *c)
{
    struct rendered r = { 0 };
    bool alive = true;

    if (c->left == 0 && watch_answer(c->watch, &r, time_boottime())) {
        c->close_after = watch_is_over(c->watch);
        alive = respond(c, &r);
    }
    render_clear(&r);
    if (alive)
        update(c);
}

static void tell_watchers(struct server *s)
{
    struct client *c, *next;

    for (c = TAILQ_FIRST(&s->clients); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->watch)
            tell_watcher(c);
    }
    arm_tick(s);
}

/* It has read what was left, and knows nothing of what came meanwhile. */
static void catch_up(struct client *c)
{
    struct server *s = c->server;

    c->deadline = 0; /* that of the next answer is a time of its own */
    tell_watcher(c);
    arm_tick(s);
}

static int on_change(sd_event_source *source, void *context)
{
    (void)source;
    tell_watchers(context);
    return 0;
}

/* A table looks at the files as `status` does. */
static int on_tick(sd_event_source *source, uint64_t usec, void *context)
{
    struct server *s = context;
    bool any_table = false;

    (void)source, (void)usec;
    for (struct client *c = TAILQ_FIRST(&s->clients); c && !any_table; c = TAILQ_NEXT(c, entry))
        any_table = c->watch && c->waiter.request.format == FORMAT_TEXT;
    if (any_table)
        profiles_take(s->profiles);
    tell_watchers(s);
    return 0;
}

/* Once this turn of the loop is over, as with progress(). */
static void changed(void *context)
{
    struct server *s = context;

    if (s->n_watchers > 0)
        sd_event_source_set_enabled(s->change, SD_EVENT_ONESHOT);
}

/* The first answer; those behind it come by tell_watcher(). */
static void start_watching(struct client *c, struct rendered *r, uint64_t now)
{
    struct server *s = c->server;
    struct error why = { ERROR_BUSY, "" };

    if (s->n_watchers < WATCHERS_MAX)
        c->watch = watch_new(s->profiles, &c->waiter.request);
    if (!c->watch) {
        error_set(&why, ERROR_BUSY, "%d watch already", WATCHERS_MAX);
        render_error(r, s->profiles, NULL, &why);
        return;
    }
    s->n_watchers++;
    watch_answer(c->watch, r, now);
    changed(s); /* has the tick armed */
}

/* ---- requests -------------------------------------------------------------------------------- */

/* A file that has changed since may be what mends it. */
static void answer_failure(struct server *s, struct rendered *r, const char *profile,
                           const struct error *why)
{
    profiles_look(s->profiles);
    render_failure(r, s->profiles, profile, why);
}

static void answer_find_error(struct server *s, struct rendered *r, const struct request *request,
                              const struct error *why)
{
    answer_failure(
        s, r, why->code == ERROR_NO_PROFILE || !*request->profile ? NULL : request->profile, why);
}

static void answer_reload(struct server *s, struct rendered *r)
{
    struct error why = { ERROR_CONFIG, "" };
    char text[64];
    size_t n;

    struct notify *notify = profiles_context(s->profiles)->notify;
    notify_reloading(notify); /* this is ExecReload= */
    bool good = profiles_reload(s->profiles);
    notify_ready(notify);
    if (!good) {
        why.code = profiles_report(s->profiles)->code;
        render_error(r, s->profiles, NULL, &why);
        return;
    }
    profiles_list(s->profiles, &n);
    snprintf(text, sizeof text, "%zu profile%s\n", n, n == 1 ? "" : "s");
    render_text(r, text);
}

/* What else than the name who is going to log in needs to know, a line each: "ask" for the user's,
 * with the one that was typed last; what takes a password's place; whether a "password" is at hand,
 * and an "otp" wanted. */
static void login_lines(const struct profile *profile, const struct request *request, char *out,
                        size_t size)
{
    const struct profile_config *config = profile_config(profile);
    bool by_password = config->grant == GRANT_PASSWORD;
    bool asked = request->with_user && by_password && !profile_configured(profile)->username;
    bool by_token = request->with_user && config->grant == GRANT_REFRESH_TOKEN;
    bool by_device = request->with_user && config->grant == GRANT_DEVICE;
    bool with_otp = request->with_otp && by_password;

    snprintf(out, size, "%s%s%s%s%s%s%s%s", asked ? "ask" : "",
             asked && config->username ? " " : "",
             asked && config->username ? config->username : "", asked ? "\n" : "",
             by_token ? "refresh-token\n" : "", by_device ? "device\n" : "",
             with_otp && profile_knows_password(profile) ? "password\n" : "",
             with_otp && profile_wants_otp(profile) ? "otp\n" : "");
}

/* The name; and to who is going to log in and knows of them some lines more. */
static void answer_profile(struct rendered *r, const struct profile *profile,
                           const struct request *request)
{
    char lines[PROTOCOL_USER_MAX + 48], text[PROTOCOL_NAME_MAX + sizeof lines + 2];

    login_lines(profile, request, lines, sizeof lines);
    snprintf(text, sizeof text, "%s\n%s", profile_config(profile)->name, lines);
    render_text(r, text);
}

static void answer_stop(struct server *s, struct rendered *r)
{
    struct error why = { ERROR_BY_SYSTEMD, "" };

    if (!s->stop) {
        render_error(r, s->profiles, NULL, &why);
        return;
    }
    s->stop(s->stop_context);
    render_forgotten(r, s->profiles);
}

static void answer_unshare(struct server *s, struct rendered *r, const struct request *request)
{
    struct error why;

    if (share_end(s->shares, request->share, &why) < 0)
        render_error(r, s->profiles, NULL, &why);
    else
        render_text(r, "");
}

/* Whether no configuration is in force, which metrics say in their own way. Who asks for names is a
 * shell that completes a word: what is new in the files is not taken for it, which could send a
 * login (start = with-daemon). */
static bool is_without_any(struct server *s, const struct request *request, struct error *why)
{
    size_t n;

    if (request->format == FORMAT_METRICS)
        return false;
    profiles_list(s->profiles, &n);
    return (n == 0 || request->format != FORMAT_NAME) && !profiles_find(s->profiles, "", why) &&
           why->code != ERROR_NO_DEFAULT;
}

/* What is rendered bit by bit as the peer reads. Of a lack of memory respond() tells. */
static void start_parts(struct client *c, struct rendered *r, uint64_t now)
{
    c->parts = status_parts_new(c->server->profiles, NULL, &c->waiter.request, now);
    if (!c->parts)
        memory_note_lack();
    if (c->parts && !render_status_part(r, c->parts, now))
        drop_parts(c);
}

/* Of one profile, or of all. */
static void answer_status(struct client *c, const struct profile *only, struct rendered *r,
                          uint64_t now)
{
    const struct request *request = &c->waiter.request;
    bool is_long = request->format == FORMAT_TEXT || request->format == FORMAT_JSON ||
                   request->format == FORMAT_NAME;

    if (request->verb == VERB_WATCH)
        start_watching(c, r, now);
    else if (request->parts && is_long && !only)
        start_parts(c, r, now);
    else
        render_status(r, c->server->profiles, only, request, now);
}

/* Requests about the daemon, not about one profile. */
static bool handle_general(struct client *c, struct rendered *r, uint64_t now)
{
    struct server *s = c->server;
    const struct request *request = &c->waiter.request;
    struct error why;

    switch (request->verb) {
    case VERB_VERSION:
        render_text(r, "kubetokend " KUBETOKEN_VERSION " protocol " PROTOCOL_VERSION "\n");
        return true;
    case VERB_RELOAD:
        answer_reload(s, r);
        return true;
    case VERB_STOP:
        answer_stop(s, r);
        return true;
    case VERB_UNSHARE:
        answer_unshare(s, r, request);
        return true;
    case VERB_STATUS:
    case VERB_WATCH:
        if (*request->profile)
            return false;
        if (request->format != FORMAT_METRICS && is_without_any(s, request, &why))
            answer_find_error(s, r, request, &why);
        else
            answer_status(c, NULL, r, now);
        return true;
    default:
        return false;
    }
}

/* For as long as the process that asks runs, which is going to be another program. Returns 0, or -1
 * with *why. */
static int hold(const struct client *c, struct profile *profile, struct error *why)
{
    struct pollfd p = { .fd = c->fd };
    int pidfd = (int)syscall(SYS_pidfd_open, c->waiter.peer, 0);

    if (pidfd >= 0 && (poll(&p, 1, 0) < 0 || (p.revents & POLLHUP))) {
        close(pidfd); /* it is gone, and the pid may be another's */
        pidfd = -1;
    }
    if (pidfd >= 0)
        return profile_hold(profile, pidfd, c->waiter.peer, c->waiter.request.min_validity, why);
    error_set(why, ERROR_INTERNAL, "the process that asks cannot be seen");
    return -1;
}

/* Its path for programs, and its end for people. Returns as hold(). */
static int open_share(const struct client *c, const struct profile *profile, struct rendered *r,
                      uint64_t now, struct error *why)
{
    const struct share *share = share_open(c->server->shares, &c->waiter.request, profile, now,
                                           why);
    char path[PATHS_SOCKET_MAX + 2], words[256], clock[HISTORY_CLOCK_SIZE];

    if (!share)
        return -1;
    snprintf(path, sizeof path, "%s\n", share_path(share));
    snprintf(words, sizeof words, "kubetoken: %s: the share %s is open until %s\n",
             share_profile(share), share_name(share), history_clock(clock, share_ends(share), now));
    render_both(r, path, words, ERROR_NONE);
    return 0;
}

/* By what: a refresh token that was given may be none that the provider takes. */
static void render_login(struct rendered *r, const struct profile *profile,
                         const struct request *request)
{
    const char *name = profile_config(profile)->name, *words = profile_offer_words(profile);
    char text[PROTOCOL_NAME_MAX + PROFILE_USER_MAX + ERROR_DETAIL_MAX + 64];
    char user[PROFILE_USER_MAX];

    profile_user(profile, user, sizeof user);
    if (request->format == FORMAT_DEVICE && *user)
        snprintf(text, sizeof text, "%s: logged in as %s\n", name, user);
    else if (request->format == FORMAT_REFRESH_TOKEN && *words)
        snprintf(text, sizeof text,
                 "%s: logged in by password: the refresh token was not taken: %s\n", name, words);
    else
        snprintf(text, sizeof text, "%s: logged in\n", name);
    render_text(r, text);
}

/* What came of a request for a token. */
static void render_outcome(struct client *c, struct profile *profile, const struct error *why,
                           struct rendered *r, uint64_t now)
{
    const struct request *request = &c->waiter.request;
    const char *name = profile_config(profile)->name;
    char text[PROTOCOL_NAME_MAX + 32];
    struct error unheld;

    if (!why && request->verb == VERB_HOLD && hold(c, profile, &unheld) < 0)
        why = &unheld;
    if (!why && request->verb == VERB_SHARE && open_share(c, profile, r, now, &unheld) < 0)
        why = &unheld;
    if (why && c->share) {
        render_error(r, c->server->profiles, NULL, why); /* what the files say is the home's own */
    } else if (why) {
        answer_failure(c->server, r, name, why);
    } else if (request->verb == VERB_LOGIN) {
        render_login(r, profile, request);
    } else if (request->verb == VERB_REFRESH) {
        snprintf(text, sizeof text, "%s: a new token\n", name);
        render_text(r, text);
    } else if (request->verb == VERB_SHARE) {
        return;                                  /* rendered already */
    } else if (request->format == FORMAT_TEXT) { /* held, and that is all */
        render_text(r, "");
    } else {
        render_token(r, profile, request, now);
        c->handed = profile;
    }
}

/* ---- the log --------------------------------------------------------------------------------- */

/* log, follow, why: without a name of all profiles. False: it follows from now on. */
static bool tell_history(struct client *c, struct rendered *r, uint64_t now)
{
    const struct request *request = &c->waiter.request;
    struct profiles *all = c->server->profiles;
    const struct profile *only = NULL;
    struct error why;

    if (*request->profile && !(only = profiles_find(all, request->profile, &why))) {
        answer_find_error(c->server, r, request, &why);
        return true;
    }
    who_asks_settle(c->server->who_asks);
    if (request->verb == VERB_WHY) {
        render_why(r, all, only, request, now);
        return true;
    }
    c->view = render_view(all, only, request);
    c->view.profile = only ? request->profile : NULL; /* it may be configured no more one day */
    render_log(r, all, &c->view, now);
    if (request->verb == VERB_FOLLOW) {
        c->following = true;
        c->server->n_followers++;
        who_asks_tell(c->server->who_asks, true);
        c->close_after = false;
    }
    return true;
}

/* What has come since it was sent something last. */
static void go_on(struct client *c)
{
    const struct history *history = profiles_context(c->server->profiles)->history;
    struct rendered r;

    if (!c->following || c->left > 0 || !history_view_waits(&c->view, history))
        return;
    render_log(&r, c->server->profiles, &c->view, time_boottime());
    if (respond(c, &r))
        update(c);
    render_clear(&r);
}

/* Something was added to the history. */
static void on_history(void *context)
{
    struct server *s = context;
    struct client *c, *next;

    for (c = TAILQ_FIRST(&s->clients); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        go_on(c);
    }
}

static void on_ready(struct waiter *waiter, struct profile *profile, const struct error *why);

/* How long the client's request may take. */
static uint64_t wait_of(const struct request *request)
{
    return request->timeout > 2 * headstart ? request->timeout - headstart : request->timeout / 2;
}

static void on_report(void *context, const char *report, const struct error *why)
{
    struct client *c = context;
    struct rendered r = { 0 };

    if (report)
        render_report(&r, report, why->code);
    else
        answer_failure(c->server, &r, NULL, why);
    c->inspection = inspection_free(c->inspection);
    c->waiter.secret = secret_free(c->waiter.secret); /* or it would be a request once more */
    touch(c);                                         /* it could not but be silent */
    if (respond(c, &r))
        settle(c);
    render_clear(&r);
}

static void on_round(void *context, const struct round_end *end)
{
    struct client *c = context;
    struct profiles *profiles = c->server->profiles;
    struct rendered r = { 0 };
    char *errors = NULL;

    profiles_look(profiles);
    const char *notice = *end->errors ? config_change_notice(profiles_change(profiles)) : "";
    if (*notice && asprintf(&errors, "%skubetoken: %s\n", end->errors, notice) < 0)
        errors = NULL;
    render_both(&r, end->tokens, errors ? errors : end->errors, end->code);
    free(errors);
    c->round = round_free(c->round);
    touch(c); /* it could not but be silent */
    if (respond(c, &r))
        settle(c);
    render_clear(&r);
}

static void on_revoked(void *context, const char *failures)
{
    struct client *c = context;
    struct rendered r = { 0 };

    render_both(&r, c->logged_out ? c->logged_out : "", failures, ERROR_NONE);
    c->revocation = NULL;
    free(c->logged_out);
    c->logged_out = NULL;
    touch(c); /* it could not but be silent */
    if (respond(c, &r))
        settle(c);
    render_clear(&r);
}

/* It is logged out; the answer comes when the providers know. Returns as handle(); takes the text.
 */
static bool start_revoking(struct client *c, struct rendered *r, struct revocation *revocation,
                           char *text)
{
    if (revocation && revocation_start(revocation)) {
        c->revocation = revocation;
        c->logged_out = text;
        return false;
    }
    render_text(r, text ? text : "");
    free(text);
    return true;
}

static bool logout(struct client *c, struct rendered *r, struct profile *profile)
{
    struct context *shared = profiles_context(c->server->profiles);
    struct revocation *revocation = revocation_new(shared, on_revoked, c);

    profile_logout(profile, revocation);
    return start_revoking(c, r, revocation, NULL);
}

static bool logout_all(struct client *c, struct rendered *r)
{
    const struct server *s = c->server;
    struct revocation *revocation = revocation_new(profiles_context(s->profiles), on_revoked, c);
    size_t n, size;
    struct profile *const *list;
    char *text;
    FILE *f = memory_stream(&text, &size);

    /* who waited is told, and what they ask for next may be another list */
    for (size_t i = 0; list = profiles_list(s->profiles, &n), i < n; i++) {
        if (f)
            fprintf(f, "%s: logged out\n", profile_config(list[i])->name);
        profile_logout(list[i], revocation);
    }
    memory_close(f, &text);
    return start_revoking(c, r, revocation, text);
}

/* For every profile. Returns as handle(). */
static bool handle_all(struct client *c, struct rendered *r, uint64_t now)
{
    struct server *s = c->server;
    const struct request *request = &c->waiter.request;
    struct error why;

    if (!profiles_find(s->profiles, "", &why) && why.code != ERROR_NO_DEFAULT) {
        answer_find_error(s, r, request, &why);
        return true;
    }
    if (request->verb == VERB_LOGOUT_ALL)
        return logout_all(c, r);
    c->round = round_start(s->profiles, request, c->waiter.peer, now + wait_of(request), on_round,
                           c);
    if (!c->round)
        answer_lack(r, s->profiles);
    return c->round == NULL;
}

/* A token that follows needs no profile: without one it is not held against anything. */
static bool inspect(struct client *c, struct rendered *r, uint64_t now)
{
    const struct request *request = &c->waiter.request;
    struct profiles *profiles = c->server->profiles;
    struct error why;
    const struct profile *profile = profiles_find(profiles, request->profile, &why);
    const struct secret *token = c->waiter.secret;

    if (!profile && (!token || *request->profile)) {
        answer_find_error(c->server, r, request, &why);
        return true;
    }
    if (!token && !(token = profile_token(profile, now))) {
        why = *profile_error(profile);
        if (why.code == ERROR_NONE)
            error_set(&why, ERROR_NO_TOKEN, "%s", "");
    } else if (inspection_start(profiles_context(profiles),
                                profile ? profile_config(profile) : NULL, token,
                                request->format == FORMAT_JSON, now + wait_of(request), on_report,
                                c, &c->inspection, &why) == 0) {
        return false;
    }
    answer_failure(c->server, r, profile ? profile_config(profile)->name : NULL, &why);
    return true;
}

/* The same for a guest. What is wrong at home is said without what was seen there. */
static bool handle_guest(struct client *c, struct rendered *r, uint64_t now)
{
    struct server *s = c->server;
    struct waiter *waiter = &c->waiter;
    struct profile *profile = profiles_peek(s->profiles, share_profile(c->share));
    struct error why;

    if (share_admits(c->share, &waiter->request, now, &why) < 0) {
        render_error(r, s->profiles, NULL, &why);
        return true;
    }
    if (!profile) { /* the configuration was broken when the daemon began */
        error_set(&why, ERROR_SHARE_EMPTY, "no configuration is in force there");
        render_error(r, s->profiles, NULL, &why);
        return true;
    }
    c->who = (struct history_entry){ .peer = waiter->peer };
    waiter->deadline = now + wait_of(&waiter->request);
    waiter->ready = on_ready;
    enum profile_verdict verdict = profile_want_guest(profile, waiter, now, &why);
    if (verdict == PROFILE_QUEUED) {
        who_asks_find(s->who_asks, waiter->peer, 0, &c->who);
        return false;
    }
    render_outcome(c, profile, verdict == PROFILE_TOKEN ? NULL : &why, r, now);
    return true;
}

/* Handles one request. Returns true with the answer rendered, false when it will come later
 * (the waiter is on the profile's list). */
static bool handle(struct client *c, struct rendered *r)
{
    struct server *s = c->server;
    struct waiter *waiter = &c->waiter;
    const struct request *request = &waiter->request;
    uint64_t now = time_boottime();
    struct error why;

    if (c->share)
        return handle_guest(c, r, now);
    bool look = c->by_root && request->verb == VERB_STATUS;
    if (!look)
        s->asked = now;
    if (request->verb == VERB_INSPECT)
        return inspect(c, r, now);
    if (request->verb == VERB_LOG || request->verb == VERB_FOLLOW || request->verb == VERB_WHY)
        return tell_history(c, r, now);
    if (request->verb == VERB_REFRESH_ALL || request->verb == VERB_LOGOUT_ALL)
        return handle_all(c, r, now);
    if ((request->verb == VERB_STATUS || request->verb == VERB_WATCH) &&
        request->format != FORMAT_NAME && !look)
        profiles_take(s->profiles);
    if (handle_general(c, r, now))
        return true;
    struct profile *profile = profiles_find(s->profiles, request->profile, &why);
    if (!profile) {
        answer_find_error(s, r, request, &why);
        return true;
    }
    if (request->verb == VERB_STATUS || request->verb == VERB_WATCH) {
        answer_status(c, profile, r, now);
        return true;
    }
    if (request->verb == VERB_PROFILE && request->with_user &&
        !profile_takes_login(profile, &why)) { /* before a password is typed for nothing */
        render_error(r, s->profiles, profile_config(profile)->name, &why);
        return true;
    }
    if (request->verb == VERB_PROFILE) {
        answer_profile(r, profile, request);
        return true;
    }
    if (request->verb == VERB_LOGOUT)
        return logout(c, r, profile);
    if (request->verb == VERB_SHARE && share_may_open(s->shares, request, profile, &why) < 0) {
        render_error(r, s->profiles, NULL, &why);
        return true;
    }
    c->who = (struct history_entry){ .peer = waiter->peer };
    waiter->deadline = now + wait_of(request);
    waiter->ready = on_ready;
    waiter->shown = on_shown;
    enum profile_verdict verdict = profile_want(profile, waiter, now, &why);
    if (verdict == PROFILE_QUEUED && request->verb == VERB_GET)
        who_asks_find(s->who_asks, waiter->peer, request->client_go, &c->who);
    if (verdict == PROFILE_QUEUED)
        return false;
    render_outcome(c, profile, verdict == PROFILE_TOKEN ? NULL : &why, r, now);
    return true;
}

static void on_ready(struct waiter *waiter, struct profile *profile, const struct error *why)
{
    struct client *c = container_of(waiter, struct client, waiter);
    struct rendered r = { 0 };

    render_outcome(c, profile, why, &r, time_boottime());
    touch(c); /* it could not but be silent */
    if (respond(c, &r))
        settle(c);
    render_clear(&r);
}

/* Moves bytes into the block that the request announced. Returns how many. */
static size_t fill_block(struct client *c, const char *bytes, size_t length)
{
    size_t have = secret_length(c->waiter.secret);
    size_t left = c->waiter.request.secret - have, n = length < left ? length : left;

    memcpy(secret_bytes(c->waiter.secret) + have, bytes, n);
    secret_set_length(c->waiter.secret, have + n);
    c->held = n < left;
    return n;
}

/* Takes the request's line, and what has come of its block, from the head of the bytes.
 * Returns how many bytes that were; *ret_bad with *why when it is no request. */
static size_t take_request(struct client *c, const char *bytes, size_t length, struct error *why,
                           bool *ret_bad)
{
    const char *newline = memchr(bytes, '\n', length);
    size_t used = (size_t)(newline - bytes) + 1;

    *ret_bad = request_parse(bytes, used - 1, &c->waiter.request, why) < 0;
    if (!*ret_bad && c->share && c->waiter.request.secret > 0) { /* a password is not even read */
        *ret_bad = share_admits(c->share, &c->waiter.request, time_boottime(), why) < 0;
        return length;
    }
    if (*ret_bad || c->waiter.request.secret == 0)
        return used;
    secret_free(c->waiter.secret);
    c->waiter.secret = secret_new(c->waiter.request.secret);
    if (!c->waiter.secret) { /* what follows is no request, and is thrown away */
        error_set(why, ERROR_INTERNAL, "no memory for what follows");
        *ret_bad = true;
        return length;
    }
    return used + fill_block(c, bytes + used, length - used);
}

/* So many bytes of the line were taken. */
static void drop(struct client *c, size_t used)
{
    size_t left = secret_length(c->line) - used;

    if (left == 0) {
        c->line = secret_free(c->line);
        return;
    }
    memmove(secret_bytes(c->line), secret_peek(c->line) + used, left);
    secret_set_length(c->line, left);
}

/* Puts bytes behind what has come. False: no memory. */
static bool keep(struct client *c, const char *bytes, size_t n)
{
    size_t have = secret_length(c->line);
    struct secret *line = n > 0 ? secret_new(have + n) : c->line;

    if (n == 0 || !line)
        return n == 0;
    if (have > 0)
        memcpy(secret_bytes(line), secret_peek(c->line), have);
    memcpy(secret_bytes(line) + have, bytes, n);
    secret_set_length(line, have + n);
    secret_free(c->line);
    c->line = line;
    return true;
}

/* Takes the next whole request, if there is one. Returns whether c->waiter or *why was set. */
static bool next_request(struct client *c, struct error *why, bool *ret_bad)
{
    const char *line = c->line ? secret_peek(c->line) : "";
    size_t length = secret_length(c->line);
    bool whole = memchr(line, '\n', length) != NULL;

    *ret_bad = false;
    if (c->waiter.secret) /* taken before: only its block was missing */
        return !c->held;
    if (!whole && length < PROTOCOL_REQUEST_MAX)
        return false;
    if (!whole) {
        error_set(why, ERROR_BAD_REQUEST, "it is longer than %d bytes", PROTOCOL_REQUEST_MAX);
        c->line = secret_free(c->line);
        *ret_bad = true;
        return true;
    }
    drop(c, take_request(c, line, length, why, ret_bad));
    return !c->held;
}

/* What a new connection brought. A password behind the first line goes to its place at once.
 * False: no memory. */
static bool take_first(struct client *c, const char *bytes, size_t length)
{
    const char *newline = memchr(bytes, '\n', length);
    size_t used = 0;
    struct error ignored;
    struct request request;
    bool bad = false;

    if (newline && !c->share &&
        request_parse(bytes, (size_t)(newline - bytes), &request, &ignored) == 0 &&
        request.secret > 0)
        used = take_request(c, bytes, length, &ignored, &bad);
    return keep(c, bytes + used, length - used) && !bad;
}

/* The rest of what a peer sends after nonsense is thrown away until it closes: to close with
 * unread bytes would reset the connection, and the answer with the reason would be lost. */
static void drain(struct client *c)
{
    if (c->left == 0)
        shutdown(c->fd, SHUT_WR);
    c->draining = true;
    c->line = secret_free(c->line);
}

/* Deals with the request, the answer of which is rendered or to come. False: the client is gone. */
static bool answer_request(struct client *c, bool bad, const struct error *why)
{
    struct rendered r = { 0 };

    c->close_after = !bad && c->waiter.request.once;
    if (bad) {
        render_error(&r, c->server->profiles, NULL, why);
    } else if (!handle(c, &r)) {
        c->told[0] = '\0';
        say(c);
        return true;
    }
    c->waiter.secret = secret_free(c->waiter.secret);
    bool alive = respond(c, &r);
    render_clear(&r);
    if (alive && bad)
        drain(c);
    return alive;
}

/* Sets what to wait for once a request is dealt with. The next one has a turn of its own: thousands
 * may have come at once, and each may end what others wait for, whose next does the same to others.
 * The client may be gone then. */
static void settle(struct client *c)
{
    if (c->no_more && !waiting(c) && !is_writing(c) && !has_request(c))
        client_free(c);
    else
        update(c);
}

/* Deals with the next request, if it has come. */
static void work(struct client *c)
{
    struct error why;
    bool bad = false;

    if (has_request(c) && next_request(c, &why, &bad)) {
        c->deadline = 0; /* the next one has a time of its own */
        if (!answer_request(c, bad, &why))
            return;
    }
    settle(c);
}

/* The next part of an answer. The client may be gone then. */
static void go_on_writing(struct client *c)
{
    struct rendered r = { 0 };

    if (!render_status_part(&r, c->parts, time_boottime()))
        drop_parts(c);
    if (respond(c, &r))
        settle(c);
    render_clear(&r);
}

/* There is room in the socket again. The client may be gone then. */
static void write_on(struct client *c)
{
    if (flush(c) < 0)
        client_free(c);
    else if (c->left > 0)
        update(c);
    else if (c->parts)
        go_on_writing(c);
    else if (c->watch)
        catch_up(c);
    else
        work(c);
}

/* Their next requests, an equal share for each. */
static int on_turn(sd_event_source *source, uint64_t usec, void *context)
{
    struct server *s = context;

    (void)usec;
    for (int i = 0; i < REQUESTS_A_TURN && !TAILQ_EMPTY(&s->turns); i++) {
        struct client *c = TAILQ_FIRST(&s->turns);
        set_turn(c, false); // NOLINT(clang-analyzer-unix.Malloc): who is freed is off the list
        work(c);
    }
    if (!TAILQ_EMPTY(&s->turns))
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

/* The profile whose token is asked for, by one whole request and nothing behind it; else NULL. */
static struct profile *find_wanted(struct server *s, bool by_root, const struct share *share,
                                   const char *line, size_t length, struct request *ret)
{
    struct error why;

    if (by_root || length == 0 || line[length - 1] != '\n' || memchr(line, '\n', length - 1) ||
        request_parse(line, length - 1, ret, &why) < 0 || ret->verb != VERB_GET)
        return NULL;
    if (share)
        return share_admits(share, ret, time_boottime(), &why) < 0
                   ? NULL
                   : profiles_peek(s->profiles, share_profile(share));
    return profiles_find(s->profiles, ret->profile, &why);
}

/* Whether the token that is there is what is asked for. */
static bool serve(struct profile *profile, const struct share *share, const struct request *request,
                  uint64_t now)
{
    return share ? profile_serve_guest(profile, request, now) != NULL
                 : profile_serve(profile, request, now) != NULL;
}

/* The same for a client that has nothing else under way: what has come is kept nowhere. Returns
 * whether that was it; the client may be gone then. */
static bool answer_at_once(struct client *c, const char *line, size_t length)
{
    struct server *s = c->server;
    struct request *request = &c->waiter.request;
    struct rendered r;
    uint64_t now = time_boottime();
    struct profile *profile = find_wanted(s, c->by_root, c->share, line, length, request);

    if (!profile || !serve(profile, c->share, request, now))
        return false;
    s->asked = c->share ? s->asked : now;
    render_token(&r, profile, request, now);
    c->handed = profile;
    c->who = (struct history_entry){ .peer = c->waiter.peer };
    c->close_after = request->once;
    if (respond(c, &r))
        settle(c);
    return true;
}

/* Reads what the peer sends: the rest of a block to where it belongs, all else (*ret_length) to the
 * server's first. False: the client is to go. */
static bool receive(struct client *c, size_t *ret_length)
{
    size_t have = secret_length(c->held ? c->waiter.secret : c->line);
    size_t room = (c->held ? c->waiter.request.secret : PROTOCOL_REQUEST_MAX) - have;
    char *to = c->held ? secret_bytes(c->waiter.secret) + have : secret_bytes(c->server->first);
    ssize_t n = recv(c->fd, to, room, MSG_DONTWAIT);

    *ret_length = 0;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        c->no_more = true; /* `echo get | socat` shuts down its side and waits for the answer */
    if (c->held) {
        secret_set_length(c->waiter.secret, have + (size_t)n);
        c->held = (size_t)n < room;
    } else {
        *ret_length = (size_t)n;
    }
    return true;
}

/* Deals with what has come, which is in the server's first. */
static void deal_with(struct client *c, size_t length)
{
    struct secret *first = c->server->first;
    bool alone = !c->line && !c->waiter.secret && !c->draining && !waiting(c);

    if (alone && answer_at_once(c, secret_peek(first), length))
        return;
    bool kept = c->draining || keep(c, secret_peek(first), length);
    explicit_bzero(secret_bytes(first), length);
    if (kept)
        work(c);
    else
        client_free(c);
}

static void on_client(void *who, uint32_t events)
{
    struct client *c = who;
    size_t length;

    touch(c);
    if ((events & (EPOLLHUP | EPOLLERR)) && !(events & EPOLLIN)) {
        client_free(c);
        return;
    }
    if (is_writing(c)) {
        write_on(c);
        return;
    }
    if (receive(c, &length))
        deal_with(c, length);
    else
        client_free(c);
}

/* ---- room for others ------------------------------------------------------------------------- */

/* What is lost with a client, the least first. */
enum claim {
    CLAIM_NONE, /* it owes us a request */
    CLAIM_REST, /* it does not read its answer */
    CLAIM_MORE, /* it was answered, and has asked more */
    CLAIM_NEWS, /* it watches or follows */
    CLAIM_ANSWER,
};

/* More than we have looked at. */
static bool has_asked(const struct client *c)
{
    char byte;

    return has_line(c) || recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Whoever is owed an answer is not silent, also where we have not looked at its request yet. */
static enum claim claim_of(const struct client *c)
{
    if (is_owed(c))
        return CLAIM_ANSWER;
    if (c->watch || c->following)
        return CLAIM_NEWS;
    if (is_writing(c))
        return CLAIM_REST;
    if (c->draining || !has_asked(c))
        return CLAIM_NONE;
    return c->answered ? CLAIM_MORE : CLAIM_ANSWER;
}

/* A guest who is owed nothing: goes before anybody at home. */
static struct client *idle_guest(const struct server *s)
{
    struct client *c = s->n_guests > 0 ? TAILQ_FIRST(&s->clients) : NULL;

    while (c && (!c->share || is_owed(c)))
        c = TAILQ_NEXT(c, entry);
    return c;
}

/* Has the one go that loses least by it, of those the one that was silent longest. Nobody who is
 * owed an answer; for a guest, another of the same share. Returns whether there was one. */
static bool evict(struct server *s, const struct share *share)
{
    struct client *found = share ? NULL : idle_guest(s);
    enum claim least = found ? CLAIM_NONE : CLAIM_ANSWER;
    int looks = LOOKS_A_TURN;

    for (struct client *c = TAILQ_FIRST(&s->clients); c && least > CLAIM_NONE && looks > 0;
         c = TAILQ_NEXT(c, entry)) {
        if (is_owed(c) || (share && c->share != share))
            continue;
        looks--;
        enum claim claim = claim_of(c);
        if (claim < least) {
            least = claim;
            found = c;
        }
    }
    if (found)
        client_free(found);
    return found != NULL;
}

static void read_limit(struct server *s)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > INT_MAX)
        files.rlim_cur = INT_MAX;
    int limit = (int)files.rlim_cur;
    int size = limit / 4 < RESERVE_MAX ? limit / 4 : RESERVE_MAX;
    s->reserve = limit - size;
    s->least = (size_t)size;
}

/* Whoever comes meanwhile is kept by the system, in its turn. */
static void pause_accepting(struct server *s)
{
    s->paused = true;
    sd_event_source_set_enabled(s->source, SD_EVENT_OFF);
    sd_event_source_set_time(s->again, time_boottime() + accept_again);
    sd_event_source_set_enabled(s->again, SD_EVENT_ONESHOT);
}

static int on_again(sd_event_source *source, uint64_t usec, void *context)
{
    (void)source, (void)usec;
    resume(context);
    return 0;
}

/* All who are here are owed an answer: a client that asks for a token tries again. */
static void send_away(const struct server *s, int fd)
{
    struct rendered r = { 0 };
    struct error why;

    error_set(&why, ERROR_BUSY, "%zu peers wait for an answer", s->n_clients);
    render_error(&r, s->profiles, NULL, &why);
    transmit(fd, &r);
    render_clear(&r);
}

/* One that is to stay: where it has a descriptor of the reserve, or is one too many, another makes
 * room. Returns its descriptor, or -1: there is none who could, and it is gone. */
static int take_in(struct server *s, const struct share *share, int fd)
{
    int lower = -1;

    if ((fd < s->reserve || s->n_clients < s->least) && s->n_clients < CLIENTS_MAX &&
        (!share || share_has_room(share)))
        return fd;
    if (evict(s, share))
        lower = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    else
        send_away(s, fd);
    close(fd);
    return lower;
}

/* ---- the listener ---------------------------------------------------------------------------- */

/* Said once: who does it once does it again. */
static void report_fetcher(void)
{
    static bool said;

    if (!said)
        journal_write(LOG_WARNING, NULL, "fetcher-asks",
                      "a kubetoken-fetch asked for something and was turned away; what it was in "
                      "touch with last may have taken it over");
    said = true;
}

/* Most are one user's: it is asked once who that is. */
static bool is_ours(struct server *s, uid_t uid)
{
    if (uid == s->known)
        return true;
    if (!owner_is_ours(uid))
        return false;
    s->known = uid;
    return true;
}

/* Whether it is root, and this user's daemon another's: who keeps the machine looks whether it
 * works. Nothing changes by such a look at its status: no file is read again, and an end for want
 * of requests comes no later. */
static bool is_by_root(const struct server *s, uid_t uid)
{
    return uid != s->own;
}

/* Returns the peer's pid, or -1 for one of another user, or a fetcher. */
static pid_t admit(struct server *s, int fd, bool *ret_by_root)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || !is_ours(s, peer.uid))
        return -1;
    *ret_by_root = is_by_root(s, peer.uid);
    if (!offspring_is(peer.pid))
        return peer.pid;
    report_fetcher();
    return -1;
}

static struct client *client_new(struct server *s, struct share *share, int fd, pid_t peer,
                                 bool by_root)
{
    struct client *c = s->spare ? s->spare : calloc(1, sizeof *c);

    s->spare = NULL;
    if (!c)
        return NULL;
    c->server = s;
    c->fd = fd;
    c->waiter.peer = peer;
    c->by_root = by_root;
    c->events = EPOLLIN;
    if (poll_set_add(s->peers, fd, c->events, c) < 0) {
        free(c);
        return NULL;
    }
    c->share = share;
    if (share) {
        share_count_peer(share, 1);
        s->n_guests++;
    }
    TAILQ_INSERT_TAIL(&s->clients, c, entry);
    if (++s->n_clients > s->most_clients)
        s->most_clients = s->n_clients;
    return c;
}

/* The common case, without a client, an allocation or a second wake-up: the whole request has
 * come with the connection, wants one answer, and the answer is there. Returns 1 when that was
 * it, else 0 with what was read left in s->first. */
static int try_at_once(struct server *s, struct share *share, int fd, pid_t peer, bool by_root,
                       size_t *length)
{
    char *line = secret_bytes(s->first);
    struct request request;
    struct rendered r;
    ssize_t n = recv(fd, line, PROTOCOL_REQUEST_MAX, MSG_DONTWAIT);
    uint64_t now = time_boottime();

    *length = n > 0 ? (size_t)n : 0;
    struct profile *profile = find_wanted(s, by_root, share, line, *length, &request);
    if (!profile || !request.once ||
        secret_length(profile_token(profile, now)) > TOKEN_AT_ONCE_MAX ||
        !serve(profile, share, &request, now))
        return 0;
    render_token(&r, profile, &request, now);
    transmit(fd, &r); /* whole, or the peer is gone */
    note_hand_out(s, share, profile, &request, (struct history_entry){ .peer = peer });
    return 1;
}

static void welcome(struct server *s, struct share *share, int fd, uint64_t now)
{
    size_t length;
    bool by_root;
    pid_t peer = admit(s, fd, &by_root);

    if (peer >= 0 && !by_root && !share)
        s->asked = now;
    if (peer < 0 || try_at_once(s, share, fd, peer, by_root, &length) > 0) {
        close(fd);
        return;
    }
    fd = take_in(s, share, fd);
    struct client *c = fd >= 0 ? client_new(s, share, fd, peer, by_root) : NULL;
    if (c && answer_at_once(c, secret_peek(s->first), length))
        return;
    bool kept = c && take_first(c, secret_peek(s->first), length);
    explicit_bzero(secret_bytes(s->first), length);
    if (kept)
        work(c);
    else if (c)
        client_free(c);
    else if (fd >= 0)
        close(fd);
}

/* There is no descriptor, or no memory, for another. Returns whether one was given back. */
static bool relieve(struct server *s, const struct share *share)
{
    read_limit(s); /* it may be another since */
    return evict(s, share);
}

/* Accepts a few before any of them is looked at: by then most have sent their request, which one
 * that has just connected has not. Returns how many; *ret_error: why there are no more. From the
 * reserve on each has to be looked at before the next, since it may have to make room. */
static int gather(const struct server *s, int *fds, int most, int *ret_error)
{
    int n = 0, fd = -1;

    *ret_error = 0;
    for (int tries = 0; tries < most && fd < s->reserve; tries++) {
        fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED) {
            *ret_error = errno;
            break;
        }
        if (fd >= 0)
            fds[n++] = fd;
    }
    return n;
}

/* One who comes alone is answered before it is asked for another. */
static int on_listener(sd_event_source *source, int listener, uint32_t events, void *context)
{
    struct server *s = context;
    int fds[GATHERED_MAX], accepted = 0, most, n, error;

    (void)source, (void)listener, (void)events;
    uint64_t now = time_boottime();
    most = now - s->welcomed < crowded ? GATHERED_MAX : 1;
    do {
        n = gather(s, fds, most, &error);
        for (int i = 0; i < n; i++)
            welcome(s, NULL, fds[i], now);
        accepted += n;
        if (n == 0 && error != 0 && error != EAGAIN && !relieve(s, NULL))
            pause_accepting(s);
    } while (n == GATHERED_MAX && accepted < ACCEPTS_A_TURN);
    s->welcomed = time_boottime();
    return 0;
}

/* ---- shares ---------------------------------------------------------------------------------- */

static void on_guest(void *context, struct share *share, int fd)
{
    welcome(context, share, fd, 0);
}

static bool on_share_lack(void *context, const struct share *share)
{
    return relieve(context, share);
}

static void on_share_over(void *context, const struct share *share)
{
    struct server *s = context;
    struct client *c, *next;

    for (c = TAILQ_FIRST(&s->clients); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->share == share)
            client_free(c);
    }
}

/* Before the requests of this turn of the loop are dealt with: none is answered by what was. */
static void configured(void *context)
{
    const struct server *s = context;

    share_sync(s->shares);
}

void server_take_up_shares(struct server *s, const struct share_kept *kept, size_t n)
{
    share_take_up(s->shares, kept, n);
}

struct server *server_new(sd_event *event, int listener, struct profiles *profiles)
{
    struct server *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    *s = (struct server){ .event = event,
                          .listener = listener,
                          .profiles = profiles,
                          .asked = time_boottime(),
                          .own = geteuid(),
                          .known = nobody };
    TAILQ_INIT(&s->clients);
    TAILQ_INIT(&s->turns);
    s->first = secret_new(PROTOCOL_REQUEST_MAX);
    s->peers = poll_set_new(event, on_client);
    if (!s->first || !s->peers ||
        sd_event_add_io(event, &s->source, listener, EPOLLIN, on_listener, s) < 0 ||
        sd_event_add_time(event, &s->timer, CLOCK_BOOTTIME, 0, USEC_PER_SEC, on_patience, s) < 0 ||
        sd_event_add_time(event, &s->again, CLOCK_BOOTTIME, 0, 1, on_again, s) < 0 ||
        sd_event_add_defer(event, &s->progress, on_progress, s) < 0 ||
        sd_event_add_defer(event, &s->change, on_change, s) < 0 ||
        sd_event_add_time(event, &s->turn, CLOCK_BOOTTIME, 0, 1, on_turn, s) < 0 ||
        sd_event_add_time(event, &s->tick, CLOCK_BOOTTIME, 0, USEC_PER_SEC / 10, on_tick, s) < 0 ||
        !(s->shares = share_all_new(
              profiles, &(struct share_calls){ on_guest, on_share_lack, on_share_over, s })) ||
        !(s->who_asks = who_asks_new(event, profiles_context(profiles)->history, on_history, s)))
        return server_free(s);
    read_limit(s);
    sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
    sd_event_source_set_enabled(s->again, SD_EVENT_OFF);
    sd_event_source_set_enabled(s->progress, SD_EVENT_OFF);
    sd_event_source_set_enabled(s->change, SD_EVENT_OFF);
    sd_event_source_set_enabled(s->tick, SD_EVENT_OFF);
    sd_event_source_set_enabled(s->turn, SD_EVENT_OFF);
    profiles_context(profiles)->on_progress = progress;
    profiles_context(profiles)->on_change = changed;
    profiles_context(profiles)->on_configured = configured;
    profiles_context(profiles)->who = s;
    return s;
}

void server_on_stop(struct server *s, void (*stop)(void *context), void *context)
{
    s->stop = stop;
    s->stop_context = context;
}

uint64_t server_last_asked(const struct server *s)
{
    return s->asked;
}

struct server *server_free(struct server *s)
{
    if (!s)
        return NULL;
    profiles_context(s->profiles)->on_progress = NULL;
    profiles_context(s->profiles)->on_change = NULL;
    profiles_context(s->profiles)->on_configured = NULL;
    while (!TAILQ_EMPTY(&s->clients))
        client_free(TAILQ_FIRST(&s->clients)); // NOLINT(clang-analyzer-unix.Malloc)
    share_all_free(s->shares);
    sd_event_source_disable_unref(s->source);
    sd_event_source_disable_unref(s->timer);
    sd_event_source_disable_unref(s->again);
    sd_event_source_disable_unref(s->progress);
    sd_event_source_disable_unref(s->change);
    sd_event_source_disable_unref(s->tick);
    sd_event_source_disable_unref(s->turn);
    free(s->spare);
    poll_set_free(s->peers);
    who_asks_free(s->who_asks);
    secret_free(s->first);
    close(s->listener);
    free(s);
    return NULL;
}
