#define _GNU_SOURCE
#include "client/admin/kubeconfig_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/admin/yaml_tree.h"
#include "client/output.h"
#include "common/heap.h"

enum { LINKS_MAX = 40, RECORDS_MAX = 10 };

static const char backup_name[] = ".kubetoken-backup-", note_name[] = ".kubetoken-undo-";

int kubeconfig_problem(struct kubeconfig_problem *p, enum error_code code, const char *remedy,
                       const char *format, ...)
{
    char detail[ERROR_DETAIL_MAX + 1];
    va_list ap;

    va_start(ap, format);
    vsnprintf(detail, sizeof detail, format, ap);
    va_end(ap);
    error_set(&p->why, code, "%s", detail);
    snprintf(p->remedy, sizeof p->remedy, "%s", remedy);
    return -1;
}

static int unreadable(struct kubeconfig_problem *p, const char *path, int number)
{
    return kubeconfig_problem(p, ERROR_KUBECONFIG, "see whether it can be read", "%s: %s", path,
                              strerror(number));
}

static int unwritable(struct kubeconfig_problem *p, const char *path, int number)
{
    return kubeconfig_problem(p, ERROR_OUTPUT,
                              "nothing has changed; see whether its folder can be written to, and "
                              "has room",
                              "%s: %s", path, strerror(number));
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Follows links by hand: the last may lead to nothing yet. Returns 0 or a negative errno. */
static int follow(const char *path, char out[PATH_MAX])
{
    char target[PATH_MAX], folder[PATH_MAX];

    if (snprintf(out, PATH_MAX, "%s", path) >= PATH_MAX)
        return -ENAMETOOLONG;
    for (int i = 0; i < LINKS_MAX; i++) {
        ssize_t n = readlink(out, target, sizeof target - 1);
        if (n < 0)
            return errno == EINVAL || errno == ENOENT ? 0 : -errno;
        target[n] = '\0';
        const char *slash = strrchr(out, '/');
        size_t keep = target[0] == '/' || !slash ? 0 : (size_t)(slash - out) + 1;
        memcpy(folder, out, keep);
        folder[keep] = '\0';
        if (keep + (size_t)n >= PATH_MAX)
            return -ENAMETOOLONG;
        memcpy(out, folder, keep);
        memcpy(out + keep, target, (size_t)n + 1);
    }
    return -ELOOP;
}

/* Returns 0 or a negative errno. */
static int read_all(int fd, struct kubeconfig_file *file)
{
    size_t size = (size_t)file->st.st_size + 1;

    file->text = malloc(size + 1);
    if (!file->text)
        return -ENOMEM;
    while (file->length < size) {
        ssize_t n = read(fd, file->text + file->length, size - file->length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        file->length += (size_t)n;
    }
    file->text[file->length] = '\0';
    return file->length < size ? 0 : -EAGAIN; /* it grows */
}

int kubeconfig_file_read(const char *path, struct kubeconfig_file *ret,
                         struct kubeconfig_problem *p)
{
    *ret = (struct kubeconfig_file){ .is_there = false };
    int r = follow(path, ret->real);
    if (r < 0)
        return unreadable(p, path, -r);
    snprintf(ret->path, sizeof ret->path, "%s", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return (ret->text = strdup("")) ? 0 : unreadable(p, path, ENOMEM);
    if (fd < 0)
        return unreadable(p, path, errno);
    ret->is_there = true;
    if (fstat(fd, &ret->st) < 0)
        r = -errno;
    else if (S_ISDIR(ret->st.st_mode))
        r = -EISDIR;
    else if (!S_ISREG(ret->st.st_mode))
        r = -ESPIPE;
    else if (ret->st.st_size > YAML_TREE_KUBECONFIG_MAX)
        r = -EFBIG;
    else
        r = read_all(fd, ret);
    close(fd);
    return r == -ESPIPE ? kubeconfig_problem(p, ERROR_KUBECONFIG, "name a file",
                                             "%s is no regular file", path)
           : r < 0      ? unreadable(p, path, -r)
                        : 0;
}

void kubeconfig_file_free(struct kubeconfig_file *file)
{
    if (file->text)
        explicit_bzero(file->text, file->length);
    free(file->text);
    file->text = NULL;
}

int kubeconfig_file_check(const struct kubeconfig_file *file, bool force,
                          struct kubeconfig_problem *p)
{
    if (!file->is_there)
        return 0;
    if (file->st.st_uid != geteuid() && geteuid() != 0)
        return kubeconfig_problem(
            p, ERROR_KUBECONFIG, "have its owner do it, or name another file by --kubeconfig",
            "%s belongs to uid %ld, and would be yours", file->real, (long)file->st.st_uid);
    if (!(file->st.st_mode & 0222) && !force)
        return kubeconfig_problem(
            p, ERROR_NOT_WRITTEN, "chmod u+w makes it writable; --force does without",
            "%s is read-only (mode %04o)", file->real, file->st.st_mode & 07777);
    if (file->st.st_nlink > 1 && !force)
        return kubeconfig_problem(p, ERROR_NOT_WRITTEN, "with --force they part",
                                  "%s has %ju names (hard links), of which one would change",
                                  file->real, (uintmax_t)file->st.st_nlink);
    return 0;
}

/* ---- client-go's lock ------------------------------------------------------------------------ */

static struct {
    unsigned n;
    char path[KUBECONFIG_LOCKS_MAX][PATH_MAX];
    sigset_t before;
    bool blocks;
} held;

/* Those that a person, a terminal or a system ends a program with. */
static void block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGTSTP);
    signal(SIGXFSZ, SIG_IGN); /* a limit of the size is an error like a full disk */
    sigprocmask(SIG_BLOCK, &set, &held.before);
    held.blocks = true;
}

/* Whether one of them waits to end the program. */
static bool is_interrupted(void)
{
    sigset_t set;

    sigpending(&set);
    return sigismember(&set, SIGINT) || sigismember(&set, SIGTERM) || sigismember(&set, SIGHUP) ||
           sigismember(&set, SIGQUIT);
}

/* The folder of a path, and those that it is in, as client-go makes them. */
static void make_folders(const char *path)
{
    char folder[PATH_MAX];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        mkdir(folder, 0755);
    }
}

