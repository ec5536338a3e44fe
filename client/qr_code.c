#define _GNU_SOURCE
#include "client/qr_code.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/output.h"
#include "client/screen.h"
#include "common/time.h"

enum { PICTURE_MAX = 32 * 1024 };
/* It takes some milliseconds. */
static const uint64_t patience = 2 * USEC_PER_SEC;

/* In the child: the address comes in and the picture goes out by one socket. */
static _Noreturn void become_qrencode(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    char type[] = "ANSIUTF8", plain[] = "UTF8", name[] = "qrencode";
    char t[] = "-t", m[] = "-m", margin[] = "2", o[] = "-o", out[] = "-";
    char *argv[] = { name, t, no_color && *no_color ? plain : type, m, margin, o, out, NULL };
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (null >= 0 && dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0 &&
        dup2(null, STDERR_FILENO) >= 0)
        execvp(name, argv);
    _exit(127);
}

/* Until its end, or ours. Returns the length. */
static size_t read_picture(int fd, char picture[PICTURE_MAX])
{
    uint64_t deadline = time_boottime() + patience, now;
    size_t have = 0;
    ssize_t n = 1;

    while (n > 0 && have < PICTURE_MAX && (now = time_boottime()) < deadline) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) <= 0)
            break;
        n = read(fd, picture + have, PICTURE_MAX - have);
        have += n > 0 ? (size_t)n : 0;
    }
    return have;
}

/* Returns the length of the picture, 0: there is none. */
static size_t draw(const char *address, char picture[PICTURE_MAX])
{
    int ends[2], status = -1;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return 0;
    pid_t pid = fork();
    if (pid == 0)
        become_qrencode(ends[1]);
    close(ends[1]);
    size_t length = strlen(address), have = 0;
    if (pid > 0 && send(ends[0], address, length, MSG_NOSIGNAL) == (ssize_t)length &&
        shutdown(ends[0], SHUT_WR) == 0)
        have = read_picture(ends[0], picture);
    close(ends[0]);
    if (pid > 0) {
        kill(pid, SIGKILL); /* nothing for one that has ended */
        waitpid(pid, &status, 0);
    }
    return have < PICTURE_MAX ? have : 0;
}

/* Columns and rows that it takes: characters, without escape sequences (ESC [ ... letter). */
static bool fits(const char *picture, size_t length, const struct winsize *size)
{
    size_t column = 0, widest = 0, rows = 0;
    bool in_escape = false;

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)picture[i];
        if (in_escape) {
            in_escape = !((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
        } else if (c == '\033') {
            in_escape = true;
        } else if (c == '\n') {
            widest = column > widest ? column : widest;
            column = 0;
            rows++;
        } else {
            column += (c & 0xc0) != 0x80;
        }
    }
    return rows > 0 && column == 0 && widest <= size->ws_col && rows <= size->ws_row;
}

void qr_code_show(const char *address)
{
    static char picture[PICTURE_MAX];
    struct winsize size;

    if (!screen_takes_escapes() || !screen_takes_utf8() || !isatty(STDERR_FILENO) ||
        ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0)
        return;
    size_t length = draw(address, picture);
    if (length > 0 && fits(picture, length, &size)) {
        output_write(STDERR_FILENO, picture, length);
        output_write(STDERR_FILENO, "\n", 1);
    }
    explicit_bzero(picture, length);
}
