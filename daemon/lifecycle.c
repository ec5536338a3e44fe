#include "daemon/lifecycle.h"

#define SECOND 1000000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

/* One failing kubectl asks five or six times: the second to sixth get the answer of the first. */
static const uint64_t failure_memory = 5 * SECOND;
/* A token that was just fetched is not fetched again because somebody says it was rejected. */
static const uint64_t rejection_floor = 10 * SECOND;
static const uint64_t backoff_least = 1 * SECOND, backoff_most = 5 * MINUTE;
/* After answers that did not come in time the provider has more to do than it can, and gets over
 * that only where less is sent: each of them counts for several failures. */
static const uint64_t lost_most = HOUR;
enum { LOST_WEIGHT = 4 };
static const uint64_t retry_after_most = 1 * HOUR;
/* Those who were told the same time part behind it, where nobody waits. */
static const uint64_t retry_after_spread = 2 * MINUTE;
/* After the world has changed for the better; a fleet that wakes up together parts here. */
static const uint64_t system_changed_most = 90 * SECOND, system_changed_waited = 3 * SECOND;
/* Profiles that are due at once, and for which nobody waits, part; a fleet whose tokens have died,
 * as all have that slept, takes longer. */
static const uint64_t start_most = 2 * SECOND, start_dead = 90 * SECOND;
/* A token that lives no longer is no reason to ask for the next one at once. */
static const uint64_t next_to_nothing = 2 * SECOND;
/* What is nobody's refusal may stay for long. The account has its own pauses for a password. */
static const uint64_t soft_delays[] = { 5 * MINUTE, 15 * MINUTE, 1 * HOUR };
enum { SOFT_DELAYS = sizeof soft_delays / sizeof *soft_delays };
/* A new default route may lead past whatever answered; a fleet whose VPN comes up parts here. */
static const uint64_t route_most = 30 * SECOND, route_floor = MINUTE;
/* A refresh token that brings only faults: so many, and so long between two logins for them. */
enum { FAULTS_MAX = 3 };
static const uint64_t fault_login_floor = 15 * MINUTE;
/* Where nobody listens is certain by two connections that were refused, so far apart, */
static const uint64_t deserted_after = 2 * SECOND;
/* and not so soon after a resume or a change of the network, which may not be complete yet. */
static const uint64_t settles_in = 30 * SECOND;
/* A token that is to live long at any time is not replaced sooner than so long after it came. */
static const uint64_t held_least = MINUTE;
/* With less left no token is handed out without a word. */
static const uint64_t few_seconds = 5 * SECOND;

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* A part of span, by a random number: 0 gives 0, UINT32_MAX nearly all. */
static uint64_t share(uint64_t span, uint32_t random)
{
    return (span >> 32) * random + ((span & 0xffffffff) * random >> 32);
}

static void enter(struct lifecycle *lc, enum lifecycle_state state, uint64_t now)
{
    if (lc->state != state)
        lc->since = now;
    lc->state = state;
}

void lifecycle_init(struct lifecycle *lc, uint64_t now)
{
    *lc = (struct lifecycle){ .state = LIFECYCLE_IDLE, .since = now };
}

void lifecycle_restore(struct lifecycle *lc, const struct lifecycle *kept,
                       const struct lifecycle_policy *policy, bool refresh_token, uint64_t now)
{
    bool useful = refresh_token && policy->use_refresh_token && !kept->refresh_is_useless &&
                  !kept->refresh_is_stale;

    *lc = *kept;
    lc->has_refresh_token = refresh_token;
    if (lc->state == LIFECYCLE_ASKING && lc->not_before > now) { /* whose word it was is gone */
        lc->state = LIFECYCLE_WAITING;
        lc->failed_at = lc->since;
        lc->retry_at = lc->not_before;
    }
    if (lc->state == LIFECYCLE_ASKING || lc->state == LIFECYCLE_NEED_LOGIN)
        lc->state = LIFECYCLE_IDLE;
    if (!policy->password_at_hand && !useful && lc->state != LIFECYCLE_STOPPED)
        lc->state = LIFECYCLE_NEED_LOGIN;
}

bool lifecycle_alive(const struct lifecycle *lc, uint64_t now)
{
    return now < lc->expires_at;
}

bool lifecycle_serves(const struct lifecycle *lc, uint64_t min_validity, uint64_t now)
{
    return lifecycle_alive(lc, now) && now < lc->renew_at && lc->expires_at - now >= min_validity;
}

