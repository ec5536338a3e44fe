#define _GNU_SOURCE
#include "common/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { FIRST_OWN = STDERR_FILENO + 1 };

void descriptor_fill(void)
{
    for (int fd = 0; fd < FIRST_OWN; fd++)
        if (fcntl(fd, F_GETFD) < 0 && /* the way that nobody uses that number */
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return;
}

int descriptor_raise(int fd)
{
    if (fd < 0 || fd >= FIRST_OWN)
        return fd;
    int above = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OWN), reason = errno;
    close(fd);
    descriptor_fill();
    errno = reason;
    return above;
}

int descriptor_give(int fd, int number)
{
    if (fd == number)
        return fcntl(fd, F_SETFD, 0);
    return dup2(fd, number) < 0 ? -1 : 0;
}
