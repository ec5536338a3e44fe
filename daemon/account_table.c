#include "daemon/account_table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

struct entry {
    struct account account;
    struct account_name name;
    uint64_t id; /* in the store */
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

static uint64_t print_of(const struct fdstore *store, const char *text)
{
    return digest_bytes(fdstore_key(store), text, strlen(text));
}

/* What names it in the store, where it stands as a digest. */
static uint64_t id_of(const struct fdstore *store, const struct account_name *name)
{
    char *folded = strdup(name->name);
    uint64_t parts[4];

    if (!folded)
        abort(); /* a name */
    for (char *p = folded; *p && name->kind == ACCOUNT_USER; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    parts[0] = name->kind;
    parts[1] = print_of(store, name->at);
    parts[2] = name->realm ? print_of(store, name->realm) : 0;
    parts[3] = print_of(store, folded);
    free(folded);
    return digest_bytes(fdstore_key(store), parts, sizeof parts);
}

static void free_entry(struct entry *e)
{
    free((char *)(uintptr_t)e->name.at);
    free((char *)(uintptr_t)e->name.realm);
    free((char *)(uintptr_t)e->name.name);
    free(e);
}

struct account_table *account_table_free(struct account_table *accounts)
{
    struct entry *e;

    while (accounts && (e = SLIST_FIRST(&accounts->entries))) {
        SLIST_REMOVE_HEAD(&accounts->entries, next);
        free_entry(e);
    }
    free(accounts);
    return NULL;
}

static bool same_realm(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_named(const struct entry *e, const struct account_name *name)
{
    return e->name.kind == name->kind && strcmp(e->name.at, name->at) == 0 &&
           same_realm(e->name.realm, name->realm) &&
           (name->kind == ACCOUNT_USER ? strcasecmp : strcmp)(e->name.name, name->name) == 0;
}

/* NULL: no memory. */
static struct entry *new_entry(const struct account_name *name)
{
    struct entry *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->name = (struct account_name){ name->kind, strdup(name->at),
                                     name->realm ? strdup(name->realm) : NULL, strdup(name->name) };
    if (e->name.at && e->name.name && !name->realm == !e->name.realm)
        return e;
    free_entry(e);
    return NULL;
}

struct account *account_table_get(struct account_table *accounts, const struct account_name *name)
{
    struct entry *e;

    SLIST_FOREACH(e, &accounts->entries, next)
    if (is_named(e, name))
        return &e->account;
    e = new_entry(name);
    if (!e)
        return NULL;
    if (accounts->store) {
        e->id = id_of(accounts->store, name);
        fdstore_get_account(accounts->store, e->id, &e->account);
    }
    SLIST_INSERT_HEAD(&accounts->entries, e, next);
    return &e->account;
}

void account_table_save(struct account_table *accounts, const struct account *account)
{
    const struct entry *e = (const struct entry *)(const void *)account; /* its first member */

    if (accounts->store)
        fdstore_put_account(accounts->store, e->id, account);
}