bool lifecycle_fading(const struct lifecycle *lc, uint64_t now)
{
    if (lifecycle_alive(lc, now) && lc->expires_at - now < few_seconds)
        return true;
    return now >= lc->advertised_expiry && lc->state != LIFECYCLE_IDLE && lc->failed_at > 0;
}

bool lifecycle_rests(const struct lifecycle *lc, uint64_t now)
{
    return !lc->by_refresh_token && lifecycle_alive(lc, now) && now < lc->advertised_expiry &&
           lc->failed_at == 0;
}

static bool in_use(const struct lifecycle *lc, const struct lifecycle_policy *policy, uint64_t at)
{
    if (policy->keep_fresh == UINT64_MAX || policy->held || at <= policy->used_until)
        return true;
    return lc->last_use > 0 && at <= saturated(lc->last_use, policy->keep_fresh);
}

static void ask(struct lifecycle *lc, const struct lifecycle_policy *policy, uint64_t now,
                struct lifecycle_actions *actions)
{
    bool its_turn = lc->password_turn && !lifecycle_alive(lc, now);
    bool password_better = policy->password_at_hand &&
                           (lc->password_next || lc->refresh_is_short || its_turn);

    lc->by_refresh_token = lc->has_refresh_token && policy->use_refresh_token &&
                           !lc->refresh_is_useless && !lc->refresh_is_stale && !password_better;
    lc->password_next = false;
    lc->hurry_at = 0;
    if (lc->by_route)
        lc->route_at = now;
    enter(lc, LIFECYCLE_ASKING, now);
    actions->request = true;
}

/* How long before its death a token is renewed. The default: a fifth of its life, but at
 * least a minute and at most an hour, and never more than half. */
static uint64_t renewal_lead(const struct lifecycle_policy *policy, uint64_t lifetime)
{
    if (policy->refresh_before_percent > 0)
        return lifetime / 100 * policy->refresh_before_percent;
    if (policy->refresh_before > 0)
        return least(policy->refresh_before, lifetime / 2);
    return least(least(most(lifetime / 5, MINUTE), HOUR), lifetime / 2);
}

/* What is kept of its renewal may be of the token before: the daemon was killed when this one had
 * just come. */
void lifecycle_restore_token(struct lifecycle *lc, const struct lifecycle_policy *policy,
                             uint64_t sent, uint64_t lifetime)
{
    lc->sent = sent;
    lc->expires_at = saturated(sent, lifetime);
    if (lc->renew_at <= sent || lc->renew_at > lc->expires_at) {
        lc->renew_at = lc->expires_at - renewal_lead(policy, lifetime);
        lc->advertised_expiry = 0;
    }
    if (lc->advertised_expiry < lc->renew_at || lc->advertised_expiry > lc->expires_at)
        lc->advertised_expiry = lc->renew_at + (lc->expires_at - lc->renew_at) / 2;
}

uint64_t lifecycle_delay(const struct lifecycle *lc, uint32_t random, uint64_t now)
{
    if (lc->expires_at > 0 && !lifecycle_alive(lc, now))
        return share(start_dead, random);
    return share(least(start_most, lifecycle_alive(lc, now) ? (lc->expires_at - now) / 8 : 0),
                 random);
}

static enum lifecycle_verdict serve(struct lifecycle *lc, uint64_t now)
{
    lc->last_use = now;
    return LIFECYCLE_SERVE;
}

/* Whether somebody with as much time has just waited in vain: a kubectl that got no token asks five
 * times. Who has more time than that one had may have better luck. */
static bool in_vain(const struct lifecycle *lc, uint64_t deadline, uint64_t now)
{
    return lc->gave_up_at > 0 && now - lc->gave_up_at < failure_memory &&
           deadline <= now + lc->patience + SECOND;
}

static bool settled(const struct lifecycle *lc, uint64_t now)
{
    return lc->unsettled_at == 0 || now - lc->unsettled_at >= settles_in;
}

/* Whether nobody listens for certain, by the failures up to that one: who waits, waits in vain. */
static bool deserted(const struct lifecycle *lc, uint64_t failed_at)
{
    return lc->deserted_at > 0 && failed_at >= lc->deserted_at + deserted_after &&
           settled(lc, failed_at);
}

