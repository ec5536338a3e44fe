/*
 * notify - what systemd is told (sd_notify(3)): that we serve, how all stands, and that we live.
 * Where no systemd listens nothing of it happens.
 *
 * How all stands (STATUS=) is asked for when something has changed, at most once a second, however
 * many profiles fail at once, and sent when it is something else than before.
 *
 * The watchdog is the unit's while nothing is to be done, and shorter, never longer, while work is
 * in hand: from the first request that is not answered at once, or the first attempt, until the
 * last of them ends.
 */
#ifndef KUBETOKEN_NOTIFY_H
#define KUBETOKEN_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

struct error;
struct notify;

enum { NOTIFY_STATUS_MAX = 1024 };

/* Writes how all stands, one line, cut at size - 1. */
typedef void (*notify_status_fn)(void *context, char *out, size_t size);

/* Starts the watchdog, if the unit has one. NULL: no memory, or no systemd. All others take NULL.
 */
struct notify *notify_new(sd_event *event, notify_status_fn status, void *context);
struct notify *notify_free(struct notify *notify);

/* The files are about to be read again; notify_ready() ends that. */
void notify_reloading(struct notify *notify);
/* Clients are served from now on. Says how all stands too. */
void notify_ready(struct notify *notify);
/* This is the end; why: it is one before the start, NULL: it is not. */
void notify_stopping(struct notify *notify, const struct error *why);

/* How all stands may be something else now. */
void notify_changed(struct notify *notify);

/* Has systemd keep a descriptor over a restart, by that name (FDNAME=). Returns whether it was
 * told: whether it has room for it nobody says. And not any more. */
bool notify_keep(struct notify *notify, const char *name, int fd);
void notify_drop(struct notify *notify, const char *name);

/* A request or an attempt begins, and ends: each once. */
void notify_begin_work(struct notify *notify);
void notify_end_work(struct notify *notify);

#endif
