#include "daemon/account_table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct entry {
    struct account account;
    uint64_t id;
    SLIST_ENTRY(entry) next;
};

SLIST_HEAD(entries, entry);

struct account_table {
    struct entries entries;
    struct fdstore *store;
};

struct account_table *account_table_new(struct fdstore *store)
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
    char *folded = strdup(name->name);

    if (!folded)
        abort(); /* a name */
    for (char *p = folded; *p && name->kind == ACCOUNT_USER; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    uint64_t whose = digest_pair(name->kind, digest_text(folded));
    uint64_t where = digest_pair(digest_text(name->at), name->realm ? digest_text(name->realm) : 0);
    free(folded);
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

struct account *account_table_find(struct account_table *accounts, uint64_t id)
{
    struct account kept = { 0 };
    struct entry *e;

    SLIST_FOREACH(e, &accounts->entries, next)
    if (e->id == id)
        return &e->account;
    if (!accounts->store || !fdstore_get_account(accounts->store, id, &kept) ||
        !(e = add(accounts, id)))
        return NULL;
    e->account = kept;
    return &e->account;
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

    if (accounts->store)
        fdstore_put_account(accounts->store, e->id, account);
}
