/* A login that a person confirms elsewhere. The attempts, their ends, the timer and the clock are
 * stand-ins, linked in the place of the daemon's own: no request is made, and nothing waits. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "common/time.h"
#include "daemon/device.h"

static const uint64_t second = USEC_PER_SEC, minute = 60 * USEC_PER_SEC, hour = 3600 * USEC_PER_SEC;

/* ---- the stand-ins --------------------------------------------------------------------------- */

struct attempt {
    attempt_sending_fn sending;
    attempt_done_fn done;
    void *context;
    struct attempt_order order;
    bool under_way;
    unsigned starts, cancels, updates;
};

struct sd_event_source {
    sd_event_time_handler_t handler;
    void *context;
    uint64_t when;
    bool on;
};

static uint64_t now;
static struct attempt *attempt; /* the device's; NULL: none, or freed */
static sd_event_source *timer;  /* likewise */
static bool no_attempt, no_timer;
static const struct secret *watched; /* NULL once it is freed */

__typeof__(time_boottime) __wrap_time_boottime;
__typeof__(attempt_new) __wrap_attempt_new;
__typeof__(attempt_free) __wrap_attempt_free;
__typeof__(attempt_start) __wrap_attempt_start;
__typeof__(attempt_cancel) __wrap_attempt_cancel;
__typeof__(attempt_update) __wrap_attempt_update;
__typeof__(attempt_words) __wrap_attempt_words;
__typeof__(attempt_where) __wrap_attempt_where;
__typeof__(secret_free) __wrap_secret_free, __real_secret_free;
__typeof__(sd_event_add_time) __wrap_sd_event_add_time;
__typeof__(sd_event_source_set_time) __wrap_sd_event_source_set_time;
__typeof__(sd_event_source_set_enabled) __wrap_sd_event_source_set_enabled;
__typeof__(sd_event_source_disable_unref) __wrap_sd_event_source_disable_unref;

uint64_t __wrap_time_boottime(void)
{
    return now;
}

struct attempt *__wrap_attempt_new(struct context *shared, attempt_sending_fn sending,
                                   attempt_done_fn done, void *context)
{
    assert_non_null(shared);
    assert_null(attempt);
    if (no_attempt)
        return NULL;
    attempt = calloc(1, sizeof *attempt);
    assert_non_null(attempt);
    *attempt = (struct attempt){ .sending = sending, .done = done, .context = context };
    return attempt;
}

struct attempt *__wrap_attempt_free(struct attempt *a)
{
    assert_ptr_equal(a, attempt);
    free(a);
    attempt = NULL;
    return NULL;
}

void __wrap_attempt_start(struct attempt *a, const struct attempt_order *order)
{
    assert_false(a->under_way);
    a->order = *order;
    a->under_way = true;
    a->starts++;
}

void __wrap_attempt_cancel(struct attempt *a)
{
    a->under_way = false;
    a->cancels++;
}

void __wrap_attempt_update(struct attempt *a, const struct profile_config *config,
                           const struct secret *previous, const struct secret *refresh_token)
{
    assert_null(previous);
    assert_null(refresh_token);
    a->order.config = config;
    a->updates++;
}

void __wrap_attempt_words(const struct attempt *a, char *out, size_t size)
{
    (void)a;
    snprintf(out, size, "resolving login.example.com");
}

void __wrap_attempt_where(const struct attempt *a, struct error *ret)
{
    assert_true(a->under_way);
    error_set(ret, ERROR_TIMEOUT, "still resolving login.example.com");
}

struct secret *__wrap_secret_free(struct secret *secret)
{
    if (secret == watched)
        watched = NULL;
    return __real_secret_free(secret);
}

int __wrap_sd_event_add_time(sd_event *event, sd_event_source **source, clockid_t clock,
                             uint64_t usec, uint64_t accuracy, sd_event_time_handler_t handler,
                             void *context)
{
    (void)event, (void)accuracy;
    assert_int_equal(clock, CLOCK_BOOTTIME);
    if (no_timer)
        return -1;
    timer = calloc(1, sizeof *timer);
    assert_non_null(timer);
    *timer = (sd_event_source){ handler, context, usec, true };
    *source = timer;
    return 0;
}

int __wrap_sd_event_source_set_time(sd_event_source *source, uint64_t usec)
{
    assert_ptr_equal(source, timer);
    timer->when = usec;
    return 0;
}

