#define _GNU_SOURCE
#include "client/progress.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/output.h"
#include "common/error.h"
#include "common/protocol.h"
#include "common/text.h"

static const char clear[] = "\r\033[K";
static const char name[] = "kubetoken: ";
enum { CLEAR = sizeof clear - 1, NAME = sizeof name - 1, USUAL_WIDTH = 80 };

static char text[PROTOCOL_WAIT_MAX];
static size_t length;
static bool wanted;
static volatile sig_atomic_t shown;

static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
enum { ENDING = sizeof ending / sizeof *ending };
static void (*before[ENDING])(int); /* what these did */

/* The width of the terminal, 0 where there is none to write to. */
static size_t width(void)
{
    const char *term = getenv("TERM");
    struct winsize size;

    if (!term || !*term || text_equal(term, "dumb") || ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0)
        return 0;
    pid_t front = tcgetpgrp(STDERR_FILENO);
    if (front > 0 && front != getpgrp())
        return 0;
    return size.ws_col > 0 ? size.ws_col : USUAL_WIDTH;
}

/* How much of the text fits into that many columns. What is not ASCII may take two. */
static size_t fitting(size_t columns)
{
    size_t used = 0, n;

    for (size_t i = 0; i < length; i += n) {
        n = text[i] == ' ' ? 1 : error_character(text + i, length - i);
        used += n == 1 ? 1 : 2;
        if (n == 0 || used > columns)
            return i;
    }
    return length;
}

/* The program ends of it: nobody reads errno any more. */
static void on_signal(int number)
{
    ssize_t ignored = shown ? write(STDERR_FILENO, clear, CLEAR) : 0;

    (void)ignored;
    for (size_t i = 0; i < ENDING; i++)
        if (ending[i] == number)
            signal(number, before[i]);
    raise(number); /* takes effect when this handler returns */
}

static void catch_signals(void)
{
    for (size_t i = 0; i < ENDING; i++) {
        before[i] = signal(ending[i], on_signal);
        if (before[i] == SIG_IGN)
            signal(ending[i], SIG_IGN);
    }
}

static void release_signals(void)
{
    for (size_t i = 0; i < ENDING; i++)
        signal(ending[i], before[i]);
}

/* In one write: others may write to the terminal, too. */
static void draw(void)
{
    char line[CLEAR + NAME + sizeof text];
    size_t columns = width(), room = columns > NAME + 1 ? columns - NAME - 1 : 0;
    size_t n = fitting(room);

    if (n == 0)
        return;
    if (!shown)
        catch_signals();
    shown = 1;
    memcpy(line, clear, CLEAR);
    memcpy(line + CLEAR, name, NAME);
    memcpy(line + CLEAR + NAME, text, n);
    output_write(STDERR_FILENO, line, CLEAR + NAME + n);
}

void progress_set(const char *what, size_t n)
{
    n = n < sizeof text ? n : sizeof text;
    if (n == length && memcmp(text, what, n) == 0)
        return;
    memcpy(text, what, n);
    length = n;
    if (wanted)
        draw();
}

void progress_show(void)
{
    if (wanted)
        return;
    wanted = true;
    draw();
}

void progress_hide(void)
{
    wanted = false;
    if (!shown)
        return;
    output_write(STDERR_FILENO, clear, CLEAR);
    shown = 0;
    release_signals();
}
