/*
 * Preloaded into a program, it fails one of its allocations or system calls: the one that a test
 * names by number, in a page that both have mapped (the file that KUBETOKEN_TEST_FAILING names).
 * Whoever calls counts: the program, libsystemd, cJSON, libcurl, and libc for what it asks malloc()
 * for. What a child does between fork() and exec() does not count.
 *
 * One thing is not seen: a system call that libc makes for itself, inside fopen() say.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ALLOCATION, SYSTEM_CALL, KINDS, FRAMES = 16 };

/* As failing.py has it. */
struct control {
    int32_t pid;     /* who counts: the first program that finds 0 here */
    uint32_t choice; /* which of its errors a system call fails with */
    uint64_t counted[KINDS];
    uint64_t first[KINDS], last[KINDS]; /* the calls that fail; 0: none */
    uint32_t fired;
    int32_t error;
    char name[32];
    uint32_t waiting;        /* for what comes next */
    uint32_t held;           /* what has come is looked at when this is 0 again */
    uint64_t frames[FRAMES]; /* who made the call that failed first */
    char by[32];             /* the library among them that is nearest; "" = none */
};

static struct control nowhere, *control = &nowhere;
static volatile bool inside; /* backtrace() may allocate */
static pid_t self;

__attribute__((constructor)) static void map(void)
{
    const char *path = getenv("KUBETOKEN_TEST_FAILING");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *frames[1];

    if (fd < 0)
        return;
    backtrace(frames, 1); /* loads what it needs */
    void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED || ((struct control *)page)->pid != 0)
        return;
    control = page;
    control->pid = self = getpid();
}

/* libc calls for others, and we are called by all. */
static void note_library(const void *address)
{
    Dl_info info;

    if (dladdr(address, &info) == 0 || !strstr(info.dli_fname, ".so"))
        return;
    const char *slash = strrchr(info.dli_fname, '/'), *name = slash ? slash + 1 : info.dli_fname;
    if (strcmp(name, "failing.so") != 0 && strncmp(name, "libc.so", 7) != 0)
        strncpy(control->by, name, sizeof control->by - 1);
}

static void note(const char *name, int error)
{
    void *frames[FRAMES + 2];

    if (control->fired++ > 0)
        return;
    inside = true;
    int n = backtrace(frames, FRAMES + 2);
    inside = false;
    for (int i = 2; i < n; i++)
        control->frames[i - 2] = (uintptr_t)frames[i];
    for (int i = 2; i < n && !*control->by; i++)
        note_library(frames[i]);
    control->error = error;
    strncpy(control->name, name, sizeof control->name - 1);
}

static bool is_due(int kind)
{
    if (control->pid == 0 || inside || self == 0)
        return false;
    uint64_t n = ++control->counted[kind];
    return n >= control->first[kind] && n <= control->last[kind];
}

static bool fails(const char *name)
{
    if (!is_due(ALLOCATION))
        return false;
    note(name, ENOMEM);
    errno = ENOMEM;
    return true;
}

/* Whether this one fails, with errno set to one of the errors, which a 0 ends. A choice beyond them
 * fails nothing. */
static bool fails_with(const char *name, const int *errors)
{
    if (!is_due(SYSTEM_CALL))
        return false;
    for (uint32_t i = 0; i < control->choice; i++)
        if (*errors++ == 0)
            return false;
    if (*errors == 0)
        return false;
    note(name, *errors);
    errno = *errors;
    return true;
}

static void *real(const char *name)
{
    inside = true;
    void *function = dlsym(RTLD_NEXT, name);
    inside = false;
    return function;
}

/* --- allocations ----------------------------------------------------------------------------- */

/* What dlsym() asks for before malloc() is found; never given back. */
static _Alignas(16) char early[16 * 1024];
static size_t early_used;

static void *early_take(size_t size)
{
    size_t need = (size + 15) & ~(size_t)15;

    if (need > sizeof early - early_used)
        return NULL;
    early_used += need;
    return early + early_used - need;
}

static bool is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof early;
}

