/*
 * config - the configuration file, kubetoken.conf(5).
 *
 * A small strict INI reader: lines up to 4 KiB, "#" or ";" only at the start of a line, no
 * continuation, no quoting, UTF-8 without control characters. All errors are found in one
 * go, each with file, line, key and what is accepted.
 */
#ifndef KUBETOKEN_CONFIG_H
#define KUBETOKEN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/secret.h"

enum source_kind {
    SOURCE_NONE,
    SOURCE_INLINE,
    SOURCE_FILE,
    SOURCE_COMMAND,
    SOURCE_CREDENTIAL, /* a file below $CREDENTIALS_DIRECTORY */
};

/* Where a password or a client secret comes from. */
struct source {
    enum source_kind kind;
    char *text;           /* path, command line or name */
    struct secret *value; /* SOURCE_INLINE */
};

/* What of a profile outlives the daemon, in memory of systemd's. */
enum keep_over_restart {
    KEEP_TOKENS, /* id_tokens, and what is known of failures and refusals */
    KEEP_ALL,    /* refresh tokens and typed passwords too */
    KEEP_NOTHING,
};

/* By what a profile gets its tokens, once there is no refresh token. */
enum grant {
    GRANT_PASSWORD,      /* RFC 6749 §4.3 */
    GRANT_DEVICE,        /* a person confirms a login elsewhere: RFC 8628 */
    GRANT_REFRESH_TOKEN, /* nothing: a person gives another one */
    GRANT_EXCHANGE,      /* from: the token of another profile, RFC 8693 */
    GRANT_COMMAND,       /* token-command: another program has one */
};

/* What status calls it; NULL: the password grant, of which nothing is said. */
const char *config_grant_word(enum grant grant);

/* One [profile NAME], with [defaults] and the built-in defaults filled in. Absent strings are
 * NULL. Owned by the struct config. */
struct profile_config {
    char *name;
    /* provider */
    char *issuer;
    char *token_endpoint;
    char *jwks_uri;
    char *ca_file;
    char *tls_client_cert;
    char *tls_client_key;
    char *proxy; /* "auto", "none" or a URL; in proxy_held where that names a user */
    struct secret *proxy_held;
    uint64_t timeout;  /* usec for one whole request */
    uint64_t patience; /* the same where the answer before did not come in time */
    bool allow_http_loopback;
    /* client */
    char *client_id;
    char *client_auth; /* auto, basic, basic-raw, post, none */
    struct source client_secret;
    /* user */
    char *username;             /* NULL: somebody types it with the password */
    struct source password;     /* SOURCE_NONE: somebody types it */
    uint64_t password_lifetime; /* usec that a typed one is kept; USEC_INFINITY = till logout */
    /* request */
    char *scope;
    char *audience;
    char *resource;
    char *realm;
    char **parameters; /* name=value, NULL at the end */
    bool use_refresh_token;
    /* grants */
    enum grant grant;
    char *otp_parameter;      /* NULL: as the provider is known to have it */
    char *device_endpoint;    /* NULL: discovered */
    char *from;               /* GRANT_EXCHANGE: a profile */
    uint64_t from_identity;   /* of that, config_keys_identity(); 0: there is none */
    char *subject_token_type; /* of that: access_token, or id_token (NULL, too) */
    char *token_command;      /* GRANT_COMMAND */
    /* policy */
    uint64_t refresh_before;         /* usec; 0 = refresh_before_percent counts */
    unsigned refresh_before_percent; /* of the lifetime; 0 = the default */
    uint64_t keep_fresh;             /* usec since the last use; USEC_INFINITY = always */
    char *username_claim;            /* what the API server is told; NULL: not known */
    char *username_prefix;
    char *groups_claim;
    char *groups_prefix;
    bool start_with_daemon;
    enum keep_over_restart keep_over_restart;
    char *signing_algs; /* blank-separated */
};

struct config {
    struct profile_config *profiles; /* sorted by name */
    size_t n_profiles;
    char *default_profile; /* NULL: the only one, if there is one only */
};

/* What is wrong with the files: ERROR_NONE, ERROR_NO_CONFIG or ERROR_CONFIG, and one line of
 * text for each error ("FILE:LINE: KEY: what; accepted"). */
struct config_report {
    enum error_code code;
    unsigned count;
    char *text; /* NULL when there is nothing to say */
    size_t length;
    bool passing; /* a file could not be read for now, which is no fault of the file */
    char *notes;  /* what does not count though nothing is wrong, a line each; NULL: nothing */
};

/* Reads the files given (missing ones are passed over; later ones win key by key; a path that ends
 * with a slash is a folder, of which config_files.h says what is read). The last of several is the
 * user's, unless it is a folder, and cannot override what [locked] of the others names. Returns the
 * configuration, or NULL with the report filled. The caller frees both. */
struct config *config_load(const char *const *paths, size_t n_paths, struct config_report *report);

/* One line of the files that counts for a profile. */
struct config_line {
    const char *key;
    const char *value; /* as a file would have it, but that a path is absolute and that a name has
                          no specifiers; NULL: a secret, which is not shown */
    const char *file;
    unsigned line;
    bool of_defaults;
};

/* Who is told of a configuration: of each profile its name and then its lines; of the default one,
 * if it is named; and of each key that [locked] names (its value is that name). */
struct config_visitor {
    void (*profile)(void *context, const char *name);
    void (*line)(void *context, const struct config_line *line);
    void (*default_profile)(void *context, const struct config_line *line);
    void (*locked)(void *context, const struct config_line *line);
    void *context;
};

/* Reads the files as config_load() does, but takes those without a profile too. Returns 0 once the
 * visitor has been told all, or -1 with the report filled, which the caller frees. */
int config_show(const char *const *paths, size_t n_paths, const struct config_visitor *visitor,
                struct config_report *report);

/* Wipe and free; take NULL and empty ones. */
struct config *config_free(struct config *config);
void config_report_clear(struct config_report *report);

/* Moves the profiles that are wanted into a configuration of their own, which the caller frees.
 * *ret NULL: none is. Returns 0, or -ENOMEM with nothing moved. */
int config_split(struct config *config,
                 bool (*wanted)(const struct profile_config *config, void *context), void *context,
                 struct config **ret);

/* The profile with that name, or NULL. */
const struct profile_config *config_find(const struct config *config, const char *name);

#endif
