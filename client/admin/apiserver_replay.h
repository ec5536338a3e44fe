/*
 * apiserver_replay - what kube-apiserver would make of a token's claims: by an
 * AuthenticationConfiguration, or by its --oidc-* options. In the server's order: the first check
 * that fails is the error, what lies behind it is "not reached". Pure: of header, claims and
 * configuration alone; signature and times are the fetcher's.
 */
#ifndef KUBETOKEN_ADMIN_APISERVER_REPLAY_H
#define KUBETOKEN_ADMIN_APISERVER_REPLAY_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/admin/authentication_config.h"
#include "client/admin/report.h"

enum { APISERVER_TEXTS_MAX = 16 };

struct apiserver_texts {
    const char *texts[APISERVER_TEXTS_MAX];
    unsigned n;
};

/* What it was started with, as far as it was told. */
struct apiserver_flags {
    const char *issuer; /* NULL: not told */
    struct apiserver_texts audiences, algorithms;
    struct apiserver_texts claims; /* NAME=VALUE */
};

/* Whether kube-apiserver can be told to take that algorithm. */
bool apiserver_knows_algorithm(const char *name);

/* Whether the text is in the list. */
bool apiserver_has(const struct apiserver_texts *texts, const char *text);

/* By its options. */
void apiserver_replay_flags(const struct apiserver_flags *flags, const cJSON *header,
                            const cJSON *claims, struct report *report);

/* By a file that loads. */
void apiserver_replay_file(const struct authentication_config *config, const cJSON *header,
                           const cJSON *claims, struct report *report);

/* The entry for these claims and its rules, in the server's order: for who looks for the reason of
 * a 401. "" where there is none. */
void apiserver_describe_entry(const struct authentication_config *config, const cJSON *claims,
                              char *out, size_t size);

#endif
