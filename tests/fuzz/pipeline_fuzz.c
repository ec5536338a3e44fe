/* What a peer sends over one connection, to the daemon's own server: request behind request, blocks
 * of secrets among them, cut into pieces anywhere. The input is a byte of choice, from which the
 * pieces follow, and the bytes. A second reading of the protocol says how many answers there have
 * to be and which of them tell of nonsense; however it is cut, the answers are the same. There is
 * no configuration: no request leaves the process. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/protocol.h"
#include "common/time.h"
#include "daemon/context.h"
#include "daemon/journal.h"
#include "daemon/server.h"

enum { ANSWERS_MAX = 512, ROOM = 1 << 20 };

/* Not a line for each request to reload. */
void journal_write(int priority, const char *profile, const char *event, const char *format, ...)
{
    (void)priority, (void)profile, (void)event, (void)format;
}

bool journal_allows(struct journal_limit *limit, uint64_t now)
{
    (void)limit, (void)now;
    return false;
}

/* ---- the daemon ------------------------------------------------------------------------------ */

static struct context shared;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_length = sizeof address;

/* Once: it serves one input after the other. */
static void start(void)
{
    static const char *const paths[] = { "/nonexistent/kubetoken.conf" };
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    /* a name that the kernel finds, in no file system */
    PROMISE(bind(listener, (const struct sockaddr *)&address, sizeof address.sun_family) == 0);
    PROMISE(getsockname(listener, (struct sockaddr *)&address, &address_length) == 0);
    PROMISE(listen(listener, 8) == 0);
    fetch_queue_init(&shared.fetch_queue);
    TAILQ_INIT(&shared.turns);
    PROMISE(sd_event_new(&shared.event) >= 0);
    shared.fetcher.fd = -ENOENT;
    shared.program = -1;
    shared.accounts = account_table_new(NULL);
    shared.history = history_new();
    struct profiles *profiles = profiles_new(&shared, paths, 1);
    PROMISE(shared.accounts && profiles);
    PROMISE(server_new(shared.event, listener, profiles));
    profiles_reload(profiles);
}

/* Until nothing is left to do now. */
static void turn(void)
{
    while (sd_event_run(shared.event, 0) > 0)
        ;
}

/* ---- the peer -------------------------------------------------------------------------------- */

struct answers {
    size_t n;
    enum error_code code[ANSWERS_MAX];
};

/* Takes what has come. Returns whether the daemon has closed. */
static bool receive(int fd, char *in, size_t *length)
{
    for (;;) {
        PROMISE(*length < ROOM);
        ssize_t n = recv(fd, in + *length, ROOM - *length, MSG_DONTWAIT);
        if (n <= 0)
            return n == 0 || errno == ECONNRESET || errno == EPIPE;
        *length += (size_t)n;
    }
}

/* The wait lines and answers that came, each of them whole. */
static void read_answers(const char *in, size_t length, struct answers *ret)
{
    struct answer a;
    const char *text;
    size_t text_length;

    ret->n = 0;
    while (length > 0) {
        long used = wait_parse(in, length, &text, &text_length);
        PROMISE(used >= 0);
        if (used == 0) {
            used = answer_parse(in, length, &a);
            PROMISE(used > 0 && (size_t)used + a.out + a.err <= length);
            used += (long)(a.out + a.err);
            PROMISE(ret->n < ANSWERS_MAX);
            ret->code[ret->n++] = a.code;
        }
        in += used;
        length -= (size_t)used;
    }
}

/* Whoever sends no more is answered, and then let go; but one that is told again and again stays.
 */
static void read_to_the_end(int fd, char *in, size_t *length, bool stays)
{
    for (;;) {
        turn();
        if (receive(fd, in, length))
            return;
        int r = sd_event_run(shared.event, (stays ? 20 : 10000) * USEC_PER_MSEC);
        if (r == 0 && stays)
            return;
        PROMISE(r > 0);
    }
}

/* One connection: sends it in pieces, the first before the daemon looks, and reads to the end. */
static void converse(const char *bytes, size_t size, unsigned pieces, bool stays,
                     struct answers *ret)
{
    static char in[ROOM];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    size_t at = 0, length = 0;
    bool closed = false;

    PROMISE(connect(fd, (const struct sockaddr *)&address, address_length) == 0);
    while (at < size && !closed) {
        size_t piece = pieces ? 1 + (pieces * (at + 7)) % 61 : size;
        piece = piece < size - at ? piece : size - at;
        ssize_t n = send(fd, bytes + at, piece, MSG_NOSIGNAL | MSG_DONTWAIT);
        at += n > 0 ? (size_t)n : 0;
        turn();
        closed = receive(fd, in, &length) || (n < 0 && errno != EAGAIN);
    }
    shutdown(fd, SHUT_WR);
    if (!closed)
        read_to_the_end(fd, in, &length, stays);
    close(fd);
    turn();
    read_answers(in, length, ret);
}

/* ---- the second reading ---------------------------------------------------------------------- */

struct reading {
    size_t least;    /* answers */
    bool exact;      /* no more than these: else one goes on, or what is behind it waits */
    size_t nonsense; /* the number of the answer that says so, from 1; 0: none does */
};

static struct reading read_requests(const char *bytes, size_t size)
{
    struct reading r = { .exact = true };
    struct request request;
    struct error why;

    for (size_t at = 0; at < size && r.exact && r.least < ANSWERS_MAX - 1;) {
        size_t left = size - at, most = left < PROTOCOL_REQUEST_MAX ? left : PROTOCOL_REQUEST_MAX;
        const char *newline = memchr(bytes + at, '\n', most);
        if (!newline && left < PROTOCOL_REQUEST_MAX)
            return r; /* half a request */
        if (!newline ||
            request_parse(bytes + at, (size_t)(newline - bytes) - at, &request, &why) < 0) {
            r.nonsense = ++r.least;
            return r;
        }
        at = (size_t)(newline - bytes) + 1;
        if (request.secret > size - at)
            return r; /* half a block */
        at += request.secret;
        r.least++;
        r.exact = request.verb != VERB_FOLLOW && request.verb != VERB_WATCH;
        if (request.once && r.exact)
            return r;
    }
    return r;
}

static void check(const struct reading *r, const struct answers *a)
{
    PROMISE(a->n >= r->least);
    PROMISE(!r->exact || a->n == r->least);
    for (size_t i = 0; i < r->least; i++)
        PROMISE((a->code[i] == ERROR_BAD_REQUEST) == (i + 1 == r->nonsense));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct answers whole, cut;

    if (!shared.event)
        start();
    if (size < 2 || size > 32 * 1024) /* a socket's buffer */
        return 0;
    char *bytes = fuzz_bytes(data + 1, size - 1);
    const struct reading r = read_requests(bytes, size - 1);
    if (r.least < 64) {
        converse(bytes, size - 1, 0, !r.exact, &whole);
        check(&r, &whole);
        converse(bytes, size - 1, data[0] + 1U, !r.exact, &cut);
        check(&r, &cut);
        for (size_t i = 0; i < r.least; i++)
            PROMISE(whole.code[i] == cut.code[i]);
    }
    free(bytes);
    return 0;
}
