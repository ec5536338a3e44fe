#define _GNU_SOURCE
#include "daemon/config_keys.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/digest.h"

#define AT(member) offsetof(struct profile_config, member)
#define JOB(member) offsetof(struct job, member)

enum { NONE = 0, IDENTITY = true, SAME = false };

/* So that 0 is no key's. */
_Static_assert(AT(name) == NONE && JOB(kind) == NONE, "a key's place is taken for none");

#define PEM "the path of a PEM file"
#define CLAIM "the name of a claim, such as "

/* A part of the identity is what the token says, who says it, and by which keys and algorithms it
 * is believed; also which claims the API server is told, by which a token's user and warnings were
 * found when it came (a prefix is put before them when they are shown). How the provider is reached
 * is none, and neither is a secret: it may change, and the user is who it was.
 *
 * Secrets have no place in the job here, since they are read from their source first
 * (attempt.c), nor has the timeout, which the deadline is made of. */
const struct config_key config_keys[] = {
    /* name, place, job, type, identity, accepts */
    { "issuer", AT(issuer), JOB(issuer), TYPE_URL, IDENTITY,
      CONFIG_KEYS_URL ", byte for byte as the provider names itself" },
    { "token-endpoint", AT(token_endpoint), JOB(token_endpoint), TYPE_URL, IDENTITY,
      CONFIG_KEYS_URL },
    { "jwks-uri", AT(jwks_uri), JOB(jwks_uri), TYPE_URL, IDENTITY, CONFIG_KEYS_URL },
    { "ca-file", AT(ca_file), JOB(ca_file), TYPE_PATH, SAME, PEM },
    { "tls-client-cert", AT(tls_client_cert), JOB(tls_client_cert), TYPE_PATH, SAME, PEM },
    { "tls-client-key", AT(tls_client_key), JOB(tls_client_key), TYPE_PATH, SAME, PEM },
    { "proxy", AT(proxy), JOB(proxy), TYPE_PROXY, SAME, "auto, none, or the proxy's URL" },
    { "timeout", AT(timeout), NONE, TYPE_TIMEOUT, SAME, "a duration of 1s to 5m, such as 15s" },
    { "allow-http-loopback", AT(allow_http_loopback), JOB(allow_http_loopback), TYPE_BOOL, SAME,
      "yes or no" },
    { "client-id", AT(client_id), JOB(client_id), TYPE_TEXT, IDENTITY,
      "the client_id that the provider gave" },
    { "client-auth", AT(client_auth), JOB(client_auth), TYPE_CLIENT_AUTH, SAME,
      "auto, basic, basic-raw, post or none" },
    { "client-secret", AT(client_secret), NONE, TYPE_SOURCE_INLINE, SAME,
      "the client_secret itself" },
    { "client-secret-file", AT(client_secret), NONE, TYPE_SOURCE_FILE, SAME, "the path of a file" },
    { "client-secret-command", AT(client_secret), NONE, TYPE_SOURCE_COMMAND, SAME,
      "a command line" },
    { "client-secret-credential", AT(client_secret), NONE, TYPE_SOURCE_CREDENTIAL, SAME,
      "the name of a systemd credential" },
    { "username", AT(username), JOB(username), TYPE_USERNAME, IDENTITY,
      "the user's name at the provider" },
    { "password", AT(password), NONE, TYPE_SOURCE_INLINE, SAME, "the password itself" },
    { "password-file", AT(password), NONE, TYPE_SOURCE_FILE, SAME, "the path of a file" },
    { "password-command", AT(password), NONE, TYPE_SOURCE_COMMAND, SAME, "a command line" },
    { "password-credential", AT(password), NONE, TYPE_SOURCE_CREDENTIAL, SAME,
      "the name of a systemd credential" },
    { "password-lifetime", AT(password_lifetime), NONE, TYPE_LIFETIME, SAME,
      "a duration such as 8h" },
    { "scope", AT(scope), JOB(scope), TYPE_TEXT, IDENTITY, "scopes parted by blanks" },
    { "audience", AT(audience), JOB(audience), TYPE_TEXT, IDENTITY, "an audience" },
    { "resource", AT(resource), JOB(resource), TYPE_TEXT, IDENTITY, "a resource" },
    { "realm", AT(realm), JOB(realm), TYPE_TEXT, IDENTITY,
      "a realm (Auth0 calls it a connection)" },
    { "token-parameter", AT(parameters), JOB(parameters), TYPE_PARAMETER, IDENTITY,
      "name=value, with a name that has no key of its own" },
    { "use-refresh-token", AT(use_refresh_token), NONE, TYPE_BOOL, SAME, "yes or no" },
    { "grant", AT(grant), NONE, TYPE_GRANT, IDENTITY, "password, device or refresh-token" },
    { "otp-parameter", AT(otp_parameter), JOB(otp_parameter), TYPE_TEXT, SAME,
      "the name of a parameter, such as totp" },
    { "device-authorization-endpoint", AT(device_endpoint), JOB(device_endpoint), TYPE_URL,
      IDENTITY, CONFIG_KEYS_URL },
    { "from", AT(from), NONE, TYPE_FROM, IDENTITY, "the name of another profile" },
    { "subject-token-type", AT(subject_token_type), NONE, TYPE_SUBJECT_TOKEN, IDENTITY,
      "id_token or access_token" },
    { "token-command", AT(token_command), NONE, TYPE_COMMAND, IDENTITY, "a command line" },
    { "refresh-before", AT(refresh_before), NONE, TYPE_REFRESH_BEFORE, SAME,
      "1% to 90%, or a duration of 1s to 1d" },
    { "keep-fresh", AT(keep_fresh), NONE, TYPE_KEEP_FRESH, SAME,
      "always, or a duration such as 12h" },
    { "username-claim", AT(username_claim), JOB(username_claim), TYPE_TEXT, IDENTITY,
      CLAIM "email" },
    { "username-prefix", AT(username_prefix), JOB(username_prefix), TYPE_TEXT, SAME,
      "a prefix, or - for none" },
    { "groups-claim", AT(groups_claim), JOB(groups_claim), TYPE_TEXT, IDENTITY, CLAIM "groups" },
    { "groups-prefix", AT(groups_prefix), JOB(groups_prefix), TYPE_TEXT, SAME,
      "a prefix, such as oidc:" },
    { "start", AT(start_with_daemon), NONE, TYPE_START, SAME, "on-demand or with-daemon" },
    { "keep-over-restart", AT(keep_over_restart), NONE, TYPE_KEEP_OVER_RESTART, SAME,
      "tokens, all (also typed passwords and refresh tokens) or nothing" },
    { "signing-algs", AT(signing_algs), JOB(signing_algs), TYPE_ALGS, IDENTITY,
      "one or more of " CONFIG_KEYS_ALGORITHMS " (no API server can check HS256 or none)" },
    /* of the configuration as a whole, and here for its reader alone */
    { "default-profile", NONE, NONE, TYPE_PROFILE_NAME, SAME, "the name of a profile" },
};

