#define _GNU_SOURCE
#include "daemon/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/paths.h"
#include "common/time.h"

static char log_path[PATHS_MAX];
static int log_fd = -1;

/* A file that was there has to be a plain one of our own: somebody may have put it there. */
static int open_file(void)
{
    struct stat st;
    int fd = descriptor_raise(
        open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        fchmod(fd, 0600) < 0) {
        close(fd);
        return -EPERM;
    }
    log_fd = fd;
    return 0;
}

/* Root, by sudo -E, would leave a folder in the user's home that the user can not use. */
static int make_folder(const char *folder, uid_t parent)
{
    struct stat st;

    if (lstat(folder, &st) == 0)
        return 0;
    if (parent != geteuid())
        return -EPERM;
    return mkdir(folder, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_folders(const char *path)
{
    char folder[PATHS_MAX];
    struct stat st;

    if (stat("/", &st) < 0)
        return -errno;
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        memcpy(folder, path, (size_t)(slash - path));
        folder[slash - path] = '\0';
        int r = make_folder(folder, st.st_uid);
        if (r < 0)
            return r;
        if (stat(folder, &st) < 0)
            return -errno;
    }
    /* in the last one lies the file */
    return st.st_uid == geteuid() && (st.st_mode & 022) == 0 ? 0 : -EPERM;
}

int log_file_open(const char *path)
{
    if (strlen(path) >= sizeof log_path)
        return -ENAMETOOLONG;
    memcpy(log_path, path, strlen(path) + 1);
    int r = make_folders(path);
    return r < 0 ? r : open_file();
}

/* The next one begins. Where another daemon has begun it already that one is taken. */
static void rotate(const struct stat *mine)
{
    char old[PATHS_MAX + sizeof ".old"];
    struct stat st;

    if (lstat(log_path, &st) == 0 && st.st_dev == mine->st_dev && st.st_ino == mine->st_ino) {
        snprintf(old, sizeof old, "%s.old", log_path);
        rename(log_path, old);
    }
    close(log_fd);
    log_fd = -1;
    open_file();
}

void log_file_write(const char *text)
{
    char line[2304], when[TIME_UTC_SIZE];
    struct stat st;

    if (log_fd < 0)
        return;
    time_format_utc(when, time_realtime() / (int64_t)USEC_PER_SEC);
    int n = snprintf(line, sizeof line, "%s kubetokend[%d]: %s\n", when, (int)getpid(), text);
    size_t length = (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    if (fstat(log_fd, &st) == 0 && (size_t)st.st_size + length > LOG_FILE_MAX)
        rotate(&st);
    if (log_fd >= 0 && write(log_fd, line, length) < 0)
        return; /* the disk is full: there is nobody to tell */
}