/* "3 min" */
static void print_age(const char *path, char *out, size_t size)
{
    struct stat st;
    time_t age = stat(path, &st) < 0 ? 0 : time(NULL) - st.st_mtime;

    if (age < 0)
        age = 0;
    if (age < 120)
        snprintf(out, size, "%ld s", (long)age);
    else if (age < 2 * 3600)
        snprintf(out, size, "%ld min", (long)age / 60);
    else if (age < 2 * 86400)
        snprintf(out, size, "%ld h", (long)age / 3600);
    else
        snprintf(out, size, "%ld days", (long)age / 86400);
}

static int add_lock(const char *path, struct kubeconfig_problem *p)
{
    char *lock = held.path[held.n], age[32];

    if (snprintf(lock, PATH_MAX, "%s.lock", path) >= PATH_MAX)
        return unwritable(p, path, ENAMETOOLONG);
    make_folders(lock);
    int fd = open(lock, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0 && errno != EEXIST)
        return unwritable(p, lock, errno);
    if (fd < 0) {
        print_age(lock, age, sizeof age);
        return kubeconfig_problem(p, ERROR_NOT_WRITTEN,
                                  "try again; remove it if no kubectl config runs any more",
                                  "another program changes it: %s is there, for %s", lock, age);
    }
    close(fd);
    held.n++;
    return 0;
}

int kubeconfig_file_lock(const char *const paths[], unsigned n, struct kubeconfig_problem *p)
{
    int r = 0;

    block_signals();
    for (unsigned i = 0; i < n && i < KUBECONFIG_LOCKS_MAX && r == 0; i++)
        r = add_lock(paths[i], p);
    if (r)
        kubeconfig_file_unlock();
    return r;
}

void kubeconfig_file_unlock(void)
{
    while (held.n > 0)
        unlink(held.path[--held.n]);
    if (held.blocks)
        sigprocmask(SIG_SETMASK, &held.before, NULL); /* what came meanwhile ends us here */
    held.blocks = false;
}

/* ---- records --------------------------------------------------------------------------------- */

/* FNV-1a: against what happens, not against somebody who means it. */
static uint64_t digest(const char *text, size_t length)
{
    uint64_t d = 0xcbf29ce484222325;

    for (size_t i = 0; i < length; i++)
        d = (d ^ (unsigned char)text[i]) * 0x100000001b3;
    return d;
}

