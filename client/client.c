#define _GNU_SOURCE
#include "client/client.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/paths.h"
#include "common/time.h"

/* What an answer is read into: most tokens fit with their frame. Larger ones take another read;
 * a larger buffer would cost every `get` a page fault for each page of it. */
enum { BUFFER = 8 * 1024 };

/* Where the answer goes. */
struct sink {
    char *out; /* NULL: stdout */
    size_t size, used;
    int silent;         /* with out: nothing to stderr */
    struct error *said; /* with silent: what is meant for stderr, or NULL */
};

int client_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

void line_add(struct line *line, const char *text)
{
    size_t length = strlen(text);

    if (length >= sizeof line->text - line->length - 1) {
        line->overflow = 1;
        return;
    }
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

void line_add_seconds(struct line *line, const char *name, uint64_t usec)
{
    line_add_number(line, name, (usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
}

void line_add_number(struct line *line, const char *name, uint64_t number)
{
    char digits[24], *p = digits + sizeof digits - 1;

    *p = '\0';
    do
        *--p = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    line_add(line, " ");
    line_add(line, name);
    line_add(line, "=");
    line_add(line, p);
}

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

int client_fail(enum error_code code, const char *detail)
{
    char line[1024], clean[256];

    error_clean(clean, sizeof clean, detail, strlen(detail)); /* it may come from argv */
    write_all(STDERR_FILENO, line, error_line(line, sizeof line, NULL, code, clean));
    return error_exit_code(code);
}

static void set_unwritten(struct error *why)
{
    error_set(why, ERROR_INTERNAL, "the output cannot be written: %s", strerror(errno));
}

int client_printed(int code)
{
    struct error why;

    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    set_unwritten(&why);
    return client_fail(why.code, why.detail);
}

/* ---- one conversation ----------------------------------------------------------------------- */

static int set_time(int fd, int option, uint64_t usec)
{
    const struct timeval t = { (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };
    return setsockopt(fd, SOL_SOCKET, option, &t, sizeof t);
}

/* Connects, and makes sure by the kernel's word that it is our own daemon that listens: the
 * request says who we are, and the answer is trusted. *ret_absent: nobody listens there. */
static int connect_daemon(uint64_t timeout, int *ret_absent, struct error *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (paths_socket(address.sun_path, why) < 0)
        return -1;
    int fd = descriptor_raise(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    /* Blocking, since a full backlog is no error to wait for; the time bounds it. */
    if (fd < 0 || set_time(fd, SO_SNDTIMEO, timeout) < 0 ||
        set_time(fd, SO_RCVTIMEO, timeout) < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        *ret_absent = errno == ENOENT || errno == ECONNREFUSED;
        error_set(why,
                  errno == EAGAIN                     ? ERROR_DAEMON_SILENT
                  : errno == EACCES || errno == EPERM ? ERROR_FOREIGN_SOCKET
                                                      : ERROR_NO_DAEMON,
                  "%s: %s", address.sun_path, strerror(errno));
        goto fail;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid()) {
        error_set(why, ERROR_FOREIGN_SOCKET, "%s is served by uid %u", address.sun_path,
                  (unsigned)peer.uid);
        goto fail;
    }
    return fd;
fail:
    if (fd >= 0)
        close(fd);
    return -1;
}

enum ending {
    ENDING_DONE,   /* the answer was written out */
    ENDING_EARLY,  /* the connection ended before an answer: worth a second try */
    ENDING_ABSENT, /* nobody listens */
    ENDING_FAILED,
};

static ssize_t read_some(int fd, char *to, size_t room, uint64_t deadline)
{
    for (;;) {
        ssize_t n = read(fd, to, room);
        if (n >= 0 || errno != EINTR)
            return n;
        uint64_t now = time_boottime();
        if (now >= deadline) {
            errno = EAGAIN;
            return -1;
        }
        set_time(fd, SO_RCVTIMEO, deadline - now);
    }
}

static int deliver(struct sink *sink, int to, const char *bytes, size_t length)
{
    if (!sink->out || (to == STDERR_FILENO && !sink->silent))
        return write_all(to, bytes, length);
    if (to == STDERR_FILENO && sink->said) {
        size_t have = strlen(sink->said->detail);
        size_t room = sizeof sink->said->detail - 1 - have;
        length = length < room ? length : room;
        memcpy(sink->said->detail + have, bytes, length);
        sink->said->detail[have + length] = '\0';
    }
    if (to == STDOUT_FILENO && length < sink->size - sink->used) {
        memcpy(sink->out + sink->used, bytes, length);
        sink->used += length;
        sink->out[sink->used] = '\0';
    }
    return 0;
}

/* Copies what has come of the two blocks, first stdout's, then stderr's. */
static int deliver_blocks(struct sink *sink, size_t *out_left, size_t *err_left, const char *bytes,
                          size_t length)
{
    size_t out = length < *out_left ? length : *out_left;
    size_t err = length - out < *err_left ? length - out : *err_left;

    *out_left -= out;
    *err_left -= err;
    if ((out > 0 && deliver(sink, STDOUT_FILENO, bytes, out) < 0) ||
        (err > 0 && deliver(sink, STDERR_FILENO, bytes + out, err) < 0))
        return -1;
    return 0;
}

static void explain_read(ssize_t n, struct error *why)
{
    if (n == 0)
        error_set(why, ERROR_NO_DAEMON, "the connection ended before the answer");
    else
        error_set(why, errno == EAGAIN ? ERROR_DAEMON_SILENT : ERROR_NO_DAEMON, "%s",
                  errno == EAGAIN ? "" : strerror(errno));
}

/* Reads the answer and delivers it while it comes. */
static enum ending read_answer(int fd, uint64_t timeout, struct sink *sink,
                               enum error_code *ret_code, struct error *why)
{
    char buffer[BUFFER];
    struct answer answer;
    size_t have = 0;
    long header = 0;
    /* The socket's own time bounds the first read; the clock is read only when that was not
     * the whole answer. */
    uint64_t deadline = 0;

    while (header == 0) {
        ssize_t n = read_some(fd, buffer + have, sizeof buffer - have,
                              deadline ? deadline : time_boottime() + timeout);
        if (n <= 0) {
            explain_read(n, why);
            return have == 0 && (n == 0 || errno == ECONNRESET) ? ENDING_EARLY : ENDING_FAILED;
        }
        have += (size_t)n;
        header = answer_parse(buffer, have, &answer);
    }
    if (header < 0) {
        error_set(why, ERROR_BAD_ANSWER, "%s", "");
        return ENDING_FAILED;
    }
    size_t out = answer.out, err = answer.err;
    int r = deliver_blocks(sink, &out, &err, buffer + header, have - (size_t)header);
    deadline = out + err > 0 ? time_boottime() + timeout : 0;
    while (r == 0 && out + err > 0) {
        ssize_t n = read_some(fd, buffer, sizeof buffer, deadline);
        if (n <= 0) {
            explain_read(n, why);
            return ENDING_FAILED;
        }
        r = deliver_blocks(sink, &out, &err, buffer, (size_t)n);
    }
    if (r < 0) {
        set_unwritten(why);
        return ENDING_FAILED;
    }
    *ret_code = answer.code;
    return ENDING_DONE;
}

static enum ending converse(const struct line *request, uint64_t timeout, struct sink *sink,
                            enum error_code *ret_code, struct error *why)
{
    int absent = 0, fd = connect_daemon(timeout, &absent, why);
    enum ending ending = ENDING_EARLY;

    if (fd < 0)
        return absent ? ENDING_ABSENT : ENDING_FAILED;
    ssize_t n = send(fd, request->text, request->length, MSG_NOSIGNAL);
    if (n == (ssize_t)request->length && request->block_length > 0)
        n += send(fd, request->block, request->block_length, MSG_NOSIGNAL);
    if (n == (ssize_t)(request->length + request->block_length))
        ending = read_answer(fd, timeout, sink, ret_code, why);
    else
        error_set(why, errno == EAGAIN ? ERROR_DAEMON_SILENT : ERROR_NO_DAEMON, "%s",
                  strerror(errno));
    close(fd);
    return ending;
}

/* Sets *why, to ERROR_NONE where the daemon answered: then the code is the answer's. */
static enum error_code run(struct line *request, uint64_t timeout, struct sink *sink,
                           struct error *why)
{
    enum error_code code = ERROR_INTERNAL;

    line_add(request, " once\n");
    if (request->overflow) {
        error_set(why, ERROR_USAGE, "the request is too long");
        return ERROR_USAGE;
    }
    /* A daemon that is being restarted drops who was accepted and not yet answered. */
    enum ending ending = converse(request, timeout, sink, &code, why);
    if (ending == ENDING_EARLY)
        ending = converse(request, timeout, sink, &code, why);
    if (ending == ENDING_ABSENT && ((request->may_start && client_autostart(timeout, why) == 0) ||
                                    (request->may_own && client_own_daemon(timeout, why) == 0)))
        ending = converse(request, timeout, sink, &code, why);
    if (ending == ENDING_DONE) {
        why->code = ERROR_NONE;
        return code;
    }
    return why->code;
}

int client_run(struct line *request, uint64_t timeout)
{
    struct sink sink = { 0 };
    struct error why;
    enum error_code code = run(request, timeout, &sink, &why);

    if (why.code != ERROR_NONE)
        return client_fail(why.code, why.detail);
    return error_exit_code(code);
}

enum error_code client_ask(struct line *request, uint64_t timeout, char *out, size_t size)
{
    struct sink sink = { .out = out, .size = size, .silent = 1 };
    struct error why;

    out[0] = '\0';
    return run(request, timeout, &sink, &why);
}

enum error_code client_ask_why(struct line *request, uint64_t timeout, char *out, size_t size,
                               struct error *why)
{
    struct error own, said = { .code = ERROR_NONE };
    struct sink sink = { .out = out, .size = size, .silent = 1, .said = &said };

    out[0] = '\0';
    enum error_code code = run(request, timeout, &sink, &own);
    *why = own.code == ERROR_NONE ? said : own;
    why->code = code;
    why->detail[strcspn(why->detail, "\n")] = '\0';
    return code;
}

int client_query(struct line *request, uint64_t timeout, char *out, size_t size)
{
    struct sink sink = { .out = out, .size = size };
    struct error why;

    out[0] = '\0';
    enum error_code code = run(request, timeout, &sink, &why);
    if (why.code != ERROR_NONE)
        return client_fail(why.code, why.detail);
    return error_exit_code(code);
}

char *client_secret_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        _exit(client_fail(ERROR_INTERNAL, "no memory"));
    prctl(PR_SET_DUMPABLE, 0);
    mlock(memory, size);
    madvise(memory, size, MADV_DONTDUMP);
    return memory;
}

/* ---- options -------------------------------------------------------------------------------- */

const char *client_option(char **argv, int *i, const char *name, char letter, int *missing)
{
    const char *arg = argv[*i];
    size_t length = strlen(name);
    const char *value = NULL;

    if (arg[0] == '-' && arg[1] == '-' && strncmp(arg + 2, name, length) == 0) {
        if (arg[2 + length] == '=')
            return arg + 2 + length + 1;
        if (arg[2 + length] != '\0')
            return NULL;
    } else if (letter && arg[0] == '-' && arg[1] == letter) {
        if (arg[2] != '\0')
            return arg + 2;
    } else {
        return NULL;
    }
    value = argv[*i + 1];
    if (value)
        ++*i;
    else
        *missing = 1;
    return value;
}

static int one_option(char **argv, int *i, struct client_options *o)
{
    const char *value;
    int missing = 0;

    if ((value = client_option(argv, i, "timeout", 0, &missing)))
        return client_duration("--timeout", value, &o->timeout);
    if (missing)
        return client_fail(ERROR_USAGE, "--timeout wants a value");
    if (o->may_json && client_equal(argv[*i], "--json"))
        o->json = 1;
    else if (o->may_stdin && client_equal(argv[*i], "-"))
        o->standard_input = 1;
    else if (argv[*i][0] == '-')
        return client_fail(ERROR_USAGE, argv[*i]);
    else if (o->profile)
        return client_fail(ERROR_USAGE, "more than one profile is named");
    else
        o->profile = argv[*i];
    return 0;
}

int client_options(int argc, char **argv, struct client_options *ret)
{
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++)
        r = one_option(argv, &i, ret);
    if (r == 0 && ret->profile && !protocol_name_valid(ret->profile, strlen(ret->profile)))
        r = client_fail(ERROR_NO_PROFILE, ret->profile);
    if (r == 0 && ret->timeout == 0)
        r = client_fail(ERROR_USAGE, "--timeout 0 leaves no time");
    return r;
}

int client_duration(const char *name, const char *value, uint64_t *ret)
{
    char detail[128];

    if (time_parse_duration(value, strlen(value), ret) == 0)
        return 0;
    struct error why;
    error_set(&why, ERROR_USAGE, "%s %s is no duration; write 30s, 5m or 1h30m", name, value);
    memcpy(detail, why.detail, sizeof detail - 1);
    detail[sizeof detail - 1] = '\0';
    return client_fail(ERROR_USAGE, detail);
}
