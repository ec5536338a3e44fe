/*
 * doctor - the links of the chain from the configuration to the API server's answer, each in a
 * function that adds to the report what it finds.
 */
#ifndef KUBETOKEN_ADMIN_DOCTOR_H
#define KUBETOKEN_ADMIN_DOCTOR_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/admin/apiserver_replay.h"
#include "client/admin/report.h"
#include "common/protocol.h"

struct kuberc;

struct doctor {
    struct report report;
    const char *folder;  /* of the program that was called */
    const char *profile; /* as it was named, or NULL */
    struct apiserver_flags expected;
    const char *authentication_config; /* a file, "-": stdin; NULL: none */
    const char *kubeconfig;
    uint64_t timeout; /* of each step */
    bool as_json;
    bool redact;
    bool refresh; /* a new token, also by a password that was refused */

    char name[PROTOCOL_NAME_MAX + 2]; /* the profile as the daemon knows it, "" if it does not */
    bool daemon_answers;
    cJSON *status;      /* all that the daemon says, or NULL */
    const cJSON *state; /* of the profile, in it, or NULL */
    char *answer;       /* room for answers */
    bool has_token;
    cJSON *inspection;                           /* what the fetcher says of the token, or NULL */
    struct authentication_config *server_config; /* that file, once it was read; NULL before */

    cJSON *kubectl; /* its version, NULL when there is none */
    const char *kubectl_version;
    long kubectl_minor;
    cJSON *config; /* the kubeconfig as kubectl merges it, or NULL */
    struct error kubectl_error;
    char kuberc_error[ERROR_DETAIL_MAX + 1]; /* why each kubectl command ends, "" if none does */
    unsigned kubeconfig_at;                  /* where in the report kubectl's links begin */
    bool plugin_used; /* kubectl runs kubetoken, and has nothing else to log in with */
    bool user_asks;   /* kubectl would ask somebody else for credentials: it is not run */
    bool token_good;  /* nothing is wrong with it that can be seen from here */
    char unasked[ERROR_DETAIL_MAX + 1]; /* why the cluster could not be asked, "" if it was */
};

enum { DOCTOR_ANSWER_MAX = 4 * 1024 * 1024 };

/* The member of that name as a text, "" if there is none. */
const char *doctor_text(const cJSON *json, const char *name);

/* Asks the daemon; the answer is in d->answer, and the details of an error in *why. */
enum error_code doctor_ask(struct doctor *d, const char *request, const char *profile,
                           struct error *why);

/* Asks kubectl for its version and configuration, which later links look at. */
void doctor_read_kubectl(struct doctor *d);

/* The profile that the current context's user names, or NULL. */
const char *doctor_kubeconfig_profile(const struct doctor *d);

/* What the API server makes of the token that d->inspection holds, if it does: part of the link
 * token. */
void doctor_apiserver(struct doctor *d);

/* For an audience that is not client-id, the finding that was added last: the API server may take
 * it, kubetoken does not. */
void doctor_audience_remedy(struct doctor *d);

/* The entry of the API server's file for the token, and its rules in the server's order; "" where
 * there is none. */
void doctor_apiserver_rules(const struct doctor *d, char *out, size_t size);

/* The links user and groups: whom Kubernetes sees, by these claims of the token. */
void doctor_user(struct doctor *d, const cJSON *claims);

/* What the API server itself says (userInfo of a SelfSubjectReview) goes into these links in place
 * of what was foreseen. Returns whether it is another user, or other groups, than the token's and
 * the profile's words; note is then that, else by which flag that name comes about, or "". */
bool doctor_other_user(struct doctor *d, const cJSON *info, char *note, size_t size);

/* The current context, and its cluster, as the kubeconfig has them; NULL without. */
const cJSON *doctor_context(const struct doctor *d);
const cJSON *doctor_context_cluster(const struct doctor *d);

/* As client-go finds a program: by its path, or on the PATH; and the command of an exec stanza,
 * which may also count from the kubeconfig. path: of PATH_MAX bytes. */
bool doctor_find_program(const char *name, char *path);
bool doctor_find_command(const struct doctor *d, const cJSON *exec, char *path);

/* Names to the report what it must not show, of all that is known by now; where it is to show all,
 * nothing. */
void doctor_hide_names(struct doctor *d);

/* The links, in the order of the chain. */
void doctor_configuration(struct doctor *d);
void doctor_daemon(struct doctor *d);
void doctor_provider(struct doctor *d);
void doctor_grant(struct doctor *d);
void doctor_clock(struct doctor *d);
void doctor_token(struct doctor *d);
void doctor_protections(struct doctor *d);
void doctor_kubeconfig(struct doctor *d);
void doctor_cluster(struct doctor *d);

/* A part of the kubeconfig's: exec is the stanza that runs kubetoken, NULL without: a policy may
 * end every kubectl command. */
void doctor_policy(struct doctor *d, const cJSON *exec);

/* What is wrong with the policy for that stanza, NULL: nothing. exec: NULL where kubetoken is not
 * asked. */
const char *doctor_judge_policy(const struct doctor *d, const cJSON *exec, const struct kuberc *rc);

#endif
