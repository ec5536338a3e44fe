/*
 * inspect - a token in words: header, claims with their dates, and what each check of
 * kube-apiserver would say. As text for people, or as JSON.
 */
#ifndef KUBETOKEN_FETCH_INSPECT_H
#define KUBETOKEN_FETCH_INSPECT_H

#include "daemon/fetch/http.h"

/* Looks at the job's token. Without an issuer nothing is asked for and nothing compared. Fills
 * the report, and error with the first that is wrong. */
void inspect_run(struct http *http, const struct job *job, struct result *ret);

#endif
