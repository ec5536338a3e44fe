#define _GNU_SOURCE
#include "client/admin/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "client/autostart.h"
#include "client/output.h"
#include "client/reap.h"
#include "common/paths.h"
#include "common/text.h"
#include "common/time.h"

/* FOLDER_MAX: the path of a socket is below it. */
enum { FOLDER_MAX = 72, PATH_SIZE = 256, LEFT_MAX = 16 };

static const uint64_t start_time = 20 * USEC_PER_SEC, end_time = 5 * USEC_PER_SEC;
static const char config_name[] = "kubetoken.conf";

/* ---- what has to go -------------------------------------------------------------------------- */

static char folder[FOLDER_MAX], inner[PATH_SIZE], left[LEFT_MAX][PATH_SIZE], config[PATH_SIZE];
static volatile unsigned n_left;
static volatile pid_t daemon_pid;

/* Only what a signal's handler may call. */
static void clean_up(void)
{
    int number = errno, status;

    if (daemon_pid > 0) {
        kill(daemon_pid, SIGTERM); /* which removes its socket */
        reap(daemon_pid, "kubetokend", time_boottime() + end_time, &status);
    }
    daemon_pid = 0;
    for (unsigned i = 0; i < n_left; i++)
        unlink(left[i]);
    n_left = 0;
    if (*folder) {
        rmdir(inner);
        rmdir(folder);
    }
    *folder = '\0';
    errno = number;
}

static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
enum { ENDING = sizeof ending / sizeof *ending };
static struct sigaction handlers[ENDING];
static bool caught;

static void on_signal(int number)
{
    clean_up();
    signal(number, SIG_DFL);
    raise(number); /* takes effect when this handler returns */
}

static void catch_signals(void)
{
    struct sigaction ours = { .sa_handler = on_signal };

    for (size_t i = 0; i < ENDING; i++)
        sigaddset(&ours.sa_mask, ending[i]);
    for (size_t i = 0; i < ENDING; i++) {
        sigaction(ending[i], NULL, &handlers[i]);
        if (handlers[i].sa_handler != SIG_IGN)
            sigaction(ending[i], &ours, NULL);
    }
    caught = true;
}

/* ---- the folder ------------------------------------------------------------------------------ */

/* Whether what is written there stays in memory. */
static bool is_memory(const char *path)
{
    struct statfs fs;

    return statfs(path, &fs) == 0 &&
           ((unsigned long)fs.f_type == TMPFS_MAGIC || (unsigned long)fs.f_type == RAMFS_MAGIC);
}

static bool make_in(const char *place)
{
    int n = snprintf(folder, sizeof folder, "%s/kubetoken-trial-%d-XXXXXX", place, (int)getpid());

    if (n > 0 && (size_t)n < sizeof folder && mkdtemp(folder)) {
        text_join(inner, sizeof inner, folder, "/kubetoken", "");
        text_join(config, sizeof config, inner, "/", config_name);
        if (mkdir(inner, 0700) == 0)
            return true;
        rmdir(folder);
    }
    *folder = '\0';
    return false;
}

int trial_begin(bool secret, struct error *why)
{
    char user[32];
    const char *places[] = { getenv("XDG_RUNTIME_DIR"), user, "/dev/shm", "/tmp" };

    catch_signals();
    snprintf(user, sizeof user, "/run/user/%u", (unsigned)geteuid());
    for (int memory = 1; memory >= (secret ? 1 : 0); memory--)
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            if (places[i] && *places[i] == '/' && (!memory || is_memory(places[i])) &&
                make_in(places[i]))
                return 0;
    error_set(why, ERROR_NO_FOLDER,
              "a trial keeps secrets in memory, and there is no tmpfs that can be written: "
              "XDG_RUNTIME_DIR, /dev/shm");
    return -1;
}

static const char *add_left(const char *name)
{
    text_join(left[n_left], sizeof *left, inner, "/", name);
    return left[n_left++];
}

int trial_write(const char *name, const char *bytes, size_t length, struct error *why)
{
    if (n_left == LEFT_MAX) { /* the files of a draft, and a few of ours, are fewer */
        error_set(why, ERROR_INTERNAL, "a trial has too many files");
        return -1;
    }
    const char *path = add_left(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0 && output_write(fd, bytes, length) == 0 && close(fd) == 0)
        return 0;
    paths_explain(why, path, errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

const char *trial_config_home(void)
{
    return folder;
}

const char *trial_config(void)
{
    return config;
}

/* ---- the daemon ------------------------------------------------------------------------------ */

static char *old_socket;
static bool socket_set;

int trial_start(struct error *why)
{
    const char *set = getenv("KUBETOKEN_SOCKET");
    pid_t pid = 0;
    sigset_t all, before;

    if (n_left + 2 > LEFT_MAX || (set && !(old_socket = strdup(set))) ||
        setenv("KUBETOKEN_SOCKET", add_left("socket"), 1) < 0) {
        error_set(why, ERROR_INTERNAL, "no memory for a trial");
        return -1;
    }
    socket_set = true;
    add_left("socket.lock");
    sigfillset(&all); /* until it is known whom to end; it is ready in a moment */
    sigprocmask(SIG_SETMASK, &all, &before);
    int r = autostart_trial(config, start_time, &pid, why);
    daemon_pid = pid;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

void trial_end(void)
{
    clean_up();
    for (size_t i = 0; caught && i < ENDING; i++)
        sigaction(ending[i], &handlers[i], NULL);
    caught = false;
    if (socket_set && old_socket)
        setenv("KUBETOKEN_SOCKET", old_socket, 1);
    else if (socket_set)
        unsetenv("KUBETOKEN_SOCKET");
    free(old_socket);
    old_socket = NULL;
    socket_set = false;
}
