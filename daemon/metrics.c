#include "daemon/metrics.h"

#include <inttypes.h>
#include <string.h>

/* A family of one number for each profile. */
struct family {
    const char *name, *type, *help;
    bool (*value)(const struct metrics_profile *p, int64_t *ret); /* false: it has none */
};

/* ---- the numbers of a profile ---------------------------------------------------------------- */

static bool since(const struct metrics_profile *p, int64_t *ret)
{
    *ret = p->since;
    return true;
}

static bool has_token(const struct metrics_profile *p, int64_t *ret)
{
    *ret = p->has_token;
    return true;
}

static bool verified(const struct metrics_profile *p, int64_t *ret)
{
    *ret = p->verified;
    return p->has_token;
}

static bool expiration(const struct metrics_profile *p, int64_t *ret)
{
    *ret = p->expiration;
    return p->has_token;
}

static bool renewal(const struct metrics_profile *p, int64_t *ret)
{
    *ret = p->renewal;
    return p->renewal > 0;
}

static bool retry(const struct metrics_profile *p, int64_t *ret)
{
    *ret = p->retry;
    return p->retry > 0;
}

static bool warnings(const struct metrics_profile *p, int64_t *ret)
{
    *ret = p->warnings;
    return true;
}

static bool clock_offset(const struct metrics_profile *p, int64_t *ret)
{
    *ret = p->clock_offset;
    return p->has_clock_offset;
}

static bool handouts(const struct metrics_profile *p, int64_t *ret)
{
    *ret = (int64_t)p->handouts;
    return true;
}

static bool renewals(const struct metrics_profile *p, int64_t *ret)
{
    *ret = (int64_t)p->renewals;
    return true;
}

static bool failures(const struct metrics_profile *p, int64_t *ret)
{
    *ret = (int64_t)p->failures;
    return true;
}

static const struct family families[] = {
    { "state_since_timestamp_seconds", "gauge", "When the profile came to its state.", since },
    { "has_token", "gauge", "Whether there is a token that lives.", has_token },
    { "token_verified", "gauge", "Whether the token's signature was checked.", verified },
    { "token_expiration_timestamp_seconds", "gauge", "The token's end.", expiration },
    { "renewal_timestamp_seconds", "gauge", "When the token is renewed.", renewal },
    { "retry_timestamp_seconds", "gauge", "When the provider is asked again after a failure.",
      retry },
    { "warnings", "gauge", "How many warnings status shows.", warnings },
    { "clock_offset_seconds", "gauge", "How far the provider's clock is ahead of ours.",
      clock_offset },
    { "handouts_total", "counter", "Tokens handed out.", handouts },
    { "renewals_total", "counter", "Tokens that the provider gave.", renewals },
    { "failures_total", "counter", "Attempts that brought no token.", failures },
};

/* ---- the text -------------------------------------------------------------------------------- */

static void head(FILE *f, const char *name, const char *type, const char *help)
{
    fprintf(f, "# HELP kubetoken_%s %s\n# TYPE kubetoken_%s %s\n", name, help, name, type);
}

/* NAME="VALUE", with what the format wants escaped. */
static void label(FILE *f, const char *name, const char *value)
{
    fprintf(f, "%s=\"", name);
    for (; *value; value++)
        switch (*value) {
        case '\n':
            fputs("\\n", f);
            break;
        case '\\':
        case '"':
            fputc('\\', f);
            fputc(*value, f);
            break;
        default:
            fputc(*value, f);
        }
    fputc('"', f);
}

static void one(FILE *f, const char *name, const char *type, const char *help, unsigned value)
{
    head(f, name, type, help);
    fprintf(f, "kubetoken_%s %u\n", name, value);
}

static void write_daemon(FILE *f, const struct metrics_daemon *daemon)
{
    one(f, "up", "gauge", "Whether kubetokend answers.", 1);
    head(f, "build_info", "gauge", "The version of kubetokend.");
    fputs("kubetoken_build_info{", f);
    label(f, "version", daemon->version);
    fputs("} 1\n", f);
    one(f, "configuration_in_force", "gauge",
        "Whether what is in the files is what kubetokend goes by.", daemon->in_force);
    one(f, "configuration_errors", "gauge", "Errors in the configuration's files.",
        daemon->configuration_errors);
}

static void write_info(FILE *f, const struct metrics_profile *profiles, size_t n)
{
    head(f, "profile_info", "gauge", "What the profile is for.");
    for (size_t i = 0; i < n; i++) {
        fputs("kubetoken_profile_info{", f);
        label(f, "profile", profiles[i].name);
        fputc(',', f);
        label(f, "issuer", profiles[i].issuer);
        if (profiles[i].user) {
            fputc(',', f);
            label(f, "user", profiles[i].user);
        }
        fputs("} 1\n", f);
    }
}

static void write_states(FILE *f, const struct metrics_profile *profiles, size_t n,
                         const char *const *states)
{
    head(f, "profile_state", "gauge", "Whether the profile is in that state.");
    for (size_t i = 0; i < n; i++)
        for (size_t s = 0; states[s]; s++) {
            fputs("kubetoken_profile_state{", f);
            label(f, "profile", profiles[i].name);
            fputc(',', f);
            label(f, "state", states[s]);
            fprintf(f, "} %d\n", strcmp(states[s], profiles[i].state) == 0);
        }
}

static void write_errors(FILE *f, const struct metrics_profile *profiles, size_t n)
{
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        if (!profiles[i].error)
            continue;
        if (!any)
            head(f, "profile_error", "gauge", "What the last request failed with.");
        any = true;
        fputs("kubetoken_profile_error{", f);
        label(f, "profile", profiles[i].name);
        fputc(',', f);
        label(f, "code", profiles[i].error);
        fputs("} 1\n", f);
    }
}

static void write_family(FILE *f, const struct family *family,
                         const struct metrics_profile *profiles, size_t n)
{
    bool any = false;
    char name[64];
    int64_t value;

    snprintf(name, sizeof name, "profile_%s", family->name);
    for (size_t i = 0; i < n; i++) {
        if (!family->value(&profiles[i], &value))
            continue;
        if (!any)
            head(f, name, family->type, family->help);
        any = true;
        fprintf(f, "kubetoken_%s{", name);
        label(f, "profile", profiles[i].name);
        fprintf(f, "} %" PRId64 "\n", value);
    }
}

void metrics_write(FILE *f, const struct metrics_daemon *daemon,
                   const struct metrics_profile *profiles, size_t n, const char *const *states)
{
    write_daemon(f, daemon);
    if (n == 0)
        return;
    write_info(f, profiles, n);
    write_states(f, profiles, n, states);
    write_errors(f, profiles, n);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        write_family(f, &families[i], profiles, n);
}