/* Volatile, since glibc calls dlsym() a leaf, and yet it frees. */
#define FIND(name)                                                                                 \
    static __typeof__(name) *next;                                                                 \
    static volatile bool looking;                                                                  \
    if (!next && !looking) {                                                                       \
        looking = true;                                                                            \
        next = real(#name);                                                                        \
        looking = false;                                                                           \
    }

void *malloc(size_t size)
{
    FIND(malloc)
    if (!next)
        return early_take(size);
    return fails("malloc") ? NULL : next(size);
}

void *calloc(size_t n, size_t size)
{
    FIND(calloc)
    if (!next)
        return early_take(n * size);
    return fails("calloc") ? NULL : next(n, size);
}

void *realloc(void *p, size_t size)
{
    FIND(realloc)
    if (is_early(p) || !next)
        return NULL;
    return fails("realloc") ? NULL : next(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
    size_t whole;

    if (__builtin_mul_overflow(n, size, &whole)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, whole);
}

void free(void *p)
{
    FIND(free)
    if (next && !is_early(p))
        next(p);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    FIND(posix_memalign)
    return fails("posix_memalign") ? ENOMEM : next(ret, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    FIND(aligned_alloc)
    return fails("aligned_alloc") ? NULL : next(alignment, size);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    FIND(mmap)
    return fails("mmap") ? MAP_FAILED : next(at, length, protection, flags, fd, offset);
}

int memfd_create(const char *name, unsigned flags)
{
    FIND(memfd_create)
    return fails("memfd_create") ? -1 : next(name, flags);
}

/* ---- system calls ------------------------------------------------------------------------- */

#define CALL(type, name, parameters, arguments, ...)                                               \
    type name parameters                                                                           \
    {                                                                                              \
        static const int errors[] = { __VA_ARGS__, 0 };                                            \
        FIND(name)                                                                                 \
        return fails_with(#name, errors) ? (type)-1 : next arguments;                              \
    }

CALL(int, epoll_create1, (int flags), (flags), EMFILE, ENOMEM)
/* To take one out never fails: it needs nothing. */
int epoll_ctl(int e, int what, int fd, struct epoll_event *event)
{
    static const int errors[] = { ENOMEM, ENOSPC, 0 };
    FIND(epoll_ctl)
    bool fails = what != EPOLL_CTL_DEL && fails_with("epoll_ctl", errors);
    return fails ? -1 : next(e, what, fd, event);
}

CALL(int, accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags),
     (fd, address, size, flags), EMFILE, ENOMEM, ECONNABORTED, EINTR)
CALL(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags), EINTR,
     ECONNRESET, ENOMEM)
CALL(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), EINTR,
     ENOBUFS)
CALL(ssize_t, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags),
     EINTR, EPIPE, ENOBUFS)
CALL(ssize_t, sendto,
     (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to,
      socklen_t length),
     (fd, bytes, size, flags, to, length), EINTR, ENOBUFS)
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
     EINTR, ENOBUFS, EPIPE)
CALL(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), EINTR, ENOSPC)
CALL(ssize_t, pread, (int fd, void *bytes, size_t size, off_t at), (fd, bytes, size, at), EINTR)
CALL(int, socket, (int family, int type, int protocol), (family, type, protocol), EMFILE, ENOBUFS)
CALL(int, socketpair, (int family, int type, int protocol, int pair[2]),
     (family, type, protocol, pair), EMFILE, ENFILE, ENOMEM)
CALL(int, bind, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size),
     EADDRINUSE, EACCES)
CALL(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size),
     ECONNREFUSED, EINTR)
CALL(int, listen, (int fd, int backlog), (fd, backlog), EADDRINUSE)
CALL(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *size),
     (fd, level, name, value, size), ENOBUFS)
CALL(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size),
     (fd, level, name, value, size), ENOMEM)
CALL(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), EINTR)
CALL(int, timerfd_create, (int clock, int flags), (clock, flags), EMFILE, ENOMEM)
CALL(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), EMFILE, ENOMEM)
CALL(int, inotify_init1, (int flags), (flags), EMFILE, ENOMEM)
CALL(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask), ENOSPC,
     ENOMEM, ENOENT)
CALL(int, mlock, (const void *at, size_t length), (at, length), ENOMEM, EPERM)
CALL(int, madvise, (void *at, size_t length, int advice), (at, length, advice), EAGAIN, EINVAL)
CALL(int, ftruncate, (int fd, off_t length), (fd, length), EINTR, ENOMEM)
CALL(int, flock, (int fd, int how), (fd, how), EINTR, ENOLCK)
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), ENOSPC, EACCES)
CALL(int, unlink, (const char *path), (path), EACCES)
CALL(ssize_t, readlink, (const char *path, char *out, size_t size), (path, out, size), ENOMEM)
CALL(int, fstat, (int fd, struct stat *st), (fd, st), ENOMEM)
CALL(int, stat, (const char *path, struct stat *st), (path, st), ENOMEM)
CALL(int, lstat, (const char *path, struct stat *st), (path, st), ENOMEM)
CALL(int, fstatat, (int fd, const char *path, struct stat *st, int flags), (fd, path, st, flags),
     ENOMEM)
