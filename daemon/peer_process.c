#define _GNU_SOURCE
#include "daemon/peer_process.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "common/text.h"
#include "common/time.h"

/* Reads the head of /proc/PID/NAME. Returns its length, -1 on failure. */
static ssize_t read_proc(pid_t pid, const char *name, char *out, size_t size)
{
    char path[64], digits[TEXT_DECIMAL_SIZE];
    const char *number = text_decimal(digits, (uint64_t)(pid < 0 ? 0 : pid));

    stpcpy(stpcpy(stpcpy(stpcpy(path, "/proc/"), number), "/"), name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, out, size);
    close(fd);
    return n;
}

/* The field so many words behind at, a number; NULL: there is none. By hand: it is done for most of
 * those who get a token. */
static const char *number_at(const char *at, unsigned words, uint64_t *ret)
{
    uint64_t n = 0;

    for (; words > 0; words--) {
        at = strchr(at, ' ');
        if (!at)
            return NULL;
        at++;
    }
    const char *digits = at;
    for (; *at >= '0' && *at <= '9' && n < UINT64_MAX / 100; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    *ret = n;
    return at > digits && (*at == ' ' || *at == '\n' || !*at) ? at : NULL;
}

int peer_process_parse(const char *text, struct peer_process *ret)
{
    enum { PARENT = 2, START = 18 }; /* words behind the name, and behind the parent: proc(5) */
    const char *name = strchr(text, '(');
    const char *rest = strrchr(text, ')'); /* the name before it may hold anything */
    struct peer_process p = { .parent = 0 };
    uint64_t ticks, parent;

    if (!name || !rest || rest < name)
        return -1;
    const char *at = number_at(rest, PARENT, &parent);
    if (!at || parent > INT32_MAX || !number_at(at, START, &ticks) ||
        ticks > UINT64_MAX / USEC_PER_SEC)
        return -1;
    p.parent = (pid_t)parent;
    p.started = ticks * USEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
    error_clean(p.name, sizeof p.name, name + 1, (size_t)(rest - name - 1));
    *ret = p;
    return 0;
}

int peer_process_read(pid_t pid, struct peer_process *ret)
{
    char text[1024];
    ssize_t n = read_proc(pid, "stat", text, sizeof text - 1);

    if (n <= 0)
        return -1;
    text[n] = '\0';
    return peer_process_parse(text, ret);
}

int peer_process_look(pid_t pid, pid_t *ret_parent, uint64_t *ret_started)
{
    struct peer_process p;

    if (peer_process_read(pid, &p) < 0)
        return -1;
    *ret_parent = p.parent;
    *ret_started = p.started;
    return 0;
}

bool peer_process_arguments_read_manifest(const char *arguments, size_t length)
{
    static const char *const whole[] = { "-f-", "-f=-", "--filename=-" };
    const char *end = arguments + length;
    bool named = false;

    for (const char *p = arguments; p < end; p += strnlen(p, (size_t)(end - p)) + 1) {
        size_t n = strnlen(p, (size_t)(end - p));
        if (named && n == 1 && *p == '-')
            return true;
        named = (n == 2 && memcmp(p, "-f", 2) == 0) ||
                (n == 10 && memcmp(p, "--filename", 10) == 0);
        for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
            if (n == strlen(whole[i]) && memcmp(p, whole[i], n) == 0)
                return true;
    }
    return false;
}

bool peer_process_reads_manifest(pid_t pid)
{
    char arguments[16 * 1024]; /* what lies behind so many is a list of names */
    ssize_t n = read_proc(pid, "cmdline", arguments, sizeof arguments);

    return n > 0 && peer_process_arguments_read_manifest(arguments, (size_t)n);
}
