#define _GNU_SOURCE
#include "daemon/revocation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/config_keys.h"
#include "daemon/fetcher.h"
#include "daemon/journal.h"
#include "daemon/memory.h"
#include "daemon/secret_command.h"
#include "daemon/secret_source.h"

enum { AT_ONCE = 4 };

/* One token. */
struct part {
    struct revocation *revocation;
    enum { PART_WAITS, PART_READS_SECRET, PART_SENDS, PART_IS_OVER } stage;
    char *name;            /* of the profile */
    struct secret *job;    /* as it will be sent, but for the client's secret */
    struct source source;  /* of that secret; its text is our own */
    struct secret *client; /* where it came from a file */
    struct secret_command *command;
    struct fetcher *fetcher;
    sd_event_source *input;
    struct error error; /* ERROR_NONE: it is revoked */
    TAILQ_ENTRY(part) entry;
};

struct revocation {
    struct context *shared;
    sd_event_source *timer;
    uint64_t deadline;
    revocation_done_fn done; /* NULL: nobody wants to know */
    void *context;
    TAILQ_HEAD(part_list, part) parts;
    LIST_ENTRY(revocation) entry;
};

static int on_timer(sd_event_source *source, uint64_t usec, void *context);
static void go_on(struct revocation *r);

/* ---- one token ------------------------------------------------------------------------------- */

static void part_stop(struct part *p)
{
    p->command = secret_command_free(p->command);
    p->input = sd_event_source_disable_unref(p->input); /* before the descriptor closes */
    p->fetcher = fetcher_free(p->fetcher);
    p->job = secret_free(p->job);
    p->client = secret_free(p->client);
}

static void part_free(struct part *p)
{
    TAILQ_REMOVE(&p->revocation->parts, p, entry);
    part_stop(p);
    free(p->source.text);
    free(p->name);
    free(p);
}

/* why: NULL, it is revoked. The code says what it was, the detail how it came to that. */
static void part_end(struct part *p, const struct error *why)
{
    p->stage = PART_IS_OVER;
    part_stop(p);
    if (!why) {
        journal_write(LOG_INFO, p->name, "revoked", "the provider has revoked the refresh token");
        return;
    }
    if (why->code == ERROR_NOT_REVOKED)
        p->error = *why;
    else
        error_set(&p->error, ERROR_NOT_REVOKED, "%s%s%s", error_sentence(why->code),
                  *why->detail ? ": " : "", why->detail);
    journal_write(LOG_NOTICE, p->name, error_name(ERROR_NOT_REVOKED), "%s: %s",
                  error_sentence(ERROR_NOT_REVOKED), p->error.detail);
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct part *p = context;
    struct result result;
    struct error why;

    (void)fd, (void)events;
    int r = fetcher_read(p->fetcher, &result, &why);
    if (r == 0) {
        sd_event_source_set_io_fd(source, fetcher_fd(p->fetcher));
        context_progress(p->revocation->shared);
        return 0;
    }
    if (r > 0) {
        why = result.error;
        if (result.outcome == OUTCOME_TOKEN || result.outcome == OUTCOME_REPORT)
            error_set(&why, ERROR_FETCHER, "it did something else than to revoke");
        part_end(p, result.outcome == OUTCOME_REVOKED ? NULL : &why);
        result_clear(&result);
    } else {
        part_end(p, &why);
    }
    go_on(p->revocation);
    return 0;
}

/* The job, with the client's secret. NULL: no memory. */
static struct secret *whole_job(const struct part *p)
{
    struct job job;

    if (job_decode(secret_peek(p->job), secret_length(p->job), &job) < 0)
        return NULL;
    job.client_secret = p->client ? secret_peek(p->client) : NULL;
    job.deadline = p->revocation->deadline;
    struct secret *encoded = job_encode(&job);
    job_clear(&job);
    return encoded;
}

static int part_send(struct part *p, struct error *why)
{
    struct context *shared = p->revocation->shared;
    _secret_ struct secret *job = whole_job(p);

    p->stage = PART_SENDS;
    error_set(why, ERROR_INTERNAL, "no memory");
    int program = job ? fetcher_find(&shared->fetcher, why) : -1;
    if (program < 0 || fetcher_start(shared->children, program, p->name, job, &p->fetcher, why) < 0)
        return -1;
    int r = sd_event_add_io(shared->event, &p->input, fetcher_fd(p->fetcher), EPOLLIN, on_output,
                            p);
    if (r < 0)
        error_set(why, ERROR_FETCHER, "%s", strerror(-r));
    return r;
}

static void on_command(void *context, struct secret *output, const struct error *why)
{
    struct part *p = context;
    struct error fault = { ERROR_NONE, "" };
    int r = -1;

    p->command = secret_command_free(p->command);
    if (output)
        r = secret_source_accept("client secret", &p->source, output, &p->client, &fault);
    else
        error_set(&fault, why->code, "client-secret-command: %s", why->detail);
    if (r < 0 || part_send(p, &fault) < 0)
        part_end(p, &fault);
    go_on(p->revocation);
}

static void part_start(struct part *p)
{
    struct error why;
    int r = -1;

    p->stage = PART_READS_SECRET;
    if (p->source.kind == SOURCE_COMMAND)
        r = secret_command_start(p->revocation->shared->children, p->name, p->source.text,
                                 REVOCATION_TIME, on_command, p, &p->command, &why);
    else if (p->client || secret_source_read(&p->source, "client secret", &p->client, &why) == 0)
        r = part_send(p, &why);
    if (r < 0)
        part_end(p, &why);
}

