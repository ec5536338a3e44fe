/*
 * exec_info - the one thing that the client reads of KUBERNETES_EXEC_INFO: which apiVersion
 * kubectl wants, and whether it is client-go that asks.
 */
#ifndef KUBETOKEN_EXEC_INFO_H
#define KUBETOKEN_EXEC_INFO_H

enum exec_version {
    EXEC_NONE, /* the JSON names no apiVersion */
    EXEC_V1,
    EXEC_V1BETA1,
    EXEC_OTHER,
};

/* Scans the JSON for the apiVersion of its outermost object: cluster configuration inside it
 * may hold members of that name too. Any size, any blanks. */
enum exec_version exec_info_version(const char *json);

/* Whether it is in the compact form that client-go writes; the same parent asking again early
 * then means that its token was rejected, which is not so for other clients. */
int exec_info_is_client_go(const char *json);

#endif
