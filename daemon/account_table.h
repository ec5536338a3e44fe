/*
 * account_table - the accounts that the profiles use, each once, whoever uses it.
 */
#ifndef KUBETOKEN_ACCOUNT_TABLE_H
#define KUBETOKEN_ACCOUNT_TABLE_H

#include "daemon/account.h"
#include "daemon/store.h"

struct account_table;

/* What the store kept of an earlier life is taken up; NULL: there is none. NULL: no memory. */
struct account_table *account_table_new(struct store *store);
struct account_table *account_table_free(struct account_table *accounts);

enum account_kind {
    ACCOUNT_USER,   /* of a provider's, in a realm */
    ACCOUNT_CLIENT, /* of a provider's */
    ACCOUNT_PROXY,  /* the user of a proxy */
};

/* Whose account it is. */
struct account_name {
    enum account_kind kind;
    const char *at;    /* the issuer, or the proxy's host and port */
    const char *realm; /* NULL: none */
    const char *name;  /* of the user or the client; of a proxy's user it is "" */
};

/* The number of the account of that name, a digest of it: never 0. Names of users are told apart
 * without regard to ASCII case: some providers do not regard it, and a lock-out is worse than one
 * refusal too many. */
uint64_t account_table_id(const struct account_name *name);

/* The account of that number; NULL: nothing is known of it. */
struct account *account_table_find(struct account_table *accounts, uint64_t id);

/* Whether the store has it, of an earlier life: where it is not found, for want of memory. */
bool account_table_kept(const struct account_table *accounts, uint64_t id);

/* The same, made where there is none. It outlives the profiles that use it. NULL: no memory. */
struct account *account_table_get(struct account_table *accounts, uint64_t id);

/* The account has changed: keep that over a restart. To be called before a request is sent, so
 * that a crash loop is no login loop. */
void account_table_save(struct account_table *accounts, const struct account *account);

#endif
