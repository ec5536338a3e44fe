#define _GNU_SOURCE
#include "client/screen.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/output.h"
#include "common/text.h"
#include "common/wrap.h"

/* The other screen without a cursor, and back. */
static const char enter[] = "\033[?1049h\033[?25l", leave[] = "\033[?25h\033[?1049l";

static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
enum { ENDING = sizeof ending / sizeof *ending };

/* Changed while all signals that are caught are blocked. */
static char *picture;
static size_t picture_length;
static volatile sig_atomic_t shown; /* the other screen is the one that is seen */
static volatile sig_atomic_t stale; /* it went on, or has another size */
static sigset_t outside;            /* the mask of the program, in which signals arrive */

bool screen_is_terminal(void)
{
    return isatty(STDOUT_FILENO);
}

bool screen_takes_escapes(void)
{
    const char *term = getenv("TERM");

    return term && *term && !text_equal(term, "dumb") && screen_is_terminal();
}

bool screen_takes_utf8(void)
{
    static const char names[][9] = { "LC_ALL", "LC_CTYPE", "LANG" }; /* locale(7) */
    const char *value = NULL;

    for (size_t i = 0; i < sizeof names / sizeof *names && (!value || !*value); i++)
        value = getenv(names[i]);
    return value && (strcasestr(value, "utf-8") || strcasestr(value, "utf8"));
}

void screen_add_look(struct line *line)
{
    const char *no_color = getenv("NO_COLOR");

    line_add_number(line, "columns", output_columns());
    if (!screen_is_terminal())
        return;
    line_add(line, screen_takes_utf8() ? " bar=blocks" : " bar=ascii");
    if (screen_takes_escapes() && (!no_color || !*no_color))
        line_add(line, " colour");
}

/* ---- signals --------------------------------------------------------------------------------- */

/* What was seen last is left where it can be read and copied. */
static void give_back(void)
{
    if (!shown)
        return;
    shown = false;
    output_write(STDOUT_FILENO, leave, sizeof leave - 1);
    output_write(STDOUT_FILENO, picture, picture_length);
}

static void on_end(int number)
{
    give_back();
    signal(number, SIG_DFL);
    raise(number); /* takes effect when this handler returns */
}

static void on_stop(int number)
{
    int kept = errno;

    (void)number;
    if (shown)
        output_write(STDOUT_FILENO, leave, sizeof leave - 1);
    shown = false;
    raise(SIGSTOP);
    stale = true;
    errno = kept;
}

static void on_news(int number)
{
    (void)number;
    stale = true;
}

static void catch (sigset_t *all, int number, void (*handler)(int))
{
    struct sigaction act = { .sa_handler = handler }, before;

    sigfillset(&act.sa_mask); /* one after the other */
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_IGN)
        return;
    sigaction(number, &act, NULL);
    sigaddset(all, number);
}

void screen_begin(void)
{
    sigset_t all;

    sigemptyset(&all);
    for (size_t i = 0; i < ENDING; i++)
        catch (&all, ending[i], on_end);
    catch (&all, SIGTSTP, on_stop);
    catch (&all, SIGCONT, on_news);
    catch (&all, SIGWINCH, on_news);
    sigprocmask(SIG_BLOCK, &all, &outside);
}

int screen_poll(struct pollfd *fds, size_t n, int timeout)
{
    const struct timespec time = { timeout / 1000, timeout % 1000 * 1000000L };
    int r = ppoll(fds, n, timeout < 0 ? NULL : &time, &outside);

    if (stale) {
        stale = false;
        return -2;
    }
    return r;
}

/* ---- drawing --------------------------------------------------------------------------------- */

/* Columns of a line, without the escape sequences of colours. */
static size_t line_width(const char *line, size_t length)
{
    size_t width = 0;

    for (size_t i = 0; i < length;) {
        const char *escape = memchr(line + i, '\033', length - i);
        size_t end = escape ? (size_t)(escape - line) : length;
        width += wrap_width(line + i, end - i);
        while (end < length && line[end] != 'm')
            end++;
        i = end + (end < length);
    }
    return width;
}

/* How many rows of the terminal it takes. */
static size_t rows_of(const char *line, size_t length, size_t columns)
{
    size_t width = line_width(line, length);

    return width == 0 ? 1 : (width + columns - 1) / columns;
}

/* Without the end of the line. */
static size_t line_length(const char *at)
{
    const char *end = memchr(at, '\n', (size_t)(picture + picture_length - at));

    return end ? (size_t)(end - at) : (size_t)(picture + picture_length - at);
}

static size_t picture_rows(size_t columns)
{
    size_t rows = 0, length;

    for (const char *at = picture; at < picture + picture_length; at += length + 1) {
        length = line_length(at);
        rows += rows_of(at, length, columns);
    }
    return rows;
}

/* The last line has no end, or the terminal would scroll. */
static void put_line(FILE *f, const char *line, size_t length, bool *first)
{
    fprintf(f, "%s%.*s", *first ? "" : "\r\n", (int)length, line);
    *first = false;
}

static void put_picture(FILE *f, const char *note, const struct winsize *size)
{
    size_t rows = size->ws_row ? size->ws_row : 24, columns = size->ws_col ? size->ws_col : 80;
    size_t used = 0, left = 0, length;
    bool first = true;

    if (rows > 1 && *note)
        rows--;
    if (rows > 1 && picture_rows(columns) > rows)
        rows--;
    for (const char *at = picture; at < picture + picture_length; at += length + 1) {
        length = line_length(at);
        used += rows_of(at, length, columns);
        if (used > rows)
            left++;
        else
            put_line(f, at, length, &first);
    }
    if (left > 0)
        fprintf(f, "%s(%zu more lines)", first ? "" : "\r\n", left);
    if (*note)
        fprintf(f, "\r\n%s", note);
}

/* Of another job: it is stopped as one that reads is, and goes on when it is in front. */
static bool is_in_front(void)
{
    pid_t front = tcgetpgrp(STDOUT_FILENO);

    if (front <= 0 || front == getpgrp())
        return true;
    raise(SIGTTOU);
    return tcgetpgrp(STDOUT_FILENO) == getpgrp();
}

bool screen_set(const char *text, size_t length)
{
    char *copy = malloc(length + 1);

    if (!copy)
        return false;
    memcpy(copy, text, length);
    free(picture);
    picture = copy;
    picture_length = length;
    return true;
}

void screen_draw(const char *note)
{
    struct winsize size = { 0 };
    char *text = NULL;
    size_t n;

    FILE *f = is_in_front() ? open_memstream(&text, &n) : NULL;
    if (!f)
        return;
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    fprintf(f, "%s\033[H\033[J", shown ? "" : enter);
    put_picture(f, note, &size);
    fclose(f);
    shown |= text != NULL;
    if (text)
        output_write(STDOUT_FILENO, text, n); /* at once: it does not flicker */
    free(text);
}

void screen_end(void)
{
    give_back();
}
