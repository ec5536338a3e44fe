/*
 * Stands in for kubetoken-fetch and fails as the file MODE says; "good" runs the real one, REAL.
 * The daemon's socket is OURS, where a test names it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOCKET = 0, FLOOD = 10 * 1024 * 1024, HELD_MOST = 180 };

/* A step without a name; there may be many steps, but not without end. */
static const char step[] = "KTR1\x0f\0\0\0\6record\4\0\0\0step";

/* The head of a record of 200 KiB, which is less than a record may have. */
static const char head[] = { 'K', 'T', 'R', '1', 0, 0x20, 3, 0 };

static void flood(void)
{
    for (long sent = 0; sent < FLOOD; sent += (long)sizeof step - 1)
        if (write(SOCKET, step, sizeof step - 1) < 0)
            return;
}

#ifdef OURS
/* Asks as any client does. Returns 3 where it is turned away, 4 for an answer. */
static int ask(void)
{
    static const char request[] = "get text p\n";
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = OURS };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte;

    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return 5;
    if (write(fd, request, sizeof request - 1) < 0) /* closed by now */
        return 3;
    return read(fd, &byte, 1) > 0 ? 4 : 3;
}

/* The same by a process that this one has started. */
static int have_it_asked(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(ask());
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 6;
}
#endif

static int read_mode(char mode[32])
{
    FILE *f = fopen(MODE, "r");
    int r = f && fgets(mode, 32, f) ? 0 : -1;

    if (f)
        fclose(f);
    return r;
}

/* As a debugger: what it holds is not gone when it is killed. Until the mode is another one. */
static void hold(pid_t pid)
{
    char mode[32] = "held";

    setsid(); /* it is not of the group that is killed */
    alarm(HELD_MOST);
    for (int fd = 0; fd < 16; fd++)
        close(fd);
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
        _exit(1);
    while (read_mode(mode) == 0 && strcmp(mode, "held") == 0)
        usleep(20 * 1000);
    _exit(0);
}

static int be_held(void)
{
    pid_t self = getpid();

    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    if (fork() == 0)
        hold(self);
    for (;;)
        pause();
}

int main(void)
{
    char mode[32] = "";

    if (read_mode(mode) < 0)
        return 1;
    if (strcmp(mode, "good") == 0)
        return execl(REAL, "kubetoken-fetch", (char *)NULL);
    if (strcmp(mode, "exit") == 0)
        return 3;
    if (strcmp(mode, "not-started") == 0) /* what a failed exec looks like */
        return 127;
    if (strcmp(mode, "killed") == 0)
        return raise(SIGKILL);
    if (strcmp(mode, "held") == 0)
        return be_held();
    if (strcmp(mode, "hang") == 0)
        return pause();
#ifdef OURS
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(mode, "asks") == 0)
        return ask();
    if (strcmp(mode, "has-it-asked") == 0)
        return have_it_asked();
#endif
    if (strcmp(mode, "junk") == 0)
        return write(SOCKET, "what is this\n", 13) < 0;
    if (strcmp(mode, "flood") == 0)
        flood();
    else if (write(SOCKET, head, sizeof head) < 0) /* "half": of a record */
        return 1;
    return 0;
}
