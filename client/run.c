/* kubetoken run: a command that starts with a token which lives long enough, and for which the
 * token is kept fresh as long as it runs. This process becomes that command, so that signals,
 * terminal and exit status are its own; the daemon follows it by a pidfd. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/conversation.h"
#include "client/help.h"
#include "client/locked.h"
#include "client/options.h"
#include "client/output.h"
#include "client/reap.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

/* As env(1): a number of its own for what is not the command's. */
enum { NOT_RUN = 125, NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

enum { NAME_MAX_LENGTH = 255, STANDARD = STDERR_FILENO + 1, UNKNOWN = -1 };

/* Beyond the deadline that a child of ours has itself. */
static const uint64_t end_time = 5 * USEC_PER_SEC;

struct run {
    const char *profile;
    const char *variable; /* that is to hold the token; NULL: none */
    uint64_t timeout;
    uint64_t min_validity;
    char **command;
};

/* How things were when we came: the command is to find them so. */
struct found {
    void (*on_broken_pipe)(int);
    bool is_closed[STANDARD];
};

static bool is_variable(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz0123456789";
    size_t length = strspn(name, letters);

    return length > 0 && length <= NAME_MAX_LENGTH && name[length] == '\0' &&
           (*name < '0' || *name > '9');
}

static int take_variable(const char *value, struct run *r)
{
    if (r->variable)
        return output_fail(ERROR_USAGE, "--env is given twice");
    if (!is_variable(value))
        return output_fail(ERROR_USAGE, "--env takes the name of a variable, of letters, digits "
                                        "and _");
    r->variable = value;
    return 0;
}

/* One argument before "--". Returns 0, or an exit code after having complained. */
static int parse_argument(char **argv, int *i, struct run *r)
{
    const char *value;
    bool missing = false;

    if ((value = options_value(argv, i, "timeout", 0, &missing)))
        return options_duration("--timeout", value, &r->timeout);
    if ((value = options_value(argv, i, "min-validity", 0, &missing)))
        return options_duration("--min-validity", value, &r->min_validity);
    if ((value = options_value(argv, i, "env", 0, &missing)))
        return take_variable(value, r);
    if (missing)
        return help_value_missing(argv[*i]);
    if (argv[*i][0] == '-')
        return help_unknown_option("run", argv[*i]);
    return options_take_profile(argv[*i], &r->profile);
}

static int parse(int argc, char **argv, struct run *r)
{
    int i, code;

    for (i = 1; i < argc && !text_equal(argv[i], "--"); i++)
        if ((code = parse_argument(argv, &i, r)))
            return code;
    if (i >= argc)
        return output_fail(ERROR_USAGE, "-- and a command are missing: "
                                        "kubetoken run [PROFILE] -- COMMAND");
    if (i + 1 >= argc)
        return output_fail(ERROR_USAGE, "no command stands behind --");
    if (r->timeout == 0)
        return output_fail(ERROR_USAGE, "--timeout 0 leaves no time");
    r->command = argv + i + 1;
    return options_check_profile(r->profile);
}

/* ---- the token ------------------------------------------------------------------------------- */

static uint64_t left_until(uint64_t deadline)
{
    uint64_t now = time_boottime();

    return now + USEC_PER_SEC < deadline ? deadline - now : USEC_PER_SEC;
}

static bool is_absent(void)
{
    struct line line = { .may_be_absent = true };
    char version[128];

    line_add(&line, "version * *");
    return conversation_ask(&line, 2 * USEC_PER_SEC, version, sizeof version) == ERROR_NO_DAEMON;
}

/* Has a daemon started, by a child that ends: the command is to be no parent of it. Returns the
 * exit code of an error that was told. */
static int start_daemon(const struct run *r, uint64_t deadline)
{
    struct line line = { .may_start = true };
    char name[PROTOCOL_NAME_MAX + 2];
    int status = UNKNOWN;
    pid_t pid = fork();

    if (pid < 0)
        return output_fail(ERROR_NO_PROCESS, strerror(errno));
    if (pid == 0) {
        line_add(&line, "profile * ");
        line_add(&line, r->profile ? r->profile : "*");
        _exit(conversation_query(&line, left_until(deadline), name, sizeof name));
    }
    if (!reap(pid, "kubetoken", deadline + end_time, &status))
        return error_exit_code(ERROR_STUCK);
    if (status == UNKNOWN) /* nobody is told of children here: see what answers */
        return 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : error_exit_code(ERROR_NO_DAEMON);
}

/* Has the daemon follow this process, with a token that lives long enough; out gets it where it is
 * wanted. Returns an exit code after having complained. */
static int hold(const struct run *r, char *out, size_t size)
{
    uint64_t deadline = time_boottime() + r->timeout;
    struct line line = { 0 };
    int code = is_absent() ? start_daemon(r, deadline) : 0;

    if (code)
        return code;
    line_add(&line, r->variable ? "hold token " : "hold text ");
    line_add(&line, r->profile ? r->profile : "*");
    if (r->min_validity)
        line_add_seconds(&line, "min-validity", r->min_validity);
    return conversation_query(&line, left_until(deadline), out, size);
}

/* The same, and puts the token into the environment, which everybody of this user can read. */
static int hold_and_tell(const struct run *r)
{
    size_t name = strlen(r->variable);
    char *text = locked_memory(NAME_MAX_LENGTH + 1 + PROTOCOL_TOKEN_MAX + 2);

    memcpy(text, r->variable, name);
    text[name] = '=';
    int code = hold(r, text + name + 1, PROTOCOL_TOKEN_MAX + 2);
    text[strcspn(text, "\n")] = '\0';
    if (code == 0 && putenv(text) != 0)
        code = output_fail_for_memory();
    return code;
}

/* ---- the command ----------------------------------------------------------------------------- */

static struct found look(void)
{
    struct found f = { .on_broken_pipe = signal(SIGPIPE, SIG_IGN) };

