/*
 * file_watch - tells when the files that a profile's secrets come from may have changed.
 */
#ifndef KUBETOKEN_FILE_WATCH_H
#define KUBETOKEN_FILE_WATCH_H

#include <systemd/sd-event.h>

#include "daemon/config.h"

struct file_watch;

typedef void (*file_watch_fn)(void *context);

/* Watches the folders of those files: editors and secret managers replace a file by another.
 * The callback may free the watch. NULL: there is no such file, or it cannot be watched; then
 * the next request looks. */
struct file_watch *file_watch_new(sd_event *event, const struct profile_config *config,
                                  file_watch_fn changed, void *context);
struct file_watch *file_watch_free(struct file_watch *watch);

#endif
