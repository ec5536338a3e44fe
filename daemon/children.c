#define _GNU_SOURCE
#include "daemon/children.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/protocol.h"
#include "common/time.h"
#include "daemon/journal.h"
#include "daemon/offspring.h"

/* What a process takes to end, with room for a machine that is busy. */
static const uint64_t moment = 2 * USEC_PER_SEC;
/* All of them, at the end of the daemon. */
static const uint64_t last_moment = 1 * USEC_PER_SEC;
/* One without a pidfd that works is looked at so often. */
static const uint64_t look_again = 1 * USEC_PER_SEC;

struct child {
    struct children *all;
    const char *program;
    char profile[PROTOCOL_NAME_MAX + 1];
    pid_t pid;  /* 0: it is not forked */
    int pidfd;  /* -1: none could be had */
    int status; /* once it has ended */
    bool ended, leads, killed, stuck;
    /* after child_free() or child_release() */
    sd_event_source *exit; /* NULL: it is looked at by time */
    uint64_t due;          /* to be killed, or, where it is killed, stuck; USEC_INFINITY: neither */
    uint64_t killed_at;
    TAILQ_ENTRY(child) entry;
};

TAILQ_HEAD(child_list, child);

struct children {
    sd_event *event;
    sd_event_source *timer;
    struct child_list left; /* nobody wants them any more; the eldest first */
    unsigned n_stuck;
    void (*changed)(void *context);
    void *context;
};

/* ---- one process ----------------------------------------------------------------------------- */

bool child_has_ended(struct child *c, int *ret_status)
{
    struct pollfd p = { .fd = c->pidfd, .events = POLLIN };
    pid_t r = 0;

    if (!c->ended) {
        do
            r = waitpid(c->pid, &c->status, WNOHANG);
        while (r < 0 && errno == EINTR);
    }
    if (r < 0) /* it was collected by the system, which kept nothing */
        c->status = -1;
    c->ended |= r != 0;
    if (c->ended)
        offspring_remove(c->pid);
    if (c->ended) {
        *ret_status = c->status;
        return true;
    }
    *ret_status = -1;
    return c->pidfd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

static bool collect(struct child *c)
{
    int ignored;

    child_has_ended(c, &ignored);
    return c->ended;
}

void child_kill(struct child *c)
{
    if (c->pid <= 0 || c->ended)
        return;
    if (c->leads)
        kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL); /* a no-op for one that waits to be collected */
    if (!c->killed)
        c->killed_at = time_boottime();
    c->killed = true;
}

static void release(struct child *c)
{
    sd_event_source_disable_unref(c->exit); /* before the descriptor closes */
    if (c->pidfd >= 0)
        close(c->pidfd);
    free(c);
}

struct child *child_prepare(struct children *all, const char *program, const char *profile,
                            struct error *why)
{
    struct child *c = all->n_stuck < CHILDREN_STUCK_MAX ? calloc(1, sizeof *c) : NULL;

    if (all->n_stuck >= CHILDREN_STUCK_MAX) {
        error_set(why, ERROR_STUCK, "%u of them, so that no other is started", all->n_stuck);
        return NULL;
    }
    if (!c) {
        error_set(why, ERROR_INTERNAL, "no memory for a process");
        return NULL;
    }
    *c = (struct child){ .all = all, .program = program, .pidfd = -1 };
    snprintf(c->profile, sizeof c->profile, "%s", profile ? profile : "");
    return c;
}

pid_t child_fork(struct child *c)
{
    pid_t pid = fork();

    if (pid <= 0)
        return pid < 0 ? -errno : 0;
    c->pid = pid;
    c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return c->pidfd >= 0 ? pid : -errno; /* child_free() ends it */
}

int child_pidfd(const struct child *c)
{
    return c->pidfd;
}

void child_leads(struct child *c)
{
    c->leads = true;
}

/* ---- those that nobody wants any more -------------------------------------------------------- */

static void name(const struct child *c, struct error *ret)
{
    const struct child_look look = { c->pid, c->program, c->profile, c->killed_at };

    child_look_words(&look, ret);
}

static void tell_stuck(struct child *c)
{
    struct error e;

    c->stuck = true;
    c->all->n_stuck++;
    name(c, &e);
    journal_write(LOG_WARNING, *c->profile ? c->profile : NULL, error_name(e.code), "%s: %s",
                  error_sentence(e.code), e.detail);
}

static void forget(struct child *c)
{
    struct children *all = c->all;
    bool stuck = c->stuck;

    TAILQ_REMOVE(&all->left, c, entry);
    if (stuck) {
        all->n_stuck--;
        journal_write(LOG_NOTICE, *c->profile ? c->profile : NULL, "ended",
                      "process %d (%s) has ended at last", (int)c->pid, c->program);
    }
    release(c);
    if (stuck && all->changed)
        all->changed(all->context);
}

