#define _GNU_SOURCE
#include "client/admin/file_changes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/admin/draft.h"
#include "client/output.h"
#include "common/heap.h"
#include "common/time.h"

enum { FOLDERS_MAX = 16, CHANGES_MAX = DRAFT_FILES_MAX + 1, LOCK_MOMENT = 20 /* ms */ };

/* Whoever has a folder locked writes a few files. */
static const uint64_t lock_time = 10 * USEC_PER_SEC;

/* One file that is to be there, or to go; or back. */
struct change {
    char path[PATH_MAX]; /* a symlink is followed */
    char temporary[PATH_MAX];
    bool existed, goes, done;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct draft_bytes old, new;
};

static struct change changes[CHANGES_MAX];
static unsigned n_changes;
static char folders[FOLDERS_MAX][PATH_MAX]; /* that were made, outermost first */
static unsigned n_folders;

static int fail(struct error *why, const char *path, int number)
{
    error_set(why, ERROR_CONFIG, "%s: %s", path, strerror(number));
    return -1;
}

/* ---- folders --------------------------------------------------------------------------------- */

int file_changes_make_folders(const char *path, struct error *why)
{
    char part[PATH_MAX];

    for (const char *slash = path; *slash;) {
        slash = strchrnul(slash + 1, '/');
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0700) == 0 && n_folders < FOLDERS_MAX)
            memcpy(folders[n_folders++], part, sizeof part);
        else if (errno != EEXIST && access(part, F_OK) < 0)
            return fail(why, part, errno);
    }
    return 0;
}

static void remove_folders(void)
{
    while (n_folders > 0)
        rmdir(folders[--n_folders]);
}

/* ---- one file -------------------------------------------------------------------------------- */

/* Where a path leads, also when what it leads to is not there yet. */
static int follow(const char *path, char out[PATH_MAX])
{
    char target[PATH_MAX], *real = realpath(path, NULL);
    ssize_t n;

    if (real) {
        snprintf(out, PATH_MAX, "%s", real);
        free(real);
        return 0;
    }
    if (errno != ENOENT)
        return -errno;
    snprintf(out, PATH_MAX, "%s", path);
    for (int links = 0; (n = readlink(out, target, sizeof target - 1)) >= 0; links++) {
        target[n] = '\0';
        if (links == 40)
            return -ELOOP;
        char *slash = strrchr(out, '/');
        size_t before = *target == '/' || !slash ? 0 : (size_t)(slash + 1 - out);
        if (before + (size_t)n >= PATH_MAX)
            return -ENAMETOOLONG;
        memcpy(out + before, target, (size_t)n + 1);
    }
    return 0;
}

/* Looks at what is there. */
static int look(struct change *c, const char *path, struct error *why)
{
    struct stat st;
    char *old;
    size_t old_length;

    *c = (struct change){ .mode = 0600, .uid = geteuid(), .gid = getegid() };
    int r = follow(path, c->path);
    if (r == 0 && stat(c->path, &st) == 0) {
        c->existed = true;
        c->mode = st.st_mode & 07777;
        c->uid = st.st_uid;
        c->gid = st.st_gid;
        r = draft_read_file(c->path, CONFIG_TEXT_MAX, &old, &old_length);
        if (r == 0) {
            c->old = draft_bytes_copy(old, old_length);
            explicit_bzero(old, old_length);
            free(old);
        }
    }
    return r < 0 ? fail(why, path, -r) : 0;
}

static bool is_same(const struct draft_bytes *there, const char *bytes, size_t length)
{
    return there->bytes && there->length == length && memcmp(there->bytes, bytes, length) == 0;
}

int file_changes_plan(const char *path, const char *bytes, size_t length, struct error *why)
{
    struct change *c = &changes[n_changes];

    if (look(c, path, why) < 0)
        return -1;
    if (c->existed && is_same(&c->old, bytes, length)) {
        draft_bytes_clear(&c->old);
        return 0;
    }
    c->new = draft_bytes_copy(bytes, length);
    n_changes++;
    return 0;
}

int file_changes_plan_secret(const char *path, const char *bytes, size_t length, bool force,
                             struct error *why)
{
    unsigned before = n_changes;

    if (file_changes_plan(path, bytes, length, why) < 0)
        return -1;
    if (n_changes == before)
        return 0;
    struct change *c = &changes[before];
    c->mode = 0600;
    if (!c->existed || force)
        return 0;
    error_set(why, ERROR_USAGE, "%s is there already; --force replaces it", c->path);
    return -1;
}

