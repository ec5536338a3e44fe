/*
 * issuer - an issuer's URL as a person gives it. Pure.
 */
#ifndef KUBETOKEN_ADMIN_ISSUER_H
#define KUBETOKEN_ADMIN_ISSUER_H

#include <stddef.h>

/* What is meant by it: https:// before a host without a scheme, and without the path of the
 * discovery document behind it. Returns 0, or -E2BIG. */
int issuer_from(const char *given, char *out, size_t size);

/* The same with its final slash, or without: providers are particular about it (OpenID Connect
 * Discovery §4.3). Returns 0, or -E2BIG. */
int issuer_with_other_slash(const char *issuer, char *out, size_t size);

#endif
