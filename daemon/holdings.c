#include "daemon/holdings.h"

#include <string.h>

#include "daemon/config_keys.h"

static const enum store_kind kinds[HOLDINGS] = {
    [HOLDING_TOKEN] = STORE_TOKEN,
    [HOLDING_REFRESH_TOKEN] = STORE_REFRESH_TOKEN,
    [HOLDING_PASSWORD] = STORE_PASSWORD,
};

/* Whether what it holds of that kind belongs into the store. */
static bool is_kept(const struct holdings *h, enum holding which)
{
    if (!h->store)
        return false;
    return which == HOLDING_TOKEN ? h->keep != KEEP_NOTHING : h->keep == KEEP_ALL;
}

static uint64_t id_of(const struct profile_config *config)
{
    return digest_pair(digest_text(config->name), config_keys_identity(config));
}

void holdings_open(struct holdings *h, struct store *store, const struct profile_config *config)
{
    *h = (struct holdings){ .store = store,
                            .id = id_of(config),
                            .keep = config->keep_over_restart };
    for (unsigned i = 0; store && i < HOLDINGS; i++) {
        struct store_record *left = store_find(store, kinds[i], h->id);
        if (is_kept(h, i))
            h->each[i].record = left;
        else
            store_remove(store, left);
    }
    struct store_record *profile = store ? store_find(store, STORE_PROFILE, h->id) : NULL;
    if (h->keep != KEEP_NOTHING)
        h->profile = profile;
    else if (profile)
        store_remove(store, profile);
}

void holdings_close(struct holdings *h)
{
    for (unsigned i = 0; i < HOLDINGS; i++)
        h->each[i].own = secret_free(h->each[i].own);
    *h = (struct holdings){ .store = NULL };
}

const struct secret *holdings_get(const struct holdings *h, enum holding which)
{
    const struct store_record *r = h->each[which].record;

    return r ? store_secret(r) : h->each[which].own;
}

const void *holdings_rest(const struct holdings *h, enum holding which, size_t *ret_length)
{
    *ret_length = 0;
    return h->each[which].record ? store_rest(h->each[which].record, ret_length) : NULL;
}

static struct secret *copy_of(const struct secret *secret)
{
    return secret_copy(secret_peek(secret), secret_length(secret));
}

bool holdings_take(struct holdings *h, enum holding which, struct secret *secret, const void *rest,
                   size_t length)
{
    struct store_record **record = &h->each[which].record;
    struct secret **own = &h->each[which].own;

    if (!secret && !*record)
        return *own != NULL;
    if (!secret) /* where there is no room for what is said of it, the store loses it */
        secret = copy_of(store_secret(*record));
    if (!secret) {
        holdings_drop(h, which);
        return false;
    }
    if (is_kept(h, which)) {
        *record = store_put(h->store, kinds[which], h->id, secret, rest, length);
        if (*record) {
            secret_free(secret);
            *own = secret_free(*own);
            return true;
        }
    }
    secret_free(*own); /* the store is full, or it does not belong there */
    *own = secret;
    return true;
}

void holdings_drop(struct holdings *h, enum holding which)
{
    if (h->each[which].record)
        store_remove(h->store, h->each[which].record);
    h->each[which].record = NULL;
    h->each[which].own = secret_free(h->each[which].own);
}

static void drop_note(struct holdings *h)
{
    if (h->profile)
        store_remove(h->store, h->profile);
    h->profile = NULL;
}

void holdings_wipe(struct holdings *h)
{
    for (unsigned i = 0; i < HOLDINGS; i++)
        holdings_drop(h, i);
    drop_note(h);
}

/* From the store into memory of our own, or the other way round. */
static void move(struct holdings *h, enum holding which)
{
    struct store_record *record = h->each[which].record;
    bool kept = is_kept(h, which);

    if (record && !kept) {
        h->each[which].own = copy_of(store_secret(record));
        h->each[which].record = NULL;
        store_remove(h->store, record);
    } else if (!record && kept && h->each[which].own) {
        struct secret *own = h->each[which].own;
        h->each[which].own = NULL;
        holdings_take(h, which, own, NULL, 0);
    }
}

void holdings_configure(struct holdings *h, const struct profile_config *config, bool same_identity)
{
    for (unsigned i = 0; i < HOLDINGS && !same_identity; i++)
        holdings_drop(h, i);
    if (!same_identity || config->keep_over_restart == KEEP_NOTHING)
        drop_note(h);
    h->id = id_of(config);
    h->keep = config->keep_over_restart;
    for (unsigned i = 0; i < HOLDINGS; i++)
        move(h, i);
}

void holdings_note(struct holdings *h, const void *bytes, size_t length)
{
    size_t there = 0;
    const void *noted = h->profile ? store_rest(h->profile, &there) : NULL;

    if (!h->store || h->keep == KEEP_NOTHING ||
        (noted && there == length && memcmp(noted, bytes, length) == 0))
        return;
    h->profile = store_put(h->store, STORE_PROFILE, h->id, NULL, bytes, length);
}

const void *holdings_noted(const struct holdings *h, size_t *ret_length)
{
    *ret_length = 0;
    return h->profile ? store_rest(h->profile, ret_length) : NULL;
}
