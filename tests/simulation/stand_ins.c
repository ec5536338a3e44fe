/* What the daemon asks of the machine: clock, chance, files, commands, processes, the journal,
 * systemd. Functions of the same name, or by the linker's --wrap. */
#include "tests/simulation/world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "common/time.h"
#include "daemon/file_watch.h"
#include "daemon/journal.h"
#include "daemon/memory.h"
#include "daemon/notify.h"
#include "daemon/peer_process.h"
#include "daemon/private_file.h"
#include "daemon/revocation.h"
#include "daemon/secret_command.h"
#include "daemon/system_watch.h"
#include "daemon/who_asks.h"

struct world *the_world;

/* ---- clock and chance ------------------------------------------------------------------------ */

uint64_t __wrap_time_boottime(void);
uint64_t __wrap_time_boottime(void)
{
    return the_world->now;
}

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags)
{
    uint64_t r = chance(the_world);
    /* the extremes of the jitter are the cases that hurt */
    uint32_t jitter = r >> 60 == 0 ? 0 : r >> 60 == 1 ? UINT32_MAX : (uint32_t)r;

    (void)flags;
    for (size_t i = 0; i < length; i += sizeof jitter) {
        size_t n = length - i < sizeof jitter ? length - i : sizeof jitter;
        memcpy((char *)buffer + i, &jitter, n);
        jitter = (uint32_t)chance(the_world);
    }
    return (ssize_t)length;
}

/* ---- the files of passwords: /sim/p07.0 ------------------------------------------------------ */

enum { FIRST_FD = 5000 };
static const char folder[] = "/sim/";

/* The profile whose file that is, or NULL. */
static struct model *model_of(const char *path)
{
    char name[] = "p00";

    if (strncmp(path, folder, sizeof folder - 1) != 0)
        return NULL;
    memcpy(name, path + sizeof folder - 1, sizeof name - 1);
    return daemon_model(the_world, name);
}

/* A source that is broken is one that gives nothing, or, of every other profile, what cannot be
 * meant: with a byte order mark. */
static bool is_absent(const struct model *p)
{
    return p->source_broken && p->number % 2 == 0;
}

static int write_password(const struct model *p, char *text, size_t size)
{
    return snprintf(text, size, "%spw%u\n", p->source_broken ? "\xef\xbb\xbf" : "", p->source);
}

int __real_private_file_open(const char *path, struct private_file_use use, struct error *why);
int __wrap_private_file_open(const char *path, struct private_file_use use, struct error *why);
int __wrap_private_file_open(const char *path, struct private_file_use use, struct error *why)
{
    const struct model *p = model_of(path);

    if (!p)
        return __real_private_file_open(path, use, why);
    if (!is_absent(p))
        return FIRST_FD + p->number;
    private_file_explain(path, use, ENOENT, why);
    return -ENOENT;
}

static bool is_file(int fd)
{
    return fd >= FIRST_FD && fd < FIRST_FD + PROFILES_MAX;
}

ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
    if (!is_file(fd))
        return __real_read(fd, buffer, size);
    return write_password(&the_world->profiles[fd - FIRST_FD], buffer, size);
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    return is_file(fd) ? 0 : __real_close(fd);
}

int __wrap_private_file_check(int fd, const char *path, struct private_file_use use,
                              struct error *why);
int __wrap_private_file_check(int fd, const char *path, struct private_file_use use,
                              struct error *why)
{
    (void)fd, (void)path, (void)use, (void)why;
    return 0;
}

struct private_file_stamp __wrap_private_file_stamp(const char *const *paths, size_t n);
struct private_file_stamp __wrap_private_file_stamp(const char *const *paths, size_t n)
{
    const struct model *p = model_of(paths[0]);

    (void)n;
    if (!p)
        return (struct private_file_stamp){ the_world->private_file_stamp };
    return (struct private_file_stamp){ 2 * (uint64_t)p->stamp + p->source_broken + 1 };
}

bool __wrap_private_file_is_young(const char *const *paths, size_t n, int64_t seconds, int64_t now);
bool __wrap_private_file_is_young(const char *const *paths, size_t n, int64_t seconds, int64_t now)
{
    (void)paths, (void)n, (void)seconds, (void)now;
    return false;
}

/* ---- watches of these files ------------------------------------------------------------------ */

