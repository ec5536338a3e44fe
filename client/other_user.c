#define _GNU_SOURCE
#include "client/other_user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/paths.h"
#include "common/text.h"
#include "common/time.h"

/* Where a socket may be: each name, which is not to be a link, is in the one before it. */
struct place {
    const char *root; /* where no user can change anything but what is his */
    const char *names[4];
};

static int parse_uid(const char *text, uid_t *ret)
{
    uint64_t uid = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9' && uid < UINT32_MAX; at++)
        uid = uid * 10 + (uint64_t)(*at - '0');
    if (at == text || *at || uid >= UINT32_MAX)
        return -1;
    *ret = (uid_t)uid;
    return 0;
}

/* number: an errno. */
static int fail(struct error *why, const char *path, int number)
{
    const char *what = number == EPERM    ? " is a link, or belongs to another user"
                       : number == ENOENT ? " is not there"
                       : number == ENXIO  ? " is systemd's, which has not started it yet"
                                          : NULL;

    error_set(why, ERROR_OTHER_DAEMON, "%s%s%s", path, what ? what : ": ",
              what ? "" : strerror(number));
    return -1;
}

/* What is that user's in a folder, without a step aside: what he has linked to may be another's,
 * who would have a visit of root's. Returns a descriptor that leads to it, or -1 with errno. */
static int enter(int folder, const char *name, uid_t uid)
{
    struct stat st;
    int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_uid != uid || S_ISLNK(st.st_mode))) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    return fd;
}

static bool is_in(int folder, const char *name)
{
    struct stat st;

    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whether to connect would have the user's systemd start a daemon; the same as
 * autostart_would_wake(), but that nobody can tell what the user has enabled. */
static bool would_wake(int runtime)
{
    return is_in(runtime, "systemd/private") &&
           !is_in(runtime, "systemd/units/invocation:kubetoken.service") &&
           (is_in(runtime, "systemd/units/invocation:kubetoken.socket") ||
            !is_in(runtime, "kubetoken/socket.lock"));
}

/* Returns as enter(). *ret_wakes: it is there, and nobody to answer. */
static int walk(const struct place *place, uid_t uid, bool *ret_wakes)
{
    int folder = open(place->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; folder >= 0 && place->names[i]; i++) {
        int next = enter(folder, place->names[i], uid), number = errno;
        if (i == 1 && next >= 0) /* the first is the runtime directory */
            *ret_wakes = would_wake(folder);
        close(folder);
        errno = number;
        folder = next;
    }
    return folder;
}

/* By the descriptor, so that it is what was looked at. Returns a connection, or -1 with errno. */
static int connect_to(int place, uint64_t timeout)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const struct timeval t = { (time_t)(timeout / USEC_PER_SEC),
                               (suseconds_t)(timeout % USEC_PER_SEC) };
    char digits[TEXT_DECIMAL_SIZE];

    text_join(address.sun_path, sizeof address.sun_path, "/proc/self/fd/",
              text_decimal(digits, (uint64_t)place), "");
    int fd = descriptor_raise(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return fd;
    int number = errno;
    if (fd >= 0)
        close(fd);
    errno = number;
    return -1;
}

/* A socket that is his may have been made by another, who listens. */
static int check_peer(int fd, uid_t uid, const char *path, struct error *why)
{
    struct ucred peer = { .uid = (uid_t)-1 };
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == uid)
        return fd;
    close(fd);
    error_set(why, ERROR_OTHER_DAEMON, "%s is served by uid %u, and was asked for that of uid %u",
              path, (unsigned)peer.uid, (unsigned)uid);
    return -1;
}

/* Returns a connection, or -1 with *why; *ret_gone: there is nothing. */
static int visit(const struct place *place, const char *path, uid_t uid, uint64_t timeout,
                 bool *ret_gone, struct error *why)
{
    bool wakes = false;
    int socket = walk(place, uid, &wakes);

    *ret_gone = socket < 0 && errno == ENOENT;
    if (socket < 0)
        return fail(why, path, errno);
    int fd = wakes ? -1 : connect_to(socket, timeout), number = wakes ? ENXIO : errno;
    close(socket);
    return fd < 0 ? fail(why, path, number) : check_peer(fd, uid, path, why);
}

/* Where no variable names it. The second place is for want of the first. */
static int find(const char *uid_digits, uid_t uid, uint64_t timeout, struct error *why)
{
    char name[64], path[PATHS_SOCKET_MAX];
    struct place runtime = { "/run/user", { uid_digits, "kubetoken", "socket" } };
    struct place fallback = { "/tmp", { name, "socket" } };
    struct error ignored;
    bool gone;

    text_join(path, sizeof path, "/run/user/", uid_digits, "/kubetoken/socket");
    int fd = visit(&runtime, path, uid, timeout, &gone, why);
    if (fd >= 0 || !gone)
        return fd;
    text_join(name, sizeof name, "kubetoken-", uid_digits, "");
    text_join(path, sizeof path, "/tmp/", name, "/socket");
    fd = visit(&fallback, path, uid, timeout, &gone, &ignored);
    if (fd < 0 && !gone)
        *why = ignored;
    return fd;
}

int other_user_connect(const char *uid_text, uint64_t timeout, struct error *why)
{
    const char *named = paths_variable("KUBETOKEN_SOCKET");
    char digits[TEXT_DECIMAL_SIZE];
    bool ignored;
    uid_t uid;

    if (parse_uid(uid_text, &uid) < 0) {
        error_set(why, ERROR_USAGE, "--uid %s is no user's number, which id -u tells", uid_text);
        return -1;
    }
    if (geteuid() != 0) {
        error_set(why, ERROR_USAGE, "--uid is for root, and this is uid %u", (unsigned)geteuid());
        return -1;
    }
    if (!named || !*named)
        return find(text_decimal(digits, uid), uid, timeout, why);
    struct place place = { "/", { named } };
    return visit(&place, named, uid, timeout, &ignored, why);
}

void other_user_clean(char *to, const char *from, size_t length, unsigned char *last)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)from[i];
        bool control = (c < 0x20 && c != '\n') || c == 0x7f ||
                       (*last == 0xc2 && c >= 0x80 && c < 0xa0); /* C1 controls in UTF-8 */
        *last = c;
        to[i] = control ? '?' : from[i];
    }
}
