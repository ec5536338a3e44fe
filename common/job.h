/*
 * job - what kubetoken-fetch is told to do, and what it says came of it; both as records.
 *
 * The daemon writes a job and reads steps and one result; the fetcher the other way round.
 * A result is believed only within limits: it comes from a process that met the network.
 */
#ifndef KUBETOKEN_JOB_H
#define KUBETOKEN_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/protections.h"
#include "common/secret.h"

enum {
    JOB_MAX = 256 * 1024,          /* bytes of an encoded job */
    JOB_LIST_MAX = 64,             /* entries of a list */
    RESULT_MAX = 256 * 1024,       /* bytes of steps and result together */
    RESULT_STEPS_MAX = 16 * 1024,  /* of these, what steps may take */
    RESULT_TOKEN_MAX = 128 * 1024, /* kube-apiserver takes headers of 1 MiB, in all */
    RESULT_TOKEN_LONG = 8 * 1024,  /* from here on some proxies take none */
    RESULT_REFRESH_TOKEN_MAX = 16 * 1024,
    RESULT_CACHE_MAX = 32 * 1024,
    RESULT_REPORT_MAX = 192 * 1024, /* the claims of a token are three quarters of it */
    RESULT_WARNINGS_MAX = 8,
    RESULT_DETAIL_MAX = 200, /* of what a fetcher says */
    RESULT_KEY_MAX = 64,     /* of the name of a key */
    RESULT_ACCESS_TOKEN_MAX = 32 * 1024,
    RESULT_DEVICE_CODE_MAX = 4 * 1024,
    RESULT_USER_CODE_MAX = 64,
    RESULT_URI_MAX = 1024,
    RESULT_LIFETIME_MAX = 31 * 24 * 3600, /* seconds; a longer life is cut to this */
};

/* Seconds either way; a clock that is further off is told as that far off. */
#define RESULT_CLOCK_OFFSET_MAX (100LL * 366 * 24 * 3600)

enum job_kind {
    JOB_PASSWORD, /* a token by the password grant */
    JOB_REFRESH,  /* a token by the refresh token */
    JOB_INSPECT,  /* none: a report of the token that the job brings */
    JOB_REVOKE,   /* none: the refresh token is to be void */
    JOB_DEVICE,   /* none: a device code for a login elsewhere (RFC 8628 §3.1) */
    JOB_POLL,     /* a token by the device code (RFC 8628 §3.4) */
    JOB_EXCHANGE, /* a token for another audience by that of another profile (RFC 8693) */
    JOB_VERIFY,   /* the token that the job brings, verified as one that was asked for */
};

/* Of these the token is taken only as it is written: nothing is asked of a token endpoint. */
bool job_asks_for_token(enum job_kind kind);

/* Strings are NULL where absent. In an encoded job the pointers are the caller's; in a decoded
 * one they point into `held`. */
struct job {
    enum job_kind kind;
    uint64_t deadline; /* usec of CLOCK_BOOTTIME: when the daemon stops waiting */
    const char *issuer;
    const char *token_endpoint;
    const char *jwks_uri;
    const char *client_id;
    const char *client_auth;
    const char *client_secret;
    const char *username;
    const char *password;
    const char *refresh_token;
    const char *otp;             /* JOB_PASSWORD: a one-time password beside the password */
    const char *otp_parameter;   /* by which name that is sent; NULL: as the provider says */
    const char *device_code;     /* JOB_POLL */
    const char *device_endpoint; /* JOB_DEVICE: device_authorization_endpoint; NULL: discovered */
    const char *subject_token;   /* JOB_EXCHANGE: of the other profile, */
    const char *subject_token_type; /* and what it is: id_token or access_token */
    const char *token;              /* JOB_INSPECT, JOB_VERIFY */
    const char *previous;           /* the token in hand, to tell what a new one changes */
    const char *scope;
    const char *audience;
    const char *resource;
    const char *realm;
    const char *username_claim; /* as the API server's --oidc-username-claim; NULL: not told */
    const char *username_prefix;
    const char *groups_claim;
    const char *groups_prefix;
    const char *ca_file;
    const char *tls_client_cert;
    const char *tls_client_key;
    const char *proxy;        /* "auto", "none" or a URL */
    const char *signing_algs; /* blank-separated */
    bool allow_http_loopback;
    bool wants_access_token;                   /* another profile's tokens are got for it */
    bool json;                                 /* JOB_INSPECT: the report's form */
    const char *parameters[JOB_LIST_MAX + 1];  /* name=value, NULL at the end */
    const char *environment[JOB_LIST_MAX + 1]; /* the proxy variables, for proxy = auto */
    const void *cache; /* what the last fetcher learnt, as its result gave it */
    size_t cache_length;
    struct secret *held;
    const char *mfa_token; /* the fetcher's own: what the request with the otp answers to */
};

/* Encodes the job. Returns it in locked memory, of which it takes no more than it needs, or NULL
 * when it is too large. */
