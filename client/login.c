/* kubetoken login: asks for the password, and hands it to the daemon. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/conversation.h"
#include "client/locked.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/time.h"

/* One byte more than a password may take, and its newline. */
enum { ROOM = PROTOCOL_PASSWORD_MAX + 2 };

static char *password;

/* The terminal as it was: it must not stay silent, whatever ends us. */
static struct termios before;
static int terminal;

static void on_signal(int number)
{
    tcsetattr(terminal, TCSAFLUSH, &before);
    signal(number, SIG_DFL);
    raise(number); /* takes effect when this handler returns */
}

static void catch_signals(void (*handler)(int))
{
    signal(SIGINT, handler);
    signal(SIGTERM, handler);
    signal(SIGHUP, handler);
    signal(SIGTSTP, handler == SIG_DFL ? SIG_DFL : SIG_IGN);
}

/* Reads until a newline (which is cut) or the end. Returns the length, -1 on failure. */
static ssize_t read_line(int fd)
{
    size_t have = 0;

    while (have < ROOM) {
        ssize_t n = read(fd, password + have, ROOM - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        char *newline = memchr(password + have, '\n', (size_t)n);
        have += (size_t)n;
        if (newline)
            return newline - password;
        if (n == 0)
            break;
    }
    return (ssize_t)have;
}

static ssize_t ask_terminal(int tty, const char *profile)
{
    struct termios silent;
    char prompt[PROTOCOL_NAME_MAX + 32];
    ssize_t n = -1;

    if (tcgetattr(tty, &before) < 0)
        return -1;
    int length = snprintf(prompt, sizeof prompt, "Password for %s: ", profile);
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    terminal = tty;
    catch_signals(on_signal);
    if (tcsetattr(tty, TCSAFLUSH, &silent) == 0 && write(tty, prompt, (size_t)length) == length)
        n = read_line(tty);
    tcsetattr(tty, TCSAFLUSH, &before);
    catch_signals(SIG_DFL);
    return write(tty, "\n", 1) == 1 ? n : -1;
}

/* The password from the terminal, or from stdin where that is none. Returns its length, -1
 * after having complained. */
static ssize_t read_password(const char *profile)
{
    ssize_t n;

    password = locked_memory(ROOM);
    if (isatty(STDIN_FILENO)) {
        int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        n = ask_terminal(tty >= 0 ? tty : STDIN_FILENO, profile);
        if (tty >= 0)
            close(tty);
    } else {
        n = read_line(STDIN_FILENO);
    }
    if (n < 0)
        output_fail(ERROR_USAGE, "the password cannot be read");
    else if (n == 0)
        output_fail(ERROR_USAGE, "the password is empty");
    else if (n > PROTOCOL_PASSWORD_MAX)
        output_fail(ERROR_USAGE, "the password is longer than 16 KiB");
    return n > 0 && n <= PROTOCOL_PASSWORD_MAX ? n : -1;
}

int command_login(int argc, char **argv)
{
    struct options o = { .command = "login", .timeout = PROTOCOL_TIMEOUT };
    struct line line = { .may_start = true };
    char profile[PROTOCOL_NAME_MAX + 2];

    int r = options_parse(argc, argv, &o);
    if (r)
        return r;
    /* First which profile that is, and whether there is a daemon: nobody likes to type a
     * password for nothing. */
    line_add(&line, "profile * ");
    line_add(&line, o.profile ? o.profile : "*");
    r = conversation_query(&line, o.timeout, profile, sizeof profile);
    if (r)
        return r;
    profile[strcspn(profile, "\n")] = '\0';

    ssize_t length = read_password(profile);
    if (length < 0)
        return error_exit_code(ERROR_USAGE);
    line = (struct line){ .may_start = true, .block = password, .block_length = (size_t)length };
    line_add(&line, "login * ");
    line_add(&line, profile);
    line_add_number(&line, "secret", (uint64_t)length);
    r = conversation_run(&line, o.timeout);
    explicit_bzero(password, ROOM);
    return r;
}
