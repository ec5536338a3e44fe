#include "daemon/profile_record.h"

#include <errno.h>
#include <string.h>

#include "common/time.h"
#include "common/tlv.h"

#define AT(member) offsetof(struct lifecycle, member)

/* The numbers of a lifecycle that are kept, all uint64_t. */
static const struct {
    const char *name;
    size_t at;
    uint64_t ahead; /* so far in the future it may be */
} times[] = {
    { "since", AT(since), 0 },
    { "last-use", AT(last_use), 0 },
    { "failed-at", AT(failed_at), 0 },
    { "route-at", AT(route_at), 0 },
    { "fault-login-at", AT(fault_login_at), 0 },
    { "deserted-at", AT(deserted_at), 0 },
    { "unsettled-at", AT(unsettled_at), 0 },
    { "retry-at", AT(retry_at), LIFECYCLE_PAUSE_MOST },
    { "not-before", AT(not_before), LIFECYCLE_PAUSE_MOST },
    /* of the token, which goes before them (lifecycle_restore_token) */
    { "renew-at", AT(renew_at), RESULT_LIFETIME_MAX *USEC_PER_SEC },
    { "advertised-expiry", AT(advertised_expiry), RESULT_LIFETIME_MAX *USEC_PER_SEC },
};

static const struct {
    const char *name;
    size_t at;
} counts[] = {
    { "failures", AT(failures) },
    { "soft-failures", AT(soft_failures) },
    { "refresh-faults", AT(refresh_faults) },
    { "lost", AT(lost) },
};

static const struct {
    const char *name;
    size_t at;
} flags[] = {
    { "refresh-is-useless", AT(refresh_is_useless) },
    { "refresh-is-stale", AT(refresh_is_stale) },
    { "refresh-is-short", AT(refresh_is_short) },
    { "fault-login", AT(fault_login) },
    { "in-turn", AT(in_turn) },
    { "password-turn", AT(password_turn) },
    { "password-next", AT(password_next) },
    { "local", AT(local) },
    { "put-off", AT(put_off) },
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { COUNT_MOST = 1000000 };

static void *member(struct lifecycle *lc, size_t at)
{
    return (char *)lc + at;
}

static const void *peek(const struct lifecycle *lc, size_t at)
{
    return (const char *)lc + at;
}

/* What is 0 is not written. */
static void put_number(struct tlv_writer *w, const char *name, uint64_t n)
{
    if (n > 0)
        tlv_put_number(w, name, (int64_t)n);
}

static void put_text(struct tlv_writer *w, const char *name, const char *text)
{
    if (*text)
        tlv_put_text(w, name, text);
}

static void put_lifecycle(struct tlv_writer *w, const struct lifecycle *lc)
{
    tlv_put_text(w, "state", lifecycle_state_name(lc->state));
    put_number(w, "password-life", lc->password_life);
    for (size_t i = 0; i < COUNT(times); i++)
        put_number(w, times[i].name, *(const uint64_t *)peek(lc, times[i].at));
    for (size_t i = 0; i < COUNT(counts); i++)
        put_number(w, counts[i].name, *(const unsigned *)peek(lc, counts[i].at));
    for (size_t i = 0; i < COUNT(flags); i++)
        put_number(w, flags[i].name, *(const bool *)peek(lc, flags[i].at));
}

size_t profile_record_encode(const struct profile_record *r, void *memory, size_t capacity)
{
    struct tlv_writer w;

    tlv_begin(&w, memory, capacity);
    put_lifecycle(&w, &r->lifecycle);
    if (r->error.code != ERROR_NONE)
        tlv_put_text(&w, "error", error_name(r->error.code));
    put_text(&w, "detail", r->error.detail);
    put_text(&w, "step", r->failed_step.name);
    put_text(&w, "host", r->failed_step.host);
    put_number(&w, "suspected", r->rejection.suspected);
    put_number(&w, "unheard", r->rejection.unheard);
    put_number(&w, "suspected-at", r->rejection.at);
    put_number(&w, "floor", r->rejection.floor);
    put_text(&w, "changed", r->changed);
    put_number(&w, "changed-at", r->changed_at);
    if (r->n_holders > 0)
        tlv_put(&w, "holders", r->holders, r->n_holders * sizeof *r->holders);
    put_number(&w, "otp-need", r->otp_need);
    put_number(&w, "had-password", r->had_password);
    put_number(&w, "had-refresh-token", r->had_refresh_token);
    tlv_put(&w, "configuration", &r->configuration, sizeof r->configuration);
    tlv_put(&w, "attempt", r->note.numbers, sizeof r->note.numbers);
    return tlv_end(&w);
}

static bool take_state(struct lifecycle *lc, const struct tlv_field *f)
{
    for (int i = 0; i <= LIFECYCLE_NEED_LOGIN; i++) {
        const char *name = lifecycle_state_name((enum lifecycle_state)i);
        if (strlen(name) == f->length && memcmp(name, f->value, f->length) == 0)
            lc->state = (enum lifecycle_state)i;
    }
    return true;
}

static uint64_t at_most(uint64_t n, uint64_t most)
{
    return n < most ? n : most;
}

/* Whether it is a number of the lifecycle; then it is taken. */
static bool take_number(struct lifecycle *lc, const struct tlv_field *f, uint64_t n, uint64_t now)
{
    for (size_t i = 0; i < COUNT(times); i++)
        if (tlv_is(f, times[i].name)) {
            *(uint64_t *)member(lc, times[i].at) = at_most(n, now + times[i].ahead);
            return true;
        }
    for (size_t i = 0; i < COUNT(counts); i++)
        if (tlv_is(f, counts[i].name)) {
            *(unsigned *)member(lc, counts[i].at) = (unsigned)at_most(n, COUNT_MOST);
            return true;
        }
    for (size_t i = 0; i < COUNT(flags); i++)
        if (tlv_is(f, flags[i].name)) {
            *(bool *)member(lc, flags[i].at) = n > 0;
            return true;
        }
    return false;
}

static void take_other_number(struct profile_record *r, const struct tlv_field *f, uint64_t n,
                              uint64_t now)
{
    if (tlv_is(f, "password-life"))
        r->lifecycle.password_life = at_most(n, RESULT_LIFETIME_MAX * USEC_PER_SEC);
    else if (tlv_is(f, "suspected"))
        r->rejection.suspected = n;
    else if (tlv_is(f, "unheard"))
        r->rejection.unheard = n;
    else if (tlv_is(f, "suspected-at"))
        r->rejection.at = at_most(n, now);
    else if (tlv_is(f, "floor"))
        r->rejection.floor = at_most(n, LIFECYCLE_PAUSE_MOST);
    else if (tlv_is(f, "changed-at"))
        r->changed_at = at_most(n, now);
    else if (tlv_is(f, "otp-need"))
        r->otp_need = n <= OTP_NOT_NEEDED ? (enum otp_need)n : OTP_UNKNOWN;
    else if (tlv_is(f, "had-password"))
        r->had_password = n > 0;
    else if (tlv_is(f, "had-refresh-token"))
        r->had_refresh_token = n > 0;
}

static void clean(char *to, size_t size, const struct tlv_field *f)
{
    error_clean(to, size, f->value, f->length);
}

static void take_holders(struct profile_record *r, const struct tlv_field *f)
{
    size_t n = at_most(f->length / sizeof *r->holders, HOLDERS_MAX);
    struct holder one;

    memset(r->holders, 0, sizeof r->holders);
    r->n_holders = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(&one, f->value + i * sizeof one, sizeof one);
        if (one.pid > 0 && one.pid <= INT32_MAX)
            r->holders[r->n_holders++] = one;
    }
}

