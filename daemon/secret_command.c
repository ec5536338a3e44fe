#define _GNU_SOURCE
#include "daemon/secret_command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/specifiers.h"
#include "common/time.h"
#include "common/trusted_program.h"
#include "daemon/command_unit.h"

enum {
    OUTPUT_MAX = 64 * 1024,
    COMPLAINT_MAX = 1024 * 1024, /* on stderr */
    TAIL_MAX = 4 * 1024,         /* what is kept of it: the end */
    LINE_MAX = 200,              /* what is shown of that: the last line */
    SHARED_MAX = 4,              /* bytes in a row that it may not have in common with stdout */
    PATH_SHOWN = 200,            /* of PATH, where it was searched */
    WORDS_MAX = 16 * 1024,       /* a line of the configuration has 4 KiB, before %h */
    ENVIRONMENT_MAX = 64
};

struct secret_command {
    struct children *children;
    uint64_t time;       /* that it may take, usec */
    struct child *child; /* the command, or systemd-run */
    bool runs;
    int fd, error_fd;
    struct command_unit unit; /* without a name: a child of ours */
    struct secret *output;
    struct secret *tail; /* of its stderr: nobody knows what it says there */
    size_t complained;   /* bytes on stderr */
    sd_event_source *input, *error_input, *timer, *exit;
    secret_command_done_fn done;
    void *context;
};

/* What password managers need: where home, display, agent and session bus are. */
static const char *const passed_on[] = {
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "GNUPGHOME",
    "GPG_TTY",
    "PASSWORD_STORE_DIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "XDG_SESSION_TYPE",
    "XDG_CURRENT_DESKTOP",
};

static void fill_environment(char *environment[ENVIRONMENT_MAX])
{
    size_t n = 0;

    for (char **e = environ; *e; e++)
        for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++) {
            size_t length = strlen(passed_on[i]);
            if (n < ENVIRONMENT_MAX - 1 && strncmp(*e, passed_on[i], length) == 0 &&
                (*e)[length] == '=')
                environment[n++] = *e;
        }
    environment[n] = NULL;
}

char **secret_command_split(const char *line)
{
    size_t length = strlen(line), n = 0;
    char *text = malloc(length + 1), *out = text, quote = 0;
    char **argv = calloc(length / 2 + 2, sizeof *argv);

    for (const char *p = line; text && argv && *p;) {
        p += strspn(p, " \t");
        if (!*p)
            break;
        argv[n++] = out;
        for (; *p && (quote || (*p != ' ' && *p != '\t')); p++) {
            if (quote ? *p == quote : *p == '\'' || *p == '"')
                quote = quote ? 0 : *p;
            else
                *out++ = *p;
        }
        *out++ = '\0';
    }
    if (text && argv && n > 0 && !quote && *argv[0])
        return argv;
    free(text);
    free(argv);
    return NULL;
}

void secret_command_words_free(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}

static void explain_specifier(int error, char letter, struct error *why)
{
    if (error == -ENOMEM)
        error_set(why, ERROR_INTERNAL, "no memory for a command");
    else
        error_set(why, ERROR_CREDENTIAL, "nobody knows what %%%c in the command line stands for",
                  letter);
}

char **secret_command_words(const char *line, struct error *why)
{
    char **argv = secret_command_split(line), letter = '\0';
    size_t n = 0, used = 0;
    int error = 0;

    if (!argv) {
        error_set(why, ERROR_CREDENTIAL, "the command line is empty or has an open quote");
        return NULL;
    }
    while (argv[n])
        n++;
    char **words = calloc(n + 1, sizeof *words);
    error = words ? 0 : -ENOMEM;
    for (size_t i = 0; error == 0 && i < n; i++) {
        words[i] = specifiers_expand(argv[i], &error, &letter);
        used += words[i] ? strlen(words[i]) + 1 : 0;
    }
    free(argv[0]);
    free(argv);
    if (error == 0 && used <= WORDS_MAX)
        return words;
    if (error == 0)
        error_set(why, ERROR_CREDENTIAL, "the words of the command are longer than %d bytes",
                  WORDS_MAX);
    else
        explain_specifier(error, letter, why);
    secret_command_words_free(words);
    return NULL;
}

/* What a program that is not to be trusted says on stderr, with exit status 126: it is not run. */
static const char not_run[] = "is not run: ";

/* Returns the exit status if that fails. The look is taken here, and not by the daemon, which must
 * not wait for a file system. By its path and not by a descriptor: a script could not be read. */
