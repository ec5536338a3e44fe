/*
 * provider_offers - by what a provider's discovery document says that tokens can be got. A grant
 * that it does not list may be there all the same.
 */
#ifndef KUBETOKEN_ADMIN_PROVIDER_OFFERS_H
#define KUBETOKEN_ADMIN_PROVIDER_OFFERS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct provider_offers {
    bool known;  /* the document was read */
    bool listed; /* it has grant_types_supported, in which are: */
    bool password, device, refresh_token, exchange;
    bool device_endpoint; /* device_authorization_endpoint is there */
    bool offline_access;  /* among scopes_supported */
};

/* What a report of the fetcher (`inspect json`) says of them; none of it: not known. */
void provider_offers_read(const cJSON *report, struct provider_offers *ret);

/* Asks the provider of a profile, through the daemon, for its discovery document alone, without any
 * credential; patience in usec, answer: room for the daemon's. Returns ERROR_NONE, or what is wrong
 * with the way there, with *why. */
enum error_code provider_offers_ask(const char *profile, uint64_t patience, char *answer,
                                    size_t size, struct provider_offers *ret, struct error *why);

#endif
