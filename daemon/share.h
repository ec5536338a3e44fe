/*
 * share - sockets for guests: whoever reaches one gets the token of one profile that is in hand, or
 * about to be, and nothing else. For the far side of ssh -R, containers, CI.
 *
 * Each lies alone in a folder of its own, which a container can be given:
 * $XDG_RUNTIME_DIR/kubetoken-share/NAME/socket. It ends at its time, by `unshare`, with its profile
 * and when that is another identity's; then socket and folder go, and who came by it is left. The
 * listening descriptor and a record of it are with systemd, so that a restart ends none.
 *
 * Who came is the server's, which asks share_admits() of each request.
 */
#ifndef KUBETOKEN_SHARE_H
#define KUBETOKEN_SHARE_H

#include "daemon/profiles.h"

struct share;
struct shares;

enum {
    SHARES_MAX = 32,      /* open at a time; fewer where few descriptors are allowed */
    SHARE_PEERS_MAX = 64, /* of one, at a time */
};

#define SHARE_STORED                                                                               \
    "share-" /* of a descriptor's name, FDNAME=, behind which the share's stands                   \
              */

/* What the server does of it. */
struct share_calls {
    /* Somebody has come; the descriptor is the callee's. */
    void (*came)(void *context, struct share *share, int fd);
    /* There is no descriptor for another: returns whether a guest of this one gave one back. */
    bool (*relieve)(void *context, const struct share *share);
    /* It ends: whoever came by it has to go. */
    void (*over)(void *context, const struct share *share);
    void *context;
};

/* None yet. It has to go before the profiles. NULL: no memory. */
struct shares *share_all_new(struct profiles *profiles, const struct share_calls *calls);

/* Those that systemd keeps stay open, and the others end. Takes NULL. */
struct shares *share_all_free(struct shares *shares);

struct share_kept {
    int fd;
    char name[PROTOCOL_SHARE_MAX + 1]; /* as the descriptor's says */
};

/* Takes up what an earlier life left, and removes what is dead of the folder. The descriptors are
 * taken. Before the configuration is read: what the store has of them would be swept. */
void share_take_up(struct shares *shares, const struct share_kept *kept, size_t n);

/* The configuration may be another: shares end that have lost their profile. */
void share_sync(struct shares *shares);

/* Whether the request could open that one now, or renew it. Returns 0, or -1 with *why. */
int share_may_open(const struct shares *shares, const struct request *request,
                   const struct profile *profile, struct error *why);

/* Opens it, or, with `renew`, sets its end anew. Returns it, or NULL with *why. */
const struct share *share_open(struct shares *shares, const struct request *request,
                               const struct profile *profile, uint64_t now, struct error *why);

/* Ends it, as somebody said. Returns 0, or -1 with *why: there is none. */
int share_end(struct shares *shares, const char *name, struct error *why);

/* Whether a guest's request is one that a share answers; what would speak of the home's processes
 * is taken out of it then. Returns 0, or -1 with *why. */
int share_admits(const struct share *share, struct request *request, uint64_t now,
                 struct error *why);

/* One more is there, who came by it, or one fewer; and whether there is room for another. */
void share_count_peer(struct share *share, int difference);
bool share_has_room(const struct share *share);

/* A token was handed out by it. */
void share_count_handout(struct share *share);

/* All of them, sorted by name: the one behind that one, NULL: the first. shares: may be NULL. */
const struct share *share_next(const struct shares *shares, const struct share *share);

/* What others may look at. */
const char *share_name(const struct share *share);
const char *share_profile(const struct share *share);
const char *share_path(const struct share *share);
uint64_t share_ends(const struct share *share);
uint64_t share_handouts(const struct share *share);

#endif
