#define _GNU_SOURCE
#include "common/trusted_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    INTERPRETERS_MAX = 5, /* one for the other, execve(2) */
    FIRST_LINE = 256,     /* of what the kernel reads for it */
};

static bool can_be_run(const char *path, int *number)
{
    struct stat st;

    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
        faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
        return true;
    if (errno != ENOENT && errno != ENOTDIR)
        *number = EACCES;
    return false;
}

/* Puts the first that can be run into out. Returns 0, or an errno. */
static int search(const char *name, char out[PATHS_MAX])
{
    const char *list = getenv("PATH");
    int number = ENOENT;

    for (const char *p = list ? list : "/bin:/usr/bin";; p++) {
        size_t length = strcspn(p, ":");
        int n = snprintf(out, PATHS_MAX, "%.*s%s%s", (int)length, p, length > 0 ? "/" : "", name);
        errno = ENOENT;
        if (n > 0 && n < PATHS_MAX && can_be_run(out, &number))
            return 0;
        p += length;
        if (!*p)
            return number;
    }
}

/* What "#!" names. False: it is no script, or none that can be read, and so none that can be run */
static bool read_interpreter(const char *path, char out[PATHS_MAX])
{
    char line[FIRST_LINE + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd >= 0 ? read(fd, line, FIRST_LINE) : -1;

    if (fd >= 0)
        close(fd);
    if (n < 2 || line[0] != '#' || line[1] != '!')
        return false;
    line[n] = '\0';
    const char *begin = line + 2 + strspn(line + 2, " \t");
    snprintf(out, PATHS_MAX, "%.*s", (int)strcspn(begin, " \t\n"), begin);
    return *out != '\0';
}

int trusted_program_find(const char *name, char out[PATHS_MAX], struct trusted_fault *fault)
{
    char path[PATHS_MAX], next[PATHS_MAX];

    *fault = (struct trusted_fault){ .kind = "" };
    if (!strchr(name, '/'))
        fault->number = search(name, out);
    else if ((size_t)snprintf(out, PATHS_MAX, "%s", name) >= PATHS_MAX)
        fault->number = ENAMETOOLONG;
    if (fault->number != 0)
        return -1;
    memcpy(path, out, sizeof path);
    for (int i = 0; i < INTERPRETERS_MAX; i++) {
        if (trusted_path_check(path, TRUSTED_SYSTEM, fault) < 0)
            return -1;
        if (!read_interpreter(path, next))
            break;
        memcpy(path, next, sizeof path);
    }
    return 0;
}
