/* The configuration: the system's files, of which there may be two, and the user's, parted by lines
 * "%%". */
#define _GNU_SOURCE
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/protocol.h"
#include "common/time.h"
#include "daemon/config.h"
#include "daemon/config_keys.h"

enum { FILES = 3 };

static const char secret_text[] = "hunter22";

/* A file without a folder, which is filled anew each time. */
struct file {
    int fd;
    char path[32];
};

static void fill(struct file *f, const uint8_t *data, size_t size)
{
    if (!*f->path) {
        f->fd = memfd_create("kubetoken.conf", MFD_CLOEXEC);
        PROMISE(f->fd >= 0 && fchmod(f->fd, 0600) == 0);
        snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
    }
    PROMISE(ftruncate(f->fd, 0) == 0);
    PROMISE(pwrite(f->fd, data, size, 0) == (ssize_t)size);
}

static void check_profile(const struct config *config, const struct profile_config *p)
{
    PROMISE(protocol_name_valid(p->name, strlen(p->name)));
    PROMISE(config_find(config, p->name) == p);
    PROMISE(p->issuer && p->client_id && (p->username || p->password.kind == SOURCE_NONE));
    PROMISE(p->client_auth && p->proxy && p->scope && p->signing_algs);
    PROMISE(p->timeout >= USEC_PER_SEC && p->timeout <= 300 * USEC_PER_SEC);
    PROMISE(p->refresh_before_percent <= 90);
    PROMISE(p->refresh_before == 0 || p->refresh_before_percent == 0);
    PROMISE(strncmp(p->issuer, "https://", 8) == 0 || p->allow_http_loopback);
    PROMISE((p->password.kind == SOURCE_INLINE) == (p->password.value != NULL));
    PROMISE(p->password.kind <= SOURCE_INLINE || p->password.text);
    PROMISE(strcmp(p->client_auth, "none") != 0 || p->client_secret.kind == SOURCE_NONE);
    PROMISE(config_keys_same_identity(p, p));
    size_t n = 0;
    while (p->parameters && p->parameters[n])
        PROMISE(strchr(p->parameters[n++], '='));
    PROMISE(n <= JOB_LIST_MAX);
}

static void check_config(const struct config *config)
{
    PROMISE(config->n_profiles > 0);
    for (size_t i = 0; i < config->n_profiles; i++) {
        check_profile(config, &config->profiles[i]);
        PROMISE(i == 0 || strcmp(config->profiles[i - 1].name, config->profiles[i].name) < 0);
    }
    PROMISE(!config->default_profile || config_find(config, config->default_profile));
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    for (const char *p = text; (p = strstr(p, part)); p++)
        n++;
    return n;
}

/* No parameter of a file with one section is left out. */
static void check_parameters(const struct config *config, const char *text)
{
    char *const *list = config->profiles[0].parameters;
    size_t n = 0;

    while (list && list[n])
        n++;
    if (count(text, "[") == 1)
        PROMISE(n >= count(text, "\ntoken-parameter"));
}

/* Whether the secret stands where one belongs and nowhere else. */
static bool only_as_secret(const char *text)
{
    static const char *const keys[] = { "\npassword = ", "\nclient-secret = " };
    bool found = false;

    for (const char *p = text; (p = strstr(p, secret_text)); p++) {
        bool belongs = false;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            size_t n = strlen(keys[i]);
            belongs |= (size_t)(p - text) >= n && memcmp(p - n, keys[i], n) == 0;
        }
        if (!belongs)
            return false;
        found = true;
    }
    return found;
}

static void check_lines(const char *lines, const char *text)
{
    char *copy = strdup(lines);

    PROMISE(copy && *copy && copy[strlen(copy) - 1] == '\n');
    for (char *line = copy, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = '\0';
        PROMISE(fuzz_is_clean(line));
    }
    free(copy);
    if (only_as_secret(text))
        PROMISE(!strstr(lines, secret_text));
}

static void check_report(const struct config_report *report, const char *text)
{
    PROMISE(report->code != ERROR_NONE && report->text && report->count > 0);
    PROMISE(strlen(report->text) == report->length);
    check_lines(report->text, text);
}

/* Only what somebody has locked is noted, and only of a user. */
static void check_notes(const struct config_report *report, const char *text, size_t n_files)
{
    if (!report->notes)
        return;
    check_lines(report->notes, text);
    PROMISE(n_files > 1 && (!*text || strstr(text, "locked]")));
}

/* Returns how many files that are. */
static size_t fill_all(struct file files[FILES], const uint8_t *data, size_t size)
{
    for (size_t i = 0;; i++) {
        const uint8_t *mark = i + 1 < FILES ? memmem(data, size, "\n%%\n", 4) : NULL;
        size_t length = mark ? (size_t)(mark - data) + 1 : size;
        fill(&files[i], data, length);
        if (!mark)
            return i + 1;
        data += length + 2;
        size -= length + 2;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct file files[FILES];
    static const char *const paths[] = { files[0].path, files[1].path, files[2].path };
    struct config_report report;
    char *text = fuzz_text(data, size);

    setenv("HOME", "/home/100%", 0);
    size_t n = fill_all(files, data, size);
    const char *whole = strlen(text) == size ? text : "";
    struct config *config = config_load(paths, n, &report);
    check_notes(&report, whole, n);
    if (config) {
        PROMISE(report.code == ERROR_NONE && report.count == 0 && !report.text);
        check_config(config);
        if (n == 1)
            check_parameters(config, text);
    } else {
        check_report(&report, whole);
    }
    config_free(config);
    config_report_clear(&report);
    free(text);
    return 0;
}
