/* Starts a daemon where nobody else does: no systemd, a container, another user's shell. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/autostart.h"
#include "client/inherited.h"
#include "client/reap.h"
#include "common/descriptor.h"
#include "common/paths.h"
#include "common/text.h"
#include "common/time.h"

enum { READY_FD = 3 };

static const uint64_t end_time = 5 * USEC_PER_SEC; /* of a daemon that is about to end */
static const char daemon_name[] = "kubetokend";

static const char *preferred; /* a folder; NULL: that of this program */

void autostart_from(const char *folder)
{
    preferred = folder;
}

void autostart_program(char out[PATHS_MAX])
{
    if (!preferred || !*preferred || !text_join(out, PATHS_MAX, preferred, "/", "kubetokend") ||
        access(out, X_OK) < 0)
        text_join(out, PATHS_MAX, "kubetokend", "", "");
}

static bool is_there(const char *folder, const char *rest, const char *name)
{
    char path[PATHS_MAX];

    return folder && *folder == '/' && text_join(path, sizeof path, folder, rest, name) &&
           access(path, F_OK) == 0;
}

/* Finds the runtime directory that the socket is to be in: $XDG_RUNTIME_DIR, or /run/user/UID,
 * which cron and `su` do not name. Returns whether a user manager of systemd runs there. */
static bool find_manager(char path[PATHS_SOCKET_MAX])
{
    static const char tail[] = "/kubetoken/socket";
    const char *set = getenv("KUBETOKEN_SOCKET");
    struct error ignored;

    if ((set && *set) || paths_socket(path, &ignored) < 0)
        return false;
    size_t length = strlen(path), rest = sizeof tail - 1;
    if (length <= rest || !text_equal(path + length - rest, tail))
        return false;
    path[length - rest] = '\0';
    return is_there(path, "/systemd/private", "");
}

bool autostart_systemd_runs(void)
{
    char runtime[PATHS_SOCKET_MAX];

    return find_manager(runtime);
}

/* Whether that manager has kubetoken.socket enabled: then a missing socket was stopped by
 * somebody, and a daemon of our own would be in the way. */
bool autostart_is_systemds(void)
{
    static const char unit[] = "/systemd/user/sockets.target.wants/kubetoken.socket";
    const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");

    if (!autostart_systemd_runs())
        return false;
    return (config && *config == '/' ? is_there(config, unit, "")
                                     : is_there(home, "/.config", unit)) ||
           is_there("/etc", unit, "") || is_there("/usr/local/lib", unit, "") ||
           is_there("/usr/lib", unit, "");
}

/* Without a word to systemd: it keeps a link there for each service that is active, also for
 * journald; and who makes the socket otherwise makes a lock beside it. */
bool autostart_would_wake(void)
{
    static const char service[] = "/systemd/units/invocation:kubetoken.service";
    char runtime[PATHS_SOCKET_MAX], path[PATHS_MAX];
    struct stat st;

    if (!find_manager(runtime) || !text_join(path, sizeof path, runtime, service, "") ||
        lstat(path, &st) == 0)
        return false;
    return autostart_is_systemds() || !is_there(runtime, "/kubetoken/socket.lock", "");
}

void autostart_set_keeper(void)
{
    char log[PATHS_MAX];

    if (autostart_is_systemds())
        return;
    bool known = paths_log(log) == 0 && access(log, F_OK) == 0;
    error_set_keeper(ERROR_KEEPER_NONE, known ? log : NULL);
}

/* Between fork and exec. Nothing of the client may stay open: kubectl reads the plugin's
 * stdout until its last holder has closed it. */
static _Noreturn void become_daemon(int ready, pid_t parent, const char *trial)
{
    static char name[] = "kubetokend", ready_fd[] = "--ready-fd", three[] = "3";
    static char a_trial[] = "--trial", idle_exit[] = "--idle-exit", idle[] = "12h";
    static char autostarted[] = "--autostarted";
    char *const argv[] = { name,
                           ready_fd,
                           three,
                           trial ? a_trial : idle_exit,
                           trial ? (char *)(uintptr_t)trial : idle,
                           parent ? NULL : autostarted,
                           NULL };
    char path[PATHS_MAX];
    sigset_t none;

    if (parent && (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent))
        _exit(127);
    inherited_reset();
    setsid(); /* the terminal's interrupts are not meant for it */
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
        descriptor_give(ready, READY_FD) < 0 || chdir("/") < 0)
        _exit(127);
    if (syscall(SYS_close_range, READY_FD + 1U, ~0U, 0U) < 0)
        for (int fd = READY_FD + 1; fd < 1024; fd++)
            close(fd);
    unsetenv("KUBERNETES_EXEC_INFO");

    if (preferred && text_join(path, sizeof path, preferred, "/", argv[0]))
        execv(path, argv);
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "kubetokend");
    char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (slash) { /* the one that was installed, or built, with us */
        memcpy(slash + 1, argv[0], sizeof "kubetokend");
        execv(path, argv);
    }
    execvp(argv[0], argv);
    _exit(127);
}

