#define _GNU_SOURCE
#include "client/admin/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "client/locked.h"
#include "client/output.h"
#include "common/printable.h"
#include "common/secret_form.h"

enum { ROOM = 2 * SECRET_FORM_ROOM };

static bool nobody;

void ask_nobody(void)
{
    nobody = true;
}

bool ask_somebody(void)
{
    return !nobody && isatty(STDIN_FILENO);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* What was read and not taken yet: a line behind the one that was asked for may be a password. */
static char *held;
static size_t held_length;

/* How many bytes up to the end of the first line, with it; 0: it is not all there. */
static size_t whole_line(void)
{
    const char *end = held_length > 0 ? memchr(held, '\n', held_length) : NULL;

    return end ? (size_t)(end - held) + 1 : 0;
}

/* Reads until a line is there. Returns its length with its end, which may be missing at the end of
 * the input; 0: nothing came; or -E2BIG. */
static ssize_t fill(int fd)
{
    size_t line;

    if (!held)
        held = locked_memory(ROOM);
    while ((line = whole_line()) == 0) {
        if (held_length == ROOM)
            return -E2BIG;
        ssize_t n = read(fd, held + held_length, ROOM - held_length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return (ssize_t)held_length;
        held_length += (size_t)n;
    }
    return (ssize_t)line;
}

static void drop(size_t line)
{
    memmove(held, held + line, held_length - line);
    explicit_bzero(held + held_length - line, line);
    held_length -= line;
}

/* Takes a line without its end. Returns 0, -ECANCELED: the input is at its end, or -E2BIG. */
static int take_line(int fd, char *out, size_t size, size_t *ret_length)
{
    ssize_t line = fill(fd);

    if (line <= 0)
        return line == 0 ? -ECANCELED : (int)line;
    size_t length = (size_t)line - (held[line - 1] == '\n');
    int r = length < size ? 0 : -E2BIG;
    if (r == 0) {
        memcpy(out, held, length);
        out[length] = '\0';
        *ret_length = length;
    }
    drop((size_t)line);
    return r;
}

/* The terminal itself: stdout may be a file. */
static int open_terminal(void)
{
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    return tty >= 0 ? tty : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
}

static void show(int tty, const char *question, const char *preset, const char *end)
{
    char *line = NULL;

    fflush(stdout);
    if (preset && *preset ? asprintf(&line, "%s [%s]%s", question, preset, end) < 0
                          : asprintf(&line, "%s%s", question, end) < 0)
        return;
    printable_hide(line, "\n");
    output_write(tty, line, strlen(line));
    free(line);
}

static void cut_blanks(char *text)
{
    size_t begin = strspn(text, " \t\r"), length = strlen(text + begin);

    memmove(text, text + begin, length + 1);
    while (length > 0 && strchr(" \t\r", text[length - 1]))
        text[--length] = '\0';
}

static int take_preset(const char *preset, char *out, size_t size)
{
    if (!preset)
        return -ENODATA;
    if (strlen(preset) >= size)
        return -E2BIG;
    memcpy(out, preset, strlen(preset) + 1);
    return 0;
}

/* shown: how the preset stands behind the question. */
static int ask_shown(const char *question, const char *shown, const char *preset, char *out,
                     size_t size)
{
    bool terminal = isatty(STDIN_FILENO);
    size_t length = 0;
    int r;

    if (nobody && (terminal || preset))
        return take_preset(preset, out, size);
    if (terminal) {
        int tty = open_terminal();
        show(tty, question, shown, ": ");
        r = take_line(tty, out, size, &length);
        if (r < 0)
            show(tty, "", NULL, "\n");
        close(tty);
    } else {
        r = take_line(STDIN_FILENO, out, size, &length);
        if (r == -ECANCELED)
            return take_preset(preset, out, size);
    }
    if (r < 0)
        return r;
    if (strlen(out) != length)
        return -EILSEQ;
    cut_blanks(out);
    return *out ? 0 : take_preset(preset, out, size);
}

int ask_line(const char *question, const char *preset, char *out, size_t size)
{
    return ask_shown(question, preset, preset, out, size);
}

/* ---- without an echo ------------------------------------------------------------------------- */

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
enum { ENDING = sizeof ending / sizeof *ending };

/* The terminal as it was, and what else is done at these signals: files may have to go. */
static struct termios before;
static int terminal_fd;
static struct sigaction handlers[ENDING], stop_handler;

static void give_back(void)
{
    tcsetattr(terminal_fd, TCSAFLUSH, &before);
    for (size_t i = 0; i < ENDING; i++)
        sigaction(ending[i], &handlers[i], NULL);
    sigaction(SIGTSTP, &stop_handler, NULL);
}

static void on_signal(int number)
{
    give_back();
    raise(number); /* takes effect when this handler returns */
}

static void silence(int tty)
{
    const struct sigaction ours = { .sa_handler = on_signal }, ignore = { .sa_handler = SIG_IGN };
    struct termios silent = before;

    terminal_fd = tty;
    for (size_t i = 0; i < ENDING; i++) {
        sigaction(ending[i], NULL, &handlers[i]);
        if (handlers[i].sa_handler != SIG_IGN)
            sigaction(ending[i], &ours, NULL);
    }
    sigaction(SIGTSTP, &ignore, &stop_handler); /* it would leave the shell without an echo */
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(tty, TCSAFLUSH, &silent);
}

static int ask_silently(const char *question, char *out, size_t size, size_t *ret_length)
{
    int tty = open_terminal();

    if (tcgetattr(tty, &before) < 0) {
        close(tty);
        return -ECANCELED;
    }
    silence(tty);
    show(tty, question, NULL, ": ");
    int r = take_line(tty, out, size, ret_length);
    give_back();
    show(tty, "", NULL, "\n");
    close(tty);
    return r;
}

int ask_secret(const char *question, char *out, size_t size)
{
    bool terminal = isatty(STDIN_FILENO);
    size_t length = 0;
    int r;

    if (nobody && terminal)
        return -ENODATA;
    r = terminal ? ask_silently(question, out, size, &length)
                 : take_line(STDIN_FILENO, out, size, &length);
    if (r < 0)
        return r == -ECANCELED && !terminal ? -ENODATA : r;
    if (strlen(out) != length)
        return -EILSEQ;
    return length > 0 ? 0 : -ENODATA;
}

bool ask_yes(const char *question, bool preset)
{
    const char *shown = preset ? "Y/n" : "y/N";
    char answer[64];
    int r;

    if (!ask_somebody())
        return preset;
    do
        r = ask_shown(question, shown, preset ? "y" : "n", answer, sizeof answer);
    while ((r == 0 && !strchr("yYnN", *answer)) || r == -E2BIG);
    return r == 0 && (*answer == 'y' || *answer == 'Y');
}
