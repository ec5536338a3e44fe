/* What the API server would make of the token, by its options or by its file. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/doctor.h"

/* ---- the file -------------------------------------------------------------------------------- */

/* All of it, with a NUL behind it; one byte more than is looked at is enough. */
static char *read_file(const char *path, size_t *ret_length)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "re");
    char *text = f ? malloc(YAML_TREE_TEXT_MAX + 2) : NULL;

    if (!text) {
        if (f && !is_stdin)
            fclose(f);
        return NULL;
    }
    errno = 0;
    *ret_length = fread(text, 1, YAML_TREE_TEXT_MAX + 1, f);
    text[*ret_length] = '\0';
    int failed = ferror(f) ? errno : 0;
    if (!is_stdin)
        fclose(f);
    if (!failed)
        return text;
    free(text);
    errno = failed;
    return NULL;
}

static void add_problems(struct doctor *d, const struct authentication_config *c)
{
    unsigned last = c->n < AUTHENTICATION_PROBLEMS_MAX ? c->n : AUTHENTICATION_PROBLEMS_MAX;
    bool loads = authentication_config_loads(c);

    for (unsigned i = 0; i < last; i++) {
        const struct authentication_problem *p = &c->problems[i];
        bool note = p->kind == AUTHENTICATION_NOTE;
        report_add(&d->report,
                   !note           ? LEVEL_ERROR
                   : c->is_unknown ? LEVEL_SKIPPED
                                   : LEVEL_OK,
                   "auth-config", note ? ERROR_NONE : ERROR_SERVER_CONFIG, "%s%s%s", p->path,
                   *p->path ? ": " : "", p->text);
    }
    if (last < c->n)
        report_add(&d->report, LEVEL_ERROR, "auth-config", ERROR_SERVER_CONFIG, "and %u more",
                   c->n - last);
    if (loads && !c->is_unknown)
        report_add(&d->report, LEVEL_OK, "auth-config", ERROR_NONE,
                   "%s: it loads, by the rules of Kubernetes 1.36; certificates and functions of "
                   "expressions are looked at by their form alone",
                   d->authentication_config);
}

/* Reads it into d->server_config. Returns whether it can be replayed. */
static bool read_config(struct doctor *d)
{
    size_t length;
    char *text = read_file(d->authentication_config, &length);

    if (!text) {
        report_add(&d->report, LEVEL_ERROR, "auth-config", ERROR_SERVER_CONFIG, "%s: %s",
                   d->authentication_config, strerror(errno));
        report_remedy(&d->report, "name the file that the API server was started with, or - for "
                                  "stdin");
        return false;
    }
    d->server_config = malloc(sizeof *d->server_config);
    if (d->server_config) {
        authentication_config_read(text, length, d->server_config);
        add_problems(d, d->server_config);
    }
    free(text);
    return d->server_config && authentication_config_loads(d->server_config) &&
           !d->server_config->is_unknown;
}

/* The profile's issuer has to be one of them, whether there is a token or not. */
static void check_profile_issuer(struct doctor *d)
{
    const char *issuer = doctor_text(d->state, "issuer");
    const cJSON *entry;

    if (!*issuer)
        return;
    cJSON_ArrayForEach (entry, authentication_config_entries(d->server_config))
        if (strcmp(doctor_text(cJSON_GetObjectItemCaseSensitive(entry, "issuer"), "url"), issuer) ==
            0)
            return;
    report_add(&d->report, LEVEL_WARNING, "auth-config", ERROR_ISSUER_MISMATCH,
               "no entry has issuer \"%s\", which the profile has", issuer);
    report_remedy(&d->report, "set issuer of the profile, or issuer.url of an entry, so that both "
                              "are the same, byte for byte");
}

/* Whether it may have another key set than the provider's own. */
static bool asks_elsewhere(const struct authentication_config *config)
{
    const cJSON *entry;

    cJSON_ArrayForEach (entry, authentication_config_entries(config)) {
        const cJSON *issuer = cJSON_GetObjectItemCaseSensitive(entry, "issuer");
        if (*doctor_text(issuer, "discoveryURL"))
            return true;
    }
    return false;
}

void doctor_audience_remedy(struct doctor *d)
{
    if (d->authentication_config || d->expected.audiences.n > 0)
        report_remedy(&d->report, "have the provider put client-id into aud: also where the API "
                                  "server takes another audience, OpenID Connect wants client-id "
                                  "in it");
}

void doctor_apiserver_rules(const struct doctor *d, char *out, size_t size)
{
    out[0] = '\0';
    if (d->server_config && authentication_config_loads(d->server_config) && d->inspection)
        apiserver_describe_entry(
            d->server_config, cJSON_GetObjectItemCaseSensitive(d->inspection, "claims"), out, size);
}

void doctor_apiserver(struct doctor *d)
{
    const cJSON *header = cJSON_GetObjectItemCaseSensitive(d->inspection, "header");
    const cJSON *claims = cJSON_GetObjectItemCaseSensitive(d->inspection, "claims");
    bool by_file = d->authentication_config;

    if (by_file) {
        bool good = read_config(d);
        if (good)
            check_profile_issuer(d);
        if (good && !asks_elsewhere(d->server_config)) {
            report_raise(&d->report, ERROR_KEYS_UNREADABLE);
            report_raise(&d->report, ERROR_DISCOVERY_UNREADABLE);
        }
        if (good && claims)
            apiserver_replay_file(d->server_config, header, claims, &d->report);
        else
            report_add(&d->report, LEVEL_SKIPPED, "auth-issuer", ERROR_NONE, "%s",
                       good ? "there is no token" : "after auth-config");
    } else if (claims) {
        apiserver_replay_flags(&d->expected, header, claims, &d->report);
    }
}
