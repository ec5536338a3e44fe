/* Preloaded by tests: what would go to the journal is appended to a file, a field a line, an empty
 * line behind each entry. The real one's socket cannot be had where systemd does not run. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

int sd_journal_sendv(const struct iovec *fields, int n);

int sd_journal_sendv(const struct iovec *fields, int n)
{
    struct iovec lines[2 * 16 + 1];
    int count = 0, fd = open(getenv("JOURNAL_STAND_IN"), O_WRONLY | O_APPEND | O_CLOEXEC);

    for (int i = 0; i < n && i < 16; i++) {
        lines[count++] = fields[i];
        lines[count++] = (struct iovec){ (char[]){ '\n' }, 1 };
    }
    lines[count++] = (struct iovec){ (char[]){ '\n' }, 1 };
    ssize_t written = writev(fd, lines, count);
    close(fd);
    return written < 0 ? -1 : 0;
}
