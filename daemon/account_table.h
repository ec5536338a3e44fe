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

/* The account of that user at that issuer. What is known of it outlives the profiles that use
 * it. User names are told apart without regard to ASCII case: some providers do not regard it,
 * and a lock-out is worse than one refusal too many. NULL: no memory. */
struct account *account_table_get(struct account_table *accounts, const char *issuer,
                                  const char *username);

/* The account has changed: keep that over a restart. To be called before a request is sent, so
 * that a crash loop is no login loop. */
void account_table_save(struct account_table *accounts, const struct account *account);

#endif
