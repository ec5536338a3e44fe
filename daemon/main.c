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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "common/config_files.h"
#include "common/descriptor.h"
#include "common/paths.h"
#include "common/text.h"
#include "common/time.h"
#include "common/trusted_program.h"
#include "daemon/command_unit.h"
#include "daemon/config_print.h"
#include "daemon/fetcher.h"
#include "daemon/journal.h"
#include "daemon/listener.h"
#include "daemon/memory.h"
#include "daemon/profiles.h"
#include "daemon/secret_command.h"
#include "daemon/secret_source.h"
#include "daemon/revocation.h"
#include "daemon/server.h"
#include "daemon/summary.h"

#ifndef KUBETOKEN_LIBEXEC
#define KUBETOKEN_LIBEXEC "/usr/libexec/kubetoken"
#endif

static const char usage[] =
    "Usage: kubetokend [OPTION]...\n"
    "Hold credentials, get and renew OpenID Connect id_tokens, serve them on a Unix socket.\n"
    "Started by systemd (kubetoken.socket) it takes that socket, else it makes its own.\n"
    "\n"
    "  -c, --config FILE   read FILE alone instead of the usual ones\n"
    "      --check-config  check configuration and credential files, and exit\n"
    "      --system        with it: those below /etc/kubetoken alone, for no user\n"
    "      --print-config  print what the files say, merged, as JSON, and exit\n"
    "      --idle-exit D   end when nobody has asked for anything for so long (12h)\n"
    "      --autostarted   as kubetoken starts it: with a log file, and not without configuration\n"
    "      --trial FILE    read FILE alone, and ask the provider once for each profile\n"
    "      --ready-fd N    write a line there when clients are served, or why they are not\n"
    "  -h, --help          show this and exit\n"
    "  -V, --version       show the version and exit\n"
    "\n"
    "See kubetokend(8), kubetoken.conf(5), kubetoken(1).\n";

struct arguments {
    const char *config;
    bool check, print, system, autostarted, trial;
    int ready_fd;       /* -1: nobody wants to know */
    uint64_t idle_exit; /* usec; USEC_INFINITY = never */
};

/* What systemd hands over: the socket, whatever its name (-1: none), and what an earlier life left.
 */
struct handed_over {
    int socket;
    int stores[STORES_MAX];
    size_t n_stores;
    struct share_kept shares[SHARES_MAX];
    size_t n_shares;
};

struct daemon {
    char user_config[PATHS_MAX];
    const char *paths[3];
    size_t n_paths;
    struct context shared;
    struct profiles *profiles;
    struct server *server;
    struct listener *listener;
    sd_event_source *idle;
    uint64_t idle_exit;
};

/* ---- options --------------------------------------------------------------------------------- */

/* That exit status, or 1 if not all could be printed. */
static int printed(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "kubetokend: %s: %s; %s\n", error_sentence(ERROR_OUTPUT), strerror(errno),
            error_remedy(ERROR_OUTPUT));
    return 1;
}

/* As getopt_long() says it, in one line: systemd tries again for ever. With what was meant. */
static int fail_usage(const struct option *names, bool is_missing, int letter, const char *given)
{
    char word[64];

    if (letter > 0 && letter < 256 && !strchr("chV", letter))
        snprintf(word, sizeof word, "-%c", letter);
    else
        snprintf(word, sizeof word, "%.*s", (int)strcspn(given, "="), given);
    struct text_nearest nearest = text_nearest_to(word);
    const char *best = NULL;
    char dashed[64];
    bool known = is_missing;

    for (; names->name; names++) {
        snprintf(dashed, sizeof dashed, "--%s", names->name);
        known |= strcmp(dashed, word) == 0;
        if (text_nearest_try(&nearest, dashed))
            best = names->name;
    }
    if (known)
        fprintf(stderr, "kubetokend: %s %s; see kubetokend --help\n", word,
                is_missing ? "wants a value" : "takes no value");
    else
        fprintf(stderr, "kubetokend: unknown option %s%s%s%s; see kubetokend --help\n", word,
                best ? "; did you mean \"--" : "", best ? best : "", best ? "\"?" : "");
    return 2;
}