/* When a request would make that certain; UINT64_MAX where it is, or cannot be yet. */
static uint64_t certain_at(const struct lifecycle *lc, uint64_t failed_at, uint64_t now)
{
    if (lc->deserted_at == 0 || !settled(lc, now) || deserted(lc, failed_at))
        return UINT64_MAX;
    return most(lc->deserted_at + deserted_after, failed_at + backoff_least);
}

/* Of a token that might be had. */
static uint64_t longest_life(const struct lifecycle *lc, const struct lifecycle_policy *policy)
{
    uint64_t in_hand = lc->expires_at - lc->sent;

    if (policy->lives_vary)
        return UINT64_MAX;
    return policy->password_at_hand ? most(in_hand, lc->password_life) : in_hand;
}

/* Somebody waits, if that is not for longer than they have: of the time in which they part from
 * others a tenth is left; and no more than three seconds, but for the many who all wait for the
 * time that a provider has told. */
static void hurry(struct lifecycle *lc, uint64_t deadline, uint64_t now)
{
    uint64_t soonest = most(lc->hurry_at, now + 1); /* past the use: it is for who waits */
    uint64_t tenth = lc->retry_at > soonest ? (lc->retry_at - soonest) / 10 : 0;
    uint64_t sooner = soonest +
                      (lc->not_before > now ? tenth : least(tenth, system_changed_waited));

    if (lc->hurry_at == 0 || sooner >= deadline)
        return;
    lc->retry_at = least(lc->retry_at, sooner);
    lc->hurry_at = 0;
}

static void wanted(struct lifecycle *lc, const struct lifecycle_policy *policy,
                   const struct lifecycle_event *event, uint64_t now,
                   struct lifecycle_actions *actions)
{
    uint64_t min_validity = event->wanted.min_validity;
    bool alive = lifecycle_alive(lc, now);
    bool enough = alive && lc->expires_at - now >= min_validity;
    bool refetch = event->wanted.suspected ||
                   (event->wanted.rejected && now - lc->sent >= rejection_floor);
    bool fading = now >= lc->advertised_expiry && lc->failed_at == 0;

    lc->last_use = now;
    if (alive && min_validity > longest_life(lc, policy)) {
        actions->verdict = LIFECYCLE_TOO_SHORT;
        return;
    }
    switch (lc->state) {
    case LIFECYCLE_IDLE:
        lc->password_next |= alive && min_validity > lc->expires_at - lc->sent;
        if (!enough || refetch || now >= lc->renew_at)
            ask(lc, policy, now, actions);
        actions->verdict = !enough || refetch || fading ? LIFECYCLE_QUEUE : serve(lc, now);
        return;
    case LIFECYCLE_ASKING:
        if (enough && !refetch && !fading)
            actions->verdict = serve(lc, now);
        else if (in_vain(lc, event->wanted.deadline, now))
            actions->verdict = enough ? serve(lc, now) : LIFECYCLE_FAIL;
        else
            actions->verdict = LIFECYCLE_QUEUE;
        return;
    case LIFECYCLE_WAITING:
        if (enough) {
            actions->verdict = serve(lc, now);
        } else if ((lc->local || lc->deserted_at > 0) && now - lc->failed_at >= failure_memory) {
            ask(lc, policy, now, actions); /* reading a file again, or knocking, hurts nobody */
            actions->verdict = LIFECYCLE_QUEUE;
        } else {
            lc->retry_at = least(lc->retry_at, certain_at(lc, lc->failed_at, now));
            hurry(lc, event->wanted.deadline, now);
            bool hopeless = lc->local || deserted(lc, lc->failed_at) ||
                            lc->retry_at >= event->wanted.deadline ||
                            in_vain(lc, event->wanted.deadline, now);
            actions->verdict = hopeless ? LIFECYCLE_FAIL : LIFECYCLE_QUEUE;
        }
        return;
    case LIFECYCLE_STOPPED:
    case LIFECYCLE_NEED_LOGIN:
        actions->verdict = enough ? serve(lc, now) : LIFECYCLE_FAIL;
        return;
    }
}

static void timer(struct lifecycle *lc, const struct lifecycle_policy *policy, uint64_t now,
                  struct lifecycle_actions *actions)
{
    if (lifecycle_next(lc, policy) <= now)
        ask(lc, policy, now, actions);
}

/* Until then; not before the provider, or the bucket, allows it. */
static void wait_for(struct lifecycle *lc, uint64_t delay, uint64_t now,
                     struct lifecycle_actions *actions)
{
    uint64_t retry_at = saturated(now, delay);

