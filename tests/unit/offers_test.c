#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/fetch/json.h"
#include "daemon/fetch/offers.h"

static unsigned read(const char *text)
{
    cJSON *document = json_object(text, strlen(text));

    assert_non_null(document);
    unsigned offers = offers_read(document);
    cJSON_Delete(document);
    return offers;
}

static void what_a_document_lists_is_offered(void **state)
{
    static const struct {
        const char *text;
        unsigned offers;
    } rows[] = {
        { "{}", 0 },
        { "{\"grant_types_supported\": []}", OFFERS_LISTED },
        { "{\"grant_types_supported\": \"password\"}", 0 },
        { "{\"grant_types_supported\": [1, {}, \"password\", \"Password\"]}",
          OFFERS_LISTED | OFFERS_PASSWORD },
        { "{\"grant_types_supported\": [\"urn:ietf:params:oauth:grant-type:device_code\", "
          "\"refresh_token\", \"urn:ietf:params:oauth:grant-type:token-exchange\"]}",
          OFFERS_LISTED | OFFERS_DEVICE | OFFERS_REFRESH_TOKEN | OFFERS_EXCHANGE },
        { "{\"device_authorization_endpoint\": \"https://i/d\"}", OFFERS_DEVICE_ENDPOINT },
        { "{\"device_authorization_endpoint\": null}", 0 },
        { "{\"scopes_supported\": [\"openid\", \"offline_access\"]}", OFFERS_OFFLINE_ACCESS },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(read(rows[i].text), OFFERS_KNOWN | rows[i].offers);
}

static void expect_report(unsigned offers, const char *text)
{
    cJSON *report = cJSON_CreateObject();

    offers_add(report, offers);
    char *printed = cJSON_PrintUnformatted(report);
    assert_string_equal(printed, text);
    cJSON_free(printed);
    cJSON_Delete(report);
}

static void of_what_is_not_known_nothing_is_said(void **state)
{
    (void)state;
    expect_report(0, "{}");
    expect_report(OFFERS_KNOWN, "{\"provider\":{\"deviceAuthorizationEndpoint\":false,"
                                "\"offlineAccess\":false}}");
    expect_report(OFFERS_KNOWN | OFFERS_LISTED | OFFERS_DEVICE | OFFERS_DEVICE_ENDPOINT,
                  "{\"provider\":{\"grants\":[\"device\"],\"deviceAuthorizationEndpoint\":true,"
                  "\"offlineAccess\":false}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_document_lists_is_offered),
        cmocka_unit_test(of_what_is_not_known_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
