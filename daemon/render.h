/*
 * render - what the client prints, rendered here so that the client need know nothing.
 */
#ifndef KUBETOKEN_RENDER_H
#define KUBETOKEN_RENDER_H

#include <sys/uio.h>

#include "common/protocol.h"
#include "daemon/history_view.h"
#include "daemon/profiles.h"
#include "daemon/status_parts.h"

enum { RENDER_PARTS = 6 };

/* One answer, ready for sendmsg(). The parts point into this struct, into `heap`, and to the
 * profile's token: send or copy it before anything else happens. */
struct rendered {
    struct iovec parts[RENDER_PARTS];
    unsigned char n_parts; /* fits whatever type a libc has for it */
    size_t total;
    char header[PROTOCOL_HEADER_MAX];
    char prefix[256];
    char suffix[128];
    char message[1024];
    char *heap;
    bool has_token;
};

/* A token in the format of the request (get). */
void render_token(struct rendered *out, const struct profile *profile,
                  const struct request *request, uint64_t now);

/* An error: one line for stderr. profile may be NULL; with ERROR_CONFIG all errors of the
 * all's report stand in it. */
void render_error(struct rendered *out, const struct profiles *all, const char *profile,
                  const struct error *why);

/* The same of a request that another configuration might have let through: with what of the file is
 * not in force, as it was looked at last. */
void render_failure(struct rendered *out, const struct profiles *all, const char *profile,
                    const struct error *why);

/* A report for stdout. code: what is wrong with the matter of it, ERROR_NONE = nothing. */
void render_report(struct rendered *out, const char *report, enum error_code code);

/* Text for both, and what is wrong with the matter of it. */
void render_both(struct rendered *out, const char *text, const char *errors, enum error_code code);

/* Of two codes the worse: what only a person mends is worse than what may pass. */
enum error_code render_worse(enum error_code a, enum error_code b);

/* Text for stdout. */
void render_text(struct rendered *out, const char *text);

/* A line for each profile whose typed password ends with the daemon. */
void render_forgotten(struct rendered *out, const struct profiles *all);

/* What `status` asks for, of one profile or (NULL) of all: the table, its JSON, the names,
 * or (quiet) nothing but the worst error that the table would tell: that of one profile; of all,
 * and that the configuration on disk has errors. What only a person mends is worse than what may
 * pass. */
void render_status(struct rendered *out, const struct profiles *all, const struct profile *only,
                   const struct request *request, uint64_t now);

/* The next part of such an answer, for one who takes it in parts; the last is an answer as any
 * other. Returns whether there are more. */
bool render_status_part(struct rendered *out, struct status_parts *parts, uint64_t now);

/* How many columns it is to be printed in. */
size_t render_columns(const struct request *request);

/* What happened lately, from where the view stands; how a view of it is to look; and the last 401
 * in a sentence. only: NULL: all. */
struct history_view render_view(const struct profiles *all, const struct profile *only,
                                const struct request *request);
void render_log(struct rendered *out, const struct profiles *all, struct history_view *view,
                uint64_t now);
void render_why(struct rendered *out, const struct profiles *all, const struct profile *only,
                const struct request *request, uint64_t now);

/* Frees what rendering took. */
void render_clear(struct rendered *out);

#endif
