#include "daemon/account.h"

#include <stddef.h>
#include <string.h>

#define SECOND 1000000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const uint64_t bucket_step = 10 * SECOND;
/* What a person's word has brought answers the next ones. */
static const uint64_t forced_memory = 5 * SECOND;
/* After a refusal of what was taken before. Keycloak refuses one of two logins of a user at a time:
 * the other one is over by then, and far from its next. */
static const uint64_t probe_least = 5 * SECOND, probe_span = 15 * SECOND;
/* A login that was given up may go on there for so long, and have the next one refused. */
static const uint64_t own_login_most = MINUTE;
/* After an answer that is not the provider's: 26 logins a day. */
static const uint64_t gateway_pauses[] = { 5 * MINUTE, 15 * MINUTE, HOUR };
static const uint64_t route_floor = MINUTE; /* between two logins for a new route's sake */
/* After an answer that did not come, of a password that was taken before: at once, then after a
 * minute and twice as long each time, 30 logins a day. */
static const uint64_t silence_pauses[] = { SECOND,     MINUTE,      2 * MINUTE,  4 * MINUTE,
                                           8 * MINUTE, 16 * MINUTE, 32 * MINUTE, HOUR };
/* The same of one that never was: six in the first day. */
static const uint64_t untried_pauses[ACCOUNT_LOST - 1] = { SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE,
                                                           2 * HOUR };
static const uint64_t untried_later = 6 * HOUR;

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* A part of span, by a random number. */
static uint64_t share(uint64_t span, uint32_t random)
{
    return (span >> 32) * random + ((span & 0xffffffff) * random >> 32);
}

static uint64_t nth(const uint64_t *pauses, size_t length, uint64_t n)
{
    return pauses[n <= length ? n - 1 : length - 1];
}

/* ---- what was taken -------------------------------------------------------------------------- */

bool account_accepts(const struct account *a, account_digest password)
{
    for (size_t i = 0; i < ACCOUNT_ACCEPTED; i++)
        if (a->accepted[i] == password)
            return true;
    return false;
}

/* Puts it first, or takes it out. */
static void set_accepted(struct account *a, account_digest password, bool accepted)
{
    account_digest all[ACCOUNT_ACCEPTED] = { 0 };
    size_t n = 0;

    if (accepted)
        all[n++] = password;
    for (size_t i = 0; i < ACCOUNT_ACCEPTED && n < ACCOUNT_ACCEPTED; i++)
        if (a->accepted[i] != 0 && a->accepted[i] != password)
            all[n++] = a->accepted[i];
    memcpy(a->accepted, all, sizeof all);
}

/* ---- what was refused ------------------------------------------------------------------------ */

/* Whether it speaks of that password and whoever sends it, or of that very client. */
static bool is_of(const struct account_refusal *r, const struct account_credential *what)
{
    return r->what.password == what->password &&
           (r->what.client == 0 || r->what.client == what->client);
}

/* The same; and one that may be the client's stands against other clients too, until the password
 * is known to be good. Who was refused and comes with another client has mended it. */
static bool concerns(const struct account_refusal *r, const struct account_credential *what)
{
    bool mended = r->what.profile == what->profile || r->what.client_id == what->client_id;

    return is_of(r, what) || (r->what.password == what->password && !r->by_client && !mended);
}

/* The latest refusal that concerns it, or NULL. */
static const struct account_refusal *refusal_of(const struct account *a,
                                                const struct account_credential *what)
{
    for (size_t i = 0; i < ACCOUNT_REFUSALS; i++)
        if (a->refusals[i].probe_at == 0 && concerns(&a->refusals[i], what))
            return &a->refusals[i];
    return NULL;
}

bool account_refuses(const struct account *a, const struct account_credential *what)
{
    return refusal_of(a, what) != NULL;
}

bool account_lacks_otp(const struct account *a, const struct account_credential *what)
{
    const struct account_refusal *r = refusal_of(a, what);

    return r && r->alone;
}