int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
    assert_ptr_equal(source, timer);
    assert_int_not_equal(enabled, SD_EVENT_ON);
    timer->on = enabled == SD_EVENT_ONESHOT;
    return 0;
}

sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source)
{
    assert_ptr_equal(source, timer);
    free(timer);
    timer = NULL;
    return NULL;
}

/* ---- whoever started it ---------------------------------------------------------------------- */

static char name[] = "p", other_name[] = "q";
static const struct profile_config config = { .name = name }, other_config = { .name = other_name };
static struct context shared;
static struct device *device;
static bool busy, starts_again;
static unsigned shown, polled, ended;
static struct attempt_end last; /* what done() was told; the result is gone by now */
static char last_cache[32];     /* "": it had none */
static bool token_came;

static void start(void)
{
    device_start(device, &config, "cache", 5, now + 2 * minute);
}

static void on_shown(void *context)
{
    assert_ptr_equal(context, &shared);
    assert_non_null(device_code(device));
    shown++;
}

static bool on_whether_busy(void *context)
{
    assert_ptr_equal(context, &shared);
    return busy;
}

static void on_polled(void *context)
{
    assert_ptr_equal(context, &shared);
    assert_true(device_is_under_way(device));
    assert_false(device_is_polling(device));
    polled++;
}

static void on_done(void *context, struct attempt_end *end)
{
    assert_ptr_equal(context, &shared);
    assert_false(device_is_under_way(device));
    last = *end;
    last.result = NULL;
    *last_cache = '\0';
    if (end->result && end->result->cache)
        snprintf(last_cache, sizeof last_cache, "%.*s", (int)end->result->cache_length,
                 (const char *)end->result->cache);
    token_came = attempt_token(end) != NULL;
    ended++;
    if (starts_again)
        start();
}

static const struct device_calls calls = { on_shown, on_whether_busy, on_polled, on_done };

static int setup(void **state)
{
    (void)state;
    now = 1000 * second;
    no_attempt = no_timer = busy = starts_again = token_came = false;
    shown = polled = ended = 0;
    watched = NULL;
    *last_cache = '\0';
    last = (struct attempt_end){ .kind = LIFECYCLE_STALE };
    device = device_new(&shared, &calls, &shared);
    return device ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    device = device_free(device);
    return attempt || timer ? -1 : 0;
}

/* ---- what comes ------------------------------------------------------------------------------ */

/* The attempt that is under way ends so. */
static void end_with(struct attempt_end end)
{
    assert_true(attempt->under_way);
    attempt->under_way = false;
    attempt->done(attempt->context, &end);
    if (end.result)
        result_clear(end.result);
}

/* With an answer that says so; what it holds is the device's now, or gone. */
static void answer(struct result *result)
{
    end_with((struct attempt_end){ .result = result, .reached = true, .error = result->error });
}

static void fail_as(enum lifecycle_failure kind, enum error_code code)
{
    end_with((struct attempt_end){ .kind = kind, .error = { code, "why" } });
}

static void code_comes(uint64_t interval, uint64_t life)
{
    struct result result = { .outcome = OUTCOME_DEVICE,
                             .device_code = secret_copy("device-code", 11),
                             .user_code = "WDJB-MJHT",
                             .verification_uri = "https://login.example.com/device",
                             .verification_uri_complete = "https://login.example.com/device?c=1",
                             .code_lifetime = life,
                             .interval = interval,
                             .sent = now };

    watched = result.device_code;
    answer(&result);
}

/* slower: what slow_down adds; 0: nobody has confirmed it yet. */
static void not_yet(uint64_t slower)
{
    struct result result = { .outcome = OUTCOME_PENDING, .interval = slower };

    answer(&result);
}

static void token_comes(void)
{
    struct result result = { .outcome = OUTCOME_TOKEN, .id_token = secret_copy("token", 5) };

    answer(&result);
}

/* The time of the timer. */
static void time_comes(void)
{
    assert_true(timer->on);
    timer->on = false;
    now = timer->when > now ? timer->when : now;
    timer->handler(timer, timer->when, timer->context);
}

/* Fails unless that is when something is done next. */
static void assert_next_in(uint64_t pause)
{
    assert_true(timer->on);
    assert_int_equal(timer->when, now + pause);
}

