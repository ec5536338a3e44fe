/* Which walls hold around the daemon and the last fetcher. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "client/admin/doctor.h"

enum { DAEMON = 1, FETCHER = 2 };

/* Where one is missing: what may happen, and what helps. Locked memory of the daemon's is the link
 * daemon's. */
static const struct protection {
    const char *member, *name;
    int expected; /* of which of the two */
    const char *means, *remedy;
} protections[] = {
    { "memoryLocked", "locked memory", FETCHER,
      "copies of secrets may be swapped out while a request lasts",
      "raise the limit: LimitMEMLOCK= in kubetoken.service, or ulimit -l" },
    { "notDumpable", "not dumpable", DAEMON | FETCHER,
      "any program of yours can read secrets from its memory", NULL },
    { "noCoreDump", "no core", DAEMON | FETCHER, "a crash may write secrets to the disk", NULL },
    { "noNewPrivileges", "no new privileges", FETCHER,
      "a program with more rights than yours could be run by it", NULL },
    { "seccomp", "seccomp", FETCHER,
      "whoever takes it over can use every system call: run programs, reach your session bus",
      "use a kernel with seccomp filters (CONFIG_SECCOMP_FILTER), on x86-64 or arm64; a "
      "container's runtime may forbid them" },
    { "landlockAbi", "Landlock", FETCHER, "whoever takes it over can read your files",
      "use a kernel of 5.13 or later with landlock in its list lsm= "
      "(/sys/kernel/security/lsm); a container's runtime may forbid it" },
};

enum { N_PROTECTIONS = sizeof protections / sizeof *protections };

static bool holds(const cJSON *of, const struct protection *p, int *ret_abi)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(of, p->member);

    *ret_abi = cJSON_IsNumber(member) ? member->valueint : 0;
    return cJSON_IsTrue(member) || *ret_abi > 0;
}

/* Those that hold, in words. */
static void list(const cJSON *of, char *out, size_t size)
{
    size_t used = 0;
    int abi;

    *out = '\0';
    for (size_t i = 0; i < N_PROTECTIONS && used < size; i++)
        if (holds(of, &protections[i], &abi)) {
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "",
                                     protections[i].name);
            if (abi > 0 && used < size)
                used += (size_t)snprintf(out + used, size - used, " (ABI %d)", abi);
        }
}

/* told: a bit for each that is missing for a reason which stands in the report already. */
static void check(struct doctor *d, const char *program, int which, const cJSON *of, unsigned told)
{
    char held[200];
    int abi;

    list(of, held, sizeof held);
    report_add(&d->report, LEVEL_OK, "protections", ERROR_NONE, "%s: %s", program,
               *held ? held : "none");
    for (size_t i = 0; i < N_PROTECTIONS; i++) {
        const struct protection *p = &protections[i];
        if (!(p->expected & which) || (told & 1U << i) || holds(of, p, &abi))
            continue;
        report_add(&d->report, LEVEL_WARNING, "protections", ERROR_UNPROTECTED,
                   "%s without \"%s\": %s", program, p->name, p->means);
        report_remedy(&d->report, "%s",
                      p->remedy ? p->remedy : "that is a fault of kubetoken: please report it");
    }
}

/* Asked anew: the links before this one have run a fetcher. */
void doctor_protections(struct doctor *d)
{
    struct error why;

    if (!d->daemon_answers || doctor_ask(d, "status json", NULL, &why) != ERROR_NONE)
        return;
    cJSON *status = cJSON_Parse(d->answer);
    const cJSON *both = cJSON_GetObjectItemCaseSensitive(status, "protections");
    const cJSON *daemon = cJSON_GetObjectItemCaseSensitive(both, "daemon");
    const cJSON *fetcher = cJSON_GetObjectItemCaseSensitive(both, "fetcher");

    if (daemon) /* an older one does not say */
        check(d, "kubetokend", DAEMON, daemon, 0);
    if (fetcher)
        check(d, "kubetoken-fetch", FETCHER, fetcher,
              !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(daemon, protections->member)));
    else if (daemon)
        report_add(&d->report, LEVEL_SKIPPED, "protections", ERROR_NONE,
                   "kubetoken-fetch: none has run yet");
    cJSON_Delete(status);
}