static int exec_command(char **argv, char **environment)
{
    char program[PATHS_MAX], words[ERROR_DETAIL_MAX + 1];
    struct trusted_fault fault;

    if (trusted_program_find(argv[0], program, &fault) == 0) {
        execvpe(program, argv, environment);
        fault.number = errno;
    } else if (fault.number == 0) {
        trusted_path_tell(&fault, words, sizeof words);
        dprintf(STDERR_FILENO, "%s%s\n", not_run, words);
    }
    return fault.number == ENOENT ? 127 : 126;
}

int secret_command_become(void)
{
    static char words[WORDS_MAX], *argv[WORDS_MAX + 1];
    char *environment[ENVIRONMENT_MAX];
    size_t used = 0, n = 0;
    ssize_t got;

    while ((got = read(0, words + used, sizeof words - used)) > 0)
        used += (size_t)got;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (got < 0 || used == 0 || words[used - 1] != '\0' || null < 0 || dup2(null, 0) < 0)
        return 126;
    for (size_t at = 0; at < used; at += strlen(words + at) + 1)
        argv[n++] = words + at;
    fill_environment(environment);
    return exec_command(argv, environment);
}

/* Between fork and exec. */
static _Noreturn void become_command(char **argv, char **environment, const int streams[3],
                                     pid_t parent)
{
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 3; i++)
        if (dup2(streams[i], i) < 0)
            _exit(127);
    syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    _exit(exec_command(argv, environment));
}

static void stop_unit(const struct secret_command *c)
{
    char *environment[ENVIRONMENT_MAX];

    if (!c->unit.name[0])
        return;
    fill_environment(environment);
    command_unit_stop(&c->unit, c->children, environment);
}

/* ---- what it says of itself ------------------------------------------------------------------*/

/* Takes out what colours a terminal: ESC [ to the final byte (ECMA-48, 5.4). */
static size_t drop_colours(char *text, size_t length)
{
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\033' || i + 1 == length || text[i + 1] != '[') {
            text[used++] = text[i];
            continue;
        }
        for (i += 2; i < length && (text[i] < '@' || text[i] > '~'); i++)
            ;
    }
    return used;
}

/* A shell's own lines (set -x) begin so and have the values of variables. */
static bool is_trace(const char *text, size_t length)
{
    return length > 0 && (text[0] == '+' || memmem(text, length, "\n+", 2));
}

/* Whether there is something in it that was printed as the secret, or a part of one. */
static bool repeats(const char *line, size_t length, const struct secret *output)
{
    size_t have = secret_length(output), shared = have < SHARED_MAX ? have : SHARED_MAX;

    for (size_t i = 0; have > 0 && i + shared <= length; i++)
        if (memmem(secret_peek(output), have, line + i, shared))
            return true;
    return false;
}

/* The last line on stderr that is not empty, or "". It goes to the user and to the log: nothing
 * where it may show the secret, or begins before what was kept, where that cannot be told. */
static void last_line(struct secret_command *c, char *out, size_t size)
{
    char *text = secret_bytes(c->tail);
    bool cut = c->complained > secret_length(c->tail);
    size_t end = drop_colours(text, secret_length(c->tail));

    secret_set_length(c->tail, end);
    while (end > 0 && (unsigned char)text[end - 1] <= ' ')
        end--;
    size_t begin = end;
    while (begin > 0 && text[begin - 1] != '\n' && text[begin - 1] != '\r')
        begin--;
    *out = '\0';
    if ((begin > 0 || !cut) && !is_trace(text, end) &&
        !repeats(text + begin, end - begin, c->output))
        error_clean(out, size, text + begin, end - begin);
}

static void fail(struct secret_command *c, const char *what, const char *said)
{
    struct error why;

    error_set(&why, ERROR_CREDENTIAL, "the command %s%s%s", what, *said ? ": " : "", said);
    c->done(c->context, NULL, &why);
}

static void fail_with_line(struct secret_command *c, const char *what)
{
    char line[LINE_MAX + 1];

    last_line(c, line, sizeof line);
    fail(c, what, line);
}

/* By a shell, too: which of its words it is, it has told stderr. */
static void fail_missing(struct secret_command *c)
{
    const char *path = getenv("PATH");
    char line[LINE_MAX + 1];
    struct error why;

    last_line(c, line, sizeof line);
    error_set(&why, ERROR_NO_COMMAND, "%s%sexit status 127, with PATH=%.*s", line,
              *line ? ": " : "", PATH_SHOWN, path ? path : "");
    c->done(c->context, NULL, &why);
}

/* Whether it was not run, for a reason that stands on stderr. */
static bool fail_not_run(struct secret_command *c)
{
    char line[ERROR_DETAIL_MAX + 1];

    last_line(c, line, sizeof line);
    bool it_is = strncmp(line, not_run, sizeof not_run - 1) == 0;
    if (it_is)
        fail(c, line, "");
    return it_is;
}

