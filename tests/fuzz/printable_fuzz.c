/* What a terminal is sent of foreign text, and JSON that holds such. The input is the text. */
#include "fuzz.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/json_print.h"
#include "common/printable.h"

static void check_plain(const char *text, const char *controls)
{
    size_t length = strlen(text);

    for (size_t i = 0, n; i < length; i += n) {
        n = printable_utf8(text + i, length - i);
        PROMISE(n > 0 && printable_format(text + i, length - i) == 0);
        PROMISE(text[i] == ' ' || error_character(text + i, length - i) == n ||
                (n == 1 && strchr(controls, text[i])));
    }
}

static void check_hide(const char *text, const char *controls)
{
    char *once = fuzz_text((const uint8_t *)text, strlen(text)), *twice;

    printable_hide(once, controls);
    PROMISE(strlen(once) <= strlen(text));
    check_plain(once, controls);
    twice = fuzz_text((const uint8_t *)once, strlen(once));
    printable_hide(twice, controls);
    PROMISE(strcmp(once, twice) == 0);
    free(once);
    free(twice);
}

static void check_clean(const char *text)
{
    size_t size = strlen(text) + 1;
    char *clean = malloc(size);

    PROMISE(clean);
    PROMISE(error_clean(clean, size, text, size - 1) == strlen(clean));
    check_plain(clean, "");
    free(clean);
}

static bool is_utf8(const char *text)
{
    size_t n = 1;

    for (; *text && n > 0; text += n)
        n = printable_utf8(text, strlen(text));
    return n > 0;
}

/* It is the same JSON, but for broken UTF-8. */
static void check_json(const char *text)
{
    cJSON *json = cJSON_CreateString(text);
    char *printed = json ? json_print(json) : NULL;
    cJSON *again = printed ? cJSON_Parse(printed) : NULL;

    PROMISE(cJSON_IsString(again));
    check_plain(printed, "");
    char *once = json_print(again);
    PROMISE(once);
    check_plain(once, "");
    if (is_utf8(text))
        PROMISE(strcmp(once, printed) == 0 && strcmp(again->valuestring, text) == 0);
    json_print_hide(again);
    check_plain(again->valuestring, "\t");
    free(once);
    free(printed);
    cJSON_Delete(again);
    cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);

    check_hide(text, "");
    check_hide(text, "\n\t\033");
    check_clean(text);
    check_json(text);
    free(text);
    return 0;
}
