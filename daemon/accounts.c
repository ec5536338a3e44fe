#include "daemon/accounts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

struct entry {
    struct account account;
    char *issuer, *username;
    SLIST_ENTRY(entry) next;
};

SLIST_HEAD(entries, entry);

struct accounts {
    struct entries entries;
};

struct accounts *accounts_new(void)
{
    return calloc(1, sizeof(struct accounts));
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
    SLIST_INSERT_HEAD(&accounts->entries, e, next);
    return &e->account;
}
