#define _GNU_SOURCE
#include "daemon/history.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/container.h"

struct topic;

struct node {
    struct history_entry entry; /* its texts are its own */
    struct history *history;
    struct topic *topic;
    TAILQ_ENTRY(node) of_all, of_topic; /* both by id */
};

TAILQ_HEAD(nodes, node);

/* What concerns one profile, or (no name) the daemon. */
struct topic {
    char *name;
    struct nodes nodes;
    unsigned hand_outs, others;
    uint64_t lost;
};

struct history {
    struct nodes nodes;
    struct node *spare; /* of an entry that is gone, for the next: most are added to another soon */
    struct topic daemon;
    struct topic **topics; /* by name */
    size_t n_topics;
    unsigned n_nodes, n_unlooked;
    uint64_t last_id, lost;
    void (*changed)(void *context);
    void *context;
};

struct history *history_new(void)
{
    struct history *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    TAILQ_INIT(&h->nodes);
    TAILQ_INIT(&h->daemon.nodes);
    return h;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static struct node *node_of(const struct history_entry *entry)
{
    return container_of((struct history_entry *)(uintptr_t)entry, struct node, entry);
}

static struct node *last_of(const struct nodes *list)
{
    return TAILQ_LAST(list, nodes);
}

static struct node *before_of_all(const struct node *n)
{
    return TAILQ_PREV(n, nodes, of_all);
}

static struct node *before_of_topic(const struct node *n)
{
    return TAILQ_PREV(n, nodes, of_topic);
}

static unsigned *counter_of(struct node *n)
{
    return n->entry.kind == HISTORY_HAND_OUT ? &n->topic->hand_outs : &n->topic->others;
}

static void clear_texts(struct history_entry *e)
{
    free((char *)(uintptr_t)e->text);
    free((char *)(uintptr_t)e->key);
    free((char *)(uintptr_t)e->previous_key);
}

static void node_free(struct node *n)
{
    struct history *h = n->history;

    TAILQ_REMOVE(&h->nodes, n, of_all);
    TAILQ_REMOVE(&n->topic->nodes, n, of_topic);
    --*counter_of(n);
    h->n_nodes--;
    h->n_unlooked -= n->entry.unlooked;
    clear_texts(&n->entry);
    free(h->spare);
    h->spare = n;
}

/* The latest thing that happened is the last. */
static void enqueue(struct node *n)
{
    n->entry.id = ++n->history->last_id;
    TAILQ_INSERT_TAIL(&n->history->nodes, n, of_all);
    TAILQ_INSERT_TAIL(&n->topic->nodes, n, of_topic);
}

static void move_to_end(struct node *n)
{
    TAILQ_REMOVE(&n->history->nodes, n, of_all);
    TAILQ_REMOVE(&n->topic->nodes, n, of_topic);
    enqueue(n);
}

static void drop(struct node *n)
{
    uint64_t id = n->entry.id;

    if (id > n->history->lost)
        n->history->lost = id;
    if (id > n->topic->lost)
        n->topic->lost = id;
    node_free(n);
}

/* The daemon's start stays: it says since when there is anything. */
static struct node *oldest(struct history *h)
{
    struct node *n = TAILQ_FIRST(&h->nodes);

    return n->entry.kind == HISTORY_STARTED && TAILQ_NEXT(n, of_all) ? TAILQ_NEXT(n, of_all) : n;
}

static struct node *oldest_of(struct topic *t, bool hand_out)
{
    struct node *n;

    TAILQ_FOREACH (n, &t->nodes, of_topic)
        if ((n->entry.kind == HISTORY_HAND_OUT) == hand_out && n->entry.kind != HISTORY_STARTED)
            return n;
    return NULL;
}

static void make_room(struct history *h, struct topic *t, bool hand_out)
{
    if ((hand_out ? t->hand_outs : t->others) >= HISTORY_PROFILE_MAX)
        drop(oldest_of(t, hand_out));
    if (h->n_nodes >= HISTORY_MAX)
        drop(oldest(h));
}

static char *copy(const char *text)
{
    return text && *text ? strdup(text) : NULL;
}

static struct node *append(struct history *h, struct topic *t, const struct history_entry *entry)
{
    struct node *n = h->spare ? h->spare : malloc(sizeof *n);

