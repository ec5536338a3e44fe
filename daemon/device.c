#include "daemon/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"

enum device_stage { STAGE_NONE, STAGE_ASKS, STAGE_WAITS, STAGE_POLLS };

struct device {
    struct context *shared;
    const struct device_calls *calls;
    void *context;
    struct attempt *attempt;
    sd_event_source *timer;
    enum device_stage stage;
    const struct profile_config *config;
    void *cache; /* the fetchers', of this login */
    size_t cache_length;
    uint64_t began;
    uint64_t deadline;    /* STAGE_ASKS */
    uint64_t interval;    /* between two polls; it never gets less */
    uint64_t next_poll;   /* STAGE_WAITS */
    unsigned failures;    /* in a row that may pass */
    bool is_due;          /* STAGE_WAITS: another request stands in its way */
    struct secret *token; /* the device code: who has it gets the token */
    struct device_code code;
};

/* Whoever is to confirm it has done so by then, or has gone; providers give 10 to 30 minutes. */
static const uint64_t code_life_most = 3600 * USEC_PER_SEC;
/* No pause is longer, since somebody waits, and none shorter, whatever a fetcher says. */
static const uint64_t pause_most = 5 * 60 * USEC_PER_SEC, pause_least = USEC_PER_SEC;

static uint64_t within_limits(uint64_t interval)
{
    return interval < pause_least ? pause_least : interval > pause_most ? pause_most : interval;
}

static void set_timer(struct device *d, uint64_t when)
{
    sd_event_source_set_time(d->timer, when);
    sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
}

static void clear(struct device *d)
{
    d->stage = STAGE_NONE;
    sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
    d->token = secret_free(d->token);
    explicit_bzero(&d->code, sizeof d->code);
    free(d->cache);
    d->cache = NULL;
    d->cache_length = 0;
    d->is_due = false;
}

/* What it has learnt of the provider is the result's again, for whoever began it. */
static void give_cache(struct device *d, struct result *result)
{
    result->cache = d->cache;
    result->cache_length = d->cache_length;
    d->cache = NULL;
    d->cache_length = 0;
}

static void finish(struct device *d, struct attempt_end *end)
{
    if (end->result)
        give_cache(d, end->result);
    clear(d);
    d->calls->done(d->context, end);
}

