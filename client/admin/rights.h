/*
 * rights - what a SelfSubjectRulesReview says that a user may do, and the role binding that lets
 * one who may do nothing at least look.
 */
#ifndef KUBETOKEN_ADMIN_RIGHTS_H
#define KUBETOKEN_ADMIN_RIGHTS_H

#include <cjson/cJSON.h>

enum rights {
    RIGHTS_SOME,    /* more than what every user has */
    RIGHTS_NONE,    /* no more than that, in this namespace and outside of all */
    RIGHTS_UNKNOWN, /* no more is listed, and the list is not whole */
};

enum { RIGHTS_REQUEST_MAX = 512, RIGHTS_BINDING_MAX = 400 };

/* The review to send, for a namespace. */
void rights_request(const char *namespace, char out[RIGHTS_REQUEST_MAX]);

/* Judges the answer; *ret_why: why it is not whole, "" if it is or does not say. */
enum rights rights_judge(const cJSON *review, const char *user, const char **ret_why);

/* "kubectl create clusterrolebinding ..." with the role view, for exactly this user (NULL: no user)
 * and, in other words, the first of its groups that not every user has. For a shell. */
void rights_binding(const char *user, const cJSON *groups, char out[RIGHTS_BINDING_MAX]);

#endif