    h->spare = NULL;
    if (!n)
        return NULL;
    make_room(h, t, entry->kind == HISTORY_HAND_OUT);
    *n = (struct node){ .entry = *entry, .history = h, .topic = t };
    n->entry.profile = t->name;
    n->entry.first = entry->at;
    n->entry.count = n->entry.processes = 1;
    n->entry.text = copy(entry->text);
    n->entry.key = copy(entry->key);
    n->entry.previous_key = copy(entry->previous_key);
    enqueue(n);
    ++*counter_of(n);
    h->n_nodes++;
    h->n_unlooked += entry->unlooked;
    return n;
}

/* ---- topics ---------------------------------------------------------------------------------- */

/* Where the name is, or would be. */
static size_t place_of(const struct history *h, const char *name, bool *ret_there)
{
    size_t from = 0, to = h->n_topics;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strcmp(name, h->topics[middle]->name);
        *ret_there = order == 0;
        if (order == 0)
            return middle;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    *ret_there = false;
    return from;
}

static struct topic *topic_new(const char *name)
{
    struct topic *t = calloc(1, sizeof *t);

    if (t)
        t->name = strdup(name);
    if (!t || !t->name) {
        free(t);
        return NULL;
    }
    TAILQ_INIT(&t->nodes);
    return t;
}

static void topic_clear(struct topic *t)
{
    struct node *n;

    while ((n = TAILQ_FIRST(&t->nodes)))
        node_free(n);
}

static struct topic *topic_of(struct history *h, const char *name)
{
    bool there;

    if (!name)
        return &h->daemon;
    size_t at = place_of(h, name, &there);
    if (there)
        return h->topics[at];
    struct topic **more = reallocarray(h->topics, h->n_topics + 1, sizeof(struct topic *));
    if (!more)
        return NULL;
    h->topics = more;
    struct topic *t = topic_new(name);
    if (!t)
        return NULL;
    memmove(more + at + 1, more + at, (h->n_topics - at) * sizeof *more);
    more[at] = t;
    h->n_topics++;
    return t;
}

void history_forget(struct history *h, const char *profile)
{
    bool there;

    if (!h)
        return;
    size_t at = place_of(h, profile, &there);
    if (!there)
        return;
    struct topic *t = h->topics[at];
    topic_clear(t);
    free(t->name);
    free(t);
    h->n_topics--;
    memmove(h->topics + at, h->topics + at + 1, (h->n_topics - at) * sizeof(struct topic *));
}

struct history *history_free(struct history *h)
{
    if (!h)
        return NULL;
    while (h->n_topics > 0)
        history_forget(h, h->topics[h->n_topics - 1]->name);
    topic_clear(&h->daemon);
    free(h->spare);
    free(h->topics);
    free(h);
    return NULL;
}

/* ---- what belongs together ------------------------------------------------------------------- */

static bool is_same_process(const struct history_entry *a, const struct history_entry *b)
{
    return a->pid > 0 && a->pid == b->pid && a->started == b->started;
}

/* The entry of an earlier hand-out that this one is told with, or NULL. */
static struct node *companion(struct topic *t, const struct history_entry *e)
{
    struct node *n;

    for (n = last_of(&t->nodes); n; n = before_of_topic(n)) {
        const struct history_entry *o = &n->entry;
        if (o == e || o->kind != HISTORY_HAND_OUT || o->unlooked || o->token != e->token ||
            strcmp(o->program, e->program) != 0)
            continue;
        if (is_same_process(o, e) || o->at + HISTORY_TOGETHER >= e->at)
            return n;
    }
    return NULL;
}

/* A failure that comes again is one with the one before it, as long as nothing else happened than
 * other failures and hand-outs. */
static struct node *same_failure(struct topic *t, const struct history_entry *e)
{
    struct node *n;

    for (n = last_of(&t->nodes); n; n = before_of_topic(n))
        if (n->entry.kind == HISTORY_FAILURE && n->entry.code == e->code &&
            n->entry.by_refresh_token == e->by_refresh_token)
            return n;
        else if (n->entry.kind != HISTORY_FAILURE && n->entry.kind != HISTORY_HAND_OUT)
            return NULL;
    return NULL;
}

/* So is a rejection of the same token. */
static struct node *same_rejection(struct topic *t, const struct history_entry *e)
{
    struct node *n;

