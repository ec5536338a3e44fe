#include "daemon/fetch/printed_token.h"

#include <string.h>

#include "common/heap.h"
#include "daemon/fetch/json.h"

static const char blanks[] = " \t\r\n";

/* Of one word, or NULL with *why. */
static struct secret *take_word(const char *word, size_t length, struct error *why)
{
    const char *dot = memchr(word, '.', length);
    struct secret *token;

    if (length == 0 || strcspn(word, blanks) < length)
        error_set(why, ERROR_COMMAND_TOKEN, "its token %s",
                  length == 0 ? "is empty" : "has blanks in it");
    else if (!dot || !memchr(dot + 1, '.', length - (size_t)(dot + 1 - word)))
        error_set(why, ERROR_COMMAND_TOKEN, "%zu bytes that are no JWT (an access token, perhaps)",
                  length);
    else if (!(token = secret_copy(word, length)))
        heap_note_lack(), error_set(why, ERROR_INTERNAL, "no memory for the token");
    else
        return token;
    return NULL;
}

/* What kubectl's plugins print; an error of theirs is one without a status. */
static const char *credential_token(const cJSON *json, struct error *why)
{
    const cJSON *status = json_get(json, "status");
    const char *token = cJSON_IsObject(status) ? json_string(status, "token") : NULL;

    if (!token)
        error_set(why, ERROR_COMMAND_TOKEN, "an ExecCredential without status.token");
    return token;
}

static const char *object_token(const cJSON *json, struct error *why)
{
    static const char *const names[] = { "id_token", "token", "value" };
    const char *kind = json_string(json, "kind"), *token = NULL;

    if (kind && strcmp(kind, "ExecCredential") == 0)
        return credential_token(json, why);
    for (size_t i = 0; !token && i < sizeof names / sizeof *names; i++)
        token = json_string(json, names[i]);
    if (!token)
        error_set(why, ERROR_COMMAND_TOKEN, "a JSON object without id_token, token or value");
    return token;
}

static struct secret *take_json(const char *text, size_t length, struct error *why)
{
    cJSON *json = json_object(text, length);
    const char *token = NULL;
    struct secret *ret = NULL;

    if (!json)
        error_set(why, ERROR_COMMAND_TOKEN, "what begins as JSON and is none");
    else
        token = object_token(json, why);
    if (token)
        ret = take_word(token, strlen(token), why);
    cJSON_Delete(json); /* freed memory is wiped (heap.h) */
    return ret;
}

static unsigned count_lines(const char *text, size_t length)
{
    unsigned n = 1;

    for (size_t i = 0; i < length; i++)
        n += text[i] == '\n';
    return n;
}

struct secret *printed_token_find(const char *printed, size_t length, struct error *why)
{
    size_t before = strspn(printed, blanks);
    const char *text = printed + before;

    length -= before;
    while (length > 0 && strchr(blanks, text[length - 1]))
        length--;
    if (length == 0)
        error_set(why, ERROR_COMMAND_TOKEN, "nothing");
    else if (*text == '{')
        return take_json(text, strlen(text), why);
    else if (memchr(text, '\n', length))
        error_set(why, ERROR_COMMAND_TOKEN, "%u lines, where the token alone is wanted",
                  count_lines(text, length));
    else
        return take_word(text, length, why);
    return NULL;
}
