/*
 * Stands in for kubetoken-fetch and fails as the file MODE says; "good" runs the real one, REAL.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SOCKET = 0, FLOOD = 10 * 1024 * 1024 };

/* A step without a name; there may be many steps, but not without end. */
static const char step[] = "KTR1\x0f\0\0\0\6record\4\0\0\0step";

/* The head of a record of 200 KiB, which is less than a record may have. */
static const char head[] = { 'K', 'T', 'R', '1', 0, 0x20, 3, 0 };

static void flood(void)
{
    for (long sent = 0; sent < FLOOD; sent += (long)sizeof step - 1)
        if (write(SOCKET, step, sizeof step - 1) < 0)
            return;
}

int main(void)
{
    char mode[32] = "";
    FILE *f = fopen(MODE, "r");

    if (!f || !fgets(mode, sizeof mode, f))
        return 1;
    fclose(f);
    if (strcmp(mode, "good") == 0)
        return execl(REAL, "kubetoken-fetch", (char *)NULL);
    if (strcmp(mode, "exit") == 0)
        return 3;
    if (strcmp(mode, "not-started") == 0) /* what a failed exec looks like */
        return 127;
    if (strcmp(mode, "killed") == 0)
        return raise(SIGKILL);
    if (strcmp(mode, "hang") == 0)
        return pause();
    if (strcmp(mode, "junk") == 0)
        return write(SOCKET, "what is this\n", 13) < 0;
    if (strcmp(mode, "flood") == 0)
        flood();
    else if (write(SOCKET, head, sizeof head) < 0) /* "half": of a record */
        return 1;
    return 0;
}
