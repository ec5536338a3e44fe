#define _GNU_SOURCE
#include "daemon/share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/paths.h"
#include "common/time.h"
#include "daemon/config_keys.h"
#include "daemon/history_view.h"
#include "daemon/journal.h"
#include "daemon/listener.h"
#include "daemon/share_record.h"
#include "daemon/store.h"

enum { ACCEPTS_A_TURN = 16 };

/* Until another try to accept, where there is no descriptor for it. */
static const uint64_t accept_again = 1 * USEC_PER_SEC;

struct share {
    struct shares *all;
    struct share_record record;
    int listener;
    char path[PATHS_SOCKET_MAX];
    sd_event_source *source;
    unsigned peers;
    bool kept; /* by systemd */
    TAILQ_ENTRY(share) entry;
};

TAILQ_HEAD(share_list, share);

struct shares {
    struct context *shared;
    struct profiles *profiles;
    struct share_calls calls;
    char folder[PATHS_SOCKET_MAX]; /* "": there is no place for one */
    struct share_list list;        /* by name */
    unsigned n;
    sd_event_source *timer; /* the first end */
    sd_event_source *again; /* on while accepting is paused */
};

static struct share *find(const struct shares *all, const char *name)
{
    struct share *s;

    TAILQ_FOREACH (s, &all->list, entry)
        if (strcmp(s->record.name, name) == 0)
            return s;
    return NULL;
}

/* ---- where they lie -------------------------------------------------------------------------- */

static int fail(struct error *why, const char *what, const char *words)
{
    error_set(why, ERROR_SHARE_FAILED, "%s: %s", what, words);
    return -1;
}

/* Returns 0, or -1: no socket's path is that long. */
static int find_path(const struct shares *all, const char *name, char out[PATHS_SOCKET_MAX])
{
    int n = snprintf(out, PATHS_SOCKET_MAX, "%s/%s/socket", all->folder, name);

    return *all->folder && n > 0 && n < PATHS_SOCKET_MAX ? 0 : -1;
}

static void cut_last(char *path)
{
    *strrchr(path, '/') = '\0';
}

/* The folder of all of them, in which that path is, and the one around it are ours, and nobody else
 * can write to them. */
static int prepare_folder(const struct shares *all, const char *path, struct error *why)
{
    struct error what;

    if (paths_socket_folder(all->folder, &what) == 0 && paths_socket_folder(path, &what) == 0)
        return 0;
    return fail(why, error_sentence(what.code), what.detail);
}

/* Only one daemon of a user makes or removes there at a time; nobody is waited for. Returns a
 * descriptor whose closing ends it, or -1. */
