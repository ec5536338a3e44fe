#define _GNU_SOURCE
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "daemon/journal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

static bool to_journal;

void journal_open(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;

    to_journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
                 fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void journal_write(int priority, const char *profile, const char *event, const char *format, ...)
{
    char text[2048];
    va_list ap;

    if (priority == LOG_DEBUG && !to_journal)
        return; /* the journal keeps debug lines for who asks; a terminal would drown */
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (to_journal && profile)
        sd_journal_send("MESSAGE=%s: %s", profile, text, "PRIORITY=%d", priority,
                        "KUBETOKEN_EVENT=%s", event, "KUBETOKEN_PROFILE=%s", profile, NULL);
    else if (to_journal)
        sd_journal_send("MESSAGE=%s", text, "PRIORITY=%d", priority, "KUBETOKEN_EVENT=%s", event,
                        NULL);
    else
        fprintf(stderr, "kubetokend: %s%s%s\n", profile ? profile : "", profile ? ": " : "", text);
}
