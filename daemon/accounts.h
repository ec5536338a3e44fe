/*
 * accounts - the accounts that the profiles use, each once, whoever uses it.
 */
#ifndef KUBETOKEN_ACCOUNTS_H
#define KUBETOKEN_ACCOUNTS_H

#include "daemon/store.h"

struct accounts;

/* What the store kept of an earlier life is taken up; NULL: there is none. NULL: no memory. */
struct accounts *accounts_new(struct store *store);
struct accounts *accounts_free(struct accounts *accounts);

/* The account of that user at that issuer. What is known of it outlives the profiles that use
 * it. User names are told apart without regard to ASCII case: some providers do not regard it,
 * and a lock-out is worse than one refusal too many. NULL: no memory. */
struct account *accounts_get(struct accounts *accounts, const char *issuer, const char *username);

/* The account has changed: keep that over a restart. To be called before a request is sent, so
 * that a crash loop is no login loop. */
void accounts_save(struct accounts *accounts, const struct account *account);

#endif
