#include "daemon/new_password.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/specifiers.h"
#include "daemon/secret_source.h"

enum { ADVICE_MAX = 400 };

/* "at ISSUER/account/ in a browser": that of Keycloak's realms, whose issuers are known by their
 * path, and Entra ID's; of others nobody can tell. */
static void describe_page(const char *issuer, char *out, size_t size)
{
    static const char entra[] = "https://login.microsoftonline.com/";
    size_t length = strlen(issuer);

    if (strstr(issuer, "/realms/"))
        snprintf(out, size, "at %s%saccount/ in a browser", issuer,
                 issuer[length - 1] == '/' ? "" : "/");
    else if (strncmp(issuer, entra, sizeof entra - 1) == 0)
        snprintf(out, size, "at https://myaccount.microsoft.com/ in a browser");
    else
        snprintf(out, size, "at the provider, in a browser");
}

/* What changes the secret that such a command yields, or only whose it is. */
static void describe_command(const char *command, char *out, size_t size)
{
    static const struct {
        const char *reads, *writes;
    } known[] = { { "secret-tool lookup ", "secret-tool store --label=kubetoken " },
                  { "pass show ", "pass edit " } };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t length = strlen(known[i].reads);
        if (strncmp(command, known[i].reads, length) == 0) {
            snprintf(out, size, "store it by: %s%s", known[i].writes, command + length);
            return;
        }
    }
    snprintf(out, size, "store it where %.*s finds it", (int)strcspn(command, " "), command);
}

/* Where the new one goes, and what makes the profile use it. */
static void describe_place(const struct profile_config *config, bool typed, char *out, size_t size)
{
    const struct source *source = &config->password;
    enum source_kind kind = typed ? SOURCE_NONE : source->kind;
    char command[ADVICE_MAX / 2], *line, letter;
    int error;

    switch (kind) {
    case SOURCE_NONE:
        snprintf(out, size, "say: kubetoken login %s", config->name);
        return;
    case SOURCE_INLINE:
        snprintf(out, size,
                 "write it as password into the configuration and say: kubetoken reload");
        return;
    case SOURCE_FILE:
        snprintf(out, size, "write it to %s, which is then read again by itself", source->text);
        return;
    case SOURCE_COMMAND:
        line = specifiers_expand(source->text, &error, &letter);
        describe_command(line ? line : source->text, command, sizeof command);
        free(line);
        snprintf(out, size, "%s, and say: kubetoken refresh %s", command, config->name);
        return;
    case SOURCE_CREDENTIAL:
        snprintf(out, size, "replace the systemd credential %s and say: %s", source->text,
                 secret_source_restart(source));
        return;
    }
}

bool new_password_explain(const struct profile_config *config, bool typed, struct error *why)
{
    char page[ADVICE_MAX / 2], place[ADVICE_MAX], advice[2 * ADVICE_MAX];
    char said[ERROR_DETAIL_MAX + 1];

    if (why->code != ERROR_NEW_PASSWORD && why->code != ERROR_ACCOUNT_SETUP)
        return false;
    describe_page(config->issuer, page, sizeof page);
    describe_place(config, typed, place, sizeof place);
    bool any = typed || config->password.kind == SOURCE_NONE; /* an old one is typed again, too */
    if (why->code == ERROR_NEW_PASSWORD)
        snprintf(advice, sizeof advice, "set one %s, then %s", page, place);
    else if (any)
        snprintf(advice, sizeof advice, "log in %s, do what it asks, then %s", page, place);
    else
        snprintf(
            advice, sizeof advice,
            "log in %s, do what it asks, then say: kubetoken refresh %s; a new password: first "
            "%s",
            page, config->name, place);
    memcpy(said, why->detail, sizeof said);
    size_t length = strlen(advice), stem = error_stem(said);
    size_t room = length + 2 < ERROR_DETAIL_MAX ? ERROR_DETAIL_MAX - length - 2 : 0;
    error_set(why, why->code, "%.*s%s%s", (int)(stem < room ? stem : room), said,
              stem > 0 ? "; " : "", advice);
    return true;
}
