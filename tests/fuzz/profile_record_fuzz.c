/* How a profile stood in another life. The input is a record, or its lines. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "daemon/profile_record.h"

#define HOUR (3600 * USEC_PER_SEC)
#define LIFE_MOST (RESULT_LIFETIME_MAX * USEC_PER_SEC)

static const uint64_t now = 1000 * HOUR;

static void check_lifecycle(const struct lifecycle *lc)
{
    PROMISE(lc->state <= LIFECYCLE_NEED_LOGIN);
    PROMISE(lc->since <= now && lc->last_use <= now && lc->failed_at <= now);
    PROMISE(lc->route_at <= now && lc->fault_login_at <= now);
    PROMISE(lc->retry_at <= now + LIFECYCLE_PAUSE_MOST);
    PROMISE(lc->not_before <= now + LIFECYCLE_PAUSE_MOST);
    PROMISE(lc->renew_at <= now + LIFE_MOST && lc->advertised_expiry <= now + LIFE_MOST);
    PROMISE(lc->password_life <= LIFE_MOST);
    PROMISE(lc->failures <= 1000000 && lc->soft_failures <= 1000000);
    PROMISE(lc->refresh_faults <= 1000000);
    /* what ends with a life */
    PROMISE(lc->sent == 0 && lc->expires_at == 0 && lc->waited_until == 0);
    PROMISE(lc->gave_up_at == 0 && lc->patience == 0 && lc->wanted_life == 0);
    PROMISE(!lc->has_refresh_token && !lc->by_refresh_token && !lc->by_route);
    PROMISE(!lc->again && !lc->again_for_person);
}

static void check_record(const struct profile_record *r)
{
    check_lifecycle(&r->lifecycle);
    PROMISE(r->error.code < ERROR_MAX && fuzz_is_clean(r->error.detail));
    PROMISE(fuzz_is_clean(r->failed_step.name) && fuzz_is_clean(r->failed_step.host));
    PROMISE(fuzz_is_clean(r->changed) && r->changed_at <= now);
    PROMISE(r->rejection.at <= now && r->rejection.floor <= LIFECYCLE_PAUSE_MOST);
    PROMISE(r->n_holders <= HOLDERS_MAX);
    PROMISE(r->rejection.clients == NULL);
}

/* Written once more it is read as the same. */
static void check_again(const struct profile_record *r)
{
    static char bytes[PROFILE_RECORD_MAX];
    struct profile_record again, wanted = *r;
    size_t length = profile_record_encode(r, bytes, sizeof bytes);

    PROMISE(length > 0);
    PROMISE(profile_record_decode(bytes, length, now, &again) == 0);
    fuzz_wipe_tail(wanted.error.detail, sizeof wanted.error.detail);
    fuzz_wipe_tail(wanted.failed_step.name, sizeof wanted.failed_step.name);
    fuzz_wipe_tail(wanted.failed_step.host, sizeof wanted.failed_step.host);
    fuzz_wipe_tail(wanted.changed, sizeof wanted.changed);
    PROMISE(memcmp(&again, &wanted, sizeof again) == 0);
}

/* What every life does with it first. */
static void live_on(const struct profile_record *r, bool password, bool refresh_token, bool token)
{
    static const enum lifecycle_event_type types[] = { LIFECYCLE_TIMER, LIFECYCLE_WANTED,
                                                       LIFECYCLE_FAILED, LIFECYCLE_SYSTEM_CHANGED,
                                                       LIFECYCLE_CHANGED };
    const struct lifecycle_policy policy = { .keep_fresh = HOUR,
                                             .use_refresh_token = true,
                                             .password_at_hand = password };
    struct lifecycle lc;

    lifecycle_restore(&lc, &r->lifecycle, &policy, refresh_token, now);
    PROMISE(lc.state != LIFECYCLE_ASKING && lc.has_refresh_token == refresh_token);
    PROMISE(password || refresh_token || lc.state >= LIFECYCLE_STOPPED);
    if (token) {
        lifecycle_restore_token(&lc, &policy, now - HOUR / 2, HOUR);
        PROMISE(lc.expires_at == now + HOUR / 2);
        PROMISE(lc.renew_at > lc.sent && lc.renew_at <= lc.advertised_expiry);
        PROMISE(lc.advertised_expiry <= lc.expires_at);
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct lifecycle_event event = { .type = types[i], .random = UINT32_MAX };
        lifecycle_step(&lc, &policy, &event, now);
        PROMISE(lifecycle_state_name(lc.state));
        lifecycle_next(&lc, &policy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct profile_record r;
    size_t length;
    void *bytes = fuzz_record(data, size, &length);

    if (profile_record_decode(bytes, length, now, &r) == 0) {
        check_record(&r);
        check_again(&r);
        for (int i = 0; i < 8; i++)
            live_on(&r, i & 1, i & 2, i & 4);
    }
    free(bytes);
    return 0;
}
