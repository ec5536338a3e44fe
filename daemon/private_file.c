#define _GNU_SOURCE
#include "daemon/private_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/owner.h"
#include "common/trusted_path.h"

const char *private_file_quote(const char *path)
{
    return strpbrk(path, " \t") ? "'" : "";
}

static bool in_group(gid_t group)
{
    int n = getgroups(0, NULL);
    gid_t *groups = n > 0 ? calloc((size_t)n, sizeof *groups) : NULL;
    bool found = group == getegid();

    n = groups ? getgroups(n, groups) : 0;
    for (int i = 0; i < n; i++)
        found |= groups[i] == group;
    free(groups);
    return found;
}

/* The bits that one with a secret must not have. What a group of ours may read of root's, root has
 * meant for us: a Secret's volume with fsGroup, a secret of a service. */
static mode_t forbidden(const struct stat *st)
{
    return st->st_uid == 0 && geteuid() != 0 && in_group(st->st_gid) ? 027 : 077;
}

static bool is_read_only(int fd)
{
    struct statvfs st;

    return fstatvfs(fd, &st) == 0 && (st.f_flag & ST_RDONLY) != 0;
}

/* What mends the mode of a file that holds a secret, by whose it is. */
static void explain_mode(int fd, const struct stat *st, const char *path,
                         struct private_file_use use, struct error *why)
{
    const char *q = private_file_quote(path);
    unsigned mode = (unsigned)st->st_mode & 0777;

    if (st->st_uid == geteuid() && (!use.way || !is_read_only(fd)))
        error_set(why, ERROR_CREDENTIAL, "is open to others (mode %03o); chmod 600 %s%s%s", mode, q,
                  path, q);
    else if (st->st_uid == geteuid())
        error_set(why, ERROR_CREDENTIAL,
                  "is open to others (mode %03o); chmod 600 %s%s%s, or, as its file system is "
                  "read-only here, %s",
                  mode, q, path, q, use.way);
    else
        error_set(why, ERROR_CREDENTIAL,
                  "is open to others (mode %03o); %s%shave root give it mode 0440 and a group of "
                  "yours",
                  mode, use.way ? use.way : "", use.way ? ", or " : "");
}

int private_file_open(const char *path, struct private_file_use use, struct error *why)
{
    char words[ERROR_DETAIL_MAX + 1];
    struct trusted_fault fault;
    int fd = trusted_path_open(path, &fault);

    if (fd >= 0)
        return fd;
    trusted_path_tell(&fault, words, sizeof words);
    if (fault.number != 0)
        private_file_explain(path, use, fault.number, why);
    else
        error_set(why, ERROR_CREDENTIAL, "%s", *fault.kind ? words : fault.text);
    return fault.number != 0 ? -fault.number : -EPERM;
}

int private_file_check(int fd, const char *path, struct private_file_use use, struct error *why)
{
    struct trusted_fault fault;
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        error_set(why, ERROR_CREDENTIAL, "is not a regular file");
        return -1;
    }
    if (use.secret && !owner_is_ours(st.st_uid)) {
        error_set(why, ERROR_CREDENTIAL, "belongs to %s; %s", owner_name(st.st_uid),
                  use.way ? use.way : "it has to be yours or root's");
        return -1;
    }
    if (use.secret && (st.st_mode & forbidden(&st)) != 0) {
        explain_mode(fd, &st, path, use, why);
        return -1;
    }
    if (trusted_path_judge(fd, path, TRUSTED_PRIVATE, &fault) < 0) {
        error_set(why, ERROR_CREDENTIAL, "%s",
                  fault.number != 0 ? strerror(fault.number) : fault.text);
        return -1;
    }
    return 0;
}

void private_file_explain(const char *path, struct private_file_use use, int number,
                          struct error *why)
{
    struct stat st;
    const char *q = private_file_quote(path);
    bool closed = number == EACCES && stat(path, &st) == 0;

    if (closed && st.st_uid == geteuid())
        error_set(why, ERROR_CREDENTIAL, "%s; chmod 600 %s%s%s", strerror(number), q, path, q);
    else if (closed && owner_some_unknown() && use.way)
        error_set(why, ERROR_CREDENTIAL,
                  "%s: groups do not count in the user namespace of the service; %s",
                  strerror(number), use.way);
    else if (closed)
        error_set(why, ERROR_CREDENTIAL,
                  "%s; have its owner let this user read it (a new group counts from the next "
                  "login on)",
                  strerror(number));
    else
        error_set(why, ERROR_CREDENTIAL, "%s", strerror(number));
}

/* FNV-1a. */
static void mix(struct private_file_stamp *stamp, const uint64_t *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        stamp->hash = (stamp->hash ^ parts[i]) * 1099511628211ULL;
}

/* Who can change the folders that the path names, so that a chmod is seen that mends one; not what
 * is in them. */
static void mix_folders(struct private_file_stamp *stamp, const char *path)
{
    char folder[PATHS_MAX];

    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct stat st = { 0 };
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
        bool there = stat(folder, &st) == 0;
        const uint64_t parts[] = { there, (uint64_t)st.st_ino, (uint64_t)st.st_mode,
                                   (uint64_t)st.st_uid, (uint64_t)st.st_gid };
        mix(stamp, parts, sizeof parts / sizeof *parts);
    }
}

struct private_file_stamp private_file_stamp(const char *const *paths, size_t n_paths)
{
    struct private_file_stamp stamp = { 14695981039346656037ULL };

    for (size_t i = 0; i < n_paths; i++) {
        struct stat st = { 0 };
        bool there = stat(paths[i], &st) == 0;
        const uint64_t parts[] = {
            there,
            (uint64_t)st.st_dev,
            (uint64_t)st.st_ino,
            (uint64_t)st.st_size,
            (uint64_t)st.st_mode,
            (uint64_t)st.st_mtim.tv_sec,
            (uint64_t)st.st_mtim.tv_nsec,
            (uint64_t)st.st_ctim.tv_sec,
            (uint64_t)st.st_ctim.tv_nsec,
        };
        mix(&stamp, parts, sizeof parts / sizeof *parts);
        mix_folders(&stamp, paths[i]);
    }
    return stamp;
}

bool private_file_is_young(const char *const *paths, size_t n_paths, int64_t seconds, int64_t now)
{
    struct stat st;

    for (size_t i = 0; i < n_paths; i++)
        /* a time that is far ahead says nothing: it would stay young for ever */
        if (stat(paths[i], &st) == 0 && st.st_mtim.tv_sec > now - seconds &&
            st.st_mtim.tv_sec <= now + seconds)
            return true;
    return false;
}
