#include "daemon/account_table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

struct entry {
    struct account account;
    char *issuer, *username;
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

/* What names it in the store, where it stands as a digest. */
static uint64_t id_of(const struct fdstore *store, const char *issuer, const char *username)
{
    size_t head = strlen(issuer) + 1, tail = strlen(username);
    char *name = malloc(head + tail + 1);
    uint64_t id;

    if (!name)
        abort(); /* two names */
    memcpy(name, issuer, head);
    for (size_t i = 0; i <= tail; i++)
        name[head + i] = username[i] >= 'A' && username[i] <= 'Z' ? (char)(username[i] + 32)
                                                                  : username[i];
    id = digest_bytes(fdstore_key(store), name, head + tail);
    free(name);
    return id;
}

static void free_entry(struct entry *e)
{
    free(e->issuer);
    free(e->username);
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

struct account *account_table_get(struct account_table *accounts, const char *issuer,
                                  const char *username)
{
    struct entry *e;

    SLIST_FOREACH(e, &accounts->entries, next)
    if (strcmp(e->issuer, issuer) == 0 && strcasecmp(e->username, username) == 0)
        return &e->account;
    e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->issuer = strdup(issuer);
    e->username = strdup(username);
    if (!e->issuer || !e->username) {
        free_entry(e);
        return NULL;
    }
    if (accounts->store) {
        e->id = id_of(accounts->store, issuer, username);
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
