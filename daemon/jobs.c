#define _GNU_SOURCE
#include "daemon/jobs.h"

#include <stdlib.h>
#include <string.h>

/* The proxy variables, for the fetcher whose own environment is empty. */
static size_t proxy_environment(const char **list, char *room, size_t size)
{
    static const char *const names[] = { "https_proxy", "HTTPS_PROXY", "all_proxy",
                                         "ALL_PROXY",   "no_proxy",    "NO_PROXY" };
    size_t n = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        size_t length = strlen(names[i]) + 1 + (value ? strlen(value) : 0) + 1;
        if (!value || length > size)
            continue;
        list[n++] = room;
        room = stpcpy(stpcpy(stpcpy(room, names[i]), "="), value) + 1;
        size -= length;
    }
    return n;
}

void jobs_fill(struct job *job, const struct profile_config *c, char room[JOBS_ROOM])
{
    job->issuer = c->issuer;
    job->token_endpoint = c->token_endpoint;
    job->jwks_uri = c->jwks_uri;
    job->client_id = c->client_id;
    job->client_auth = c->client_auth;
    job->username = c->username;
    job->scope = c->scope;
    job->audience = c->audience;
    job->resource = c->resource;
    job->realm = c->realm;
    job->username_claim = c->username_claim;
    job->username_prefix = c->username_prefix;
    job->groups_claim = c->groups_claim;
    job->ca_file = c->ca_file;
    job->tls_client_cert = c->tls_client_cert;
    job->tls_client_key = c->tls_client_key;
    job->proxy = c->proxy;
    job->signing_algs = c->signing_algs;
    job->allow_http_loopback = c->allow_http_loopback;
    for (size_t i = 0; c->parameters && c->parameters[i] && i < JOB_LIST_MAX; i++)
        job->parameters[i] = c->parameters[i];
    if (strcmp(c->proxy, "auto") == 0)
        proxy_environment(job->environment, room, JOBS_ROOM);
}
