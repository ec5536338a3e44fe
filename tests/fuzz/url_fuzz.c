/* URLs: what is allowed has to be what libcurl sees in it. */
#include "fuzz.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/url.h"
#include "daemon/fetch/http.h"

static char *part(CURLU *parsed, CURLUPart which)
{
    char *text = NULL;

    return curl_url_get(parsed, which, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "127.0.0.1") == 0 || strcmp(host, "[::1]") == 0 ||
           strcasecmp(host, "localhost") == 0;
}

/* The URL may be asked: by https, or by http on this machine, and with no user in it. */
static void check_allowed(const char *url, bool secure)
{
    CURLU *parsed = curl_url();

    PROMISE(parsed);
    if (curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK) {
        char *scheme = part(parsed, CURLUPART_SCHEME), *host = part(parsed, CURLUPART_HOST);
        char *user = part(parsed, CURLUPART_USER), *fragment = part(parsed, CURLUPART_FRAGMENT);
        PROMISE(scheme && host && !user && !fragment);
        if (secure)
            PROMISE(strcmp(scheme, "https") == 0);
        else
            PROMISE(strcmp(scheme, "http") == 0 && is_loopback(host));
        size_t length;
        const char *ours = url_authority(url, &length);
        if (strlen(host) <= length && !strchr(url, '%')) /* "%41" is "A" there, and "a" is "A" */
            PROMISE(strncasecmp(ours, host, strlen(host)) == 0 || strchr("0123456789[", *ours));
        curl_free(scheme);
        curl_free(host);
        curl_free(user);
        curl_free(fragment);
    }
    curl_url_cleanup(parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *url = fuzz_text(data, size);
    struct job job = fuzz_job();
    size_t length;
    const char *authority = url_authority(url, &length);

    PROMISE(authority >= url && authority + length <= url + strlen(url));
    bool secure = strncmp(url, "https://", 8) == 0;
    if (http_url_allowed(&job, url)) {
        PROMISE(url_is_plain(url));
        check_allowed(url, secure);
    }
    job.allow_http_loopback = false;
    PROMISE(!http_url_allowed(&job, url) || secure);
    free(url);
    return 0;
}
