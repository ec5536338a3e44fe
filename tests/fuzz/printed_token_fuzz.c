/* What token-command printed. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/printed_token.h"

/* One word that was there, or stood there in JSON's own spelling. */
static void check_found(const struct secret *token)
{
    const char *text = secret_peek(token);

    PROMISE(strlen(text) == secret_length(token));
    PROMISE(strcspn(text, " \t\r\n") == strlen(text));
    PROMISE(strchr(text, '.') && strchr(strchr(text, '.') + 1, '.'));
}

/* Nothing of it is quoted: the details are ours alone. */
static void check_not_found(const struct error *why)
{
    PROMISE(why->code == ERROR_COMMAND_TOKEN);
    PROMISE(!strstr(why->detail, "canary"));
    fuzz_check_error(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct error why = { .code = ERROR_NONE };
    struct secret *token = printed_token_find(text, strlen(text), &why);

    if (token)
        check_found(token);
    else
        check_not_found(&why);
    secret_free(token);
    free(text);
    return 0;
}
