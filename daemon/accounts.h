/*
 * accounts - the accounts that the profiles use, each once, whoever uses it.
 */
#ifndef KUBETOKEN_ACCOUNTS_H
#define KUBETOKEN_ACCOUNTS_H

#include "daemon/account.h"

struct accounts;

/* NULL: no memory. */
struct accounts *accounts_new(void);
struct accounts *accounts_free(struct accounts *accounts);

/* The account of that user at that issuer. What is known of it outlives the profiles that use
 * it. User names are told apart without regard to ASCII case: some providers do not regard it,
 * and a lock-out is worse than one refusal too many. NULL: no memory. */
struct account *accounts_get(struct accounts *accounts, const char *issuer, const char *username);

#endif