/* Takes what the daemon says of its start: "ready", or an error's name and detail. *ret_ended: it
 * ends, or has. */
static int read_ready(int fd, uint64_t deadline, bool *ret_ended, struct error *why)
{
    char text[ERROR_DETAIL_MAX + 32] = "";
    size_t have = 0;

    while (have < sizeof text - 1 && !memchr(text, '\n', have)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        uint64_t now = time_boottime();
        if (now >= deadline || poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) == 0) {
            error_set(why, ERROR_DAEMON_SILENT, "it was started and is not ready");
            return -1;
        }
        ssize_t n = read(fd, text + have, sizeof text - 1 - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    text[have] = '\0';
    size_t length = strcspn(text, " \n");
    if (strncmp(text, "ready\n", 6) == 0)
        return 0;
    *ret_ended = true;
    if (length == 0) {
        error_set(why, ERROR_NO_DAEMON, "the one that was started ended at once");
        return -1;
    }
    enum error_code code = error_from_name(text, length);
    if (code == ERROR_RUNNING) /* another client was quicker */
        return 0;
    error_set(why, code, "%s", text + length);
    return -1;
}

/* Takes leave of a child that has said, or shown, that it ends: with a PID 1 that does not wait, as
 * in many containers, it would stay a zombie. */
static void bury(pid_t pid, struct error *why)
{
    int status = 0;

    if (!reap(pid, daemon_name, time_boottime() + end_time, &status))
        return;
    if (why->code == ERROR_NO_DAEMON && WIFEXITED(status) && WEXITSTATUS(status) == 127)
        error_set(why, ERROR_NO_PROGRAM, "%s", "");
}

/* parent: with whom it ends, 0: it lives on. trial: the configuration that it tries, or NULL. */
static int start(pid_t parent, const char *trial, uint64_t timeout, pid_t *ret, struct error *why)
{
    int ends[2];
    bool ended = false;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        error_set(why, ERROR_NO_PROCESS, "pipe: %s", strerror(errno));
        return -1;
    }
    ends[0] = descriptor_raise(ends[0]);
    ends[1] = descriptor_raise(ends[1]);
    *ret = ends[0] < 0 || ends[1] < 0 ? -1 : fork();
    if (*ret == 0)
        become_daemon(ends[1], parent, trial);
    if (*ret < 0)
        error_set(why, ERROR_NO_PROCESS, "%s", strerror(errno));
    close(ends[1]);
    int r = *ret < 0 ? -1 : read_ready(ends[0], time_boottime() + timeout, &ended, why);
    close(ends[0]);
    if (ended) {
        bury(*ret, why);
        *ret = 0; /* no number of ours any more */
    }
    return r;
}

int autostart_start(uint64_t timeout, struct error *why)
{
    const char *setting = getenv("KUBETOKEN_AUTOSTART");
    pid_t pid;

    if (autostart_is_systemds())
        return 1;
    if (setting && text_equal(setting, "0")) {
        if (paths_logged_out())
            why->code = ERROR_LOGGED_OUT;
        return 1;
    }
    return start(0, NULL, timeout, &pid, why);
}

int autostart_now(uint64_t timeout, struct error *why)
{
    pid_t pid;

    return start(0, NULL, timeout, &pid, why);
}

/* ---- a daemon for this process alone --------------------------------------------------------- */

static char own_folder[PATHS_MAX], own_lock[PATHS_MAX];
static pid_t own_pid;

static void end_own(void)
{
    pid_t pid = own_pid;
    int status;

    own_pid = 0; /* a signal may come meanwhile */
    if (pid > 0) {
        kill(pid, SIGTERM); /* which removes its socket */
        reap(pid, daemon_name, time_boottime() + end_time, &status);
    }
    unlink(own_lock);
    rmdir(own_folder);
}

static void end_by_signal(int signal_number)
{
    end_own();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void end_with_this_process(void)
{
    static const int signals[] = { SIGHUP, SIGINT, SIGTERM };

    atexit(end_own);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signal(signals[i], end_by_signal) == SIG_IGN)
            signal(signals[i], SIG_IGN);
}

int autostart_own(uint64_t timeout, struct error *why)
{
    static const char name[] = "/kubetoken-XXXXXX", tail[] = "/socket.lock";
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[PATHS_MAX];

    if (!runtime || *runtime != '/' || access(runtime, W_OK) < 0 ||
        strlen(runtime) + sizeof name + sizeof tail > PATHS_SOCKET_MAX)
        runtime = "/tmp";
    text_join(own_folder, sizeof own_folder, runtime, name, "");
    if (!mkdtemp(own_folder)) {
        paths_explain(why, own_folder, errno);
        return -1;
    }
    text_join(own_lock, sizeof own_lock, own_folder, tail, "");
    text_join(path, sizeof path, own_folder, "/socket", "");
    end_with_this_process();
    if (setenv("KUBETOKEN_SOCKET", path, 1) < 0)
        return -1;
    return start(getpid(), NULL, timeout, &own_pid, why);
}

int autostart_trial(const char *config, uint64_t timeout, pid_t *ret, struct error *why)
{
    return start(getpid(), config, timeout, ret, why);
}