/* A doubt that concerns it, or NULL. */
static struct account_refusal *doubt_of(const struct account *a,
                                        const struct account_credential *what)
{
    for (size_t i = 0; i < ACCOUNT_REFUSALS; i++)
        if (a->refusals[i].probe_at > 0 && concerns(&a->refusals[i], what))
            return (struct account_refusal *)(uintptr_t)&a->refusals[i];
    return NULL;
}

/* Forgets what stands against it. What another client met is that client's own then. */
static void forget_refusals(struct account *a, const struct account_credential *what)
{
    struct account_refusal kept[ACCOUNT_REFUSALS] = { { .probe_at = 0 } };
    size_t n = 0;

    for (size_t i = 0; i < ACCOUNT_REFUSALS; i++) {
        struct account_refusal r = a->refusals[i];
        r.by_client |= r.what.password == what->password;
        if (r.what.password != 0 && !is_of(&r, what))
            kept[n++] = r;
    }
    memcpy(a->refusals, kept, sizeof kept);
}

static void remember_refusal(struct account *a, const struct account_credential *what,
                             uint64_t probe_at, bool by_client)
{
    struct account_refusal kept[ACCOUNT_REFUSALS] = {
        { .what = *what, .probe_at = probe_at, .by_client = by_client }
    };
    size_t n = 1;

    for (size_t i = 0; i < ACCOUNT_REFUSALS && n < ACCOUNT_REFUSALS; i++) {
        const struct account_refusal *r = &a->refusals[i];
        bool same = r->what.password == what->password && r->what.client == what->client;
        if (r->what.password != 0 && !same)
            kept[n++] = *r;
    }
    memcpy(a->refusals, kept, sizeof kept);
}

static void note_refusal(struct account *a, account_digest password, uint64_t now)
{
    a->refused_last = password;
    a->refused_at = now;
    a->was_forced = a->is_forced;
}

/* One probe an acceptance: what was doubted is refused now, and what was taken is doubted. Not what
 * a login of our own may stand in the way of, that nobody answered. */
static void reject(struct account *a, const struct account_credential *sent, bool either,
                   uint32_t random, uint64_t now)
{
    const struct account_credential any = { .password = sent->password };
    struct account_refusal *doubt = doubt_of(a, sent);
    bool accepted = account_accepts(a, sent->password);
    bool by_client = doubt && accepted; /* taken from another since it was doubted */
    bool ours = a->silent_at > 0 && now - a->silent_at < own_login_most;
    uint64_t over = ours ? a->silent_at + own_login_most : now, probe_at = 0;

    if (doubt && !ours)
        doubt->probe_at = 0;
    else if (doubt || accepted)
        probe_at = over + probe_least + share(probe_span, random);
    if (!by_client)
        set_accepted(a, sent->password, false);
    remember_refusal(a, either ? sent : &any, probe_at, by_client);
    note_refusal(a, sent->password, now);
}

/* The same of one that may be right, and is not enough: a probe would meet the same. */
static void refuse_alone(struct account *a, const struct account_credential *sent, uint64_t now)
{
    const struct account_credential any = { .password = sent->password };

    set_accepted(a, sent->password, false);
    remember_refusal(a, &any, 0, false);
    a->refusals[0].alone = true;
    note_refusal(a, sent->password, now);
}

bool account_is_forced(const struct account *a, account_digest password, uint64_t forced_at)
{
    if (a->refused_last != password || a->refused_at == 0)
        return true;
    return forced_at > a->refused_at + (a->was_forced ? forced_memory : 0);
}

/* ---- answers that did not come, or were not the provider's ----------------------------------- */

static struct account_trouble trouble_of(const struct account *a, account_digest password)
{
    for (size_t i = 0; i < ACCOUNT_TROUBLES; i++)
        if (a->troubles[i].password == password)
            return a->troubles[i];
    return (struct account_trouble){ .password = password };
}

