#include "daemon/typed_user.h"

#include <stdlib.h>
#include <string.h>

#include "common/printable.h"
#include "common/protocol.h"
#include "daemon/config_keys.h"

struct typed_user {
    struct profile_config config; /* of whose texts the name alone is ours */
    uint64_t id;                  /* in the store */
    char name[];
};

/* Of the profile without a name, which is what is known of it at the start. */
static uint64_t id_of(const struct profile_config *config)
{
    return digest_pair(digest_text(config->name), config_keys_identity(config));
}

static void take(struct typed_user *u, const struct profile_config *config)
{
    u->id = id_of(config);
    u->config = *config;
    u->config.username = u->name;
}

static struct typed_user *make(const struct profile_config *config, const char *name, size_t length)
{
    struct typed_user *u = calloc(1, sizeof *u + length + 1);

    if (!u)
        return NULL;
    memcpy(u->name, name, length);
    take(u, config);
    return u;
}

static void wipe(struct store *store, uint64_t id)
{
    if (store)
        store_remove(store, store_find(store, STORE_USER, id));
}

/* As the configuration says it. */
static void keep(const struct typed_user *u, struct store *store)
{
    if (!store)
        return;
    if (u->config.keep_over_restart == KEEP_NOTHING)
        wipe(store, u->id);
    else
        store_put(store, STORE_USER, u->id, NULL, u->name, strlen(u->name));
}

struct typed_user *typed_user_new(struct store *store, const struct profile_config *config,
                                  const char *name)
{
    struct typed_user *u = make(config, name, strlen(name));

    if (u)
        keep(u, store);
    return u;
}

struct typed_user *typed_user_restore(struct store *store, const struct profile_config *config)
{
    struct store_record *record = store ? store_find(store, STORE_USER, id_of(config)) : NULL;
    size_t length = 0;
    const void *name = record ? store_rest(record, &length) : NULL;

    if (!record)
        return NULL;
    struct typed_user *u = config->keep_over_restart != KEEP_NOTHING &&
                                   typed_user_valid(name, length)
                               ? make(config, name, length)
                               : NULL;
    if (!u)
        store_remove(store, record);
    return u;
}

void typed_user_configure(struct typed_user *u, struct store *store,
                          const struct profile_config *config)
{
    take(u, config);
    keep(u, store);
}

const struct profile_config *typed_user_config(const struct typed_user *u)
{
    return &u->config;
}

struct typed_user *typed_user_free(struct typed_user *u)
{
    free(u);
    return NULL;
}

struct typed_user *typed_user_forget(struct typed_user *u, struct store *store)
{
    if (u)
        wipe(store, u->id);
    return typed_user_free(u);
}

bool typed_user_valid(const char *name, size_t length)
{
    if (length == 0 || length > PROTOCOL_USER_MAX)
        return false;
    for (size_t i = 0, n; i < length; i += n) {
        unsigned char c = (unsigned char)name[i];
        n = printable_utf8(name + i, length - i);
        if (n == 0 || c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)name[i + 1] < 0xa0))
            return false;
    }
    return true;
}