/* Whether it is a text; then it is taken. */
static bool take_text(struct profile_record *r, const struct tlv_field *f)
{
    if (tlv_is(f, "state"))
        return take_state(&r->lifecycle, f);
    if (tlv_is(f, "error"))
        r->error.code = error_from_name(f->value, f->length);
    else if (tlv_is(f, "detail"))
        clean(r->error.detail, sizeof r->error.detail, f);
    else if (tlv_is(f, "step"))
        clean(r->failed_step.name, sizeof r->failed_step.name, f);
    else if (tlv_is(f, "host"))
        clean(r->failed_step.host, sizeof r->failed_step.host, f);
    else if (tlv_is(f, "changed"))
        clean(r->changed, sizeof r->changed, f);
    else if (tlv_is(f, "configuration"))
        memcpy(&r->configuration, f->value, at_most(f->length, sizeof r->configuration));
    else if (tlv_is(f, "holders"))
        take_holders(r, f);
    else if (tlv_is(f, "attempt"))
        memcpy(r->note.numbers, f->value, at_most(f->length, sizeof r->note.numbers));
    else
        return false;
    return true;
}

int profile_record_decode(const void *bytes, size_t length, uint64_t now,
                          struct profile_record *ret)
{
    struct profile_record r = { .error = { ERROR_NONE, "" } };
    struct tlv_reader reader;
    struct tlv_field f;
    int more;
    int64_t n;

    if (tlv_open(&reader, bytes, length) <= 0)
        return -EBADMSG;
    while ((more = tlv_next(&reader, &f)) > 0) {
        if (take_text(&r, &f) || tlv_number(&f, &n) < 0 || n < 0)
            continue; /* or of a later version */
        if (!take_number(&r.lifecycle, &f, (uint64_t)n, now))
            take_other_number(&r, &f, (uint64_t)n, now);
    }
    if (more < 0)
        return -EBADMSG;
    *ret = r;
    return 0;
}
