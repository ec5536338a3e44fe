#define _GNU_SOURCE
#include "daemon/typed_login.h"

#include <string.h>

#include "daemon/typed_user.h"

void typed_login_clear(struct typed_login *login)
{
    login->password = secret_free(login->password);
    login->otp = secret_free(login->otp);
}

int typed_login_part(const struct request *request, struct secret *given, struct typed_login *ret,
                     struct error *why)
{
    size_t name = request->username, otp = request->otp;
    size_t password = secret_length(given) - name - otp; /* protocol.h: never less than nothing */
    const char *bytes = secret_peek(given);
    bool name_valid = name == 0 || typed_user_valid(bytes, name);
    bool otp_valid = otp == 0 || typed_user_valid(bytes + name + password, otp);

    *ret = (struct typed_login){ .password = NULL };
    if (name_valid)
        memcpy(ret->name, bytes, name);
    if (password > 0)
        ret->password = secret_copy(bytes + name, password);
    if (otp > 0)
        ret->otp = secret_copy(bytes + name + password, otp);
    secret_free(given);
    if (!name_valid || !otp_valid)
        error_set(why, ERROR_USAGE, "the %s has control characters, or is no UTF-8",
                  name_valid ? "one-time password" : "user name");
    else if ((password > 0 && !ret->password) || (otp > 0 && !ret->otp))
        error_set(why, ERROR_INTERNAL, "no memory");
    else
        return 0;
    typed_login_clear(ret);
    return -1;
}

/* ---- what is taken --------------------------------------------------------------------------- */

/* What it is that helps instead. */
static void explain(const struct profile_config *config, struct error *why)
{
    switch (config->grant) {
    case GRANT_DEVICE:
        error_set(why, ERROR_USAGE,
                  "it has grant = device, which takes no password; kubetoken login %s",
                  config->name);
        break;
    case GRANT_REFRESH_TOKEN:
        error_set(why, ERROR_USAGE,
                  "it has grant = refresh-token, which takes no password; kubetoken login %s",
                  config->name);
        break;
    case GRANT_EXCHANGE:
        error_set(why, ERROR_USAGE, "it has its tokens from %s; kubetoken login %s", config->from,
                  config->from);
        break;
    case GRANT_COMMAND:
        error_set(why, ERROR_USAGE, "it has its tokens from token-command; kubetoken refresh %s",
                  config->name);
        break;
    case GRANT_PASSWORD:
        break; /* takes all of it */
    }
}

bool typed_login_possible(const struct profile_config *config, struct error *why)
{
    bool possible = config->grant != GRANT_EXCHANGE && config->grant != GRANT_COMMAND;

    if (!possible)
        explain(config, why);
    return possible;
}

bool typed_login_by_password(const struct profile_config *config, struct error *why)
{
    bool taken = config->grant == GRANT_PASSWORD;

    if (!taken)
        explain(config, why);
    return taken;
}

bool typed_login_by_refresh_token(const struct profile_config *config, struct error *why)
{
    if (!typed_login_possible(config, why))
        return false;
    if (!config->use_refresh_token)
        error_set(why, ERROR_USAGE,
                  "use-refresh-token = no stands in its configuration; take that out, and say "
                  "kubetoken reload");
    return config->use_refresh_token;
}

bool typed_login_has_user(const struct profile_config *config, const char *name, bool typed_before,
                          struct error *why)
{
    const char *configured = config->username;
    bool another = configured && *name && strcmp(configured, name) != 0;
    bool none = !configured && !*name && !typed_before;

    if (another)
        error_set(why, ERROR_USAGE, "its configuration says username = %s, and no other",
                  configured);
    if (none)
        error_set(why, ERROR_USAGE,
                  "its configuration names no user; kubetoken login --username NAME");
    return !another && !none;
}