/* What is wrong with all of them together. Returns -1 to go on, else the exit status. */
static int check_options(const struct arguments *options, const char *left_over)
{
    if (left_over) {
        fprintf(stderr, "kubetokend: unexpected argument \"%s\"; see kubetokend --help\n",
                left_over);
        return 2;
    }
    if (options->system && (!options->check || options->config)) {
        fputs("kubetokend: --system goes with --check-config, and without --config\n", stderr);
        return 2;
    }
    return -1;
}

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct arguments *options)
{
    enum { CHECK = 256, PRINT, SYSTEM, IDLE, READY, AUTOSTARTED, TRIAL, COMMAND };
    static const struct option names[] = {
        { "config", required_argument, NULL, 'c' },
        { "check-config", no_argument, NULL, CHECK },
        { "print-config", no_argument, NULL, PRINT },
        { "system", no_argument, NULL, SYSTEM },
        { "idle-exit", required_argument, NULL, IDLE },
        { "autostarted", no_argument, NULL, AUTOSTARTED },
        { "trial", required_argument, NULL, TRIAL },
        { "ready-fd", required_argument, NULL, READY },
        { COMMAND_UNIT_OPTION, no_argument, NULL, COMMAND },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { 0 },
    };
    char *end;
    int c;

    opterr = 0;
    while ((c = getopt_long(argc, argv, ":c:hV", names, NULL)) != -1)
        switch (c) {
        case 'c':
            options->config = optarg;
            break;
        case CHECK:
            options->check = true;
            break;
        case PRINT:
            options->print = true;
            break;
        case SYSTEM:
            options->system = true;
            break;
        case AUTOSTARTED:
            options->autostarted = true;
            break;
        case IDLE:
            if (time_parse_duration(optarg, strlen(optarg), &options->idle_exit) == 0 &&
                options->idle_exit >= USEC_PER_SEC)
                break;
            fputs("kubetokend: --idle-exit takes a duration of 1s or more, such as 12h\n", stderr);
            return 2;
        case TRIAL:
            options->config = optarg;
            options->trial = true;
            break;
        case READY:
            options->ready_fd = (int)strtol(optarg, &end, 10);
            if (end != optarg && *end == '\0' && fcntl(options->ready_fd, F_GETFD) >= 0)
                break;
            fputs("kubetokend: --ready-fd takes the number of an open descriptor\n", stderr);
            return 2;
        case COMMAND:
            return secret_command_become();
        case 'h':
            fputs(usage, stdout);
            return printed(0);
        case 'V':
            puts("kubetokend " KUBETOKEN_VERSION);
            return printed(0);
        default:
            return fail_usage(names, c == ':', optopt, argv[optind - 1]);
        }
    return check_options(options, optind < argc ? argv[optind] : NULL);
}

/* For who prepares a machine: what depends on the user is that of one who has nothing. */
static void be_nobody(void)
{
    setenv("HOME", "/nonexistent", 1); /* Debian Policy 9.2.3 */
    setenv("USER", "nobody", 0);
}

static int find_config(struct daemon *d, const struct arguments *options)
{
    if (options->config) {
        char *absolute = realpath(options->config, NULL);
        snprintf(d->user_config, sizeof d->user_config, "%s",
                 absolute ? absolute : options->config);
        free(absolute);
    } else {
        d->paths[d->n_paths++] = PATHS_SYSTEM_CONFIG;
        d->paths[d->n_paths++] = PATHS_SYSTEM_DROPINS;
        if (options->system)
            return 0;
        if (paths_user_config(d->user_config) < 0)
            return -1;
    }
    d->paths[d->n_paths++] = d->user_config;
    return 0;
}

/* ---- --check-config ------------------------------------------------------------------------- */

static bool check_source(const char *profile, const struct source *source, const char *what)
{
    struct secret *value = NULL;
    struct error why;

    /* a systemd credential is there only inside the service */
    if (source->kind == SOURCE_CREDENTIAL || secret_source_read(source, what, &value, &why) == 0) {
        secret_free(value);
        return true;
    }
    fprintf(stderr, "%s: %s\n", profile, why.detail);
    return false;
}

