#define _GNU_SOURCE
#include "daemon/file_watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "common/paths.h"
#include "daemon/secret_source.h"

struct file_watch {
    sd_event_source *folders[2];
    file_watch_fn changed;
    void *context;
};

static int on_event(sd_event_source *source, const struct inotify_event *event, void *context)
{
    const struct file_watch *w = context;

    (void)source, (void)event;
    w->changed(w->context);
    return 0;
}

static void add(struct file_watch *w, sd_event *event, const struct source *source, size_t slot)
{
    char folder[PATHS_MAX];

    if (source->kind != SOURCE_FILE || paths_expand(source->text, "", folder) < 0)
        return;
    *strrchr(folder, '/') = '\0';
    /* not IN_MODIFY: a file that is being written is not ready to be read */
    if (sd_event_add_inotify(event, &w->folders[slot], *folder ? folder : "/",
                             IN_CLOSE_WRITE | IN_MOVED_TO | IN_ATTRIB | IN_CREATE, on_event, w) < 0)
        w->folders[slot] = NULL;
}

struct file_watch *file_watch_new(sd_event *event, const struct profile_config *config,
                                  file_watch_fn changed, void *context)
{
    struct file_watch *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    *w = (struct file_watch){ .changed = changed, .context = context };
    add(w, event, &config->password, 0);
    add(w, event, &config->client_secret, 1);
    return w->folders[0] || w->folders[1] ? w : file_watch_free(w);
}

struct file_watch *file_watch_free(struct file_watch *w)
{
    if (!w)
        return NULL;
    sd_event_source_disable_unref(w->folders[0]);
    sd_event_source_disable_unref(w->folders[1]);
    free(w);
    return NULL;
}
