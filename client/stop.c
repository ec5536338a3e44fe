/* kubetoken stop, restart: an end for a daemon that no systemd keeps, and a new one with what the
 * environment says now. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/autostart.h"
#include "client/commands.h"
#include "client/conversation.h"
#include "client/options.h"
#include "client/output.h"
#include "common/descriptor.h"
#include "common/paths.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

/* Who listens, by the kernel's word; 0: nobody whom we could name. */
static pid_t listening_process(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct ucred peer = { .pid = 0 };
    socklen_t size = sizeof peer;
    struct error ignored;

    if (paths_socket(address.sun_path, &ignored) < 0)
        return 0;
    int fd = descriptor_raise(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid())
        peer.pid = 0;
    if (fd >= 0)
        close(fd);
    return peer.pid;
}

/* Where systemd made the socket, it is systemd that listens. */
static bool is_kubetokend(pid_t pid)
{
    char path[32 + TEXT_DECIMAL_SIZE], name[16] = "", digits[TEXT_DECIMAL_SIZE];

    text_join(path, sizeof path, "/proc/", text_decimal(digits, (uint64_t)pid), "/comm");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
    if (fd >= 0)
        close(fd);
    return n > 0 && text_equal(name, "kubetokend\n");
}

/* One that does not understand the request, or does not answer at all. Returns whether it is gone.
 */
static bool end_by_signal(int signal_number, uint64_t timeout)
{
    pid_t pid = listening_process();
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    if (pidfd < 0)
        return false;
    bool gone = is_kubetokend(pid) && kill(pid, signal_number) == 0 &&
                poll(&p, 1, (int)(timeout / USEC_PER_MSEC)) > 0;
    close(pidfd);
    return gone;
}

/* Returns 0 once no daemon has the socket, or the exit code after having complained. */
static int stop(uint64_t timeout)
{
    struct line line = { .may_be_absent = true };
    struct error why;
    char said[8192];

    if (autostart_is_systemds())
        return output_fail(ERROR_BY_SYSTEMD, "");
    line_add(&line, "stop * *");
    enum error_code code = conversation_ask_why(&line, timeout, said, sizeof said, &why);
    if (code == ERROR_NONE)
        output_write(STDERR_FILENO, said, strlen(said));
    if (code == ERROR_NONE || code == ERROR_NO_DAEMON ||
        (code == ERROR_BAD_REQUEST && end_by_signal(SIGTERM, timeout)) ||
        (code == ERROR_DAEMON_SILENT && end_by_signal(SIGKILL, timeout)))
        return 0;
    return output_fail(code,
                       code == ERROR_BY_SYSTEMD || code == ERROR_BAD_REQUEST ? "" : why.detail);
}

static int parse(int argc, char **argv, uint64_t *ret_timeout)
{
    struct options o = { .command = argv[0], .timeout = PROTOCOL_TIMEOUT };
    int r = options_parse(argc, argv, &o);

    if (r == 0 && o.profile)
        r = output_fail(ERROR_USAGE, "it takes no profile: one daemon has all of them");
    *ret_timeout = o.timeout;
    return r;
}

int command_stop(int argc, char **argv)
{
    uint64_t timeout;
    int r = parse(argc, argv, &timeout);

    return r ? r : stop(timeout);
}

int command_restart(int argc, char **argv)
{
    uint64_t timeout;
    struct error why;
    int r = parse(argc, argv, &timeout);

    if (r == 0)
        r = stop(timeout);
    if (r == 0 && autostart_now(timeout, &why) < 0)
        r = output_fail(why.code, why.detail);
    return r;
}
