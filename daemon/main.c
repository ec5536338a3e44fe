/*
 * kubetokend - holds the credentials of one user, gets and renews id_tokens, serves them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "common/fetcher.h"
#include "common/paths.h"
#include "common/time.h"
#include "daemon/credential.h"
#include "daemon/journal.h"
#include "daemon/registry.h"
#include "daemon/server.h"

#ifndef KUBETOKEN_LIBEXEC
#define KUBETOKEN_LIBEXEC "/usr/libexec/kubetoken"
#endif

static const char usage[] =
    "Usage: kubetokend [OPTION]...\n"
    "Hold credentials, get and renew OpenID Connect id_tokens, serve them on a Unix socket.\n"
    "Started by systemd (kubetoken.socket) it takes that socket, else it makes its own.\n"
    "\n"
    "  -c, --config FILE   read FILE alone instead of the usual two\n"
    "      --check-config  check configuration and credential files, and exit\n"
    "  -h, --help          show this and exit\n"
    "      --version       show the version and exit\n"
    "\n"
    "See kubetokend(8), kubetoken.conf(5), kubetoken(1).\n";

struct options {
    const char *config;
    bool check;
};

struct daemon {
    char user_config[PATHS_MAX];
    const char *paths[2];
    size_t n_paths;
    struct profile_shared shared;
    struct registry *registry;
    struct server *server;
    char socket_path[PATHS_SOCKET_MAX]; /* "" = handed over */
    int lock;                           /* beside the socket, held while we serve */
};

/* ---- options ----------------------------------------------------------------------------------
 */

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
    enum { CHECK = 256, VERSION };
    static const struct option names[] = {
        { "config", required_argument, NULL, 'c' },
        { "check-config", no_argument, NULL, CHECK },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, VERSION },
        { 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "c:h", names, NULL)) != -1)
        switch (c) {
        case 'c':
            options->config = optarg;
            break;
        case CHECK:
            options->check = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case VERSION:
            puts("kubetokend " KUBETOKEN_VERSION);
            return 0;
        default:
            fputs("kubetokend: see kubetokend --help\n", stderr);
            return 2;
        }
    if (optind < argc) {
        fprintf(stderr, "kubetokend: unexpected argument \"%s\"; see kubetokend --help\n",
                argv[optind]);
        return 2;
    }
    return -1;
}

static int find_config(struct daemon *d, const struct options *options)
{
    if (options->config) {
        char *absolute = realpath(options->config, NULL);
        snprintf(d->user_config, sizeof d->user_config, "%s",
                 absolute ? absolute : options->config);
        free(absolute);
    } else {
        d->paths[d->n_paths++] = PATHS_SYSTEM_CONFIG;
        if (paths_user_config(d->user_config) < 0)
            return -1;
    }
    d->paths[d->n_paths++] = d->user_config;
    return 0;
}

/* ---- --check-config
 * ------------------------------------------------------------------------------ */

static bool check_source(const char *profile, const struct source *source, const char *what)
{
    struct secret *value = NULL;
    struct error why;

    /* a systemd credential is there only inside the service */
    if (source->kind == SOURCE_CREDENTIAL || credential_read(source, what, &value, &why) == 0) {
        secret_free(value);
        return true;
    }
    fprintf(stderr, "%s: %s\n", profile, why.detail);
    return false;
}

static bool check_key(const struct profile_config *profile)
{
    struct error why;

    if (credential_check_key(profile, &why) == 0)
        return true;
    fprintf(stderr, "%s: %s\n", profile->name, why.detail);
    return false;
}

static int check_config(const struct daemon *d)
{
    struct config_report report;
    struct config *config = config_load(d->paths, d->n_paths, &report);
    bool good = config != NULL;

    if (report.code == ERROR_NO_CONFIG)
        fprintf(stderr, "%s: %s\n", d->user_config, error_sentence(ERROR_NO_CONFIG));
    else if (report.text)
        fputs(report.text, stderr);
    for (size_t i = 0; config && i < config->n_profiles; i++) {
        const struct profile_config *p = &config->profiles[i];
        good &= check_source(p->name, &p->password, "password");
        good &= check_source(p->name, &p->client_secret, "client secret");
        good &= check_key(p);
    }
    if (good)
        printf("%s: in order, %zu profile%s\n", d->user_config, config->n_profiles,
               config->n_profiles == 1 ? "" : "s");
    config_free(config);
    config_report_clear(&report);
    return good ? 0 : error_exit_code(ERROR_CONFIG);
}

/* ---- the socket
 * ------------------------------------------------------------------------------------ */

/* Whether a daemon answers there. */
static bool is_served(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool served = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;

    close(fd);
    return served;
}

/* Binds our own socket. The lock makes connect, unlink and bind one step: of two daemons that
 * start at once, one serves and the other says so. */
