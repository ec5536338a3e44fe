/*
 * printed_token - the id_token in what another program has printed (token-command).
 *
 * Programs print it bare, as gcloud does; as an ExecCredential, as plugins of kubectl do
 * (client.authentication.k8s.io); or in an object, as the token services of CI answer.
 */
#ifndef KUBETOKEN_FETCH_PRINTED_TOKEN_H
#define KUBETOKEN_FETCH_PRINTED_TOKEN_H

#include <stddef.h>

#include "common/error.h"
#include "common/secret.h"

/* Finds the token: one word, alone on its line; in JSON status.token of an ExecCredential, else the
 * first that is there of id_token, token and value. printed[length] has to be '\0'. Returns a copy
 * that has the two or more dots of a JWT, and may be anything else; or NULL with *why, which quotes
 * nothing of what was printed. */
struct secret *printed_token_find(const char *printed, size_t length, struct error *why);

#endif
