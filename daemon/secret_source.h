/*
 * secret_source - password and client secret from their sources.
 */
#ifndef KUBETOKEN_SECRET_SOURCE_H
#define KUBETOKEN_SECRET_SOURCE_H

#include "daemon/config.h"

enum { SECRET_SOURCE_MAX = 16 * 1024 };

/* Reads a source that needs no waiting (all but SOURCE_COMMAND). what names it in messages
 * ("password"). Returns 0 and the secret, NULL for SOURCE_NONE; or -1 with *why set: missing,
 * empty, too long, not ours, open to others. */
int secret_source_read(const struct source *source, const char *what, struct secret **ret,
                       struct error *why);

/* Checks what a command printed and takes it. As above; takes over output in any case. */
int secret_source_accept(const char *what, struct secret *output, struct secret **ret,
                         struct error *why);

/* Whether the key of the profile's TLS client certificate, if it has one, can be read and is
 * closed to others. Returns 0, or -1 with *why set. */
int secret_source_check_key(const struct profile_config *profile, struct error *why);

/* A number that changes when the source may have (a file replaced or written); the same for
 * sources of which that cannot be seen. */
uint64_t secret_source_stamp(const struct source *source);

#endif
