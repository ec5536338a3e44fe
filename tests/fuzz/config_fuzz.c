/* The configuration: the system's file and the user's, parted by a line "%%". */
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
    PROMISE(p->issuer && p->client_id && p->username);
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

static void check_report(const struct config_report *report, const char *text)
{
    PROMISE(report->code != ERROR_NONE && report->text && report->count > 0);
    PROMISE(strlen(report->text) == report->length);
    PROMISE(report->text[report->length - 1] == '\n');
    char *copy = strdup(report->text);
    PROMISE(copy);
    for (char *line = copy, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = '\0';
        PROMISE(fuzz_is_clean(line));
    }
    free(copy);
    if (only_as_secret(text))
        PROMISE(!strstr(report->text, secret_text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct file files[2];
    static const char *const paths[] = { files[0].path, files[1].path };
    const uint8_t *mark = memmem(data, size, "\n%%\n", 4);
    size_t first = mark ? (size_t)(mark - data) + 1 : size;
    struct config_report report;
    char *text = fuzz_text(data, size);

    fill(&files[0], data, first);
    if (mark)
        fill(&files[1], data + first + 3, size - first - 3);
    struct config *config = config_load(paths, mark ? 2 : 1, &report);
    if (config) {
        PROMISE(report.code == ERROR_NONE && report.count == 0 && !report.text);
        check_config(config);
        check_parameters(config, text);
    } else {
        check_report(&report, strlen(text) == size ? text : "");
    }
    config_free(config);
    config_report_clear(&report);
    free(text);
    return 0;
}
