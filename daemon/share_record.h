/*
 * share_record - what is known of a share as bytes that outlive the daemon; pure.
 */
#ifndef KUBETOKEN_SHARE_RECORD_H
#define KUBETOKEN_SHARE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "common/protocol.h"

struct share_record {
    char name[PROTOCOL_SHARE_MAX + 1];
    char profile[PROTOCOL_NAME_MAX + 1];
    uint64_t identity; /* of the profile: config_keys_identity() */
    uint64_t ends;     /* usec of CLOCK_BOOTTIME */
    uint64_t handouts;
    uint64_t device, inode; /* of the socket's path */
};

enum { SHARE_RECORD_MAX = 512 };

/* Returns the length, or 0: it does not fit. */
size_t share_record_encode(const struct share_record *record, void *memory, size_t capacity);

/* Takes nothing that could not have been opened at that time. Returns 0, or -EBADMSG. */
int share_record_decode(const void *bytes, size_t length, uint64_t now, struct share_record *ret);

#endif
