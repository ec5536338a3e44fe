/*
 * authentication_config - kube-apiserver's AuthenticationConfiguration (--authentication-config,
 * Kubernetes 1.30 on): what the API server would refuse of it at load, by the rules and in the
 * words of Kubernetes 1.36.
 */
#ifndef KUBETOKEN_ADMIN_AUTHENTICATION_CONFIG_H
#define KUBETOKEN_ADMIN_AUTHENTICATION_CONFIG_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/admin/yaml_tree.h"

enum {
    AUTHENTICATION_PROBLEMS_MAX = 64,
    AUTHENTICATION_PATH_MAX = 128,
    AUTHENTICATION_TEXT_MAX = 480
};

enum authentication_problem_kind {
    AUTHENTICATION_UNREADABLE, /* no YAML, not of this kind, a wrong type: nothing else is looked at
                                */
    AUTHENTICATION_STRICT,     /* an unknown field, a key twice */
    AUTHENTICATION_VALUE,      /* a rule is broken */
    AUTHENTICATION_NOTE        /* nothing is refused, but somebody should know */
};

struct authentication_problem {
    enum authentication_problem_kind kind;
    char path[AUTHENTICATION_PATH_MAX]; /* jwt[1].issuer.url, "" for the whole */
    char text[AUTHENTICATION_TEXT_MAX];
};

struct authentication_config {
    struct yaml_tree tree; /* what it says */
    struct authentication_problem problems[AUTHENTICATION_PROBLEMS_MAX];
    unsigned n;      /* beyond the array where there are more */
    bool is_unknown; /* it is beyond our own limits: whether it loads is not known */
};

/* Reads and judges it. To be freed with authentication_config_free(). */
void authentication_config_read(const char *text, size_t length, struct authentication_config *ret);

/* Frees what is in it. */
void authentication_config_free(struct authentication_config *config);

/* Whether an API server would take it. */
bool authentication_config_loads(const struct authentication_config *config);

/* The list of its entries, and a member of one as a text, "" where it is not there. */
const cJSON *authentication_config_entries(const struct authentication_config *config);
const char *authentication_config_text(const cJSON *object, const char *name);

#endif
