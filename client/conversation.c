#define _GNU_SOURCE
#include "client/conversation.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/autostart.h"
#include "client/output.h"
#include "client/own_config.h"
#include "common/descriptor.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

/* What an answer is read into: most tokens fit with their frame. Larger ones take another read;
 * a larger buffer would cost every `get` a page fault for each page of it. */
enum { BUFFER = 8 * 1024 };

/* Where the answer goes. */
struct sink {
    char *out; /* NULL: stdout */
    size_t size, used;
    bool silent;        /* with out: nothing to stderr */
    struct error *said; /* with silent: what is meant for stderr, or NULL */
    bool of_config;     /* the answer is that the configuration is wrong, or missing */
    struct own_config own;
};

void line_add(struct line *line, const char *text)
{
    size_t length = strlen(text);

    if (length >= sizeof line->text - line->length - 1) {
        line->overflow = true;
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
    char digits[TEXT_DECIMAL_SIZE];

    line_add(line, " ");
    line_add(line, name);
    line_add(line, "=");
    line_add(line, text_decimal(digits, number));
}

/* ---- one conversation ------------------------------------------------------------------------ */

static int set_time(int fd, int option, uint64_t usec)
{
    const struct timeval t = { (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };
    return setsockopt(fd, SOL_SOCKET, option, &t, sizeof t);
}

/* Returns a descriptor, or -1 with errno. */
static int open_connection(const struct sockaddr_un *address, uint64_t timeout)
{
    int fd = descriptor_raise(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

    /* Blocking, since a full backlog is no error to wait for; the time bounds it. */
    if (fd >= 0 && set_time(fd, SO_SNDTIMEO, timeout) == 0 &&
        set_time(fd, SO_RCVTIMEO, timeout) == 0 &&
        connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    int number = errno;
    if (fd >= 0)
        close(fd);
    errno = number;
    return -1;
}

/* Nothing is there: it may be that XDG_RUNTIME_DIR is gone, and the socket elsewhere. Returns
 * whether that is so. */
static bool find_elsewhere(char path[PATHS_SOCKET_MAX])
{
    char other[PATHS_SOCKET_MAX];
    struct error ignored;

    if (paths_socket(other, &ignored) < 0 || text_equal(path, other))
        return false;
    memcpy(path, other, sizeof other);
    return true;
}

static void explain_connect(const char *path, int number, bool *ret_absent, struct error *why)
{
    struct stat st;

    *ret_absent = number == ENOENT || number == ECONNREFUSED;
    if (number == ECONNREFUSED && lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        *ret_absent = false;
        error_set(why, ERROR_NOT_A_SOCKET, "%s is no socket", path);
        return;
    }
    paths_explain(why, path, number);
    if (number == EAGAIN)
        why->code = ERROR_DAEMON_SILENT;
    else if (why->code == ERROR_NO_FOLDER)
        why->code = ERROR_NO_DAEMON;
}

/* Connects, and makes sure by the kernel's word that it is our own daemon that listens: the
 * request says who we are, and the answer is trusted. *ret_absent: nobody listens there. */
static int connect_daemon(uint64_t timeout, bool *ret_absent, struct error *why)
{
    enum { UNMAPPED = 65534 }; /* what a user namespace shows of a uid that it does not know */
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (paths_socket_as_named(address.sun_path, why) < 0)
        return -1;
    int fd = open_connection(&address, timeout), number = errno;
    if (fd < 0 && number == ENOENT && find_elsewhere(address.sun_path)) {
        fd = open_connection(&address, timeout);
        number = errno;
    }
    if (fd < 0) {
        explain_connect(address.sun_path, number, ret_absent, why);
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid())
        return fd;
    error_set(why, ERROR_OTHER_UID, "%s is served by uid %u%s, and this is uid %u",
              address.sun_path, (unsigned)peer.uid,
              peer.uid == UNMAPPED ? " (one that is not mapped here, perhaps)" : "",
              (unsigned)geteuid());
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
    if (to == STDERR_FILENO && sink->of_config && !sink->silent)
        length = own_config_look(&sink->own, bytes, length);
    if (!sink->out || (to == STDERR_FILENO && !sink->silent))
        return output_write(to, bytes, length);
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
    sink->of_config = answer.code == ERROR_CONFIG || answer.code == ERROR_NO_CONFIG;
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
        output_unwritten(why);
        return ENDING_FAILED;
    }
    *ret_code = answer.code;
    return ENDING_DONE;
}

/* Returns 0, or -1 with errno; EAGAIN where its time ended before all was sent. */
static int send_whole(int fd, const char *bytes, size_t length)
{
    ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);

    if (n >= 0 && (size_t)n < length)
        errno = EAGAIN;
    return n == (ssize_t)length ? 0 : -1;
}

static enum ending converse(const struct line *request, uint64_t timeout, struct sink *sink,
                            enum error_code *ret_code, struct error *why)
{
    bool absent = false;
    int fd = connect_daemon(timeout, &absent, why);
    enum ending ending = ENDING_EARLY;

    if (fd < 0)
        return absent ? ENDING_ABSENT : ENDING_FAILED;
    if (send_whole(fd, request->text, request->length) == 0 &&
        (request->block_length == 0 || send_whole(fd, request->block, request->block_length) == 0))
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
    if (ending == ENDING_ABSENT && ((request->may_start && autostart_start(timeout, why) == 0) ||
                                    (request->may_own && autostart_own(timeout, why) == 0)))
        ending = converse(request, timeout, sink, &code, why);
    if (ending == ENDING_DONE) {
        why->code = ERROR_NONE;
        return code;
    }
    return why->code;
}

int conversation_run(struct line *request, uint64_t timeout)
{
    struct sink sink = { 0 };
    struct error why;
    enum error_code code = run(request, timeout, &sink, &why);

    own_config_end(&sink.own);
    if (why.code != ERROR_NONE)
        return output_fail(why.code, why.detail);
    return error_exit_code(code);
}

enum error_code conversation_ask(struct line *request, uint64_t timeout, char *out, size_t size)
{
    struct sink sink = { .out = out, .size = size, .silent = true };
    struct error why;

    out[0] = '\0';
    return run(request, timeout, &sink, &why);
}

enum error_code conversation_ask_why(struct line *request, uint64_t timeout, char *out, size_t size,
                                     struct error *why)
{
    struct error own, said = { .code = ERROR_NONE };
    struct sink sink = { .out = out, .size = size, .silent = true, .said = &said };

    out[0] = '\0';
    enum error_code code = run(request, timeout, &sink, &own);
    *why = own.code == ERROR_NONE ? said : own;
    why->code = code;
    why->detail[strcspn(why->detail, "\n")] = '\0';
    return code;
}

int conversation_query(struct line *request, uint64_t timeout, char *out, size_t size)
{
    struct sink sink = { .out = out, .size = size };
    struct error why;

    out[0] = '\0';
    enum error_code code = run(request, timeout, &sink, &why);
    own_config_end(&sink.own);
    if (why.code != ERROR_NONE)
        return output_fail(why.code, why.detail);
    return error_exit_code(code);
}
