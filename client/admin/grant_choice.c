#include "client/admin/grant_choice.h"

#include <stdio.h>

#include "common/text.h"

/* ---- by the keys ----------------------------------------------------------------------------- */

static const struct {
    const char *word;
    enum grant_choice choice;
} words_of_grant[] = { { "password", GRANT_CHOICE_PASSWORD },
                       { "device", GRANT_CHOICE_DEVICE },
                       { "refresh-token", GRANT_CHOICE_REFRESH_TOKEN } };

static bool from_word(const char *word, enum grant_choice *ret)
{
    for (size_t i = 0; i < sizeof words_of_grant / sizeof *words_of_grant; i++)
        if (text_equal(word, words_of_grant[i].word)) {
            *ret = words_of_grant[i].choice;
            return true;
        }
    return false;
}

bool grant_choice_given(const struct config_settings *settings)
{
    return config_settings_get(settings, "grant") || config_settings_get(settings, "from") ||
           config_settings_get(settings, "token-command");
}

enum grant_choice grant_choice_of(const struct config_settings *own,
                                  const struct config_settings *defaults)
{
    const struct config_settings *of = grant_choice_given(own) ? own : defaults;
    const char *word = config_settings_get(of, "grant");
    enum grant_choice choice = GRANT_CHOICE_PASSWORD;

    if (config_settings_get(of, "token-command"))
        return GRANT_CHOICE_COMMAND;
    if (config_settings_get(of, "from"))
        return GRANT_CHOICE_EXCHANGE;
    if (word)
        from_word(word, &choice);
    return choice;
}

/* As the daemon has them. */
static const char *beside(const struct config_settings *own)
{
    static const char *const of_password[] = {
        "username",          "password", "password-file", "password-command", "password-credential",
        "password-lifetime", "realm",    "otp-parameter"
    };

    for (size_t i = 0; i < sizeof of_password / sizeof *of_password; i++)
        if (config_settings_get(own, of_password[i]))
            return of_password[i];
    return NULL;
}

bool grant_choice_check(const struct config_settings *own, char words[GRANT_CHOICE_WORDS])
{
    const char *grant = config_settings_get(own, "grant"), *key = beside(own);
    int n = (grant != NULL) + (config_settings_get(own, "from") != NULL) +
            (config_settings_get(own, "token-command") != NULL);
    enum grant_choice choice = GRANT_CHOICE_COMMAND;

    words[0] = '\0';
    if (n > 1)
        snprintf(words, GRANT_CHOICE_WORDS,
                 "--grant, --from and --token-command do not go together: a profile has one grant");
    else if (grant && !from_word(grant, &choice))
        snprintf(words, GRANT_CHOICE_WORDS, "--grant takes password, device or refresh-token");
    else if (n > 0 && choice != GRANT_CHOICE_PASSWORD && key)
        snprintf(words, GRANT_CHOICE_WORDS,
                 "%s belongs to the password grant, which %s takes the place of", key,
                 grant                              ? "--grant"
                 : config_settings_get(own, "from") ? "--from"
                                                    : "--token-command");
    return !*words;
}

/* ---- by what the provider has ---------------------------------------------------------------- */

enum grant_choice grant_choice_best(const struct provider_offers *offers)
{
    return offers->listed && !offers->password && offers->device_endpoint ? GRANT_CHOICE_DEVICE
                                                                          : GRANT_CHOICE_PASSWORD;
}

void grant_choice_remark(enum grant_choice choice, const struct provider_offers *offers,
                         char words[GRANT_CHOICE_WORDS])
{
    const char *text = "";

    if (choice == GRANT_CHOICE_PASSWORD && offers->listed && !offers->password)
        text =
            "The provider does not list the password grant (grant_types_supported). Some have it "
            "all the same: it is tried.";
    else if (choice == GRANT_CHOICE_DEVICE && offers->offline_access)
        text = "The provider has the scope offline_access: where no refresh token comes without "
               "it, --scope \"openid email profile offline_access\" spares confirming each token.";
    else if (choice == GRANT_CHOICE_EXCHANGE && offers->listed && !offers->exchange)
        text = "The provider does not list token exchange (grant_types_supported). Some have it "
               "all the same.";
    snprintf(words, GRANT_CHOICE_WORDS, "%s", text);
}

/* ---- what comes next ------------------------------------------------------------------------- */

void grant_choice_next(enum grant_choice choice, const char *profile, const char *from,
                       char words[GRANT_CHOICE_WORDS])
{
    switch (choice) {
    case GRANT_CHOICE_PASSWORD:
        snprintf(words, GRANT_CHOICE_WORDS,
                 "What is left: kubetoken login %s, which asks for user name and password.",
                 profile);
        break;
    case GRANT_CHOICE_DEVICE:
        snprintf(words, GRANT_CHOICE_WORDS,
                 "What is left: kubetoken login %s, which shows a code to be confirmed in a "
                 "browser, of any machine.",
                 profile);
        break;
    case GRANT_CHOICE_REFRESH_TOKEN:
        snprintf(words, GRANT_CHOICE_WORDS,
                 "What is left: kubetoken login %s, which reads the refresh token. It is kept in "
                 "memory alone.",
                 profile);
        break;
    case GRANT_CHOICE_EXCHANGE:
        snprintf(words, GRANT_CHOICE_WORDS,
                 "Its tokens come from those of %s: kubetoken login %s, where that has none.", from,
                 from);
        break;
    case GRANT_CHOICE_COMMAND:
        words[0] = '\0';
        break;
    }
}
