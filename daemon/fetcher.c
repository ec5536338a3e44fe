#define _GNU_SOURCE
#include "daemon/fetcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/time.h"
#include "common/tlv.h"
#include "daemon/offspring.h"

/* What steps and most results fit into; a longer record has memory of its own length. */
enum { USUAL = 16 * 1024 };

struct fetcher {
    struct child *child;
    int fd;      /* its socket */
    bool closed; /* at its side */
    uint64_t started;
    struct step step;
    bool sent_grant;
    struct secret *in;
    size_t used;  /* of `in` */
    size_t total; /* bytes that it has sent */
};

/* Of the last one, whoever's it was. */
static struct protections last_protections;

const struct protections *fetcher_protections(void)
{
    return &last_protections;
}

int fetcher_open(const char *path)
{
    /* one that is there and cannot be run, while it is being installed, is looked at again */
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return -errno;
    int fd = open(path, O_PATH | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int fetcher_find(struct fetcher_program *p, struct error *why)
{
    const char *const places[] = { p->beside, p->installed };
    int cause = ENOENT;

    for (size_t i = 0; p->fd < 0 && i < sizeof places / sizeof *places; i++) {
        if (!places[i] || !*places[i])
            continue;
        p->fd = fetcher_open(places[i]);
        if (p->fd < 0 && cause != ENOENT)
            continue; /* the first place has said more */
        cause = -p->fd;
        snprintf(p->path, sizeof p->path, "%s", places[i]);
    }
    if (p->fd >= 0)
        return p->fd;
    error_set(why, ERROR_FETCHER, "%s: %s", p->path, strerror(cause));
    return -1;
}

bool fetcher_is_current(int program, const char *path)
{
    struct stat opened, there;

    return fstat(program, &opened) == 0 && stat(path, &there) == 0 &&
           opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

/* Between fork and exec: async-signal-safe calls only. */
static _Noreturn void become_fetcher(int program, int job, pid_t parent)
{
    static char name[] = "kubetoken-fetch";
    static char *const argv[] = { name, NULL };
    static char *const no_environment[] = { NULL };
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before we asked to be told */
        _exit(127);
    setpgid(0, 0); /* by which it is known: it cannot leave it */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (dup2(job, 0) < 0)
        _exit(127);
    close(job); /* there may be no other number left */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 1) < 0)
        _exit(127);
    syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    syscall(SYS_execveat, program, "", argv, no_environment, AT_EMPTY_PATH);
    _exit(127);
}

/* The whole job goes into the socket's buffer at once, before anybody reads: no state to
 * keep for a half-written one. */
static int send_job(int fd, const struct secret *job)
{
    int room = 4 * JOB_MAX;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    ssize_t n = send(fd, secret_peek(job), secret_length(job), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    return (size_t)n == secret_length(job) ? 0 : -EMSGSIZE;
}

/* Returns 0 or -errno. */
static int start_process(struct fetcher *f, int program, const struct secret *job)
{
    pid_t parent = getpid(), pid;
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    f->fd = pair[0];
    r = send_job(pair[0], job);
    if (r == 0 && (pid = child_fork(f->child)) <= 0) {
        if (pid == 0)
            become_fetcher(program, pair[1], parent);
        r = (int)pid;
    } else if (r == 0) {
        offspring_add(pid);
    }
    close(pair[1]);
    return r;
}

int fetcher_start(struct children *children, int program, const char *profile,
                  const struct secret *job, struct fetcher **ret, struct error *why)
{
    struct fetcher *f = calloc(1, sizeof *f);
    int r;

    if (!f || !(f->in = secret_new(USUAL))) {
        free(f);
        error_set(why, ERROR_INTERNAL, "no memory for a request");
        return -1;
    }
    f->fd = -1;
    f->started = time_boottime();
    f->child = child_prepare(children, "kubetoken-fetch", profile, why);
    if (f->child && (r = start_process(f, program, job)) < 0)
        child_no_start(why, ERROR_FETCHER, "", -r);
    if (!f->child || r < 0) {
        fetcher_free(f);
        return -1;
    }
    *ret = f;
    return 0;
}

struct fetcher *fetcher_free(struct fetcher *f)
{
    if (!f)
        return NULL;
    child_free(f->child);
    if (f->fd >= 0)
        close(f->fd);
    secret_free(f->in);
    free(f);
    return NULL;
}

int fetcher_fd(const struct fetcher *f)
{
    return f->closed ? child_pidfd(f->child) : f->fd;
}

bool fetcher_sent_grant(const struct fetcher *f)
{
    return f->sent_grant;
}

const struct step *fetcher_step(const struct fetcher *f)
{
    return &f->step;
}

void fetcher_where(const struct fetcher *f, char *out, size_t size)
{
    static const struct {
        const char *name, *words;
    } steps[] = {
        { "dns", "resolving" },
        { "connect", "connecting to" },
        { "tls", "in TLS with" },
        { "discovery", "waiting for the discovery document of" },
        { "keys", "waiting for the keys of" },
        { "grant", "waiting for a token from" },
        { "verify", "verifying the token of" },
        { "device", "waiting for a code from" },
        { "revoke", "revoking the refresh token at" },
    };

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (strcmp(f->step.name, steps[i].name) == 0) {
            snprintf(out, size, "%s %s", steps[i].words, f->step.host);
            return;
        }
    snprintf(out, size, "starting kubetoken-fetch");
}

static void describe_end(const struct fetcher *f, int status, struct error *why)
{
    char where[320];

    fetcher_where(f, where, sizeof where);
    if (status == -1)
        error_set(why, ERROR_FETCHER, "it ended without a result, %s", where);
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        error_set(why, ERROR_FETCHER, "it could not be started");
    else if (WIFEXITED(status))
        error_set(why, ERROR_FETCHER, "it ended with status %d without a result, %s",
                  WEXITSTATUS(status), where);
    else
        error_set(why, ERROR_FETCHER, "it was killed by signal %d, %s", WTERMSIG(status), where);
}

/* Nothing more will come: how it ended, once it has. */
static int read_end(struct fetcher *f, struct error *why)
{
    int status;

    f->closed = true;
    child_kill(f->child); /* changes nothing for one that is on its way out */
    if (!child_has_ended(f->child, &status))
        return 0;
    describe_end(f, status, why);
    return -1;
}

/* Takes all whole records that have come. */
static int take_records(struct fetcher *f, struct result *ret, struct error *why)
{
    for (;;) {
        size_t used = 0;
        int r = result_next(secret_peek(f->in) + f->used, secret_length(f->in) - f->used,
                            f->started, time_boottime(), &f->step, ret, &used);
        if (r == 2) {
            last_protections = ret->protections;
            return 1;
        }
        if (r == 0)
            return 0;
        if (r < 0) {
            error_set(why, ERROR_FETCHER, "what it sent cannot be believed");
            return -1;
        }
        f->used += used;
        f->sent_grant |= strcmp(f->step.name, "grant") == 0;
    }
}

/* Sees to it that the record which has begun finds room. What was taken goes. */
static int make_room(struct fetcher *f)
{
    const char *rest = secret_peek(f->in) + f->used;
    size_t left = secret_length(f->in) - f->used, whole = tlv_length(rest, left);
    size_t need = whole < RECORD_HEADER ? RECORD_HEADER : whole < RESULT_MAX ? whole : RESULT_MAX;

    if (need <= secret_capacity(f->in) - f->used)
        return 0;
    struct secret *in = secret_new(need < USUAL ? USUAL : need);
    if (!in)
        return -1;
    memcpy(secret_bytes(in), rest, left);
    secret_set_length(in, left);
    secret_free(f->in);
    f->in = in;
    f->used = 0;
    return 0;
}

int fetcher_read(struct fetcher *f, struct result *ret, struct error *why)
{
    if (f->closed)
        return read_end(f, why);
    if (f->total > RESULT_MAX || make_room(f) < 0) {
        if (f->total > RESULT_MAX)
            error_set(why, ERROR_FETCHER, "it sent more than %d bytes", RESULT_MAX);
        else
            error_set(why, ERROR_INTERNAL, "no memory for what it sends");
        return -1;
    }
    size_t have = secret_length(f->in), room = secret_capacity(f->in) - have;
    ssize_t n = recv(f->fd, secret_bytes(f->in) + have, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return read_end(f, why);
    secret_set_length(f->in, have + (size_t)n);
    f->total += (size_t)n;
    return take_records(f, ret, why);
}
