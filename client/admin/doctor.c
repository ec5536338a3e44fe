/* kubetoken doctor: the command line, and the order of the links. */
#define _GNU_SOURCE
#include "client/admin/doctor.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/commands.h"
#include "client/autostart.h"
#include "client/help.h"
#include "client/locked.h"
#include "client/options.h"
#include "client/output.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

/* One more of an option that can be given several times. */
static int add_text(struct apiserver_texts *to, const char *option, const char *value)
{
    char text[80];

    if (to->n == APISERVER_TEXTS_MAX) {
        snprintf(text, sizeof text, "--%s is given too often", option);
        return output_fail(ERROR_USAGE, text);
    }
    to->texts[to->n++] = value;
    return 0;
}

static int add_claim(struct doctor *d, const char *claim)
{
    const char *equals = strchr(claim, '=');

    if (!equals || equals == claim || equals - claim > 100)
        return output_fail(ERROR_USAGE, "--expect-claim wants NAME=VALUE");
    return add_text(&d->expected.claims, "expect-claim", claim);
}

/* "RS256,ES256" too, as the API server takes it. Cuts the value in pieces. */
static int add_algorithms(struct doctor *d, char *value)
{
    int r = 0;

    for (char *name; r == 0 && (name = strsep(&value, ","));)
        if (!apiserver_knows_algorithm(name))
            r = output_fail(ERROR_USAGE, "--expect-signing-alg takes RS256, RS384, RS512, and ES "
                                         "and PS likewise: an API server starts with no other");
        else
            r = add_text(&d->expected.algorithms, "expect-signing-alg", name);
    return r;
}

static int expected_option(char **argv, int *i, struct doctor *d, bool *ret_taken, bool *missing)
{
    const char *value;
    int at = *i;

    *ret_taken = true;
    if ((value = options_value(argv, i, "expect-claim", 0, missing)))
        return add_claim(d, value);
    if ((value = options_value(argv, i, "expect-audience", 0, missing)))
        return add_text(&d->expected.audiences, "expect-audience", value);
    if ((value = options_value(argv, i, "expect-signing-alg", 0, missing)))
        return add_algorithms(d, argv[*i] + (value - argv[*i]));
    *i = at;
    *ret_taken = false;
    return 0;
}

static int take_format(const char *value, struct doctor *d)
{
    struct options o = { .json = false };

    int r = options_take_format(value, &o);
    d->as_json = o.json;
    return r;
}

static int one_option(char **argv, int *i, struct doctor *d)
{
    struct {
        const char *name, **value;
    } texts[] = { { "expect-issuer", &d->expected.issuer },
                  { "authentication-config", &d->authentication_config },
                  { "kubeconfig", &d->kubeconfig } };
    const char *value;
    bool missing = false, taken;

    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
        if ((value = options_value(argv, i, texts[t].name, 0, &missing))) {
            *texts[t].value = value;
            return 0;
        }
    int r = expected_option(argv, i, d, &taken, &missing);
    if (taken)
        return r;
    if ((value = options_value(argv, i, "timeout", 0, &missing)))
        return options_duration("--timeout", value, &d->timeout);
    if ((value = options_value(argv, i, "output", 'o', &missing)))
        return take_format(value, d);
    if (missing)
        return help_value_missing(argv[*i]);
    if (strcmp(argv[*i], "--json") == 0)
        d->as_json = true;
    else if (strcmp(argv[*i], "--redact") == 0)
        d->redact = true;
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
    bool only_names = false;
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++)
        if (only_names)
            r = options_take_profile(argv[i], &d->profile);
        else if (!(only_names = text_equal(argv[i], "--")))
            r = one_option(argv, &i, d);
    if (r == 0 && d->profile && !protocol_name_valid(d->profile, strlen(d->profile)))
        r = output_fail(ERROR_NO_PROFILE, d->profile);
    const struct apiserver_flags *f = &d->expected;
    if (r == 0 && d->authentication_config &&
        (f->issuer || f->audiences.n + f->algorithms.n + f->claims.n > 0))
        r = output_fail(ERROR_USAGE, "an API server has --authentication-config or --oidc-... "
                                     "options, never both: so have --expect-...");
    if (r == 0 && d->timeout == 0)
        r = output_fail(ERROR_USAGE, "--timeout 0 leaves no time");
    return r;
}

static bool has_error_since(const struct report *r, unsigned since)
{
    for (unsigned i = since; i < r->n; i++)
        if (r->findings[i].level == LEVEL_ERROR)
            return true;
    return false;
}

/* The last link is what all of it is for: without its answer nothing can be said to be right. */
static void conclude(struct doctor *d)
{
    if (d->token_good && *d->unasked)
        report_verdict(&d->report, "the token is good; the cluster could not be asked: %s",
                       d->unasked);
}

int doctor_run(int argc, char **argv, const char *folder)
{
    static struct doctor d = { .timeout = PROTOCOL_TIMEOUT };

    int r = parse(argc, argv, &d);
    if (r)
        return r;
    if (d.redact && report_redact(&d.report) < 0)
        return output_fail_for_memory();
    d.folder = folder;
    autostart_set_keeper();
    d.answer = locked_memory(DOCTOR_ANSWER_MAX);

    doctor_read_kubectl(&d);
    if (!d.profile) /* what kubectl asks for is what matters */
        d.profile = doctor_kubeconfig_profile(&d);
    doctor_configuration(&d);
    doctor_daemon(&d);
    doctor_hide_names(&d); /* of all profiles: later it is one */
    doctor_provider(&d);
    doctor_grant(&d);
    doctor_clock(&d);
    unsigned before = d.report.n;
    doctor_token(&d);
    d.token_good = d.has_token && !has_error_since(&d.report, before);
    doctor_protections(&d);
    d.kubeconfig_at = d.report.n;
    doctor_kubeconfig(&d);
    doctor_cluster(&d);
    doctor_hide_names(&d);
    conclude(&d);
    d.report.profile = d.name;
    d.report.expiration = doctor_text(d.inspection, "expirationTimestamp");
    r = report_print(&d.report, d.as_json);
    cJSON_Delete(d.status);
    cJSON_Delete(d.inspection);
    cJSON_Delete(d.kubectl);
    cJSON_Delete(d.config);
    if (d.server_config)
        authentication_config_free(d.server_config);
    free(d.server_config);
    return r;
}