static void poll_begins(void)
{
    unsigned before = attempt->starts;

    time_comes();
    assert_int_equal(attempt->starts, before + 1);
    assert_true(device_is_polling(device));
    assert_false(timer->on);
}

static void start_with(uint64_t interval, uint64_t life)
{
    start();
    code_comes(interval, life);
}

/* Fails unless it is over with that. */
static void assert_over(enum lifecycle_failure kind, enum error_code code)
{
    assert_int_equal(ended, 1);
    assert_int_equal(last.kind, kind);
    assert_int_equal(last.error.code, code);
    assert_false(device_is_under_way(device));
    assert_null(device_code(device));
    assert_null(watched);
    assert_false(timer->on);
}

/* ---- a code ---------------------------------------------------------------------------------- */

static void first_a_code_is_asked_for(void **state)
{
    (void)state;
    assert_false(device_is_under_way(device));
    assert_false(timer->on);
    start();
    const struct attempt_order *order = &attempt->order;
    assert_int_equal(attempt->starts, 1);
    assert_ptr_equal(order->config, &config);
    assert_true(order->device);
    assert_null(order->device_code);
    assert_true(order->urgent);
    assert_int_equal(order->forced_at, now);
    assert_true(device_is_under_way(device));
    assert_false(device_is_polling(device));
    assert_null(device_code(device));
    assert_int_equal(shown + polled + ended, 0);
}

static void a_code_is_shown_once(void **state)
{
    (void)state;
    start();
    uint64_t sent = now;
    code_comes(5 * second, 10 * minute);
    assert_int_equal(shown, 1);
    const struct device_code *code = device_code(device);
    assert_non_null(code);
    assert_string_equal(code->user_code, "WDJB-MJHT");
    assert_string_equal(code->page, "https://login.example.com/device");
    assert_string_equal(code->whole_page, "https://login.example.com/device?c=1");
    assert_int_equal(code->ends_at, sent + 10 * minute);
    assert_false(attempt->under_way);
    poll_begins();
    assert_ptr_equal(attempt->order.device_code, watched);
    assert_memory_equal(secret_peek(attempt->order.device_code), "device-code", 11);
    assert_true(attempt->order.device);
    assert_int_equal(attempt->order.forced_at, sent);
    not_yet(0);
    poll_begins();
    assert_int_equal(shown, 1);
    assert_int_equal(polled, 1);
    assert_int_equal(ended, 0);
}

/* Its life is counted from the request. */
static void what_the_answer_took_is_of_the_codes_life(void **state)
{
    struct result result = { .outcome = OUTCOME_DEVICE,
                             .device_code = secret_copy("c", 1),
                             .code_lifetime = 10 * minute,
                             .interval = 5 * second,
                             .sent = now };

    (void)state;
    start();
    now += 20 * second;
    answer(&result);
    assert_int_equal(device_code(device)->ends_at, now - 20 * second + 10 * minute);
    assert_next_in(5 * second);
}

static void without_a_code_any_fault_is_the_end(void **state)
{
    static const struct {
        enum lifecycle_failure kind;
        enum error_code code;
    } rows[] = {
        { LIFECYCLE_TEMPORARY, ERROR_CONNECT }, { LIFECYCLE_DEFERRED, ERROR_THROTTLED },
        { LIFECYCLE_SOFT, ERROR_GATEWAY },      { LIFECYCLE_REFUSED, ERROR_CLIENT_REFUSED },
        { LIFECYCLE_LOCAL, ERROR_CONFIG },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        start();
        fail_as(rows[i].kind, rows[i].code);
        assert_over(rows[i].kind, rows[i].code);
        assert_string_equal(last.error.detail, "why");
        ended = 0;
    }
    assert_int_equal(shown + polled, 0);
}

static void by_the_deadline_there_is_a_code(void **state)
{
    (void)state;
    start();
    assert_next_in(2 * minute);
    time_comes();
    assert_int_equal(attempt->cancels, 1);
    assert_over(LIFECYCLE_TEMPORARY, ERROR_TIMEOUT);
    assert_string_equal(last.error.detail, "still resolving login.example.com");
    assert_int_equal(attempt->starts, 1);
}

