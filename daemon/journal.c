#define _GNU_SOURCE
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "daemon/journal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "common/message_id.h"
#include "common/printable.h"
#include "common/time.h"
#include "daemon/log_file.h"

static const uint64_t interval = 10 * 60 * USEC_PER_SEC;

static bool to_journal, to_file;

void journal_open(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;

    to_journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
                 fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

enum { FIELDS = 5 };

/* A field, as sd_journal_sendv() wants it. */
static struct iovec field(char *room, size_t size, const char *name, const char *value)
{
    int n = snprintf(room, size, "%s=%s", name, value);

    return (struct iovec){ room, n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1 };
}

static void send_fields(int priority, const char *profile, const char *event, const char *text)
{
    char message[2200], level[16], id[64], kind[64], who[128], number[MESSAGE_ID_SIZE];
    struct iovec fields[FIELDS];
    int n = 0;

    fields[n++] = field(message, sizeof message, "MESSAGE", text);
    snprintf(number, sizeof number, "%d", priority);
    fields[n++] = field(level, sizeof level, "PRIORITY", number);
    message_id(event, number);
    fields[n++] = field(id, sizeof id, "MESSAGE_ID", number);
    fields[n++] = field(kind, sizeof kind, "KUBETOKEN_EVENT", event);
    if (profile)
        fields[n++] = field(who, sizeof who, "KUBETOKEN_PROFILE", profile);
    sd_journal_sendv(fields, n);
}

int journal_open_file(const char *path)
{
    int r = log_file_open(path);

    to_file = true;
    to_journal = false; /* who started us may have had its stderr there */
    return r;
}

void journal_write(int priority, const char *profile, const char *event, const char *format, ...)
{
    char text[2048];
    va_list ap;

    if (priority == LOG_DEBUG && !to_journal)
        return; /* the journal keeps debug lines for who asks; a terminal would drown */
    int n = profile ? snprintf(text, sizeof text, "%s: ", profile) : 0;
    if (n < 0 || (size_t)n >= sizeof text)
        n = 0;
    va_start(ap, format);
    vsnprintf(text + n, sizeof text - (size_t)n, format, ap);
    va_end(ap);
    printable_hide(text, "\t");
    if (to_journal)
        send_fields(priority, profile, event, text);
    else if (to_file)
        log_file_write(text);
    else
        fprintf(stderr, "kubetokend: %s\n", text);
}

bool journal_allows(struct journal_limit *l, uint64_t now)
{
    uint64_t used = l->used_until > now ? l->used_until : now;

    if (used + interval > now + JOURNAL_BURST * interval) {
        l->left_out++;
        return false;
    }
    l->used_until = used + interval;
    return true;
}
