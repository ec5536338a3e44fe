/*
 * import_auth_provider - a plan by the config of an auth-provider named oidc, as client-go's own
 * plugin read it until Kubernetes 1.25. Pure.
 */
#ifndef KUBETOKEN_ADMIN_IMPORT_AUTH_PROVIDER_H
#define KUBETOKEN_ADMIN_IMPORT_AUTH_PROVIDER_H

#include "client/admin/import_plan.h"

/* Takes what it says into the plan; config may be NULL. */
void import_auth_provider_read(const cJSON *config, struct import_plan *plan);

#endif