    for (n = last_of(&t->nodes); n; n = before_of_topic(n))
        if (n->entry.kind == HISTORY_REJECTION && n->entry.token == e->token &&
            n->entry.told == e->told && n->entry.unfollowed == e->unfollowed)
            return n;
    return NULL;
}

static void add_hand_out(struct node *n, const struct history_entry *e)
{
    struct history_entry *to = &n->entry;

    if (!is_same_process(to, e))
        to->processes++;
    to->count++;
    to->at = e->at;
    to->pid = e->pid;
    to->started = e->started;
    to->confirmed = e->confirmed;
    move_to_end(n);
}

static void add_failure(struct node *n, const struct history_entry *e)
{
    struct history_entry *to = &n->entry;
    char *text = copy(e->text);

    free((char *)(uintptr_t)to->text);
    to->text = text;
    to->count++;
    to->at = e->at;
    to->took = e->took;
    move_to_end(n);
}

static void add_rejection(struct node *n, const struct history_entry *e)
{
    struct history_entry *to = &n->entry;

    to->count++;
    to->at = e->at;
    to->pid = e->pid;
    to->started = e->started;
    to->confirmed = e->confirmed;
    memcpy(to->program, e->program, sizeof to->program);
    to->handed_at = e->handed_at;
    move_to_end(n);
}

static void tell(const struct history *h)
{
    if (h->changed)
        h->changed(h->context);
}

void history_add(struct history *h, const char *profile, const struct history_entry *entry)
{
    struct topic *t = h ? topic_of(h, profile) : NULL;
    struct history_entry e = *entry;
    struct node *with = NULL;

    if (!t)
        return;
    if (e.unlooked && h->n_unlooked >= HISTORY_UNLOOKED_MAX) {
        e.unlooked = false;
        e.pid = 0;
    }
    if (e.kind == HISTORY_HAND_OUT && !e.unlooked)
        with = companion(t, &e);
    else if (e.kind == HISTORY_FAILURE)
        with = same_failure(t, &e);
    else if (e.kind == HISTORY_REJECTION)
        with = same_rejection(t, &e);
    if (with && e.kind == HISTORY_HAND_OUT)
        add_hand_out(with, &e);
    else if (with && e.kind == HISTORY_FAILURE)
        add_failure(with, &e);
    else if (with)
        add_rejection(with, &e);
    else
        append(h, t, &e);
    tell(h);
}

const struct history_entry *history_unlooked(const struct history *h)
{
    unsigned left = h ? h->n_unlooked : 0;
    const struct node *n;

    if (left == 0)
        return NULL;
    for (n = last_of(&h->nodes); n; n = before_of_all(n)) /* they are near the end */
        if (n->entry.unlooked && --left == 0)
            return &n->entry;
    return NULL;
}

void history_settle(struct history *h, const struct history_entry *entry,
                    const struct history_entry *found)
{
    struct node *n = node_of(entry), *with = NULL;
    struct history_entry *e = &n->entry;

    h->n_unlooked--;
    e->unlooked = false;
    e->pid = found->pid;
    e->started = found->started;
    e->confirmed = found->confirmed;
    memcpy(e->program, found->program, sizeof e->program);
    if (e->kind == HISTORY_HAND_OUT)
        with = companion(n->topic, e);
    if (with) {
        add_hand_out(with, e);
        node_free(n);
    }
    tell(h);
}

/* ---- looking --------------------------------------------------------------------------------- */

void history_on_change(struct history *h, void (*changed)(void *context), void *context)
{
    if (!h)
        return;
    h->changed = changed;
    h->context = context;
}

const struct history_entry *history_after(const struct history *h, uint64_t id)
{
    const struct node *n, *found = NULL;

    if (!h)
        return NULL;
    for (n = last_of(&h->nodes); n; n = before_of_all(n)) {
        if (n->entry.id <= id)
            break;
        found = n;
    }
    return found ? &found->entry : NULL;
}

const struct history_entry *history_next(const struct history_entry *entry)
{
    const struct node *n = TAILQ_NEXT(node_of(entry), of_all);

    return n ? &n->entry : NULL;
}

const struct history_entry *history_last(const struct history *h)
{
    const struct node *n = h ? last_of(&h->nodes) : NULL;

    return n ? &n->entry : NULL;
}

const struct history_entry *history_before(const struct history_entry *entry)
{
    const struct node *n = before_of_all(node_of(entry));

    return n ? &n->entry : NULL;
}

uint64_t history_lost(const struct history *h, const char *profile)
{
    bool there;

    if (!h)
        return 0;
    if (!profile)
        return h->lost;
    size_t at = place_of(h, profile, &there);
    uint64_t lost = there ? h->topics[at]->lost : 0;
    return lost > h->daemon.lost ? lost : h->daemon.lost;
}
