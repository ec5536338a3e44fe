#define _GNU_SOURCE
#include "client/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/own_config.h"
#include "client/output.h"
#include "client/screen.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

/* Between two tries, doubled each time, while no daemon is there; then the next socket is waited
 * for, where the kernel says so, or that long. Milliseconds. */
enum { PAUSE_FIRST = 50, PAUSE_MOST = 2000 };
/* A table comes each minute. */
enum { SILENCE = 150 * 1000 };
/* For a connection, or the request, to be taken. */
static const uint64_t open_time = 5 * USEC_PER_SEC;

static const char ended[] = "kubetoken: kubetokend has ended the connection; waiting for it";
static const char silent[] = "kubetoken: kubetokend has not said anything for two minutes";

struct view {
    const struct options *options;
    bool as_table, on_screen;
    bool has_answer; /* of the connection that is open */
    bool is_lost;    /* a connection was, and that was said */
    char *inbox;     /* what has come, and is not shown yet */
    size_t have, size;
    bool has_table;    /* one was printed */
    const char *note;  /* below the table */
    int pause, folder; /* while there is no daemon: see rest() */
    int code;
};

enum ending { ENDING_AGAIN, ENDING_LOST, ENDING_OVER };

/* ---- answers --------------------------------------------------------------------------------- */

/* What is an error is the end of it. */
static enum ending fail(struct view *v, const struct answer *answer, const char *bytes)
{
    struct own_config own = { 0 };
    bool of_config = answer->code == ERROR_CONFIG || answer->code == ERROR_NO_CONFIG;

    screen_end();
    if (answer->code == ERROR_BAD_REQUEST) { /* of a daemon that does not know the word */
        v->code = output_fail(ERROR_BAD_ANSWER, "it does not know status --watch");
        return ENDING_OVER;
    }
    size_t length = of_config ? own_config_look(&own, bytes, answer->err) : answer->err;
    output_write(STDERR_FILENO, bytes, length);
    own_config_end(&own);
    v->code = error_exit_code(answer->code);
    return ENDING_OVER;
}

static enum ending lacks_memory(struct view *v)
{
    screen_end();
    v->code = output_fail_for_memory();
    return ENDING_OVER;
}

static enum ending cannot_write(struct view *v)
{
    struct error why;

    output_unwritten(&why);
    screen_end();
    v->code = output_fail(why.code, why.detail);
    return ENDING_OVER;
}

/* Where tables stand one below the other an empty line parts them. */
static int print(struct view *v, const char *bytes, size_t length)
{
    if (v->has_table && output_write(STDOUT_FILENO, "\n", 1) < 0)
        return -1;
    v->has_table = v->as_table;
    return output_write(STDOUT_FILENO, bytes, length);
}

static enum ending show(struct view *v, const struct answer *answer, const char *bytes)
{
    if (answer->code != ERROR_NONE)
        return fail(v, answer, bytes + answer->out);
    v->has_answer = true;
    if (v->is_lost && v->folder >= 0)
        close(v->folder);
    v->is_lost = false;
    v->note = "";
    if (v->on_screen && !screen_set(bytes, answer->out))
        return lacks_memory(v);
    if (!v->on_screen && print(v, bytes, answer->out) < 0)
        return cannot_write(v);
    return ENDING_AGAIN;
}

/* Takes all answers that have come whole; of pictures the last is drawn. */
static enum ending take_answers(struct view *v)
{
    struct answer answer;
    enum ending ending = ENDING_AGAIN;
    size_t at = 0;
    long header = 0;

    while (ending == ENDING_AGAIN &&
           (header = answer_parse(v->inbox + at, v->have - at, &answer)) > 0) {
        size_t whole = (size_t)header + answer.out + answer.err;
        if (v->have - at < whole)
            break;
        ending = show(v, &answer, v->inbox + at + header);
        at += whole;
    }
    v->have -= at;
    memmove(v->inbox, v->inbox + at, v->have);
    if (header < 0) {
        screen_end();
        v->code = output_fail(ERROR_BAD_ANSWER, "");
        return ENDING_OVER;
    }
    if (at > 0 && v->on_screen && ending == ENDING_AGAIN)
        screen_draw(v->note);
    return ending;
}

/* ---- one connection -------------------------------------------------------------------------- */

static enum ending read_some(struct view *v, int fd)
{
    if (v->size - v->have < 4096) {
        size_t size = 2 * v->size + 8192; /* of one answer, whose blocks have a limit */
        char *inbox = realloc(v->inbox, size);
        if (!inbox)
            return lacks_memory(v);
        v->inbox = inbox;
        v->size = size;
    }
    ssize_t n = recv(fd, v->inbox + v->have, v->size - v->have, MSG_DONTWAIT);
    if (n > 0) {
        v->have += (size_t)n;
        return take_answers(v);
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? ENDING_AGAIN : ENDING_LOST;
}

/* Waits for what comes from there (-1: from nowhere), and for the reader of stdout to go. Returns
 * as poll() does, or -2 when all is to be asked for anew; -3: nobody reads. */
static int await(const struct view *v, int fd, int timeout)
{
    struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = STDOUT_FILENO } };
    int r = v->on_screen ? screen_poll(fds, 2, timeout) : poll(fds, 2, timeout);

    return r > 0 && fds[1].revents ? -3 : r;
}