struct secret *job_encode(const struct job *job);

/* Decodes a whole record. Returns 0, or -EBADMSG. job_clear() wipes what it holds. */
int job_decode(const void *bytes, size_t length, struct job *ret);
void job_clear(struct job *job);

enum outcome {
    OUTCOME_TOKEN,
    OUTCOME_REFUSED,   /* the provider refused credentials, client or grant */
    OUTCOME_SOFT,      /* it rejected the request, which may pass */
    OUTCOME_TEMPORARY, /* it could not be reached, is too slow or has a fault */
    OUTCOME_STALE,     /* JOB_REFRESH: its id_token is no newer than the one in hand */
    OUTCOME_INVALID,   /* its answer makes no sense, before anything secret was sent */
    OUTCOME_REPORT,    /* JOB_INSPECT: error is what is wrong with the token, if anything */
    OUTCOME_REVOKED,   /* JOB_REVOKE */
    OUTCOME_DEVICE,    /* JOB_DEVICE: a device code */
    OUTCOME_PENDING,   /* JOB_POLL: nobody has confirmed or denied it yet */
    OUTCOME_CONFIG,    /* something on this machine is wrong: nothing was sent */
};

struct result {
    enum outcome outcome;
    struct error error;           /* for all but OUTCOME_TOKEN and OUTCOME_REVOKED */
    uint64_t retry_after;         /* usec, 0 = none */
    unsigned http_status;         /* of the token endpoint's answer, 0 = none came */
    bool refresh_without_token;   /* a refresh succeeded but gave no id_token */
    bool otp_sent;                /* the one-time password was, or may have been, sent */
    bool nobody_listens;          /* ERROR_CONNECT: provider or proxy refuses connections */
    struct secret *refresh_token; /* also where the id_token is of no use; NULL: none came */
    /* OUTCOME_TOKEN */
    struct secret *id_token;
    uint64_t lifetime;                /* usec */
    uint64_t sent;                    /* usec of CLOCK_BOOTTIME, just before the request */
    bool verified;                    /* false: the keys could not be had */
    char user[RESULT_DETAIL_MAX + 1]; /* the username claim without a prefix, if one is told */
    char sub[RESULT_DETAIL_MAX + 1];  /* these claims, "" where none can be a user's name */
    char email[RESULT_DETAIL_MAX + 1];
    char changed[RESULT_DETAIL_MAX + 1]; /* claims that differ from the previous token's */
    char key[RESULT_KEY_MAX + 1];        /* the name of the key that signed it, "" = none */
    bool key_gone; /* the previous token's is published no more, by what was fetched just now */
    struct secret *access_token; /* NULL: none came, or none that anybody has a use for */
    /* OUTCOME_DEVICE (RFC 8628 §3.2) */
    struct secret *device_code;
    char user_code[RESULT_USER_CODE_MAX + 1]; /* to be typed, or compared */
    char verification_uri[RESULT_URI_MAX + 1];
    char verification_uri_complete[RESULT_URI_MAX + 1]; /* "": none was given */
    uint64_t code_lifetime;                             /* usec from `sent` */
    uint64_t interval; /* usec between two polls; OUTCOME_PENDING: slow_down, by so much more */
    /* any outcome */
    struct protections protections; /* of the process that got it */
    bool has_clock_offset;
    int64_t clock_offset; /* seconds that the provider's clock is ahead of ours */
    char *report;         /* OUTCOME_REPORT: printable UTF-8 in lines */
    void *cache;          /* what was learnt of the provider, for the next job; NULL: nothing */
    size_t cache_length;
    unsigned n_warnings;
    struct error warnings[RESULT_WARNINGS_MAX];
};

/* What the fetcher is at, so that each failure tells where, also that of one that was killed. */
struct step {
    char name[24]; /* dns, connect, tls, discovery, keys, grant, verify, revoke */
    char host[256];
};

/* Encode into the caller's memory. Return the length, 0 when it does not fit. */
size_t step_encode(const struct step *step, void *memory, size_t capacity);
size_t result_encode(const struct result *result, void *memory, size_t capacity);

/* Takes the next record of what a fetcher sent: a step (returned 1, *step written), the
 * result (2, *result written: free it with result_clear), 0 when more bytes are needed,
 * -EBADMSG when this is not to be believed. *used is how many bytes it took. started is when
 * the job was given, now the time. */
int result_next(const void *bytes, size_t length, uint64_t started, uint64_t now, struct step *step,
                struct result *result, size_t *used);
void result_clear(struct result *result);

/* The result of an earlier day, which was encoded without its secrets, as what is known of that
 * token. Returns 0, or -EBADMSG where it is not to be believed now. */
int result_restore(const void *bytes, size_t length, const struct secret *token, uint64_t now,
                   struct result *ret);

/* Whether the text is three non-empty base64url parts, as a signed JWT is (RFC 7515 §7.1). */
bool job_token_shaped(const char *token, size_t length);

#endif
