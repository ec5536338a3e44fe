/*
 * new_password - what a person does whose account wants a new password, or another step in a
 * browser: where it is done, and where the new one is to be put for this profile.
 */
#ifndef KUBETOKEN_NEW_PASSWORD_H
#define KUBETOKEN_NEW_PASSWORD_H

#include <stdbool.h>

#include "daemon/config.h"

/* Adds it to a refusal of that kind (ERROR_NEW_PASSWORD, ERROR_ACCOUNT_SETUP), behind what the
 * provider said, which is cut where there is no room. typed: the password was, whatever source
 * there is. Returns whether it is one; others stay as they are. */
bool new_password_explain(const struct profile_config *config, bool typed, struct error *why);

#endif
