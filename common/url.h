/*
 * url - the little that both sides need to know of a URL without parsing it whole.
 */
#ifndef KUBETOKEN_URL_H
#define KUBETOKEN_URL_H

#include <stdbool.h>
#include <stddef.h>

/* The host with its port ("login.example.com:8443"): where it starts and its length; the
 * whole text when there is no "://". */
const char *url_authority(const char *url, size_t *ret_length);

/* http:// to a literal loopback address or localhost: the one place where it is no leak. */
bool url_is_loopback_http(const char *url);

/* scheme://host..., without blanks, control characters, fragment or a user before the host. */
bool url_is_plain(const char *url);

#endif
