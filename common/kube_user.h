/*
 * kube_user - the user's name as kube-apiserver makes it of a claim, by --oidc-username-claim and
 * --oidc-username-prefix.
 */
#ifndef KUBETOKEN_KUBE_USER_H
#define KUBETOKEN_KUBE_USER_H

#include <stddef.h>

/* The claim that counts where the API server is told none. */
#define KUBE_USER_DEFAULT "sub"

/* Puts the prefix and the claim's value into out, cut at size - 1 bytes. Without a prefix (NULL or
 * "") it is issuer and #, but for the claim email, which has none then; "-" is none for any claim.
 */
void kube_user_name(char *out, size_t size, const char *claim, const char *prefix,
                    const char *issuer, const char *value);

#endif