static bool is_empty(const struct account_trouble *t)
{
    return t->silences == 0 && t->softs == 0 && t->denied_at[0] == 0 && t->route_at == 0;
}

/* Puts it first; one that says nothing is taken out. */
static void set_trouble(struct account *a, const struct account_trouble *trouble)
{
    struct account_trouble all[ACCOUNT_TROUBLES] = { { 0 } };
    size_t n = 0;

    if (!is_empty(trouble))
        all[n++] = *trouble;
    for (size_t i = 0; i < ACCOUNT_TROUBLES && n < ACCOUNT_TROUBLES; i++)
        if (a->troubles[i].password != 0 && a->troubles[i].password != trouble->password)
            all[n++] = a->troubles[i];
    memcpy(a->troubles, all, sizeof all);
}

/* A quarter more at most: never sooner, so that a day has no more of them. A pause that lasts
 * longer stays. */
static void pause_for(struct account_trouble *t, bool by_gateway, uint64_t pause, uint32_t random,
                      uint64_t now)
{
    uint64_t until = now + pause + share(pause / 4, random);

    if (until <= t->pause_until)
        return;
    t->pause_until = until;
    t->by_gateway = by_gateway;
}

static void add_silence(const struct account *a, struct account_trouble *t, uint32_t random,
                        uint64_t now)
{
    uint64_t pause, day_ends;

    if (t->silences++ == 0)
        t->silent_since = now;
    day_ends = t->silent_since + DAY;
    if (account_accepts(a, t->password))
        pause = nth(silence_pauses, LENGTH(silence_pauses), t->silences);
    else if (t->silences < ACCOUNT_LOST)
        pause = nth(untried_pauses, LENGTH(untried_pauses), t->silences);
    else
        pause = now + untried_later < day_ends ? day_ends - now : untried_later;
    pause_for(t, false, pause, random, now);
}

static void take_silence(struct account *a, account_digest password, uint32_t random, uint64_t now)
{
    struct account_trouble t = trouble_of(a, password);

    add_silence(a, &t, random, now);
    set_trouble(a, &t);
}

static void add_soft(struct account_trouble *t, uint32_t random, uint64_t now)
{
    t->softs++;
    pause_for(t, true, nth(gateway_pauses, LENGTH(gateway_pauses), t->softs), random, now);
}

/* Whether that was the third within a day. */
static bool add_denial(struct account_trouble *t, uint64_t now)
{
    uint64_t first = t->denied_at[ACCOUNT_DENIALS - 2];

    memmove(t->denied_at + 1, t->denied_at, sizeof t->denied_at - sizeof *t->denied_at);
    t->denied_at[0] = now;
    return first > 0 && now - first < DAY;
}

/* An answer that is none of the provider's words. One that was taken before goes on; an untried one
 * may be what is wrong. */
static void take_soft(struct account *a, const struct account_credential *what, bool denied,
                      uint32_t random, uint64_t now)
{
    const struct account_credential any = { .password = what->password };
    struct account_trouble t = trouble_of(a, what->password);
    bool third = denied && add_denial(&t, now);

    if (third && !account_accepts(a, what->password) && !doubt_of(a, what)) {
        set_trouble(a, &(struct account_trouble){ .password = what->password });
        remember_refusal(a, &any, 0, false);
        note_refusal(a, what->password, now);
        return;
    }
    add_soft(&t, random, now);
    set_trouble(a, &t);
}

