/*
 * profile_record - what is known of a profile, as bytes that outlive the daemon (store.h): how
 * things stood. Pure. What comes back is of another life, perhaps of another version: it is
 * believed within limits, and times are brought to where they can be now.
 */
#ifndef KUBETOKEN_PROFILE_RECORD_H
#define KUBETOKEN_PROFILE_RECORD_H

#include "common/job.h"
#include "daemon/attempt.h"
#include "daemon/holders.h"
#include "daemon/lifecycle.h"
#include "daemon/rejection.h"

enum { PROFILE_RECORD_MAX = 8 * 1024 };

/* Whether a password is sent with a one-time password alone. The numbers are for good. */
enum otp_need { OTP_UNKNOWN, OTP_NEEDED, OTP_NOT_NEEDED };

/* How things stood. */
struct profile_record {
    struct lifecycle lifecycle; /* without the token */
    struct error error;
    struct step failed_step;
    struct rejection rejection; /* without the clients */
    char changed[RESULT_DETAIL_MAX + 1];
    uint64_t changed_at;
    struct attempt_note note;
    uint64_t configuration; /* config_keys_digest() */
    struct holder holders[HOLDERS_MAX];
    size_t n_holders;
    enum otp_need otp_need;
    bool had_password; /* a typed one */
    bool had_refresh_token;
};

/* Returns the length, 0 when it does not fit. */
size_t profile_record_encode(const struct profile_record *record, void *memory, size_t capacity);

/* Returns 0, or -EBADMSG. */
int profile_record_decode(const void *bytes, size_t length, uint64_t now,
                          struct profile_record *ret);

#endif
