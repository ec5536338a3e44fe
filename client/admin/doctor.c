/* kubetoken doctor: the command line, and the order of the links. */
#define _GNU_SOURCE
#include "client/admin/doctor.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/commands.h"
#include "client/autostart.h"
#include "client/help.h"
#include "client/locked.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/time.h"

static int add_expected(struct doctor *d, const char *claim)
{
    const char *equals = strchr(claim, '=');

    if (!equals || equals == claim || equals - claim > 100)
        return output_fail(ERROR_USAGE, "--expect-claim wants NAME=VALUE");
    if (d->n_expect_claims == sizeof d->expect_claims / sizeof *d->expect_claims)
        return output_fail(ERROR_USAGE, "--expect-claim is given too often");
    d->expect_claims[d->n_expect_claims++] = claim;
    return 0;
}

static int one_option(char **argv, int *i, struct doctor *d)
{
    struct {
        const char *name, **value;
    } texts[] = { { "expect-issuer", &d->expect_issuer },
                  { "expect-audience", &d->expect_audience },
                  { "kubeconfig", &d->kubeconfig } };
    const char *value;
    bool missing = false;

    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
        if ((value = options_value(argv, i, texts[t].name, 0, &missing))) {
            *texts[t].value = value;
            return 0;
        }
    if ((value = options_value(argv, i, "expect-claim", 0, &missing)))
        return add_expected(d, value);
    if ((value = options_value(argv, i, "timeout", 0, &missing)))
        return options_duration("--timeout", value, &d->timeout);
    if (missing)
        return help_value_missing(argv[*i]);
    if (strcmp(argv[*i], "--json") == 0)
        d->as_json = true;
    else if (strcmp(argv[*i], "--refresh") == 0)
        d->refresh = true;
    else if (argv[*i][0] == '-')
        return help_unknown_option("doctor", argv[*i]);
    else
        return options_take_profile(argv[*i], &d->profile);
    return 0;
}

static int parse(int argc, char **argv, struct doctor *d)
{
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++)
        r = one_option(argv, &i, d);
    if (r == 0 && d->profile && !protocol_name_valid(d->profile, strlen(d->profile)))
        r = output_fail(ERROR_NO_PROFILE, d->profile);
    if (r == 0 && d->timeout == 0)
        r = output_fail(ERROR_USAGE, "--timeout 0 leaves no time");
    return r;
}

int doctor_run(int argc, char **argv, const char *folder)
{
    static struct doctor d = { .timeout = PROTOCOL_TIMEOUT };

    int r = parse(argc, argv, &d);
    if (r)
        return r;
    d.folder = folder;
    autostart_set_keeper();
    d.answer = locked_memory(DOCTOR_ANSWER_MAX);

    doctor_read_kubectl(&d);
    if (!d.profile) /* what kubectl asks for is what matters */
        d.profile = doctor_kubeconfig_profile(&d);
    doctor_configuration(&d);
    doctor_daemon(&d);
    doctor_provider(&d);
    doctor_clock(&d);
    doctor_token(&d);
    doctor_kubeconfig(&d);
    doctor_cluster(&d);
    r = report_print(&d.report, d.as_json);
    cJSON_Delete(d.status);
    cJSON_Delete(d.inspection);
    cJSON_Delete(d.kubectl);
    cJSON_Delete(d.config);
    return r;
}
