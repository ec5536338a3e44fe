#include "client/exec_info.h"

#include <string.h>

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

static int is_text(const char *from, const char *to, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(to - from) == length && memcmp(from, text, length) == 0;
}

static enum exec_version version_of(const char *at)
{
    if (*at != '"')
        return EXEC_OTHER;
    const char *end = string_end(++at);
    if (is_text(at, end, "client.authentication.k8s.io/v1"))
        return EXEC_V1;
    if (is_text(at, end, "client.authentication.k8s.io/v1beta1"))
        return EXEC_V1BETA1;
    return EXEC_OTHER;
}

enum exec_version exec_info_version(const char *json)
{
    int depth = 0;

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
    static const char form[] = "{\"kind\":\"ExecCredential\",\"apiVersion\":\"";
    return strncmp(json, form, sizeof form - 1) == 0;
}
