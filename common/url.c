#include "common/url.h"

#include <string.h>
#include <strings.h>

const char *url_authority(const char *url, size_t *ret_length)
{
    const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : url;

    *ret_length = strcspn(host, "/?#");
    return host;
}

bool url_is_loopback_http(const char *url)
{
    static const char *const names[] = { "127.0.0.1", "[::1]", "localhost" };
    size_t whole;

    if (strncasecmp(url, "http://", 7) != 0)
        return false;
    const char *host = url_authority(url, &whole);
    size_t length = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    if (length > whole || memchr(host, '@', whole) || !strchr(":/?#", host[length]))
        return false; /* strchr() finds the final NUL too */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && strncasecmp(names[i], host, length) == 0)
            return true;
    return false;
}

bool url_is_plain(const char *url)
{
    size_t length;
    const char *host = url_authority(url, &length);

    if (host == url || *url == ':' || length == 0 || *host == ':' || memchr(host, '@', length))
        return false;
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= 0x20 || *p == 0x7f || *p == '#')
            return false;
    return true;
}
