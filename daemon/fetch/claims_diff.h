/*
 * claims_diff - what a renewal changed in the claims of an id_token, in words.
 */
#ifndef KUBETOKEN_FETCH_CLAIMS_DIFF_H
#define KUBETOKEN_FETCH_CLAIMS_DIFF_H

#include <cjson/cJSON.h>
#include <stddef.h>

/* Compares two sets of claims, without those that differ in every token (exp, iat, jti, ...).
 * Writes "groups: +ops -dev; email: a -> b" (size bytes, cut with "..."), empty when nothing has
 * changed. */
void claims_diff(const cJSON *before, const cJSON *after, char *out, size_t size);

#endif
