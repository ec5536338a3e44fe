/* The discovery document. The input is the document. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/discovery.h"
#include "daemon/fetch/json.h"

static void check_taken(const struct job *job, const struct discovery *d, const char *text,
                        size_t size)
{
    cJSON *document = json_object(text, size);

    PROMISE(document);
    PROMISE(strcmp(json_string(document, "issuer"), job->issuer) == 0);
    cJSON_Delete(document);
    PROMISE(d->token_endpoint || !discovery_wants_token_endpoint(job));
    PROMISE(!d->token_endpoint || http_url_allowed(job, d->token_endpoint));
    PROMISE(!d->jwks_uri || http_url_allowed(job, d->jwks_uri));
}

static void parse(const struct job *job, const char *text, size_t size)
{
    struct discovery discovery = { 0 };
    struct error why = { .code = ERROR_NONE };

    if (discovery_parse(job, text, size, &discovery, &why) == 0)
        check_taken(job, &discovery, text, size);
    else
        fuzz_check_error(&why);
    discovery_clear(&discovery);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct job job = fuzz_job();
    char *text = fuzz_text(data, size);

    parse(&job, text, size);
    job.token_endpoint = "https://login.example.com/token";
    job.allow_http_loopback = false;
    parse(&job, text, size);
    job.token_endpoint = NULL;
    job.kind = JOB_VERIFY;
    parse(&job, text, size);
    free(text);
    return 0;
}
