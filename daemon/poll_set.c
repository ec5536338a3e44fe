#define _GNU_SOURCE
#include "daemon/poll_set.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* In one turn of the loop: others have theirs, too. Those that are left come first in the next. */
enum { A_TURN = 16 };

struct poll_set {
    int fd;
    sd_event_source *source;
    void (*ready)(void *who, uint32_t events);
    struct epoll_event seen[A_TURN];
    int n, at; /* of them; the one that is being told */
    size_t members;
    void *latest; /* of them, the one that was added last, and what is asked for; or NULL */
    uint32_t asked;
};

/* Whether it need not be asked who it is: a read tells if it was another that has gone since. */
static bool is_alone(const struct poll_set *p)
{
    return p->members == 1 && p->latest && p->asked == EPOLLIN;
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct poll_set *p = context;

    (void)source, (void)events;
    if (is_alone(p)) {
        p->ready(p->latest, EPOLLIN);
        return 0;
    }
    p->n = epoll_wait(fd, p->seen, A_TURN, 0);
    for (p->at = 0; p->at < p->n; p->at++)
        if (p->seen[p->at].data.ptr)
            p->ready(p->seen[p->at].data.ptr, p->seen[p->at].events);
    p->n = 0;
    return 0;
}

struct poll_set *poll_set_new(sd_event *event, void (*ready)(void *who, uint32_t events))
{
    struct poll_set *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->ready = ready;
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0 || sd_event_add_io(event, &p->source, p->fd, EPOLLIN, on_ready, p) < 0)
        return poll_set_free(p);
    return p;
}

struct poll_set *poll_set_free(struct poll_set *p)
{
    if (!p)
        return NULL;
    sd_event_source_disable_unref(p->source);
    if (p->fd >= 0)
        close(p->fd);
    free(p);
    return NULL;
}

static int control(const struct poll_set *p, int what, int fd, uint32_t events, void *who)
{
    struct epoll_event e = { .events = events, .data.ptr = who };

    return epoll_ctl(p->fd, what, fd, &e) < 0 ? -errno : 0;
}

int poll_set_add(struct poll_set *p, int fd, uint32_t events, void *who)
{
    int r = control(p, EPOLL_CTL_ADD, fd, events, who);

    if (r < 0)
        return r;
    p->members++;
    p->latest = who;
    p->asked = events;
    return 0;
}

int poll_set_change(struct poll_set *p, int fd, uint32_t events, void *who)
{
    int r = control(p, EPOLL_CTL_MOD, fd, events, who);

    if (r == 0 && who == p->latest)
        p->asked = events;
    return r;
}

void poll_set_remove(struct poll_set *p, int fd, const void *who)
{
    control(p, EPOLL_CTL_DEL, fd, 0, NULL);
    p->members--;
    if (who == p->latest)
        p->latest = NULL;
    for (int i = p->at; i < p->n; i++)
        if (p->seen[i].data.ptr == who)
            p->seen[i].data.ptr = NULL;
}
