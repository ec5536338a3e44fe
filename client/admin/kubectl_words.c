#define _GNU_SOURCE
#include "client/admin/kubectl_words.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static bool says_any(const char *text, const char *const words[])
{
    for (; *words; words++)
        if (strstr(text, *words))
            return true;
    return false;
}

/* Of klog: "E1127 01:54:52.877293    6640 transport.go:260] ...". */
static bool is_log(const char *line)
{
    return strchr("IWEF", line[0]) && line[0] && strspn(line + 1, "0123456789") == 4 &&
           line[5] == ' ';
}

/* Where kubectl's own words begin: a plugin may have left its last line open. NULL: none of its. */
static char *kubectls_own(char *line)
{
    static const char *const starts[] = { "Unable to connect to the server: ",
                                          "The connection to the server ",
                                          "Error from server",
                                          "error: ",
                                          "error occurred while applying preferences ",
                                          "* ",
                                          NULL };

    for (size_t i = 0; starts[i]; i++) {
        char *at = strstr(line, starts[i]);
        if (at && (at == line || starts[i][0] == 'U'))
            return at;
    }
    return NULL;
}

char *kubectl_words_telling(char *text)
{
    char *first = NULL, *logged = text, *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *own = kubectls_own(line);
        /* what the plugin said says more than its exit code */
        if (own && !(first && strstr(own, "failed with exit code")))
            return own;
        if (is_log(line))
            logged = line;
        else if (!first && line[strspn(line, " \t\r")])
            first = line;
    }
    return first ? first : logged;
}

/* What failed on this machine, before any connection. */
static bool is_local(const char *text)
{
    static const char *const words[] = { "unable to read c",
                                         "Error in configuration",
                                         "invalid 'proxy-url'",
                                         "host must be a URL",
                                         "error loading config",
                                         "invalid configuration",
                                         NULL };
    return says_any(text, words);
}

static enum error_code of_connection(const char *text, bool proxied)
{
    static const char *const proxy[] = { "proxyconnect ", "Proxy Authentication Required", NULL };
    static const char *const name[] = { "no such host", "server misbehaving", ": lookup ", NULL };
    static const char *const slow[] = { "context deadline exceeded", "Client.Timeout",
                                        "i/o timeout", "handshake timeout", NULL };
    static const char *const unreachable[] = { "was refused",
                                               "connection refused",
                                               "no route to host",
                                               "network is unreachable",
                                               "connection reset",
                                               "broken pipe",
                                               ": EOF",
                                               NULL };

    if (says_any(text, proxy))
        return ERROR_CLUSTER_PROXY;
    if (says_any(text, slow))
        return ERROR_CLUSTER_TIMEOUT;
    if (says_any(text, name))
        return proxied ? ERROR_CLUSTER_PROXY : ERROR_CLUSTER_DNS;
    if (says_any(text, unreachable))
        return proxied ? ERROR_CLUSTER_PROXY : ERROR_CLUSTER_CONNECT;
    /* "Unable to connect to the server: Forbidden" is of the proxy's CONNECT */
    if (proxied && strstr(text, "Unable to connect to the server: "))
        return ERROR_CLUSTER_PROXY;
    return ERROR_NONE;
}

static enum error_code of_answer(const char *text)
{
    static const char *const unauthorized[] = { "Unauthorized", "must be logged in",
                                                "provide credentials", NULL };
    static const char *const forbidden[] = { "Forbidden", "forbidden", NULL };
    static const char *const fault[] = { "ServiceUnavailable", "InternalError",
                                         "TooManyRequests",    "(Timeout)",
                                         "Internal Server",    "currently unable to handle",
                                         "Bad Gateway",        "Gateway Timeout",
                                         "status code 5",      NULL };
    static const char *const other[] = { "serializer for",
                                         "NotFound",
                                         "BadRequest",
                                         "status code ",
                                         "MethodNotAllowed",
                                         "cannot unmarshal",
                                         "invalid character",
                                         "couldn't get version/kind",
                                         NULL };

    if (says_any(text, unauthorized))
        return ERROR_UNAUTHORIZED;
    if (says_any(text, fault))
        return ERROR_CLUSTER_FAULT;
    if (says_any(text, forbidden)) /* an API server names the user */
        return strchr(text, '<') && !strstr(text, "User \"") ? ERROR_CLUSTER_OTHER
                                                             : ERROR_FORBIDDEN;
    return says_any(text, other) ? ERROR_CLUSTER_OTHER : ERROR_CLUSTER_UNKNOWN;
}

enum error_code kubectl_words_code(const char *text, bool proxied, bool plain)
{
    static const char *const plugin[] = { "getting credentials", "exec plugin", NULL };
    static const char *const http[] = { "HTTP response to HTTPS client",
                                        "HTTP request to an HTTPS server",
                                        "first record does not look like", NULL };
    static const char *const tls[] = { "x509: ", "tls: ", NULL };

    if (is_local(text))
        return ERROR_KUBECONFIG;
    if (says_any(text, plugin))
        return ERROR_PLUGIN_COMMAND;
    if (says_any(text, http))
        return ERROR_CLUSTER_HTTP;
    if (says_any(text, tls))
        return ERROR_CLUSTER_TLS;
    enum error_code code = of_connection(text, proxied);
    if (code == ERROR_NONE)
        code = of_answer(text);
    /* an API server answers a request without TLS with 400, or not at all */
    if (plain && (strstr(text, ": EOF") || strstr(text, "connection reset") ||
                  code == ERROR_CLUSTER_OTHER || code == ERROR_CLUSTER_UNKNOWN))
        return ERROR_CLUSTER_HTTP;
    return code;
}