    for (int fd = 0; fd < STANDARD; fd++)
        f.is_closed[fd] = fcntl(fd, F_GETFD) < 0;
    return f;
}

static void restore(const struct found *f)
{
    signal(SIGPIPE, f->on_broken_pipe);
    for (int fd = 0; fd < STANDARD; fd++)
        if (f->is_closed[fd])
            close(fd);
}

/* Returns errno. A text without "#!" is the shell's, as with every execvp() but musl's. */
static int try(char *path, char **command)
{
    static char shell[] = "/bin/sh";

    execve(path, command, environ);
    if (errno != ENOEXEC)
        return errno;
    command[-1] = shell; /* where "--" was */
    command[0] = path;
    execve(shell, command - 1, environ);
    return errno;
}

/* Returns errno: where a folder of PATH has it and it cannot be run, that counts. */
static int search(char **command)
{
    const char *folder = getenv("PATH"), *name = command[0];
    static char path[PATH_MAX];
    int found = ENOENT;

    if (!folder)
        folder = "/bin:/usr/bin";
    for (;; folder++) {
        size_t length = strcspn(folder, ":"), rest = strlen(name) + 1;
        if (length + 1 + rest <= sizeof path) {
            memcpy(path, folder, length);
            path[length] = '/';
            memcpy(path + length + (length > 0), name, rest);
            int number = try(path, command);
            if (number != ENOENT && number != ENOTDIR && number != EACCES)
                return number;
            found = number == EACCES ? EACCES : found;
        }
        folder += length;
        if (!*folder)
            return found;
    }
}

/* Returns only if that fails: the exit code, after having complained. */
static int become(char **command)
{
    char detail[256];
    char *name = command[0];
    int number = !*name ? ENOENT : strchr(name, '/') ? try(name, command) : search(command);

    text_join(detail, sizeof detail,
              strlen(name) < sizeof detail / 2 ? name : "its name is too long", ": ",
              strerror(number));
    output_fail(ERROR_NOT_STARTED, detail);
    return number == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

int command_run(int argc, char **argv)
{
    struct run r = { .timeout = PROTOCOL_TIMEOUT, .command = argv };
    struct found found = look();
    char nothing[1];

    int code = parse(argc, argv, &r);
    if (code == 0)
        code = r.variable ? hold_and_tell(&r) : hold(&r, nothing, sizeof nothing);
    if (code)
        return NOT_RUN;
    restore(&found);
    return become(r.command);
}
