/*
 * account_record - what is known of an account, as bytes that outlive the daemon (store.h). Pure.
 */
#ifndef KUBETOKEN_ACCOUNT_RECORD_H
#define KUBETOKEN_ACCOUNT_RECORD_H

#include <stddef.h>

#include "daemon/account.h"

enum { ACCOUNT_RECORD_MAX = 4096 };

/* Returns the length; 0 where nothing is known that is worth a record. */
size_t account_record_encode(const struct account *account, void *memory, size_t capacity);

/* Fills what the bytes say into an empty account. They come from another life: times are brought to
 * where they can be now, what is not known is passed over. Returns 0, or -EBADMSG. */
int account_record_decode(const void *bytes, size_t length, uint64_t now, struct account *ret);

#endif
