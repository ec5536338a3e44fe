/*
 * kubeconfig_user - a user of a kubeconfig: what it logs in with, and the stanza that runs
 * kubetoken instead.
 */
#ifndef KUBETOKEN_ADMIN_KUBECONFIG_USER_H
#define KUBETOKEN_ADMIN_KUBECONFIG_USER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* The user that runs kubetoken for that profile; version: "v1" or "v1beta1". Of the one that there
 * was (NULL: none) the environment stays, if it ran kubetoken. The caller frees it. */
cJSON *kubeconfig_user_new(const char *profile, const char *version, const char *command,
                           const cJSON *was);

/* The command by which a user runs kubetoken, or NULL. */
const char *kubeconfig_user_command(const cJSON *user);

/* Names what such a user has that kubetoken does not stand for, and that would be lost: "" where
 * there is nothing. An id_token by auth-provider, kubelogin, a pasted token: it stands for those.
 */
void kubeconfig_user_losses(const cJSON *user, char *out, size_t size);

#endif