/* Who waits for a person waits longer. */
static void the_deadline_is_of_the_code_alone(void **state)
{
    (void)state;
    device_start(device, &config, NULL, 0, now + 3 * second);
    code_comes(5 * second, hour);
    assert_next_in(5 * second);
    poll_begins();
    assert_int_equal(ended, 0);
}

/* ---- how far apart the polls are ------------------------------------------------------------- */

static void polls_are_as_far_apart_as_told(void **state)
{
    (void)state;
    start_with(7 * second, 10 * minute);
    assert_next_in(7 * second);
    poll_begins();
    now += 3 * second; /* the answer takes its time: the pause begins behind it */
    not_yet(0);
    assert_next_in(7 * second);
    assert_int_equal(polled, 1);
}

static void slow_down_is_for_good(void **state)
{
    (void)state;
    start_with(7 * second, 10 * minute);
    for (uint64_t pause = 12; pause <= 22; pause += 5) {
        poll_begins();
        not_yet(5 * second);
        assert_next_in(pause * second);
        poll_begins();
        not_yet(0);
        assert_next_in(pause * second);
    }
}

/* Whichever way it is told: by the attempt that saw the request go out, or by the code. */
static void a_lost_answer_doubles_the_interval_for_good(void **state)
{
    (void)state;
    start_with(5 * second, 10 * minute);
    poll_begins();
    end_with((struct attempt_end){
        .kind = LIFECYCLE_TEMPORARY, .lost = true, .error = { ERROR_STUCK, "" } });
    assert_next_in(10 * second);
    poll_begins();
    not_yet(0);
    assert_next_in(10 * second);
    poll_begins();
    fail_as(LIFECYCLE_TEMPORARY, ERROR_TIMEOUT);
    assert_next_in(20 * second);
    poll_begins();
    not_yet(0);
    assert_next_in(20 * second);
}

static void another_fault_doubles_it_for_once(void **state)
{
    (void)state;
    start_with(5 * second, 10 * minute);
    for (unsigned i = 0; i < 2; i++) {
        poll_begins();
        fail_as(LIFECYCLE_TEMPORARY, ERROR_CONNECT);
        assert_next_in(10 * second);
        poll_begins();
        not_yet(0);
        assert_next_in(5 * second);
    }
    assert_int_equal(polled, 4);
}

static void of_faults_in_a_row_each_doubles_it_up_to_five_minutes(void **state)
{
    static const uint64_t pauses[] = { 10, 20, 40, 80, 160, 300, 300, 300 };

    (void)state;
    start_with(5 * second, hour);
    for (size_t i = 0; i < COUNT(pauses); i++) {
        poll_begins();
        fail_as(LIFECYCLE_TEMPORARY, ERROR_PROVIDER_FAULT);
        assert_next_in(pauses[i] * second);
    }
    poll_begins();
    not_yet(0);
    assert_next_in(5 * second);
}

static void retry_after_counts_where_it_is_longer(void **state)
{
    static const struct {
        uint64_t retry_after, pause;
    } rows[] = { { 3, 10 }, { 10, 10 }, { 11, 11 }, { 400, 400 } };

    (void)state;
    start_with(5 * second, hour);
    for (size_t i = 0; i < COUNT(rows); i++) {
        poll_begins();
        end_with((struct attempt_end){ .kind = LIFECYCLE_TEMPORARY,
                                       .error = { ERROR_PROVIDER_FAULT, "" },
                                       .retry_after = rows[i].retry_after * second });
        assert_next_in(rows[i].pause * second);
        poll_begins();
        not_yet(0);
        assert_next_in(5 * second);
    }
}

static void after_a_rate_limit_it_is_5_s_more_for_good(void **state)
{
    (void)state;
    start_with(10 * second, 10 * minute);
    poll_begins();
    fail_as(LIFECYCLE_TEMPORARY, ERROR_RATE_LIMITED);
    assert_next_in(20 * second);
    poll_begins();
    not_yet(0);
    assert_next_in(15 * second);
    start_with(second, 10 * minute);
    poll_begins();
    fail_as(LIFECYCLE_TEMPORARY, ERROR_RATE_LIMITED);
    assert_next_in(6 * second); /* nor is the first pause any shorter */
}

