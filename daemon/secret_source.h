/*
 * secret_source - password and client secret from their sources.
 */
#ifndef KUBETOKEN_SECRET_SOURCE_H
#define KUBETOKEN_SECRET_SOURCE_H

#include "daemon/config.h"

/* Reads a source that needs no waiting (all but SOURCE_COMMAND). what names it in messages:
 * "password" or "client secret". Returns 0 and the secret, NULL for SOURCE_NONE; or -1 with *why
 * set: missing, not ours, open to others, or of a form that cannot be meant (secret_form.h). */
int secret_source_read(const struct source *source, const char *what, struct secret **ret,
                       struct error *why);

/* Judges the form of what that source gave (SOURCE_NONE: somebody typed it) and takes it, without
 * the end of its line. As above; takes over what was given in any case. */
int secret_source_accept(const char *what, const struct source *source, struct secret *given,
                         struct secret **ret, struct error *why);

/* The command after which a changed secret of that source is seen, or "": it is seen by itself. */
const char *secret_source_restart(const struct source *source);

/* Whether the key of the profile's TLS client certificate, if it has one, can be read and is
 * closed to others. Returns 0, or -1 with *why set. */
int secret_source_check_key(const struct profile_config *profile, struct error *why);

/* A number that changes when the source may have (a file replaced or written); the same for
 * sources of which that cannot be seen. */
uint64_t secret_source_stamp(const struct source *source);

#endif
