#define _GNU_SOURCE
#include "daemon/inspection.h"

#include <stdlib.h>
#include <string.h>

#include "common/protocol.h"
#include "common/time.h"
#include "daemon/config_keys.h"
#include "daemon/fetcher.h"

enum { AT_ONCE = 4 };

_Static_assert((int)PROTOCOL_TOKEN_MAX == (int)RESULT_TOKEN_MAX, "what is served can be inspected");

struct inspection {
    struct context *shared;
    struct fetcher *fetcher;
    sd_event_source *input, *timer;
    inspection_done_fn done;
    void *context;
};

static int on_fetcher(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct inspection *in = context;
    struct result result;
    struct error why;

    (void)fd, (void)events;
    int r = fetcher_read(in->fetcher, &result, &why);
    if (r < 0) {
        in->done(in->context, NULL, &why);
    } else if (r > 0) {
        if (result.outcome == OUTCOME_TOKEN || result.outcome == OUTCOME_REVOKED)
            error_set(&result.error, ERROR_FETCHER, "it did something else than to report");
        in->done(in->context, result.report, &result.error);
        result_clear(&result);
    } else {
        sd_event_source_set_io_fd(source, fetcher_fd(in->fetcher));
        context_progress(in->shared);
    }
    return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *context)
{
    const struct inspection *in = context;
    struct error why;
    char where[320];

    (void)source, (void)usec;
    fetcher_where(in->fetcher, where, sizeof where);
    error_set(&why, ERROR_TIMEOUT, "stuck %s", where);
    in->done(in->context, NULL, &why);
    return 0;
}

static struct secret *build_job(const struct profile_config *config, const struct secret *token,
                                bool json, uint64_t deadline)
{
    char room[CONFIG_KEYS_ROOM];
    struct job job = { .issuer = "", .client_id = "", .client_auth = "none" };

    job.signing_algs = CONFIG_KEYS_ALGORITHMS;
    if (config) {
        config_keys_fill(&job, config, room);
        job.subject_token_type = config_keys_subject_type(config);
    }
    job.kind = JOB_INSPECT;
    job.deadline = deadline;
    job.token = secret_peek(token);
    job.json = json;
    struct secret *encoded = job_encode(&job);
    explicit_bzero(room, sizeof room);
    return encoded;
}

int inspection_start(struct context *shared, const struct profile_config *config,
                     const struct secret *token, bool json, uint64_t deadline,
                     inspection_done_fn done, void *context, struct inspection **ret,
                     struct error *why)
{
    _secret_ struct secret *job = build_job(config, token, json, deadline);
    struct inspection *in = calloc(1, sizeof *in);

    if (!in || !job || shared->inspections >= AT_ONCE) {
        error_set(why, shared->inspections >= AT_ONCE ? ERROR_BUSY : ERROR_INTERNAL, "%s", "");
        free(in);
        return -1;
    }
    int program = fetcher_find(&shared->fetcher, why);
    if (program < 0) {
        free(in);
        return -1;
    }
    *in = (struct inspection){ .shared = shared, .done = done, .context = context };
    shared->inspections++;
    notify_begin_work(shared->notify);
    int r = fetcher_start(shared->children, program, config ? config->name : NULL, job,
                          &in->fetcher, why);
    if (r == 0 && ((r = sd_event_add_io(shared->event, &in->input, fetcher_fd(in->fetcher), EPOLLIN,
                                        on_fetcher, in)) < 0 ||
                   (r = sd_event_add_time(shared->event, &in->timer, CLOCK_BOOTTIME, deadline, 1,
                                          on_deadline, in)) < 0))
        error_set(why, ERROR_FETCHER, "%s", strerror(-r));
    if (r < 0) {
        inspection_free(in);
        return -1;
    }
    *ret = in;
    return 0;
}

void inspection_words(const struct inspection *in, char *out, size_t size)
{
    fetcher_where(in->fetcher, out, size);
}

struct inspection *inspection_free(struct inspection *in)
{
    if (!in)
        return NULL;
    sd_event_source_disable_unref(in->input); /* before the descriptor closes */
    sd_event_source_disable_unref(in->timer);
    fetcher_free(in->fetcher);
    in->shared->inspections--;
    notify_end_work(in->shared->notify);
    free(in);
    return NULL;
}
