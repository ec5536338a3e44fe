#define _GNU_SOURCE
#include "daemon/private_file.h"

#include <sys/stat.h>

#include "daemon/owner.h"

int private_file_check(int fd, const char *path, bool secret, struct error *why)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        error_set(why, ERROR_CREDENTIAL, "is not a regular file");
        return -1;
    }
    if (!owner_is_ours(st.st_uid)) {
        error_set(why, ERROR_CREDENTIAL, "belongs to %s; chown it", owner_name(st.st_uid));
        return -1;
    }
    if (secret && (st.st_mode & 077) != 0) {
        error_set(why, ERROR_CREDENTIAL, "is open to others (mode %03o); chmod 600 %s",
                  (unsigned)st.st_mode & 0777, path);
        return -1;
    }
    if ((st.st_mode & 022) != 0) {
        error_set(why, ERROR_CREDENTIAL, "can be written by others (mode %03o); chmod go-w %s",
                  (unsigned)st.st_mode & 0777, path);
        return -1;
    }
    return 0;
}

struct private_file_stamp private_file_stamp(const char *const *paths, size_t n_paths)
{
    struct private_file_stamp stamp = { 14695981039346656037ULL }; /* FNV-1a */

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
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            stamp.hash = (stamp.hash ^ parts[k]) * 1099511628211ULL;
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