struct file_watch {
    struct model *p;
    file_watch_fn changed;
    void *context;
    sd_event_source *event;
};

static int on_change(sd_event_source *source, uint64_t usec, void *context)
{
    struct file_watch *watch = context;

    (void)source, (void)usec;
    watch->changed(watch->context); /* which may free it */
    return 0;
}

struct file_watch *file_watch_new(sd_event *event, const struct profile_config *config,
                                  file_watch_fn changed, void *context)
{
    struct model *p = daemon_model(the_world, config->name);
    struct file_watch *watch = calloc(1, sizeof *watch);

    if (config->password.kind != SOURCE_FILE || !watch) {
        free(watch);
        return NULL;
    }
    *watch = (struct file_watch){ .p = p, .changed = changed, .context = context };
    the_world->acting = p;
    sd_event_add_time(event, &watch->event, CLOCK_BOOTTIME, NEVER, 1, on_change, watch);
    return p->watch = watch;
}

struct file_watch *file_watch_free(struct file_watch *watch)
{
    if (!watch)
        return NULL;
    watch->p->watch = NULL;
    sd_event_source_disable_unref(watch->event);
    free(watch);
    return NULL;
}

void stand_ins_source_changed(struct world *w, struct model *p)
{
    p->stamp++;
    if (p->watch) {
        sd_event_source_set_time(p->watch->event, w->now);
        sd_event_source_set_enabled(p->watch->event, 1);
    }
}

/* ---- commands: their line is /sim/p07.0 ------------------------------------------------------ */

struct secret_command {
    struct model *p;
    secret_command_done_fn done;
    void *context;
    sd_event_source *event;
};

static int on_end(sd_event_source *source, uint64_t usec, void *context)
{
    struct secret_command *c = context;
    struct error why;
    char text[16];

    (void)source, (void)usec;
    if (c->p->grant == GRANT_COMMAND ? !grants_print(the_world, c->p, text, sizeof text)
                                     : is_absent(c->p)) {
        error_set(&why, ERROR_CREDENTIAL, "the command failed with exit status 1");
        c->done(c->context, NULL, &why);
        return 0;
    }
    int n = c->p->grant == GRANT_COMMAND ? (int)strlen(text)
                                         : write_password(c->p, text, sizeof text);
    c->done(c->context, secret_copy(text, (size_t)n), NULL);
    return 0;
}

int secret_command_start(struct children *children, const char *profile, const char *line,
                         uint64_t time, secret_command_done_fn done, void *context,
                         struct secret_command **ret, struct error *why)
{
    struct secret_command *c = calloc(1, sizeof *c);

    (void)children, (void)profile, (void)why;
    if (!c)
        abort();
    *c = (struct secret_command){ .p = model_of(line), .done = done, .context = context };
    the_world->acting = c->p;
    sd_event_add_time(NULL, &c->event, CLOCK_BOOTTIME,
                      the_world->now + (c->p->grant == GRANT_COMMAND
                                            ? grants_run(the_world, c->p, time)
                                            : chance_span(the_world, MSEC, time / 60)),
                      1, on_end, c);
    *ret = c;
    return 0;
}

struct secret_command *secret_command_free(struct secret_command *c)
{
    if (c)
        sd_event_source_disable_unref(c->event);
    free(c);
    return NULL;
}

/* ---- the configuration ----------------------------------------------------------------------- */

static char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *text_of(const char *format, ...)
{
    char text[64];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    char *copy = strdup(text);
    if (!copy)
        abort();
    return copy;
}

static struct profile_config section_of(const struct world *w, const struct model *p)
{
    static const enum source_kind kinds[] = { SOURCE_NONE, SOURCE_FILE, SOURCE_COMMAND,
                                              SOURCE_NONE };
    struct profile_config c = { .name = text_of("%s", p->name),
                                .issuer = text_of("%s", w->providers[p->provider].name),
                                .client_id = text_of("%s", p->name),
                                .client_auth = text_of("auto"),
                                .username = p->grant == GRANT_PASSWORD ? text_of("someone") : NULL,
                                .grant = p->grant,
                                .scope = text_of("openid%s", p->other_scope ? " groups" : ""),
                                .proxy = text_of("none"),
                                .signing_algs = text_of("RS256"),
                                .timeout = 15 * SECOND,
                                .patience = is_patient(p) ? 120 * SECOND : 15 * SECOND,
                                .password_lifetime = p->password_lifetime,
                                .use_refresh_token = p->use_refresh_token,
                                .refresh_before = p->refresh_before,
                                .refresh_before_percent = p->refresh_before_percent,
                                .keep_fresh = p->keep_fresh,
                                .start_with_daemon = p->with_daemon,
                                .keep_over_restart = p->keep };

