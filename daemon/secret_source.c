#define _GNU_SOURCE
#include "daemon/secret_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/paths.h"
#include "common/secret_form.h"
#include "daemon/private_file.h"

/* systemd copies its credentials when the service starts, and not again. */
#define RESTART "systemctl --user restart kubetoken.service"
#define HAND_OVER                                                                                  \
    "add LoadCredential=%s:PATH by systemctl --user edit kubetoken.service, then: " RESTART

/* What the keys of a secret begin with. */
static const char *key_of(const char *what)
{
    return strcmp(what, "password") == 0 ? "password" : "client-secret";
}

/* The file behind the source, or -1 with *why. */
static int source_path(const struct source *source, const char *what, char out[PATHS_MAX],
                       struct error *why)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");

    if (source->kind == SOURCE_FILE)
        return paths_expand(source->text, "", out);
    if (!folder || *folder != '/') {
        error_set(why, ERROR_CREDENTIAL,
                  "%s-credential = %s: CREDENTIALS_DIRECTORY is not set; " HAND_OVER, key_of(what),
                  source->text, source->text);
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

static void explain_open(const struct source *source, const char *what, const char *path,
                         int number, struct error *why)
{
    if (source->kind == SOURCE_CREDENTIAL && number != EPERM)
        error_set(why, ERROR_CREDENTIAL, "%s; " HAND_OVER, strerror(number), source->text);
    name_file(why, path, ": ");
    if (number != EPERM)
        name_file(why, what, ": ");
}

/* In one go: it is a regular file. One byte more than is taken shows what is too long. */
static struct secret *read_all(int fd)
{
    struct secret *content = secret_new(SECRET_FORM_ROOM);
    ssize_t n = content ? read(fd, secret_bytes(content), SECRET_FORM_ROOM) : -1;

    if (n < 0)
        return secret_free(content);
    secret_set_length(content, (size_t)n);
    return content;
}

static int read_file(const struct source *source, const char *what, const char *path,
                     struct secret **ret, struct error *why)
{
    char way[PATHS_MAX + 64];
    const char *q = private_file_quote(path);
    const struct private_file_use use = { .secret = true, .way = way };

    snprintf(way, sizeof way, "set %s-command = cat %s%s%s", key_of(what), q, path, q);
    int fd = private_file_open(path, use, why);
    if (fd < 0) {
        explain_open(source, what, path, -fd, why);
        return -1;
    }
    /* systemd makes its credentials 0400 or 0440, in a folder of the unit's own */
    if (source->kind != SOURCE_CREDENTIAL && private_file_check(fd, path, use, why) < 0) {
        close(fd);
        name_file(why, path, " ");
        return -1;
    }
    struct secret *content = read_all(fd);
    if (!content) {
        error_set(why, ERROR_CREDENTIAL, "%s: %s: %s", what, path, strerror(errno));
        close(fd);
        return -1;
    }
    close(fd);
    if (secret_source_accept(what, source, content, ret, why) == 0)
        return 0;
    if (why->code == ERROR_CREDENTIAL)
        name_file(why, path, ": ");
    return -1;
}

/* What mends the form, by where it came from; "" where the fault says it all. */
static void mend_form(const char *what, const struct source *source, enum secret_form_fault fault,
                      char *out, size_t size)
{
    const char *q = source->text ? private_file_quote(source->text) : "";
    bool mark = fault == SECRET_FORM_BOM || fault == SECRET_FORM_UTF16;

    *out = '\0';
    if (source->kind == SOURCE_CREDENTIAL)
        snprintf(out, size, "; once it is corrected: " RESTART);
    else if (fault == SECRET_FORM_SECOND_LINE && source->kind == SOURCE_COMMAND)
        snprintf(out, size, "; print the first alone: %s-command = sh -c 'COMMAND | head -n1'",
                 key_of(what));
    else if (fault == SECRET_FORM_SECOND_LINE && source->kind == SOURCE_FILE)
        snprintf(out, size, "; leave one there, or set %s-command = head -n1 %s%s%s", key_of(what),
                 q, source->text, q);
    else if (mark && source->kind == SOURCE_FILE)
        snprintf(out, size, "; save it as UTF-8 without that mark");
}

int secret_source_accept(const char *what, const struct source *source, struct secret *given,
                         struct secret **ret, struct error *why)
{
    char words[SECRET_FORM_WORDS], mend[ERROR_DETAIL_MAX + 1];
    const struct secret_form form = secret_form_judge(secret_peek(given), secret_length(given));

    if (form.fault == SECRET_FORM_GOOD) {
        *ret = secret_copy(secret_peek(given), form.length);
        if (!*ret)
            error_set(why, ERROR_INTERNAL, "no memory");
    } else {
        *ret = NULL;
        secret_form_words(&form, words);
        mend_form(what, source, form.fault, mend, sizeof mend);
        error_set(why, ERROR_CREDENTIAL, "the %s %s%s", what, words, mend);
    }
    secret_free(given);
    return *ret ? 0 : -1;
}

int secret_source_read(const struct source *source, const char *what, struct secret **ret,
                       struct error *why)
{
    char path[PATHS_MAX];
    struct secret *copy;

    *ret = NULL;
    switch (source->kind) {
    case SOURCE_INLINE:
        copy = secret_copy(secret_peek(source->value), secret_length(source->value));
        if (copy)
            return secret_source_accept(what, source, copy, ret, why);
        error_set(why, ERROR_INTERNAL, "no memory");
        return -1;
    case SOURCE_FILE:
    case SOURCE_CREDENTIAL:
        if (source_path(source, what, path, why) < 0)
            return -1;
        return read_file(source, what, path, ret, why);
    default:
        return 0;
    }
}

const char *secret_source_restart(const struct source *source)
{
    return source->kind == SOURCE_CREDENTIAL ? RESTART : "";
}

int secret_source_check_key(const struct profile_config *profile, struct error *why)
{
    const char *path = profile->tls_client_key ? profile->tls_client_key : profile->tls_client_cert;
    const struct private_file_use use = { .secret = true,
                                          .way = "name a copy that is yours, with mode 600" };

    if (!path)
        return 0;
    int fd = private_file_open(path, use, why);
    if (fd < 0) {
        why->code = ERROR_TLS_FILE;
        name_file(why, path, ": ");
        return -1;
    }
    int r = private_file_check(fd, path, use, why);
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
