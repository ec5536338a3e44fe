/*
 * account_table - the accounts that the profiles use, each once, whoever uses it.
 */
#ifndef KUBETOKEN_ACCOUNT_TABLE_H
#define KUBETOKEN_ACCOUNT_TABLE_H

#include "daemon/fdstore.h"

struct account_table;

/* What the store kept of an earlier life is taken up; NULL: there is none. NULL: no memory. */
struct account_table *account_table_new(struct fdstore *store);
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

/* The account of that name. What is known of it outlives the profiles that use it. Names of users
 * are told apart without regard to ASCII case: some providers do not regard it, and a lock-out is
 * worse than one refusal too many. NULL: no memory. */
struct account *account_table_get(struct account_table *accounts, const struct account_name *name);

/* The account has changed: keep that over a restart. To be called before a request is sent, so
 * that a crash loop is no login loop. One of which nothing is known takes no room. */
void account_table_save(struct account_table *accounts, const struct account *account);

#endif
