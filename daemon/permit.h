/*
 * permit - the leave of all whose credentials a request carries: the user of the proxy, the client,
 * the user. Finds their accounts (account.h), asks each of them, and tells each what came of it.
 */
#ifndef KUBETOKEN_PERMIT_H
#define KUBETOKEN_PERMIT_H

#include "common/secret.h"
#include "daemon/account_table.h"
#include "daemon/config.h"

enum permit_part { PERMIT_PROXY, PERMIT_CLIENT, PERMIT_USER, PERMIT_PARTS };

/* May be copied, and outlives the configuration. */
struct permit {
    struct account_table *accounts;
    struct {
        uint64_t id; /* of its account; 0: none of its credentials are sent */
        struct account_credential what;
    } parts[PERMIT_PARTS];
    uint64_t bucket; /* of the account from which a login without a password takes; 0: none */
    bool with_otp; /* the caller's: a one-time password, so that nothing like it was sent before */
    bool held;     /* asked for and got; permit_end() has to follow */
};

/* For a request of that profile with these secrets; password NULL: by refresh token. */
void permit_open(struct permit *ret, struct account_table *accounts,
                 const struct profile_config *config, const struct secret *client_secret,
                 const struct secret *password);

/* It exchanges a token of that profile: a login of its account as far as that is counted. */
void permit_join(struct permit *permit, const struct profile_config *source);

/* The account of that part; NULL: nothing is known of it, or it is not concerned. */
struct account *permit_account(const struct permit *permit, enum permit_part part);

/* All of them let `who` go, or *ret_part is the first that does not and *ret_when its time. urgent:
 * a client waits for it. forced_at: when a person said so, 0 = nobody did. */
enum account_verdict permit_ask(struct permit *permit, const void *who, bool urgent, bool by_route,
                                uint64_t forced_at, enum permit_part *ret_part, uint64_t *ret_when);

/* Whether any of them refuses it, as far as is known now. */
bool permit_refuses(const struct permit *permit);

/* When the user's account lets it go by itself, as account_next(); 0 = now, or never. */
uint64_t permit_next(const struct permit *permit);

/* What became of the request. */
struct permit_outcome {
    const struct error *why; /* NULL: there is a token */
    bool by_password;        /* else by refresh token, or */
    bool by_exchange;        /* by another profile's token */
    bool sent_grant;         /* the grant went out */
    bool with_otp;           /* and a one-time password: what was taken or refused may be that */
    bool passed_proxy;       /* something was asked of the provider itself */
    unsigned http_status;    /* of its answer to the grant, 0 = none */
};

/* Tells them, and returns what the user's account was told, NOT_SENT where it is not concerned.
 * Does nothing with a permit that is not held. */
enum account_end permit_end(struct permit *permit, const void *who,
                            const struct permit_outcome *outcome);

#endif