static void an_interval_is_within_1_s_and_5_min(void **state)
{
    static const struct {
        uint64_t told, is;
    } rows[] = { { 0, USEC_PER_SEC },
                 { 1, USEC_PER_SEC },
                 { USEC_PER_SEC, USEC_PER_SEC },
                 { 300 * USEC_PER_SEC, 300 * USEC_PER_SEC },
                 { 301 * USEC_PER_SEC, 300 * USEC_PER_SEC },
                 { USEC_INFINITY, 300 * USEC_PER_SEC } };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        start_with(rows[i].told, hour);
        assert_next_in(rows[i].is);
    }
}

static void what_makes_it_longer_is_within_them_too(void **state)
{
    (void)state;
    start_with(10 * second, hour);
    poll_begins();
    not_yet(1);
    assert_next_in(11 * second);
    poll_begins();
    not_yet(USEC_INFINITY);
    assert_next_in(5 * minute);
    poll_begins();
    fail_as(LIFECYCLE_TEMPORARY, ERROR_TRANSFER);
    assert_next_in(5 * minute);
    poll_begins();
    fail_as(LIFECYCLE_TEMPORARY, ERROR_RATE_LIMITED);
    assert_next_in(5 * minute);
    poll_begins();
    not_yet(0);
    assert_next_in(5 * minute);
}

/* ---- the code's end -------------------------------------------------------------------------- */

static void at_its_codes_end_it_is_over(void **state)
{
    (void)state;
    start_with(5 * second, 12 * second);
    poll_begins();
    not_yet(0);
    poll_begins();
    not_yet(0);
    assert_next_in(2 * second);
    assert_int_equal(device_code(device)->ends_at, now + 2 * second);
    time_comes();
    assert_over(LIFECYCLE_TEMPORARY, ERROR_CODE_EXPIRED);
    assert_holds(last.error.detail, "nobody has confirmed it");
    assert_int_equal(attempt->starts, 3);
}

static void at_the_moment_of_its_end_there_is_no_poll(void **state)
{
    (void)state;
    start_with(5 * second, 5 * second);
    assert_next_in(5 * second);
    time_comes();
    assert_over(LIFECYCLE_TEMPORARY, ERROR_CODE_EXPIRED);
    assert_int_equal(attempt->starts, 1);
}

/* The machine slept meanwhile. */
static void a_timer_that_comes_late_polls_no_more(void **state)
{
    (void)state;
    start_with(5 * second, minute);
    now += hour;
    time_comes();
    assert_over(LIFECYCLE_TEMPORARY, ERROR_CODE_EXPIRED);
    assert_int_equal(attempt->starts, 1);
}

static void a_poll_that_is_answered_behind_its_end_is_the_last(void **state)
{
    (void)state;
    start_with(5 * second, 8 * second);
    poll_begins();
    now += 4 * second;
    not_yet(0);
    assert_int_equal(ended, 0);
    assert_true(timer->on && timer->when <= now);
    time_comes();
    assert_over(LIFECYCLE_TEMPORARY, ERROR_CODE_EXPIRED);
    assert_int_equal(attempt->starts, 2);
}

static void no_code_lives_longer_than_an_hour(void **state)
{
    static const uint64_t lives[] = { 3600 * USEC_PER_SEC, 3601 * USEC_PER_SEC,
                                      24 * 3600 * USEC_PER_SEC, USEC_INFINITY };

    (void)state;
    for (size_t i = 0; i < COUNT(lives); i++) {
        start_with(5 * second, lives[i]);
        assert_int_equal(device_code(device)->ends_at, now + hour);
    }
    start_with(5 * second, hour - second);
    assert_int_equal(device_code(device)->ends_at, now + hour - second);
}

/* ---- beside another request ------------------------------------------------------------------ */

static void a_poll_that_is_due_waits_for_another_request(void **state)
{
    (void)state;
    start_with(5 * second, minute);
    uint64_t ends_at = device_code(device)->ends_at;
    busy = true;
    time_comes();
    assert_int_equal(attempt->starts, 1);
    assert_false(device_is_polling(device));
    assert_next_in(ends_at - now);
    now += 3 * second;
    device_go_on(device); /* and another has begun before it is its turn */
    assert_int_equal(attempt->starts, 1);
    assert_true(timer->on && timer->when <= now);
    time_comes();
    assert_int_equal(attempt->starts, 1);
    assert_next_in(ends_at - now);
    busy = false;
    device_go_on(device);
    assert_int_equal(attempt->starts, 1);
    assert_true(timer->on && timer->when <= now);
    poll_begins();
    not_yet(0);
    assert_next_in(5 * second);
}

