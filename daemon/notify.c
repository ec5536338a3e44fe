#define _GNU_SOURCE
#include "daemon/notify.h"

#include <linux/sockios.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/time.h"

/* While work is in hand. */
static const uint64_t at_work = 30 * USEC_PER_SEC;
/* Between two looks at how all stands. */
static const uint64_t pause_between = USEC_PER_SEC;

struct notify {
    int socket;
    struct sockaddr_un systemd;
    socklen_t systemd_length;
    bool owes_ready; /* at the start, and at the end of a reload that was told */
    notify_status_fn status;
    void *context;
    char said[NOTIFY_STATUS_MAX]; /* the last STATUS= */
    uint64_t looked;              /* when that was asked for */
    sd_event_source *look;        /* off: nothing has changed since */
    uint64_t unit;                /* the unit's watchdog; 0 = it has none */
    uint64_t period;              /* the one in force */
    sd_event_source *ping;
    unsigned work;
    sd_event_source *rest; /* once this turn of the loop is over: one attempt may follow another */
};

/* As sd_notify(), which waits where nobody reads: what may come later, or not at all, is no reason
 * to serve nobody meanwhile. Returns whether it was taken. */
static bool say(const struct notify *n, const char *text)
{
    return sendto(n->socket, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)&n->systemd, n->systemd_length) >= 0;
}

/* Whether all that was said by it has been read: who does not read has a queue, which others of
 * our messages need. */
static bool is_heard(const struct notify *n)
{
    int unread = 0;

    return ioctl(n->socket, SIOCOUTQ, &unread) < 0 || unread == 0;
}

static int open_socket(struct notify *n, const char *path)
{
    size_t length = strlen(path);

    if ((*path != '/' && *path != '@') || length >= sizeof n->systemd.sun_path)
        return -1;
    n->systemd.sun_family = AF_UNIX;
    memcpy(n->systemd.sun_path, path, length);
    if (*path == '@')
        n->systemd.sun_path[0] = '\0'; /* an abstract one (unix(7)) */
    n->systemd_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    n->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return n->socket < 0 ? -1 : 0;
}

/* ---- how all stands -------------------------------------------------------------------------- */

/* Whether it is something else than was said last; then n->said has it. */
static bool look(struct notify *n)
{
    char now[NOTIFY_STATUS_MAX] = "";

    n->looked = time_boottime();
    n->status(n->context, now, sizeof now);
    if (strcmp(now, n->said) == 0)
        return false;
    memcpy(n->said, now, sizeof n->said);
    return true;
}

static int on_look(sd_event_source *source, uint64_t usec, void *context)
{
    struct notify *n = context;
    char text[sizeof "STATUS=" + NOTIFY_STATUS_MAX];

    (void)source, (void)usec;
    bool heard = is_heard(n);
    if (!look(n))
        return 0;
    snprintf(text, sizeof text, "STATUS=%s", n->said);
    if (!heard || !say(n, text)) {
        n->said[0] = '\0'; /* once more */
        notify_changed(n);
    }
    return 0;
}

void notify_changed(struct notify *n)
{
    int enabled;

    if (!n || sd_event_source_get_enabled(n->look, &enabled) < 0 || enabled != SD_EVENT_OFF)
        return;
    sd_event_source_set_time(n->look, n->looked > 0 ? n->looked + pause_between : 0);
    sd_event_source_set_enabled(n->look, SD_EVENT_ONESHOT);
}

void notify_reloading(struct notify *n)
{
    struct timespec now;
    char text[64];

    if (!n)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now); /* as sd_notify(3) wants it, and not our clock */
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)now.tv_sec * USEC_PER_SEC +
                 (unsigned long long)now.tv_nsec / 1000);
    n->owes_ready |= say(n, text);
}

void notify_ready(struct notify *n)
{
    if (!n)
        return;
    if (!n->owes_ready)
        notify_changed(n);
    else if (look(n))
        sd_notifyf(0, "READY=1\nSTATUS=%s", n->said);
    else
        sd_notify(0, "READY=1");
    n->owes_ready = false;
}

