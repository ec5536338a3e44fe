#define _GNU_SOURCE
#include "daemon/secret_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/paths.h"
#include "daemon/private_file.h"

/* The file behind the source, or -1 with *why. */
static int source_path(const struct source *source, const char *what, char out[PATHS_MAX],
                       struct error *why)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");

    if (source->kind == SOURCE_FILE)
        return paths_expand(source->text, "", out);
    if (!folder || *folder != '/') {
        error_set(why, ERROR_CREDENTIAL,
                  "%s-credential = %s: CREDENTIALS_DIRECTORY is not set; "
                  "add LoadCredential=%s:PATH to kubetoken.service",
                  what, source->text, source->text);
        return -1;
    }
    return paths_expand(source->text, folder, out);
}

/* The same error, said of that file. */
static void name_file(struct error *why, const char *path, const char *between)
{
    char detail[ERROR_DETAIL_MAX + 1];

    memcpy(detail, why->detail, sizeof detail);
    error_set(why, why->code, "%s%s%s", path, between, detail);
}

static int read_file(const char *path, const char *what, bool from_systemd, struct secret **ret,
                     struct error *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0) {
        error_set(why, ERROR_CREDENTIAL, "%s: %s: %s", what, path, strerror(errno));
        return -1;
    }
    /* systemd makes its credentials 0400 or 0440, in a folder of the unit's own */
    if (!from_systemd && private_file_check(fd, path, true, why) < 0) {
        close(fd);
        name_file(why, path, " ");
        return -1;
    }
    struct secret *content = secret_new(SECRET_SOURCE_MAX + 1);
    ssize_t n = content ? read(fd, secret_bytes(content), SECRET_SOURCE_MAX + 1) : -1;
    if (n < 0) {
        error_set(why, ERROR_CREDENTIAL, "%s: %s: %s", what, path, strerror(errno));
        close(fd);
        secret_free(content);
        return -1;
    }
    close(fd);
    secret_set_length(content, (size_t)n);
    if (n > 0 && secret_peek(content)[n - 1] == '\n') /* that of an editor; nothing else */
        secret_set_length(content, (size_t)n - 1);
    if (secret_source_accept(what, content, ret, why) == 0)
        return 0;
    name_file(why, path, ": ");
    return -1;
}

int secret_source_accept(const char *what, struct secret *output, struct secret **ret,
                         struct error *why)
{
    size_t length = secret_length(output);

    if (length == 0)
        error_set(why, ERROR_CREDENTIAL, "the %s is empty", what);
    else if (length > SECRET_SOURCE_MAX)
        error_set(why, ERROR_CREDENTIAL, "the %s is longer than 16 KiB", what);
    else if (memchr(secret_peek(output), '\0', length))
        error_set(why, ERROR_CREDENTIAL, "the %s holds a NUL byte", what);
    else {
        *ret = secret_copy(secret_peek(output), length);
        secret_free(output);
        if (*ret)
            return 0;
        error_set(why, ERROR_INTERNAL, "no memory");
        return -1;
    }
    secret_free(output);
    return -1;
}

int secret_source_read(const struct source *source, const char *what, struct secret **ret,
                       struct error *why)
{
    char path[PATHS_MAX];

    *ret = NULL;
    switch (source->kind) {
    case SOURCE_INLINE:
        *ret = secret_copy(secret_peek(source->value), secret_length(source->value));
        if (*ret)
            return 0;
        error_set(why, ERROR_INTERNAL, "no memory");
        return -1;
    case SOURCE_FILE:
    case SOURCE_CREDENTIAL:
        if (source_path(source, what, path, why) < 0)
            return -1;
        return read_file(path, what, source->kind == SOURCE_CREDENTIAL, ret, why);
    default:
        return 0;
    }
}

int secret_source_check_key(const struct profile_config *profile, struct error *why)
{
    const char *path = profile->tls_client_key ? profile->tls_client_key : profile->tls_client_cert;

    if (!path)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        error_set(why, ERROR_TLS_FILE, "%s: %s", path, strerror(errno));
        return -1;
    }
    int r = private_file_check(fd, path, true, why);
    close(fd);
    if (r < 0)
        name_file(why, path, " ");
    return r;
}

uint64_t secret_source_stamp(const struct source *source)
{
    char path[PATHS_MAX];
    const char *paths[] = { path };
    struct error ignored;

    if ((source->kind != SOURCE_FILE && source->kind != SOURCE_CREDENTIAL) ||
        source_path(source, "", path, &ignored) < 0)
        return 0;
    return private_file_stamp(paths, 1).hash;
}
