/*
 * kubetoken-fetch - does one job for kubetokend and is gone, with every copy of a secret that
 * a library ever made. Descriptor 0 is a socket: the job comes in, steps and one result go
 * out. Nobody else is meant to run it.
 */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/error.h"
#include "common/heap.h"
#include "common/time.h"
#include "common/tlv.h"
#include "daemon/fetch/device.h"
#include "daemon/fetch/get_token.h"
#include "daemon/fetch/inspect.h"
#include "daemon/fetch/revoke.h"
#include "daemon/fetch/redact.h"
#include "daemon/fetch/resolver.h"
#include "daemon/fetch/sandbox.h"
#include "daemon/fetch/tls_files.h"
#include "daemon/fetch/verify_token.h"

enum { SOCKET = 0 };

/* Most jobs and results are smaller; a page that is locked costs as much as one that is used. */
enum { USUAL = 8 * 1024 };

/* Makes room for the whole record, of which the head is there. NULL: no memory. */
static struct secret *make_room(struct secret *in)
{
    size_t whole = tlv_length(secret_peek(in), secret_length(in));

    if (whole <= secret_capacity(in))
        return in;
    struct secret *larger = secret_new(whole < JOB_MAX ? whole : JOB_MAX);
    if (larger) {
        memcpy(secret_bytes(larger), secret_peek(in), secret_length(in));
        secret_set_length(larger, secret_length(in));
    }
    secret_free(in);
    return larger;
}

