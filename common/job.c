#include "common/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "common/tlv.h"
#include "common/url.h"

enum { JOB_VERSION = 1 };

static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    { "issuer", offsetof(struct job, issuer) },
    { "token-endpoint", offsetof(struct job, token_endpoint) },
    { "jwks-uri", offsetof(struct job, jwks_uri) },
    { "client-id", offsetof(struct job, client_id) },
    { "client-auth", offsetof(struct job, client_auth) },
    { "client-secret", offsetof(struct job, client_secret) },
    { "username", offsetof(struct job, username) },
    { "password", offsetof(struct job, password) },
    { "refresh-token", offsetof(struct job, refresh_token) },
    { "otp", offsetof(struct job, otp) },
    { "otp-parameter", offsetof(struct job, otp_parameter) },
    { "device-code", offsetof(struct job, device_code) },
    { "device-endpoint", offsetof(struct job, device_endpoint) },
    { "subject-token", offsetof(struct job, subject_token) },
    { "subject-token-type", offsetof(struct job, subject_token_type) },
    { "token", offsetof(struct job, token) },
    { "previous", offsetof(struct job, previous) },
    { "scope", offsetof(struct job, scope) },
    { "audience", offsetof(struct job, audience) },
    { "resource", offsetof(struct job, resource) },
    { "realm", offsetof(struct job, realm) },
    { "username-claim", offsetof(struct job, username_claim) },
    { "username-prefix", offsetof(struct job, username_prefix) },
    { "groups-claim", offsetof(struct job, groups_claim) },
    { "groups-prefix", offsetof(struct job, groups_prefix) },
    { "ca-file", offsetof(struct job, ca_file) },
    { "tls-client-cert", offsetof(struct job, tls_client_cert) },
    { "tls-client-key", offsetof(struct job, tls_client_key) },
    { "proxy", offsetof(struct job, proxy) },
    { "signing-algs", offsetof(struct job, signing_algs) },
};

enum { N_TEXTS = sizeof texts / sizeof *texts };

static const char *const outcomes[] = {
    [OUTCOME_TOKEN] = "token",         [OUTCOME_REFUSED] = "refused", [OUTCOME_SOFT] = "doubtful",
    [OUTCOME_TEMPORARY] = "temporary", [OUTCOME_STALE] = "stale",     [OUTCOME_INVALID] = "invalid",
    [OUTCOME_REPORT] = "report",       [OUTCOME_CONFIG] = "config",   [OUTCOME_REVOKED] = "revoked",
    [OUTCOME_DEVICE] = "device",       [OUTCOME_PENDING] = "pending",
};

static const char *const kinds[] = {
    [JOB_PASSWORD] = "password", [JOB_REFRESH] = "refresh", [JOB_INSPECT] = "inspect",
    [JOB_REVOKE] = "revoke",     [JOB_DEVICE] = "device",   [JOB_POLL] = "poll",
    [JOB_EXCHANGE] = "exchange", [JOB_VERIFY] = "verify",
};

bool job_asks_for_token(enum job_kind kind)
{
    return kind == JOB_PASSWORD || kind == JOB_REFRESH || kind == JOB_POLL || kind == JOB_EXCHANGE;
}

static const char **text_slot(struct job *job, size_t i)
{
    return (const char **)(void *)((char *)job + texts[i].offset);
}

static void put_list(struct tlv_writer *w, const char *name, const char *const *list)
{
    for (size_t i = 0; i < JOB_LIST_MAX && list[i]; i++)
        tlv_put_text(w, name, list[i]);
}

/* What a field takes besides its value, and the few that are numbers or words. */
enum { FIELD_ROOM = 32, PLAIN_FIELDS_ROOM = 256 };

static size_t list_room(const char *const *list)
{
    size_t room = 0;

    for (size_t i = 0; i < JOB_LIST_MAX && list[i]; i++)
        room += strlen(list[i]) + FIELD_ROOM;
    return room;
}