static void a_poll_that_is_not_due_is_not_hastened(void **state)
{
    (void)state;
    start();
    device_go_on(device);
    assert_next_in(2 * minute);
    code_comes(5 * second, minute);
    device_go_on(device);
    assert_next_in(5 * second);
    busy = true;
    time_comes();
    busy = false;
    device_go_on(device);
    poll_begins();
    device_go_on(device);
    assert_false(timer->on);
    not_yet(0);
    device_go_on(device); /* what has waited once is not due for ever */
    assert_next_in(5 * second);
}

static void what_was_due_of_one_that_is_over_is_not_of_the_next(void **state)
{
    (void)state;
    start_with(5 * second, minute);
    busy = true;
    time_comes();
    device_cancel(device);
    start_with(7 * second, minute);
    device_go_on(device);
    assert_next_in(7 * second);
}

static void a_code_ends_also_while_another_request_is_under_way(void **state)
{
    (void)state;
    start_with(5 * second, minute);
    busy = true;
    time_comes();
    time_comes();
    assert_over(LIFECYCLE_TEMPORARY, ERROR_CODE_EXPIRED);
    device_go_on(device);
    assert_false(timer->on);
}

/* ---- how it ends ----------------------------------------------------------------------------- */

static void a_token_ends_it(void **state)
{
    (void)state;
    start_with(5 * second, minute);
    poll_begins();
    token_comes();
    assert_true(token_came);
    assert_over(LIFECYCLE_TEMPORARY, ERROR_NONE);
    assert_int_equal(polled, 0);
}

static void what_does_not_pass_ends_it(void **state)
{
    static const struct {
        enum lifecycle_failure kind;
        enum error_code code;
    } rows[] = {
        { LIFECYCLE_REFUSED, ERROR_LOGIN_DENIED },  { LIFECYCLE_REFUSED, ERROR_CODE_EXPIRED },
        { LIFECYCLE_REFUSED, ERROR_GATEWAY },       { LIFECYCLE_SOFT, ERROR_PROVIDER_ERROR },
        { LIFECYCLE_SOFT, ERROR_SILENCE },          { LIFECYCLE_LOCAL, ERROR_TLS_FILE },
        { LIFECYCLE_NO_LOGIN, ERROR_LOGIN_NEEDED }, { LIFECYCLE_STALE, ERROR_TOKEN_STALE },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        start_with(5 * second, minute);
        poll_begins();
        fail_as(rows[i].kind, rows[i].code);
        assert_over(rows[i].kind, rows[i].code);
        assert_string_equal(last.error.detail, "why");
        ended = 0;
    }
    assert_int_equal(polled, 0);
}

static void what_may_pass_does_not(void **state)
{
    static const struct {
        enum lifecycle_failure kind;
        enum error_code code;
    } rows[] = {
        { LIFECYCLE_TEMPORARY, ERROR_DNS },     { LIFECYCLE_TEMPORARY, ERROR_TIMEOUT },
        { LIFECYCLE_TEMPORARY, ERROR_FETCHER }, { LIFECYCLE_DEFERRED, ERROR_THROTTLED },
        { LIFECYCLE_SOFT, ERROR_GATEWAY },
    };

    (void)state;
    start_with(second, hour);
    for (unsigned i = 0; i < COUNT(rows); i++) {
        poll_begins();
        fail_as(rows[i].kind, rows[i].code);
        assert_int_equal(polled, i + 1);
        assert_true(device_is_under_way(device));
        assert_non_null(device_code(device));
    }
    assert_int_equal(ended, 0);
}

/* An answer of a kind that was not asked for is an attempt's fault, not a login that goes on. */
static void a_second_code_is_none(void **state)
{
    struct result result = { .outcome = OUTCOME_DEVICE,
                             .error = { ERROR_FETCHER, "" },
                             .device_code = secret_copy("other", 5),
                             .user_code = "OTHER" };

    (void)state;
    start_with(5 * second, minute);
    poll_begins();
    answer(&result);
    assert_string_equal(device_code(device)->user_code, "WDJB-MJHT");
    assert_int_equal(shown, 1);
    assert_non_null(watched);
    assert_next_in(10 * second);
}