void notify_stopping(struct notify *n, const struct error *why)
{
    char text[NOTIFY_STATUS_MAX];

    if (!n)
        return;
    snprintf(text, sizeof text, "STOPPING=1%s%s%s%s", why ? "\nSTATUS=" : "",
             why ? error_sentence(why->code) : "", why ? ": " : "", why ? why->detail : "");
    say(n, text);
}

/* ---- what is kept over a restart ------------------------------------------------------------- */

bool notify_keep(struct notify *n, const char *name, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { .room = { 0 } };
    char text[128];

    if (!n)
        return false;
    int length = snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
    struct iovec part = { text, (size_t)length };
    struct msghdr message = { .msg_name = &n->systemd,
                              .msg_namelen = n->systemd_length,
                              .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof control };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd),
                           .cmsg_level = SOL_SOCKET,
                           .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(n->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

void notify_drop(struct notify *n, const char *name)
{
    char text[128];

    if (!n)
        return;
    snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    say(n, text);
}

/* ---- the watchdog ---------------------------------------------------------------------------- */

/* The same share of the period as sd_event_set_watchdog() has, by the clock of systemd's. */
static void arm_ping(struct notify *n)
{
    sd_event_source_set_time_relative(n->ping, n->period / 2);
    sd_event_source_set_time_accuracy(n->ping, n->period / 4);
    sd_event_source_set_enabled(n->ping, SD_EVENT_ONESHOT);
}

static int on_ping(sd_event_source *source, uint64_t usec, void *context)
{
    struct notify *n = context;

    (void)source, (void)usec;
    say(n, "WATCHDOG=1");
    arm_ping(n);
    return 0;
}

static void set_period(struct notify *n, uint64_t period)
{
    char text[64];

    if (period > n->unit)
        period = n->unit;
    if (n->period == period)
        return;
    /* the ping first: systemd counts the new time from the last one */
    snprintf(text, sizeof text, "WATCHDOG=1\nWATCHDOG_USEC=%llu", (unsigned long long)period);
    if (!say(n, text))
        return; /* with the next change of work */
    n->period = period;
    arm_ping(n);
}

static int on_rest(sd_event_source *source, void *context)
{
    struct notify *n = context;

    (void)source;
    if (n->work == 0)
        set_period(n, n->unit);
    return 0;
}

void notify_begin_work(struct notify *n)
{
    if (!n)
        return;
    n->work++;
    set_period(n, at_work);
}

void notify_end_work(struct notify *n)
{
    if (n && --n->work == 0 && n->period != n->unit)
        sd_event_source_set_enabled(n->rest, SD_EVENT_ONESHOT);
}

static int start_watchdog(struct notify *n, sd_event *event)
{
    if (sd_watchdog_enabled(0, &n->unit) <= 0) {
        n->unit = 0;
        return 0;
    }
    n->period = n->unit;
    if (sd_event_add_time_relative(event, &n->ping, CLOCK_MONOTONIC, 0, 0, on_ping, n) < 0 ||
        sd_event_add_defer(event, &n->rest, on_rest, n) < 0)
        return -1;
    sd_event_source_set_enabled(n->rest, SD_EVENT_OFF);
    arm_ping(n);
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct notify *notify_new(sd_event *event, notify_status_fn status, void *context)
{
    const char *listens = getenv("NOTIFY_SOCKET");
    struct notify *n = listens && *listens ? calloc(1, sizeof *n) : NULL;

    if (!n)
        return NULL;
    *n = (struct notify){ .socket = -1, .owes_ready = true, .status = status, .context = context };
    if (open_socket(n, listens) < 0 ||
        sd_event_add_time(event, &n->look, CLOCK_BOOTTIME, 0, 1, on_look, n) < 0 ||
        start_watchdog(n, event) < 0)
        return notify_free(n);
    sd_event_source_set_enabled(n->look, SD_EVENT_OFF);
    return n;
}

struct notify *notify_free(struct notify *n)
{
    if (!n)
        return NULL;
    sd_event_source_disable_unref(n->look);
    sd_event_source_disable_unref(n->ping);
    sd_event_source_disable_unref(n->rest);
    if (n->socket >= 0)
        close(n->socket);
    free(n);
    return NULL;
}