const size_t config_keys_count = sizeof config_keys / sizeof *config_keys;

enum config_form config_keys_form(enum config_type type)
{
    switch (type) {
    case TYPE_TEXT:
    case TYPE_USERNAME:
    case TYPE_URL:
    case TYPE_PATH:
    case TYPE_CLIENT_AUTH:
    case TYPE_PROXY:
    case TYPE_ALGS:
    case TYPE_FROM:
    case TYPE_SUBJECT_TOKEN:
    case TYPE_COMMAND:
        return FORM_TEXT;
    case TYPE_GRANT:
        return FORM_GRANT;
    case TYPE_BOOL:
    case TYPE_START:
        return FORM_BOOL;
    case TYPE_KEEP_OVER_RESTART:
        return FORM_KEEP;
    case TYPE_TIMEOUT:
    case TYPE_REFRESH_BEFORE: /* a percentage stands beside it */
    case TYPE_KEEP_FRESH:
    case TYPE_LIFETIME:
        return FORM_USEC;
    case TYPE_SOURCE_INLINE:
    case TYPE_SOURCE_FILE:
    case TYPE_SOURCE_COMMAND:
    case TYPE_SOURCE_CREDENTIAL:
        return FORM_SOURCE;
    case TYPE_PARAMETER:
        return FORM_LIST;
    case TYPE_PROFILE_NAME:
        break;
    }
    return FORM_NONE;
}

static const void *value_of(const struct config_key *key, const struct profile_config *config)
{
    return (const char *)config + key->place;
}

/* ---- the identity ---------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_list(char *const *a, char *const *b)
{
    for (; a && b && *a && *b; a++, b++)
        if (strcmp(*a, *b) != 0)
            return false;
    return (!a || !*a) && (!b || !*b);
}

static bool same_value(const struct config_key *key, const struct profile_config *a,
                       const struct profile_config *b)
{
    const void *x = value_of(key, a), *y = value_of(key, b);

    switch (config_keys_form(key->type)) {
    case FORM_TEXT:
        return same_text(*(char *const *)x, *(char *const *)y);
    case FORM_LIST:
        return same_list(*(char *const *const *)x, *(char *const *const *)y);
    case FORM_GRANT:
        return *(const enum grant *)x == *(const enum grant *)y;
    case FORM_NONE: /* secrets and policy: no row makes them a part of the identity */
    case FORM_BOOL:
    case FORM_KEEP:
    case FORM_USEC:
    case FORM_SOURCE:
        break;
    }
    return true;
}

bool config_keys_same_identity(const struct profile_config *a, const struct profile_config *b)
{
    for (size_t i = 0; i < config_keys_count; i++)
        if (config_keys[i].identity && !same_value(&config_keys[i], a, b))
            return false;
    return a->from_identity == b->from_identity; /* whose login is another, whose token is, too */
}

