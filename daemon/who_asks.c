#include "daemon/who_asks.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/peer_process.h"

enum { KNOWN = 64 };

/* Processes that were looked at. The same pid may be another's after a while: the kernel goes
 * through all the others first. */
static const uint64_t known_for = 10 * USEC_PER_SEC;

struct known {
    pid_t pid;
    uint64_t looked;
    struct peer_process process;
};

struct who_asks {
    sd_event_source *source;
    struct history *history;
    void (*settled)(void *context);
    void *context;
    bool wanted;
    struct known known[KNOWN];
};

/* w: NULL, nobody is known. */
static const struct peer_process *look(struct who_asks *w, pid_t pid, uint64_t now,
                                       struct known *room)
{
    struct known *k = w ? &w->known[(unsigned)pid % KNOWN] : room;

    if (pid > 0 && k->pid == pid && now - k->looked < known_for)
        return &k->process;
    k->pid = 0;
    if (pid <= 0 || peer_process_read(pid, &k->process) < 0)
        return NULL;
    k->pid = pid;
    k->looked = now;
    return &k->process;
}

/* Our own client, by the names that it is installed under: it asks for somebody else. */
static bool is_client(const char *name)
{
    return strcmp(name, "kubetoken") == 0 || strcmp(name, "kubectl-kubetok") == 0;
}

/* The process, if it is the one that was there at that time. */
static bool take(struct history_entry *ret, pid_t pid, const struct peer_process *p, bool confirmed)
{
    if (!p || p->started > ret->at)
        return false;
    ret->pid = pid;
    ret->started = p->started;
    ret->confirmed = confirmed;
    memcpy(ret->program, p->name, sizeof ret->program);
    return true;
}

/* Into *ret, which has at. The client may be gone by now: then what it said is all there is. */
static void find(struct who_asks *w, pid_t peer, pid_t pid, struct history_entry *ret)
{
    uint64_t now = time_boottime();
    struct known room = { .pid = 0 };
    const struct peer_process *p = look(w, peer, now, &room);
    pid_t parent = p ? p->parent : 0;

    if (!p || p->started > ret->at)
        take(ret, pid, look(w, pid, now, &room), false);
    else if (is_client(p->name))
        take(ret, parent, look(w, parent, now, &room), true);
    else
        take(ret, peer, p, true);
}

void who_asks_find(struct who_asks *w, pid_t peer, pid_t pid, struct history_entry *ret)
{
    ret->at = time_boottime();
    find(w, peer, pid, ret);
}

void who_asks_settle(struct who_asks *w)
{
    const struct history_entry *e;

    while ((e = history_unlooked(w->history))) {
        struct history_entry found = { .at = e->at };
        find(w, e->peer, e->pid, &found);
        history_settle(w->history, e, &found);
    }
}

static int on_idle(sd_event_source *source, void *context)
{
    struct who_asks *w = context;

    who_asks_settle(w);
    sd_event_source_set_enabled(source, SD_EVENT_OFF); /* what was settled has changed, too */
    if (w->wanted)
        w->settled(w->context);
    return 0;
}

/* Most of those who get a token cost the loop no turn more: they are looked at already, or one turn
 * does for many. */
static void on_change(void *context)
{
    const struct who_asks *w = context;

    if (w->wanted || history_unlooked(w->history))
        sd_event_source_set_enabled(w->source, SD_EVENT_ONESHOT);
}

void who_asks_tell(struct who_asks *w, bool wanted)
{
    w->wanted = wanted;
    if (wanted)
        sd_event_source_set_enabled(w->source, SD_EVENT_ONESHOT);
}

struct who_asks *who_asks_new(sd_event *event, struct history *history,
                              void (*settled)(void *context), void *context)
{
    struct who_asks *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->history = history;
    w->settled = settled;
    w->context = context;
    if (sd_event_add_defer(event, &w->source, on_idle, w) < 0 ||
        sd_event_source_set_priority(w->source, SD_EVENT_PRIORITY_IDLE) < 0 ||
        sd_event_source_set_enabled(w->source, SD_EVENT_OFF) < 0)
        return who_asks_free(w);
    history_on_change(history, on_change, w);
    return w;
}

struct who_asks *who_asks_free(struct who_asks *w)
{
    if (!w)
        return NULL;
    history_on_change(w->history, NULL, NULL);
    sd_event_source_disable_unref(w->source);
    free(w);
    return NULL;
}
