#include "daemon/account_record.h"

#include <errno.h>
#include <string.h>

#include "common/tlv.h"

/* A refusal, a trouble: numbers in a row. Later versions may put more behind these. */
enum { REFUSAL = 7, TROUBLE = 6 + ACCOUNT_DENIALS, NUMBERS = 16 };

static void put_numbers(struct tlv_writer *w, const char *name, const uint64_t *numbers, size_t n)
{
    tlv_put(w, name, numbers, n * sizeof *numbers);
}

/* What there is of them; the rest is 0. */
static void take_numbers(const struct tlv_field *f, uint64_t numbers[NUMBERS])
{
    size_t most = NUMBERS * sizeof *numbers, n = f->length < most ? f->length : most;

    memset(numbers, 0, most);
    memcpy(numbers, f->value, n / sizeof *numbers * sizeof *numbers);
}

static void put_refusal(struct tlv_writer *w, const struct account_refusal *r)
{
    const uint64_t numbers[REFUSAL] = { r->what.password, r->what.client, r->what.client_id,
                                        r->what.profile,  r->probe_at,    r->by_client,
                                        r->alone };

    if (r->what.password != 0)
        put_numbers(w, "refusal", numbers, REFUSAL);
}

static struct account_refusal take_refusal(const struct tlv_field *f)
{
    uint64_t n[NUMBERS];

    take_numbers(f, n);
    return (struct account_refusal){
        .what = { n[0], n[1], n[2], n[3] }, .probe_at = n[4], .by_client = n[5], .alone = n[6]
    };
}

static void put_trouble(struct tlv_writer *w, const struct account_trouble *t)
{
    uint64_t numbers[TROUBLE] = { t->password,    t->silences, t->silent_since, t->softs,
                                  t->pause_until, t->route_at, t->by_gateway };

    memcpy(numbers + TROUBLE - (ACCOUNT_DENIALS - 1), t->denied_at, sizeof t->denied_at);
    if (t->password != 0)
        put_numbers(w, "trouble", numbers, TROUBLE);
}

static struct account_trouble take_trouble(const struct tlv_field *f)
{
    uint64_t n[NUMBERS];
    struct account_trouble t;

    take_numbers(f, n);
    t = (struct account_trouble){ .password = n[0],
                                  .silences = n[1],
                                  .silent_since = n[2],
                                  .softs = n[3],
                                  .pause_until = n[4],
                                  .route_at = n[5],
                                  .by_gateway = n[6] };
    memcpy(t.denied_at, n + TROUBLE - (ACCOUNT_DENIALS - 1), sizeof t.denied_at);
    return t;
}

static bool is_worth_it(const struct account *a)
{
    return a->bucket_full > 0 || a->silent_at > 0 || a->accepted[0] != 0 ||
           a->refusals[0].what.password != 0 || a->troubles[0].password != 0;
}

size_t account_record_encode(const struct account *a, void *memory, size_t capacity)
{
    struct tlv_writer w;

    if (!is_worth_it(a))
        return 0;
    tlv_begin(&w, memory, capacity);
    put_numbers(&w, "bucket-full", &a->bucket_full, 1);
    if (a->silent_at > 0)
        put_numbers(&w, "silent-at", &a->silent_at, 1);
    for (size_t i = 0; i < ACCOUNT_ACCEPTED && a->accepted[i]; i++)
        put_numbers(&w, "accepted", &a->accepted[i], 1);
    for (size_t i = 0; i < ACCOUNT_REFUSALS; i++)
        put_refusal(&w, &a->refusals[i]);
    for (size_t i = 0; i < ACCOUNT_TROUBLES; i++)
        put_trouble(&w, &a->troubles[i]);
    if (a->why_of != 0) {
        put_numbers(&w, "why-of", &a->why_of, 1);
        tlv_put_text(&w, "why", error_name(a->why.code));
        tlv_put_text(&w, "why-detail", a->why.detail);
    }
    return tlv_end(&w);
}

struct counts {
    size_t accepted, refusals, troubles;
};

static void take_field(struct account *a, const struct tlv_field *f, struct counts *n)
{
    uint64_t numbers[NUMBERS];

    take_numbers(f, numbers);
    bool there = numbers[0] != 0; /* the first place without a password ends a list */
    if (tlv_is(f, "bucket-full"))
        a->bucket_full = numbers[0];
    else if (tlv_is(f, "silent-at"))
        a->silent_at = numbers[0];
    else if (tlv_is(f, "accepted") && there && n->accepted < ACCOUNT_ACCEPTED)
        a->accepted[n->accepted++] = numbers[0];
    else if (tlv_is(f, "refusal") && there && n->refusals < ACCOUNT_REFUSALS)
        a->refusals[n->refusals++] = take_refusal(f);
    else if (tlv_is(f, "trouble") && there && n->troubles < ACCOUNT_TROUBLES)
        a->troubles[n->troubles++] = take_trouble(f);
    else if (tlv_is(f, "why-of"))
        a->why_of = numbers[0];
    else if (tlv_is(f, "why"))
        a->why.code = error_from_name(f->value, f->length);
    else if (tlv_is(f, "why-detail"))
        error_clean(a->why.detail, sizeof a->why.detail, f->value, f->length);
}

int account_record_decode(const void *bytes, size_t length, uint64_t now, struct account *ret)
{
    struct account a = { 0 };
    struct counts n = { 0 };
    struct tlv_reader r;
    struct tlv_field f;
    int more;

    if (tlv_open(&r, bytes, length) <= 0)
        return -EBADMSG;
    while ((more = tlv_next(&r, &f)) > 0)
        take_field(&a, &f, &n);
    if (more < 0)
        return -EBADMSG;
    if (a.why.code == ERROR_NONE)
        a.why_of = 0; /* nothing was said */
    account_clamp(&a, now);
    *ret = a;
    return 0;
}