int file_changes_plan_removal(const char *path, struct error *why)
{
    struct change *c = &changes[n_changes];

    if (look(c, path, why) < 0)
        return -1;
    c->goes = true;
    n_changes += c->existed;
    return 0;
}

/* Writes it beside the place where it is to be. Returns 0, or a negative errno. */
static int write_beside(struct change *c, const struct draft_bytes *content)
{
    const char *slash = strrchr(c->path, '/');

    int n = snprintf(c->temporary, sizeof c->temporary, "%.*s/.%s.XXXXXX", (int)(slash - c->path),
                     c->path, slash + 1);
    if (n < 0 || (size_t)n >= sizeof c->temporary) {
        *c->temporary = '\0';
        return -ENAMETOOLONG;
    }
    int fd = mkostemp(c->temporary, O_CLOEXEC);
    if (fd < 0) {
        *c->temporary = '\0';
        return -errno;
    }
    if (c->uid != geteuid() || c->gid != getegid())
        (void)!fchown(fd, c->uid, c->gid);
    if (fchmod(fd, c->mode) < 0 || output_write(fd, content->bytes, content->length) < 0 ||
        fsync(fd) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return close(fd) < 0 ? -errno : 0;
}

static int put(struct change *c)
{
    if (rename(c->temporary, c->path) < 0)
        return -errno;
    *c->temporary = '\0';
    return 0;
}

static int do_it(struct change *c)
{
    int r = !c->goes ? put(c) : unlink(c->path) < 0 ? -errno : 0;

    c->done = r == 0;
    return r;
}

static void put_back(struct change *c)
{
    if (*c->temporary)
        unlink(c->temporary);
    *c->temporary = '\0';
    if (c->done && !c->existed)
        unlink(c->path);
    else if (c->done && write_beside(c, &c->old) == 0)
        put(c);
    c->done = false;
}

void file_changes_forget(void)
{
    for (unsigned i = 0; i < n_changes; i++) {
        draft_bytes_clear(&changes[i].old);
        draft_bytes_clear(&changes[i].new);
    }
    n_changes = n_folders = 0;
}

void file_changes_take_back(void)
{
    for (unsigned i = n_changes; i > 0; i--)
        put_back(&changes[i - 1]);
    remove_folders();
    file_changes_forget();
}

/* ---- all of them ----------------------------------------------------------------------------- */

static sigset_t ending(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGTERM);
    return set;
}

sigset_t file_changes_block_signals(void)
{
    const sigset_t set = ending();
    sigset_t before;

    sigprocmask(SIG_BLOCK, &set, &before);
    return before;
}

bool file_changes_is_interrupted(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGHUP) || sigismember(&pending, SIGINT) ||
           sigismember(&pending, SIGQUIT) || sigismember(&pending, SIGTERM);
}

/* Nothing goes on from here that was made without memory. */
static int hindrance(void)
{
    return heap_lacked() ? -ENOMEM : file_changes_is_interrupted() ? -EINTR : 0;
}

/* First all that can fail for want of room or rights, then the names. */
int file_changes_carry_out(struct error *why)
{
    for (unsigned i = 0; i < n_changes; i++) {
        struct change *c = &changes[i];
        int r = hindrance();
        if (r == 0 && !c->goes)
            r = write_beside(c, &c->new);
        if (r < 0)
            return fail(why, changes[i].path, -r);
    }
    for (unsigned i = 0; i < n_changes; i++) {
        int r = hindrance();
        if (r == 0)
            r = do_it(&changes[i]);
        if (r < 0)
            return fail(why, changes[i].path, -r);
    }
    return 0;
}

int file_changes_lock(const char *folder, struct error *why)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t deadline = time_boottime() + lock_time;
    int r;

    while ((r = fd < 0 ? -1 : flock(fd, LOCK_EX | LOCK_NB)) < 0 &&
           (errno == EWOULDBLOCK || errno == EINTR) && time_boottime() < deadline &&
           !file_changes_is_interrupted())
        poll(NULL, 0, LOCK_MOMENT);
    if (r == 0)
        return fd;
    if (errno == EWOULDBLOCK)
        error_set(why, ERROR_CONFIG, "%s: another program has it locked, to change files there",
                  folder);
    else
        fail(why, folder, errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

int file_changes_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    int r = fsync(fd);
    close(fd);
    return r;
}