static void part_words(const struct part *p, char *out, size_t size)
{
    if (p->fetcher)
        fetcher_where(p->fetcher, out, size);
    else if (p->command)
        snprintf(out, size, "waiting for the client-secret-command");
    else
        snprintf(out, size, "waiting for its turn");
}

static void part_expire(struct part *p)
{
    struct error why;
    char where[320];

    part_words(p, where, sizeof where);
    error_set(&why, ERROR_TIMEOUT, "stuck %s", where);
    part_end(p, &why);
}

/* ---- all of a logout ------------------------------------------------------------------------- */

static void revocation_free(struct revocation *r)
{
    struct part *p;

    while ((p = TAILQ_FIRST(&r->parts)))
        part_free(p);
    if (r->deadline > 0) {
        LIST_REMOVE(r, entry);
        notify_end_work(r->shared->notify);
    }
    sd_event_source_disable_unref(r->timer);
    free(r);
}

static void finish(struct revocation *r)
{
    char line[1024], *failures = NULL;
    size_t size;
    FILE *f = memory_stream(&failures, &size);
    const struct part *p;

    TAILQ_FOREACH (p, &r->parts, entry)
        if (f && p->error.code != ERROR_NONE) {
            error_line(line, sizeof line, p->name, p->error.code, p->error.detail);
            fputs(line, f);
        }
    memory_close(f, &failures);
    revocation_done_fn done = r->done;
    void *context = r->context;
    revocation_free(r);
    if (done)
        done(context, failures ? failures : "");
    free(failures);
}

/* Starts as many as may run; the last one's end is the end of all. */
static void go_on(struct revocation *r)
{
    bool late = time_boottime() >= r->deadline;
    unsigned running = 0, left = 0;
    struct part *p;

    TAILQ_FOREACH (p, &r->parts, entry)
        running += p->stage == PART_READS_SECRET || p->stage == PART_SENDS;
    TAILQ_FOREACH (p, &r->parts, entry) {
        if (late && p->stage != PART_IS_OVER)
            part_expire(p);
        else if (p->stage == PART_WAITS && running < AT_ONCE) {
            part_start(p);
            running += p->stage != PART_IS_OVER;
        }
        left += p->stage != PART_IS_OVER;
    }
    context_progress(r->shared);
    if (left == 0)
        finish(r);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct revocation *r = context;

    (void)usec;
    sd_event_source_set_time(source, r->deadline);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    go_on(r);
    return 0;
}

struct revocation *revocation_new(struct context *shared, revocation_done_fn done, void *context)
{
    struct revocation *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    *r = (struct revocation){ .shared = shared, .done = done, .context = context };
    TAILQ_INIT(&r->parts);
    return r;
}

/* Without what is secret but the token, which is read when it is sent. */
static struct secret *build_job(const struct profile_config *config, const struct secret *token,
                                const void *cache, size_t cache_length)
{
    char room[CONFIG_KEYS_ROOM];
    struct job job = { .kind = JOB_REVOKE };

    config_keys_fill(&job, config, room);
    job.kind = JOB_REVOKE;
    job.refresh_token = secret_peek(token);
    job.cache = cache;
    job.cache_length = cache_length;
    struct secret *encoded = job_encode(&job);
    explicit_bzero(room, sizeof room); /* a proxy's URL may hold a password */
    return encoded;
}

void revocation_add(struct revocation *r, const struct profile_config *config,
                    const struct secret *refresh_token, const void *cache, size_t cache_length)
{
    const struct source *source = &config->client_secret;
    struct part *p = calloc(1, sizeof *p);

    if (!p)
        return;
    *p = (struct part){ .revocation = r, .name = strdup(config->name), .source = *source };
    p->source.text = source->text ? strdup(source->text) : NULL;
    p->source.value = NULL;
    if (source->kind == SOURCE_INLINE) {
        p->source.kind = SOURCE_NONE;
        p->client = secret_copy(secret_peek(source->value), secret_length(source->value));
    }
    p->job = build_job(config, refresh_token, cache, cache_length);
    TAILQ_INSERT_TAIL(&r->parts, p, entry);
    if (!p->name || !p->job || (source->text && !p->source.text))
        part_free(p);
}

bool revocation_start(struct revocation *r)
{
    uint64_t now = time_boottime();

    if (TAILQ_EMPTY(&r->parts) ||
        sd_event_add_time(r->shared->event, &r->timer, CLOCK_BOOTTIME, now, 1, on_timer, r) < 0) {
        revocation_free(r);
        return false;
    }
    r->deadline = now + REVOCATION_TIME;
    LIST_INSERT_HEAD(&r->shared->revocations, r, entry);
    notify_begin_work(r->shared->notify);
    return true;
}

void revocation_words(const struct revocation *r, char *out, size_t size)
{
    char words[384];
    const struct part *p;

    TAILQ_FOREACH (p, &r->parts, entry)
        if (p->stage != PART_IS_OVER) {
            part_words(p, words, sizeof words);
            snprintf(out, size, "%s: %s", p->name, words);
            return;
        }
    snprintf(out, size, "done");
}

struct revocation *revocation_leave(struct revocation *r)
{
    if (r)
        r->done = NULL;
    return NULL;
}

void revocation_end_all(struct context *shared)
{
    struct revocation *r;

    while ((r = LIST_FIRST(&shared->revocations)))
        revocation_free(r);
}
