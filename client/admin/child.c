#define _GNU_SOURCE
#include "client/admin/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/reap.h"
#include "common/time.h"

extern char **environ;

enum { PIECE = 4096 };

static char nothing[1];

/* One of the child's outputs. */
struct stream {
    int fd; /* -1: it has ended */
    char *text;
    size_t used, size;
};

static void stream_end(struct stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static bool has_room(struct stream *s)
{
    if (s->size - s->used > PIECE)
        return true;
    size_t size = 2 * s->size + PIECE + 1; /* with the NUL behind it */
    char *text = realloc(s->text, size);
    if (!text)
        return false;
    text[s->used] = '\0';
    s->text = text;
    s->size = size;
    return true;
}

/* It may be a password, and so it is read into the heap, which is locked and wiped. */
static void stream_read(struct stream *s)
{
    ssize_t n = has_room(s) ? read(s->fd, s->text + s->used, s->size - s->used - 1) : 0;

    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0 || s->used + (size_t)n >= CHILD_OUTPUT_MAX) {
        if (s->text)
            s->text[s->used] = '\0'; /* what was too much is no part of it */
        stream_end(s);
        return;
    }
    s->used += (size_t)n;
    s->text[s->used] = '\0';
}

/* Where the child reads: a pipe that holds all of the input, or nothing. Returns -1 on errors. */
static int open_input(const char *input)
{
    size_t length = input ? strlen(input) : 0;
    int p[2];

    if (!input)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (length > CHILD_INPUT_MAX || pipe2(p, O_CLOEXEC) < 0)
        return -1;
    ssize_t n = write(p[1], input, length);
    close(p[1]);
    if (n == (ssize_t)length)
        return p[0];
    close(p[0]);
    return -1;
}

static int start(const char *const argv[], int in, struct stream streams[2], pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t ours, none;
    int out[2], err[2];

    if (pipe2(out, O_CLOEXEC) < 0)
        return errno;
    if (pipe2(err, O_CLOEXEC) < 0) {
        close(out[0]);
        close(out[1]);
        return EMFILE;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    posix_spawnattr_init(&attributes);
    sigemptyset(&ours); /* what we ignore is not its affair */
    sigaddset(&ours, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &ours);
    sigemptyset(&none); /* nor what we put off */
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    int r = posix_spawnp(ret_pid, argv[0], &actions, &attributes, (char **)(uintptr_t)argv,
                         environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    streams[0].fd = out[0];
    streams[1].fd = err[0];
    return r;
}

/* Until both outputs have ended. Returns whether that was in time. */
static bool collect(struct stream streams[2], uint64_t deadline)
{
    while (streams[0].fd >= 0 || streams[1].fd >= 0) {
        struct pollfd p[2] = { { .fd = streams[0].fd, .events = POLLIN },
                               { .fd = streams[1].fd, .events = POLLIN } };
        uint64_t now = time_boottime();
        if (now >= deadline)
            return false;
        if (poll(p, 2, (int)((deadline - now) / USEC_PER_MSEC) + 1) <= 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (p[i].revents)
                stream_read(&streams[i]);
    }
    return true;
}

/* Who has closed both outputs is about to end, if it is not one of a kind. */
static int wait_for(const char *name, pid_t pid, uint64_t deadline, bool in_time, struct child *ret)
{
    int status = 0;

    if (!in_time || !reap_until(pid, deadline, &status)) {
        ret->failed = ETIMEDOUT;
        if (!reap_kill(pid, name, &status))
            return -1;
    }
    ret->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ret->failed || ret->exit_code ? -1 : 0;
}

int child_run(const char *const argv[], uint64_t timeout, struct child *ret)
{
    return child_run_with(argv, NULL, timeout, ret);
}

int child_run_with(const char *const argv[], const char *input, uint64_t timeout, struct child *ret)
{
    struct stream streams[2] = { { .fd = -1 }, { .fd = -1 } };
    uint64_t deadline = time_boottime() + timeout;
    pid_t pid = 0;
    int r = -1;

    *ret = (struct child){ .exit_code = 127 };
    int in = open_input(input);
    ret->failed = in < 0 ? EMFILE : start(argv, in, streams, &pid);
    if (in >= 0)
        close(in);
    if (!ret->failed) {
        bool in_time = collect(streams, deadline);
        r = wait_for(argv[0], pid, deadline, in_time, ret);
    }
    for (int i = 0; i < 2; i++)
        stream_end(&streams[i]);
    ret->out = streams[0].text ? streams[0].text : nothing;
    ret->err = streams[1].text ? streams[1].text : nothing;
    return r;
}

void child_clear(struct child *child)
{
    if (child->out != nothing)
        free(child->out);
    if (child->err != nothing)
        free(child->err);
}