CALL(int, faccessat, (int fd, const char *path, int mode, int flags), (fd, path, mode, flags),
     ENOMEM)
CALL(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options),
     EINTR)
CALL(int, pipe2, (int pair[2], int flags), (pair, flags), EMFILE, ENFILE)
CALL(int, rename, (const char *from, const char *to), (from, to), ENOSPC, EACCES)
CALL(int, inotify_rm_watch, (int fd, int watch), (fd, watch), EINVAL)
CALL(int, poll, (struct pollfd * fds, nfds_t n, int timeout), (fds, n, timeout), EINTR, ENOMEM)
/* libc has the flags right: without GRND_NONBLOCK it waits. */
CALL(ssize_t, getrandom, (void *bytes, size_t size, unsigned flags), (bytes, size, flags), EINTR)

/* A loop with nothing left to do says so: a test need not guess. */
int epoll_wait(int e, struct epoll_event *events, int most, int timeout)
{
    static const int errors[] = { EINTR, 0 };
    FIND(epoll_wait)
    if (fails_with("epoll_wait", errors))
        return -1;
    __atomic_store_n(&control->waiting, timeout != 0, __ATOMIC_SEQ_CST);
    int n = next(e, events, most, timeout);
    while (__atomic_load_n(&control->held, __ATOMIC_SEQ_CST))
        usleep(100);
    __atomic_store_n(&control->waiting, 0, __ATOMIC_SEQ_CST);
    return n;
}

/* Fortified sources call these. */
ssize_t read(int fd, void *bytes, size_t size)
{
    static const int errors[] = { EINTR, 0 };
    FIND(read)
    return fails_with("read", errors) ? -1 : next(fd, bytes, size);
}

extern ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room);
ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room)
{
    return size <= room ? read(fd, bytes, size) : (abort(), -1);
}

extern ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags);
ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags)
{
    return size <= room ? recv(fd, bytes, size, flags) : (abort(), -1);
}

extern ssize_t __readlink_chk(const char *path, char *out, size_t size, size_t room);
ssize_t __readlink_chk(const char *path, char *out, size_t size, size_t room)
{
    return size <= room ? readlink(path, out, size) : (abort(), -1);
}

/* The child is on its own until it becomes another program. */
pid_t fork(void)
{
    static const int errors[] = { EAGAIN, ENOMEM, 0 };
    FIND(fork)
    if (fails_with("fork", errors))
        return -1;
    pid_t pid = next();
    if (pid == 0)
        self = 0;
    return pid;
}

#define OPEN(name, parameters, path_arguments, flags)                                              \
    int name parameters                                                                            \
    {                                                                                              \
        static const int errors[] = { EMFILE, ENOMEM, 0 };                                         \
        va_list more;                                                                              \
        mode_t mode = 0;                                                                           \
        FIND(name)                                                                                 \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                     \
            va_start(more, flags);                                                                 \
            mode = (mode_t)va_arg(more, int);                                                      \
            va_end(more);                                                                          \
        }                                                                                          \
        return fails_with(#name, errors) ? -1 : next path_arguments;                               \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode), flags)
OPEN(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode), flags)

extern int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open(path, flags);
}

extern int __openat_2(int folder, const char *path, int flags);
int __openat_2(int folder, const char *path, int flags)
{
    return openat(folder, path, flags);
}

int fcntl(int fd, int what, ...)
{
    static const int errors[] = { EMFILE, 0 };
    va_list more;
    FIND(fcntl)

    va_start(more, what);
    void *argument = va_arg(more, void *);
    va_end(more);
    if ((what == F_DUPFD_CLOEXEC || what == F_DUPFD) && fails_with("fcntl", errors))
        return -1;
    return next(fd, what, argument);
}

/* libsystemd has the names for large files; on machines of 64 bits they are the same. */
#define ALSO(name, like) __asm__(".globl " #name "\n.set " #name ", " #like);
ALSO(mmap64, mmap)
ALSO(ftruncate64, ftruncate)
ALSO(fstat64, fstat)
ALSO(stat64, stat)
ALSO(lstat64, lstat)
ALSO(fstatat64, fstatat)
ALSO(open64, open)
ALSO(openat64, openat)
ALSO(__open64_2, __open_2)
ALSO(__openat64_2, __openat_2)
ALSO(fcntl64, fcntl)
