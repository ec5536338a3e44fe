#define _GNU_SOURCE
#include "common/owner.h"

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

enum { OVERFLOW_UID = 65534 }; /* as nearly everywhere; /proc/sys/kernel/overflowuid */

/* Which users are in our user namespace. Where that is not known it is the first one. */
static struct {
    bool read, some_unknown, has_overflow;
} users;

static void read_users(void)
{
    unsigned long first, outside, count;
    uint64_t n = 0;

    if (users.read)
        return;
    FILE *f = fopen("/proc/self/uid_map", "re");
    users.read = true;
    users.has_overflow = !f;
    if (!f)
        return;
    while (fscanf(f, "%lu %lu %lu", &first, &outside, &count) == 3) {
        n += count;
        users.has_overflow |= first <= OVERFLOW_UID && OVERFLOW_UID - first < count;
    }
    fclose(f);
    users.some_unknown = n < UINT32_MAX; /* the last uid means nobody, chown(2) */
}

bool owner_is_ours(uid_t uid)
{
    read_users();
    return (uid == geteuid() || uid == 0) && (uid != OVERFLOW_UID || users.has_overflow);
}

bool owner_is_unknown(uid_t uid)
{
    return !owner_is_ours(uid) && uid == OVERFLOW_UID && users.some_unknown;
}

const char *owner_name(uid_t uid)
{
    static char text[128];

    read_users();
    if (uid == OVERFLOW_UID && users.some_unknown)
        snprintf(text, sizeof text,
                 "root or to another user, who both look like uid %u in the user namespace of the "
                 "service",
                 (unsigned)uid);
    else
        snprintf(text, sizeof text, "another user (uid %u)", (unsigned)uid);
    return text;
}

bool owner_some_unknown(void)
{
    read_users();
    return users.some_unknown;
}
