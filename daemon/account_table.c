#include "daemon/account_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/time.h"
#include "daemon/account_record.h"

enum { NAME_ROOM = 4096 }; /* no line of a configuration is as long */

struct entry {
    struct account account;
    uint64_t id;
    SLIST_ENTRY(entry) next;
};

SLIST_HEAD(entries, entry);

struct account_table {
    struct entries entries;
    struct store *store;
};

struct account_table *account_table_new(struct store *store)
{
    struct account_table *accounts = calloc(1, sizeof *accounts);

    if (accounts)
        accounts->store = store;
    return accounts;
}

struct account_table *account_table_free(struct account_table *accounts)
{
    struct entry *e;

    while (accounts && (e = SLIST_FIRST(&accounts->entries))) {
        SLIST_REMOVE_HEAD(&accounts->entries, next);
        free(e);
    }
    free(accounts);
    return NULL;
}

uint64_t account_table_id(const struct account_name *name)
{
    char folded[NAME_ROOM];

    snprintf(folded, sizeof folded, "%s", name->name);
    for (char *p = folded; *p && name->kind == ACCOUNT_USER; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    uint64_t whose = digest_pair(name->kind, digest_text(folded));
    uint64_t where = digest_pair(digest_text(name->at), name->realm ? digest_text(name->realm) : 0);
    return digest_pair(whose, where);
}

static struct entry *add(struct account_table *accounts, uint64_t id)
{
    struct entry *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->id = id;
    SLIST_INSERT_HEAD(&accounts->entries, e, next);
    return e;
}

/* Fills what an earlier life knew of it. */
static bool take_up(struct account_table *accounts, uint64_t id, struct account *ret)
{
    struct store_record *r = accounts->store ? store_find(accounts->store, STORE_ACCOUNT, id)
                                             : NULL;
    size_t length;

    if (!r)
        return false;
    const void *bytes = store_rest(r, &length);
    return account_record_decode(bytes, length, time_boottime(), ret) == 0;
}

struct account *account_table_find(struct account_table *accounts, uint64_t id)
{
    struct account kept = { 0 };
    struct entry *e;

    SLIST_FOREACH(e, &accounts->entries, next)
    if (e->id == id)
        return &e->account;
    if (!take_up(accounts, id, &kept) || !(e = add(accounts, id)))
        return NULL;
    e->account = kept;
    return &e->account;
}

bool account_table_kept(const struct account_table *accounts, uint64_t id)
{
    return accounts->store && store_find(accounts->store, STORE_ACCOUNT, id);
}

struct account *account_table_get(struct account_table *accounts, uint64_t id)
{
    struct account *known = account_table_find(accounts, id);
    struct entry *e = known ? NULL : add(accounts, id);

    return e ? &e->account : known;
}

void account_table_save(struct account_table *accounts, const struct account *account)
{
    const struct entry *e = (const struct entry *)(const void *)account; /* its first member */

    char bytes[ACCOUNT_RECORD_MAX];
    size_t length = account_record_encode(account, bytes, sizeof bytes);

    if (!accounts->store)
        return;
    if (length > 0)
        store_put(accounts->store, STORE_ACCOUNT, e->id, NULL, bytes, length);
    else
        store_remove(accounts->store, store_find(accounts->store, STORE_ACCOUNT, e->id));
}