static int lock(const struct shares *all)
{
    int fd = open(all->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void fill_address(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(address->sun_path, path, strlen(path) + 1);
}

/* Whether nobody listens there any more. */
static bool is_dead(const char *path)
{
    struct sockaddr_un address;
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    fill_address(&address, path);
    bool dead = fd >= 0 && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
                connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 &&
                errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return dead;
}

/* The socket, where nobody listens, and its folder, if that is all there was. */
static void remove_dead(const char *path)
{
    char folder[PATHS_SOCKET_MAX];

    memcpy(folder, path, sizeof folder);
    cut_last(folder);
    if (is_dead(path))
        unlink(path);
    rmdir(folder);
}

/* What an earlier life could not remove: systemd had it end, or it was killed. */
static void clean(const struct shares *all)
{
    char path[PATHS_SOCKET_MAX];
    const struct dirent *entry;
    int held = *all->folder ? lock(all) : -1;
    DIR *folder = held >= 0 ? opendir(all->folder) : NULL;

    while (folder && (entry = readdir(folder)))
        if (protocol_share_valid(entry->d_name, strlen(entry->d_name)) &&
            !find(all, entry->d_name) && find_path(all, entry->d_name, path) == 0)
            remove_dead(path);
    if (folder)
        closedir(folder);
    if (held >= 0)
        close(held);
    rmdir(all->folder); /* unless one is there */
}

static bool is_at_path(const struct share *s)
{
    struct stat st;

    return lstat(s->path, &st) == 0 && st.st_dev == s->record.device &&
           st.st_ino == s->record.inode;
}

/* ---- the listening socket -------------------------------------------------------------------- */

static int bind_there(struct share *s)
{
    struct sockaddr_un address;
    struct stat st;

    fill_address(&address, s->path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    bool bound = s->listener >= 0 &&
                 bind(s->listener, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(mask);
    if (!bound || listen(s->listener, SOMAXCONN) < 0 || lstat(s->path, &st) < 0)
        return -1;
    s->record.device = st.st_dev;
    s->record.inode = st.st_ino;
    listener_refuse_descriptors(s->listener);
    return 0;
}

/* In a new folder of its own. */
static int make_locked(struct share *s, struct error *why)
{
    char folder[PATHS_SOCKET_MAX];

    memcpy(folder, s->path, sizeof folder);
    cut_last(folder);
    remove_dead(s->path);
    if (mkdir(folder, 0700) < 0)
        return fail(why, folder, strerror(errno));
    if (bind_there(s) == 0)
        return 0;
    fail(why, s->path, strerror(errno));
    unlink(s->path);
    rmdir(folder);
    return -1;
}

static int make(struct share *s, struct error *why)
{
    char folder[PATHS_SOCKET_MAX];

    memcpy(folder, s->path, sizeof folder);
    cut_last(folder);
    if (prepare_folder(s->all, folder, why) < 0)
        return -1;
    int held = lock(s->all);
    if (held < 0)
        return fail(why, s->all->folder, "another kubetokend is at work there");
    int r = make_locked(s, why);
    close(held);
    return r;
}

/* Nobody accepts for a while, or again. */
static void set_accepting(struct shares *all, bool accepting)
{
    struct share *s;

    TAILQ_FOREACH (s, &all->list, entry) {
        sd_event_source_set_enabled(s->source, accepting ? SD_EVENT_ON : SD_EVENT_OFF);
    }
    if (!accepting)
        sd_event_source_set_time(all->again, time_boottime() + accept_again);
    sd_event_source_set_enabled(all->again, accepting ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static int on_again(sd_event_source *source, uint64_t usec, void *context)
{
    (void)source, (void)usec;
    set_accepting(context, true);
    return 0;
}

static int on_listener(sd_event_source *source, int listener, uint32_t events, void *context)
{
    struct share *s = context;
    struct shares *all = s->all;

    (void)source, (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            all->calls.came(all->calls.context, s, fd);
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR && errno != ECONNABORTED &&
                 !all->calls.relieve(all->calls.context, s)) {
            set_accepting(all, false);
            break;
        }
    }
    return 0;
}

/* ---- what outlives this process -------------------------------------------------------------- */

static uint64_t id_of(const char *name)
{
    return digest_text(name);
}

static void stored_name(char out[sizeof SHARE_STORED + PROTOCOL_SHARE_MAX], const char *name)
{
    stpcpy(stpcpy(out, SHARE_STORED), name);
}

static void note(const struct share *s)
{
    struct store *store = s->all->shared->store;
    char bytes[SHARE_RECORD_MAX];
    size_t length = share_record_encode(&s->record, bytes, sizeof bytes);

    if (store && s->kept)
        store_put(store, STORE_SHARE, id_of(s->record.name), NULL, bytes, length);
}

static void keep(struct share *s)
{
    char name[sizeof SHARE_STORED + PROTOCOL_SHARE_MAX];

    stored_name(name, s->record.name);
    s->kept = s->all->shared->store && notify_keep(s->all->shared->notify, name, s->listener);
    note(s);
}

static void drop_kept(struct context *shared, const char *share)
{
    char name[sizeof SHARE_STORED + PROTOCOL_SHARE_MAX];

    stored_name(name, share);
    notify_drop(shared->notify, name);
    if (shared->store)
        store_remove(shared->store, store_find(shared->store, STORE_SHARE, id_of(share)));
}

/* ---- the list -------------------------------------------------------------------------------- */

static void insert(struct shares *all, struct share *s)
{
    struct share *next = TAILQ_FIRST(&all->list);

    while (next && strcmp(next->record.name, s->record.name) < 0)
        next = TAILQ_NEXT(next, entry);
    if (next)
        TAILQ_INSERT_BEFORE(next, s, entry);
    else
        TAILQ_INSERT_TAIL(&all->list, s, entry);
    all->n++;
}

static void arm(struct shares *all)
{
    uint64_t first = USEC_INFINITY;
    const struct share *s;

    TAILQ_FOREACH (s, &all->list, entry)
        if (s->record.ends < first)
            first = s->record.ends;
    if (first != USEC_INFINITY)
        sd_event_source_set_time(all->timer, first);
    sd_event_source_set_enabled(all->timer,
                                first == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* Has the profile of that name kept fresh, or not any more. */
static void settle(struct shares *all, const char *profile)
{
    struct profile *p = profiles_peek(all->profiles, profile);
    bool shared = false;

    for (const struct share *s = share_next(all, NULL); s; s = share_next(all, s))
        shared |= strcmp(s->record.profile, profile) == 0;
    if (p)
        profile_share(p, shared);
}

/* The list has changed. */
static void changed(struct shares *all, const char *profile)
{
    arm(all);
    settle(all, profile);
    context_changed(all->shared);
}

static void share_free(struct share *s)
{
    sd_event_source_disable_unref(s->source);
    if (s->listener >= 0)
        close(s->listener);
    free(s);
}

/* It is on no list, or not yet. */
static void remove_place(const struct share *s)
{
    char folder[PATHS_SOCKET_MAX];

    if (!is_at_path(s))
        return;
    memcpy(folder, s->path, sizeof folder);
    unlink(s->path);
    cut_last(folder);
    rmdir(folder);
    rmdir(s->all->folder); /* unless there is another */
}

static void tell_opened(const struct share *s, const char *what)
{
    const struct share_record *r = &s->record;
    char clock[HISTORY_CLOCK_SIZE];
    uint64_t now = time_boottime();

    journal_write(LOG_NOTICE, r->profile, "share", "the share %s %s, until %s", r->name, what,
                  history_clock(clock, r->ends, now));
    history_add(s->all->shared->history, r->profile,
                &(struct history_entry){
                    .kind = HISTORY_SHARE, .at = now, .expires_at = r->ends, .text = r->name });
}

static void tell_ended(struct shares *all, const struct share_record *r, enum history_end reason)
{
    journal_write(LOG_NOTICE, r->profile, "unshare", "the share %s ended: %s", r->name,
                  history_end_words(reason));
    history_add(all->shared->history, profiles_peek(all->profiles, r->profile) ? r->profile : NULL,
                &(struct history_entry){ .kind = HISTORY_UNSHARE,
                                         .at = time_boottime(),
                                         .end = (unsigned char)reason,
                                         .text = r->name });
}

static void end(struct share *s, enum history_end reason)
{
    struct shares *all = s->all;
    const struct share_record gone = s->record;

    TAILQ_REMOVE(&all->list, s, entry);
    all->n--;
    remove_place(s);
    all->calls.over(all->calls.context, s);
    drop_kept(all->shared, gone.name);
    share_free(s);
    tell_ended(all, &gone, reason);
    changed(all, gone.profile);
}

static int on_end(sd_event_source *source, uint64_t usec, void *context)
{
    struct shares *all = context;
    struct share *s, *next;
    uint64_t now = time_boottime();

    (void)source, (void)usec;
    for (s = TAILQ_FIRST(&all->list); s; s = next) {
        next = TAILQ_NEXT(s, entry);
        if (s->record.ends <= now)
            end(s, HISTORY_OVER);
    }
    arm(all);
    return 0;
}

/* ---- opened and ended ------------------------------------------------------------------------ */

static void say_taken(const struct share *s, struct error *why)
{
    char clock[HISTORY_CLOCK_SIZE];

    error_set(why, ERROR_SHARE_TAKEN, "%s, of profile %s, until %s", s->record.name,
              s->record.profile, history_clock(clock, s->record.ends, time_boottime()));
}

/* Each is a descriptor that no client has, and of a low limit few are kept for what is no client's.
 */
static unsigned most_open(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur / 16 >= SHARES_MAX)
        return SHARES_MAX;
    return files.rlim_cur < 32 ? 1 : (unsigned)(files.rlim_cur / 16);
}

int share_may_open(const struct shares *all, const struct request *request,
                   const struct profile *profile, struct error *why)
{
    const struct share *s = find(all, request->share);
    char path[PATHS_SOCKET_MAX], words[64];

    if (s && request->renew && strcmp(s->record.profile, profile_config(profile)->name) == 0)
        return 0;
    if (s) {
        say_taken(s, why);
        return -1;
    }
    snprintf(words, sizeof words, "%u are open already", all->n);
    if (all->n >= most_open())
        return fail(why, request->share, words);
    if (find_path(all, request->share, path) < 0)
        return fail(why, request->share, "its socket's path would be longer than 107 bytes");
    return 0;
}

static uint64_t end_of(const struct request *request, uint64_t now)
{
    return now + (request->open_for > 0 ? request->open_for : PROTOCOL_SHARE_TIME);
}

/* Listens, and is on the list. */
static int begin(struct share *s, struct error *why)
{
    struct shares *all = s->all;
    int enabled;
    bool paused = sd_event_source_get_enabled(all->again, &enabled) > 0;

    if (sd_event_add_io(all->shared->event, &s->source, s->listener, EPOLLIN, on_listener, s) < 0)
        return fail(why, s->record.name, "it cannot be listened to");
    if (paused)
        sd_event_source_set_enabled(s->source, SD_EVENT_OFF);
    insert(all, s);
    return 0;
}

static struct share *share_new(struct shares *all, const char *name)
{
    struct share *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->all = all;
    s->listener = -1;
    memcpy(s->record.name, name, strlen(name) + 1);
    if (find_path(all, name, s->path) == 0)
        return s;
    free(s);
    return NULL;
}

static const struct share *renew(struct share *s, uint64_t ends)
{
    s->record.ends = ends;
    note(s);
    changed(s->all, s->record.profile);
    tell_opened(s, "is renewed");
    return s;
}

const struct share *share_open(struct shares *all, const struct request *request,
                               const struct profile *profile, uint64_t now, struct error *why)
{
    const struct profile_config *config = profile_config(profile);
    struct share *s;

    if (share_may_open(all, request, profile, why) < 0)
        return NULL;
    if ((s = find(all, request->share)))
        return renew(s, end_of(request, now));
    if (!(s = share_new(all, request->share))) {
        error_set(why, ERROR_INTERNAL, "no memory for a share");
        return NULL;
    }
    memcpy(s->record.profile, config->name, strlen(config->name) + 1);
    s->record.identity = config_keys_identity(config);
    s->record.ends = end_of(request, now);
    if (make(s, why) < 0 || begin(s, why) < 0) {
        remove_place(s);
        share_free(s);
        return NULL;
    }
    keep(s);
    changed(all, s->record.profile);
    tell_opened(s, "is open");
    return s;
}

int share_end(struct shares *all, const char *name, struct error *why)
{
    struct share *s = find(all, name);

    if (!s) {
        error_set(why, ERROR_NO_SHARE, "%s", name);
        return -1;
    }
    end(s, HISTORY_SAID);
    return 0;
}

/* Whether it has lost its profile, and how. */
static bool has_lost(const struct shares *all, const struct share_record *r, enum history_end *how)
{
    const struct profile *p = profiles_peek(all->profiles, r->profile);

    *how = p ? HISTORY_OTHER_IDENTITY : HISTORY_UNCONFIGURED;
    return !p || config_keys_identity(profile_config(p)) != r->identity;
}

void share_sync(struct shares *all)
{
    struct share *s, *next;
    enum history_end how;

    for (s = TAILQ_FIRST(&all->list); s; s = next) {
        next = TAILQ_NEXT(s, entry);
        if (has_lost(all, &s->record, &how))
            end(s, how);
        else
            settle(all, s->record.profile);
    }
}

/* ---- another life ---------------------------------------------------------------------------- */

/* Whether the socket is the one at its path: else nobody can reach it. */
static bool is_ours(const struct share *s)
{
    return s->listener >= 0 && sd_is_socket_unix(s->listener, SOCK_STREAM, 1, s->path, 0) > 0 &&
           is_at_path(s);
}

static bool read_record(struct shares *all, const char *name, struct share_record *ret)
{
    struct store *store = all->shared->store;
    struct store_record *left = store ? store_find(store, STORE_SHARE, id_of(name)) : NULL;
    size_t length = 0;
    const void *bytes = left ? store_rest(left, &length) : NULL;

    return bytes && share_record_decode(bytes, length, time_boottime(), ret) == 0 &&
           strcmp(ret->name, name) == 0;
}

/* What is not to be believed, or over, is told and gone. */
static void take_up(struct shares *all, const struct share_kept *kept)
{
    struct share *s = find(all, kept->name) ? NULL : share_new(all, kept->name);
    struct error why;

    if (!s || !read_record(all, kept->name, &s->record)) {
        journal_write(LOG_WARNING, NULL, "unshare",
                      "the share %s, which an earlier kubetokend left, is not taken up",
                      kept->name);
        drop_kept(all->shared, kept->name);
        close(kept->fd);
        free(s);
        return;
    }
    s->listener = kept->fd;
    s->kept = true;
    fcntl(s->listener, F_SETFL, O_NONBLOCK);
    fcntl(s->listener, F_SETFD, FD_CLOEXEC);
    bool over = s->record.ends <= time_boottime();
    if (!over && is_ours(s) && begin(s, &why) == 0)
        return;
    tell_ended(all, &s->record, over ? HISTORY_OVER : HISTORY_NO_PLACE);
    remove_place(s);
    drop_kept(all->shared, kept->name);
    share_free(s);
}

void share_take_up(struct shares *all, const struct share_kept *kept, size_t n)
{
    for (size_t i = 0; i < n; i++)
        take_up(all, &kept[i]);
    arm(all);
    clean(all);
}

/* ---- guests ---------------------------------------------------------------------------------- */

static int refuse(const struct share *s, const char *what, struct error *why)
{
    error_set(why, ERROR_NOT_SHARED, "%s is not what %s gives, a share of profile %s", what,
              s->record.name, s->record.profile);
    return -1;
}

int share_admits(const struct share *s, struct request *request, uint64_t now, struct error *why)
{
    char words[PROTOCOL_NAME_MAX + 16];

    snprintf(words, sizeof words, "profile %s", request->profile);
    if (request->verb != VERB_GET)
        return refuse(s, protocol_verb(request->verb), why);
    if (*request->profile && strcmp(request->profile, s->record.profile) != 0)
        return refuse(s, words, why);
    if (request->rejected)
        return refuse(s, "another token for a rejected one", why);
    if (now >= s->record.ends) { /* before the timer, as after a sleep */
        error_set(why, ERROR_NO_SHARE, "%s", s->record.name);
        return -1;
    }
    request->client_go = 0; /* a number of another machine, or container */
    return 0;
}

void share_count_peer(struct share *s, int difference)
{
    s->peers += (unsigned)difference;
}

bool share_has_room(const struct share *s)
{
    return s->peers < SHARE_PEERS_MAX;
}

void share_count_handout(struct share *s)
{
    s->record.handouts++;
}

/* ---- to look at ------------------------------------------------------------------------------ */

const struct share *share_next(const struct shares *all, const struct share *s)
{
    if (!all)
        return NULL;
    return s ? TAILQ_NEXT(s, entry) : TAILQ_FIRST(&all->list);
}

const char *share_name(const struct share *s)
{
    return s->record.name;
}

const char *share_profile(const struct share *s)
{
    return s->record.profile;
}

const char *share_path(const struct share *s)
{
    return s->path;
}

uint64_t share_ends(const struct share *s)
{
    return s->record.ends;
}

uint64_t share_handouts(const struct share *s)
{
    return s->record.handouts;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct shares *share_all_new(struct profiles *profiles, const struct share_calls *calls)
{
    struct shares *all = calloc(1, sizeof *all);
    struct context *shared = profiles_context(profiles);

    if (!all)
        return NULL;
    all->shared = shared;
    all->profiles = profiles;
    all->calls = *calls;
    TAILQ_INIT(&all->list);
    if (paths_shares(all->folder) < 0)
        all->folder[0] = '\0';
    if (sd_event_add_time(shared->event, &all->timer, CLOCK_BOOTTIME, 0, 1, on_end, all) < 0 ||
        sd_event_add_time(shared->event, &all->again, CLOCK_BOOTTIME, 0, 1, on_again, all) < 0)
        return share_all_free(all);
    sd_event_source_set_enabled(all->timer, SD_EVENT_OFF);
    sd_event_source_set_enabled(all->again, SD_EVENT_OFF);
    shared->shares = all;
    return all;
}

struct shares *share_all_free(struct shares *all)
{
    struct share *s;

    if (!all)
        return NULL;
    while ((s = TAILQ_FIRST(&all->list))) {
        TAILQ_REMOVE(&all->list, s, entry);
        note(s); /* how many were handed out */
        if (!s->kept)
            remove_place(s);
        share_free(s);
    }
    sd_event_source_disable_unref(all->timer);
    sd_event_source_disable_unref(all->again);
    all->shared->shares = NULL;
    free(all);
    return NULL;
}
