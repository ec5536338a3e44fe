/*
 * otp - a one-time password beside the password: when it is sent, what an answer means with it.
 *
 * Two ways are known. Where the job names a parameter (Keycloak's totp) the code goes with the
 * password. Else the provider asks for it (Auth0's mfa_required, with an mfa_token), and a second
 * request of the same job answers that. Never both: no code is sent twice.
 */
#ifndef KUBETOKEN_FETCH_OTP_H
#define KUBETOKEN_FETCH_OTP_H

#include <cjson/cJSON.h>

#include "common/job.h"

enum { OTP_CHALLENGE_MAX = 16 * 1024 }; /* bytes of an mfa_token; Auth0's is about 1 KiB */

/* The grant type of the request that answers an mfa_token. */
#define OTP_GRANT_TYPE "http://auth0.com/oauth/grant-type/mfa-otp"

/* Whether the request of this job carries the code. */
bool otp_is_sent(const struct job *job);

/* What asks for a code in an answer, to be sent with it: the mfa_token. NULL: nothing that can be
 * answered, or no memory. */
struct secret *otp_challenge(const cJSON *json);

/* What a refusal (or ERROR_NONE) means with a code beside the password, or without one where the
 * job says that there may be one. Of most providers nobody can tell which of the two was wrong. */
enum error_code otp_meaning(const struct job *job, const cJSON *json, enum error_code code);

#endif
