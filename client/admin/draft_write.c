/* Writes a draft: its files and its section, all or nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/admin/draft.h"
#include "client/conversation.h"
#include "client/output.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

enum { FOLDERS_MAX = 16 };

/* One file that is to be there, or back. */
struct change {
    char path[PATH_MAX]; /* a symlink is followed */
    char temporary[PATH_MAX];
    bool existed, renamed;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct draft_bytes old, new;
};

/* What was done, to be taken back: the files of the draft, and last the configuration. */
static struct change changes[DRAFT_FILES_MAX + 1];
static unsigned n_changes;
static char folders[FOLDERS_MAX][PATH_MAX]; /* that were made, outermost first */
static unsigned n_folders;

static int fail(struct error *why, const char *path, int number)
{
    error_set(why, ERROR_CONFIG, "%s: %s", path, strerror(number));
    return -1;
}

/* ---- folders --------------------------------------------------------------------------------- */

/* Makes those that are missing on the way. */
static int make_folders(const char *path, struct error *why)
{
    char part[PATH_MAX];

    for (const char *slash = path; *slash;) {
        slash = strchrnul(slash + 1, '/');
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0700) == 0 && n_folders < FOLDERS_MAX)
            memcpy(folders[n_folders++], part, sizeof part);
        else if (errno != EEXIST && access(part, F_OK) < 0)
            return fail(why, part, errno);
    }
    return 0;
}

static void remove_folders(void)
{
    while (n_folders > 0)
        rmdir(folders[--n_folders]);
}

/* ---- one file -------------------------------------------------------------------------------- */

/* Where a path leads, also when what it leads to is not there yet. */
static int follow(const char *path, char out[PATH_MAX])
{
    char target[PATH_MAX], *real = realpath(path, NULL);
    ssize_t n;

    if (real) {
        snprintf(out, PATH_MAX, "%s", real);
        free(real);
        return 0;
    }
    if (errno != ENOENT)
        return -errno;
    snprintf(out, PATH_MAX, "%s", path);
    for (int links = 0; (n = readlink(out, target, sizeof target - 1)) >= 0; links++) {
        target[n] = '\0';
        if (links == 40)
            return -ELOOP;
        char *slash = strrchr(out, '/');
        size_t before = *target == '/' || !slash ? 0 : (size_t)(slash + 1 - out);
        if (before + (size_t)n >= PATH_MAX)
            return -ENAMETOOLONG;
        memcpy(out + before, target, (size_t)n + 1);
    }
    return 0;
}

/* Looks at what is there, and notes what is to be. */
static int plan(const char *path, const char *bytes, size_t length, struct error *why)
{
    struct change *c = &changes[n_changes];
    struct stat st;
    char *old;
    size_t old_length;

    *c = (struct change){ .mode = 0600, .uid = geteuid(), .gid = getegid() };
    int r = follow(path, c->path);
    if (r == 0 && stat(c->path, &st) == 0) {
        c->existed = true;
        c->mode = st.st_mode & 07777;
        c->uid = st.st_uid;
        c->gid = st.st_gid;
        r = draft_read_file(c->path, CONFIG_TEXT_MAX, &old, &old_length);
        if (r == 0) {
            c->old = draft_bytes_copy(old, old_length);
            explicit_bzero(old, old_length);
            free(old);
        }
    }
    if (r < 0)
        return fail(why, path, -r);
    c->new = draft_bytes_copy(bytes, length);
    n_changes++;
    return 0;
}

/* Writes it beside the place where it is to be. Returns 0, or a negative errno. */
static int write_beside(struct change *c, const struct draft_bytes *content)
{
    const char *slash = strrchr(c->path, '/');

    int n = snprintf(c->temporary, sizeof c->temporary, "%.*s/.%s.XXXXXX", (int)(slash - c->path),
                     c->path, slash + 1);
    if (n < 0 || (size_t)n >= sizeof c->temporary) {
        *c->temporary = '\0';
        return -ENAMETOOLONG;
    }
    int fd = mkostemp(c->temporary, O_CLOEXEC);
    if (fd < 0) {
        *c->temporary = '\0';
        return -errno;
    }
    if (c->uid != geteuid() || c->gid != getegid())
        (void)!fchown(fd, c->uid, c->gid);
    if (fchmod(fd, c->mode) < 0 || output_write(fd, content->bytes, content->length) < 0 ||
        fsync(fd) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return close(fd) < 0 ? -errno : 0;
}

static int put(struct change *c)
{
    if (rename(c->temporary, c->path) < 0)
        return -errno;
    *c->temporary = '\0';
    c->renamed = true;
    return 0;
}

static void put_back(struct change *c)
{
    if (*c->temporary)
        unlink(c->temporary);
    *c->temporary = '\0';
    if (c->renamed && !c->existed)
        unlink(c->path);
    else if (c->renamed && write_beside(c, &c->old) == 0)
        put(c);
    c->renamed = false;
}

static void forget(void)
{
    for (unsigned i = 0; i < n_changes; i++) {
        draft_bytes_clear(&changes[i].old);
        draft_bytes_clear(&changes[i].new);
    }
    n_changes = n_folders = 0;
}

static void take_back(void)
{
    for (unsigned i = n_changes; i > 0; i--)
        put_back(&changes[i - 1]);
    remove_folders();
    forget();
}

/* ---- all of them ----------------------------------------------------------------------------- */

static sigset_t ending(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGTERM);
    return set;
}

/* Whether somebody has said that it is to end; it does so once all is taken back. */
static bool is_interrupted(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGHUP) || sigismember(&pending, SIGINT) ||
           sigismember(&pending, SIGQUIT) || sigismember(&pending, SIGTERM);
}

static int sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    int r = fsync(fd);
    close(fd);
    return r;
}

