/*
 * as_go - header and claims of a token as the libraries of kube-apiserver (go-jose, go-oidc and
 * Go's encoding/json) read them.
 */
#ifndef KUBETOKEN_FETCH_AS_GO_H
#define KUBETOKEN_FETCH_AS_GO_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum { AS_GO_WHY = 160 };

/* Whether it can be read at all. Where not, why says what "its header" or "it" has, for a text that
 * begins so. alg is not looked at. */
bool as_go_header(const cJSON *header, char why[AS_GO_WHY]);

/* Whether the claims that the library itself reads, in whatever spelling, are of the types that it
 * wants; those of the exact names iss, aud, exp, iat and nbf are not looked at. */
bool as_go_claims(const cJSON *claims, char why[AS_GO_WHY]);

/* Whether it finds its way by that discovery document, which is of the issuer as we read it. Where
 * not, why says what "it" has, for a text that begins so. */
bool as_go_document(const cJSON *document, char why[AS_GO_WHY]);

/* The claim that it takes for the one of that name, where it is another member: ISS behind iss.
 * NULL: it is the same, or there is none. */
const cJSON *as_go_instead(const cJSON *claims, const char *name);

/* Sets *at, which is that claim's (exp or nbf), to what it takes instead, where the token lives
 * shorter by that. Returns the name of the one that counts. */
const char *as_go_shorten(const cJSON *claims, const char *name, int64_t *at);

#endif