    if (lc->password_turn && lifecycle_alive(lc, now))
        retry_at = least(retry_at, most(lc->expires_at, saturated(now, backoff_least)));
    actions->newly_waiting = lc->failed_at == 0;
    lc->failed_at = now;
    lc->retry_at = most(retry_at, lc->not_before);
    lc->hurry_at = 0;
    enter(lc, LIFECYCLE_WAITING, now);
    actions->waiters = LIFECYCLE_ANSWER_SOON;
}

/* Exponential, with full jitter. */
static uint64_t backoff(const struct lifecycle *lc, uint32_t random)
{
    unsigned n = lc->failures + LOST_WEIGHT * lc->lost, doublings = lc->lost > 0 ? lc->lost - 1 : 0;
    uint64_t top = least(backoff_most << least(doublings, 4), lost_most);
    uint64_t ceiling = n < 12 ? backoff_least << n : top;

    return most(backoff_least, share(least(ceiling, top), random));
}

/* What a token says of refresh token and password: sessions end, and what is refreshed lives
 * shorter and shorter then. Returns whether a client waits for one that only the password gives. */
static bool compare_lives(struct lifecycle *lc, const struct lifecycle_policy *policy,
                          uint64_t lifetime, uint64_t now)
{
    bool too_short = lc->by_refresh_token && policy->password_at_hand && now < lc->waited_until &&
                     lifetime < lc->wanted_life && lc->wanted_life <= lc->password_life;

    if (!lc->by_refresh_token)
        lc->password_life = lifetime;
    lc->refresh_is_short = lc->by_refresh_token && lifetime < lc->password_life / 2;
    lc->refresh_faults = 0;
    lc->fault_login = lc->in_turn = lc->password_turn = lc->by_route = false;
    lc->wanted_life = 0;
    return too_short;
}

/* The refresh token that somebody gave takes the place of the one in hand, and of all that is known
 * of that. */
static bool adopt(struct lifecycle *lc, struct lifecycle_actions *actions)
{
    if (!lc->offered)
        return false;
    lc->offered = false;
    lc->has_refresh_token = true;
    lc->refresh_is_useless = lc->refresh_is_stale = lc->refresh_is_short = false;
    lc->in_turn = lc->password_turn = false;
    lc->refresh_faults = 0;
    actions->take_offered = true;
    return true;
}

/* Until the renewal of a token that all of a fleet may have got together: the first, or the first
 * after an outage or a sleep. Those who had one before renew when they would have without that,
 * since they had parted then; the others anywhere in nine tenths of the time that they have: to
 * part by small steps takes days. */
static uint64_t first_wait(const struct lifecycle *lc, uint64_t sent, uint64_t wait,
                           uint32_t random)
{
    uint64_t rest = 0;

    if (lc->renew_at > 0 && wait > 0)
        rest = lc->renew_at > sent ? (lc->renew_at - sent) % wait
                                   : wait - (sent - lc->renew_at) % wait;
    return rest > wait / 10 ? rest - share(rest / 20, random) : wait - share(wait / 10 * 9, random);
}

/* Whatever was under way was for what a login has replaced. Who logs in means to use it. */
static void log_in(struct lifecycle *lc, uint64_t now)
{
    lc->last_use = now;
    lc->by_refresh_token = lc->refresh_is_stale = false;
    lc->again = lc->again_for_person = false;
}

static void token(struct lifecycle *lc, const struct lifecycle_policy *policy,
                  const struct lifecycle_event *event, uint64_t now,
                  struct lifecycle_actions *actions)
{
    if (event->token.login)
        log_in(lc, now);
    uint64_t lifetime = event->token.lifetime, sent = event->token.sent;
    bool password_next = compare_lives(lc, policy, lifetime, now) && !lc->offered;
    uint64_t wait = lifetime - renewal_lead(policy, lifetime), due = saturated(sent, wait);
    bool first = !lifecycle_alive(lc, now) || lc->failed_at > 0;
    unsigned failures = lc->failures;