static void the_end_may_be_the_next_ones_beginning(void **state)
{
    (void)state;
    start_with(5 * second, minute);
    poll_begins();
    starts_again = true;
    fail_as(LIFECYCLE_REFUSED, ERROR_LOGIN_DENIED);
    assert_int_equal(ended, 1);
    assert_true(device_is_under_way(device));
    assert_null(attempt->order.device_code);
    assert_null(watched);
    code_comes(7 * second, minute);
    assert_int_equal(shown, 2);
    assert_next_in(7 * second);
}

/* ---- given up, begun anew, configured -------------------------------------------------------- */

static void assert_given_up(const struct device_code *code)
{
    static const struct device_code wiped;

    assert_false(device_is_under_way(device));
    assert_false(device_is_polling(device));
    assert_null(device_code(device));
    assert_null(watched);
    assert_false(timer->on);
    assert_false(attempt->under_way);
    assert_int_equal(ended, 0);
    if (code) /* the place is the device's, which is there still */
        assert_memory_equal(code, &wiped, sizeof wiped);
}

static void one_that_is_cancelled_is_told_to_nobody_and_leaves_nothing(void **state)
{
    (void)state;
    start();
    device_cancel(device);
    assert_given_up(NULL);
    start_with(5 * second, minute);
    const struct device_code *code = device_code(device);
    device_cancel(device);
    assert_given_up(code);
    start_with(5 * second, minute);
    poll_begins();
    device_cancel(device);
    assert_given_up(code);
    assert_int_equal(attempt->cancels, 3);
    device_cancel(device);
    assert_int_equal(attempt->cancels, 3);
    assert_int_equal(polled, 0);
}

static void one_that_begins_anew_gives_the_other_up(void **state)
{
    (void)state;
    start_with(7 * second, minute);
    poll_begins();
    not_yet(5 * second);
    poll_begins();
    now += second;
    device_start(device, &other_config, NULL, 0, now + minute);
    assert_int_equal(attempt->cancels, 1);
    assert_null(watched);
    assert_null(device_code(device));
    assert_null(attempt->order.device_code);
    assert_ptr_equal(attempt->order.config, &other_config);
    assert_int_equal(attempt->order.forced_at, now);
    assert_next_in(minute);
    code_comes(5 * second, minute);
    assert_next_in(5 * second);
    assert_int_equal(shown, 2);
    assert_int_equal(ended, 0);
}

static void its_polls_are_of_the_configuration_that_there_is(void **state)
{
    (void)state;
    device_configure(device, &other_config);
    assert_int_equal(attempt->updates, 0);
    start_with(5 * second, minute);
    device_configure(device, &other_config);
    poll_begins();
    assert_ptr_equal(attempt->order.config, &other_config);
    device_configure(device, &config);
    assert_ptr_equal(attempt->order.config, &config);
    not_yet(0);
    assert_next_in(5 * second);
    poll_begins();
    assert_ptr_equal(attempt->order.config, &config);
}

/* ---- what was learnt of the provider --------------------------------------------------------- */

static void learn(struct result *result, const char *what)
{
    result->cache = strdup(what);
    result->cache_length = strlen(what);
}

static void assert_given(const char *cache)
{
    assert_int_equal(attempt->order.cache_length, strlen(cache));
    assert_memory_equal(attempt->order.cache, cache, strlen(cache));
}

static void the_cache_is_copied(void **state)
{
    char cache[] = "cache";

    (void)state;
    device_start(device, &config, cache, 5, now + minute);
    memset(cache, 'x', 5);
    assert_given("cache");
    device_start(device, &config, NULL, 0, now + minute);
    assert_null(attempt->order.cache);
    assert_int_equal(attempt->order.cache_length, 0);
}

