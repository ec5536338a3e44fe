/*
 * offers - by what a provider says that tokens can be got: grant_types_supported and
 * device_authorization_endpoint of its discovery document (OpenID Connect Discovery 1.0 §3, RFC
 * 8628 §4). A list that lacks a grant proves nothing: providers are known that leave the password
 * grant out and have it.
 */
#ifndef KUBETOKEN_FETCH_OFFERS_H
#define KUBETOKEN_FETCH_OFFERS_H

#include <cjson/cJSON.h>

enum {
    OFFERS_KNOWN = 1,  /* there was a document */
    OFFERS_LISTED = 2, /* with a list of grants, of which these are: */
    OFFERS_PASSWORD = 4,
    OFFERS_DEVICE = 8,
    OFFERS_REFRESH_TOKEN = 16,
    OFFERS_EXCHANGE = 32,
    OFFERS_DEVICE_ENDPOINT = 64, /* where a device code can be asked for */
    OFFERS_OFFLINE_ACCESS = 128, /* among scopes_supported */
};

/* What the document says. */
unsigned offers_read(const cJSON *document);

/* Adds them to a report as the member "provider"; of what is not known nothing. */
void offers_add(cJSON *report, unsigned offers);

#endif
