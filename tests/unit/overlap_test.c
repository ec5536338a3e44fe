/* Two daemons of one user against a provider that refuses one of two logins at the same time, as
 * Keycloak with brute force detection does: account.c and lifecycle.c in virtual time. */
#include "support.h"

#include <string.h>

#include "daemon/account.h"
#include "daemon/lifecycle.h"

#define SECOND 1000000ULL
#define DAY (24 * 3600 * SECOND)
#define NEVER UINT64_MAX

enum { SEEDS = 100, DAEMONS = 2 };

static const uint64_t login_takes = 4 * SECOND / 10, token_lives = 60 * SECOND;
static const struct lifecycle_policy policy = { .keep_fresh = NEVER, .password_at_hand = true };
static const struct account_credential password = { 1, 2, 3, 4 };

static struct kubetokend {
    struct account account;
    struct lifecycle lifecycle;
    uint64_t send_at;   /* a request is put off until then; NEVER: none */
    uint64_t answer_at; /* NEVER: none is under way */
    uint64_t sent;
    bool refused; /* what the answer will be */
    unsigned doubts;
} daemons[DAEMONS];

static uint64_t now, user_busy_until, chance_state;
static unsigned logins;

static uint32_t chance(void)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return (uint32_t)(chance_state >> 16);
}

static void step(struct kubetokend *d, struct lifecycle_event event)
{
    event.random = chance();
    struct lifecycle_actions actions = lifecycle_step(&d->lifecycle, &policy, &event, now);

    if (actions.request)
        d->send_at = now + lifecycle_delay(&d->lifecycle, chance(), now);
}

static void fails(struct kubetokend *d, enum lifecycle_failure kind, uint64_t when)
{
    step(d, (struct lifecycle_event){
                .type = LIFECYCLE_FAILED,
                .failed = { .kind = kind, .retry_after = when > now ? when - now : 0 } });
}

static void sends(struct kubetokend *d)
{
    uint64_t when = 0;
    enum account_verdict verdict = account_ask(&d->account, &password, ACCOUNT_BY_RULE, d, chance(),
                                               now, &when);

    d->send_at = NEVER;
    if (verdict != ACCOUNT_GO) {
        fails(d, verdict == ACCOUNT_REFUSED ? LIFECYCLE_REFUSED : LIFECYCLE_DEFERRED, when);
        return;
    }
    logins++;
    d->sent = now;
    d->answer_at = now + login_takes;
    d->refused = now < user_busy_until;
    if (!d->refused)
        user_busy_until = d->answer_at;
}

static void is_answered(struct kubetokend *d)
{
    d->answer_at = NEVER;
    account_ended(&d->account, &password, d, d->refused ? ACCOUNT_REJECTED : ACCOUNT_TOOK, NULL,
                  chance(), now);
    if (!d->refused) {
        step(d, (struct lifecycle_event){ .type = LIFECYCLE_TOKEN,
                                          .token = { .sent = d->sent, .lifetime = token_lives } });
        return;
    }
    d->doubts++;
    bool stopped = account_refuses(&d->account, &password);
    fails(d, stopped ? LIFECYCLE_REFUSED : LIFECYCLE_DEFERRED,
          account_next(&d->account, &password));
}

static uint64_t next_of(const struct kubetokend *d)
{
    uint64_t next = d->send_at < d->answer_at ? d->send_at : d->answer_at;
    uint64_t timer = lifecycle_next(&d->lifecycle, &policy);

    return next < timer ? next : timer;
}

static void acts(struct kubetokend *d)
{
    if (d->answer_at <= now)
        is_answered(d);
    else if (d->send_at <= now)
        sends(d);
    else
        step(d, (struct lifecycle_event){ .type = LIFECYCLE_TIMER });
}

/* A day in which both have the password from the start. Returns how many refusals there were. */
static unsigned a_day(uint64_t seed)
{
    unsigned doubts = 0;

    chance_state = seed * 0x9e3779b97f4a7c15;
    now = DAY;
    user_busy_until = 0;
    for (unsigned i = 0; i < DAEMONS; i++) {
        daemons[i] = (struct kubetokend){ .send_at = now + chance() % token_lives,
                                          .answer_at = NEVER };
        daemons[i].account.accepted[0] = password.password;
        lifecycle_init(&daemons[i].lifecycle, now);
        daemons[i].lifecycle.state = LIFECYCLE_ASKING;
    }
    while (now < 2 * DAY) {
        struct kubetokend *first = next_of(&daemons[0]) <= next_of(&daemons[1]) ? &daemons[0]
                                                                                : &daemons[1];
        now = next_of(first) > now ? next_of(first) : now;
        acts(first);
        if (first->lifecycle.state == LIFECYCLE_STOPPED)
            fail_msg("seed %llu: stopped after %llu s", (unsigned long long)seed,
                     (unsigned long long)((now - DAY) / SECOND));
    }
    for (unsigned i = 0; i < DAEMONS; i++)
        doubts += daemons[i].doubts;
    return doubts;
}

static void two_daemons_with_a_right_password_are_never_stopped(void **state)
{
    unsigned doubts = 0;

    (void)state;
    logins = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        doubts += a_day(seed);
    print_message("%u days: %u logins, %u of them refused for an overlap\n", SEEDS, logins, doubts);
    assert_in_range(logins, SEEDS * 2 * 2500, SEEDS * 2 * 4000);
    assert_in_range(doubts, SEEDS, logins); /* or nothing was tried */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_daemons_with_a_right_password_are_never_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
