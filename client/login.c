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

static char *secret;

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

/* Reads it from the terminal, or from stdin where that is none. Returns an exit code. */
static int read_secret(const struct options *o, const char *profile, size_t *ret_length)
{
    const char *question = o->refresh_token ? "Refresh token" : "Password";
    bool typed = isatty(STDIN_FILENO);
    ssize_t n;

    secret = locked_memory(SECRET_FORM_ROOM);
    if (typed) {
        int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        n = ask_terminal(tty >= 0 ? tty : STDIN_FILENO, question, profile);
        if (tty >= 0)
            close(tty);
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

int command_login(int argc, char **argv)
{
    struct options o = { .command = "login", .timeout = PROTOCOL_TIMEOUT, .may_refresh = true };
    struct line line = { .may_start = true };
    char profile[PROTOCOL_NAME_MAX + 2];
    size_t length = 0;

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

    r = read_secret(&o, profile, &length);
    if (r)
        return r;
    line = (struct line){
        .may_start = true, .sent_once = o.refresh_token, .block = secret, .block_length = length
    };
    line_add(&line, o.refresh_token ? "login refresh-token " : "login * ");
    line_add(&line, profile);
    line_add_number(&line, "secret", length);
    r = conversation_run(&line, o.timeout);
    explicit_bzero(secret, SECRET_FORM_ROOM);
    return r;
}
