#define _GNU_SOURCE
#include "daemon/system_watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/time.h"

/* Between two calls for the network's sake: a router's thousand routes are one change. */
static const uint64_t network_pause = 10 * USEC_PER_SEC;
/* A sleep that is worth a word; less may be what passes between two looks at two clocks. */
static const uint64_t least_sleep = USEC_PER_SEC;

struct system_watch {
    sd_event *event;
    system_watch_fn changed;
    void *context;
    unsigned wanted;
    uint64_t told, told_route; /* of a change of the network, and of the way out */
    uint64_t slept;            /* in all, when that was looked at last */
    int clock, network;
    sd_event_source *clock_source, *network_source;
};

/* ---- the clock ------------------------------------------------------------------------------- */

/* A timer that never comes, but is cancelled when the clock is set (timerfd_create(2)). */
static void arm_clock(const struct system_watch *w)
{
    const struct itimerspec never = { .it_value = { .tv_sec = INT32_MAX } };

    timerfd_settime(w->clock, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

/* CLOCK_MONOTONIC stands still while the machine sleeps. */
static uint64_t time_slept(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return time_boottime() - ((uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000);
}

/* The kernel takes a resume for a clock that was set, too (timerfd_resume() in fs/timerfd.c). */
static bool has_slept(struct system_watch *w)
{
    uint64_t slept = time_slept();
    bool news = slept >= w->slept + least_sleep;

    w->slept = slept;
    return news;
}

static int on_clock(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct system_watch *w = context;
    uint64_t times;

    (void)source, (void)events;
    if (read(fd, &times, sizeof times) < 0 && errno == ECANCELED)
        w->changed(w->context, has_slept(w) ? SYSTEM_RESUME : SYSTEM_CLOCK);
    arm_clock(w);
    return 0;
}

static void open_clock(struct system_watch *w)
{
    w->clock = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (w->clock < 0)
        return;
    w->slept = time_slept();
    arm_clock(w);
    if (sd_event_add_io(w->event, &w->clock_source, w->clock, EPOLLIN, on_clock, w) >= 0)
        sd_event_source_set_priority(w->clock_source, SD_EVENT_PRIORITY_IMPORTANT);
}

/* ---- the network ----------------------------------------------------------------------------- */

struct news {
    bool came;  /* an address or a route */
    bool route; /* a default one came, or went */
};

/* OpenVPN covers a default route by its two halves; WireGuard has one in a table of its own. */
static bool is_default_route(const struct nlmsghdr *m)
{
    const struct rtmsg *route = (const void *)((const char *)m + NLMSG_HDRLEN); /* NLMSG_DATA(m) */

    return m->nlmsg_len >= NLMSG_LENGTH(sizeof *route) && route->rtm_dst_len <= 1 &&
           route->rtm_type == RTN_UNICAST;
}

static void read_news(struct nlmsghdr *m, size_t length, struct news *news)
{
    for (size_t left = length; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
        bool new_route = m->nlmsg_type == RTM_NEWROUTE;
        news->came |= new_route || m->nlmsg_type == RTM_NEWADDR;
        if (new_route || m->nlmsg_type == RTM_DELROUTE)
            news->route |= is_default_route(m);
    }
}

/* Whether it was not told lately; then it is now. */
static bool is_time(uint64_t *told, uint64_t now)
{
    if (*told > 0 && now - *told < network_pause)
        return false;
    *told = now;
    return true;
}

static int on_network(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct system_watch *w = context;
    union {
        struct nlmsghdr aligned;
        char bytes[8192];
    } in;
    struct news news = { false, false };
    uint64_t now = time_boottime();
    ssize_t n;

    (void)source, (void)events;
    while ((n = recv(fd, in.bytes, sizeof in.bytes, MSG_DONTWAIT)) > 0)
        read_news(&in.aligned, (size_t)n, &news);
    if (n < 0 && errno == ENOBUFS) /* so much that some was lost */
        news = (struct news){ true, true };
    bool route = news.route && is_time(&w->told_route, now);
    if (route || (news.came && is_time(&w->told, now)))
        w->changed(w->context, route ? SYSTEM_ROUTE : SYSTEM_NETWORK);
    return 0;
}

/* While nobody waits the kernel wakes us for what is_default_route() takes alone. */
static void listen_to_default_routes(int fd)
{
    const uint32_t body = NLMSG_HDRLEN;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 4),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, body + offsetof(struct rtmsg, rtm_dst_len)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 2, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, body + offsetof(struct rtmsg, rtm_type)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTN_UNICAST, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog filter = { sizeof code / sizeof *code, code };

    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

static void listen_to_all(int fd)
{
    const int unused = 0;

    setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
}

static void open_network(struct system_watch *w)
{
    const struct sockaddr_nl groups = { .nl_family = AF_NETLINK,
                                        .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                                                     RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE };

    w->network = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (w->network < 0)
        return;
    listen_to_default_routes(w->network);
    if (bind(w->network, (const struct sockaddr *)&groups, sizeof groups) == 0)
        sd_event_add_io(w->event, &w->network_source, w->network, EPOLLIN, on_network, w);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct system_watch *system_watch_new(sd_event *event, system_watch_fn changed, void *context)
{
    struct system_watch *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    *w = (struct system_watch){
        .event = event, .changed = changed, .context = context, .clock = -1, .network = -1
    };
    open_clock(w);
    open_network(w);
    return w;
}

struct system_watch *system_watch_free(struct system_watch *w)
{
    if (!w)
        return NULL;
    sd_event_source_disable_unref(w->network_source);
    if (w->network >= 0)
        close(w->network);
    sd_event_source_disable_unref(w->clock_source);
    if (w->clock >= 0)
        close(w->clock);
    free(w);
    return NULL;
}

void system_watch_want(struct system_watch *w, bool more)
{
    if (!w)
        return;
    if (more && w->wanted++ == 0)
        listen_to_all(w->network);
    else if (!more && --w->wanted == 0)
        listen_to_default_routes(w->network);
}