/* A program that is not there may be on the PATH of the service. */
static bool check_command(const char *profile, const struct source *source)
{
    char program[PATHS_MAX], words[ERROR_DETAIL_MAX + 1];
    struct trusted_fault fault = { .number = EINVAL };
    struct error why;
    char **argv = source->kind == SOURCE_COMMAND ? secret_command_words(source->text, &why) : NULL;
    bool good = !argv || trusted_program_find(argv[0], program, &fault) == 0 || fault.number != 0;

    if (!good) {
        trusted_path_tell(&fault, words, sizeof words);
        fprintf(stderr, "%s: the command is not run: %s\n", profile, words);
    }
    secret_command_words_free(argv);
    return good;
}

static bool check_tls_file(const char *profile, const char *key, const char *path)
{
    char words[ERROR_DETAIL_MAX + 1];
    struct trusted_fault fault;

    if (!path || trusted_path_check(path, TRUSTED_SYSTEM, &fault) == 0)
        return true;
    if (fault.number != 0)
        fprintf(stderr, "%s: %s: %s: %s\n", profile, key, path, strerror(fault.number));
    trusted_path_tell(&fault, words, sizeof words);
    if (fault.number == 0)
        fprintf(stderr, "%s: %s: %s\n", profile, key, words);
    return false;
}

static bool check_tls_files(const struct profile_config *profile)
{
    struct error why;

    if (secret_source_check_key(profile, &why) < 0) {
        fprintf(stderr, "%s: %s\n", profile->name, why.detail);
        return false;
    }
    return check_tls_file(profile->name, "ca-file", profile->ca_file) &&
           check_tls_file(profile->name, "tls-client-cert", profile->tls_client_cert);
}

static bool check_profile(const struct profile_config *p)
{
    bool good = check_source(p->name, &p->password, "password");

    good &= check_source(p->name, &p->client_secret, "client secret");
    good &= check_command(p->name, &p->password);
    good &= check_command(p->name, &p->client_secret);
    return good & check_tls_files(p);
}

/* How many of everybody's files were read. */
static size_t count_system_files(void)
{
    struct config_files files = { 0 };
    size_t n = 0;

    config_files_add_system(&files);
    for (size_t i = 0; i < files.n; i++)
        n += access(files.list[i], F_OK) == 0;
    config_files_clear(&files);
    return n;
}

static void print_order(const struct daemon *d, const struct config *config, bool system)
{
    size_t shared = d->n_paths > 1 ? count_system_files() : 0;

    printf("%s: in order, %zu profile%s", system ? PATHS_SYSTEM_FOLDER : d->user_config,
           config->n_profiles, config->n_profiles == 1 ? "" : "s");
    if (shared > 0)
        printf(", with %zu file%s below " PATHS_SYSTEM_FOLDER, shared, shared == 1 ? "" : "s");
    putchar('\n');
}

static void tell_no_config(const struct daemon *d)
{
    fprintf(stderr, "%s: %s\n", *d->user_config ? d->user_config : d->paths[0],
            error_sentence(ERROR_NO_CONFIG));
}

/* For everybody: what a user has in his home, and what is another file for each, is not looked at.
 */
static int check_config(const struct daemon *d, bool system)
{
    struct config_report report;
    struct config *config = config_load(d->paths, d->n_paths, &report);
    bool good = config != NULL;

    if (report.code == ERROR_NO_CONFIG)
        tell_no_config(d);
    else if (report.text)
        fputs(report.text, stderr);
    if (report.notes)
        fputs(report.notes, stderr);
    for (size_t i = 0; config && !system && i < config->n_profiles; i++)
        good &= check_profile(&config->profiles[i]);
    if (good)
        print_order(d, config, system);
    config_free(config);
    config_report_clear(&report);
    return printed(good ? 0 : error_exit_code(ERROR_CONFIG));
}

/* ---- --print-config ------------------------------------------------------------------------- */

