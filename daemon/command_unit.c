#define _GNU_SOURCE
#include "daemon/command_unit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "common/time.h"
#include "common/trusted_program.h"
#include "daemon/journal.h"

/* What the manager gives beyond the time that we give. */
static const uint64_t grace = 5 * USEC_PER_SEC;
/* With a systemctl that the manager does not answer. */
static const uint64_t patience = 10 * USEC_PER_SEC;

/*
 * KillMode      an agent that it leaves behind is not killed with it.
 * oneshot       An end by SIGTERM is a failure then, not a success with half of the output. Such a
 *               unit has TimeoutStartSec= (below) for a RuntimeMaxSec=.
 * LogLevelMax   No lines for each start, end and failure: we tell of a failure, once.
 * BindsTo       (below) It ends with us, also when we crash. A restart of ours restarts it too, but
 *               its stdin has been read by then, and without words it ends.
 */
static const char *const fixed[] = {
    "systemd-run",       "--user", "--pipe",           "--wait", "--collect",    "-q",
    "--same-dir",        "-p",     "KillMode=process", "-p",     "Type=oneshot", "-p",
    "TimeoutStopSec=5s", "-p",     "UMask=0077",       "-p",     "LimitCORE=0",  "-p",
    "LogLevelMax=crit",
};
enum { FIXED = sizeof fixed / sizeof *fixed, FURTHER = 10 /* with NULL */ };

/* ---- whether ----------------------------------------------------------------------------------*/

/* As execvp(3) finds it. */
static bool is_found(const char *program)
{
    char file[PATHS_MAX];

    for (const char *p = getenv("PATH"); p && *p; p += strspn(p, ":")) {
        size_t length = strcspn(p, ":");
        int n = snprintf(file, sizeof file, "%.*s/%s", (int)length, p, program);
        if (n > 0 && (size_t)n < sizeof file && access(file, X_OK) == 0)
            return true;
        p += length;
    }
    return false;
}

/* Whether systemd itself has started us, and not somebody inside a unit (systemd.exec(5)). */
static bool is_service(void)
{
    const char *text = getenv("SYSTEMD_EXEC_PID");
    char *end;

    return text && strtol(text, &end, 10) == getpid() && *end == '\0';
}

static bool find_owner(char *out, size_t size)
{
    char *unit = NULL;
    bool good = is_service() && sd_pid_get_user_unit(0, &unit) >= 0 && strlen(unit) < size &&
                strlen(unit) > strlen(".service") &&
                strcmp(unit + strlen(unit) - strlen(".service"), ".service") == 0;

    if (good)
        memcpy(out, unit, strlen(unit) + 1);
    free(unit);
    return good;
}

/* systemd-run asks by the bus, systemctl by the other; a sandbox may hide them. */
static bool is_open(const char *name)
{
    const char *folder = getenv("XDG_RUNTIME_DIR");
    char path[PATHS_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder ? folder : "", name);

    return folder && n > 0 && (size_t)n < sizeof path && access(path, W_OK) == 0;
}

/* Of our own file, or, after an upgrade, of the one that has taken its place. */
static void find_program(char *out, size_t size)
{
    static const char gone[] = " (deleted)";
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    size_t length = n > 0 ? (size_t)n : 0, tail = sizeof gone - 1;

    if (length > tail && memcmp(out + length - tail, gone, tail) == 0)
        length -= tail;
    out[length] = '\0';
}

/* What stands against it, or NULL. */
static const char *find_obstacle(struct command_unit *unit)
{
    find_program(unit->program, sizeof unit->program);
    if (!is_open("systemd/private") || !is_open("bus"))
        return "the user's bus and systemd cannot be reached";
    if (!is_found("systemd-run"))
        return "systemd-run was not found";
    if (access(unit->program, X_OK) < 0)
        return "the program of this service is gone, restart it";
    return NULL;
}

