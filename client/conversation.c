#define _GNU_SOURCE
#include "client/conversation.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/autostart.h"
#include "client/other_user.h"
#include "client/output.h"
#include "client/own_config.h"
#include "client/progress.h"
#include "client/service.h"
#include "common/descriptor.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

/* What an answer is read into: most tokens fit with their frame. Larger ones take another read. */
enum { BUFFER = 8 * 1024 };

/* When a terminal is told what is waited for. */
static const uint64_t show_after = 500 * USEC_PER_MSEC;
/* For how long a socket that nobody listens on may be about to be replaced. */
static const uint64_t absence = 2 * USEC_PER_SEC;
/* When systemd is asked about a daemon that takes the connection and says nothing, and how long. */
static const uint64_t look_after = 2 * USEC_PER_SEC, look_time = 2 * USEC_PER_SEC;
/* When it is asked again, and twice that after each time: not in step with RestartSec=, or it would
 * be in the middle of one more start each time. */
static const uint64_t look_again = 300 * USEC_PER_MSEC;
/* Between two tries, doubled each time, about. */
static const uint64_t pause_first = 20 * USEC_PER_MSEC, pause_most = 500 * USEC_PER_MSEC;

/* Where the answer goes. */
struct sink {
    char *out; /* NULL: stdout */
    size_t size, used;
    bool silent;            /* with out: nothing to stderr */
    struct error *said;     /* with silent: what is meant for stderr, or NULL */
    enum error_code hushed; /* nothing is said of an answer with that code; ERROR_NONE: of all */
    bool hush;              /* it has it */
    bool of_config;         /* the answer is that the configuration is wrong, or missing */
    bool foreign;           /* it is of another user's daemon */
    unsigned char last;     /* byte of it */
    struct own_config own;
};

void line_init(struct line *line)
{
    line->length = 0; /* what is behind it is nobody's */
    line->overflow = line->may_start = line->may_own = line->may_be_absent = false;
    line->sent_once = line->only_once = line->is_last = false;
    line->block_length = 0;
    line->connection = 0;
}

/* In one go: its words are short. */
void line_add(struct line *line, const char *text)
{
    size_t length = line->length;

    while (*text && length < sizeof line->text - 2)
        line->text[length++] = *text++;
    if (*text)
        line->overflow = true;
    else
        line->length = length;
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

/* ---- the course of a request ----------------------------------------------------------------- */

/* From the first try to the last. Times are usec since it began. An answer that is there at once
 * takes no look at a clock, which costs a `get` two pages. */
struct course {
    uint64_t began;        /* by CLOCK_BOOTTIME; 0: nobody has looked at it yet */
    uint64_t now;          /* as far as it was looked at */
    uint64_t deadline;     /* the client's own */
    uint64_t show, look;   /* when to; USEC_INFINITY: not any more */
    uint64_t look_pause;   /* before the next look */
    uint64_t absent_until; /* nobody has listened since the last try; 0: somebody did */
    uint64_t pause;        /* before the next try */
    unsigned early;        /* connections that ended before an answer */
    bool is_get, busy; /* who asks for a token is not put off: others are about to have theirs */
    bool has_text;     /* to be shown */
    bool shown;        /* on the terminal, perhaps */
};

/* What is shown until the daemon says more. */
static const char waiting[] = "waiting for kubetokend";

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_event(const struct course *c)
{
    return least(c->deadline, least(c->show, c->look));
}

/* At the first look c->now is what was waited for without one. */
static void take_time(struct course *c)
{
    uint64_t clock = time_boottime();

    if (c->began == 0)
        c->began = clock - c->now;
    c->now = clock - c->began;
}

static uint64_t left_until(const struct course *c, uint64_t time)
{
    return time > c->now ? time - c->now : 0;
}

static bool is_over(struct course *c)
{
    take_time(c);
    return c->now >= c->deadline;
}

static void set_text(struct course *c, const char *text, size_t length)
{
    c->has_text = true;
    progress_set(text, length);
}

static void show(struct course *c)
{
    if (c->now < c->show)
        return;
    c->show = USEC_INFINITY;
    c->shown = true;
    if (!c->has_text)
        set_text(c, waiting, sizeof waiting - 1);
    progress_show();
}

static void hide(struct course *c)
{
    if (c->shown) /* or its memory would cost a `get` a page fault */
        progress_hide();
    c->shown = false;
}

/* Where systemd starts the daemon it knows why none comes. Returns -1 with *why when it does. */
static int look(struct course *c, struct error *why)
{
    if (c->now < c->look)
        return 0;
    c->look = USEC_INFINITY;
    if (!autostart_systemd_runs())
        return 0;
    enum service_state state = service_ask(least(look_time, c->deadline - c->now), why);
    if (state == SERVICE_STARTS) {
        take_time(c);
        c->look = c->now + c->look_pause;
        c->look_pause *= 2;
    }
    return state == SERVICE_FAILS ? -1 : 0;
}

/* Lets some time go by before the next try. False: there is to be none. */
static bool rest(struct course *c, uint64_t until)
{
    uint32_t random;

    take_time(c);
    if (c->now >= until)
        return false;
    set_text(c, waiting, sizeof waiting - 1);
    show(c);
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint32_t)c->now;
    uint64_t half = c->pause / 2, time = half + random % (half + 1); /* not all at the same time */
    c->pause = least(2 * c->pause, pause_most);
    time = least(least(time, until - c->now), c->show - c->now);
    poll(NULL, 0, (int)(time / USEC_PER_MSEC) + 1);
    return !is_over(c);
}