    wait = first ? first_wait(lc, sent, wait, event->random)
                 : wait - share(wait / 20, event->random);
    lc->sent = sent;
    lc->expires_at = saturated(sent, lifetime);
    lc->renew_at = saturated(sent, most(wait, least(lifetime, SECOND)));
    due = most(due, lc->renew_at); /* who asks is not to come back for an early renewal's sake */
    lc->advertised_expiry = due + (lc->expires_at - due) / 2;
    lc->has_refresh_token = event->token.refresh_token;
    lc->failures = lc->soft_failures = lc->lost = 0;
    lc->failed_at = lc->gave_up_at = lc->deserted_at = 0;
    lc->local = lc->put_off = false;
    enter(lc, LIFECYCLE_IDLE, now);
    if (lifetime < next_to_nothing && !lc->again && !password_next) {
        lc->failures = failures + 1;
        wait_for(lc, backoff(lc, event->random), now, actions);
        actions->newly_waiting = false;
    }
    actions->waiters = LIFECYCLE_ANSWER_ALL;
    lc->password_next |= password_next;
    adopt(lc, actions);
    if (lc->again || password_next) { /* what the credential gives now is to be used at once */
        lc->again = lc->again_for_person = false;
        ask(lc, policy, now, actions);
    }
}

static void stop(struct lifecycle *lc, enum lifecycle_state state, uint64_t now,
                 struct lifecycle_actions *actions)
{
    actions->newly_waiting = true;
    lc->failed_at = now;
    enter(lc, state, now);
    actions->waiters = LIFECYCLE_ANSWER_ALL;
}

/* A refresh token that brought nothing is gone; the password is tried once at once. One that only
 * brings what there is already is kept where there is nothing else, as long as that lives. */
static bool fall_back_to_password(struct lifecycle *lc, const struct lifecycle_policy *policy,
                                  const struct lifecycle_event *event, uint64_t now,
                                  struct lifecycle_actions *actions)
{
    bool stale = event->failed.kind == LIFECYCLE_STALE;

    if (!lc->by_refresh_token || event->failed.not_the_token ||
        (!stale && event->failed.kind != LIFECYCLE_REFUSED))
        return false;
    if (stale && !policy->password_at_hand && lifecycle_alive(lc, now))
        return false;
    lc->refresh_is_stale |= stale;
    lc->refresh_is_useless |= event->failed.refresh_without_token;
    lc->has_refresh_token = false;
    actions->drop_refresh_token = true;
    ask(lc, policy, now, actions);
    return true;
}

/* Whether faults of the refresh token are reason enough for a login, now. */
static bool may_log_in_for_faults(const struct lifecycle *lc, const struct lifecycle_policy *policy,
                                  uint64_t now)
{
    bool soon = lc->fault_login_at > 0 && now - lc->fault_login_at < fault_login_floor;

    if (!policy->password_at_hand)
        return false;
    return !lifecycle_alive(lc, now) ||
           (lc->refresh_faults >= FAULTS_MAX && !lc->fault_login && !soon);
}

/* A refresh token that brings only faults may be what they are about (Dex answers 500 for one that
 * is gone upstream): the password, once in a token's life; and in turn once there is no token, so
 * that neither stands in the way of the other. */
static bool log_in_for_faults(struct lifecycle *lc, const struct lifecycle_policy *policy,
                              const struct lifecycle_event *event, uint64_t now,
                              struct lifecycle_actions *actions)
{
    if (!lc->password_turn || !may_log_in_for_faults(lc, policy, now))
        return false;
    if (lc->in_turn || event->failed.retry_after > 0)
        return false; /* when the next request is due */
    lc->password_next = true;
    lc->in_turn = !lifecycle_alive(lc, now);
    lc->fault_login = true;
    lc->fault_login_at = now;
    ask(lc, policy, now, actions);
    return true;
}

/* When what is left of the token's life would be renewed; in the end a moment after its death. */
static uint64_t until_next_renewal(const struct lifecycle *lc,
                                   const struct lifecycle_policy *policy, uint32_t random,
                                   uint64_t now)
{
    uint64_t left = lifecycle_alive(lc, now) ? lc->expires_at - now : 0;
    uint64_t wait = left - renewal_lead(policy, left);

    return most(wait - share(wait / 20, random), backoff_least);
}

/* As the account says, or the answer; else longer and longer, and up to a quarter more. */
static uint64_t soft_delay(struct lifecycle *lc, const struct lifecycle_event *event)
{
    unsigned n = lc->soft_failures++;
    uint64_t delay = soft_delays[n < SOFT_DELAYS ? n : SOFT_DELAYS - 1];

    if (event->failed.lost) {
        bool first = n + lc->failures == 0; /* and the account's affair */
        lc->lost++;
        lc->failures++;
        if (!first)
            return most(event->failed.retry_after, backoff(lc, event->random));
    }
    if (event->failed.retry_after > 0)
        return most(event->failed.retry_after, backoff_least);
    return delay + share(delay / 4, event->random);
}

