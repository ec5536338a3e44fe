/*
 * discovery - where the provider's endpoints are (OpenID Connect Discovery 1.0 §4).
 */
#ifndef KUBETOKEN_FETCH_DISCOVERY_H
#define KUBETOKEN_FETCH_DISCOVERY_H

#include "daemon/fetch/as_go.h"
#include "daemon/fetch/http.h"
#include "daemon/fetch/offers.h"

struct discovery {
    char *token_endpoint;
    char *jwks_uri;             /* NULL: not known */
    char *revocation_endpoint;  /* NULL: none is published */
    char *device_endpoint;      /* the same, of RFC 8628 §4 */
    bool auth_post, auth_basic; /* listed in token_endpoint_auth_methods_supported */
    bool auth_listed;           /* that list is there at all */
    unsigned offers;            /* OFFERS_...; not cached */
    char unreadable[AS_GO_WHY]; /* what "it" has that the API server cannot read; "": nothing */
};

/* Fetches the discovery document of the job's issuer, which has to name that issuer byte for
 * byte. Returns 0, or -1 with outcome, error and retry_after of *result set. The caller clears
 * *ret in either case. */
int discovery_fetch(struct http *http, const struct job *job, struct discovery *ret,
                    struct result *result);
void discovery_clear(struct discovery *discovery);

/* Whether the job takes a token endpoint that it does not bring: who only verifies tokens, or reads
 * them, has no use for one, and who only issues them to programs of its own (CI) names none. */
bool discovery_wants_token_endpoint(const struct job *job);

/* Reads a discovery document. Returns 0, or -1 with *why set. */
int discovery_parse(const struct job *job, const char *text, size_t length, struct discovery *ret,
                    struct error *why);

#endif
