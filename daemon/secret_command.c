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

#include "common/time.h"

enum { OUTPUT_MAX = 64 * 1024, ENVIRONMENT_MAX = 64 };

struct secret_command {
    uint64_t time; /* that it may take, usec */
    pid_t pid;
    int fd, pidfd;
    bool output_ended, exited;
    struct secret *output;
    sd_event_source *input, *timer, *exit;
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

/* Between fork and exec. */
static _Noreturn void become_command(char **argv, char **environment, int output, pid_t parent)
{
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0)
        _exit(127);
    syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    execvpe(argv[0], argv, environment);
    _exit(errno == ENOENT ? 127 : 126);
}

static int wait_for_end(struct secret_command *c)
{
    int status = 0;

    if (c->pid > 0)
        while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
            ;
    c->pid = 0;
    return status;
}

static void fail(struct secret_command *c, const char *what)
{
    struct error why;

    error_set(&why, ERROR_CREDENTIAL, "the command %s", what);
    c->done(c->context, NULL, &why);
}

/* By a shell, too: which of its words it is, it has told stderr. */
static void fail_missing(struct secret_command *c)
{
    const char *path = getenv("PATH");
    struct error why;

    error_set(&why, ERROR_NO_COMMAND, "exit status 127, with PATH=%.300s", path ? path : "");
    c->done(c->context, NULL, &why);
}

/* Output and process have both ended: one may come before the other. */
static void conclude(struct secret_command *c)
{
    char what[64];

    if (!c->output_ended || !c->exited)
        return;
    int status = wait_for_end(c);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        struct secret *output = c->output;
        c->output = NULL;
        size_t length = secret_length(output);
        if (length > 0 && secret_peek(output)[length - 1] == '\n')
            secret_set_length(output, length - 1);
        c->done(c->context, output, NULL);
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(what, sizeof what, "was killed by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) == 127) {
        fail_missing(c);
        return;
    } else
        snprintf(what, sizeof what, "failed with exit status %d", WEXITSTATUS(status));
    fail(c, what);
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct secret_command *c = context;
    size_t have = secret_length(c->output);

    (void)events;
    if (have == OUTPUT_MAX) {
        fail(c, "printed more than 64 KiB");
        return 0;
    }
    ssize_t n = read(fd, secret_bytes(c->output) + have, OUTPUT_MAX - have);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n > 0) {
        secret_set_length(c->output, have + (size_t)n);
        return 0;
    }
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
    c->output_ended = true;
    conclude(c);
    return 0;
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct secret_command *c = context;

    (void)fd, (void)events;
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
    c->exited = true;
    conclude(c);
    return 0;
}

static int on_deadline(sd_event_source *source, uint64_t now, void *context)
{
    char span[24], text[64];
    struct secret_command *c = context;

    (void)source, (void)now;
    time_format_duration(span, sizeof span, c->time);
    snprintf(text, sizeof text, "did not end within %s", span);
    fail(c, text);
    return 0;
}

static int spawn(struct secret_command *c, const char *line, struct error *why)
{
    char *environment[ENVIRONMENT_MAX], **argv = secret_command_split(line);
    int pipe_ends[2];
    pid_t parent = getpid();

    if (!argv) {
        error_set(why, ERROR_CREDENTIAL, "the command line is empty or has an open quote");
        return -1;
    }
    fill_environment(environment);
    if (pipe2(pipe_ends, O_CLOEXEC) == 0) {
        c->fd = pipe_ends[0];
        c->pid = fork();
        if (c->pid == 0)
            become_command(argv, environment, pipe_ends[1], parent);
        close(pipe_ends[1]);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
    }
    free(argv[0]);
    free(argv);
    if (c->pid > 0 && (c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0)) >= 0)
        return 0;
    error_set(why, ERROR_CREDENTIAL, "the command cannot be started: %s", strerror(errno));
    return -1;
}

static int fail_start(struct error *why)
{
    error_set(why, ERROR_INTERNAL, "no memory for a command");
    return -1;
}

int secret_command_start(sd_event *event, const char *line, uint64_t time,
                         secret_command_done_fn done, void *context, struct secret_command **ret,
                         struct error *why)
{
    struct secret_command *c = calloc(1, sizeof *c);

    if (!c)
        return fail_start(why);
    *c = (struct secret_command){
        .fd = -1, .pidfd = -1, .done = done, .context = context, .time = time
    };
    c->output = secret_new(OUTPUT_MAX);
    int r = c->output ? spawn(c, line, why) : fail_start(why);
    if (r == 0 &&
        (sd_event_add_io(event, &c->input, c->fd, EPOLLIN, on_output, c) < 0 ||
         sd_event_add_io(event, &c->exit, c->pidfd, EPOLLIN, on_exit_of, c) < 0 ||
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
    sd_event_source_disable_unref(c->exit);
    sd_event_source_disable_unref(c->timer);
    if (c->pid > 0) {
        kill(-c->pid, SIGKILL);
        kill(c->pid, SIGKILL); /* not yet the leader of its group */
        wait_for_end(c);
    }
    if (c->fd >= 0)
        close(c->fd);
    if (c->pidfd >= 0)
        close(c->pidfd);
    secret_free(c->output);
    free(c);
    return NULL;
}