/* What may pass. While somebody waits, a host that refuses connections is asked again when that
 * makes it certain; then they are told. */
static void wait_for_better(struct lifecycle *lc, const struct lifecycle_event *event, uint64_t now,
                            struct lifecycle_actions *actions)
{
    uint64_t certain = now < lc->waited_until ? certain_at(lc, now, now) : UINT64_MAX;

    lc->failures++;
    lc->lost += event->failed.lost;
    wait_for(lc, certain < UINT64_MAX ? certain - now : backoff(lc, event->random), now, actions);
    if (lc->retry_at == lc->not_before && lc->waited_until <= lc->not_before) {
        lc->hurry_at = lc->retry_at;
        lc->retry_at += share(least((lc->not_before - now) / 2, retry_after_spread), event->random);
    }
    if (deserted(lc, now))
        actions->waiters = LIFECYCLE_ANSWER_ALL;
}

/* There is nothing newer yet, and no need: asked again when what is left would be renewed, and once
 * clients are told to come for another; a token that they have to wait for is always asked for. */
static void rest(struct lifecycle *lc, const struct lifecycle_policy *policy,
                 const struct lifecycle_event *event, uint64_t now,
                 struct lifecycle_actions *actions)
{
    uint64_t next = saturated(now, until_next_renewal(lc, policy, event->random, now));

    lc->renew_at = most(least(next, lc->advertised_expiry), saturated(now, backoff_least));
    lc->advertised_expiry = most(lc->advertised_expiry, lc->renew_at);
    enter(lc, LIFECYCLE_IDLE, now);
    actions->waiters = LIFECYCLE_ANSWER_ALL;
}

/* Whether a login that came to nothing leaves a refresh token that is good. */
static bool has_another_way(const struct lifecycle *lc, const struct lifecycle_policy *policy)
{
    return !lc->by_refresh_token && lc->has_refresh_token && policy->use_refresh_token &&
           !lc->refresh_is_useless && !lc->refresh_is_stale;
}

/* A login that came to nothing, with a one-time password say, takes no refresh token away: that
 * goes on when it would have, and not before the provider allows it. */
static bool goes_on_without(struct lifecycle *lc, const struct lifecycle_policy *policy,
                            uint64_t now, struct lifecycle_actions *actions)
{
    bool due = !lifecycle_alive(lc, now) || lc->renew_at <= now;

    if (!has_another_way(lc, policy))
        return false;
    wait_for(lc, due ? backoff_least : most(lc->renew_at - now, backoff_least), now, actions);
    actions->waiters = LIFECYCLE_ANSWER_ALL;
    return true;
}

/* Nothing newer came, by a command or by a refresh token without a password beside it. */
static void nothing_newer(struct lifecycle *lc, const struct lifecycle_policy *policy,
                          const struct lifecycle_event *event, uint64_t now,
                          struct lifecycle_actions *actions)
{
    if (event->failed.nobody_waits && lifecycle_rests(lc, now)) {
        rest(lc, policy, event, now, actions);
        return;
    }
    lc->failures++; /* nobody waits for what has just failed */
    if (lifecycle_alive(lc, now)) {
        wait_for(lc, until_next_renewal(lc, policy, event->random, now), now, actions);
        return;
    }
    lc->local = true;
    wait_for(lc, backoff(lc, event->random), now, actions);
    actions->waiters = LIFECYCLE_ANSWER_ALL;
}

/* Until when the provider wants to hear nothing. */
static uint64_t no_sooner(const struct lifecycle_event *event, uint64_t now)
{
    return saturated(now, least(event->failed.retry_after, retry_after_most));
}

static void failed(struct lifecycle *lc, const struct lifecycle_policy *policy,
                   const struct lifecycle_event *event, uint64_t now,
                   struct lifecycle_actions *actions)
{
    enum lifecycle_failure kind = event->failed.kind;
    bool waits = kind == LIFECYCLE_TEMPORARY ||
                 (kind == LIFECYCLE_NO_LOGIN && has_another_way(lc, policy));
    bool told_to_wait = waits && event->failed.retry_after > 0;
    bool again = lc->again && (lc->again_for_person || !told_to_wait);