/* The folder of the real file; returns its name in it. */
static const char *split(const char *path, char folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(folder, PATH_MAX, ".");
    else
        snprintf(folder, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return slash ? slash + 1 : path;
}

/* Of "config.kubetoken-undo-7" 7; 0: it is none. */
static unsigned number_of(const char *name, const char *base, const char *kind)
{
    size_t length = strlen(base), more = strlen(kind);
    char *end;

    if (strncmp(name, base, length) != 0 || strncmp(name + length, kind, more) != 0)
        return 0;
    const char *digits = name + length + more;
    unsigned long n = *digits >= '1' && *digits <= '9' ? strtoul(digits, &end, 10) : 0;
    return n > 0 && n < 1000000 && !*end ? (unsigned)n : 0;
}

/* The highest number of a record, or of a lone backup where that counts; 0: there is none. */
static unsigned last_number(const char *real, bool backups)
{
    char folder[PATH_MAX];
    const char *base = split(real, folder);
    unsigned last = 0;
    struct dirent *d;

    DIR *dir = opendir(folder);
    while (dir && (d = readdir(dir))) {
        unsigned n = number_of(d->d_name, base, note_name);
        if (n == 0 && backups)
            n = number_of(d->d_name, base, backup_name);
        if (n > last)
            last = n;
    }
    if (dir)
        closedir(dir);
    return last;
}

static int name_record(const char *real, unsigned number, struct kubeconfig_record *ret)
{
    ret->number = number;
    return snprintf(ret->backup, PATH_MAX, "%s%s%u", real, backup_name, number) < PATH_MAX &&
                   snprintf(ret->note, PATH_MAX, "%s%s%u", real, note_name, number) < PATH_MAX
               ? 0
               : -ENAMETOOLONG;
}

bool kubeconfig_file_last(const struct kubeconfig_file *file, struct kubeconfig_record *ret)
{
    unsigned there, number = last_number(file->real, false);

    *ret = (struct kubeconfig_record){ .number = 0 };
    if (number == 0 || name_record(file->real, number, ret) < 0)
        return false;
    FILE *f = fopen(ret->note, "re");
    if (!f)
        return false;
    int n = fscanf(f, "written %" SCNx64 " %zu at %" SCNu64 " was-there %u", &ret->digest,
                   &ret->length, &ret->stamp, &there);
    fclose(f);
    ret->was_there = n == 4 && there;
    return n == 4;
}

bool kubeconfig_file_is_written(const struct kubeconfig_file *file,
                                const struct kubeconfig_record *record)
{
    return file->is_there && file->length == record->length &&
           digest(file->text, file->length) == record->digest;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Writes and syncs a file that is new. Returns 0 or a negative errno. */
static int write_new(int fd, const char *text, size_t length)
{
    int r = output_write(fd, text, length) < 0 || fsync(fd) < 0 ? -errno : 0;
    return close(fd) < 0 && r == 0 ? -errno : r;
}

static int write_private(const char *path, const char *text, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    int r = write_new(fd, text, length);
    if (r < 0)
        unlink(path);
    return r;
}

/* A file beside it with the text, and with its mode and owner. Returns 0 or a negative errno. */
static int write_beside(const struct kubeconfig_file *file, const char *text, size_t length,
                        char beside[PATH_MAX])
{
    char folder[PATH_MAX];
    const char *base = split(file->real, folder);
    struct stat st;

    if (snprintf(beside, PATH_MAX, "%s/.%s.XXXXXX", folder, base) >= PATH_MAX)
        return -ENAMETOOLONG;
    int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = 0;
    if (file->is_there) {
        uid_t uid = file->st.st_uid;
        gid_t gid = file->st.st_gid;
        if (fstat(fd, &st) < 0 ||
            ((st.st_uid != uid || st.st_gid != gid) &&
             fchown(fd, st.st_uid == uid ? (uid_t)-1 : uid, gid) < 0) ||
            fchmod(fd, file->st.st_mode & 07777) < 0)
            r = -errno;
    }
    int written = write_new(fd, text, length);
    r = r ? r : written;
    if (r < 0)
        unlink(beside);
    return r;
}

static void sync_folder(const char *real)
{
    char folder[PATH_MAX];

    split(real, folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* Whether the file is as it was read. */
static bool is_unchanged(const struct kubeconfig_file *file)
{
    struct stat st;

    if (stat(file->real, &st) < 0)
        return errno == ENOENT && !file->is_there;
    return file->is_there && st.st_ino == file->st.st_ino && st.st_dev == file->st.st_dev &&
           st.st_size == file->st.st_size && st.st_mtim.tv_sec == file->st.st_mtim.tv_sec &&
           st.st_mtim.tv_nsec == file->st.st_mtim.tv_nsec;
}

/* The last step: from here on it has happened. Returns 0, or -1 with *p. */
static int take_place(const struct kubeconfig_file *file, const char *beside,
                      struct kubeconfig_problem *p)
{
    int r = 0;

    if (!is_unchanged(file))
        r = kubeconfig_problem(p, ERROR_NOT_WRITTEN, "try again", "%s has just been changed",
                               file->real);
    else if (rename(beside, file->real) < 0)
        r = unwritable(p, file->real, errno);
    if (r < 0)
        unlink(beside);
    else
        sync_folder(file->real);
    return r;
}

/* Keeps what is there, and what is to be. Returns 0 or a negative errno. */
static int keep_record(const struct kubeconfig_file *file, const char *text, size_t length,
                       const struct kubeconfig_record *record)
{
    char note[128];

    int n = snprintf(note, sizeof note, "written %016" PRIx64 " %zu at %" PRIu64 " was-there %d\n",
                     digest(text, length), length, record->stamp, file->is_there);
    int r = file->is_there ? write_private(record->backup, file->text, file->length) : 0;
    if (r < 0)
        return r;
    r = write_private(record->note, note, (size_t)n);
    if (r < 0)
        unlink(record->backup);
    return r;
}

static void forget_record(const struct kubeconfig_record *record)
{
    unlink(record->note);
    unlink(record->backup);
}

static void forget_old(const char *real, unsigned last)
{
    static struct kubeconfig_record old;

    if (last > RECORDS_MAX && name_record(real, last - RECORDS_MAX, &old) == 0)
        forget_record(&old);
}

int kubeconfig_file_write(const struct kubeconfig_file *file, const char *text, size_t length,
                          uint64_t stamp, char ret_backup[PATH_MAX], struct kubeconfig_problem *p)
{
    struct kubeconfig_record record = { .stamp = stamp };
    char beside[PATH_MAX];

    int r = name_record(file->real, last_number(file->real, true) + 1, &record);
    if (r == 0)
        r = write_beside(file, text, length, beside);
    if (r < 0)
        return unwritable(p, file->real, -r);
    r = keep_record(file, text, length, &record);
    if (r < 0) {
        unlink(beside);
        return unwritable(p, record.backup, -r);
    }
    if (heap_lacked()) { /* then what is to be written may lack a part */
        unlink(beside);
        r = unwritable(p, file->path, ENOMEM);
    } else if (is_interrupted()) {
        unlink(beside);
        r = kubeconfig_problem(p, ERROR_INTERRUPTED, "nothing has changed", "%s", file->path);
    } else {
        r = take_place(file, beside, p);
    }
    if (r < 0) {
        forget_record(&record);
        return r;
    }
    forget_old(file->real, record.number);
    snprintf(ret_backup, PATH_MAX, "%s", file->is_there ? record.backup : "");
    return 0;
}

int kubeconfig_file_restore(const struct kubeconfig_file *file,
                            const struct kubeconfig_record *record, struct kubeconfig_problem *p)
{
    struct kubeconfig_file was;
    char beside[PATH_MAX];
    int r = 0;

    if (heap_lacked())
        return unwritable(p, file->path, ENOMEM);
    if (!record->was_there) {
        if (!is_unchanged(file) || unlink(file->real) < 0)
            return unwritable(p, file->real, errno);
    } else {
        r = kubeconfig_file_read(record->backup, &was, p);
        if (r == 0 && !was.is_there)
            r = unreadable(p, record->backup, ENOENT);
        if (r == 0 && (r = write_beside(file, was.text, was.length, beside)) < 0)
            r = unwritable(p, file->real, -r);
        kubeconfig_file_free(&was);
        if (r == 0)
            r = take_place(file, beside, p);
    }
    if (r == 0)
        forget_record(record);
    return r;
}
