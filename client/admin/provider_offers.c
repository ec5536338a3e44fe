#define _GNU_SOURCE
#include "client/admin/provider_offers.h"

#include <string.h>

#include "client/conversation.h"
#include "common/text.h"

static bool holds(const cJSON *list, const char *word)
{
    const cJSON *one;

    cJSON_ArrayForEach (one, list)
        if (cJSON_IsString(one) && text_equal(one->valuestring, word))
            return true;
    return false;
}

void provider_offers_read(const cJSON *report, struct provider_offers *ret)
{
    const cJSON *provider = cJSON_GetObjectItemCaseSensitive(report, "provider");
    const cJSON *grants = cJSON_GetObjectItemCaseSensitive(provider, "grants");
    const cJSON *endpoint = cJSON_GetObjectItemCaseSensitive(provider,
                                                             "deviceAuthorizationEndpoint");
    const cJSON *offline = cJSON_GetObjectItemCaseSensitive(provider, "offlineAccess");

    *ret = (struct provider_offers){ .known = provider != NULL,
                                     .listed = grants != NULL,
                                     .password = holds(grants, "password"),
                                     .device = holds(grants, "device"),
                                     .refresh_token = holds(grants, "refresh-token"),
                                     .exchange = holds(grants, "exchange"),
                                     .device_endpoint = cJSON_IsTrue(endpoint),
                                     .offline_access = cJSON_IsTrue(offline) };
}

/* Why the provider could not be asked, as the report says it. */
static enum error_code error_of(const cJSON *report, struct error *why)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(report, "providerError");
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "code"));
    const char *detail = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "detail"));

    error_set(why, name ? error_from_name(name, strlen(name)) : ERROR_NONE, "%s",
              detail ? detail : "");
    return why->code;
}

enum error_code provider_offers_ask(const char *profile, uint64_t patience, char *answer,
                                    size_t size, struct provider_offers *ret, struct error *why)
{
    /* A token that nobody has issued: for its sake the fetcher looks for keys, where the issuer's
     * document says that they are. */
    static const char token[] = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5vbmUifQ.e30.c2ln";
    struct line line = { .block = token, .block_length = sizeof token - 1 };

    line_add(&line, "inspect json ");
    line_add(&line, profile);
    line_add_number(&line, "secret", line.block_length);
    enum error_code code = conversation_ask_why(&line, patience, answer, size, why);
    cJSON *report = cJSON_Parse(answer);
    provider_offers_read(report, ret);
    if (report)
        code = error_of(report, why);
    cJSON_Delete(report);
    return code;
}
