#define _GNU_SOURCE
#include "daemon/fetch/offers.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/json_tree.h"
#include "daemon/fetch/json.h"

/* Each with its name in the document, and in a report. */
static const struct {
    unsigned bit;
    const char *type, *word;
} grants[] = {
    { OFFERS_PASSWORD, "password", "password" },
    { OFFERS_DEVICE, "urn:ietf:params:oauth:grant-type:device_code", "device" },
    { OFFERS_REFRESH_TOKEN, "refresh_token", "refresh-token" },
    { OFFERS_EXCHANGE, "urn:ietf:params:oauth:grant-type:token-exchange", "exchange" },
};

unsigned offers_read(const cJSON *document)
{
    const cJSON *list = json_get(document, "grant_types_supported");
    unsigned offers = OFFERS_KNOWN;

    if (cJSON_IsArray(list))
        offers |= OFFERS_LISTED;
    for (size_t i = 0; i < sizeof grants / sizeof *grants; i++)
        if (cJSON_IsArray(list) && json_holds(list, grants[i].type))
            offers |= grants[i].bit;
    if (json_string(document, "device_authorization_endpoint"))
        offers |= OFFERS_DEVICE_ENDPOINT;
    if (json_holds(json_get(document, "scopes_supported"), "offline_access"))
        offers |= OFFERS_OFFLINE_ACCESS;
    return offers;
}

void offers_add(cJSON *report, unsigned offers)
{
    if (!(offers & OFFERS_KNOWN))
        return;
    cJSON *provider = cJSON_AddObjectToObject(report, "provider");
    cJSON *list = offers & OFFERS_LISTED ? cJSON_AddArrayToObject(provider, "grants") : NULL;
    for (size_t i = 0; list && i < sizeof grants / sizeof *grants; i++)
        if (offers & grants[i].bit)
            json_tree_append(list, cJSON_CreateString(grants[i].word));
    cJSON_AddBoolToObject(provider, "deviceAuthorizationEndpoint",
                          (offers & OFFERS_DEVICE_ENDPOINT) != 0);
    cJSON_AddBoolToObject(provider, "offlineAccess", (offers & OFFERS_OFFLINE_ACCESS) != 0);
}