/* First all that can fail for want of room or rights, then the names, the configuration's last:
 * with it the profile is there. */
static int carry_out(struct error *why)
{
    for (unsigned i = 0; i < n_changes; i++) {
        int r = is_interrupted() ? -EINTR : write_beside(&changes[i], &changes[i].new);
        if (r < 0)
            return fail(why, changes[i].path, -r);
    }
    for (unsigned i = 0; i < n_changes; i++) {
        int r = is_interrupted() ? -EINTR : put(&changes[i]);
        if (r < 0)
            return fail(why, changes[i].path, -r);
    }
    return 0;
}

static int plan_file(const struct draft_place *place, const struct draft_file *file, bool force,
                     struct error *why)
{
    char path[PATH_MAX];

    if (!text_join(path, sizeof path, place->folder, "/", file->name))
        return fail(why, file->name, ENAMETOOLONG);
    if (plan(path, file->content.bytes, file->content.length, why) < 0)
        return -1;
    struct change *c = &changes[n_changes - 1];
    if (c->existed &&
        c->old.length == c->new.length &&memcmp(c->old.bytes, c->new.bytes, c->old.length) == 0) {
        draft_bytes_clear(&c->old);
        draft_bytes_clear(&c->new);
        n_changes--;
        return 0;
    }
    if (c->existed && !force) {
        error_set(why, ERROR_USAGE, "%s is there already; --force replaces it", c->path);
        return -1;
    }
    c->mode = 0600;
    return 0;
}

static int plan_all(const struct profile_draft *draft, const struct draft_place *place, bool force,
                    struct error *why)
{
    size_t length;

    for (unsigned i = 0; i < draft->n_files; i++)
        if (plan_file(place, &draft->files[i], force, why) < 0)
            return -1;
    char *text = config_text_put(place->text, place->length, draft->section, &draft->settings,
                                 &length);
    int r = 0;
    if (length != place->length || memcmp(text, place->text, length) != 0)
        r = plan(place->path, text, length, why);
    explicit_bzero(text, length);
    free(text);
    return r;
}

/* One at a time: two that write at once would lose one section. */
static int lock(const char *folder, struct error *why)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        fail(why, folder, errno);
    return fd;
}

/* With the signals blocked. */
static int write_all(const struct profile_draft *draft, bool force, struct error *why)
{
    struct draft_place place;
    int locked = -1;

    if (draft_place_read(&place, why) < 0)
        return -1;
    char *folder = strdup(place.folder);
    int r = folder ? make_folders(folder, why) : -1;
    if (r == 0 && (locked = lock(folder, why)) < 0)
        r = -1;
    draft_place_clear(&place); /* as it is now that nobody else writes */
    if (r == 0)
        r = draft_place_read(&place, why);
    if (r == 0)
        r = plan_all(draft, &place, force, why);
    if (r == 0)
        r = carry_out(why);
    if (r == 0)
        sync_folder(folder);
    draft_place_clear(&place);
    if (locked >= 0)
        close(locked);
    free(folder);
    return r;
}

/* ---- the daemon ------------------------------------------------------------------------------ */

int profile_draft_hand_over(const struct profile_draft *draft)
{
    struct line reload = { .may_be_absent = true };
    struct line login = { .may_start = true,
                          .block = draft->password.bytes,
                          .block_length = draft->password.length };
    char answer[1024];
    struct error why;

    line_add(&reload, "reload * *");
    enum error_code code = conversation_ask_why(&reload, PROTOCOL_TIMEOUT, answer, sizeof answer,
                                                &why);
    if (code != ERROR_NONE && code != ERROR_NO_DAEMON) {
        fprintf(stderr, "%s\n", why.detail);
        return error_exit_code(code);
    }
    for (size_t i = 0; i < draft->settings.n; i++)
        if (draft_is_password(draft->settings.list[i].key))
            return 0;
    if (!draft->password.bytes)
        return 0;
    line_add(&login, "login * ");
    line_add(&login, draft->name);
    line_add_number(&login, "secret", login.block_length);
    return conversation_query(&login, PROTOCOL_TIMEOUT, answer, sizeof answer);
}

int profile_draft_write_files(const struct profile_draft *draft, bool force)
{
    const sigset_t set = ending();
    sigset_t before;
    struct error why;
    enum profile_draft_state state = profile_draft_look(draft);
    char text[200];

    forget();
    if (state == PROFILE_DRAFT_ANOTHER && !force) {
        snprintf(text, sizeof text, "there is another [profile %s]; --force replaces it",
                 draft->name);
        return output_fail(ERROR_USAGE, text);
    }
    sigprocmask(SIG_BLOCK, &set, &before);
    int r = state == PROFILE_DRAFT_SAME ? 0 : write_all(draft, force, &why);
    if (r < 0)
        take_back();
    sigprocmask(SIG_SETMASK, &before, NULL); /* where it was interrupted it ends here */
    if (r < 0)                               /* by a signal: who put it off ends of it */
        return is_interrupted() ? 1 : output_fail(why.code, why.detail);
    return 0;
}

int profile_draft_write(const struct profile_draft *draft, bool force)
{
    int r = profile_draft_write_files(draft, force);

    return r ? r : profile_draft_hand_over(draft);
}

void profile_draft_take_back(const struct profile_draft *draft)
{
    const sigset_t set = ending();
    sigset_t before;
    struct line reload = { .may_be_absent = true };
    char answer[1024];

    (void)draft;
    sigprocmask(SIG_BLOCK, &set, &before);
    take_back();
    sigprocmask(SIG_SETMASK, &before, NULL);
    line_add(&reload, "reload * *");
    conversation_ask(&reload, PROTOCOL_TIMEOUT, answer, sizeof answer);
}