static int make_socket(struct daemon *d, struct error *why)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char lock_path[PATHS_SOCKET_MAX + 8];

    if (paths_socket(d->socket_path, why) < 0 || paths_socket_folder(d->socket_path, why) < 0)
        return -1;
    memcpy(address.sun_path, d->socket_path, strlen(d->socket_path) + 1);
    snprintf(lock_path, sizeof lock_path, "%s.lock", d->socket_path);
    d->lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock < 0 || flock(d->lock, LOCK_EX | LOCK_NB) < 0 || is_served(&address)) {
        error_set(why, ERROR_RUNNING, "a kubetokend serves %s already", d->socket_path);
        d->socket_path[0] = '\0'; /* not ours to remove */
        return -1;
    }
    unlink(d->socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    bool bound = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(mask);
    if (!bound || listen(fd, SOMAXCONN) < 0) {
        error_set(why, ERROR_INTERNAL, "%s: %s", d->socket_path, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

static int get_socket(struct daemon *d, struct error *why)
{
    int n = sd_listen_fds(1);

    if (n <= 0)
        return make_socket(d, why);
    if (n > 1 || sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_STREAM, 1) <= 0) {
        error_set(why, ERROR_INTERNAL, "the socket handed over is not one listening Unix socket");
        return -1;
    }
    fcntl(SD_LISTEN_FDS_START, F_SETFL, O_NONBLOCK);
    return SD_LISTEN_FDS_START;
}

/* ---- start and stop
 * ---------------------------------------------------------------------------------- */

static void harden(void)
{
    const struct rlimit no_core = { 0, 0 };
    struct rlimit files;

    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGPIPE, SIG_IGN);
    umask(0077);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* a waiting client is a descriptor */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* kubetoken-fetch: where it was installed, or beside us in a build tree. */
static int open_fetcher(void)
{
    char self[PATHS_MAX], path[PATHS_MAX + 32];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        snprintf(path, sizeof path, "%.*s/kubetoken-fetch", (int)(slash - self), self);
        int fd = fetcher_open(path);
        if (fd >= 0)
            return fd;
    }
    return fetcher_open(KUBETOKEN_LIBEXEC "/kubetoken-fetch");
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
    struct daemon *d = context;

    (void)source, (void)info;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)time_boottime());
    registry_reload(d->registry);
    sd_notify(0, "READY=1");
    return 0;
}

static int add_signals(struct daemon *d)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sd_event *e = d->shared.event;
    if (sd_event_add_signal(e, NULL, SIGTERM, NULL, NULL) < 0 ||
        sd_event_add_signal(e, NULL, SIGINT, NULL, NULL) < 0 ||
        sd_event_add_signal(e, NULL, SIGHUP, on_hangup, d) < 0)
        return -1;
    sd_event_set_watchdog(e, true);
    return 0;
}

static int start(struct daemon *d, struct error *why)
{
    error_set(why, ERROR_INTERNAL, "the event loop cannot be set up");
    if (sd_event_new(&d->shared.event) < 0 || add_signals(d) < 0)
        return -1;
    d->shared.fetcher = open_fetcher();
    if (d->shared.fetcher < 0) {
        error_set(why, ERROR_FETCHER, "%s/kubetoken-fetch: %s", KUBETOKEN_LIBEXEC,
                  strerror(-d->shared.fetcher));
        return -1;
    }
    int listener = get_socket(d, why);
    if (listener < 0)
        return -1;
    d->registry = registry_new(&d->shared, d->paths, d->n_paths);
    d->server = d->registry ? server_new(d->shared.event, listener, d->registry) : NULL;
    if (!d->server)
        return -1;
    registry_reload(d->registry); /* with errors we serve them */
    return 0;
}

static void stop(struct daemon *d)
{
    sd_notify(0, "STOPPING=1");
    if (*d->socket_path)
        unlink(d->socket_path);
    server_free(d->server);
    registry_free(d->registry);
    sd_event_unref(d->shared.event);
}

int main(int argc, char **argv)
{
    static struct daemon d = { .lock = -1 };
    struct options options = { 0 };
    struct error why;

    int status = parse_options(argc, argv, &options);
    if (status >= 0)
        return status;
    harden();
    journal_open();
    if (find_config(&d, &options) < 0) {
        fputs("kubetokend: HOME is not set; set it, or use --config\n", stderr);
        return error_exit_code(ERROR_CONFIG);
    }
    if (options.check)
        return check_config(&d);

    status = start(&d, &why);
    if (status == 0) {
        sd_notify(0, "READY=1");
        status = sd_event_loop(d.shared.event);
    } else {
        journal_write(LOG_ERR, NULL, error_name(why.code), "%s: %s", error_sentence(why.code),
                      why.detail);
    }
    stop(&d);
    return status < 0 ? 1 : status;
}
