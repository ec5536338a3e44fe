#define _GNU_SOURCE
#include "client/reap.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/error.h"
#include "common/text.h"
#include "common/time.h"

enum { MOMENT = 2 /* ms */, LINE_MAX_ = 512 };

static const uint64_t death = 2 * USEC_PER_SEC; /* of one that was killed */

/* Where no pidfd tells of its end, or it is for a debugger to see first, look again in a moment. */
bool reap_until(pid_t pid, uint64_t deadline, int *status)
{
    struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
    int pidfd = p.fd, code;
    pid_t r;

    while ((r = waitpid(pid, &code, WNOHANG)) == 0) {
        uint64_t now = time_boottime();
        if (now >= deadline)
            break;
        if (poll(&p, 1, p.fd < 0 ? MOMENT : (int)((deadline - now) / USEC_PER_MSEC) + 1) > 0)
            p.fd = -1;
    }
    if (pidfd >= 0)
        close(pidfd);
    if (r > 0)
        *status = code;
    return r != 0;
}

/* A person may want to see to it. As error_line(), without stdio. */
static void tell_of(pid_t pid, const char *name)
{
    char digits[TEXT_DECIMAL_SIZE], line[LINE_MAX_];
    const char *const parts[] = { "kubetoken: ", error_sentence(ERROR_STUCK),
                                  ": process ",  text_decimal(digits, (uint64_t)pid),
                                  ", ",          name,
                                  "; ",          error_remedy(ERROR_STUCK) };
    size_t length = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n = strnlen(parts[i], sizeof line - 1 - length);
        memcpy(line + length, parts[i], n);
        length += n;
    }
    line[length++] = '\n';
    (void)!write(STDERR_FILENO, line, length);
}

bool reap_kill(pid_t pid, const char *name, int *status)
{
    kill(pid, SIGKILL);
    if (reap_until(pid, time_boottime() + death, status))
        return true;
    tell_of(pid, name);
    return false;
}

bool reap(pid_t pid, const char *name, uint64_t deadline, int *status)
{
    return reap_until(pid, deadline, status) || reap_kill(pid, name, status);
}
