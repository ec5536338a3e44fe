/*
 * kubectl - runs kubectl as the user would, for what it knows of itself, its configuration and the
 * cluster.
 */
#ifndef KUBETOKEN_ADMIN_KUBECTL_H
#define KUBETOKEN_ADMIN_KUBECTL_H

#include "client/admin/child.h"
#include "client/admin/doctor.h"

/* Runs it with these arguments, those that all runs have going first, and the input on stdin, NULL:
 * none. As child_run(). */
int kubectl_run(const struct doctor *d, const char *const args[], const char *input,
                struct child *ret);

/* The certificate of the current user: the file's text, or, without a file, what the kubeconfig has
 * itself, in base64. To be freed; NULL where there is none, and errno says why. */
char *kubectl_certificate(const struct doctor *d, const char *file);

#endif
