/* kubetoken login: asks for the password, a one-time password beside it, or a refresh token, and
 * hands them to the daemon. */
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
#include "client/device_login.h"
#include "client/locked.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/secret_form.h"
#include "common/text.h"
#include "common/time.h"

/* How long stdin may stay open behind the first line before that counts as all. */
enum { OPEN_STDIN = 1000 /* msec */ };

/* The user's name ends where the secret begins, so that both are one block; the one-time password
 * is put behind it when that is sent. */
static char *secret, *name, *otp;
static size_t name_length, otp_length;
static bool no_otp; /* a person says that there is none */

/* What the daemon says of the profile. */
struct known {
    const char *user;   /* "ask", or "ask " and the last one, where the configuration names none */
    bool password;      /* one is at hand */
    bool otp;           /* it goes with a one-time password alone */
    bool refresh_token; /* it takes one, and no password */
    bool device;        /* a person confirms it elsewhere */
};

enum { OTP_ROOM = 4 * PROTOCOL_OTP_MAX }; /* blanks may part it */

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

static bool has_lines(const char *text, size_t length, unsigned lines)
{
    for (size_t i = 0; i < length && lines > 0; i++)
        lines -= text[i] == '\n';
    return lines == 0;
}

/* Reads so many lines, and what may stand behind them. Returns the length, -1 on failure. */
static ssize_t read_lines(int fd, unsigned lines)
{
    size_t have = 0;

    while (have < SECRET_FORM_ROOM) {
        if (has_lines(secret, have, lines) && !may_go_on(fd))
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

/* With echo: a name is no secret, and a code is over when it is typed. */
static ssize_t ask_openly(int tty, const char *question, const char *profile, const char *last,
                          char *out, size_t size)
{
    char prompt[PROTOCOL_NAME_MAX + PROTOCOL_USER_MAX + 48];
    int length = snprintf(prompt, sizeof prompt, "%s for %s%s%s%s: ", question, profile,
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
        n = read_lines(tty, 1);
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
    ssize_t n = ask_openly(tty, "User name", profile, last, typed, sizeof typed);
    close_terminal(tty);
    if (n == 0 && *last)
        return 0;
    return n < 0 ? output_fail(ERROR_USAGE, "the user name cannot be read")
                 : take_name(typed, (size_t)n);
}

/* ---- the one-time password ------------------------------------------------------------------- */

/* Takes one line; blanks in it only make it readable. Returns an exit code. */
static int take_otp(const char *line, size_t length)
{
    bool over = false;

    otp_length = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i];
        over |= c == '\n';
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if (over || c < 0x20 || c == 0x7f || otp_length == PROTOCOL_OTP_MAX)
            return output_fail(ERROR_USAGE, "the one-time password is none: one line, of at most "
                                            "128 printable bytes");
        otp[otp_length++] = line[i];
    }
    no_otp = otp_length == 0;
    return 0;
}

static int ask_otp(const char *profile)
{
    int tty = open_terminal();
    ssize_t n = ask_openly(tty, "One-time password", profile, "", otp, OTP_ROOM);

    close_terminal(tty);
    return n < 0 ? output_fail(ERROR_USAGE, "the one-time password cannot be read")
                 : take_otp(otp, (size_t)n);
}

/* Of stdin: the last of the lines is the code, or the only one where a password is at hand.
 * *ret_length is what is left of them. */
static int split_otp(size_t have, bool alone, size_t *ret_length)
{
    const char *newline = alone ? NULL : memchr(secret, '\n', have);
    size_t at = alone ? 0 : newline ? (size_t)(newline - secret) + 1 : have;

    if (!alone && !newline)
        return output_fail(ERROR_USAGE, "a second line is missing, with the one-time password");
    *ret_length = at;
    return take_otp(secret + at, have - at);
}

/* ---- what is asked --------------------------------------------------------------------------- */

/* Reads the secret from the terminal, with nothing of the code yet; n: as ask_terminal(). */
static ssize_t ask_secret(const struct options *o, const char *profile)
{
    int tty = open_terminal();
    ssize_t n = ask_terminal(tty, o->refresh_token ? "Refresh token" : "Password", profile);

    close_terminal(tty);
    return n;
}

/* Whether that is an empty line where a password is at hand, to be used with a code. */
static bool is_left_out(const struct known *known, size_t length)
{
    return known->otp && known->password && (length == 0 || *secret == '\n' || *secret == '\r');
}

/* Reads what is needed from the terminal, or from stdin where that is none. Returns an exit code.
 */
static int read_secret(const struct options *o, const char *profile, const struct known *known,
                       size_t *ret_length)
{
    bool typed = isatty(STDIN_FILENO), alone = o->otp && known->password;
    bool coded = o->otp || (typed && known->otp && !o->refresh_token);
    ssize_t n = 0;
    int r = 0;

    if (!typed)
        n = read_lines(STDIN_FILENO, o->otp && !alone ? 2 : 1);
    else if (!alone)
        n = ask_secret(o, profile);
    if (n < 0)
        return output_fail(ERROR_USAGE, o->refresh_token ? "the refresh token cannot be read"
                                                         : "the password cannot be read");
    size_t length = (size_t)n;
    if (!typed && coded)
        r = split_otp(length, alone, &length);
    if (r == 0 && !alone && !(typed && is_left_out(known, length))) {
        const struct secret_form form = secret_form_judge(secret, length);
        *ret_length = form.length;
        r = form.fault == SECRET_FORM_GOOD ? 0 : complain(&form, o, typed);
    }
    return r == 0 && typed && coded ? ask_otp(profile) : r;
}

/* ---- the request ----------------------------------------------------------------------------- */

/* Sends name, secret and code, as one block. Returns the exit code. */
static int log_in(const struct options *o, const char *profile, size_t length,
                  enum error_code hushed, enum error_code *ret)
{
    struct line line = { .may_start = true,
                         .sent_once = o->refresh_token || otp_length > 0,
                         .block = name ? name : secret,
                         .block_length = name_length + length + otp_length };

    memcpy(secret + length, otp, otp_length);
    line_add(&line, o->refresh_token ? "login refresh-token "
                    : otp_length > 0 ? "login otp "
                    : name           ? "login username "
                                     : "login * ");
    line_add(&line, profile);
    if (length > 0)
        line_add_number(&line, "secret", length);
    if (name)
        line_add_number(&line, "username", name_length);
    if (otp_length > 0)
        line_add_number(&line, "otp", otp_length);
    if (no_otp)
        line_add(&line, " no-otp");
    return conversation_run_hushed(&line, o->timeout, hushed, ret);
}

/* Logs in; where the provider wants a code that nobody named, on a terminal it is asked for, and
 * all goes once more. Returns the exit code. */
static int log_in_with(const struct options *o, const char *profile, size_t length)
{
    bool may_ask = isatty(STDIN_FILENO) && otp_length == 0 && !o->refresh_token;
    enum error_code code;
    int r = log_in(o, profile, length, may_ask ? ERROR_OTP_REQUIRED : ERROR_NONE, &code);

    if (!may_ask || code != ERROR_OTP_REQUIRED)
        return r;
    r = ask_otp(profile);
    if (r == 0 && otp_length == 0)
        r = output_fail(ERROR_OTP_REQUIRED, "none was given");
    return r == 0 ? log_in(o, profile, length, ERROR_NONE, &code) : r;
}

/* The name ends where the first of the lines does. */
static void read_known(char *text, struct known *ret)
{
    char *next = text;

    *ret = (struct known){ .user = "" };
    for (char *line = text; *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = '\0';
        if (line == text)
            continue;
        if (strcmp(line, "ask") == 0 || strncmp(line, "ask ", 4) == 0)
            ret->user = line;
        ret->password |= strcmp(line, "password") == 0;
        ret->otp |= strcmp(line, "otp") == 0;
        ret->refresh_token |= strcmp(line, "refresh-token") == 0;
        ret->device |= strcmp(line, "device") == 0;
    }
}

static int check_options(const struct options *o)
{
    if (o->username && o->refresh_token)
        return output_fail(ERROR_USAGE, "a refresh token goes without --username");
    if (o->otp && o->refresh_token)
        return output_fail(ERROR_USAGE, "a refresh token goes without --otp");
    return 0;
}

int command_login(int argc, char **argv)
{
    struct options o = { .command = "login", .timeout = PROTOCOL_TIMEOUT, .may_refresh = true };
    struct line line = { .may_start = true };
    char profile[PROTOCOL_NAME_MAX + PROTOCOL_USER_MAX + 40];
    enum { ROOM = PROTOCOL_USER_MAX + SECRET_FORM_ROOM + PROTOCOL_OTP_MAX + OTP_ROOM };
    struct known known;
    size_t length = 0;

    int r = options_parse(argc, argv, &o);
    if (r == 0)
        r = check_options(&o);
    if (r)
        return r;
    /* First which profile that is, and whether there is a daemon: nobody likes to type a
     * password for nothing. */
    line_add(&line, "profile * ");
    line_add(&line, o.profile ? o.profile : "*");
    line_add(&line, " with-user with-otp");
    r = conversation_query(&line, o.timeout, profile, sizeof profile);
    if (r)
        return r;
    read_known(profile, &known);
    o.refresh_token |= known.refresh_token && !o.username && !o.otp;

    if (known.device && !o.refresh_token)
        return o.username || o.otp
                   ? output_fail(ERROR_USAGE, "with grant = device nothing is typed here: the page "
                                              "asks who it is")
                   : device_login(profile, o.timeout);

    char *block = locked_memory(ROOM);
    secret = block + PROTOCOL_USER_MAX;
    otp = secret + SECRET_FORM_ROOM + PROTOCOL_OTP_MAX;
    r = find_name(&o, profile, known.user);
    if (r == 0)
        r = read_secret(&o, profile, &known, &length);
    if (r == 0)
        r = log_in_with(&o, profile, length);
    explicit_bzero(block, ROOM);
    return r;
}
