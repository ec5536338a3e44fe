#define _GNU_SOURCE
#include "common/trusted_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/owner.h"
#include "common/trusted_group.h"

enum { LINKS_MAX = 40 }; /* as the kernel follows, path_resolution(7) */
/* An error has room for one longer path: half of it behind chmod would be another file. */
enum { NAMED_TWICE_MOST = 60 };

/* ---- what is wrong ----------------------------------------------------------------------------*/

static int fail(struct trusted_fault *fault, int number)
{
    fault->number = number;
    return -1;
}

__attribute__((format(printf, 4, 5))) static int
blame(struct trusted_fault *fault, const char *kind, const char *path, const char *format, ...)
{
    va_list ap;

    fault->number = 0;
    fault->kind = kind;
    snprintf(fault->path, sizeof fault->path, "%s", *path ? path : "/");
    va_start(ap, format);
    vsnprintf(fault->text, sizeof fault->text, format, ap);
    va_end(ap);
    return -1;
}

void trusted_path_tell(const struct trusted_fault *fault, char *out, size_t size)
{
    snprintf(out, size, "%s%s %s", fault->kind, fault->path, fault->text);
}

/* Its owner. unknown: whether one of whom nobody can tell is taken for root. */
static int judge_owner(const struct stat *st, bool unknown, const char *kind, const char *path,
                       struct trusted_fault *fault)
{
    if (owner_is_ours(st->st_uid) || (unknown && owner_is_unknown(st->st_uid)))
        return 0;
    return blame(fault, kind, path, "belongs to %s; %s", owner_name(st->st_uid),
                 owner_is_unknown(st->st_uid) ? "only what is yours is taken there"
                                              : "it has to be yours or root's");
}

/* Who can write it. */
static int judge_mode(int fd, const struct stat *st, const char *kind, const char *path,
                      struct trusted_fault *fault)
{
    const char *what = strlen(path) > NAMED_TWICE_MOST ? "it" : path;
    const char *quote = strpbrk(what, " \t") ? "'" : "";
    const char *by = st->st_uid == geteuid() ? "" : "have root say: ";
    char group[TRUSTED_GROUP_BY] = "";
    bool all = (st->st_mode & S_IWOTH) != 0;
    /* of what root has in a user namespace the groups are as unknown */
    bool known = !owner_is_unknown(st->st_uid);

    if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0)
        return 0;
    if (!all && !(known && trusted_group_lets_in(fd, st, group)))
        return 0;
    return blame(fault, kind, path, "can be written by others (mode %03o%s); %schmod %s %s%s%s",
                 (unsigned)st->st_mode & 07777, group, by,
                 (st->st_mode & S_IWGRP) == 0 ? "o-w" : "go-w", quote, what, quote);
}

/* ---- the way ----------------------------------------------------------------------------------*/

struct walk {
    int fd;               /* the folder that it has come to */
    char at[PATHS_MAX];   /* the path of that, without links; "" for / */
    char rest[PATHS_MAX]; /* what is still to go */
    unsigned links;       /* that were followed */
    struct trusted_fault *fault;
};

/* Goes into the folder; takes over the descriptor. */
static int enter(struct walk *w, int fd, const struct stat *st)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = fd;
    if (judge_owner(st, true, "the folder ", *w->at ? w->at : "/", w->fault) < 0)
        return -1;
    return judge_mode(fd, st, "the folder ", *w->at ? w->at : "/", w->fault);
}

static int enter_root(struct walk *w)
{
    struct stat st;
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    *w->at = '\0';
    if (fd >= 0 && fstat(fd, &st) == 0)
        return enter(w, fd, &st);
    if (fd >= 0)
        close(fd);
    return fail(w->fault, errno);
}

/* Takes the next name off what is still to go; "": there is none. */
static int next_name(struct walk *w, char name[NAME_MAX + 1])
{
    const char *begin = w->rest + strspn(w->rest, "/");
    size_t length = strcspn(begin, "/");

    if (length > NAME_MAX)
        return fail(w->fault, ENAMETOOLONG);
    memcpy(name, begin, length);
    name[length] = '\0';
    memmove(w->rest, begin + length, strlen(begin + length) + 1);
    return 0;
}

static bool is_last(const struct walk *w)
{
    return w->rest[strspn(w->rest, "/")] == '\0';
}

/* The path of what is called so in the folder that it has come to. */
static int path_of(const struct walk *w, const char *name, char out[PATHS_MAX])
{
    int n = snprintf(out, PATHS_MAX, "%s/%s", w->at, name);

    return n > 0 && n < PATHS_MAX ? 0 : fail(w->fault, ENAMETOOLONG);
}

