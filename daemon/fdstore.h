/*
 * fdstore - what has to survive a restart, in memory that systemd keeps meanwhile: the file
 * descriptor store (sd_pid_notify_with_fds(3)). Nothing is on a disk, and `stop` forgets it.
 *
 * One memfd, pushed once, whose size is sealed. A record has two slots, each with a generation
 * and a checksum: a crash in the middle of a write costs that write alone. What comes back from
 * systemd is untrusted until all of that is checked. Without systemd it is plain memory.
 */
#ifndef KUBETOKEN_FDSTORE_H
#define KUBETOKEN_FDSTORE_H

#include "daemon/account.h"
#include "daemon/digest.h"

struct fdstore;

#define FDSTORE_NAME "state" /* of the descriptor, FDNAME= */

/* Takes over the descriptor that an earlier life left, or (-1, or one that is not to be believed)
 * makes a new one and gives it to systemd to keep. NULL: no memory. */
struct fdstore *fdstore_new(int descriptor);
struct fdstore *fdstore_free(struct fdstore *store);

/* The key of all digests in it, as old as the store. */
const unsigned char *fdstore_key(const struct fdstore *store);

/* Fills what is kept of that account (its digests and its bucket) and returns true, or leaves it
 * alone. id is a digest of its name. */
bool fdstore_get_account(struct fdstore *store, uint64_t id, struct account *account);

/* Keeps it, unless nothing is known of it and never was. Beyond FDSTORE_ACCOUNTS further accounts
 * are not kept. */
void fdstore_put_account(struct fdstore *store, uint64_t id, const struct account *account);

enum { FDSTORE_ACCOUNTS = 256 };

#endif