static int print_config(const struct daemon *d)
{
    struct config_report report;
    char *text = config_print(d->paths, d->n_paths, &report);
    int code = text ? 0 : error_exit_code(report.code ? report.code : ERROR_INTERNAL);

    if (text)
        fputs(text, stdout);
    else if (report.code == ERROR_NO_CONFIG)
        tell_no_config(d);
    else if (report.text)
        fputs(report.text, stderr);
    if (report.notes)
        fputs(report.notes, stderr);
    free(text);
    config_report_clear(&report);
    return printed(code);
}

/* ---- start and stop -------------------------------------------------------------------------- */

static void harden(void)
{
    const struct rlimit no_core = { 0, 0 };
    struct rlimit files;

    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &no_core);
    umask(0077);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* a waiting client is a descriptor */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* The stderr of who started us is not ours to keep. */
static void open_log(struct context *shared)
{
    char path[PATHS_MAX];
    sigset_t too_large;

    int r = paths_log(path);
    if (r < 0)
        snprintf(shared->no_log, sizeof shared->no_log, "HOME is not set");
    else if ((r = journal_open_file(path)) < 0)
        snprintf(shared->no_log, sizeof shared->no_log, "%s: %s", path, strerror(-r));
    else
        memcpy(shared->log, path, strlen(path) + 1);
    /* by a hard limit of the size of files, which would end us */
    sigemptyset(&too_large);
    sigaddset(&too_large, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &too_large, NULL);
}

/* Our own program, to see later whether the one on the disk is another. */
static void open_program(struct context *shared)
{
    static const char gone[] = " (deleted)"; /* replaced before we looked (proc(5)) */
    char *path = shared->program_path;
    ssize_t n = readlink("/proc/self/exe", path, sizeof shared->program_path - 1);
    size_t length = n > 0 ? (size_t)n : 0, cut = sizeof gone - 1;

    path[length] = '\0';
    if (length > cut && strcmp(path + length - cut, gone) == 0)
        path[length - cut] = '\0';
    shared->program = length > 0 ? open("/proc/self/exe", O_PATH | O_CLOEXEC) : -1;
}

/* kubetoken-fetch: beside us in a build tree, or where it was installed. */
static void look_for_fetcher(struct context *shared)
{
    static const char name[] = "/kubetoken-fetch";
    struct fetcher_program *f = &shared->fetcher;
    struct error why;

    *f = (struct fetcher_program){ .fd = -ENOENT,
                                   .installed = KUBETOKEN_LIBEXEC "/kubetoken-fetch" };
    const char *slash = strrchr(shared->program_path, '/');
    if (slash)
        snprintf(f->beside, sizeof f->beside, "%.*s%s", (int)(slash - shared->program_path),
                 shared->program_path, name);
    if (fetcher_find(f, &why) < 0)
        journal_write(LOG_ERR, NULL, error_name(why.code),
                      "%s: %s; it is looked for at each request", error_sentence(why.code),
                      why.detail);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
    struct daemon *d = context;

    (void)source, (void)info;
    notify_reloading(d->shared.notify);
    profiles_reload(d->profiles);
    notify_ready(d->shared.notify);
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
    return 0;
}

