#define _GNU_SOURCE
#include "daemon/peer_process.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/time.h"

/* Reads the head of /proc/PID/NAME. Returns its length, -1 on failure. */
static ssize_t read_proc(pid_t pid, const char *name, char *out, size_t size)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, out, size);
    close(fd);
    return n;
}

int peer_process_look(pid_t pid, pid_t *ret_parent, uint64_t *ret_started)
{
    char text[1024];
    ssize_t n = read_proc(pid, "stat", text, sizeof text - 1);
    uint64_t ticks;
    int parent;

    if (n <= 0)
        return -1;
    text[n] = '\0';
    const char *rest = strrchr(text, ')'); /* the name before it may hold anything */
    if (!rest || sscanf(rest,
                        ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                        "%*d %*d %" SCNu64,
                        &parent, &ticks) != 2)
        return -1;
    *ret_parent = parent;
    *ret_started = ticks * USEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
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
