#define _GNU_SOURCE
#include "client/output.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/autostart.h"
#include "common/wrap.h"

int output_write(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

/* Whether this program has run out of memory; NULL: it has no need of any. */
static bool (*lacks_memory)(void);

void output_watch_memory(bool (*lacks)(void))
{
    lacks_memory = lacks;
}

bool output_lacks_memory(void)
{
    return lacks_memory && lacks_memory();
}

int output_fail_for_memory(void)
{
    static bool told;
    char line[256];

    int n = snprintf(line, sizeof line,
                     "kubetoken: %s: out of memory; end what takes it, or raise the limit "
                     "(ulimit -v), and try again\n",
                     error_sentence(ERROR_INTERNAL));
    if (!told)
        output_write(STDERR_FILENO, line, (size_t)n);
    told = true;
    return error_exit_code(ERROR_INTERNAL);
}

static const char *command;

void output_set_command(const char *name)
{
    command = name;
}

/* As error_line(), but for the help that it names. */
static size_t usage_line(char *line, size_t size, const char *detail)
{
    int n = snprintf(line, size, "kubetoken: %s: %s; see kubetoken %s --help\n",
                     error_sentence(ERROR_USAGE), detail, command);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

int output_fail(enum error_code code, const char *detail)
{
    char line[1024], clean[256];

    if (output_lacks_memory())
        return output_fail_for_memory();
    autostart_set_keeper();
    error_clean(clean, sizeof clean, detail, strlen(detail)); /* it may come from argv */
    size_t length = code == ERROR_USAGE && command
                        ? usage_line(line, sizeof line, clean)
                        : error_line(line, sizeof line, NULL, code, clean);
    output_write(STDERR_FILENO, line, length);
    return error_exit_code(code);
}

void output_heed_pipes(void)
{
    signal(SIGPIPE, SIG_IGN);
}

void output_unwritten(struct error *why)
{
    error_set(why, ERROR_OUTPUT, "%s", strerror(errno));
}

size_t output_columns(void)
{
    const char *set = getenv("COLUMNS");
    long columns = set ? strtol(set, NULL, 10) : 0;
    struct winsize size;

    if (columns <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    if (columns <= 0)
        return WRAP_COLUMNS;
    if (columns > WRAP_COLUMNS_MAX)
        return WRAP_COLUMNS_MAX;
    return columns < WRAP_COLUMNS_MIN ? WRAP_COLUMNS_MIN : (size_t)columns;
}

int output_done(int code)
{
    struct error why;

    bool whole = fflush(stdout) == 0 && !ferror(stdout);
    int number = errno;
    if (output_lacks_memory())
        return output_fail_for_memory();
    if (whole)
        return code;
    errno = number;
    output_unwritten(&why);
    return output_fail(why.code, why.detail);
}
