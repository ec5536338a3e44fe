/*
 * import_draft - a profile in the making out of what a kubeconfig says.
 */
#ifndef KUBETOKEN_ADMIN_IMPORT_DRAFT_H
#define KUBETOKEN_ADMIN_IMPORT_DRAFT_H

#include <stdio.h>

#include "client/admin/import_plan.h"
#include "client/admin/profile_draft.h"
#include "common/error.h"

/* Sets its keys and adds its files, but for user name and password. kubeconfig: the file that the
 * plan is of. Returns 0, or -1 with *why: a certificate's file is not there, its data are none. */
int import_draft_fill(struct profile_draft *draft, const struct import_plan *plan,
                      const char *kubeconfig, struct error *why);

/* Prints the section that would be written, and which files; no secret is shown. */
void import_draft_print(const struct profile_draft *draft, const char *name, FILE *out);

#endif