    if (adopt(lc, actions)) { /* what failed was another request */
        lc->again = lc->again_for_person = lc->by_route = false;
        ask(lc, policy, now, actions);
        return;
    }
    lc->password_turn = lc->by_refresh_token && event->failed.fault;
    lc->refresh_faults += lc->password_turn;
    lc->password_next |= lc->again_for_person && lc->refresh_faults > 0;
    lc->again = lc->again_for_person = lc->by_route = false;
    lc->not_before = told_to_wait ? no_sooner(event, now) : 0;
    if (!event->failed.nobody_listens)
        lc->deserted_at = 0;
    else if (lc->deserted_at == 0)
        lc->deserted_at = now;
    if (fall_back_to_password(lc, policy, event, now, actions))
        return;
    if (again) {
        ask(lc, policy, now, actions);
        return;
    }
    if (log_in_for_faults(lc, policy, event, now, actions))
        return;
    lc->local = kind == LIFECYCLE_LOCAL;
    lc->put_off = kind == LIFECYCLE_SOFT || kind == LIFECYCLE_DEFERRED;
    switch (kind) {
    case LIFECYCLE_TEMPORARY:
        wait_for_better(lc, event, now, actions);
        return;
    case LIFECYCLE_DEFERRED:
        wait_for(lc, event->failed.retry_after, now, actions);
        lc->hurry_at = event->failed.yielded ? now : 0;
        return;
    case LIFECYCLE_LOCAL:
        lc->failures++;
        wait_for(lc, backoff(lc, event->random), now, actions);
        actions->waiters = LIFECYCLE_ANSWER_ALL; /* waiting does not mend a file */
        return;
    case LIFECYCLE_SOFT:
        wait_for(lc, soft_delay(lc, event), now, actions);
        return;
    case LIFECYCLE_STALE:
        nothing_newer(lc, policy, event, now, actions);
        return;
    case LIFECYCLE_NO_LOGIN:
        if (!goes_on_without(lc, policy, now, actions))
            stop(lc, LIFECYCLE_NEED_LOGIN, now, actions);
        return;
    case LIFECYCLE_REFUSED:
        break;
    }
    stop(lc, LIFECYCLE_STOPPED, now, actions);
}

static void changed(struct lifecycle *lc, const struct lifecycle_policy *policy,
                    const struct lifecycle_event *event, uint64_t now,
                    struct lifecycle_actions *actions)
{
    if (event->changed.refresh_token) {
        lc->offered = true;
        lc->password_next = false;
    } else {
        lc->password_next |= event->changed.password ||
                             (event->changed.person && lc->refresh_faults > 0);
    }
    lc->refresh_is_stale &= !event->changed.password;
    if (event->changed.person)
        lc->last_use = now;
    lc->waited_until = most(lc->waited_until, event->changed.deadline);
    lc->failures = lc->soft_failures = lc->lost = 0;
    lc->failed_at = lc->gave_up_at = lc->deserted_at = 0;
    if (lc->state == LIFECYCLE_ASKING) {
        lc->again = true;
        lc->again_for_person |= event->changed.person;
    } else if (lc->state == LIFECYCLE_WAITING && now < lc->not_before && !event->changed.person) {
        lc->retry_at = lc->not_before; /* the provider's wish outlives a change of ours */
    } else {
        adopt(lc, actions);
        ask(lc, policy, now, actions);
    }
}

/* What answered instead of the provider, or nobody, is not mended by a link that comes up, but
 * perhaps by another way out: tried once, the first time. */
static void route_changed(struct lifecycle *lc, const struct lifecycle_event *event, uint64_t now)
{
    bool waited_for = lc->waited_until > now;
    uint64_t span = waited_for ? system_changed_waited : route_most;
    uint64_t soon = most(saturated(now, share(span, event->random)),
                         most(saturated(lc->failed_at, backoff_least), lc->not_before));

    if (lc->by_route || (lc->route_at > 0 && now - lc->route_at < route_floor) ||
        soon >= lc->retry_at)
        return;
    lc->by_route = true;
    lc->retry_at = soon;
}

/* What was refused before was another network's. A machine that woke up begins its back-off anew:
 * who sits down at it waits for the retry. */
static void unsettle(struct lifecycle *lc, const struct lifecycle_event *event, uint64_t now)
{
    if (event->system_changed.clock)
        return;
    lc->unsettled_at = now;
    lc->deserted_at = 0;
    if (event->system_changed.resume)
        lc->failures = lc->lost = 0;
}