static void what_one_request_learns_the_next_one_knows(void **state)
{
    struct result code = { .outcome = OUTCOME_DEVICE,
                           .device_code = secret_copy("c", 1),
                           .code_lifetime = hour,
                           .interval = 5 * second,
                           .sent = now };
    struct result fault = { .outcome = OUTCOME_TEMPORARY, .error = { ERROR_CONNECT, "" } };
    struct result denied = { .outcome = OUTCOME_REFUSED };

    (void)state;
    start();
    assert_given("cache");
    learn(&code, "of the code");
    answer(&code);
    poll_begins();
    assert_given("of the code");
    not_yet(0);
    poll_begins();
    assert_given("of the code");
    learn(&fault, "of a fault");
    answer(&fault);
    poll_begins();
    assert_given("of a fault");
    fail_as(LIFECYCLE_TEMPORARY, ERROR_FETCHER); /* which gave no result */
    poll_begins();
    assert_given("of a fault");
    assert_string_equal(last_cache, "");
    end_with((struct attempt_end){ .result = &denied, .kind = LIFECYCLE_REFUSED });
    assert_string_equal(last_cache, "of a fault"); /* it is not lost at the end */
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void what_it_waits_for_is_said(void **state)
{
    char words[128];

    (void)state;
    start();
    device_words(device, now, words, sizeof words);
    assert_string_equal(words, "resolving login.example.com");
    code_comes(5 * second, 10 * minute);
    device_words(device, now + minute, words, sizeof words);
    assert_string_equal(words, "waiting until somebody confirms the login; its code lives 9 min");
    device_words(device, now + hour, words, sizeof words);
    assert_string_equal(words, "waiting until somebody confirms the login; its code lives 0 s");
}

static void where_there_has_been_none_nothing_is_done(void **state)
{
    (void)state;
    device_cancel(NULL);
    device_configure(NULL, &config);
    device_go_on(NULL);
    assert_false(device_is_under_way(NULL));
    assert_false(device_is_polling(NULL));
    assert_null(device_code(NULL));
    assert_null(device_free(NULL));
}

static void one_that_is_freed_is_given_up(void **state)
{
    (void)state;
    start_with(5 * second, minute);
    poll_begins();
    device = device_free(device);
    assert_null(watched);
    assert_null(attempt);
    assert_null(timer);
    assert_int_equal(ended, 0);
}

static void without_memory_there_is_none(void **state)
{
    (void)state;
    device = device_free(device);
    no_attempt = true;
    assert_null(device_new(&shared, &calls, &shared));
    no_attempt = false;
    no_timer = true;
    assert_null(device_new(&shared, &calls, &shared));
    assert_null(attempt);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_a_code_is_asked_for),
        TEST(a_code_is_shown_once),
        TEST(what_the_answer_took_is_of_the_codes_life),
        TEST(without_a_code_any_fault_is_the_end),
        TEST(by_the_deadline_there_is_a_code),
        TEST(the_deadline_is_of_the_code_alone),
        TEST(polls_are_as_far_apart_as_told),
        TEST(slow_down_is_for_good),
        TEST(a_lost_answer_doubles_the_interval_for_good),
        TEST(another_fault_doubles_it_for_once),
        TEST(of_faults_in_a_row_each_doubles_it_up_to_five_minutes),
        TEST(retry_after_counts_where_it_is_longer),
        TEST(after_a_rate_limit_it_is_5_s_more_for_good),
        TEST(an_interval_is_within_1_s_and_5_min),
        TEST(what_makes_it_longer_is_within_them_too),
        TEST(at_its_codes_end_it_is_over),
        TEST(at_the_moment_of_its_end_there_is_no_poll),
        TEST(a_timer_that_comes_late_polls_no_more),
        TEST(a_poll_that_is_answered_behind_its_end_is_the_last),
        TEST(no_code_lives_longer_than_an_hour),
        TEST(a_poll_that_is_due_waits_for_another_request),
        TEST(a_poll_that_is_not_due_is_not_hastened),
        TEST(what_was_due_of_one_that_is_over_is_not_of_the_next),
        TEST(a_code_ends_also_while_another_request_is_under_way),
        TEST(a_token_ends_it),
        TEST(what_does_not_pass_ends_it),
        TEST(what_may_pass_does_not),
        TEST(a_second_code_is_none),
        TEST(the_end_may_be_the_next_ones_beginning),
        TEST(one_that_is_cancelled_is_told_to_nobody_and_leaves_nothing),
        TEST(one_that_begins_anew_gives_the_other_up),
        TEST(its_polls_are_of_the_configuration_that_there_is),
        TEST(the_cache_is_copied),
        TEST(what_one_request_learns_the_next_one_knows),
        TEST(what_it_waits_for_is_said),
        TEST(where_there_has_been_none_nothing_is_done),
        TEST(one_that_is_freed_is_given_up),
        TEST(without_memory_there_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