static void fail(struct device *d, const struct error *why)
{
    struct attempt_end end = { .kind = LIFECYCLE_TEMPORARY, .error = *why };

    finish(d, &end);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void ask(struct device *d, enum device_stage stage)
{
    d->stage = stage;
    attempt_start(d->attempt, &(struct attempt_order){ .config = d->config,
                                                       .device = true,
                                                       .device_code = d->token,
                                                       .cache = d->cache,
                                                       .cache_length = d->cache_length,
                                                       .forced_at = d->began,
                                                       .urgent = true });
}

/* Where the code ends before, that is the end. */
static void pause_for(struct device *d, uint64_t pause)
{
    uint64_t ends_at = d->code.ends_at;

    d->stage = STAGE_WAITS;
    d->next_poll = time_boottime() + pause;
    set_timer(d, d->next_poll < ends_at ? d->next_poll : ends_at);
}

static void poll_now(struct device *d)
{
    d->is_due = d->calls->is_busy(d->context);
    if (d->is_due) {
        set_timer(d, d->code.ends_at);
        return;
    }
    sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
    ask(d, STAGE_POLLS);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct device *d = context;
    struct error why;

    (void)source, (void)usec;
    if (d->stage == STAGE_ASKS) {
        attempt_where(d->attempt, &why);
        attempt_cancel(d->attempt);
        fail(d, &why);
    } else if (time_boottime() >= d->code.ends_at) {
        error_set(&why, ERROR_CODE_EXPIRED, "nobody has confirmed it in time");
        fail(d, &why);
    } else {
        poll_now(d);
    }
    return 0;
}

/* ---- what came of them ----------------------------------------------------------------------- */

static void take_cache(struct device *d, struct result *result)
{
    if (!result || !result->cache)
        return;
    free(d->cache);
    d->cache = result->cache;
    d->cache_length = result->cache_length;
    result->cache = NULL;
    result->cache_length = 0;
}

static void take_code(struct device *d, struct result *result)
{
    struct device_code *code = &d->code;
    uint64_t life = result->code_lifetime;

    d->token = result->device_code;
    result->device_code = NULL;
    memcpy(code->user_code, result->user_code, sizeof code->user_code);
    memcpy(code->page, result->verification_uri, sizeof code->page);
    memcpy(code->whole_page, result->verification_uri_complete, sizeof code->whole_page);
    code->ends_at = result->sent + (life < code_life_most ? life : code_life_most);
    d->interval = within_limits(result->interval);
    d->failures = 0;
    pause_for(d, d->interval);
    d->calls->shown(d->context);
}

/* What a later poll may not meet again. A page of something on the way is nothing that the provider
 * said. */
static bool may_pass(const struct attempt_end *end)
{
    return end->kind == LIFECYCLE_TEMPORARY || end->kind == LIFECYCLE_DEFERRED ||
           (end->kind == LIFECYCLE_SOFT && end->error.code == ERROR_GATEWAY);
}

/* RFC 8628 §3.5: after a timeout less often from then on; after any other fault for once. */
static void back_off(struct device *d, const struct attempt_end *end)
{
    uint64_t longer = d->interval << (d->failures < 6 ? ++d->failures : 6);

    if (end->error.code == ERROR_RATE_LIMITED)
        d->interval += 5 * USEC_PER_SEC;
    else if (end->lost || error_class(end->error.code) == ERROR_CLASS_LOST)
        d->interval *= 2;
    d->interval = within_limits(d->interval);
    uint64_t pause = within_limits(longer > d->interval ? longer : d->interval);
    pause_for(d, pause > end->retry_after ? pause : end->retry_after);
}

static void on_done(void *context, struct attempt_end *end)
{
    struct device *d = context;
    struct result *goes_on = attempt_device(end);
    bool has_code = d->token != NULL;

    take_cache(d, end->result);
    if (goes_on && !has_code) {
        take_code(d, goes_on);
    } else if (goes_on) {
        d->failures = 0;
        if (goes_on->interval > 0)
            d->interval = within_limits(d->interval + within_limits(goes_on->interval));
        pause_for(d, d->interval);
        d->calls->polled(d->context);
    } else if (has_code && !attempt_token(end) && may_pass(end)) {
        back_off(d, end);
        d->calls->polled(d->context);
    } else {
        finish(d, end);
    }
}

static void on_sending(void *context)
{
    (void)context; /* no refresh token is under way */
}

/* ---- life ------------------------------------------------------------------------------------ */

struct device *device_new(struct context *shared, const struct device_calls *calls, void *context)
{
    struct device *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    *d = (struct device){ .shared = shared, .calls = calls, .context = context };
    d->attempt = attempt_new(shared, on_sending, on_done, d);
    if (!d->attempt ||
        sd_event_add_time(shared->event, &d->timer, CLOCK_BOOTTIME, 0, 1, on_timer, d) < 0) {
        attempt_free(d->attempt);
        free(d);
        return NULL;
    }
    sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
    return d;
}

struct device *device_free(struct device *d)
{
    if (!d)
        return NULL;
    device_cancel(d);
    attempt_free(d->attempt);
    sd_event_source_disable_unref(d->timer);
    free(d);
    return NULL;
}

void device_start(struct device *d, const struct profile_config *config, const void *cache,
                  size_t cache_length, uint64_t deadline)
{
    device_cancel(d);
    d->config = config;
    d->cache = cache_length > 0 ? malloc(cache_length) : NULL;
    if (d->cache) /* without memory it is learnt again */
        memcpy(d->cache, cache, cache_length);
    d->cache_length = d->cache ? cache_length : 0;
    d->began = time_boottime();
    d->deadline = deadline;
    ask(d, STAGE_ASKS);
    set_timer(d, deadline);
}

void device_cancel(struct device *d)
{
    if (!d || d->stage == STAGE_NONE)
        return;
    attempt_cancel(d->attempt);
    clear(d);
}

void device_configure(struct device *d, const struct profile_config *config)
{
    if (!d || d->stage == STAGE_NONE)
        return;
    d->config = config;
    attempt_update(d->attempt, config, NULL, NULL);
}

void device_go_on(struct device *d)
{
    if (d && d->stage == STAGE_WAITS && d->is_due)
        set_timer(d, 0);
}

bool device_is_under_way(const struct device *d)
{
    return d && d->stage != STAGE_NONE;
}

bool device_is_polling(const struct device *d)
{
    return d && d->stage == STAGE_POLLS;
}

const struct device_code *device_code(const struct device *d)
{
    return d && d->token ? &d->code : NULL;
}

void device_words(const struct device *d, uint64_t now, char *out, size_t size)
{
    char left[24];

    if (!d->token) {
        attempt_words(d->attempt, out, size);
        return;
    }
    time_format_duration(left, sizeof left, d->code.ends_at > now ? d->code.ends_at - now : 0);
    snprintf(out, size, "waiting until somebody confirms the login; its code lives %s", left);
}