/* Ends the loop, or comes again when that would be due. */
static int on_idle(sd_event_source *source, uint64_t usec, void *context)
{
    const struct daemon *d = context;
    uint64_t now = time_boottime();
    uint64_t asked = profiles_are_held(d->profiles) ? now : server_last_asked(d->server);
    uint64_t until = asked + d->idle_exit;

    (void)usec;
    if (now >= until)
        return sd_event_exit(d->shared.event, 0);
    sd_event_source_set_time(source, until);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_system_change(void *context, enum system_change what)
{
    const struct daemon *d = context;

    profiles_system_changed(d->profiles, what);
}

static int add_idle(struct daemon *d)
{
    if (d->idle_exit == USEC_INFINITY)
        return 0;
    return sd_event_add_time_relative(d->shared.event, &d->idle, CLOCK_BOOTTIME, d->idle_exit, 0,
                                      on_idle, d);
}

/* For who started us by hand: "ready", or the error's name and detail. */
static void tell_starter(int fd, const struct error *why)
{
    if (fd < 0)
        return;
    if (why)
        dprintf(fd, "%s %s\n", error_name(why->code), why->detail);
    else
        dprintf(fd, "ready\n");
    close(fd);
}

/* A share's, whose name may be any that a share can have. */
static bool take_share(const char *name, int fd, struct handed_over *to)
{
    size_t length = strlen(SHARE_STORED);
    struct share_kept *kept = &to->shares[to->n_shares];

    if (to->n_shares == SHARES_MAX || strncmp(name, SHARE_STORED, length) != 0 ||
        !protocol_share_valid(name + length, strlen(name + length)))
        return false;
    kept->fd = fd;
    memcpy(kept->name, name + length, strlen(name + length) + 1);
    to->n_shares++;
    return true;
}

/* Of another version, by a downgrade, or of somebody's drop-in: no reason to end, which would take
 * the socket down, and nothing that systemd is to keep for us. */
static void let_go(int fd, const char *name)
{
    journal_write(LOG_WARNING, NULL, "descriptor",
                  "systemd hands over a descriptor named %s that is not known here; it is closed",
                  name);
    close(fd);
    if (strcmp(name, STORE_NAME) != 0) /* or the one that is taken would go along */
        sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* Takes them (sd_listen_fds(3)). Returns 0, or -1: no memory to look at it. */
static int take_descriptors(struct handed_over *to)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);

    to->socket = -1;
    to->n_stores = to->n_shares = 0;
    if (n == -ENOMEM)
        return -1;
    for (int i = 0; i < n; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        bool is_share = take_share(names[i], fd, to);
        if (!is_share && to->socket < 0 && sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0)
            to->socket = fd;
        else if (!is_share && to->n_stores < STORES_MAX && strcmp(names[i], STORE_NAME) == 0)
            to->stores[to->n_stores++] = fd;
        else if (!is_share)
            let_go(fd, names[i]);
        free(names[i]);
    }
    free(names);
    return 0;
}

/* The accounts, with what is left of an earlier life. Where that cannot be looked at for want of
 * memory, ending leaves it with systemd, which starts us again; going on would forget it. */
static int open_store(struct daemon *d, const int *descriptors, size_t n)
{
    d->shared.store = store_new(descriptors, n);
    if (!d->shared.store && n > 0 && errno == ENOMEM)
        return -1;
    if (d->shared.store)
        digest_set_key(store_key(d->shared.store));
    d->shared.accounts = account_table_new(d->shared.store);
    return d->shared.accounts ? 0 : -1;
}

/* Somebody said so: the path is free before that one is answered. */
static void on_stop(void *context)
{
    struct daemon *d = context;

    journal_write(LOG_NOTICE, NULL, "stop", "told to end");
    d->listener = listener_close(d->listener);
    sd_event_exit(d->shared.event, 0);
}

/* Whoever comes next may have another HOME, and a configuration there. */
static bool lacks_config(const struct daemon *d)
{
    struct config_report report;
    struct config *config = config_load(d->paths, d->n_paths, &report);
    bool lacking = report.code == ERROR_NO_CONFIG;

    config_free(config);
    config_report_clear(&report);
    return lacking;
}

static int fail(struct error *why, const char *what)
{
    error_set(why, ERROR_INTERNAL, "%s cannot be set up", what);
    return -1;
}

static void on_status(void *context, char *out, size_t size)
{
    const struct daemon *d = context;

    summary_write(d->profiles, out, size);
}

/* What was before is gone with that daemon; its log is not. */
static void open_history(struct context *shared, bool by_systemd)
{
    char text[PATHS_MAX + 128];

    shared->history = history_new();
    snprintf(text, sizeof text, "kubetokend %s started; for what was before see %s",
             KUBETOKEN_VERSION,
             *shared->log ? shared->log
             : by_systemd ? "journalctl --user -u kubetoken"
                          : "what it printed");
    history_add(
        shared->history, NULL,
        &(struct history_entry){ .kind = HISTORY_STARTED, .at = time_boottime(), .text = text });
}

/* What `status` tells of them. */
static void on_children(void *context)
{
    const struct daemon *d = context;

    context_changed(&d->shared);
}

