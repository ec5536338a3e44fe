#define _GNU_SOURCE
#include "daemon/holders.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/peer_process.h"

struct held {
    struct holders *holders;
    struct holder holder;
    int pidfd;
    sd_event_source *source;
    TAILQ_ENTRY(held) entry; /* the eldest first */
};

TAILQ_HEAD(list, held);

struct holders {
    sd_event *event;
    void (*changed)(void *context);
    void *context;
    struct list list;
    size_t n;
};

struct holders *holders_new(sd_event *event, void (*changed)(void *context), void *context)
{
    struct holders *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    *h = (struct holders){ .event = event, .changed = changed, .context = context };
    TAILQ_INIT(&h->list);
    return h;
}

static void drop(struct held *one)
{
    TAILQ_REMOVE(&one->holders->list, one, entry);
    one->holders->n--;
    sd_event_source_disable_unref(one->source); /* before the descriptor closes */
    close(one->pidfd);
    free(one);
}

struct holders *holders_free(struct holders *h)
{
    if (!h)
        return NULL;
    while (!TAILQ_EMPTY(&h->list))
        drop(TAILQ_FIRST(&h->list)); // NOLINT(clang-analyzer-unix.Malloc)
    free(h);
    return NULL;
}

/* A pidfd can be read once its process has ended. */
static int on_end(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct held *one = context;
    struct holders *h = one->holders;

    (void)source, (void)fd, (void)events;
    drop(one);
    h->changed(h->context);
    return 0;
}

int holders_add(struct holders *h, int pidfd, pid_t pid, uint64_t min_validity)
{
    struct held *one = calloc(1, sizeof *one);
    pid_t parent;

    if (!one || sd_event_add_io(h->event, &one->source, pidfd, EPOLLIN, on_end, one) < 0) {
        free(one);
        close(pidfd);
        return -1;
    }
    if (h->n >= HOLDERS_MAX)
        drop(TAILQ_FIRST(&h->list));
    one->holders = h;
    one->pidfd = pidfd;
    one->holder = (struct holder){ .pid = pid, .min_validity = min_validity };
    if (peer_process_look(pid, &parent, &one->holder.started) < 0)
        one->holder.started = 0;
    TAILQ_INSERT_TAIL(&h->list, one, entry);
    h->n++;
    return 0;
}

void holders_resume(struct holders *h, const struct holder *holder)
{
    uint64_t started;
    pid_t parent, pid = (pid_t)holder->pid;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (pidfd < 0)
        return;
    /* what runs now is behind the pidfd, or has ended */
    if (peer_process_look(pid, &parent, &started) < 0 || started != holder->started)
        close(pidfd);
    else
        holders_add(h, pidfd, pid, holder->min_validity);
}

bool holders_any(const struct holders *h)
{
    return h && h->n > 0;
}

uint64_t holders_min_validity(const struct holders *h)
{
    uint64_t most = 0;
    const struct held *one;

    if (!h)
        return 0;
    TAILQ_FOREACH (one, &h->list, entry)
        if (one->holder.min_validity > most)
            most = one->holder.min_validity;
    return most;
}

size_t holders_list(const struct holders *h, struct holder out[HOLDERS_MAX])
{
    const struct held *one;
    size_t n = 0;

    if (!h)
        return 0;
    TAILQ_FOREACH (one, &h->list, entry)
        if (one->holder.started > 0)
            out[n++] = one->holder;
    return n;
}
