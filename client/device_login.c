#define _GNU_SOURCE
#include "client/device_login.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/conversation.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/qr_code.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

/* What has to come whole: a wait line, a header, what is to be shown. */
enum { INBOX = 8 * 1024, SHOWN_MAX = 4 * 1024 };
/* For the answer that the code has ended. */
static const uint64_t patience = 30 * USEC_PER_SEC;

struct login {
    const char *profile;
    int fd;
    uint64_t deadline; /* usec of CLOCK_BOOTTIME */
    size_t have;
    char inbox[INBOX];
};

/* ---- what is shown --------------------------------------------------------------------------- */

struct shown {
    const char *code, *page, *whole_page; /* "": none was given */
    uint64_t lives;                       /* usec */
};

/* Lines of a word and its value; words of a later version are passed over. Ends each with a NUL. */
static struct shown read_shown(char *text, size_t length)
{
    struct shown s = { .code = "", .page = "", .whole_page = "" };

    while (length > 0) {
        char *end = memchr(text, '\n', length);
        char *value = end ? memchr(text, ' ', (size_t)(end - text)) : NULL;
        if (!value)
            break;
        *end = *value++ = '\0';
        if (text_equal(text, "user-code"))
            s.code = value;
        else if (text_equal(text, "verification-uri"))
            s.page = value;
        else if (text_equal(text, "verification-uri-complete"))
            s.whole_page = value;
        else if (text_equal(text, "expires-in"))
            time_parse_duration(value, strlen(value), &s.lives);
        length -= (size_t)(end + 1 - text);
        text = end + 1;
    }
    return s;
}

/* To stderr: stdout may be a file. */
static void show(const struct login *l, const struct shown *s)
{
    char text[SHOWN_MAX], span[24];
    int n = snprintf(text, sizeof text,
                     "kubetoken: %s: to log in, open this page in a browser, on any machine:\n\n"
                     "    %s\n\nand enter this code there:\n\n    %s\n\n",
                     l->profile, s->page, s->code);

    progress_hide();
    output_write(STDERR_FILENO, text, (size_t)n);
    if (*s->whole_page) {
        n = snprintf(text, sizeof text,
                     "Or open this one, which knows the code, and compare it:\n\n    %s\n\n",
                     s->whole_page);
        output_write(STDERR_FILENO, text, (size_t)n);
    }
    qr_code_show(*s->whole_page ? s->whole_page : s->page);
    time_format_duration(span, sizeof span, s->lives);
    n = snprintf(text, sizeof text,
                 "Confirm it only because you have said kubetoken login yourself, just now: who "
                 "sends\nyou a code wants to log in as you. The code lives %s.\n",
                 span);
    output_write(STDERR_FILENO, text, (size_t)n);
    explicit_bzero(text, sizeof text);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static int fail(const char *detail)
{
    progress_hide();
    return output_fail(ERROR_DAEMON_SILENT, detail);
}

/* Returns 0 when more has come, or an exit code. */
static int read_more(struct login *l)
{
    uint64_t now = time_boottime();
    struct pollfd p = { .fd = l->fd, .events = POLLIN };
    uint64_t left = l->deadline > now ? (l->deadline - now) / USEC_PER_MSEC + 1 : 0;

    if (l->have == INBOX) {
        progress_hide();
        return output_fail(ERROR_BAD_ANSWER, "");
    }
    int r = poll(&p, 1, left < INT_MAX ? (int)left : INT_MAX);
    if (r < 0 && errno == EINTR)
        return 0;
    if (r <= 0)
        return fail("");
    ssize_t n = read(l->fd, l->inbox + l->have, INBOX - l->have);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0)
        return fail("it ended the connection, and the login with it");
    l->have += (size_t)n;
    return 0;
}

static void drop(struct login *l, size_t n)
{
    l->have -= n;
    memmove(l->inbox, l->inbox + n, l->have);
    explicit_bzero(l->inbox + l->have, n);
}

/* Takes wait lines, until the head is that of an answer. Returns 0, or an exit code. */
static int take_header(struct login *l, struct answer *ret)
{
    const char *text;
    size_t length;
    int r = 0;

    while (r == 0) {
        long n = wait_parse(l->inbox, l->have, &text, &length);
        if (n > 0) {
            progress_set(text, length);
            progress_show();
        }
        long header = n == 0 ? answer_parse(l->inbox, l->have, ret) : 0;
        if ((n < 0 && n != -EAGAIN) || header < 0) {
            progress_hide();
            return output_fail(ERROR_BAD_ANSWER, "");
        }
        if (n > 0 || header > 0)
            drop(l, (size_t)(n > 0 ? n : header));
        if (header > 0)
            return 0;
        if (n <= 0)
            r = read_more(l);
    }
    return r;
}

/* Returns 0, or an exit code. */
static int take_shown(struct login *l, const struct answer *part)
{
    size_t whole = part->out + part->err;
    int r = 0;

    while (r == 0 && l->have < whole)
        r = whole <= INBOX ? read_more(l) : output_fail(ERROR_BAD_ANSWER, "");
    if (r)
        return r;
    const struct shown shown = read_shown(l->inbox, part->out);
    show(l, &shown);
    l->deadline = time_boottime() + shown.lives + patience;
    drop(l, whole);
    return 0;
}

/* The answer, to stdout and stderr. Returns the exit code. */
static int take_answer(struct login *l, const struct answer *answer)
{
    size_t out = answer->out, err = answer->err;
    int r = 0, written = 0;

    progress_hide();
    while (r == 0 && out + err > 0) {
        size_t n = l->have < out ? l->have : out, m = l->have - n < err ? l->have - n : err;
        if (n > 0 && output_write(STDOUT_FILENO, l->inbox, n) < 0)
            written = -1;
        if (m > 0)
            output_write(STDERR_FILENO, l->inbox + n, m);
        out -= n;
        err -= m;
        drop(l, n + m);
        if (out + err > 0)
            r = read_more(l);
    }
    if (r == 0 && written < 0) {
        struct error why;
        output_unwritten(&why);
        return output_fail(why.code, why.detail);
    }
    return r ? r : error_exit_code(answer->code);
}

static int converse(struct login *l)
{
    struct answer answer;
    int r;

    while ((r = take_header(l, &answer)) == 0 && answer.part)
        if ((r = take_shown(l, &answer)) != 0)
            return r;
    return r ? r : take_answer(l, &answer);
}

int device_login(const char *profile, uint64_t timeout)
{
    static struct login l;
    struct line line = { .length = 0 };
    struct error why;
    bool absent;

    line_add(&line, "login device ");
    line_add(&line, profile);
    line_add_seconds(&line, "timeout", timeout);
    line_add(&line, " tell");
    l.profile = profile;
    l.deadline = time_boottime() + timeout;
    l.fd = conversation_open(&line, timeout, &absent, &why);
    if (l.fd < 0)
        return output_fail(why.code, why.detail);
    int r = converse(&l);
    close(l.fd);
    explicit_bzero(l.inbox, sizeof l.inbox);
    return r;
}
