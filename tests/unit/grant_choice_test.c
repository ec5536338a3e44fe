#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "client/admin/grant_choice.h"

/* "KEY=VALUE KEY=VALUE" */
static struct config_settings settings(const char *text)
{
    struct config_settings s = { 0 };
    char copy[200], *rest = copy, *word;

    snprintf(copy, sizeof copy, "%s", text);
    while ((word = strsep(&rest, " ")))
        if (*word) {
            char *value = strchr(word, '=');
            *value++ = '\0';
            config_settings_add(&s, word, value);
        }
    return s;
}

static void the_profiles_own_key_goes_before_the_defaults(void **state)
{
    static const struct {
        const char *own, *defaults;
        enum grant_choice choice;
    } rows[] = {
        { "", "", GRANT_CHOICE_PASSWORD },
        { "username=u", "grant=device", GRANT_CHOICE_DEVICE },
        { "grant=password", "grant=device", GRANT_CHOICE_PASSWORD },
        { "grant=refresh-token", "from=x", GRANT_CHOICE_REFRESH_TOKEN },
        { "from=x", "token-command=c", GRANT_CHOICE_EXCHANGE },
        { "", "from=x", GRANT_CHOICE_EXCHANGE },
        { "", "grant=device token-command=c", GRANT_CHOICE_COMMAND },
        { "token-command=c", "grant=device", GRANT_CHOICE_COMMAND },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config_settings own = settings(rows[i].own), all = settings(rows[i].defaults);
        assert_int_equal(grant_choice_of(&own, &all), rows[i].choice);
        config_settings_clear(&own);
        config_settings_clear(&all);
    }
}

static void what_does_not_go_together_is_named(void **state)
{
    static const char *const rows[][2] = {
        { "username=u password-file=f", "" },
        { "grant=password username=u", "" },
        { "grant=device scope=openid", "" },
        { "grant=device realm=r",
          "realm belongs to the password grant, which --grant takes the place of" },
        { "from=x otp-parameter=totp",
          "otp-parameter belongs to the password grant, which --from takes the place of" },
        { "grant=code", "--grant takes password, device or refresh-token" },
        { "grant=password from=x",
          "--grant, --from and --token-command do not go together: a profile has one grant" },
    };
    char words[GRANT_CHOICE_WORDS];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config_settings own = settings(rows[i][0]);
        assert_int_equal(grant_choice_check(&own, words), *rows[i][1] == '\0');
        assert_string_equal(words, rows[i][1]);
        config_settings_clear(&own);
    }
}

static void only_an_endpoint_and_a_list_without_the_password_propose_a_device(void **state)
{
    const struct provider_offers rows[] = {
        { .known = false },
        { .known = true, .device_endpoint = true },
        { .known = true, .listed = true },
        { .known = true, .listed = true, .device = true },
        { .known = true, .listed = true, .password = true, .device_endpoint = true },
    };
    const struct provider_offers device = { .known = true,
                                            .listed = true,
                                            .device_endpoint = true };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(grant_choice_best(&rows[i]), GRANT_CHOICE_PASSWORD);
    assert_int_equal(grant_choice_best(&device), GRANT_CHOICE_DEVICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_profiles_own_key_goes_before_the_defaults),
        cmocka_unit_test(what_does_not_go_together_is_named),
        cmocka_unit_test(only_an_endpoint_and_a_list_without_the_password_propose_a_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
