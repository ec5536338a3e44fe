/*
 * tls_files - whether the files that TLS is to trust, ca-file and the client's certificate and key,
 * can be changed by others. In the fetcher, since a file system may hang: the daemon must not.
 */
#ifndef KUBETOKEN_FETCH_TLS_FILES_H
#define KUBETOKEN_FETCH_TLS_FILES_H

#include "common/job.h"

/* Judges those that the job names; before the sandbox, which hides what that takes. One that cannot
 * be opened is left to libcurl. Returns 0, or -1 with *why. */
int tls_files_judge(const struct job *job, struct error *why);

#endif
