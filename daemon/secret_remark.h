/*
 * secret_remark - what a person should know of a profile's secrets beside what the provider says of
 * them: a form that is seldom meant, and that a change of a systemd credential waits for a restart.
 */
#ifndef KUBETOKEN_SECRET_REMARK_H
#define KUBETOKEN_SECRET_REMARK_H

#include "common/secret_form.h"
#include "daemon/config.h"

/* What was seen of the secrets when they were last read; NULL: nothing. */
struct secret_remark {
    char *password, *client_secret;
};

/* Forgets it. */
void secret_remark_clear(struct secret_remark *remark);

/* Looks at those that are there; NULL leaves what is known. Without memory nothing is said. */
void secret_remark_note(struct secret_remark *remark, const struct secret *password,
                        const struct secret *client_secret);

/* Adds to a refusal, by whom its class is about, what may be the reason. by_password: else the
 * request was by refresh token; typed: the password was not the source's. */
void secret_remark_explain(const struct secret_remark *remark, const struct profile_config *config,
                           bool by_password, bool typed, struct error *why);

/* The forms as a finding, ERROR_ODD_CREDENTIAL, or ERROR_NONE. */
void secret_remark_warn(const struct secret_remark *remark, struct error *ret);

#endif
