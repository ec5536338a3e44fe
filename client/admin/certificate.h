/*
 * certificate - what a client certificate of a kubeconfig says of itself: whose it is, until when
 * it is good. Its signature is not looked at.
 */
#ifndef KUBETOKEN_ADMIN_CERTIFICATE_H
#define KUBETOKEN_ADMIN_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CERTIFICATE_NAME_MAX = 128 };

struct certificate {
    int64_t not_after;                        /* seconds since 1970 */
    char common_name[CERTIFICATE_NAME_MAX];   /* the user that Kubernetes sees */
    char organizations[CERTIFICATE_NAME_MAX]; /* its groups: "a, b" */
    bool is_admin;                            /* by a group that Kubernetes makes one of */
};

/* Reads the first one of a PEM text. Returns 0, or -EBADMSG. */
int certificate_read(const char *pem, struct certificate *ret);

/* As the kubeconfig has it: a PEM in base64. */
int certificate_read_data(const char *base64, struct certificate *ret);

#endif
