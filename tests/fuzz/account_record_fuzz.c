/* What another life knew of an account. The input is a record, or its lines. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/account_record.h"

#define HOUR (3600 * USEC_PER_SEC)

static const uint64_t now = 1000 * HOUR;

static void check_refusal(const struct account_refusal *r)
{
    PROMISE(r->probe_at <= now + 80 * USEC_PER_SEC);
}

static void check_trouble(const struct account_trouble *t)
{
    PROMISE(t->silent_since <= now && t->route_at <= now && t->pause_until <= now + 30 * HOUR);
    for (size_t i = 0; i < ACCOUNT_DENIALS - 1; i++)
        PROMISE(t->denied_at[i] <= now);
    PROMISE(t->silences <= 1000000 && t->softs <= 1000000);
}

static void check_account(const struct account *a)
{
    PROMISE(a->bucket_full <= now + ACCOUNT_BURST * 10 * USEC_PER_SEC && a->silent_at <= now);
    for (size_t i = 0; i < ACCOUNT_REFUSALS; i++)
        check_refusal(&a->refusals[i]);
    for (size_t i = 0; i < ACCOUNT_TROUBLES; i++)
        check_trouble(&a->troubles[i]);
    /* the first that is free ends a list */
    for (size_t i = 1; i < ACCOUNT_ACCEPTED; i++)
        PROMISE(a->accepted[i - 1] || !a->accepted[i]);
    for (size_t i = 1; i < ACCOUNT_REFUSALS; i++)
        PROMISE(a->refusals[i - 1].what.password || !a->refusals[i].what.password);
    for (size_t i = 1; i < ACCOUNT_TROUBLES; i++)
        PROMISE(a->troubles[i - 1].password || !a->troubles[i].password);
    PROMISE(a->why.code < ERROR_MAX && fuzz_is_clean(a->why.detail));
    PROMISE(a->why_of == 0 || a->why.code != ERROR_NONE);
    PROMISE(!a->holder && !a->latest && a->refused_at == 0 && a->before.password == 0);
}

/* Written once more it is read as the same. */
static void check_again(const struct account *a)
{
    static char bytes[ACCOUNT_RECORD_MAX];
    struct account again, wanted = *a;
    size_t length = account_record_encode(a, bytes, sizeof bytes);

    if (length == 0) { /* nothing stands against a login */
        PROMISE(a->bucket_full == 0 && a->silent_at == 0 && a->accepted[0] == 0);
        PROMISE(a->refusals[0].what.password == 0 && a->troubles[0].password == 0);
        return;
    }
    PROMISE(account_record_decode(bytes, length, now, &again) == 0);
    if (wanted.why_of == 0)
        memset(&wanted.why, 0, sizeof wanted.why);
    fuzz_wipe_tail(wanted.why.detail, sizeof wanted.why.detail);
    PROMISE(memcmp(&again, &wanted, sizeof again) == 0);
}

/* Of those that it knows of, and another one. */
static account_digest password_of(const struct account *a, size_t i)
{
    if (i < ACCOUNT_ACCEPTED && a->accepted[i])
        return a->accepted[i];
    return a->troubles[i].password ? a->troubles[i].password : 1;
}

/* A login with each password, whatever comes of it. */
static void live_on(const struct account *kept, enum account_leave leave, enum account_end end)
{
    const struct error why = { ERROR_REFUSED, "no" };
    struct account a = *kept;
    uint64_t when = now;

    for (size_t i = 0; i < ACCOUNT_TROUBLES; i++) {
        const struct account_credential what = { .password = password_of(kept, i), .client = 1 };
        enum account_verdict verdict = account_ask(&a, &what, leave, &a, UINT32_MAX, now, &when);
        PROMISE(verdict <= ACCOUNT_EMPTY && verdict != ACCOUNT_BUSY);
        if (verdict == ACCOUNT_GO)
            account_ended(&a, &what, &a, end, &why, UINT32_MAX, now);
        else if (verdict != ACCOUNT_REFUSED)
            PROMISE(when > now && when <= now + 30 * HOUR);
        PROMISE(account_next(&a, &what) <= now + 30 * HOUR);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct account a;
    size_t length;
    void *bytes = fuzz_record(data, size, &length);

    if (account_record_decode(bytes, length, now, &a) == 0) {
        check_account(&a);
        check_again(&a);
        for (int leave = ACCOUNT_BY_RULE; leave <= ACCOUNT_BY_PERSON; leave++)
            for (int end = ACCOUNT_TOOK; end <= ACCOUNT_NOT_SENT; end++)
                live_on(&a, (enum account_leave)leave, (enum account_end)end);
    }
    free(bytes);
    return 0;
}