/* Of one that a debugger has, or the system collected, it is not known. */
static void fail_by_status(struct secret_command *c, int status)
{
    char what[80];

    if (status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 126 && fail_not_run(c))
        return;
    if (status == -1)
        snprintf(what, sizeof what, "ended, and its exit status is not known");
    else if (WIFSIGNALED(status))
        snprintf(what, sizeof what, "was killed by signal %d", WTERMSIG(status));
    else if (c->unit.name[0] && WEXITSTATUS(status) == 255) /* systemd-run's for both */
        snprintf(what, sizeof what, "was killed by a signal, or failed with exit status 255");
    else
        snprintf(what, sizeof what, "failed with exit status %d", WEXITSTATUS(status));
    if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 127)
        fail_missing(c);
    else
        fail_with_line(c, what);
}

static void conclude(struct secret_command *c, int status)
{
    c->runs = false;
    if (status == -1 || WIFSIGNALED(status)) /* systemd-run: its unit goes on */
        stop_unit(c);
    if (status != 0) {
        fail_by_status(c, status);
        return;
    }
    struct secret *output = c->output;
    c->output = NULL;
    c->done(c->context, output, NULL);
}

enum taken { TAKEN_SOME, TAKEN_ALL, TAKEN_END, TAKEN_TOO_MUCH };

static enum taken taken(ssize_t n)
{
    if (n > 0)
        return TAKEN_SOME;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? TAKEN_ALL : TAKEN_END;
}

static enum taken take_output(struct secret_command *c)
{
    size_t have = secret_length(c->output);
    ssize_t n = read(c->fd, secret_bytes(c->output) + have, OUTPUT_MAX + 1 - have);

    if (n > 0)
        secret_set_length(c->output, have + (size_t)n);
    return secret_length(c->output) > OUTPUT_MAX ? TAKEN_TOO_MUCH : taken(n);
}

/* Keeps the end of it. */
static enum taken take_complaint(struct secret_command *c)
{
    size_t have = secret_length(c->tail), kept = TAIL_MAX / 2;

    if (have == TAIL_MAX) {
        memmove(secret_bytes(c->tail), secret_peek(c->tail) + have - kept, kept);
        secret_set_length(c->tail, have = kept);
    }
    ssize_t n = read(c->error_fd, secret_bytes(c->tail) + have, TAIL_MAX - have);
    if (n > 0) {
        secret_set_length(c->tail, have + (size_t)n);
        c->complained += (size_t)n;
    }
    return c->complained > COMPLAINT_MAX ? TAKEN_TOO_MUCH : taken(n);
}

static const char much_output[] = "printed more than 64 KiB";
static const char much_complaint[] = "printed more than 1 MiB to stderr";

static int on_output(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct secret_command *c = context;
    enum taken how = take_output(c);

    (void)fd, (void)events;
    if (how == TAKEN_END)
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
    if (how == TAKEN_TOO_MUCH)
        fail(c, much_output, "");
    return 0;
}

static int on_complaint(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct secret_command *c = context;
    enum taken how = take_complaint(c);

    (void)fd, (void)events;
    if (how == TAKEN_END)
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
    if (how == TAKEN_TOO_MUCH)
        fail(c, much_complaint, "");
    return 0;
}

/* What is in the pipes. Their end may never come: an agent that the command has started may have
 * them open. */
static enum taken drain(enum taken (*take)(struct secret_command *), struct secret_command *c)
{
    enum taken how;

    do
        how = take(c);
    while (how == TAKEN_SOME);
    return how;
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct secret_command *c = context;

    int status;

    (void)fd, (void)events;
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
    child_has_ended(c->child, &status);
    if (drain(take_complaint, c) == TAKEN_TOO_MUCH)
        fail(c, much_complaint, "");
    else if (drain(take_output, c) == TAKEN_TOO_MUCH)
        fail(c, much_output, "");
    else
        conclude(c, status);
    return 0;
}

static int on_deadline(sd_event_source *source, uint64_t now, void *context)
{
    char span[24], text[64];
    struct secret_command *c = context;

    (void)source, (void)now;
    time_format_duration(span, sizeof span, c->time);
    snprintf(text, sizeof text, "did not end within %s", span);
    if (drain(take_complaint, c) == TAKEN_TOO_MUCH || drain(take_output, c) == TAKEN_TOO_MUCH)
        fail(c, text, "");
    else
        fail_with_line(c, text); /* "Enter passphrase:" */
    return 0;
}

/* A pipe whose end for reading does not block. */
static int open_pipe(int *ret_read, int *ret_write)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *ret_read = ends[0];
    *ret_write = ends[1];
    return 0;
}

