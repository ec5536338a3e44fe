/*
 * typed_login - what a person gives to `kubetoken login`: user's name, password and one-time
 * password, which come as one piece; and which of it a configuration takes.
 */
#ifndef KUBETOKEN_TYPED_LOGIN_H
#define KUBETOKEN_TYPED_LOGIN_H

#include "common/protocol.h"
#include "common/secret.h"
#include "daemon/config.h"

struct typed_login {
    char name[PROTOCOL_USER_MAX + 1]; /* "": none */
    struct secret *password, *otp;    /* NULL: none */
};

/* Parts what came with a VERB_LOGIN, which is taken, where the request says. Returns 0, and the
 * caller clears *ret; or -1 with *why, and there is nothing to be cleared. */
int typed_login_part(const struct request *request, struct secret *given, struct typed_login *ret,
                     struct error *why);

/* What the caller has taken of it is NULL by then. */
void typed_login_clear(struct typed_login *login);

/* Whether somebody can log in to such a profile; with a password; with a refresh token. If not,
 * *why says what to do. */
bool typed_login_possible(const struct profile_config *config, struct error *why);
bool typed_login_by_password(const struct profile_config *config, struct error *why);
bool typed_login_by_refresh_token(const struct profile_config *config, struct error *why);

/* Whether there is a name to log in by: the configured one, the given one ("": none), or the one
 * that was typed before, if one was. If not, *why says what to do. */
bool typed_login_has_user(const struct profile_config *config, const char *name, bool typed_before,
                          struct error *why);

#endif
