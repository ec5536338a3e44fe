#define _GNU_SOURCE
#include "daemon/fetch/revoke.h"

#include "daemon/fetch/grant.h"
#include "daemon/fetch/provider.h"

void revoke_run(struct http *http, const struct job *job, struct result *ret)
{
    struct provider p;

    error_set(&ret->error, ERROR_NONE, "%s", "");
    provider_open(&p, http, job);
    if (provider_find_revocation(&p, ret) == 0)
        grant_revoke(http, job, &p.cache.document, p.cache.document.revocation_endpoint, ret);
    provider_close(&p, ret);
}