static int start(struct daemon *d, struct error *why)
{
    struct handed_over given;

    fetch_queue_init(&d->shared.fetch_queue);
    TAILQ_INIT(&d->shared.turns);
    if (sd_event_new(&d->shared.event) < 0 || add_signals(d) < 0)
        return fail(why, "the event loop");
    d->shared.children = children_new(d->shared.event, on_children, d);
    if (!d->shared.children)
        return fail(why, "the event loop");
    d->shared.notify = notify_new(d->shared.event, on_status, d);
    if (take_descriptors(&given) < 0)
        return fail(why, "what systemd hands over");
    if (given.socket < 0) {
        error_set_keeper(ERROR_KEEPER_NONE, *d->shared.log ? d->shared.log : NULL);
        d->shared.logged_out = paths_logged_out();
    }
    if (open_store(d, given.stores, given.n_stores) < 0)
        return fail(why, "the store");
    open_history(&d->shared, given.socket >= 0);
    open_program(&d->shared);
    look_for_fetcher(&d->shared);
    d->shared.system_watch = system_watch_new(d->shared.event, on_system_change, d);
    d->listener = listener_open(given.socket, why);
    if (!d->listener)
        return -1;
    d->profiles = profiles_new(&d->shared, d->paths, d->n_paths);
    if (!d->profiles || listener_watch(d->listener, d->shared.event) < 0)
        return fail(why, "the server");
    d->server = server_new(d->shared.event, listener_take(d->listener), d->profiles);
    if (!d->server || add_idle(d) < 0)
        return fail(why, "the server");
    if (listener_is_own(d->listener))
        server_on_stop(d->server, on_stop, d);
    server_take_up_shares(d->server, given.shares, given.n_shares);
    profiles_reload(d->profiles); /* with errors we serve them */
    return 0;
}

/* why: it ends before the start, NULL: it does not. */
static void stop(struct daemon *d, const struct error *why)
{
    notify_stopping(d->shared.notify, why);
    d->listener = listener_close(d->listener); /* first: who comes now starts another one */
    sd_event_source_disable_unref(d->idle);
    server_free(d->server);
    profiles_free(d->profiles);
    revocation_end_all(&d->shared);
    children_free(d->shared.children);
    account_table_free(d->shared.accounts);
    system_watch_free(d->shared.system_watch);
    history_free(d->shared.history);
    store_free(d->shared.store);
    notify_free(d->shared.notify);
    sd_event_unref(d->shared.event);
}

int main(int argc, char **argv)
{
    static struct daemon d;
    struct arguments options = { .ready_fd = -1, .idle_exit = USEC_INFINITY };
    struct error why;

    descriptor_fill();
    signal(SIGCHLD, SIG_DFL); /* or nobody would know how a child ended, where that was ignored */
    signal(SIGPIPE, SIG_IGN); /* also for who reads no further than the head of --help */
    int status = parse_options(argc, argv, &options);
    if (status >= 0)
        return status;
    harden();
    journal_open();
    if (options.autostarted)
        open_log(&d.shared);
    if (options.system)
        be_nobody();
    if (find_config(&d, &options) < 0) {
        error_set(&why, ERROR_CONFIG, "HOME is not set; set it, or use --config");
        fprintf(stderr, "kubetokend: %s\n", why.detail);
        tell_starter(options.ready_fd, &why);
        return error_exit_code(ERROR_CONFIG);
    }
    memory_map_large();
    memory_watch_json();
    if (options.check || options.print)
        return options.print ? print_config(&d) : check_config(&d, options.system);

    d.idle_exit = options.idle_exit;
    d.shared.trial = options.trial;
    if (options.autostarted && lacks_config(&d)) {
        error_set(&why, ERROR_NO_CONFIG, "%s", d.user_config);
        status = -1;
    } else {
        status = start(&d, &why);
    }
    tell_starter(options.ready_fd, status == 0 ? NULL : &why);
    if (status == 0) {
        notify_ready(d.shared.notify);
        status = sd_event_loop(d.shared.event);
        stop(&d, NULL);
    } else {
        journal_write(LOG_ERR, NULL, error_name(why.code), "%s: %s", error_sentence(why.code),
                      why.detail);
        stop(&d, &why);
    }
    return status < 0 ? 1 : status;
}