/* At least what the encoded job takes. */
static size_t job_room(const struct job *job)
{
    size_t room = PLAIN_FIELDS_ROOM + job->cache_length + FIELD_ROOM;

    for (size_t i = 0; i < N_TEXTS; i++) {
        const char *text = *text_slot((struct job *)(uintptr_t)job, i);
        room += text ? strlen(text) + FIELD_ROOM : 0;
    }
    return room + list_room(job->parameters) + list_room(job->environment);
}

struct secret *job_encode(const struct job *job)
{
    size_t room = job_room(job);
    struct secret *out = secret_new(room < JOB_MAX ? room : JOB_MAX);
    struct tlv_writer w;

    if (!out)
        return NULL;
    tlv_begin(&w, secret_bytes(out), secret_capacity(out));
    tlv_put_text(&w, "record", "job");
    tlv_put_number(&w, "version", JOB_VERSION);
    tlv_put_text(&w, "kind", kinds[job->kind]);
    tlv_put_number(&w, "json", job->json);
    tlv_put_number(&w, "deadline", (int64_t)job->deadline);
    tlv_put_number(&w, "allow-http-loopback", job->allow_http_loopback);
    tlv_put_number(&w, "wants-access-token", job->wants_access_token);
    for (size_t i = 0; i < N_TEXTS; i++) {
        const char *text = *text_slot((struct job *)(uintptr_t)job, i);
        if (text)
            tlv_put_text(&w, texts[i].name, text);
    }
    if (job->cache_length > 0)
        tlv_put(&w, "cache", job->cache, job->cache_length);
    put_list(&w, "parameter", job->parameters);
    put_list(&w, "environment", job->environment);
    size_t length = tlv_end(&w);
    if (length == 0)
        return secret_free(out);
    secret_set_length(out, length);
    return out;
}

/* Copies a value behind what the job holds already, with a NUL. */
static const char *hold_bytes(struct job *job, const struct tlv_field *f)
{
    size_t at = secret_length(job->held);
    char *p = secret_bytes(job->held) + at;
    memcpy(p, f->value, f->length);
    p[f->length] = '\0';
    secret_set_length(job->held, at + f->length + 1);
    return p;
}

/* A text, which has no NUL inside. */
static const char *hold(struct job *job, const struct tlv_field *f)
{
    return memchr(f->value, '\0', f->length) ? NULL : hold_bytes(job, f);
}

static int take_cache(struct job *job, const struct tlv_field *f)
{
    if (job->cache || f->length > RESULT_CACHE_MAX)
        return -EBADMSG;
    job->cache = hold_bytes(job, f);
    job->cache_length = f->length;
    return 0;
}

static int add_to_list(struct job *job, const char **list, const struct tlv_field *f)
{
    size_t n = 0;

    while (n < JOB_LIST_MAX && list[n])
        n++;
    if (n == JOB_LIST_MAX || !(list[n] = hold(job, f)))
        return -EBADMSG;
    return 0;
}

static int take_kind(struct job *job, const struct tlv_field *f)
{
    for (int i = 0; i <= JOB_VERIFY; i++)
        if (strlen(kinds[i]) == f->length && memcmp(kinds[i], f->value, f->length) == 0) {
            job->kind = (enum job_kind)i;
            return 0;
        }
    return -EBADMSG;
}

static int job_field(struct job *job, const struct tlv_field *f)
{
    int64_t number;

    if (tlv_is(f, "kind"))
        return take_kind(job, f);
    if (tlv_is(f, "cache"))
        return take_cache(job, f);
    if (tlv_is(f, "version"))
        return tlv_number(f, &number) == 0 && number == JOB_VERSION ? 0 : -EBADMSG;
    if (tlv_is(f, "deadline") || tlv_is(f, "allow-http-loopback") || tlv_is(f, "json") ||
        tlv_is(f, "wants-access-token")) {
        if (tlv_number(f, &number) < 0 || number < 0)
            return -EBADMSG;
        if (tlv_is(f, "deadline"))
            job->deadline = (uint64_t)number;
        else if (tlv_is(f, "json"))
            job->json = number != 0;
        else if (tlv_is(f, "wants-access-token"))
            job->wants_access_token = number != 0;
        else
            job->allow_http_loopback = number != 0;
        return 0;
    }
    if (tlv_is(f, "parameter"))
        return add_to_list(job, job->parameters, f);
    if (tlv_is(f, "environment"))
        return add_to_list(job, job->environment, f);
    for (size_t i = 0; i < N_TEXTS; i++)
        if (tlv_is(f, texts[i].name))
            return (*text_slot(job, i) = hold(job, f)) ? 0 : -EBADMSG;
    return 0;
}

