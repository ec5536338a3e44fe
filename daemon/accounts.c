#include "daemon/accounts.h"

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

struct accounts {
    struct entries entries;
    struct store *store;
};

struct accounts *accounts_new(struct store *store)
{
    struct accounts *accounts = calloc(1, sizeof *accounts);

    if (accounts)
        accounts->store = store;
    return accounts;
}

/* What names it in the store, where it stands as a digest. */
static uint64_t id_of(const struct store *store, const char *issuer, const char *username)
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
    id = digest_bytes(store_key(store), name, head + tail);
    free(name);
    return id;
}

static void free_entry(struct entry *e)
{
    free(e->issuer);
    free(e->username);
    free(e);
}

struct accounts *accounts_free(struct accounts *accounts)
{
    struct entry *e;

    while (accounts && (e = SLIST_FIRST(&accounts->entries))) {
        SLIST_REMOVE_HEAD(&accounts->entries, next);
        free_entry(e);
    }
    free(accounts);
    return NULL;
}

struct account *accounts_get(struct accounts *accounts, const char *issuer, const char *username)
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
        store_get_account(accounts->store, e->id, &e->account);
    }
    SLIST_INSERT_HEAD(&accounts->entries, e, next);
    return &e->account;
}

void accounts_save(struct accounts *accounts, const struct account *account)
{
    const struct entry *e = (const struct entry *)(const void *)account; /* its first member */

    if (accounts->store)
        store_put_account(accounts->store, e->id, account);
}