/* Whether it has to wait, and until when. */
static enum account_verdict look_at_trouble(struct account *a, account_digest password,
                                            enum account_leave leave, uint64_t now,
                                            uint64_t *ret_when)
{
    struct account_trouble t = trouble_of(a, password);

    if (now >= t.pause_until || leave == ACCOUNT_BY_PERSON)
        return ACCOUNT_GO;
    *ret_when = t.pause_until;
    if (!t.by_gateway)
        return ACCOUNT_SILENT;
    if (leave != ACCOUNT_BY_ROUTE || (t.route_at > 0 && now - t.route_at < route_floor))
        return ACCOUNT_GATEWAY;
    t.route_at = now;
    set_trouble(a, &t);
    return ACCOUNT_GO;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Each login moves the time at which the bucket is full by one step; it is empty when that lies
 * a whole burst ahead. */
static bool take_login(struct account *a, uint64_t burst, const void *who, uint64_t now,
                       uint64_t *ret_when)
{
    uint64_t full = a->bucket_full > now ? a->bucket_full : now;

    if (full + bucket_step > now + burst * bucket_step) {
        *ret_when = full + bucket_step - burst * bucket_step;
        return false;
    }
    a->full_before = a->bucket_full;
    a->bucket_full = full + bucket_step;
    a->latest = who;
    return true;
}

static void give_back(struct account *a, const void *who)
{
    if (a->latest == who)
        a->bucket_full = a->full_before; /* once others came after, time has paid it */
}

static enum account_verdict look_at_refusals(const struct account *a,
                                             const struct account_credential *what,
                                             enum account_leave leave, uint64_t now,
                                             uint64_t *ret_when)
{
    const struct account_refusal *doubt = doubt_of(a, what);

    if (leave == ACCOUNT_BY_PERSON)
        return ACCOUNT_GO;
    if (account_refuses(a, what))
        return ACCOUNT_REFUSED;
    if (!doubt || now >= doubt->probe_at)
        return ACCOUNT_GO;
    *ret_when = doubt->probe_at;
    return ACCOUNT_DOUBTED;
}

enum account_verdict account_take(struct account *a, enum account_leave leave, const void *who,
                                  uint64_t now, uint64_t *ret_when)
{
    uint64_t burst = leave == ACCOUNT_FOR_NOBODY ? ACCOUNT_AHEAD : ACCOUNT_BURST;

    return take_login(a, burst, who, now, ret_when) ? ACCOUNT_GO : ACCOUNT_EMPTY;
}

void account_taken(struct account *a, const void *who, bool sent)
{
    if (!sent)
        give_back(a, who);
    if (a->latest == who)
        a->latest = NULL;
}

enum account_verdict account_ask(struct account *a, const struct account_credential *what,
                                 enum account_leave leave, const void *who, uint32_t random,
                                 uint64_t now, uint64_t *ret_when)
{
    enum account_verdict verdict = look_at_refusals(a, what, leave, now, ret_when);

    if (verdict == ACCOUNT_GO && a->holder && a->holder != who)
        verdict = ACCOUNT_BUSY;
    if (verdict == ACCOUNT_GO)
        verdict = look_at_trouble(a, what->password, leave, now, ret_when);
    if (verdict != ACCOUNT_GO)
        return verdict;
    if (account_take(a, leave, who, now, ret_when) != ACCOUNT_GO)
        return ACCOUNT_EMPTY;
    a->holder = who;
    a->is_forced = leave == ACCOUNT_BY_PERSON;
    a->before = trouble_of(a, what->password);
    a->silent_before = a->silent_at;
    a->silent_at = now; /* where nobody will know of its end, it may still be under way there */
    take_silence(a, what->password, random, now);
    return ACCOUNT_GO;
}

enum account_verdict account_admit(struct account *a, const struct account_credential *what,
                                   enum account_leave leave, bool alone, const void *who,
                                   uint64_t now, uint64_t *ret_when)
{
    enum account_verdict verdict = look_at_refusals(a, what, leave, now, ret_when);

    if (verdict != ACCOUNT_GO)
        return verdict;
    if (alone && !account_accepts(a, what->password)) {
        if (a->holder && a->holder != who)
            return ACCOUNT_BUSY;
        a->holder = who;
        a->silent_before = a->silent_at;
    }
    a->is_forced = leave == ACCOUNT_BY_PERSON;
    return ACCOUNT_GO;
}

uint64_t account_next(const struct account *a, const struct account_credential *what)
{
    const struct account_refusal *doubt = doubt_of(a, what);
    bool under_way = a->holder && a->before.password == what->password;
    struct account_trouble trouble = under_way ? a->before : trouble_of(a, what->password);
    uint64_t pause = trouble.pause_until;

    if (account_refuses(a, what))
        return 0;
    return doubt && doubt->probe_at > pause ? doubt->probe_at : pause;
}

/* ---- what came of it ------------------------------------------------------------------------- */

static void take_answer(struct account *a, const struct account_credential *what,
                        enum account_end end, uint32_t random, uint64_t now)
{
    switch (end) {
    case ACCOUNT_TOOK:
        set_trouble(a, &(struct account_trouble){ .password = what->password });
        forget_refusals(a, what);
        set_accepted(a, what->password, true);
        return;
    case ACCOUNT_REJECTED:
    case ACCOUNT_EITHER:
        set_trouble(a, &(struct account_trouble){ .password = what->password });
        reject(a, what, end == ACCOUNT_EITHER, random, now);
        return;
    case ACCOUNT_ALONE:
        set_trouble(a, &(struct account_trouble){ .password = what->password });
        refuse_alone(a, what, now);
        return;
    case ACCOUNT_DENIED:
    case ACCOUNT_ODD:
        take_soft(a, what, end == ACCOUNT_DENIED, random, now);
        return;
    case ACCOUNT_SILENCE:
        a->silent_at = now;
        take_silence(a, what->password, random, now);
        return;
    case ACCOUNT_UNKNOWN:
    case ACCOUNT_NOT_SENT:
        return;
    }
}

void account_ended(struct account *a, const struct account_credential *what, const void *who,
                   enum account_end end, const struct error *why, uint32_t random, uint64_t now)
{
    if (a->holder == who && a->before.password == what->password)
        set_trouble(a, &a->before);
    if (a->holder == who) {
        a->holder = NULL;
        a->silent_at = a->silent_before;
        a->before = (struct account_trouble){ 0 };
    }
    if (end == ACCOUNT_NOT_SENT)
        give_back(a, who);
    if (a->latest == who)
        a->latest = NULL;
    if (why && end != ACCOUNT_UNKNOWN && end != ACCOUNT_SILENCE && end != ACCOUNT_NOT_SENT) {
        a->why_of = what->password;
        a->why = *why;
    }
    take_answer(a, what, end, random, now);
}

void account_lift(struct account *a, const struct account_credential *what)
{
    forget_refusals(a, what);
}

void account_release(struct account *a, const void *who)
{
    if (a->holder == who)
        a->holder = NULL;
}

/* ---- another life ---------------------------------------------------------------------------- */

static void clamp(uint64_t *number, uint64_t most)
{
    if (*number > most)
        *number = most;
}

/* Up to the end of the day in which an untried password met silence, and a quarter more. */
static const uint64_t pause_most = DAY + DAY / 4;
enum { COUNT_MOST = 1000000 };

void account_clamp(struct account *a, uint64_t now)
{
    clamp(&a->bucket_full, now + ACCOUNT_BURST * bucket_step);
    clamp(&a->silent_at, now);
    for (size_t i = 0; i < ACCOUNT_REFUSALS; i++)
        clamp(&a->refusals[i].probe_at, now + own_login_most + probe_least + probe_span);
    for (size_t i = 0; i < ACCOUNT_TROUBLES; i++) {
        struct account_trouble *t = &a->troubles[i];
        clamp(&t->silent_since, now);
        clamp(&t->route_at, now);
        clamp(&t->pause_until, now + pause_most);
        clamp(&t->silences, COUNT_MOST);
        clamp(&t->softs, COUNT_MOST);
        for (size_t k = 0; k < ACCOUNT_DENIALS - 1; k++)
            clamp(&t->denied_at[k], now);
    }
}
