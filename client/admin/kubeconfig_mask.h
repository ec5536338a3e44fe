/*
 * kubeconfig_mask - a kubeconfig's text to be looked at: what lets somebody log in is covered.
 */
#ifndef KUBETOKEN_ADMIN_KUBECONFIG_MASK_H
#define KUBETOKEN_ADMIN_KUBECONFIG_MASK_H

#include <stddef.h>

/* The text with "***" for tokens, passwords, keys and whatever else of a user is not known to be
 * harmless; its lines stay lines. The caller frees it. NULL: no memory, or no YAML. */
char *kubeconfig_mask(const char *text, size_t length);

#endif
