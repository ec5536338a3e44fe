#define _GNU_SOURCE
#include "daemon/fetch/proxy.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What goes to loopback in clear text would leave the machine with a proxy, and the password in
 * it. */
const char *proxy_for(const struct job *job, const char *url)
{
    if (strncmp(url, "https://", 8) != 0 || (job->proxy && strcmp(job->proxy, "none") == 0))
        return "";
    return job->proxy && strcmp(job->proxy, "auto") != 0 ? job->proxy : NULL;
}

static const char *variable(const struct job *job, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; job->environment[i]; i++) {
        const char *entry = job->environment[i];
        if (strncmp(entry, name, length) == 0 && entry[length] == '=' && entry[length + 1])
            return entry + length + 1;
    }
    return NULL;
}

/* libcurl's order, for https; an empty variable is none to it. no_proxy does not matter here: who
 * asks for the proxy has heard from it. */
static const char *url_of(const struct job *job)
{
    static const char *const names[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
    const char *url = proxy_for(job, "https://");

    for (size_t i = 0; !url && i < sizeof names / sizeof *names; i++)
        url = variable(job, names[i]);
    return url ? url : "";
}

static char *part(CURLU *url, CURLUPart which, unsigned flags)
{
    char *text = NULL, *copy = NULL;

    if (curl_url_get(url, which, &text, flags) == CURLUE_OK)
        copy = strdup(text);
    if (text)
        explicit_bzero(text, strlen(text));
    curl_free(text);
    return copy;
}

static void take_place(CURLU *url, struct proxy *ret)
{
    char *host = part(url, CURLUPART_HOST, 0), *port = part(url, CURLUPART_PORT, 0);

    if (host)
        snprintf(ret->place, sizeof ret->place, "%s%s%s", host, port ? ":" : "", port ? port : "");
    free(host);
    free(port);
}

void proxy_read(const struct job *job, struct proxy *ret)
{
    const char *text = url_of(job);
    CURLU *url = *text ? curl_url() : NULL;

    *ret = (struct proxy){ .place = "the proxy" };
    if (url && curl_url_set(url, CURLUPART_URL, text,
                            CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) == CURLUE_OK) {
        char *user = part(url, CURLUPART_USER, 0);
        ret->as_written = part(url, CURLUPART_PASSWORD, 0);
        ret->password = part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
        ret->has_user = ret->as_written || (user && *user);
        free(user);
        take_place(url, ret);
    }
    curl_url_cleanup(url);
}

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void proxy_clear(struct proxy *proxy)
{
    wipe(proxy->password);
    wipe(proxy->as_written);
    *proxy = (struct proxy){ .place = "" };
}