/* When on_timer() is due, for all. */
static void arm(struct children *all)
{
    uint64_t first = USEC_INFINITY, now = time_boottime();

    for (struct child *c = TAILQ_FIRST(&all->left); c; c = TAILQ_NEXT(c, entry)) {
        uint64_t due = c->exit || c->due < now + look_again ? c->due : now + look_again;
        first = due < first ? due : first;
    }
    if (first != USEC_INFINITY)
        sd_event_source_set_time(all->timer, first);
    sd_event_source_set_enabled(all->timer,
                                first == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* By its pidfd. A debugger is told first: it shows once, and again when that lets go. */
static int on_exit_of(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct child *c = context;
    struct children *all = c->all;

    (void)source, (void)fd, (void)events;
    if (collect(c))
        forget(c);
    arm(all);
    return 0;
}

static bool come_due(struct child *c)
{
    bool stuck = c->killed;

    if (stuck)
        tell_stuck(c);
    else
        child_kill(c);
    c->due = stuck ? USEC_INFINITY : c->killed_at + moment;
    return stuck;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct children *all = context;
    struct child *c, *next;
    uint64_t now = time_boottime();
    bool told = false;

    (void)source, (void)usec;
    for (c = TAILQ_FIRST(&all->left); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (collect(c))
            forget(c);
        else if (c->due <= now)
            told |= come_due(c);
    }
    arm(all);
    if (told && all->changed)
        all->changed(all->context);
    return 0;
}

static void leave(struct child *c, uint64_t due)
{
    struct children *all = c->all;

    c->due = due;
    TAILQ_INSERT_TAIL(&all->left, c, entry);
    if (c->pidfd >= 0)
        sd_event_add_io(all->event, &c->exit, c->pidfd, EPOLLIN | EPOLLET, on_exit_of, c);
    arm(all);
}

struct child *child_free(struct child *c)
{
    if (!c)
        return NULL;
    child_kill(c);
    if (c->pid == 0 || collect(c))
        release(c);
    else
        leave(c, c->killed_at + moment);
    return NULL;
}

void child_release(struct child *c, uint64_t time)
{
    leave(c, time_boottime() + time);
}

/* ---- all of them ----------------------------------------------------------------------------- */

struct children *children_new(sd_event *event, void (*changed)(void *context), void *context)
{
    struct children *all = calloc(1, sizeof *all);

    if (!all)
        return NULL;
    *all = (struct children){ .event = event, .changed = changed, .context = context };
    TAILQ_INIT(&all->left);
    if (sd_event_add_time(event, &all->timer, CLOCK_BOOTTIME, 0, 1, on_timer, all) < 0) {
        free(all);
        return NULL;
    }
    sd_event_source_set_enabled(all->timer, SD_EVENT_OFF);
    return all;
}

/* Whether it has ended by then. */
static bool ends_until(struct child *c, uint64_t until)
{
    struct pollfd p = { .fd = c->pidfd, .events = POLLIN };
    uint64_t now = time_boottime();

    if (c->pidfd >= 0 && now < until && !collect(c))
        poll(&p, 1, (int)((until - now) / USEC_PER_MSEC) + 1);
    return collect(c);
}

struct children *children_free(struct children *all)
{
    struct child *c;
    struct error e;

    if (!all)
        return NULL;
    const uint64_t until = time_boottime() + last_moment;
    while ((c = TAILQ_FIRST(&all->left))) {
        TAILQ_REMOVE(&all->left, c, entry);
        child_kill(c);
        name(c, &e);
        if (!ends_until(c, until))
            journal_write(LOG_WARNING, *c->profile ? c->profile : NULL, error_name(e.code),
                          "%s: %s; it is left behind", error_sentence(e.code), e.detail);
        release(c);
    }
    sd_event_source_disable_unref(all->timer);
    free(all);
    return NULL;
}

sd_event *children_event(const struct children *all)
{
    return all->event;
}

bool children_stuck(const struct children *all, size_t i, struct child_look *ret)
{
    const struct child *c;

    if (!all)
        return false;
    TAILQ_FOREACH (c, &all->left, entry)
        // cppcheck-suppress uninitvar; it does not follow TAILQ_FOREACH
        if (c->stuck && i-- == 0) {
            *ret = (struct child_look){ c->pid, c->program, c->profile, c->killed_at };
            return true;
        }
    return false;
}

void child_look_words(const struct child_look *look, struct error *ret)
{
    char span[24];

    time_format_duration(span, sizeof span, time_boottime() - look->killed_at);
    error_set(ret, ERROR_STUCK, "process %d (%s%s%s), %s ago", (int)look->pid, look->program,
              *look->profile ? " of " : "", look->profile, span);
}

bool children_all_ended(const struct children *all)
{
    return TAILQ_EMPTY(&all->left);
}

void child_no_start(struct error *why, enum error_code code, const char *before, int error)
{
    struct rlimit files = { 0, 0 };

    if (error == EMFILE) {
        getrlimit(RLIMIT_NOFILE, &files);
        error_set(why, ERROR_DESCRIPTORS, "%stoo many open files (LimitNOFILE=%llu)", before,
                  (unsigned long long)files.rlim_cur);
    } else if (error == ENFILE) {
        error_set(why, ERROR_DESCRIPTORS,
                  "%stoo many open files on this machine (sysctl fs.file-max)", before);
    } else {
        error_set(why, code, "%s%s", before, strerror(error));
    }
}