    c.password.kind = kinds[p->origin];
    if (p->grant == GRANT_COMMAND)
        c.token_command = text_of("%s%s.t", folder, p->name);
    if (p->grant == GRANT_EXCHANGE)
        c.from = text_of("%s", w->profiles[p->source_profile].name);
    if (kinds[p->origin] != SOURCE_NONE)
        c.password.text = text_of("%s%s.%d", folder, p->name, p->other_path);
    if (p->code.parameter)
        c.otp_parameter = text_of("totp");
    if (p->has_secret)
        c.client_secret = (struct source){ .kind = SOURCE_INLINE, .value = secret_copy("cs", 2) };
    return c;
}

struct config *__wrap_config_load(const char *const *paths, size_t n, struct config_report *report);
struct config *__wrap_config_load(const char *const *paths, size_t n, struct config_report *report)
{
    const struct world *w = the_world;
    struct config *config = calloc(1, sizeof *config);

    (void)paths, (void)n;
    *report = (struct config_report){ .code = w->config_broken ? ERROR_CONFIG : ERROR_NONE };
    if (w->config_broken || !config) {
        free(config);
        return NULL;
    }
    config->profiles = calloc(w->n_profiles, sizeof *config->profiles);
    for (unsigned i = 0; config->profiles && i < w->n_profiles; i++)
        if (!w->profiles[i].absent)
            config->profiles[config->n_profiles++] = section_of(w, &w->profiles[i]);
    return config;
}

/* ---- other processes, and who waits for the network ------------------------------------------ */

/* No logout of the world's comes with a revocation. */
void revocation_add(struct revocation *revocation, const struct profile_config *config,
                    const struct secret *refresh_token, const void *cache, size_t cache_length)
{
    (void)revocation, (void)config, (void)refresh_token, (void)cache, (void)cache_length;
    abort();
}

void who_asks_find(struct who_asks *who, pid_t peer, pid_t pid, struct history_entry *ret)
{
    (void)who, (void)peer;
    ret->pid = pid;
}

int peer_process_look(pid_t pid, pid_t *ret_parent, uint64_t *ret_started)
{
    *ret_parent = pid > 0 ? pid : -pid; /* a plugin has the number of its parent, with a sign */
    *ret_started = 0;
    return 0;
}

bool peer_process_reads_manifest(pid_t pid)
{
    (void)pid;
    return the_world->asking && the_world->asking->calls == 2;
}

void system_watch_want(struct system_watch *watch, bool more)
{
    (void)watch;
    the_world->wanting += more ? 1 : -1;
    if (the_world->wanting < 0)
        check_broken(the_world, NULL, "P7 any clock", "the network interests fewer than nobody");
}

void memory_give_back(void)
{
}

int sd_id128_get_boot(sd_id128_t *ret)
{
    *ret = (sd_id128_t){ .bytes = { 1 } };
    return 0;
}

/* ---- the journal and systemd ----------------------------------------------------------------- */

void journal_write(int priority, const char *profile, const char *event, const char *format, ...)
{
    (void)priority, (void)profile, (void)event, (void)format;
}

bool journal_allows(struct journal_limit *limit, uint64_t now)
{
    (void)limit, (void)now;
    return true;
}

void notify_changed(struct notify *notify)
{
    (void)notify;
}

void notify_begin_work(struct notify *notify)
{
    (void)notify;
    the_world->working++;
}

void notify_end_work(struct notify *notify)
{
    (void)notify;
    the_world->working--;
}

int sd_notify(int unset, const char *state)
{
    (void)unset, (void)state;
    return 1;
}

int sd_notifyf(int unset, const char *format, ...)
{
    (void)unset, (void)format;
    return 1;
}

int sd_pid_notify_with_fds(pid_t pid, int unset, const char *state, const int *fds, unsigned n)
{
    (void)pid, (void)unset, (void)state;
    if (the_world->kept >= 0)
        close(the_world->kept);
    the_world->kept = n == 1 ? dup(fds[0]) : -1;
    return 1;
}
