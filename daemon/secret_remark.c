#define _GNU_SOURCE
#include "daemon/secret_remark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/secret_source.h"

enum { REMARK_MAX = 360 };

void secret_remark_clear(struct secret_remark *remark)
{
    free(remark->password);
    free(remark->client_secret);
    *remark = (struct secret_remark){ .password = NULL };
}

static void look_at(const struct secret *secret, char **words)
{
    char found[SECRET_FORM_WORDS];

    if (!secret)
        return;
    secret_form_oddities(secret_peek(secret), secret_length(secret), found);
    free(*words);
    *words = *found ? strdup(found) : NULL;
}

void secret_remark_note(struct secret_remark *remark, const struct secret *password,
                        const struct secret *client_secret)
{
    look_at(password, &remark->password);
    look_at(client_secret, &remark->client_secret);
}

/* Does nothing where there are no words. */
static void add(char text[REMARK_MAX], const char *before, const char *what, const char *words,
                const char *after)
{
    size_t used = strlen(text);

    if (words && *words)
        snprintf(text + used, REMARK_MAX - used, "%s%s%s%s%s", used > 0 ? "; " : "", before, what,
                 words, after);
}

/* Whose secret a refusal may be about. */
static void find_parties(enum error_class class, bool *user, bool *client)
{
    *user = *client = false;
    switch (class) {
    case ERROR_CLASS_REFUSED_USER:
        *user = true;
        break;
    case ERROR_CLASS_REFUSED_CLIENT:
        *client = true;
        break;
    case ERROR_CLASS_REFUSED_EITHER:
    case ERROR_CLASS_THROTTLED: /* after the third answer that was no word of OAuth's */
        *user = *client = true;
        break;
    case ERROR_CLASS_NONE:
    case ERROR_CLASS_LOCAL:
    case ERROR_CLASS_UNSENT:
    case ERROR_CLASS_TRANSIENT:
    case ERROR_CLASS_LOST:
    case ERROR_CLASS_SOFT:
    case ERROR_CLASS_PROXY:
    case ERROR_CLASS_ACCEPTED:
        break;
    }
}

void secret_remark_explain(const struct secret_remark *remark, const struct profile_config *config,
                           bool by_password, bool typed, struct error *why)
{
    static const char doubt[] = ", which may not be meant", changed[] = "a changed ";
    char text[REMARK_MAX] = "", detail[ERROR_DETAIL_MAX + 1];
    bool user, client;

    find_parties(error_class(why->code), &user, &client);
    user = user && by_password;
    if (user)
        add(text, "the ", "password ", remark->password, doubt);
    if (client)
        add(text, "the ", "client secret ", remark->client_secret, doubt);
    if (user && !typed)
        add(text, changed,
            "password-credential counts after: ", secret_source_restart(&config->password), "");
    if (client)
        add(text, changed, "client-secret-credential counts after: ",
            secret_source_restart(&config->client_secret), "");
    if (*text == '\0')
        return;
    memcpy(detail, why->detail, sizeof detail);
    int room = (int)(ERROR_DETAIL_MAX - strlen(text)) - 3;
    if (*detail == '\0')
        error_set(why, why->code, "%s", text);
    else
        error_set(why, why->code, "%.*s (%s)", room, detail, text);
}

void secret_remark_warn(const struct secret_remark *remark, struct error *ret)
{
    char text[REMARK_MAX] = "";

    add(text, "the ", "password ", remark->password, "");
    add(text, "the ", "client secret ", remark->client_secret, "");
    error_set(ret, *text ? ERROR_ODD_CREDENTIAL : ERROR_NONE, "%s", text);
}
