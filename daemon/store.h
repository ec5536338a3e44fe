/*
 * store - what has to survive a restart, in memory that systemd keeps meanwhile: the file
 * descriptor store (sd_pid_notify_with_fds(3)). Nothing is on a disk, and `stop` forgets it.
 *
 * One memfd, pushed once, that can grow and never shrink (F_SEAL_SHRINK), mapped and locked. It
 * holds records, each as long as its content, with a generation and a checksum. A record is
 * replaced by writing the new one whole beside it, and wiping the old one then: a crash in the
 * middle costs that write alone. Each record has a part that is a secret, which is used where it
 * lies, and a plain rest. What comes back from systemd is untrusted until all of that is checked,
 * and what a record says until its reader has checked that. Without systemd it is plain memory.
 */
#ifndef KUBETOKEN_STORE_H
#define KUBETOKEN_STORE_H

#include "common/secret.h"
#include "daemon/digest.h"

struct store;
struct store_record;

#define STORE_NAME "state" /* of the descriptor, FDNAME= */

/* Numbers that stay: another version reads them. */
enum store_kind {
    STORE_ACCOUNT = 1,
    STORE_TOKEN = 2,
    STORE_REFRESH_TOKEN = 3,
    STORE_PASSWORD = 4, /* a typed one */
    STORE_PROFILE = 5,  /* the rest of what is known of it */
    STORE_USER = 6,     /* a typed name */
    STORE_SHARE = 7,
};

/* Takes over what an earlier life left: of several descriptors the one that was written last. What
 * is not to be believed is told and dropped. Where nothing is left it makes a new one and gives it
 * to systemd to keep. The descriptors are closed. NULL: there is none; with errno ENOMEM what is
 * there could not be looked at, and is as it was. */
struct store *store_new(const int *descriptors, size_t n);
struct store *store_free(struct store *store);

/* The key of all digests in it, as old as the store. */
const unsigned char *store_key(const struct store *store);

/* The record of that kind and number, or NULL. It is wanted from then on (store_sweep). */
struct store_record *store_find(struct store *store, enum store_kind kind, uint64_t id);

/* Writes a record, in the place of the former one. secret may be NULL, and may be the record's own;
 * it is copied. NULL: there is no room; the former one is gone then. */
struct store_record *store_put(struct store *store, enum store_kind kind, uint64_t id,
                               const struct secret *secret, const void *rest, size_t length);

/* Wipes it; takes NULL. */
void store_remove(struct store *store, struct store_record *record);

/* Its secret, until the next store_put() or store_remove() of it; and its rest. */
const struct secret *store_secret(const struct store_record *record);
const void *store_rest(const struct store_record *record, size_t *ret_length);

/* Wipes what nobody has looked for or written in this life: of profiles that are gone, of kinds
 * that this version does not know. Accounts stay. */
void store_sweep(struct store *store);

enum {
    STORE_MAX = 64 * 1024 * 1024,
    STORES_MAX = 8,            /* descriptors to choose from */
    STORE_ACCOUNTS_MAX = 4096, /* beyond, the one that was written longest ago goes */
};

#endif
