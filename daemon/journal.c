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

#include "daemon/log_file.h"

static bool to_journal, to_file;

void journal_open(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;

    to_journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
                 fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

int journal_open_file(const char *path)
{
    int r = log_file_open(path);

    to_file = true;
    to_journal = false; /* who started us may have had its stderr there */
    return r;
}

/* As plain text, for a file or a terminal. */
static void write_plain(const char *profile, const char *text)
{
    char line[2200];

    snprintf(line, sizeof line, "%s%s%s", profile ? profile : "", profile ? ": " : "", text);
    if (to_file)
        log_file_write(line);
    else
        fprintf(stderr, "kubetokend: %s\n", line);
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
        write_plain(profile, text);
}
