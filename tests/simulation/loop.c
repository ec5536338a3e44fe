/* The part of sd-event(3) that the daemon uses, on the world's queue. A source is memory of its
 * own, so that AddressSanitizer sees who touches one that is gone. */
#include "tests/simulation/world.h"

#include <stdlib.h>
#include <systemd/sd-event.h>

struct sd_event_source {
    unsigned number;
    bool first;  /* of those that are due together */
    int enabled; /* SD_EVENT_OFF, SD_EVENT_ONESHOT, SD_EVENT_ON */
    uint64_t time;
    sd_event_time_handler_t on_time; /* NULL: of a descriptor */
    sd_event_io_handler_t on_io;
    int fd;
    void *context;
    struct model *owner;
};

static sd_event_source *sources[LOOP_MAX];

static void schedule(sd_event_source *s)
{
    bool timed = s->on_time && s->enabled != SD_EVENT_OFF;
    uint64_t time = s->first || s->time > 0 ? s->time : 1;

    queue_set(&the_world->queue, EVENT_LOOP + s->number, timed ? time : NEVER);
}

static sd_event_source *add(sd_event_source **ret, void *context)
{
    unsigned n = 0;

    while (n < LOOP_MAX && sources[n])
        n++;
    sd_event_source *s = calloc(1, sizeof *s);
    if (!s || n == LOOP_MAX)
        check_broken(the_world, NULL, "the simulation", "there are too many sources of events");
    *s = (sd_event_source){ .number = n, .context = context, .owner = the_world->acting };
    sources[n] = s;
    *ret = s;
    return s;
}

int sd_event_add_time(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec,
                      uint64_t accuracy, sd_event_time_handler_t handler, void *context)
{
    sd_event_source *s = add(ret, context);

    (void)e, (void)clock, (void)accuracy;
    s->on_time = handler;
    s->time = usec;
    s->enabled = SD_EVENT_ONESHOT;
    schedule(s);
    return 0;
}

int sd_event_add_io(sd_event *e, sd_event_source **ret, int fd, uint32_t events,
                    sd_event_io_handler_t handler, void *context)
{
    sd_event_source *s = add(ret, context);

    (void)e, (void)events;
    s->on_io = handler;
    s->fd = fd;
    s->enabled = SD_EVENT_ON;
    return 0;
}

int sd_event_source_set_io_fd(sd_event_source *s, int fd)
{
    s->fd = fd;
    return 0;
}

int sd_event_source_set_time(sd_event_source *s, uint64_t usec)
{
    s->time = usec;
    schedule(s);
    return 0;
}

int sd_event_source_set_priority(sd_event_source *s, int64_t priority)
{
    s->first = priority < SD_EVENT_PRIORITY_NORMAL;
    schedule(s);
    return 0;
}

int sd_event_source_set_enabled(sd_event_source *s, int enabled)
{
    s->enabled = enabled;
    schedule(s);
    return 0;
}

sd_event_source *sd_event_source_disable_unref(sd_event_source *s)
{
    if (!s)
        return NULL;
    queue_set(&the_world->queue, EVENT_LOOP + s->number, NEVER);
    sources[s->number] = NULL;
    free(s);
    return NULL;
}

void loop_dispatch(struct world *w, unsigned number)
{
    sd_event_source *s = sources[number];

    w->acting = s->owner;
    s->enabled = SD_EVENT_OFF; /* all timers here are of one shot */
    s->on_time(s, w->now, s->context);
}

void loop_ready(int fd)
{
    for (unsigned i = 0; i < LOOP_MAX; i++) {
        sd_event_source *s = sources[i];
        if (s && s->on_io && s->fd == fd && s->enabled != SD_EVENT_OFF) {
            s->on_io(s, fd, 1, s->context);
            return;
        }
    }
}
