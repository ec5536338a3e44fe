#define _GNU_SOURCE
#include "common/paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"

static int join(char *out, size_t size, const char *a, const char *b, const char *c)
{
    return text_join(out, size, a, b, c) ? 0 : -1;
}

const char *paths_variable(const char *name)
{
    for (char *const *at = environ; at && *at; at++) {
        const char *is = *at, *wanted = name;
        if (*is != *wanted)
            continue;
        while (*wanted && *is == *wanted)
            is++, wanted++;
        if (!*wanted && *is == '=')
            return is + 1;
    }
    return NULL;
}

static const char *absolute_variable(const char *name)
{
    const char *value = paths_variable(name);
    return value && value[0] == '/' ? value : NULL; /* XDG: relative ones are to be ignored */
}

static bool ours_and_private(const char *folder)
{
    struct stat st;
    return lstat(folder, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & 077) == 0;
}

static void user_folder(char out[64], const char *prefix)
{
    char digits[TEXT_DECIMAL_SIZE];

    text_join(out, 64, prefix, text_decimal(digits, geteuid()), "");
}

static bool is_gone(const char *folder)
{
    struct stat st;
    return stat(folder, &st) < 0 && errno == ENOENT;
}

/* The place where no variable names one. What is in /tmp may be anybody's. */
static int find_fallback(char out[PATHS_SOCKET_MAX], struct error *why)
{
    char folder[64];
    struct stat st;

    user_folder(folder, "/run/user/");
    if (ours_and_private(folder))
        return join(out, PATHS_SOCKET_MAX, folder, "/kubetoken/socket", "");
    user_folder(folder, "/tmp/kubetoken-");
    if (lstat(folder, &st) == 0 && st.st_uid != geteuid()) {
        error_set(why, ERROR_SQUATTED, "%s (uid %u)", folder, (unsigned)st.st_uid);
        return -1;
    }
    return join(out, PATHS_SOCKET_MAX, folder, "/socket", "");
}

static int find_socket(char out[PATHS_SOCKET_MAX], bool trusting, struct error *why)
{
    const char *set = paths_variable("KUBETOKEN_SOCKET"),
               *runtime = absolute_variable("XDG_RUNTIME_DIR");
    int r;

    if (set && *set) {
        if (*set != '/') {
            error_set(why, ERROR_USAGE, "KUBETOKEN_SOCKET=%s is not an absolute path", set);
            return -1;
        }
        r = join(out, PATHS_SOCKET_MAX, set, "", "");
    } else if (runtime && (trusting || !is_gone(runtime))) {
        r = join(out, PATHS_SOCKET_MAX, runtime, "/kubetoken/socket", "");
    } else {
        return find_fallback(out, why);
    }
    if (r < 0) /* its end tells no more than its beginning */
        error_set(why, ERROR_LONG_PATH, "%s=%.100s...",
                  set && *set ? "KUBETOKEN_SOCKET" : "XDG_RUNTIME_DIR",
                  set && *set ? set : runtime);
    return r;
}

int paths_socket(char out[PATHS_SOCKET_MAX], struct error *why)
{
    return find_socket(out, false, why);
}

int paths_socket_as_named(char out[PATHS_SOCKET_MAX], struct error *why)
{
    return find_socket(out, true, why);
}

int paths_shares(char out[PATHS_SOCKET_MAX])
{
    const char *runtime = absolute_variable("XDG_RUNTIME_DIR");
    char folder[64];

    if (runtime && !is_gone(runtime))
        return join(out, PATHS_SOCKET_MAX, runtime, "/kubetoken-share", "");
    user_folder(folder, "/run/user/");
    if (!ours_and_private(folder))
        user_folder(folder, "/tmp/kubetoken-");
    return join(out, PATHS_SOCKET_MAX, folder, "/kubetoken-share", "");
}

bool paths_logged_out(void)
{
    const char *set = paths_variable("KUBETOKEN_SOCKET"),
               *runtime = absolute_variable("XDG_RUNTIME_DIR");
    char folder[64];

    if ((set && *set) || (runtime ? !is_gone(runtime) : is_gone("/run/systemd/system")))
        return false;
    user_folder(folder, "/run/user/");
    return !ours_and_private(folder);
}

