/* kubetoken login: asks for the password, or a refresh token, and hands it to the daemon. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
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
#include "common/secret_form.h"
#include "common/time.h"

/* How long stdin may stay open behind the first line before that counts as all. */
enum { OPEN_STDIN = 1000 /* msec */ };

/* The user's name ends where the secret begins, so that both are one block. */
static char *secret, *name;
static size_t name_length;

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

/* Whether more may follow a line: of a terminal nothing is part of it. */
static bool may_go_on(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return !isatty(fd) && poll(&p, 1, OPEN_STDIN) > 0;
}

/* Reads a line, and what may stand behind it. Returns the length, -1 on failure. */
static ssize_t read_line(int fd)
{
    size_t have = 0;

    while (have < SECRET_FORM_ROOM) {
        if (memchr(secret, '\n', have) && !may_go_on(fd))
            break;
        ssize_t n = read(fd, secret + have, SECRET_FORM_ROOM - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        have += (size_t)n;
        if (n == 0)
            break;
    }
    return (ssize_t)have;
}

/* With echo: a name is no secret. */
static ssize_t ask_name(int tty, const char *profile, const char *last, char *out, size_t size)
{
    char prompt[PROTOCOL_NAME_MAX + PROTOCOL_USER_MAX + 48];
    int length = snprintf(prompt, sizeof prompt, "User name for %s%s%s%s: ", profile,
                          *last ? " [" : "", last, *last ? "]" : "");
    ssize_t n;

    if (write(tty, prompt, (size_t)length) != length)
        return -1;
    while ((n = read(tty, out, size)) < 0 && errno == EINTR)
        ;
    while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r' || out[n - 1] == ' '))
        n--;
    return n;
}

static ssize_t ask_terminal(int tty, const char *question, const char *profile)
{
    struct termios silent;
    char prompt[PROTOCOL_NAME_MAX + 48];
    ssize_t n = -1;

    if (tcgetattr(tty, &before) < 0)
        return -1;
    int length = snprintf(prompt, sizeof prompt, "%s for %s: ", question, profile);
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

/* Says what is wrong with it. Returns the exit code. */
static int complain(const struct secret_form *form, const struct options *o, bool typed)
{
    char words[SECRET_FORM_WORDS], detail[SECRET_FORM_WORDS + 112];
    bool usage = form->fault == SECRET_FORM_EMPTY || form->fault == SECRET_FORM_TOO_LONG;
    bool lines = form->fault == SECRET_FORM_SECOND_LINE && !typed;

    secret_form_words(form, words);
    snprintf(detail, sizeof detail, "the %s %s%s%s",
             o->refresh_token ? "refresh token" : "password", words,
             lines ? "; give the first alone: ... | head -n1 | kubetoken login" : "",
             lines && o->refresh_token ? " --refresh-token" : "");
    return output_fail(usage ? ERROR_USAGE : ERROR_CREDENTIAL, detail);
}

/* The terminal, or stdin where that cannot be opened. */
static int open_terminal(void)
{
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    return tty >= 0 ? tty : STDIN_FILENO;
}

static void close_terminal(int tty)
{
    if (tty != STDIN_FILENO)
        close(tty);
}

/* Puts the name in front of the secret. Returns an exit code. */
static int take_name(const char *text, size_t length)
{
    if (length == 0 || length > PROTOCOL_USER_MAX)
        return output_fail(ERROR_USAGE, length == 0 ? "a user name is missing"
                                                    : "the user name is longer than 512 bytes");
    name_length = length;
    name = memcpy(secret - length, text, length);
    return 0;
}

/* Finds out who logs in, where the configuration does not say: asked is what the daemon said of
 * that, "ask", or "ask " and the last one. Returns an exit code. */
static int find_name(const struct options *o, const char *profile, const char *asked)
{
    char typed[PROTOCOL_USER_MAX + 2];
    const char *last = strncmp(asked, "ask ", 4) == 0 ? asked + 4 : "";

    if (o->username)
        return take_name(o->username, strlen(o->username));
    if (strncmp(asked, "ask", 3) != 0 || o->refresh_token)
        return 0;
    if (!isatty(STDIN_FILENO))
        return *last ? 0
                     : output_fail(ERROR_USAGE, "the configuration names no user; say --username "
                                                "NAME");
    int tty = open_terminal();
    ssize_t n = ask_name(tty, profile, last, typed, sizeof typed);
    close_terminal(tty);
    if (n == 0 && *last)
        return 0;
    return n < 0 ? output_fail(ERROR_USAGE, "the user name cannot be read")
                 : take_name(typed, (size_t)n);
}

/* Reads it from the terminal, or from stdin where that is none. Returns an exit code. */
static int read_secret(const struct options *o, const char *profile, size_t *ret_length)
{
    const char *question = o->refresh_token ? "Refresh token" : "Password";
    bool typed = isatty(STDIN_FILENO);
    ssize_t n;

    if (typed) {
        int tty = open_terminal();
        n = ask_terminal(tty, question, profile);
        close_terminal(tty);
    } else {
        n = read_line(STDIN_FILENO);
    }
    if (n < 0)
        return output_fail(ERROR_USAGE, o->refresh_token ? "the refresh token cannot be read"
                                                         : "the password cannot be read");
    const struct secret_form form = secret_form_judge(secret, (size_t)n);
    *ret_length = form.length;
    return form.fault == SECRET_FORM_GOOD ? 0 : complain(&form, o, typed);
}

/* Sends name and secret, as one block. Returns the exit code. */
static int log_in(const struct options *o, const char *profile, size_t length)
{
    struct line line = { .may_start = true,
                         .sent_once = o->refresh_token,
                         .block = name ? name : secret,
                         .block_length = name_length + length };

    line_add(&line, o->refresh_token ? "login refresh-token "
                    : name           ? "login username "
                                     : "login * ");
    line_add(&line, profile);
    line_add_number(&line, "secret", length);
    if (name)
        line_add_number(&line, "username", name_length);
    return conversation_run(&line, o->timeout);
}

int command_login(int argc, char **argv)
{
    struct options o = { .command = "login", .timeout = PROTOCOL_TIMEOUT, .may_refresh = true };
    struct line line = { .may_start = true };
    char profile[PROTOCOL_NAME_MAX + PROTOCOL_USER_MAX + 16];
    size_t length = 0;

    int r = options_parse(argc, argv, &o);
    if (r)
        return r;
    if (o.username && o.refresh_token)
        return output_fail(ERROR_USAGE, "a refresh token goes without --username");
    /* First which profile that is, and whether there is a daemon: nobody likes to type a
     * password for nothing. */
    line_add(&line, "profile * ");
    line_add(&line, o.profile ? o.profile : "*");
    line_add(&line, " with-user");
    r = conversation_query(&line, o.timeout, profile, sizeof profile);
    if (r)
        return r;
    char *asked = profile + strcspn(profile, "\n");
    if (*asked)
        *asked++ = '\0';
    asked[strcspn(asked, "\n")] = '\0';
    o.refresh_token |= strcmp(asked, "refresh-token") == 0 && !o.username;

    char *block = locked_memory(PROTOCOL_USER_MAX + SECRET_FORM_ROOM);
    secret = block + PROTOCOL_USER_MAX;
    r = find_name(&o, profile, asked);
    if (r == 0)
        r = read_secret(&o, profile, &length);
    if (r == 0)
        r = log_in(&o, profile, length);
    explicit_bzero(block, PROTOCOL_USER_MAX + SECRET_FORM_ROOM);
    return r;
}
