/*
 * holdings - the secrets that a profile holds: its token, its refresh token, a typed password. Each
 * lies in the store, where it outlives the daemon, or in memory of this process, as the profile's
 * keep-over-restart says; in one of them, once, and it is used where it lies.
 */
#ifndef KUBETOKEN_HOLDINGS_H
#define KUBETOKEN_HOLDINGS_H

#include "daemon/config.h"
#include "daemon/store.h"

enum holding { HOLDING_TOKEN, HOLDING_REFRESH_TOKEN, HOLDING_PASSWORD, HOLDINGS };

/* Memory of its profile's. */
struct holdings {
    struct store *store; /* NULL: there is none */
    uint64_t id;         /* of the profile and its identity */
    enum keep_over_restart keep;
    struct {
        struct store_record *record;
        struct secret *own; /* where there is no record */
    } each[HOLDINGS];
    struct store_record *profile; /* what else is known of it */
};

/* Takes up what an earlier life left for that profile, as far as `keep` allows; the rest is wiped.
 */
void holdings_open(struct holdings *holdings, struct store *store,
                   const struct profile_config *config);

/* Forgets where they lie, and wipes what would not outlive the daemon. */
void holdings_close(struct holdings *holdings);

/* Wipes all of it: the profile is gone. */
void holdings_wipe(struct holdings *holdings);

/* What it holds of that kind, until the next change of it; NULL: nothing. */
const struct secret *holdings_get(const struct holdings *holdings, enum holding which);

/* What was said of it when it came. */
const void *holdings_rest(const struct holdings *holdings, enum holding which, size_t *ret_length);

/* Takes a secret, which the caller gives away (NULL: says something else of the present one), in
 * the place of the former. False: no memory, and there is none now. */
bool holdings_take(struct holdings *holdings, enum holding which, struct secret *secret,
                   const void *rest, size_t length);

/* Wipes it, wherever it lies. */
void holdings_drop(struct holdings *holdings, enum holding which);

/* The configuration is another: of the same identity, what it holds moves to where it belongs now;
 * of another one, all of it is wiped. */
void holdings_configure(struct holdings *holdings, const struct profile_config *config,
                        bool same_identity);

/* Writes what else is known of the profile, unless that stands there; what an earlier life wrote.
 */
void holdings_note(struct holdings *holdings, const void *bytes, size_t length);
const void *holdings_noted(const struct holdings *holdings, size_t *ret_length);

#endif