static int follow(struct walk *w, int fd, const struct stat *st, const char *name)
{
    char target[PATHS_MAX], path[PATHS_MAX];

    if (path_of(w, name, path) < 0 || judge_owner(st, true, "the link ", path, w->fault) < 0)
        return -1;
    if (++w->links > LINKS_MAX)
        return fail(w->fault, ELOOP);
    ssize_t n = readlinkat(fd, "", target, sizeof target - 1);
    if (n < 0)
        return fail(w->fault, errno);
    target[n] = '\0';
    int length = snprintf(path, sizeof path, "%s%s%s", target, is_last(w) ? "" : "/", w->rest);
    if (length < 0 || (size_t)length >= sizeof path)
        return fail(w->fault, ENAMETOOLONG);
    memcpy(w->rest, path, (size_t)length + 1);
    return *target == '/' ? enter_root(w) : 0;
}

static int go_up(struct walk *w)
{
    struct stat st;
    int fd = openat(w->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *slash = strrchr(w->at, '/');

    if (slash)
        *slash = '\0';
    if (fd >= 0 && fstat(fd, &st) == 0)
        return enter(w, fd, &st);
    if (fd >= 0)
        close(fd);
    return fail(w->fault, errno);
}

/* One step. Returns 0, or 1 where the name is that of the file at the end, or -1. */
static int step(struct walk *w, const char *name)
{
    char path[PATHS_MAX];
    struct stat st;

    if (strcmp(name, ".") == 0)
        return 0;
    if (strcmp(name, "..") == 0)
        return go_up(w);
    int fd = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 || fstat(fd, &st) < 0 ? fail(w->fault, errno) : path_of(w, name, path);
    if (r == 0 && S_ISDIR(st.st_mode)) {
        memcpy(w->at, path, sizeof path);
        return enter(w, fd, &st);
    }
    if (r == 0 && S_ISLNK(st.st_mode))
        r = follow(w, fd, &st, name);
    else if (r == 0)
        r = is_last(w) ? 1 : fail(w->fault, ENOTDIR);
    if (fd >= 0)
        close(fd);
    return r;
}

/* From / to where the path leads. Returns 1 and the name of the file in the folder that it has come
 * to; 0 where it is that folder; -1. */
static int go(struct walk *w, char name[NAME_MAX + 1])
{
    int r = enter_root(w);

    while (r == 0 && (r = next_name(w, name)) == 0 && *name)
        r = step(w, name);
    return r;
}

/* A relative path counts from where this process is. */
static int set_out(struct walk *w, const char *path, struct trusted_fault *fault)
{
    char here[PATHS_MAX];

    w->fd = -1;
    w->links = 0;
    w->fault = fault;
    *here = '\0';
    *fault = (struct trusted_fault){ .kind = "" };
    if (*path != '/' && !getcwd(here, sizeof here))
        return fail(fault, errno);
    int n = snprintf(w->rest, sizeof w->rest, "%s/%s", here, path);
    return n > 0 && (size_t)n < sizeof w->rest ? 0 : fail(fault, ENAMETOOLONG);
}

/* Below /etc and /usr there is nothing that root has not put there. */
static bool is_system(const char *path)
{
    return strncmp(path, "/etc/", 5) == 0 || strncmp(path, "/usr/", 5) == 0;
}

static int judge_file(int fd, const char *path, enum trusted_use use, struct trusted_fault *fault)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail(fault, errno);
    if (!S_ISREG(st.st_mode))
        return blame(fault, "", path, "is not a regular file");
    if (judge_owner(&st, use == TRUSTED_SYSTEM && is_system(path), "", path, fault) < 0)
        return -1;
    return judge_mode(fd, &st, "", path, fault);
}

int trusted_path_judge(int fd, const char *path, enum trusted_use use, struct trusted_fault *fault)
{
    *fault = (struct trusted_fault){ .kind = "" };
    return judge_file(fd, path, use, fault);
}

/* Goes there, opens what is there with these flags, and judges it where that is wanted. */
static int reach(const char *path, int flags, const enum trusted_use *use,
                 struct trusted_fault *fault)
{
    char name[NAME_MAX + 1], whole[PATHS_MAX];
    struct walk w;
    struct stat st;
    int fd = -1, r = set_out(&w, path, fault);

    if (r == 0)
        r = go(&w, name);
    if (r == 0)
        r = blame(fault, "", path, "is not a regular file");
    if (r == 1 && path_of(&w, name, whole) == 0) {
        /* a device may do something when it is opened: what it is, is looked at before */
        if (fstatat(w.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
            blame(fault, "", path, "is not a regular file");
        else if ((fd = openat(w.fd, name, flags | O_NOFOLLOW | O_CLOEXEC)) < 0)
            fail(fault, errno);
    }
    if (fd >= 0 && use && judge_file(fd, whole, *use, fault) < 0) {
        close(fd);
        fd = -1;
    }
    if (w.fd >= 0)
        close(w.fd);
    return fd;
}

int trusted_path_open(const char *path, struct trusted_fault *fault)
{
    return reach(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, NULL, fault);
}

int trusted_path_check(const char *path, enum trusted_use use, struct trusted_fault *fault)
{
    int fd = reach(path, O_PATH, &use, fault);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}