/* Whether it brings what its kind is about. */
static bool is_whole(const struct job *job)
{
    switch (job->kind) {
    case JOB_INSPECT:
    case JOB_VERIFY:
        return job->token;
    case JOB_REVOKE:
        return job->refresh_token;
    case JOB_POLL:
        return job->device_code;
    case JOB_EXCHANGE:
        return job->subject_token && job->subject_token_type;
    case JOB_PASSWORD:
    case JOB_REFRESH:
    case JOB_DEVICE:
        break;
    }
    return true;
}

int job_decode(const void *bytes, size_t length, struct job *ret)
{
    struct tlv_reader r;
    struct tlv_field f;
    struct job job = { 0 };
    bool versioned = false;
    int more;

    if (length > JOB_MAX || tlv_open(&r, bytes, length) != (long)length)
        return -EBADMSG;
    job.held = secret_new(length); /* a field is longer than its value and a NUL */
    if (!job.held)
        return -ENOMEM;
    while ((more = tlv_next(&r, &f)) > 0) {
        versioned |= tlv_is(&f, "version");
        if ((more = job_field(&job, &f)) < 0)
            break;
    }
    if (more < 0 || !versioned || !job.issuer || !job.client_id || !job.client_auth ||
        !job.signing_algs || !is_whole(&job)) {
        secret_free(job.held);
        return -EBADMSG;
    }
    *ret = job;
    return 0;
}

void job_clear(struct job *job)
{
    secret_free(job->held);
    *job = (struct job){ 0 };
}

size_t step_encode(const struct step *step, void *memory, size_t capacity)
{
    struct tlv_writer w;

    tlv_begin(&w, memory, capacity);
    tlv_put_text(&w, "record", "step");
    tlv_put_text(&w, "name", step->name);
    tlv_put_text(&w, "host", step->host);
    return tlv_end(&w);
}

static void put_secret(struct tlv_writer *w, const char *name, const struct secret *secret)
{
    if (secret)
        tlv_put(w, name, secret_peek(secret), secret_length(secret));
}

/* What a login elsewhere takes. */
static void put_device(struct tlv_writer *w, const struct result *result)
{
    put_secret(w, "device-code", result->device_code);
    if (*result->user_code)
        tlv_put_text(w, "user-code", result->user_code);
    if (*result->verification_uri)
        tlv_put_text(w, "verification-uri", result->verification_uri);
    if (*result->verification_uri_complete)
        tlv_put_text(w, "verification-uri-complete", result->verification_uri_complete);
    if (result->code_lifetime > 0)
        tlv_put_number(w, "code-lifetime", (int64_t)result->code_lifetime);
    if (result->interval > 0)
        tlv_put_number(w, "interval", (int64_t)result->interval);
}