static uint64_t digest_of_source(const struct source *source)
{
    uint64_t text = source->text ? digest_text(source->text) : 0;

    return digest_pair((uint64_t)source->kind, digest_pair(text, digest_secret(source->value)));
}

static uint64_t digest_of_list(char *const *list)
{
    uint64_t digest = 0;

    for (; list && *list; list++)
        digest = digest_pair(digest, digest_text(*list));
    return digest;
}

static uint64_t digest_of(const struct config_key *key, const struct profile_config *config)
{
    const void *value = value_of(key, config);

    switch (config_keys_form(key->type)) {
    case FORM_TEXT:
        return *(char *const *)value ? digest_text(*(char *const *)value) : 0;
    case FORM_LIST:
        return digest_of_list(*(char *const *const *)value);
    case FORM_BOOL:
        return *(const bool *)value;
    case FORM_KEEP:
        return *(const enum keep_over_restart *)value;
    case FORM_GRANT:
        return *(const enum grant *)value;
    case FORM_USEC:
        if (key->type == TYPE_REFRESH_BEFORE && config->refresh_before_percent > 0)
            return digest_pair(1, config->refresh_before_percent);
        return *(const uint64_t *)value;
    case FORM_SOURCE:
        return digest_of_source(value);
    case FORM_NONE:
        break;
    }
    return 0;
}

/* What is not set has no part: a key that a later version knows leaves all as it was. */
static uint64_t digest_of_keys(const struct profile_config *config, bool all)
{
    uint64_t digest = 0;

    for (size_t i = 0; i < config_keys_count; i++) {
        uint64_t value = all || config_keys[i].identity ? digest_of(&config_keys[i], config) : 0;
        if (value != 0)
            digest = digest_pair(digest, digest_pair(digest_text(config_keys[i].name), value));
    }
    return config->from_identity ? digest_pair(digest, config->from_identity) : digest;
}

uint64_t config_keys_identity(const struct profile_config *config)
{
    return digest_of_keys(config, false);
}

uint64_t config_keys_digest(const struct profile_config *config)
{
    const char *proxy = config_keys_proxy(config);

    return digest_pair(digest_of_keys(config, true), proxy ? digest_text(proxy) : 0);
}

/* ---- the job --------------------------------------------------------------------------------- */

/* The first names the proxy of https:// alone, the last ones name none. */
enum { PROXY_VARIABLES = 6, NAMING_PROXY = 4 };
static const char *const proxy_variables[PROXY_VARIABLES] = { "https_proxy", "HTTPS_PROXY",
                                                              "all_proxy",   "ALL_PROXY",
                                                              "no_proxy",    "NO_PROXY" };

const char *config_keys_proxy(const struct profile_config *config)
{
    const char *value = NULL;

    if (strcmp(config->proxy, "auto") != 0)
        return strcmp(config->proxy, "none") == 0 ? NULL : config->proxy;
    for (size_t i = 0; i < NAMING_PROXY && !(value && *value); i++)
        value = getenv(proxy_variables[i]);
    return value && *value ? value : NULL;
}

/* The proxy variables, for the fetcher whose own environment is empty. */
static size_t proxy_environment(const char **list, char *room, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < PROXY_VARIABLES; i++) {
        const char *name = proxy_variables[i], *value = getenv(name);
        size_t length = strlen(name) + 1 + (value ? strlen(value) : 0) + 1;
        if (!value || length > size)
            continue;
        list[n++] = room;
        room = stpcpy(stpcpy(stpcpy(room, name), "="), value) + 1;
        size -= length;
    }
    return n;
}

static void fill_field(struct job *job, const struct config_key *key,
                       const struct profile_config *config)
{
    void *field = (char *)job + key->job;
    const void *value = value_of(key, config);

    switch (config_keys_form(key->type)) {
    case FORM_TEXT:
        *(const char **)field = *(char *const *)value;
        break;
    case FORM_BOOL:
        *(bool *)field = *(const bool *)value;
        break;
    case FORM_LIST: {
        const char **list = field;
        char *const *given = *(char *const *const *)value;
        for (size_t i = 0; given && given[i] && i < JOB_LIST_MAX; i++)
            list[i] = given[i];
        break;
    }
    case FORM_NONE: /* a job has no field for these */
    case FORM_KEEP:
    case FORM_GRANT:
    case FORM_USEC:
    case FORM_SOURCE:
        break;
    }
}

const char *config_keys_subject_type(const struct profile_config *config)
{
    if (config->grant != GRANT_EXCHANGE)
        return NULL;
    return config->subject_token_type ? config->subject_token_type : "id_token";
}

void config_keys_fill(struct job *job, const struct profile_config *config,
                      char room[CONFIG_KEYS_ROOM])
{
    for (size_t i = 0; i < config_keys_count; i++)
        if (config_keys[i].job != NONE)
            fill_field(job, &config_keys[i], config);
    if (strcmp(config->proxy, "auto") == 0)
        proxy_environment(job->environment, room, CONFIG_KEYS_ROOM);
}
