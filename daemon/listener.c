#define _GNU_SOURCE
#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/paths.h"
#include "daemon/journal.h"

#if !defined SO_PASSRIGHTS && !defined __sparc__ && !defined __hppa__ /* theirs are other numbers  \
                                                                       */
#define SO_PASSRIGHTS 83
#endif

struct listener {
    int fd;
    struct sockaddr_un address; /* empty path: handed over */
    dev_t device;
    ino_t inode;
    sd_event_source *socket_watch, *folder_watch;
};

static bool is_own(const struct listener *l)
{
    return *l->address.sun_path != '\0';
}

/* Whether a daemon listens there. Returns 0 if so, else why not, as errno: ENOENT, ECONNREFUSED of
 * a socket that is left over, or another of one that is none of ours. */
static int find_daemon(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0
                                                                                           : errno;
    if (fd >= 0)
        close(fd);
    return r;
}

/* The lock makes connect, unlink and bind one step: of two daemons that start at once, one
 * serves, and the other sees that. Returns a descriptor whose closing ends it, or -1. */
static int lock(const struct listener *l)
{
    char path[PATHS_SOCKET_MAX + 8];

    snprintf(path, sizeof path, "%s.lock", l->address.sun_path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX) < 0)
        if (errno != EINTR) {
            close(fd);
            return -1;
        }
    return fd;
}

static bool is_at_path(const struct listener *l)
{
    struct stat st;

    return lstat(l->address.sun_path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode;
}

/* What stands in the way of making the socket. Where a dead one lies there, one that nobody can
 * replace is all that matters. */
static int fail(const struct listener *l, const char *path, int number, struct error *why)
{
    struct stat st;

    paths_explain(why, path, number);
    if (lstat(l->address.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        find_daemon(&l->address) == ECONNREFUSED)
        why->code = ERROR_DEAD_SOCKET;
    return -1;
}

static int bind_locked(struct listener *l, struct error *why)
{
    const struct sockaddr *address = (const struct sockaddr *)&l->address;
    struct stat st;

    int found = find_daemon(&l->address);
    if (found == 0) {
        error_set(why, ERROR_RUNNING, "a kubetokend serves %s already", l->address.sun_path);
        return -1;
    }
    if (lstat(l->address.sun_path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        error_set(why, ERROR_NOT_A_SOCKET, "%s is no socket", l->address.sun_path);
        return -1;
    }
    if (found != ENOENT && found != ECONNREFUSED) { /* a datagram socket, for one */
        paths_explain(why, l->address.sun_path, found);
        return -1;
    }
    if (unlink(l->address.sun_path) < 0 && errno != ENOENT) /* it is mounted, say */
        return fail(l, l->address.sun_path, errno, why);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    bool bound = l->fd >= 0 && bind(l->fd, address, sizeof l->address) == 0;
    umask(mask);
    if (!bound || listen(l->fd, SOMAXCONN) < 0 || lstat(l->address.sun_path, &st) < 0) {
        paths_explain(why, l->address.sun_path, errno);
        return -1;
    }
    l->device = st.st_dev;
    l->inode = st.st_ino;
    return 0;
}

static int make(struct listener *l, struct error *why)
{
    char path[PATHS_SOCKET_MAX];

    if (paths_socket(path, why) < 0 || paths_socket_folder(path, why) < 0)
        return -1;
    l->address.sun_family = AF_UNIX;
    memcpy(l->address.sun_path, path, strlen(path) + 1);
    int held = lock(l);
    if (held < 0)
        return fail(l, path, errno, why);
    int r = bind_locked(l, why);
    close(held);
    return r;
}

/* No request brings a descriptor. To close one may take any time (a connection that lingers, a file
 * system that hangs), and it is who takes it that waits. The kernel has that from 6.16 on. */
void listener_refuse_descriptors(int fd)
{
#ifdef SO_PASSRIGHTS
    const int no = 0;

    (void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no);
#else
    (void)fd;
#endif
}

struct listener *listener_open(int handed_over, struct error *why)
{
    struct listener *l = calloc(1, sizeof *l);

    if (!l) {
        error_set(why, ERROR_INTERNAL, "no memory");
        return NULL;
    }
    l->fd = handed_over;
    if (handed_over >= 0)
        fcntl(handed_over, F_SETFL, O_NONBLOCK);
    else if (make(l, why) < 0)
        return listener_close(l);
    listener_refuse_descriptors(l->fd);
    return l;
}

bool listener_is_own(const struct listener *l)
{
    return is_own(l);
}

struct listener *listener_close(struct listener *l)
{
    if (!l)
        return NULL;
    sd_event_source_disable_unref(l->socket_watch);
    sd_event_source_disable_unref(l->folder_watch);
    if (l->inode) { /* of a socket made here */
        int held = lock(l);
        if (is_at_path(l))
            unlink(l->address.sun_path);
        if (held >= 0)
            close(held);
    }
    if (l->fd >= 0)
        close(l->fd);
    free(l);
    return NULL;
}

int listener_take(struct listener *l)
{
    int fd = l->fd;

    l->fd = -1;
    return fd;
}

static int on_change(sd_event_source *source, const struct inotify_event *event, void *context)
{
    const struct listener *l = context;

    (void)event;
    if (is_at_path(l))
        return 0;
    journal_write(LOG_NOTICE, NULL, "socket", "%s is no longer ours; that is the end",
                  l->address.sun_path);
    return sd_event_exit(sd_event_source_get_event(source), 0);
}

int listener_watch(struct listener *l, sd_event *event)
{
    char folder[PATHS_SOCKET_MAX];

    if (!is_own(l))
        return 0;
    memcpy(folder, l->address.sun_path, sizeof folder);
    *strrchr(folder, '/') = '\0';
    /* The socket's link count changes when it is removed or replaced. */
    int r = sd_event_add_inotify(event, &l->socket_watch, l->address.sun_path,
                                 IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF, on_change, l);
    if (r >= 0)
        r = sd_event_add_inotify(event, &l->folder_watch, folder, IN_MOVE_SELF, on_change, l);
    return r < 0 ? r : 0;
}