/* ---- one conversation ------------------------------------------------------------------------ */

static int set_time(int fd, int option, uint64_t usec)
{
    const struct timeval t = { (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };
    return setsockopt(fd, SOL_SOCKET, option, &t, sizeof t);
}

/* As many as may wait to be taken do so. Only a socket that blocks waits for its turn; the time
 * bounds it. */
static int queue_up(int fd, const struct sockaddr_un *address, struct course *c)
{
    if (is_over(c)) {
        errno = EAGAIN;
        return -1;
    }
    if (fcntl(fd, F_SETFL, 0) < 0 || set_time(fd, SO_SNDTIMEO, c->deadline - c->now) < 0 ||
        connect(fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return -1;
    return fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* Returns a descriptor, or -1 with errno. */
static int open_connection(const struct sockaddr_un *address, struct course *c)
{
    int fd = descriptor_raise(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    if (fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                    (errno == EAGAIN && queue_up(fd, address, c) == 0)))
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

/* The kernel has told each program at its start, and none of ours becomes somebody else. */
static uid_t own_uid(void)
{
    errno = 0;
    unsigned long uid = getauxval(AT_EUID);
    return errno == 0 ? (uid_t)uid : geteuid();
}

static void complain_of_peer(const char *path, uid_t uid, struct error *why)
{
    enum { UNMAPPED = 65534 }; /* what a user namespace shows of a uid that it does not know */

    error_set(why, ERROR_OTHER_UID, "%s is served by uid %u%s, and this is uid %u", path,
              (unsigned)uid, uid == UNMAPPED ? " (one that is not mapped here, perhaps)" : "",
              (unsigned)own_uid());
}

/* Connects, and makes sure by the kernel's word that it is our own daemon that listens: the
 * request says who we are, and the answer is trusted. *ret_absent: nobody listens there. */
static int connect_daemon(struct course *c, bool *ret_absent, struct error *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct ucred peer = { .uid = (uid_t)-1 };
    socklen_t size = sizeof peer;

    if (paths_socket_as_named(address.sun_path, why) < 0)
        return -1;
    int fd = open_connection(&address, c), number = errno;
    if (fd < 0 && number == ENOENT && find_elsewhere(address.sun_path)) {
        fd = open_connection(&address, c);
        number = errno;
    }
    if (fd < 0) {
        explain_connect(address.sun_path, number, ret_absent, why);
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == own_uid())
        return fd;
    complain_of_peer(address.sun_path, peer.uid, why);
    close(fd);
    return -1;
}

enum ending {
    ENDING_DONE,   /* the answer was written out */
    ENDING_EARLY,  /* the connection ended before an answer: worth another try */
    ENDING_ABSENT, /* nobody listens */
    ENDING_FAILED,
};

/* What there is to do when the next event has come, or a signal. Returns -1 with *why when it is
 * not worth while to wait on. */
static int attend(struct course *c, struct error *why)
{
    if (is_over(c)) {
        error_set(why, ERROR_DAEMON_SILENT, "%s", "");
        return -1;
    }
    show(c);
    if (look(c, why) < 0)
        return -1;
    take_time(c);
    return 0;
}

/* Waits at most that long until the socket is ready for these events. Returns as poll(). */
static int await_socket(int fd, short events, uint64_t usec)
{
    struct pollfd p = { .fd = fd, .events = events };
    bool is_long = usec > (uint64_t)INT_MAX * USEC_PER_MSEC;

    return poll(&p, 1,
                usec == USEC_INFINITY ? -1
                : is_long             ? INT_MAX
                                      : (int)((usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC));
}

/* Until there is something to read, or an end. Returns -1 with *why. */
static int await_bytes(int fd, struct course *c, struct error *why)
{
    for (;;) {
        uint64_t next = next_event(c), left = next == USEC_INFINITY ? next : left_until(c, next);
        int r = await_socket(fd, POLLIN, left);
        if (r > 0)
            return 0;
        if (r == 0 && c->began == 0)
            c->now = next;
        if (attend(c, why) < 0)
            return -1;
    }
}

/* Returns how many bytes came; 0 when the connection has ended, and -1 when it has failed, both
 * with *why. */
static ssize_t read_some(int fd, char *to, size_t room, struct course *c, struct error *why)
{
    for (;;) {
        ssize_t n = read(fd, to, room);
        if (n > 0)
            return n;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (await_bytes(fd, c, why) < 0)
                return -1;
            continue;
        }
        error_set(why, ERROR_NO_DAEMON, "%s",
                  n == 0 ? "the connection ended before the answer" : strerror(errno));
        return n == 0 || errno == ECONNRESET ? 0 : -1;
    }
}

static int deliver(struct sink *sink, int to, const char *bytes, size_t length)
{
    if (to == STDERR_FILENO && sink->hush)
        return 0;
    if (to == STDERR_FILENO && sink->of_config && !sink->silent)
        length = own_config_look(&sink->own, bytes, length);
    if (!sink->out || (to == STDERR_FILENO && !sink->silent)) {
        int r = output_write(to, bytes, length);
        return to == STDERR_FILENO ? 0 : r; /* of that one nobody can be told */
    }
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

/* No other user has a say in what a terminal does. Out of the way of `get`. */
static __attribute__((noinline)) int deliver_foreign(struct sink *sink, int to, const char *bytes,
                                                     size_t length)
{
    char clean[512];

    while (length > 0) {
        size_t n = length < sizeof clean ? length : sizeof clean;
        other_user_clean(clean, bytes, n, &sink->last);
        if (deliver(sink, to, clean, n) < 0)
            return -1;
        bytes += n;
        length -= n;
    }
    return 0;
}

static int deliver_some(struct sink *sink, int to, const char *bytes, size_t length)
{
    return sink->foreign ? deliver_foreign(sink, to, bytes, length)
                         : deliver(sink, to, bytes, length);
}

/* Copies what has come of the two blocks, first stdout's, then stderr's. */
static int deliver_blocks(struct sink *sink, size_t *out_left, size_t *err_left, const char *bytes,
                          size_t length)
{
    size_t out = length < *out_left ? length : *out_left;
    size_t err = length - out < *err_left ? length - out : *err_left;

    *out_left -= out;
    *err_left -= err;
    if ((out > 0 && deliver_some(sink, STDOUT_FILENO, bytes, out) < 0) ||
        (err > 0 && deliver_some(sink, STDERR_FILENO, bytes + out, err) < 0))
        return -1;
    return 0;
}

/* Takes the wait lines off the head of what has come, and then the answer's header. Returns as
 * answer_parse(). */
static long take_header(char *buffer, size_t *have, struct answer *ret, struct course *c)
{
    const char *text;
    size_t length;
    long line;

    while ((line = wait_parse(buffer, *have, &text, &length)) > 0) {
        set_text(c, text, length);
        c->look = USEC_INFINITY; /* it lives */
        *have -= (size_t)line;
        memmove(buffer, buffer + line, *have);
    }
    if (line < 0)
        return line == -EAGAIN ? 0 : line;
    return answer_parse(buffer, *have, ret);
}

static enum ending take_parts(int fd, const char *bytes, size_t have, struct course *c,
                              struct sink *sink, enum error_code *ret_code, struct error *why);

/* Reads the answer into the buffer and delivers it while it comes. *most: how much of the buffer it
 * has been in. */
static enum ending take_answer(int fd, char buffer[BUFFER], size_t *most, struct course *c,
                               struct sink *sink, enum error_code *ret_code, struct error *why)
{
    struct answer answer;
    size_t have = 0;
    long header = 0;

    while (header == 0) {
        ssize_t n = read_some(fd, buffer + have, BUFFER - have, c, why);
        if (n <= 0)
            return n == 0 ? ENDING_EARLY : ENDING_FAILED;
        have += (size_t)n;
        *most = have > *most ? have : *most;
        header = take_header(buffer, &have, &answer, c);
    }
    if (header > 0 && answer.code == ERROR_BUSY && c->is_get) {
        c->busy = true;
        return ENDING_EARLY;
    }
    if (header < 0) {
        error_set(why, ERROR_BAD_ANSWER, "%s", "");
        return ENDING_FAILED;
    }
    hide(c);
    c->show = c->look = USEC_INFINITY;
    sink->of_config = !sink->foreign &&
                      (answer.code == ERROR_CONFIG || answer.code == ERROR_NO_CONFIG);
    sink->hush = sink->hushed != ERROR_NONE && answer.code == sink->hushed;
    if (answer.part)
        return take_parts(fd, buffer, have, c, sink, ret_code, why);
    size_t out = answer.out, err = answer.err;
    int r = deliver_blocks(sink, &out, &err, buffer + header, have - (size_t)header);
    while (r == 0 && out + err > 0) {
        ssize_t n = read_some(fd, buffer, BUFFER, c, why);
        if (n <= 0)
            return ENDING_FAILED;
        *most = (size_t)n > *most ? (size_t)n : *most;
        r = deliver_blocks(sink, &out, &err, buffer, (size_t)n);
    }
    if (r < 0) {
        output_unwritten(why);
        return ENDING_FAILED;
    }
    *ret_code = answer.code;
    return ENDING_DONE;
}

/* A token may be in it, and no page is touched for its sake that was not: nor is one of the stack
 * for what goes beyond the buffer. */
static enum ending read_answer(int fd, struct course *c, struct sink *sink,
                               enum error_code *ret_code, struct error *why)
{
    static char buffer[BUFFER];
    size_t most = 0;

    if (await_bytes(fd, c, why) < 0) /* it is not there yet: a read that says so is one too many */
        return ENDING_FAILED;
    enum ending ending = take_answer(fd, buffer, &most, c, sink, ret_code, why);

    explicit_bzero(buffer, most);
    return ending;
}

/* Returns 0, or -1 with errno; EAGAIN where its time ended before all was sent. */
static int send_whole(int fd, const char *bytes, size_t length, struct course *c)
{
    for (;;) {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
        if (n == (ssize_t)length)
            return 0;
        if (n < 0 && errno != EAGAIN)
            return -1;
        bytes += n > 0 ? n : 0;
        length -= n > 0 ? (size_t)n : 0;
        if (is_over(c)) {
            errno = EAGAIN;
            return -1;
        }
        await_socket(fd, POLLOUT, c->deadline - c->now);
    }
}

static enum ending converse(const struct line *request, struct course *c, struct sink *sink,
                            enum error_code *ret_code, struct error *why)
{
    bool absent = false;
    enum ending ending = ENDING_EARLY;

    c->look = c->now + look_after;
    c->look_pause = look_again;
    if (request->connection > 0) /* what systemd knows of ours, and what is shown, are another's */
        c->look = c->show = USEC_INFINITY;
    int fd = request->connection > 0 ? request->connection : connect_daemon(c, &absent, why);
    if (fd < 0)
        return absent ? ENDING_ABSENT : ENDING_FAILED;
    int r = send_whole(fd, request->text, request->length, c);
    if (r == 0 && request->block_length > 0)
        r = send_whole(fd, request->block, request->block_length, c);
    if (r == 0 || errno == EPIPE) { /* whoever closed before it came may have said why */
        ending = read_answer(fd, c, sink, ret_code, why);
    } else if (errno == EAGAIN) {
        error_set(why, ERROR_DAEMON_SILENT, "%s", strerror(errno));
        ending = ENDING_FAILED;
    } else {
        error_set(why, ERROR_NO_DAEMON, "%s", strerror(errno));
    }
    if (ending != ENDING_DONE || !request->is_last)
        close(fd);
    if (ending == ENDING_EARLY && request->sent_once) {
        error_set(why, ERROR_DAEMON_SILENT,
                  "it ended the connection before an answer, and a refresh token is not "
                  "sent twice");
        ending = ENDING_FAILED;
    }
    return ending;
}

/* ---- one try after the other ----------------------------------------------------------------- */

/* Ends the line with what each try says anew; what of the time is left, in whole seconds. */
static void complete(struct line *request, uint64_t left)
{
    line_add_number(request, "timeout", left < USEC_PER_SEC ? 1 : left / USEC_PER_SEC);
    line_add(request, " tell once\n");
}

/* Nobody listens: the socket may be being replaced, or a daemon has to be started. Returns whether
 * to try again. */
static bool await_daemon(struct line *request, struct course *c, struct error *why)
{
    bool first = c->absent_until == 0;
    int r = 1;

    if (request->may_be_absent || is_over(c))
        return false;
    if (first)
        c->absent_until = least(c->now + absence, c->deadline);
    if (request->may_start)
        r = autostart_start(c->deadline - c->now, why);
    if (r != 0 && request->may_own && !is_over(c)) {
        request->may_own = false;
        r = autostart_own(c->deadline - c->now, why);
    }
    if (r < 0)
        return false;
    return r == 0 && first ? !is_over(c) : rest(c, c->absent_until);
}

/* The connection ended before an answer: the daemon is being restarted, or dies of something, or it
 * has no room. */
static bool await_answer(struct course *c, struct error *why)
{
    c->early++;
    c->absent_until = 0;
    if (rest(c, c->deadline))
        return true;
    if (c->busy)
        error_set(why, ERROR_BUSY, "%s", "as many as it takes wait for an answer");
    else
        error_set(why, ERROR_DAEMON_SILENT, "it ended the connection before an answer, %u times",
                  c->early);
    return false;
}

/* What another user's daemon did. The remedies are not those of our own. */
static void explain_foreign(enum ending ending, struct error *why)
{
    if (ending == ENDING_EARLY)
        error_set(why, ERROR_OTHER_DAEMON,
                  "it ended the connection without an answer, as one in a user namespace "
                  "(PrivateUsers=yes) does");
    else if (error_exit_code(why->code) == 3)
        why->code = ERROR_OTHER_DAEMON;
}

/* Sets *why, to ERROR_NONE where the daemon answered: then the code is the answer's. */
static enum error_code run(struct line *request, uint64_t timeout, struct sink *sink,
                           struct error *why)
{
    enum error_code code = ERROR_INTERNAL;
    struct course c = { .deadline = timeout,
                        .show = show_after,
                        .pause = pause_first,
                        .is_get = memcmp(request->text, "get ", 4) == 0 };
    size_t length = request->length;
    enum ending ending;
    bool again;

    do {
        request->length = length;
        complete(request, c.deadline - c.now);
        if (request->overflow) {
            error_set(why, ERROR_USAGE, "the request is too long");
            return ERROR_USAGE;
        }
        ending = converse(request, &c, sink, &code, why);
        again = ending == ENDING_ABSENT  ? await_daemon(request, &c, why)
                : ending == ENDING_EARLY ? !request->only_once && await_answer(&c, why)
                                         : false;
    } while (again);
    hide(&c);
    if (ending == ENDING_DONE) {
        why->code = ERROR_NONE;
        return code;
    }
    if (request->connection > 0)
        explain_foreign(ending, why);
    return why->code;
}

int conversation_run(struct line *request, uint64_t timeout)
{
    struct sink sink = { .foreign = request->connection > 0 };
    struct error why;
    enum error_code code = run(request, timeout, &sink, &why);

    own_config_end(&sink.own);
    if (why.code != ERROR_NONE)
        return output_fail(why.code, why.detail);
    return code == ERROR_NONE ? 0 : error_exit_code(code); /* the table is on pages of its own */
}

int conversation_run_hushed(struct line *request, uint64_t timeout, enum error_code hushed,
                            enum error_code *ret)
{
    struct sink sink = { .hushed = hushed };
    struct error why;

    *ret = run(request, timeout, &sink, &why);
    own_config_end(&sink.own);
    if (why.code != ERROR_NONE)
        return output_fail(why.code, why.detail);
    return *ret == ERROR_NONE ? 0 : error_exit_code(*ret);
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
    struct sink sink = {
        .out = out, .size = size, .silent = true, .said = &said, .foreign = request->connection > 0
    };

    out[0] = '\0';
    enum error_code code = run(request, timeout, &sink, &own);
    *why = own.code == ERROR_NONE ? said : own;
    why->code = code;
    why->detail[strcspn(why->detail, "\n")] = '\0';
    return code;
}

/* ---- one answer after the other -------------------------------------------------------------- */

/* What has come and was not delivered: answers may come together. */
struct stream {
    int fd;
    size_t have;
    char buffer[BUFFER];
};

static enum ending fill(struct stream *s, struct course *c, struct error *why)
{
    ssize_t n = read_some(s->fd, s->buffer + s->have, sizeof s->buffer - s->have, c, why);

    if (n <= 0)
        return n == 0 ? ENDING_EARLY : ENDING_FAILED;
    s->have += (size_t)n;
    return ENDING_DONE;
}

static void consume(struct stream *s, size_t n)
{
    s->have -= n;
    memmove(s->buffer, s->buffer + n, s->have);
}

static enum ending next_answer(struct stream *s, struct course *c, struct sink *sink,
                               struct answer *ret, struct error *why)
{
    enum ending ending = ENDING_DONE;
    long header;

    while ((header = answer_parse(s->buffer, s->have, ret)) == 0)
        if ((ending = fill(s, c, why)) != ENDING_DONE)
            return ending;
    if (header < 0) {
        error_set(why, ERROR_BAD_ANSWER, "%s", "");
        return ENDING_FAILED;
    }
    consume(s, (size_t)header);
    for (size_t out = ret->out, err = ret->err; out + err > 0;) {
        if (s->have == 0 && (ending = fill(s, c, why)) != ENDING_DONE)
            return ending;
        size_t n = s->have < out + err ? s->have : out + err;
        if (deliver_blocks(sink, &out, &err, s->buffer, n) < 0) {
            output_unwritten(why);
            return ENDING_FAILED;
        }
        consume(s, n);
    }
    return ENDING_DONE;
}

/* What has come begins with one: those behind it, up to the answer that is none. Out of line, so
 * that `get`, whose answer is in one, has no second buffer. */
static __attribute__((noinline)) enum ending take_parts(int fd, const char *bytes, size_t have,
                                                        struct course *c, struct sink *sink,
                                                        enum error_code *ret_code,
                                                        struct error *why)
{
    struct stream s = { .fd = fd, .have = have };
    struct answer answer;
    enum ending ending;

    memcpy(s.buffer, bytes, have);
    do
        ending = next_answer(&s, c, sink, &answer, why);
    while (ending == ENDING_DONE && answer.part);
    *ret_code = answer.code;
    return ending == ENDING_DONE ? ENDING_DONE : ENDING_FAILED; /* half of it is written out */
}

static enum ending follow(struct stream *s, struct course *c, struct sink *sink,
                          unsigned *ret_answered, enum error_code *ret_code, struct error *why)
{
    enum ending ending;
    struct answer answer;

    while ((ending = next_answer(s, c, sink, &answer, why)) == ENDING_DONE &&
           (*ret_code = answer.code) == ERROR_NONE) {
        ++*ret_answered;
        c->deadline = USEC_INFINITY; /* the next one comes when it comes */
    }
    return ending;
}

enum error_code conversation_follow(const struct line *request, uint64_t timeout,
                                    unsigned *ret_answered, struct error *why)
{
    struct sink sink = { 0 };
    enum error_code code = ERROR_NONE;
    struct course c = { .deadline = timeout, .show = USEC_INFINITY, .look = USEC_INFINITY };
    struct stream s = { .have = 0 };
    enum ending ending = ENDING_EARLY;
    bool absent;

    *ret_answered = 0;
    s.fd = connect_daemon(&c, &absent, why);
    if (s.fd < 0)
        return why->code;
    if (send_whole(s.fd, request->text, request->length, &c) == 0)
        ending = follow(&s, &c, &sink, ret_answered, &code, why);
    close(s.fd);
    if (ending == ENDING_FAILED)
        return why->code;
    why->code = ERROR_NONE;
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

int conversation_open(const struct line *request, uint64_t timeout, bool *ret_absent,
                      struct error *why)
{
    struct course c = { .deadline = timeout, .show = USEC_INFINITY, .look = USEC_INFINITY };
    struct line whole = *request;

    *ret_absent = false;
    line_add(&whole, "\n");
    int fd = connect_daemon(&c, ret_absent, why);
    if (fd < 0 || send_whole(fd, whole.text, whole.length, &c) == 0)
        return fd;
    *ret_absent = true; /* it ended just now */
    error_set(why, ERROR_NO_DAEMON, "%s", strerror(errno));
    close(fd);
    return -1;
}
