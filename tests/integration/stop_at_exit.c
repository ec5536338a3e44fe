/*
 * stop_at_exit - holds processes at the moment of their end, with all that is in their memory.
 *
 *     stop_at_exit CONTROL NAME -p PID
 *     stop_at_exit CONTROL NAME COMMAND [ARGUMENT...]
 *
 * Follows the process, or the command, and what it starts. Each one whose program's file has a name
 * that begins with NAME is told as a line "PID" on descriptor CONTROL when it is about to end,
 * whatever ends it, and is held until a byte comes from there. Ends with the command, and with its
 * exit code.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int control;
static const char *name;

static int fail(const char *what)
{
    perror(what);
    return 125;
}

/* Whether it is the process, and no other thread of it, and of that program. */
static int is_wanted(pid_t pid)
{
    char path[64], target[4096], line[256];
    int group = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "Tgid: %d", &group) != 1)
        ;
    if (file)
        fclose(file);
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = '\0';
    const char *base = strrchr(target, '/');
    return group == pid && base && strncmp(base + 1, name, strlen(name)) == 0;
}

static void hold(pid_t pid)
{
    char line[32], byte;
    int length = snprintf(line, sizeof line, "%d\n", (int)pid);

    if (write(control, line, (size_t)length) == length)
        while (read(control, &byte, 1) < 0 && errno == EINTR)
            ;
}

static void go_on(pid_t pid, int status, pid_t first)
{
    int event = status >> 16, number = WSTOPSIG(status);

    if (event == PTRACE_EVENT_STOP && number != SIGTRAP) {
        ptrace(PTRACE_LISTEN, pid, 0, 0); /* stopped by a signal, and stays so */
        return;
    }
    if (event == PTRACE_EVENT_EXEC && pid != first && !is_wanted(pid)) {
        ptrace(PTRACE_DETACH, pid, 0, 0); /* its end is for its parent alone to see */
        return;
    }
    if (event == PTRACE_EVENT_EXIT && is_wanted(pid))
        hold(pid);
    ptrace(PTRACE_CONT, pid, 0, event ? 0L : (long)number);
}

/* The command waits until it is followed, and the gate is closed. */
static pid_t start(char **argv, int *ret_gate)
{
    int gate[2];
    char byte;

    if (pipe(gate) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        close(gate[1]);
        close(control);
        if (read(gate[0], &byte, 1) < 0)
            _exit(126);
        close(gate[0]);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(gate[0]);
    *ret_gate = gate[1];
    return pid;
}

int main(int argc, char **argv)
{
    long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                   PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT;
    int status, gate = -1;

    if (argc < 4)
        return 2;
    control = (int)strtol(argv[1], NULL, 10);
    name = argv[2];
    int attach = argc > 4 && strcmp(argv[3], "-p") == 0;
    pid_t first = attach ? (pid_t)strtol(argv[4], NULL, 10) : start(argv + 3, &gate), pid;
    if (first < 0)
        return fail("fork");
    if (ptrace(PTRACE_SEIZE, first, 0, options) < 0)
        return fail("ptrace");
    if (attach && write(control, "0\n", 2) != 2) /* followed from now on */
        return fail("write");
    close(gate);
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSTOPPED(status))
            go_on(pid, status, first);
        else if (pid == first)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return 0;
}