void paths_explain(struct error *why, const char *path, int number)
{
    enum error_code code = ERROR_NO_FOLDER;
    bool closed = number == EACCES || number == EPERM;
    struct stat st;

    if (closed && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid != geteuid()) {
        error_set(why, ERROR_OTHER_UID, "%s is of uid %u, and this is uid %u", path,
                  (unsigned)st.st_uid, (unsigned)geteuid());
        return;
    }
    if (number == EROFS)
        code = ERROR_READ_ONLY;
    else if (number == ENOSPC || number == EDQUOT)
        code = ERROR_NO_ROOM;
    else if (number == ENOTDIR || number == EPROTOTYPE)
        code = ERROR_NOT_A_SOCKET;
    else if (closed)
        code = ERROR_FOREIGN_SOCKET;
    error_set(why, code, "%s: %s", path, strerror(number));
}

/* A missing folder is made, but not in somebody else's: root, by sudo -E, would leave one in
 * the user's runtime directory that the user can not use. */
static int make_folder(const char *folder, struct error *why)
{
    char parent[PATHS_SOCKET_MAX];
    struct stat st;

    if (lstat(folder, &st) == 0)
        return 0;
    join(parent, sizeof parent, folder, "", "");
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    if (stat(parent, &st) == 0 && st.st_uid != geteuid() && !(st.st_mode & S_ISVTX)) {
        error_set(why, ERROR_FOREIGN_SOCKET, "%s belongs to another user (uid %u)", parent,
                  (unsigned)st.st_uid);
        return -1;
    }
    if (mkdir(folder, 0700) == 0 || errno == EEXIST)
        return 0;
    paths_explain(why, folder, errno);
    return -1;
}

int paths_socket_folder(const char *socket_path, struct error *why)
{
    char folder[PATHS_SOCKET_MAX];
    struct stat st;

    if (join(folder, sizeof folder, socket_path, "", "") < 0 || !strrchr(folder, '/')) {
        error_set(why, ERROR_USAGE, "%s cannot be a socket's path", socket_path);
        return -1;
    }
    *strrchr(folder, '/') = '\0';
    if (make_folder(folder, why) < 0)
        return -1;
    if (lstat(folder, &st) < 0 || !S_ISDIR(st.st_mode)) {
        error_set(why, ERROR_NOT_A_SOCKET, "%s is no folder", folder);
        return -1;
    }
    if (st.st_uid != geteuid()) {
        error_set(why, ERROR_SQUATTED, "%s (uid %u)", folder, (unsigned)st.st_uid);
        return -1;
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH)) { /* it may serve others: its mode is not ours to mend */
        error_set(why, ERROR_OPEN_FOLDER, "%s (mode %o)", folder, (unsigned)st.st_mode & 07777);
        return -1;
    }
    return 0;
}

int paths_user_config(char out[PATHS_MAX])
{
    const char *config = absolute_variable("XDG_CONFIG_HOME"), *home = absolute_variable("HOME");

    if (config)
        return join(out, PATHS_MAX, config, "/kubetoken/kubetoken.conf", "");
    if (home)
        return join(out, PATHS_MAX, home, "/.config/kubetoken/kubetoken.conf", "");
    return -1;
}

int paths_log(char out[PATHS_MAX])
{
    const char *state = absolute_variable("XDG_STATE_HOME"), *home = absolute_variable("HOME");

    if (state)
        return join(out, PATHS_MAX, state, "/kubetoken/log", "");
    return home ? join(out, PATHS_MAX, home, "/.local/state/kubetoken/log", "") : -1;
}

int paths_expand(const char *path, const char *folder, char out[PATHS_MAX])
{
    if (path[0] == '/')
        return join(out, PATHS_MAX, path, "", "");
    if (path[0] == '~' && path[1] == '/') {
        const char *home = absolute_variable("HOME");
        return home ? join(out, PATHS_MAX, home, path + 1, "") : -1;
    }
    return join(out, PATHS_MAX, folder, "/", path);
}