/* Reads the job from the socket: one record. Returns 0, or -1. */
static int read_job(struct job *ret)
{
    _secret_ struct secret *in = secret_new(USUAL);
    struct tlv_reader r;
    long whole = 0;

    while (in && whole == 0) {
        size_t have = secret_length(in);
        ssize_t n = read(SOCKET, secret_bytes(in) + have, secret_capacity(in) - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        secret_set_length(in, have + (size_t)n);
        whole = tlv_open(&r, secret_peek(in), secret_length(in));
        if (whole == 0)
            in = make_room(in);
    }
    if (!in)
        heap_note_lack();
    int bad = whole > 0 ? job_decode(secret_peek(in), (size_t)whole, ret) : -1;
    if (bad == -ENOMEM)
        heap_note_lack();
    if (bad < 0)
        return -1;
    for (size_t i = 0; ret->environment[i]; i++)
        putenv((char *)(uintptr_t)ret->environment[i]); /* the job lives as long as we do */
    return 0;
}

/* What was copied last is in vector registers still, the end of a secret perhaps, and the dynamic
 * linker saves those on the stack when a library first calls a function. Another copy takes the
 * same ones, where it is as long as many vectors, and too short for what copies without them. */
static void overwrite_registers(void)
{
    static const char zeros[1024];
    static char out[sizeof zeros];
    volatile size_t length = sizeof zeros; /* or no function would be called */

    memcpy(out, zeros, length);
}

static void send_all(const void *bytes, size_t length)
{
    ssize_t n = -1;

    while (length > 0 && (n = send(SOCKET, bytes, length, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)length)
        _exit(1); /* nobody listens any more */
}

static void on_step(void *context, const char *name, const char *host)
{
    char bytes[512];
    struct step step;

    snprintf(step.name, sizeof step.name, "%s", name);
    snprintf(step.host, sizeof step.host, "%s", host);
    if (context)
        redact_secrets(context, step.host); /* a discovery document may name any */
    if (heap_lacked())                      /* then not all of them are known */
        step.host[0] = '\0';
    size_t length = step_encode(&step, bytes, sizeof bytes);
    send_all(bytes, length);
}

/* Without memory nothing is known of anybody: a library may have called a good signature a bad one,
 * and what came may have been half of it. Of what came only a new refresh token is kept, since the
 * one before may be void. */
static void forget_findings(struct result *ret)
{
    struct result bare = { .outcome = ret->sent > 0 ? OUTCOME_TEMPORARY : OUTCOME_CONFIG,
                           .refresh_token = ret->refresh_token,
                           .protections = ret->protections };

    error_set(&bare.error, ERROR_INTERNAL, "kubetoken-fetch is out of memory");
    ret->refresh_token = NULL;
    result_clear(ret);
    *ret = bare;
}

/* Returns where it is put together now, and the length in ret. */
static struct secret *encode(struct result *result, struct secret *out, size_t *ret)
{
    result->protections.locked = secret_locked();
    *ret = result_encode(result, secret_bytes(out), secret_capacity(out));
    if (*ret > 0 || heap_lacked())
        return out;
    struct secret *larger = secret_new(RESULT_MAX - RESULT_STEPS_MAX);
    if (!larger) {
        heap_note_lack();
        return out;
    }
    secret_free(out);
    result->protections.locked = secret_locked();
    *ret = result_encode(result, secret_bytes(larger), secret_capacity(larger));
    return larger;
}

/* Says what came of it, and ends: no destructors, the kernel wipes better. out: where it is put
 * together, if it is no longer than usual; NULL: there is no memory for that, and nothing was sent.
 */
static _Noreturn void finish(struct result *result, struct secret *out)
{
    char bare[1024];
    size_t length = 0;

    if (out && !heap_lacked())
        out = encode(result, out, &length);
    if (length == 0) {
        forget_findings(result);
        result->protections.locked = secret_locked();
        length = out ? result_encode(result, secret_bytes(out), secret_capacity(out))
                     : result_encode(result, bare, sizeof bare);
    }
    send_all(out ? secret_peek(out) : bare, length);
    _exit(length > 0 ? 0 : 1);
}

/* What keeps it from its work is told where it was memory; of all else the status tells. */
static _Noreturn void give_up(struct result *result, int status)
{
    if (heap_lacked())
        finish(result, NULL);
    _exit(status);
}

/* untrusted: what stands against any request, or none. */
static void run(const struct job *job, const struct error *untrusted, struct result *ret)
{
    struct http *http = http_new(job, on_step, (void *)(uintptr_t)job);

    ret->outcome = OUTCOME_CONFIG;
    error_set(&ret->error, ERROR_INTERNAL, "libcurl cannot be set up");
    if (http && untrusted->code != ERROR_NONE)
        http_refuse(http, untrusted);
    if (http && job->kind == JOB_INSPECT)
        inspect_run(http, job, ret);
    else if (http && job->kind == JOB_REVOKE)
        revoke_run(http, job, ret);
    else if (http && job->kind == JOB_VERIFY)
        verify_token_run(http, job, on_step, ret);
    else if (http && job->kind == JOB_DEVICE)
        device_run(http, job, ret);
    else if (http)
        get_token_run(http, job, on_step, ret);
    http_free(http);
    redact_result(job, ret);
}

static int print(const char *text)
{
    signal(SIGPIPE, SIG_IGN);
    if (write(STDOUT_FILENO, text, strlen(text)) == (ssize_t)strlen(text))
        return 0;
    fprintf(stderr, "kubetoken-fetch: %s: %s\n", error_sentence(ERROR_OUTPUT), strerror(errno));
    return 1;
}

/* All walls. Returns 0, or -1: one that this kernel has cannot be put up. */
static int confine(const struct job *job, struct protections *ret)
{
    protections_look(ret);
    int landlock = sandbox_files(job);
    int seccomp = landlock < 0 ? -1 : sandbox_calls(SANDBOX_NETWORK);

    ret->landlock = landlock > 0 ? (unsigned)landlock : 0;
    ret->seccomp = seccomp > 0;
    return seccomp < 0 ? -1 : 0;
}

/* libcurl links GnuTLS, for what is forbidden here (LDAP, RTMP), and that sets itself up when it is
 * loaded, but for a program that says so (GNUTLS_SKIP_GLOBAL_INIT in its header). */
__attribute__((visibility("default"))) int _gnutls_global_init_skip(void);

int _gnutls_global_init_skip(void)
{
    return 1;
}

int main(int argc, char **argv)
{
    struct job job;
    struct result result = { 0 };
    struct error untrusted = { .code = ERROR_NONE };

    if (argc > 1 && (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0))
        return print("kubetoken-fetch " KUBETOKEN_VERSION "\n");
    if (argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0))
        return print("kubetoken-fetch is run by kubetokend, for one request to a provider; see "
                     "kubetokend(8)\n");
    if (argc > 1 || fcntl(SOCKET, F_GETFD) < 0) {
        fputs("kubetoken-fetch is run by kubetokend; see kubetokend(8)\n", stderr);
        return 2;
    }
    descriptor_fill();
    sandbox_limits();
    unsetenv("SSLKEYLOGFILE"); /* libcurl would write the session's keys there */
    resolver_start(resolver_need());
    if (read_job(&job) < 0)
        give_up(&result, 2);
    overwrite_registers();
    tls_files_judge(&job, &untrusted);
    heap_lock(); /* behind the job: where the limit is low, that goes first */
    if (confine(&job, &result.protections) < 0)
        give_up(&result, 3);
    if (heap_lacked() || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        give_up(&result, 1);
    struct secret *out = secret_new(USUAL); /* before a token may come */
    if (out)
        run(&job, &untrusted, &result);
    finish(&result, out);
}