size_t result_encode(const struct result *result, void *memory, size_t capacity)
{
    struct tlv_writer w;

    tlv_begin(&w, memory, capacity);
    tlv_put_text(&w, "record", "end");
    tlv_put_text(&w, "outcome", outcomes[result->outcome]);
    if (result->outcome != OUTCOME_TOKEN && result->error.code != ERROR_NONE) {
        tlv_put_text(&w, "code", error_name(result->error.code));
        tlv_put_text(&w, "detail", result->error.detail);
    }
    tlv_put_number(&w, "retry-after", (int64_t)result->retry_after);
    tlv_put_number(&w, "http-status", result->http_status);
    tlv_put_number(&w, "refresh-without-token", result->refresh_without_token);
    tlv_put_number(&w, "nobody-listens", result->nobody_listens);
    tlv_put_number(&w, "otp-sent", result->otp_sent);
    put_secret(&w, "id-token", result->id_token);
    put_secret(&w, "refresh-token", result->refresh_token);
    put_secret(&w, "access-token", result->access_token);
    put_device(&w, result);
    tlv_put_number(&w, "lifetime", (int64_t)result->lifetime);
    tlv_put_number(&w, "sent", (int64_t)result->sent);
    tlv_put_number(&w, "verified", result->verified);
    tlv_put_text(&w, "username-claim", result->user);
    tlv_put_text(&w, "sub", result->sub);
    tlv_put_text(&w, "email", result->email);
    if (*result->changed)
        tlv_put_text(&w, "changed", result->changed);
    if (*result->key)
        tlv_put_text(&w, "key", result->key);
    tlv_put_number(&w, "key-gone", result->key_gone);
    if (result->has_clock_offset)
        tlv_put_number(&w, "clock-offset", result->clock_offset);
    if (result->protections.known) {
        tlv_put_number(&w, "protections", protections_pack(&result->protections));
        tlv_put_number(&w, "landlock", result->protections.landlock);
    }
    if (result->report)
        tlv_put_text(&w, "report", result->report);
    if (result->cache_length > 0)
        tlv_put(&w, "cache", result->cache, result->cache_length);
    for (unsigned i = 0; i < result->n_warnings; i++) {
        tlv_put_text(&w, "warning", error_name(result->warnings[i].code));
        tlv_put_text(&w, "warning-detail", result->warnings[i].detail);
    }
    return tlv_end(&w);
}

bool job_token_shaped(const char *token, size_t length)
{
    int dots = 0;
    size_t part = 0;

    for (size_t i = 0; i < length; i++) {
        char c = token[i];
        if (c == '.') {
            if (part == 0 || part % 4 == 1)
                return false;
            dots++;
            part = 0;
        } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '-' || c == '_') {
            part++;
        } else {
            return false;
        }
    }
    return dots == 2 && part > 0 && part % 4 != 1 && length <= RESULT_TOKEN_MAX;
}

/* Foreign text is made printable here a second time: the fetcher is not believed to have. */
static void take_detail(struct error *e, const struct tlv_field *f)
{
    error_clean(e->detail, RESULT_DETAIL_MAX + 1, f->value, f->length);
}

static int take_secret(struct secret **slot, const struct tlv_field *f, size_t most)
{
    if (*slot || f->length > most || memchr(f->value, '\0', f->length))
        return -EBADMSG;
    *slot = secret_copy(f->value, f->length);
    return *slot ? 0 : -ENOMEM;
}

static int take_learnt(struct result *result, const struct tlv_field *f)
{
    if (result->cache || f->length == 0 || f->length > RESULT_CACHE_MAX)
        return -EBADMSG;
    result->cache = malloc(f->length);
    if (!result->cache)
        return -ENOMEM;
    memcpy(result->cache, f->value, f->length);
    result->cache_length = f->length;
    return 0;
}

/* Lines of printable text; what is not becomes a blank. */
static int take_report(struct result *result, const struct tlv_field *f)
{
    if (result->report || f->length > RESULT_REPORT_MAX)
        return -EBADMSG;
    result->report = strndup(f->value, f->length);
    if (!result->report)
        return -ENOMEM;
    size_t left = strlen(result->report);
    for (char *p = result->report; left > 0;) {
        size_t n = error_character(p, left);
        if (n == 0 && *p != '\n')
            *p = ' ';
        p += n ? n : 1;
        left -= n ? n : 1;
    }
    return 0;
}

static int take_outcome(struct result *result, const struct tlv_field *f)
{
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (strlen(outcomes[i]) == f->length && memcmp(outcomes[i], f->value, f->length) == 0) {
            result->outcome = (enum outcome)i;
            return 0;
        }
    return -EBADMSG;
}

