#define _GNU_SOURCE
#include "daemon/round.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/container.h"
#include "common/time.h"
#include "daemon/memory.h"
#include "daemon/render.h"

/* One profile's part. */
struct part {
    struct round *round;
    struct waiter waiter;
    bool is_over;
    struct error error; /* ERROR_NONE: there is a new token */
    char name[PROTOCOL_NAME_MAX + 1];
};

struct round {
    void (*done)(void *context, const struct round_end *end);
    void *context;
    sd_event_source *source; /* tells what came of it, in a turn of the loop of its own */
    size_t n, n_left;
    struct part parts[];
};

static void end_part(struct part *part, const struct error *why)
{
    struct round *r = part->round;

    part->is_over = true;
    if (why)
        part->error = *why;
    if (--r->n_left == 0)
        sd_event_source_set_enabled(r->source, SD_EVENT_ONESHOT);
}

static void on_ready(struct waiter *waiter, struct profile *profile, const struct error *why)
{
    (void)profile;
    end_part(container_of(waiter, struct part, waiter), why);
}

static enum error_code worst(const struct round *r)
{
    enum error_code code = ERROR_NONE;

    for (size_t i = 0; i < r->n; i++)
        code = render_worse(code, r->parts[i].error.code);
    return code;
}

static int on_end(sd_event_source *source, void *context)
{
    struct round *r = context;
    char *tokens = NULL, *errors = NULL, line[1024];
    size_t size;
    FILE *good = memory_stream(&tokens, &size), *bad = memory_stream(&errors, &size);

    (void)source;
    for (size_t i = 0; good && bad && i < r->n; i++) {
        const struct part *part = &r->parts[i];
        if (part->error.code == ERROR_NONE) {
            fprintf(good, "%s: a new token\n", part->name);
            continue;
        }
        error_line(line, sizeof line, part->name, part->error.code, part->error.detail);
        fputs(line, bad);
    }
    memory_close(good, &tokens);
    memory_close(bad, &errors);
    const struct round_end end = { tokens ? tokens : "", errors ? errors : "", worst(r) };
    r->done(r->context, &end); /* r may be gone now */
    free(tokens);
    free(errors);
    return 0;
}

static void start_part(struct part *part, struct profile *profile, const struct waiter *like)
{
    struct error why;

    part->waiter = *like;
    snprintf(part->name, sizeof part->name, "%s", profile_config(profile)->name);
    switch (profile_want(profile, &part->waiter, time_boottime(), &why)) {
    case PROFILE_QUEUED:
        return;
    case PROFILE_TOKEN:
        end_part(part, NULL);
        return;
    case PROFILE_ERROR:
        end_part(part, &why);
        return;
    }
}

struct round *round_start(struct profiles *profiles, const struct request *request, pid_t peer,
                          uint64_t deadline,
                          void (*done)(void *context, const struct round_end *end), void *context)
{
    size_t n;
    struct profile *const *list = profiles_list(profiles, &n);
    struct round *r = calloc(1, sizeof *r + n * sizeof *r->parts);
    struct waiter like = {
        .request = *request, .peer = peer, .deadline = deadline, .ready = on_ready
    };

    like.request.verb = VERB_REFRESH;
    if (!r || sd_event_add_defer(profiles_context(profiles)->event, &r->source, on_end, r) < 0) {
        free(r);
        return NULL;
    }
    sd_event_source_set_enabled(r->source, n == 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
    r->done = done;
    r->context = context;
    r->n = r->n_left = n;
    for (size_t i = 0; i < n; i++)
        r->parts[i].round = r;
    for (size_t i = 0; i < n; i++)
        start_part(&r->parts[i], list[i], &like);
    return r;
}

struct round *round_free(struct round *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < r->n; i++)
        profile_forget(&r->parts[i].waiter);
    sd_event_source_disable_unref(r->source);
    free(r);
    return NULL;
}

void round_words(const struct round *r, uint64_t now, char *out, size_t size)
{
    char words[512];

    for (size_t i = 0; i < r->n; i++) {
        const struct part *part = &r->parts[i];
        if (part->is_over || !part->waiter.profile)
            continue;
        profile_words(part->waiter.profile, now, words, sizeof words);
        snprintf(out, size, "%zu of %zu profiles done; %s: %s", r->n - r->n_left, r->n, part->name,
                 words);
        return;
    }
    snprintf(out, size, "%zu profiles done", r->n);
}
