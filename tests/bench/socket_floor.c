/*
 * The least that a question to a daemon can cost: socket, connect, write, read, write, no libc.
 *
 *   socket_floor SOCKET REQUEST      sends REQUEST and a newline, prints what one read brings
 */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/bench/system_call.h"

enum { ANSWER = 8 * 1024 };

static size_t copy(char *target, const char *source, size_t room)
{
    size_t n = 0;

    while (n < room && source[n]) {
        target[n] = source[n];
        n++;
    }
    return n;
}

static int ask(const char *path, const char *request)
{
    struct sockaddr_un address;
    char buffer[ANSWER];
    size_t n = copy(address.sun_path, path, sizeof address.sun_path - 1);

    address.sun_path[n] = 0;
    address.sun_family = AF_UNIX;
    long fd = system_call(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
    if (system_call(SYS_connect, fd, (long)&address, sizeof address) < 0)
        return 3;
    n = copy(buffer, request, sizeof buffer - 1);
    buffer[n++] = '\n';
    if (system_call(SYS_write, fd, (long)buffer, (long)n) != (long)n)
        return 4;
    long got = system_call(SYS_read, fd, (long)buffer, sizeof buffer);
    return got > 0 && system_call(SYS_write, 1, (long)buffer, got) == got ? 0 : 5;
}

void run(long *stack)
{
    char **argv = (char **)(stack + 1);

    leave(stack[0] == 3 ? ask(argv[1], argv[2]) : 2);
}
