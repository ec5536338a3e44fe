#define _GNU_SOURCE
#include "client/service.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "client/reap.h"
#include "common/descriptor.h"
#include "common/text.h"
#include "common/time.h"

enum { ANSWER_MAX = 2048 };

/* ---- what it means --------------------------------------------------------------------------- */

/* Where the value of a property begins, and how long it is; "" without one. */
static const char *value_of(const char *text, const char *name, int *ret_length)
{
    size_t n = strlen(name);

    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        if (strncmp(text, name, n) == 0 && text[n] == '=') {
            *ret_length = (int)strcspn(text + n + 1, "\n");
            return text + n + 1;
        }
    *ret_length = 0;
    return "";
}

static bool value_is(const char *text, const char *name, const char *value)
{
    int n;
    const char *is = value_of(text, name, &n);

    return strlen(value) == (size_t)n && memcmp(is, value, (size_t)n) == 0;
}

static unsigned long long number_of(const char *text, const char *name)
{
    unsigned long long number = 0;
    int n;

    for (const char *p = value_of(text, name, &n); *p >= '0' && *p <= '9'; p++)
        number = number * 10 + (unsigned long long)(*p - '0');
    return number;
}

/* systemd.exec(5), "Process Exit Codes": 200 and more are systemd's own, from before the program
 * ran; below are kubetokend's. */
static const char *words_of_status(unsigned long long status)
{
    switch (status) {
    case 2:
        return "it does not know an option in its ExecStart=";
    case 9:
        return "HOME is not set";
    case 203:
        return "its program is missing, or cannot be run";
    case 243:
        return "a credential of its unit cannot be loaded";
    default:
        return status < 200 ? "its log says why"
                            : "it could not be run as its unit says, see systemd.exec(5)";
    }
}

static void set_cause(const char *text, struct error *why)
{
    unsigned long long status = number_of(text, "ExecMainStatus");
    int n, said;
    const char *result = value_of(text, "Result", &n), *last = value_of(text, "StatusText", &said);
    const char *and = said > 0 ? "; it said: " : "";

    if (value_is(text, "Result", "exit-code"))
        error_set(why, ERROR_START_FAILED, "%s (status %llu)%s%.*s", words_of_status(status),
                  status, and, said, last);
    else if (value_is(text, "Result", "signal") || value_is(text, "Result", "core-dump"))
        error_set(why, ERROR_START_FAILED, "it was killed by signal %llu%s%.*s", status, and, said,
                  last);
    else /* "timeout", "protocol", "oom-kill", "resources" */
        error_set(why, ERROR_START_FAILED, "systemd says %.*s%s%.*s", n, result, and, said, last);
}

/* Whether the process that ran last came as far as READY. */
static bool was_ready(const char *text)
{
    unsigned long long ready = number_of(text, "ActiveEnterTimestampMonotonic");

    return ready > 0 && ready >= number_of(text, "ExecMainStartTimestampMonotonic");
}

enum service_state service_judge(const char *text, struct error *why)
{
    bool starting = value_is(text, "ActiveState", "activating");
    bool bad = !value_is(text, "Result", "success");
    /* of one that is active, or was stopped, it is about an earlier life */
    bool failed = bad && (starting || value_is(text, "ActiveState", "failed") ||
                          value_is(text, "ActiveState", "deactivating"));

    if (failed && !was_ready(text)) {
        set_cause(text, why);
        return SERVICE_FAILS;
    }
    return starting && !bad ? SERVICE_STARTS : SERVICE_NO_CAUSE;
}

/* ---- the question ---------------------------------------------------------------------------- */

static _Noreturn void become_systemctl(int out)
{
    char *const argv[] = {
        (char[]){ "systemctl" },
        (char[]){ "--user" },
        (char[]){ "show" },
        (char[]){ "kubetoken.service" },
        (char[]){ "-pActiveState,Result,ExecMainStatus,StatusText,"
                  "ActiveEnterTimestampMonotonic,ExecMainStartTimestampMonotonic" },
        NULL,
    };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 ||
        descriptor_give(out, STDOUT_FILENO) < 0)
        _exit(127);
    execvp(argv[0], argv);
    _exit(127);
}

/* What it prints until its end, or until the time is up. */
static void read_answer(int fd, uint64_t deadline, char out[ANSWER_MAX])
{
    size_t have = 0;

    while (have < ANSWER_MAX - 1) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        uint64_t now = time_boottime();
        if (now >= deadline)
            break;
        if (poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) <= 0)
            continue;
        ssize_t n = read(fd, out + have, ANSWER_MAX - 1 - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    out[have] = '\0';
}

enum service_state service_ask(uint64_t time, struct error *why)
{
    char answer[ANSWER_MAX];
    int ends[2], status;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return SERVICE_NO_CAUSE;
    ends[0] = descriptor_raise(ends[0]);
    ends[1] = descriptor_raise(ends[1]);
    pid_t pid = ends[0] < 0 || ends[1] < 0 ? -1 : fork();
    if (pid == 0)
        become_systemctl(ends[1]);
    close(ends[1]);
    answer[0] = '\0';
    if (pid > 0) {
        read_answer(ends[0], time_boottime() + time, answer);
        reap_kill(pid, "systemctl", &status); /* a no-op for one that has ended */
    }
    close(ends[0]);
    return service_judge(answer, why);
}
