/*
 * subject - the token of another profile for which a profile's own is got (from; RFC 8693 calls it
 * the subject token): the other one is asked for it as a client asks, and waited for.
 *
 * What that one does about it (a login, a refresh, a pause, none) is its own affair: its state, its
 * account and its back-off decide, and nothing is asked for twice.
 */
#ifndef KUBETOKEN_SUBJECT_H
#define KUBETOKEN_SUBJECT_H

#include "daemon/attempt.h"

struct subject;

enum subject_verdict {
    SUBJECT_HERE,    /* there is one: subject_token() */
    SUBJECT_AWAITED, /* ready() will be called */
    SUBJECT_LACKING, /* there is none, and *ret says why */
};

/* For one attempt of a profile of that configuration. spent: what subject_renew() said in the one
 * before, or 0. ready() comes from within what the other profile is at: nothing is asked of it
 * there. NULL: no memory. */
struct subject *subject_new(struct context *shared, const struct profile_config *config,
                            uint64_t spent, void (*ready)(void *context), void *context);
struct subject *subject_free(struct subject *subject);

/* A token is wanted, and waited for until then (usec of CLOCK_BOOTTIME). ret's kind, error and
 * retry_after are written where it is lacking. */
enum subject_verdict subject_ask(struct subject *subject, uint64_t deadline,
                                 struct attempt_end *ret);

/* What is to be sent now, the other profile's own; NULL: it has died. */
const struct secret *subject_token(const struct subject *subject);

/* The provider refused it. Where another one may help subject_ask() wants that from now on; returns
 * when the refused one had been asked for. 0: it had been got just for this. */
uint64_t subject_renew(struct subject *subject);

/* Has the request count for the account of the other profile. */
void subject_join(const struct subject *subject, struct permit *permit);

/* What is waited for, in words. */
void subject_words(const struct subject *subject, char *out, size_t size);

#endif
