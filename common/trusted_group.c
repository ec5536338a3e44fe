#define _GNU_SOURCE
#include "common/trusted_group.h"

#include <endian.h>
#include <errno.h>
#include <grp.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/owner.h"

enum {
    SYSTEM_GROUPS = 100, /* Debian Policy 9.2.2: 0-99 are the same everywhere */
    OVERFLOW_GID = 65534,
    NAMES_MAX = 16, /* of one user */
    LIST_MAX = 8192 /* bytes of an access control list: a thousand entries */
};

/* ---- whose group it is ------------------------------------------------------------------------*/

/* Names of this user and of root. */
struct names {
    char *name[NAMES_MAX];
    size_t n;
};

static bool is_among(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->name[i], name) == 0)
            return true;
    return false;
}

/* Notes the names. Returns whether nobody else has it as the primary group. *own: whether we do. */
static bool read_users(FILE *users, uid_t uid, gid_t gid, struct names *names, bool *own)
{
    const struct passwd *p;
    bool known = false, alone = true;

    while (users && (p = fgetpwent(users))) {
        if (p->pw_uid == uid) {
            *own = (known && *own) || p->pw_gid == gid;
            known = true;
        }
        if (p->pw_uid != uid && p->pw_uid != 0)
            alone &= p->pw_gid != gid;
        else if (names->n < NAMES_MAX && (names->name[names->n] = strdup(p->pw_name)))
            names->n++;
    }
    return alone;
}

/* Returns whether nobody else is in it. *known: whether it is there. */
static bool read_groups(FILE *groups, gid_t gid, const struct names *names, bool *known)
{
    const struct group *g;
    bool alone = true;

    while (groups && (g = fgetgrent(groups))) {
        if (g->gr_gid != gid)
            continue;
        *known = true;
        for (char *const *member = g->gr_mem; *member; member++)
            alone &= is_among(names, *member);
    }
    return alone;
}

bool trusted_group_is_own(FILE *users, FILE *groups, uid_t uid, gid_t login, gid_t gid)
{
    struct names names = { .n = 0 };
    bool own = login == gid, known = false;

    bool alone = read_users(users, uid, gid, &names, &own) &&
                 read_groups(groups, gid, &names, &known);
    while (names.n > 0)
        free(names.name[--names.n]);
    return own && alone && (known || gid == (gid_t)uid);
}

static bool is_own(gid_t gid)
{
    if (gid == OVERFLOW_GID) /* which every group has that is not in a user namespace */
        return false;
    FILE *users = fopen("/etc/passwd", "re"), *groups = fopen("/etc/group", "re");
    bool own = trusted_group_is_own(users, groups, geteuid(), getgid(), gid);
    if (users)
        fclose(users);
    if (groups)
        fclose(groups);
    return own;
}

static void name_group(gid_t gid, char *by)
{
    FILE *groups = fopen("/etc/group", "re");
    const struct group *g = NULL;

    while (groups && (g = fgetgrent(groups)) && g->gr_gid != gid)
        ;
    if (g)
        snprintf(by, TRUSTED_GROUP_BY, ", group %.64s", g->gr_name);
    else
        snprintf(by, TRUSTED_GROUP_BY, ", group %u", (unsigned)gid);
    if (groups)
        fclose(groups);
}

static bool is_foreign(gid_t gid, char *by)
{
    if (gid < SYSTEM_GROUPS || is_own(gid))
        return false;
    name_group(gid, by);
    return true;
}

/* ---- access control lists ---------------------------------------------------------------------*/

static bool entry_lets_in(const struct posix_acl_xattr_entry *e, const struct stat *st, char *by)
{
    uint32_t id = le32toh(e->e_id);

    if ((le16toh(e->e_perm) & ACL_WRITE) == 0)
        return false;
    switch (le16toh(e->e_tag)) {
    case ACL_USER:
        if (owner_is_ours(id))
            return false;
        snprintf(by, TRUSTED_GROUP_BY, ", access control list: uid %u", (unsigned)id);
        return true;
    case ACL_GROUP_OBJ:
        return is_foreign(st->st_gid, by);
    case ACL_GROUP:
        return is_foreign(id, by);
    default: /* the mask says no: then the mode has no such bit; owner and others it has too */
        return false;
    }
}

bool trusted_group_lets_in(int fd, const struct stat *st, char by[TRUSTED_GROUP_BY])
{
    union {
        struct posix_acl_xattr_header header;
        char bytes[LIST_MAX];
    } list;
    char path[40];

    if ((st->st_mode & S_IWGRP) == 0)
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* a descriptor of O_PATH has no list */
    ssize_t n = getxattr(path, "system.posix_acl_access", list.bytes, sizeof list.bytes);
    if (n < 0 && (errno == ERANGE || errno == E2BIG)) {
        snprintf(by, TRUSTED_GROUP_BY, ", a long access control list");
        return true;
    }
    if (n < (ssize_t)sizeof list.header)
        return is_foreign(st->st_gid, by);
    const struct posix_acl_xattr_entry *e = (const void *)(list.bytes + sizeof list.header);
    for (size_t left = (size_t)n - sizeof list.header; left >= sizeof *e; left -= sizeof *e)
        if (entry_lets_in(e++, st, by))
            return true;
    return false;
}
