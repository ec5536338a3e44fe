#define _GNU_SOURCE
#include "client/admin/kubectl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/kubectl_words.h"

enum { ARGUMENTS = 16 };

int kubectl_run(const struct doctor *d, const char *const args[], const char *input,
                struct child *ret)
{
    const char *argv[ARGUMENTS] = { "kubectl" };
    const char *kuberc = getenv("KUBERC");
    char *kept = kuberc ? strdup(kuberc) : NULL;
    size_t n = 1;

    if (d->kubeconfig) {
        argv[n++] = "--kubeconfig";
        argv[n++] = d->kubeconfig;
    }
    while (*args && n < ARGUMENTS - 1)
        argv[n++] = *args++;
    argv[n] = NULL;
    if (*d->kuberc_error) /* else nothing could be seen but that */
        setenv("KUBERC", "off", 1);
    int r = child_run_with(argv, input, d->timeout, ret);
    if (kept)
        setenv("KUBERC", kept, 1);
    else
        unsetenv("KUBERC");
    free(kept);
    return r;
}

static char *read_file(const char *path)
{
    enum { PEM_MAX = 64 * 1024 };
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    char *text = calloc(1, PEM_MAX + 1);
    size_t n = text ? fread(text, 1, PEM_MAX, f) : 0;
    fclose(f);
    if (n > 0)
        return text;
    free(text);
    errno = EBADMSG;
    return NULL;
}

/* What config view shows is blotted out; --raw shows this one member alone, which is no secret. */
char *kubectl_certificate(const struct doctor *d, const char *file)
{
    const char *const raw[] = { "config", "view",
                                "--raw",  "--minify",
                                "-o",     "jsonpath={.users[0].user.client-certificate-data}",
                                NULL };
    struct child child;

    if (*file)
        return read_file(file);
    int r = kubectl_run(d, raw, NULL, &child);
    char *text = r == 0 ? strdup(child.out) : NULL;
    child_clear(&child);
    if (!text)
        errno = EBADMSG;
    return text;
}

/* A kubectl that ends for its preferences is asked again without them. */
static int ask(struct doctor *d, const char *const args[], struct child *child)
{
    if (kubectl_run(d, args, NULL, child) == 0)
        return 0;
    if (*d->kuberc_error || !strstr(child->err, "applying preferences"))
        return -1;
    snprintf(d->kuberc_error, sizeof d->kuberc_error, "%s", kubectl_words_telling(child->err));
    child_clear(child);
    return kubectl_run(d, args, NULL, child);
}

static void note_failure(struct doctor *d, struct child *child)
{
    if (child->failed == ENOENT)
        error_set(&d->kubectl_error, ERROR_KUBECTL, "there is none on the PATH");
    else if (child->failed == ETIMEDOUT)
        error_set(&d->kubectl_error, ERROR_KUBECTL_FAILS, "it does not tell its version in time");
    else if (child->failed)
        error_set(&d->kubectl_error, ERROR_KUBECTL_FAILS, "%s", strerror(child->failed));
    else
        error_set(&d->kubectl_error, ERROR_KUBECTL_FAILS, "exit code %d%s%s", child->exit_code,
                  *child->err ? ": " : "", kubectl_words_telling(child->err));
}

void doctor_read_kubectl(struct doctor *d)
{
    const char *const version[] = { "version", "--client", "-o", "json", NULL };
    const char *const view[] = { "config", "view", "-o", "json", NULL };
    struct child child;

    if (ask(d, version, &child) < 0) {
        note_failure(d, &child);
        child_clear(&child);
        return;
    }
    d->kubectl = cJSON_Parse(child.out);
    const cJSON *client = cJSON_GetObjectItemCaseSensitive(d->kubectl, "clientVersion");
    d->kubectl_version = doctor_text(client, "gitVersion");
    d->kubectl_minor = strtol(doctor_text(client, "minor"), NULL, 10); /* "32+" */
    if (!d->kubectl || !*d->kubectl_version) {
        error_set(&d->kubectl_error, ERROR_KUBECTL_FAILS, "it tells no version");
        cJSON_Delete(d->kubectl);
        d->kubectl = NULL;
    }
    child_clear(&child);
    if (!d->kubectl)
        return;

    if (ask(d, view, &child) == 0)
        d->config = cJSON_Parse(child.out);
    if (!d->config)
        error_set(&d->kubectl_error, ERROR_KUBECONFIG, "%s",
                  child.failed ? strerror(child.failed) : kubectl_words_telling(child.err));
    child_clear(&child);
}