/* What stdin is: empty, or the words of the command, which a pipe's buffer holds. */
static int open_input(const struct secret_command *c, char *const *argv)
{
    int ends[2];

    if (!c->unit.name[0])
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    for (; *argv; argv++) {
        size_t length = strlen(*argv) + 1;
        if (write(ends[1], *argv, length) != (ssize_t)length) {
            close(ends[0]);
            ends[0] = -1;
            break;
        }
    }
    close(ends[1]);
    return ends[0];
}

/* As a leader of a group of its own, whoever of both comes first. */
static int start_process(struct secret_command *c, char **argv, char **environment, int input)
{
    int streams[3] = { input, -1, -1 };
    pid_t parent = getpid();
    bool ready = input >= 0 && open_pipe(&c->fd, &streams[1]) == 0 &&
                 open_pipe(&c->error_fd, &streams[2]) == 0;

    int error = errno;

    if (ready) {
        pid_t pid = child_fork(c->child);
        if (pid == 0)
            become_command(argv, environment, streams, parent);
        error = (int)-pid;
        c->runs = pid > 0;
        if (pid > 0)
            setpgid(pid, pid);
        child_leads(c->child);
    }
    for (int i = 0; i < 3; i++)
        if (streams[i] >= 0)
            close(streams[i]);
    errno = error;
    return c->runs ? 0 : -1;
}

/* The command itself, or systemd-run. */
static int start_either(struct secret_command *c, const char *profile, char **argv)
{
    char *environment[ENVIRONMENT_MAX], **unit_argv = NULL, description[128];

    fill_environment(environment);
    if (command_unit_plan(&c->unit)) {
        snprintf(description, sizeof description, "Credential command of kubetoken, profile %s",
                 profile);
        unit_argv = command_unit_argv(&c->unit, description, c->time, environment);
        if (!unit_argv)
            return -1;
    }
    int r = start_process(c, unit_argv ? unit_argv : argv, environment, open_input(c, argv));
    free(unit_argv);
    return r;
}

static int spawn(struct secret_command *c, const char *profile, const char *line, struct error *why)
{
    char **argv = secret_command_words(line, why);

    if (!argv)
        return -1;
    int r = start_either(c, profile, argv);
    if (r < 0)
        child_no_start(why, ERROR_CREDENTIAL, "the command cannot be started: ", errno);
    secret_command_words_free(argv);
    return r;
}

static int fail_start(struct error *why)
{
    error_set(why, ERROR_INTERNAL, "no memory for a command");
    return -1;
}

int secret_command_start(struct children *children, const char *profile, const char *line,
                         uint64_t time, secret_command_done_fn done, void *context,
                         struct secret_command **ret, struct error *why)
{
    struct secret_command *c = calloc(1, sizeof *c);

    if (!c)
        return fail_start(why);
    sd_event *event = children_event(children);
    *c = (struct secret_command){ .children = children,
                                  .fd = -1,
                                  .error_fd = -1,
                                  .done = done,
                                  .context = context,
                                  .time = time };
    c->output = secret_new(OUTPUT_MAX + 1);
    c->tail = secret_new(TAIL_MAX);
    int r = c->output && c->tail ? 0 : fail_start(why);
    if (r == 0) {
        c->child = child_prepare(children, "credential command", profile, why);
        r = c->child ? spawn(c, profile, line, why) : -1;
    }
    if (r == 0 &&
        (sd_event_add_io(event, &c->input, c->fd, EPOLLIN, on_output, c) < 0 ||
         sd_event_add_io(event, &c->error_input, c->error_fd, EPOLLIN, on_complaint, c) < 0 ||
         sd_event_add_io(event, &c->exit, child_pidfd(c->child), EPOLLIN, on_exit_of, c) < 0 ||
         sd_event_add_time_relative(event, &c->timer, CLOCK_BOOTTIME, time, 1, on_deadline, c) < 0))
        r = fail_start(why);
    if (r < 0) {
        secret_command_free(c);
        return -1;
    }
    *ret = c;
    return 0;
}

struct secret_command *secret_command_free(struct secret_command *c)
{
    if (!c)
        return NULL;
    sd_event_source_disable_unref(c->input); /* before the descriptor closes */
    sd_event_source_disable_unref(c->error_input);
    sd_event_source_disable_unref(c->exit);
    sd_event_source_disable_unref(c->timer);
    child_free(c->child);
    if (c->runs)
        stop_unit(c);
    if (c->fd >= 0)
        close(c->fd);
    if (c->error_fd >= 0)
        close(c->error_fd);
    secret_free(c->output);
    secret_free(c->tail);
    free(c);
    return NULL;
}