/* A link that flaps brings many events: what has just failed still gets its second. */
static void world(struct lifecycle *lc, const struct lifecycle_event *event, uint64_t now)
{
    uint64_t span = lc->waited_until > now ? system_changed_waited : system_changed_most;

    unsettle(lc, event, now);
    if (lc->state != LIFECYCLE_WAITING)
        return;
    if (lc->put_off) {
        if (event->system_changed.route && lc->soft_failures > 0)
            route_changed(lc, event, now);
        return;
    }
    uint64_t second = saturated(lc->failed_at, backoff_least);
    uint64_t allowed = most(now, lc->not_before);
    uint64_t soon = saturated(allowed, share(span, event->random));
    lc->retry_at = least(lc->retry_at, most(soon, second));
    lc->hurry_at = most(allowed, second);
}

static void forget(struct lifecycle *lc, const struct lifecycle_event *event, uint64_t now,
                   struct lifecycle_actions *actions)
{
    uint64_t last_use = lc->last_use, unsettled_at = lc->unsettled_at;

    lifecycle_init(lc, now);
    lc->last_use = last_use;
    lc->unsettled_at = unsettled_at;
    if (event->forget.need_login)
        enter(lc, LIFECYCLE_NEED_LOGIN, now);
    actions->drop_token = actions->drop_refresh_token = true;
    actions->waiters = LIFECYCLE_ANSWER_ALL;
}

struct lifecycle_actions lifecycle_step(struct lifecycle *lc, const struct lifecycle_policy *policy,
                                        const struct lifecycle_event *event, uint64_t now)
{
    struct lifecycle_actions actions = { 0 };

    switch (event->type) {
    case LIFECYCLE_WANTED:
        wanted(lc, policy, event, now, &actions);
        if (actions.verdict == LIFECYCLE_QUEUE) {
            lc->waited_until = most(lc->waited_until, event->wanted.deadline);
            lc->wanted_life = most(lc->wanted_life, event->wanted.min_validity);
        }
        break;
    case LIFECYCLE_TIMER:
        timer(lc, policy, now, &actions);
        break;
    case LIFECYCLE_TOKEN:
        token(lc, policy, event, now, &actions);
        break;
    case LIFECYCLE_FAILED:
        failed(lc, policy, event, now, &actions);
        break;
    case LIFECYCLE_CHANGED:
        changed(lc, policy, event, now, &actions);
        break;
    case LIFECYCLE_FORGET:
        forget(lc, event, now, &actions);
        break;
    case LIFECYCLE_GAVE_UP:
        lc->gave_up_at = now;
        lc->patience = event->gave_up.patience;
        break;
    case LIFECYCLE_SYSTEM_CHANGED:
        world(lc, event, now);
        break;
    }
    return actions;
}

/* When the token in hand is to be renewed: earlier where a process wants it to live longer at any
 * time, and such tokens do. */
static uint64_t renewal_at(const struct lifecycle *lc, const struct lifecycle_policy *policy)
{
    uint64_t lifetime = lc->expires_at - lc->sent;

    if (!policy->held || policy->held_validity >= lifetime)
        return lc->renew_at;
    uint64_t wait = most(lifetime - policy->held_validity, least(held_least, lifetime / 2));
    return least(lc->renew_at, saturated(lc->sent, wait));
}

uint64_t lifecycle_next(const struct lifecycle *lc, const struct lifecycle_policy *policy)
{
    uint64_t renewal = renewal_at(lc, policy);

    if (lc->state == LIFECYCLE_IDLE && lc->expires_at > 0 && in_use(lc, policy, renewal))
        return renewal;
    if (lc->state == LIFECYCLE_WAITING &&
        (in_use(lc, policy, lc->retry_at) || lc->retry_at <= lc->waited_until))
        return lc->retry_at;
    return UINT64_MAX;
}

const char *lifecycle_state_name(enum lifecycle_state state)
{
    static const char *const names[] = {
        [LIFECYCLE_IDLE] = "idle",
        [LIFECYCLE_ASKING] = "asking",
        [LIFECYCLE_WAITING] = "waiting",
        [LIFECYCLE_STOPPED] = "stopped",
        [LIFECYCLE_NEED_LOGIN] = "login needed",
    };
    return names[state];
}