bool command_unit_plan(struct command_unit *ret)
{
    static bool told;
    uint64_t number;

    ret->name[0] = '\0';
    if (!find_owner(ret->owner, sizeof ret->owner))
        return false;
    const char *obstacle = find_obstacle(ret);
    if (obstacle && !told)
        journal_write(LOG_NOTICE, NULL, "command",
                      "credential commands run inside this service: %s", obstacle);
    told |= obstacle != NULL;
    if (obstacle || getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return false;
    /* by chance: an agent that is left behind keeps the name of its unit taken */
    snprintf(ret->name, sizeof ret->name, "kubetoken-command-%016" PRIx64 ".service", number);
    return true;
}

/* ---- the command line ------------------------------------------------------------------------*/

static size_t count(char *const *list)
{
    size_t n = 0;

    while (list[n])
        n++;
    return n;
}

/* Puts the argument that begins at *end into the list, and *end behind it. */
static void add(char ***next, char **end, const char *prefix, const char *text, size_t length)
{
    *(*next)++ = *end;
    *end = stpcpy(*end, prefix);
    *end = mempcpy(*end, text, length);
    *(*end)++ = '\0';
}

static void add_property(char ***next, char **end, const char *name, const char *value)
{
    add(next, end, "-p", "", 0);
    add(next, end, name, value, strlen(value));
}

static size_t room(const struct command_unit *unit, const char *description,
                   char *const *environment)
{
    size_t bytes = 256 + strlen(unit->name) + strlen(unit->owner) + strlen(unit->program) +
                   strlen(description);

    for (size_t i = 0; i < FIXED; i++)
        bytes += strlen(fixed[i]) + 1;
    for (char *const *e = environment; *e; e++)
        bytes += strcspn(*e, "=") + sizeof "-E" + 1;
    return bytes;
}

char **command_unit_argv(const struct command_unit *unit, const char *description, uint64_t time,
                         char *const *environment)
{
    size_t pointers = FIXED + FURTHER + 2 * count(environment);
    char **argv = malloc(pointers * sizeof *argv + room(unit, description, environment));
    char seconds[24];

    if (!argv)
        return NULL;
    char **next = argv, *end = (char *)(argv + pointers);
    for (size_t i = 0; i < FIXED; i++)
        add(&next, &end, "", fixed[i], strlen(fixed[i]));
    snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)((time + grace) / USEC_PER_SEC));
    add(&next, &end, "--unit=", unit->name, strlen(unit->name));
    add(&next, &end, "--description=", description, strlen(description));
    add_property(&next, &end, "BindsTo=", unit->owner);
    add_property(&next, &end, "TimeoutStartSec=", seconds);
    for (char *const *e = environment; *e; e++) {
        add(&next, &end, "-E", "", 0);
        add(&next, &end, "", *e, strcspn(*e, "="));
    }
    add(&next, &end, "--", "", 0);
    add(&next, &end, "", unit->program, strlen(unit->program));
    add(&next, &end, "--" COMMAND_UNIT_OPTION, "", 0);
    *next = NULL;
    return argv;
}

/* ---- the end ---------------------------------------------------------------------------------*/

static _Noreturn void become_systemctl(char **argv, char *const *environment)
{
    char program[PATHS_MAX];
    struct trusted_fault fault;
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    syscall(SYS_close_range, 3U, ~0U, 0U); /* there may be no number left for another */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
        _exit(127);
    if (trusted_program_find(argv[0], program, &fault) == 0)
        execve(program, argv, environment);
    _exit(127);
}

void command_unit_stop(const struct command_unit *unit, struct children *children,
                       char *const *environment)
{
    char program[] = "systemctl", user[] = "--user", verb[] = "kill", how[] = "--signal=SIGKILL";
    char name[sizeof unit->name];
    char *argv[] = { program, user, verb, how, name, NULL };
    struct error ignored;
    int code;

    if (sd_event_get_exit_code(children_event(children), &code) >= 0)
        return;
    memcpy(name, unit->name, sizeof name);
    struct child *child = child_prepare(children, "systemctl", NULL, &ignored);
    pid_t pid = child ? child_fork(child) : -1;
    if (pid == 0)
        become_systemctl(argv, environment);
    if (pid > 0)
        child_release(child, patience);
    else
        child_free(child);
}