static int take_number(struct result *result, const struct tlv_field *f)
{
    int64_t n;

    if (tlv_number(f, &n) < 0)
        return -EBADMSG;
    if (tlv_is(f, "clock-offset")) {
        result->has_clock_offset = true;
        result->clock_offset = n > RESULT_CLOCK_OFFSET_MAX    ? RESULT_CLOCK_OFFSET_MAX
                               : n < -RESULT_CLOCK_OFFSET_MAX ? -RESULT_CLOCK_OFFSET_MAX
                                                              : n;
        return 0;
    }
    if (n < 0)
        return -EBADMSG;
    if (tlv_is(f, "retry-after"))
        result->retry_after = (uint64_t)n;
    else if (tlv_is(f, "http-status"))
        result->http_status = n < 1000 ? (unsigned)n : 0;
    else if (tlv_is(f, "lifetime"))
        result->lifetime = (uint64_t)n;
    else if (tlv_is(f, "sent"))
        result->sent = (uint64_t)n;
    else if (tlv_is(f, "verified"))
        result->verified = n != 0;
    else if (tlv_is(f, "nobody-listens"))
        result->nobody_listens = n != 0;
    else if (tlv_is(f, "otp-sent"))
        result->otp_sent = n != 0;
    else if (tlv_is(f, "key-gone"))
        result->key_gone = n != 0;
    else if (tlv_is(f, "code-lifetime"))
        result->code_lifetime = (uint64_t)n;
    else if (tlv_is(f, "interval"))
        result->interval = (uint64_t)n;
    else if (tlv_is(f, "protections"))
        protections_unpack(n, &result->protections);
    else if (tlv_is(f, "landlock"))
        result->protections.landlock = n <= PROTECTIONS_LANDLOCK_MAX ? (unsigned)n : 0;
    else
        result->refresh_without_token = n != 0;
    return 0;
}

/* Of a page that a person is to open: whole, or not at all. */
static void take_uri(char *out, const struct tlv_field *f)
{
    error_clean(out, RESULT_URI_MAX + 1, f->value, f->length);
    if (f->length > RESULT_URI_MAX || !url_is_plain(out) ||
        (strncmp(out, "https://", 8) != 0 && !url_is_loopback_http(out)))
        *out = '\0';
}

static int take_field(struct result *result, const struct tlv_field *f)
{
    static const char *const numbers[] = {
        "clock-offset", "retry-after",           "http-status",    "lifetime", "sent",
        "verified",     "refresh-without-token", "nobody-listens", "key-gone", "protections",
        "landlock",     "code-lifetime",         "interval",       "otp-sent"
    };
    if (tlv_is(f, "outcome"))
        return take_outcome(result, f);
    if (tlv_is(f, "code"))
        result->error.code = error_from_name(f->value, f->length);
    else if (tlv_is(f, "detail"))
        take_detail(&result->error, f);
    else if (tlv_is(f, "id-token"))
        return take_secret(&result->id_token, f, RESULT_TOKEN_MAX);
    else if (tlv_is(f, "refresh-token"))
        return take_secret(&result->refresh_token, f, RESULT_REFRESH_TOKEN_MAX);
    else if (tlv_is(f, "access-token"))
        return take_secret(&result->access_token, f, RESULT_ACCESS_TOKEN_MAX);
    else if (tlv_is(f, "device-code"))
        return take_secret(&result->device_code, f, RESULT_DEVICE_CODE_MAX);
    else if (tlv_is(f, "report"))
        return take_report(result, f);
    else if (tlv_is(f, "cache"))
        return take_learnt(result, f);
    else if (tlv_is(f, "username-claim"))
        error_clean(result->user, sizeof result->user, f->value, f->length);
    else if (tlv_is(f, "sub"))
        error_clean(result->sub, sizeof result->sub, f->value, f->length);
    else if (tlv_is(f, "email"))
        error_clean(result->email, sizeof result->email, f->value, f->length);
    else if (tlv_is(f, "changed"))
        error_clean(result->changed, sizeof result->changed, f->value, f->length);
    else if (tlv_is(f, "key"))
        error_clean(result->key, sizeof result->key, f->value, f->length);
    else if (tlv_is(f, "user-code"))
        error_clean(result->user_code, sizeof result->user_code, f->value, f->length);
    else if (tlv_is(f, "verification-uri"))
        take_uri(result->verification_uri, f);
    else if (tlv_is(f, "verification-uri-complete"))
        take_uri(result->verification_uri_complete, f);
    else if (tlv_is(f, "warning") && result->n_warnings < RESULT_WARNINGS_MAX)
        result->warnings[result->n_warnings++].code = error_from_name(f->value, f->length);
    else if (tlv_is(f, "warning-detail") && result->n_warnings > 0 &&
             result->warnings[result->n_warnings - 1].detail[0] == '\0')
        take_detail(&result->warnings[result->n_warnings - 1], f);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (tlv_is(f, numbers[i]))
            return take_number(result, f);
    return 0;
}