static enum ending follow(struct view *v, int fd)
{
    uint64_t until = time_boottime() + v->options->timeout;
    enum ending ending = ENDING_AGAIN;

    v->has_answer = false;
    v->have = 0;
    while (ending == ENDING_AGAIN) {
        uint64_t now = time_boottime();
        int timeout = v->has_answer ? v->as_table ? SILENCE : -1
                      : now < until ? (int)((until - now) / USEC_PER_MSEC) + 1
                                    : 0;
        int r = await(v, fd, timeout);
        if (r == -2)
            return ENDING_AGAIN;
        errno = EPIPE;
        if (r == -3)
            return cannot_write(v);
        if (r > 0)
            ending = read_some(v, fd);
        else if (r == 0 && !v->has_answer)
            return ENDING_LOST;
        else if (r == 0 && v->on_screen) {
            v->note = silent;
            screen_draw(v->note);
        }
    }
    return ending;
}

/* ---- from one to the next -------------------------------------------------------------------- */

static void make_line(const struct view *v, struct line *line)
{
    line_add(line, v->as_table ? "watch text " : "watch json ");
    line_add(line, v->options->profile ? v->options->profile : "*");
    if (v->as_table)
        screen_add_look(line);
}

/* Once for each time. */
static void say_lost(struct view *v)
{
    if (v->is_lost)
        return;
    v->is_lost = true;
    v->note = ended;
    if (v->on_screen)
        screen_draw(v->note);
    else
        dprintf(STDERR_FILENO, "%s\n", ended);
}

/* Returns ENDING_LOST to try again. */
static enum ending connect_once(struct view *v)
{
    struct line line = { .length = 0 };
    struct error why;
    bool absent;

    make_line(v, &line);
    int fd = conversation_open(&line, open_time, &absent, &why);
    if (fd < 0 && absent)
        return ENDING_LOST;
    if (fd < 0) {
        screen_end();
        v->code = output_fail(why.code, why.detail);
        return ENDING_OVER;
    }
    enum ending ending = follow(v, fd);
    close(fd);
    return ending;
}

/* The kernel's word of what is made in the socket's folder, or -1. */
static int look_at_folder(void)
{
    char path[PATHS_SOCKET_MAX];
    struct error ignored;

    if (paths_socket_as_named(path, &ignored) < 0)
        return -1;
    *strrchr(path, '/') = '\0';
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0 || inotify_add_watch(fd, path, IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF) >= 0)
        return fd;
    close(fd);
    return -1;
}

/* Before the next try. Returns ENDING_OVER when nobody reads any more. */
static enum ending rest(struct view *v)
{
    if (!v->is_lost) /* before the first try, so that none is missed */
        v->folder = look_at_folder();
    say_lost(v);
    bool is_last = v->pause == PAUSE_MOST && v->folder >= 0;
    int r = await(v, v->folder, is_last ? -1 : v->pause);
    v->pause = v->pause < PAUSE_MOST / 2 ? 2 * v->pause : PAUSE_MOST;
    if (r > 0) { /* a socket, or it is the folder that is gone */
        v->pause = PAUSE_FIRST;
        close(v->folder);
        v->folder = look_at_folder();
    }
    errno = EPIPE;
    return r == -3 ? cannot_write(v) : ENDING_LOST;
}

static void watch(struct view *v)
{
    enum ending ending;

    do {
        ending = connect_once(v);
        if (v->has_answer) {
            v->pause = PAUSE_FIRST;
            v->has_answer = false;
        }
        if (ending == ENDING_LOST)
            ending = rest(v);
    } while (ending != ENDING_OVER);
}

/* There is a daemon, started if need be, or an error as that of `status`. */
static int find_daemon(const struct options *o)
{
    struct line line = { .may_start = true };
    char version[128];

    line_add(&line, "version * *");
    return conversation_query(&line, o->timeout, version, sizeof version);
}

int watch_run(const struct options *o)
{
    bool on_terminal = screen_is_terminal();
    struct view v = { .options = o, .note = "", .pause = PAUSE_FIRST, .folder = -1 };

    v.as_table = !o->json && (on_terminal || o->text);
    v.on_screen = v.as_table && screen_takes_escapes();
    v.code = find_daemon(o);
    if (v.code != 0)
        return v.code;
    if (v.on_screen)
        screen_begin();
    watch(&v);
    free(v.inbox);
    return v.code;
}
