#include "daemon/account.h"

#include <stddef.h>
#include <string.h>

#define SECOND 1000000ULL

static const uint64_t bucket_step = 10 * SECOND;
/* What a person's word has brought answers the next ones. */
static const uint64_t forced_memory = 5 * SECOND;

static uint64_t silences_of(const struct account *a, account_digest password)
{
    for (size_t i = 0; i < ACCOUNT_SILENCES; i++)
        if (a->silences[i].password == password)
            return a->silences[i].times;
    return 0;
}

bool account_refuses(const struct account *a, account_digest password)
{
    for (size_t i = 0; i < ACCOUNT_REFUSALS; i++)
        if (a->refused[i] == password)
            return true;
    return silences_of(a, password) >= ACCOUNT_LOST;
}

bool account_is_soft(const struct account *a, account_digest password)
{
    return a->accepted != password && silences_of(a, password) + 1 >= ACCOUNT_SOFT;
}

bool account_is_forced(const struct account *a, account_digest password, uint64_t forced_at)
{
    if (a->refused[0] != password || a->refused_at == 0)
        return true;
    return forced_at > a->refused_at + (a->was_forced ? forced_memory : 0);
}

/* Puts the password's entry first, with so many times; 0 takes it out. */
static void set_silences(struct account *a, account_digest password, uint64_t times)
{
    struct account_silence all[ACCOUNT_SILENCES] = { { 0 } };
    size_t n = 0;

    if (times > 0)
        all[n++] = (struct account_silence){ password, times };
    for (size_t i = 0; i < ACCOUNT_SILENCES && n < ACCOUNT_SILENCES; i++)
        if (a->silences[i].password != 0 && a->silences[i].password != password)
            all[n++] = a->silences[i];
    memcpy(a->silences, all, sizeof all);
}

static void forget_refusal(struct account *a, account_digest password)
{
    size_t kept = 0;

    for (size_t i = 0; i < ACCOUNT_REFUSALS; i++)
        if (a->refused[i] != password)
            a->refused[kept++] = a->refused[i];
    while (kept < ACCOUNT_REFUSALS)
        a->refused[kept++] = 0;
}

static void remember_refusal(struct account *a, account_digest password)
{
    forget_refusal(a, password);
    memmove(a->refused + 1, a->refused, sizeof a->refused - sizeof *a->refused);
    a->refused[0] = password;
}

/* Each login moves the time at which the bucket is full by one step; it is empty when that lies
 * a whole burst ahead. */
static bool take_login(struct account *a, const void *who, uint64_t now, uint64_t *ret_when)
{
    uint64_t full = a->bucket_full > now ? a->bucket_full : now;

    if (full + bucket_step > now + ACCOUNT_BURST * bucket_step) {
        *ret_when = full + bucket_step - ACCOUNT_BURST * bucket_step;
        return false;
    }
    a->full_before = a->bucket_full;
    a->bucket_full = full + bucket_step;
    a->latest = who;
    return true;
}

enum account_verdict account_ask(struct account *a, account_digest password, bool person,
                                 const void *who, uint64_t now, uint64_t *ret_when)
{
    if (!person && account_refuses(a, password))
        return ACCOUNT_REFUSED;
    if (a->probing && a->probing != who && a->accepted != password)
        return ACCOUNT_PROBE;
    if (!take_login(a, who, now, ret_when))
        return ACCOUNT_EMPTY;
    if (a->accepted != password)
        a->probing = who;
    a->was_forced = person;
    return ACCOUNT_GO;
}

void account_ended(struct account *a, account_digest password, const void *who,
                   enum account_end end, uint64_t now)
{
    if (a->probing == who)
        a->probing = NULL;
    if (end == ACCOUNT_TOOK || end == ACCOUNT_REJECTED)
        set_silences(a, password, 0);
    switch (end) {
    case ACCOUNT_TOOK:
        a->accepted = password;
        forget_refusal(a, password);
        break;
    case ACCOUNT_REJECTED:
        if (a->accepted == password)
            a->accepted = 0;
        remember_refusal(a, password);
        a->refused_at = now;
        break;
    case ACCOUNT_NOT_SENT: /* as if it had not been; once others came after, time has paid it */
        if (a->latest == who)
            a->bucket_full = a->full_before;
        break;
    case ACCOUNT_SILENCE:
        if (a->accepted != password)
            set_silences(a, password, silences_of(a, password) + 1);
        break;
    case ACCOUNT_UNKNOWN:
        break;
    }
    if (a->latest == who)
        a->latest = NULL;
}
