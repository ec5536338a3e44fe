#define _GNU_SOURCE
#include "client/admin/issuer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int issuer_from(const char *given, char *out, size_t size)
{
    static const char document[] = "/.well-known/openid-configuration";

    int n = snprintf(out, size, "%s%s", strstr(given, "://") ? "" : "https://", given);
    if (n < 0 || (size_t)n >= size)
        return -E2BIG;
    char *tail = strstr(out, document);
    size_t length = sizeof document - 1;
    if (tail && (tail[length] == '\0' || strchr("/?#", tail[length])))
        *tail = '\0';
    return 0;
}

int issuer_with_other_slash(const char *issuer, char *out, size_t size)
{
    size_t length = strlen(issuer);

    if (length + 2 > size)
        return -E2BIG;
    memcpy(out, issuer, length + 1);
    if (length > 0 && issuer[length - 1] == '/')
        out[length - 1] = '\0';
    else
        memcpy(out + length, "/", 2);
    return 0;
}
