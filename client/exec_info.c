#include "client/exec_info.h"

/* The end of the string literal that starts behind at: its closing quote, or the NUL. */
static const char *string_end(const char *at)
{
    while (*at && *at != '"')
        at += at[0] == '\\' && at[1] ? 2 : 1;
    return at;
}

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')
        at++;
    return at;
}

static unsigned digit(char c)
{
    return c >= '0' && c <= '9'   ? (unsigned)(c - '0')
           : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
           : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                  : 0x10000;
}

/* The character at *at, which moves behind it; some writers escape the slash, and may escape any
 * (RFC 8259 section 7). What no name of ours holds is 0. */
static char next(const char **at, const char *to)
{
    const char *p = *at;

    *at = p + (*p == '\\' ? 2 : 1);
    if (*p != '\\')
        return *p;
    if (p[1] == '/')
        return '/';
    if (p[1] != 'u' || to - p < 6)
        return '\0';
    unsigned code = digit(p[2]) << 12 | digit(p[3]) << 8 | digit(p[4]) << 4 | digit(p[5]);
    *at = p + 6;
    return code < 0x80 ? (char)code : '\0';
}

static int is_text(const char *from, const char *to, const char *text)
{
    while (from < to && *text && next(&from, to) == *text)
        text++;
    return from >= to && *text == '\0';
}

static int begins(const char *text, const char *with)
{
    while (*with && *text == *with)
        text++, with++;
    return *with == '\0';
}

static enum exec_version version_of(const char *at)
{
    static const char plain[] = "\"client.authentication.k8s.io/v1"; /* as kubectl writes it */

    if (begins(at, plain)) {
        const char *rest = at + sizeof plain - 1;
        if (*rest == '"')
            return EXEC_V1;
        if (begins(rest, "beta1\""))
            return EXEC_V1BETA1;
    }
    if (*at != '"')
        return EXEC_OTHER;
    const char *end = string_end(++at);
    if (is_text(at, end, "client.authentication.k8s.io/v1"))
        return EXEC_V1;
    if (is_text(at, end, "client.authentication.k8s.io/v1beta1"))
        return EXEC_V1BETA1;
    return EXEC_OTHER;
}

static const char client_go[] = "{\"kind\":\"ExecCredential\",\"apiVersion\":";

enum exec_version exec_info_version(const char *json)
{
    int depth = 0;

    if (begins(json, client_go))
        return version_of(skip_blanks(json + sizeof client_go - 1));
    for (const char *p = json; *p; p++) {
        if (*p == '{' || *p == '[') {
            depth++;
        } else if (*p == '}' || *p == ']') {
            depth--;
        } else if (*p == '"') {
            const char *from = p + 1, *end = string_end(from);
            if (!*end)
                return EXEC_NONE;
            p = end;
            const char *after = skip_blanks(end + 1);
            if (depth == 1 && *after == ':' && is_text(from, end, "apiVersion"))
                return version_of(skip_blanks(after + 1));
        }
    }
    return EXEC_NONE;
}

int exec_info_is_client_go(const char *json)
{
    return begins(json, client_go) && json[sizeof client_go - 1] == '"';
}
