/*
 * config_keys - the keys of a profile, one table for all that goes by them: the reader of the
 * file (config.c), the fetcher's job, and the question whether two profiles are one identity.
 *
 * A new key is a row there and in the manual, kubetoken.conf(5); where it has a job's field, that
 * is one in common/job.h.
 */
#ifndef KUBETOKEN_CONFIG_KEYS_H
#define KUBETOKEN_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/job.h"
#include "daemon/config.h"

/* What stands for a value in the file. */
enum config_type {
    TYPE_TEXT,
    TYPE_USERNAME,
    TYPE_URL,
    TYPE_PATH,
    TYPE_BOOL,
    TYPE_START,
    TYPE_KEEP_OVER_RESTART,
    TYPE_TIMEOUT,
    TYPE_CLIENT_AUTH,
    TYPE_PROXY,
    TYPE_SOURCE_INLINE,
    TYPE_SOURCE_FILE,
    TYPE_SOURCE_COMMAND,
    TYPE_SOURCE_CREDENTIAL,
    TYPE_PARAMETER,
    TYPE_REFRESH_BEFORE,
    TYPE_KEEP_FRESH,
    TYPE_LIFETIME,
    TYPE_ALGS,
    TYPE_GRANT,
    TYPE_FROM,
    TYPE_SUBJECT_TOKEN,
    TYPE_COMMAND,
    TYPE_PROFILE_NAME,
};

/* What of it stands in struct profile_config. */
enum config_form {
    FORM_NONE,
    FORM_TEXT, /* char * */
    FORM_BOOL,
    FORM_KEEP,   /* enum keep_over_restart */
    FORM_GRANT,  /* enum grant */
    FORM_USEC,   /* uint64_t */
    FORM_SOURCE, /* struct source */
    FORM_LIST,   /* char **, NULL at the end */
};

struct config_key {
    const char *name;
    size_t place; /* offset in struct profile_config; 0: none */
    size_t job;   /* offset in struct job; 0: none */
    enum config_type type;
    bool identity;       /* with another value the token in hand is void */
    const char *accepts; /* for people */
};

#define CONFIG_KEYS_URL "an https:// URL"
#define CONFIG_KEYS_ALGORITHMS "RS256 RS384 RS512 ES256 ES384 ES512 PS256 PS384 PS512 EdDSA"

extern const struct config_key config_keys[];
extern const size_t config_keys_count;

/* What a value of that type becomes. */
enum config_form config_keys_form(enum config_type type);

/* Whether two profiles speak of the same identity at the same provider, so that a token of
 * the one is a token of the other. */
bool config_keys_same_identity(const struct profile_config *a, const struct profile_config *b);

/* A digest of that identity; and one of all that a request is made of. */
uint64_t config_keys_identity(const struct profile_config *config);
uint64_t config_keys_digest(const struct profile_config *config);

/* Room for the proxy variables of the daemon's environment. */
enum { CONFIG_KEYS_ROOM = 8192 };

/* What kind of token of the other profile is given: id_token or access_token; NULL: there is no
 * other profile. */
const char *config_keys_subject_type(const struct profile_config *config);

/* Fills in all of a job but kind, deadline, credentials, tokens and cache. The job points into the
 * configuration and into room, which may then hold a proxy's password: wipe it. */
void config_keys_fill(struct job *job, const struct profile_config *config,
                      char room[CONFIG_KEYS_ROOM]);

/* The URL of the proxy that requests go by (with libcurl's own order of the variables), which may
 * hold a password, or NULL: none, but for no_proxy. */
const char *config_keys_proxy(const struct profile_config *config);

#endif
