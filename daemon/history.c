#define _GNU_SOURCE
#include "daemon/history.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/container.h"

struct topic;

struct node {
    struct topic *topic;
    TAILQ_ENTRY(node) of_all, of_topic; /* both by id */
    struct history_entry entry; /* as much of it as entry_size() says; texts by words_take() */
};

TAILQ_HEAD(nodes, node);

/* Of one entry, or of several in a row that name the same key. */
struct words {
    unsigned users;
    char text[];
};

/* What concerns one profile, or (no name) the daemon. */
struct topic {
    struct history *history;
    char *name;
    struct nodes nodes;
    unsigned hand_outs, others;
    uint64_t lost;
};

struct history {
    struct nodes nodes;
    struct node
        *spare; /* of a hand-out that is gone, for the next: most are added to another soon */
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
    h->daemon.history = h;
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

static bool has_key(enum history_kind kind)
{
    return kind == HISTORY_TOKEN || kind == HISTORY_REJECTION || kind == HISTORY_KEY;
}

/* How much of an entry there is to keep. */
static size_t entry_size(const struct history_entry *e)
{
    switch (e->kind) {
    case HISTORY_STARTED:
    case HISTORY_RELOAD:
    case HISTORY_LOGOUT:
    case HISTORY_IDENTITY:
    case HISTORY_UNSHARE:
        return offsetof(struct history_entry, token);
    case HISTORY_SHARE:
    case HISTORY_HAND_OUT:
        return offsetof(struct history_entry, told);
    case HISTORY_FAILURE:
        return offsetof(struct history_entry, key_gone);
    case HISTORY_TOKEN:
    case HISTORY_REJECTION:
    case HISTORY_KEY:
        break;
    }
    return offsetof(struct history_entry, findings) + e->n_findings * sizeof e->findings[0];
}

static struct words *words_of(const char *text)
{
    return container_of((char *)(uintptr_t)text, struct words, text);
}

/* The key that the latest entry with one names: the next one names the same, but for once a month.
 */
static const char *latest_key(const struct topic *t)
{
    const struct node *n;

    for (n = last_of(&t->nodes); n; n = before_of_topic(n))
        if (has_key(n->entry.kind))
            return n->entry.key;
    return NULL;
}

/* A copy, which may be another entry's too. NULL: there is none, or no memory. */
static const char *words_take(const struct topic *t, const char *text)
{
    const char *key = text && *text ? latest_key(t) : NULL;

    if (!text || !*text)
        return NULL;
    if (key && strcmp(key, text) == 0) {
        words_of(key)->users++;
        return key;
    }
    size_t length = strlen(text) + 1;
    struct words *w = malloc(sizeof *w + length);
    if (!w)
        return NULL;
    w->users = 1;
    // cppcheck-suppress memleak; it is found again by its text
    return memcpy(w->text, text, length);
}

static void words_leave(const char *text)
{
    if (text && --words_of(text)->users == 0)
        free(words_of(text));
}

static void node_free(struct node *n)
{
    struct history *h = n->topic->history;

    TAILQ_REMOVE(&h->nodes, n, of_all);
    TAILQ_REMOVE(&n->topic->nodes, n, of_topic);
    --*counter_of(n);
    h->n_nodes--;
    h->n_unlooked -= n->entry.unlooked;
    words_leave(n->entry.text);
    if (has_key(n->entry.kind)) {
        words_leave(n->entry.key);
        words_leave(n->entry.previous_key);
    }
    if (n->entry.kind == HISTORY_HAND_OUT) { /* all are of one size */
        struct node *former = h->spare;
        h->spare = n;
        n = former;
    }
    free(n);
}

/* The latest thing that happened is the last. */
static void enqueue(struct node *n)
{
    struct history *h = n->topic->history;

    n->entry.id = ++h->last_id;
    TAILQ_INSERT_TAIL(&h->nodes, n, of_all);
    TAILQ_INSERT_TAIL(&n->topic->nodes, n, of_topic);
}

static void move_to_end(struct node *n)
{
    TAILQ_REMOVE(&n->topic->history->nodes, n, of_all);
    TAILQ_REMOVE(&n->topic->nodes, n, of_topic);
    enqueue(n);
}

static void drop(struct node *n)
{
    struct history *h = n->topic->history;
    uint64_t id = n->entry.id;

    if (id > h->lost)
        h->lost = id;
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

static struct node *node_new(struct history *h, const struct history_entry *entry)
{
    struct node *n = entry->kind == HISTORY_HAND_OUT ? h->spare : NULL;
    size_t size = entry_size(entry);

    if (n)
        h->spare = NULL;
    else if (!(n = malloc(offsetof(struct node, entry) + size)))
        return NULL;
    memcpy(&n->entry, entry, size);
    return n;
}

static void append(struct history *h, struct topic *t, const struct history_entry *entry)
{
    struct node *n = node_new(h, entry);

    if (!n)
        return;
    n->topic = t;
    n->entry.profile = t->name;
    n->entry.first = entry->at;
    n->entry.count = n->entry.processes = 1;
    n->entry.text = words_take(t, entry->text);
    if (has_key(entry->kind)) {
        n->entry.key = words_take(t, entry->key);
        n->entry.previous_key = words_take(t, entry->previous_key);
    }
    make_room(h, t, entry->kind == HISTORY_HAND_OUT);
    enqueue(n);
    ++*counter_of(n);
    h->n_nodes++;
    h->n_unlooked += entry->unlooked;
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

static struct topic *topic_new(struct history *h, const char *name)
{
    struct topic *t = calloc(1, sizeof *t);

    if (t)
        t->name = strdup(name);
    if (!t || !t->name) {
        free(t);
        return NULL;
    }
    TAILQ_INIT(&t->nodes);
    t->history = h;
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
    struct topic *t = topic_new(h, name);
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

/* Both at home, or by one share. */
static bool is_same_way(const struct history_entry *a, const struct history_entry *b)
{
    return a->text && b->text ? strcmp(a->text, b->text) == 0 : a->text == b->text;
}

/* The entry of an earlier hand-out that this one is told with, or NULL. */
static struct node *companion(struct topic *t, const struct history_entry *e)
{
    struct node *n;

    for (n = last_of(&t->nodes); n; n = before_of_topic(n)) {
        const struct history_entry *o = &n->entry;
        if (o == e || o->kind != HISTORY_HAND_OUT || o->unlooked || o->token != e->token ||
            strcmp(o->program, e->program) != 0 || !is_same_way(o, e))
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
            n->entry.by_refresh_token == e->by_refresh_token && n->entry.grant == e->grant)
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
    const char *text = words_take(n->topic, e->text);

    words_leave(to->text);
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