/* The limits within which a result is believed. */
static bool believable(const struct result *r, const struct secret *token, uint64_t started,
                       uint64_t now)
{
    if (r->outcome == OUTCOME_REPORT)
        return r->report && !r->id_token;
    if (r->outcome == OUTCOME_REVOKED)
        return !r->id_token;
    if (r->outcome == OUTCOME_DEVICE)
        return r->device_code && *r->user_code && *r->verification_uri && r->code_lifetime > 0 &&
               r->sent >= started && r->sent <= now && !r->id_token;
    if (r->outcome == OUTCOME_PENDING)
        return !r->id_token;
    if (r->outcome != OUTCOME_TOKEN)
        return !r->id_token && r->error.code != ERROR_NONE;
    return token && job_token_shaped(secret_peek(token), secret_length(token)) && r->lifetime > 0 &&
           r->lifetime <= RESULT_LIFETIME_MAX * USEC_PER_SEC && r->sent >= started &&
           r->sent <= now;
}

/* token: NULL, it is to be among the fields. */
static int read_result(struct tlv_reader *r, const struct secret *token, uint64_t started,
                       uint64_t now, struct result *ret)
{
    struct result result = { .outcome = OUTCOME_INVALID };
    struct tlv_field f;
    bool decided = false;
    int more;

    while ((more = tlv_next(r, &f)) > 0) {
        decided |= tlv_is(&f, "outcome");
        if ((more = take_field(&result, &f)) < 0)
            break;
    }
    if (more < 0 || !decided ||
        !believable(&result, token ? token : result.id_token, started, now)) {
        result_clear(&result);
        return -EBADMSG;
    }
    *ret = result;
    return 2;
}

static int read_step(struct tlv_reader *r, struct step *ret)
{
    struct step step = { 0 };
    struct tlv_field f;
    int more;

    while ((more = tlv_next(r, &f)) > 0) {
        if (tlv_is(&f, "name"))
            error_clean(step.name, sizeof step.name, f.value, f.length);
        else if (tlv_is(&f, "host"))
            error_clean(step.host, sizeof step.host, f.value, f.length);
    }
    if (more < 0)
        return -EBADMSG;
    *ret = step;
    return 1;
}

int result_next(const void *bytes, size_t length, uint64_t started, uint64_t now, struct step *step,
                struct result *result, size_t *used)
{
    struct tlv_reader r;
    struct tlv_field f;
    long whole = tlv_open(&r, bytes, length);

    if (whole <= 0)
        return (int)whole;
    *used = (size_t)whole;
    if (tlv_next(&r, &f) != 1 || !tlv_is(&f, "record"))
        return -EBADMSG;
    if (f.length == 4 && memcmp(f.value, "step", 4) == 0)
        return read_step(&r, step);
    if (f.length == 3 && memcmp(f.value, "end", 3) == 0)
        return read_result(&r, NULL, started, now, result);
    return -EBADMSG;
}

int result_restore(const void *bytes, size_t length, const struct secret *token, uint64_t now,
                   struct result *ret)
{
    struct result result;
    struct tlv_reader r;

    if (tlv_open(&r, bytes, length) <= 0 || read_result(&r, token, 0, now, &result) < 0)
        return -EBADMSG;
    bool bare = !result.id_token && !result.refresh_token && !result.access_token &&
                !result.device_code && !result.report && !result.cache;
    if (bare && result.outcome == OUTCOME_TOKEN) {
        *ret = result;
        return 0;
    }
    result_clear(&result);
    return -EBADMSG;
}

void result_clear(struct result *result)
{
    secret_free(result->id_token);
    secret_free(result->refresh_token);
    secret_free(result->access_token);
    secret_free(result->device_code);
    free(result->cache);
    free(result->report);
    *result = (struct result){ 0 };
}
