/* Foreign JSON. The input is the text. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/json.h"

static void check_members(const cJSON *object)
{
    const cJSON *member;

    cJSON_ArrayForEach (member, object) {
        int64_t seconds = 0;
        const cJSON *last = json_get(object, member->string);
        unsigned n = json_count(object, member->string);
        int r = json_seconds(object, member->string, &seconds);

        PROMISE(n > 0 && last && (n > 1 || last == member));
        PROMISE(n == 1 || json_twice(object));
        PROMISE(r != 0 && llabs(seconds) <= JSON_SECONDS_MOST);
        PROMISE(r == 1 || seconds == 0);
        PROMISE((json_string(object, member->string) != NULL) == cJSON_IsString(last));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    cJSON *json = json_object(text, size);

    if (json) {
        PROMISE(cJSON_IsObject(json));
        PROMISE(strlen(text) == size);
        if (size < 2000) /* counting is quadratic */
            check_members(json);
        /* What is printed of it is strict and stays as it is. */
        char *once = cJSON_PrintUnformatted(json);
        cJSON *again = once ? json_object(once, strlen(once)) : NULL;
        char *twice = again ? cJSON_PrintUnformatted(again) : NULL;
        PROMISE(twice && strcmp(once, twice) == 0);
        cJSON_free(once);
        cJSON_free(twice);
        cJSON_Delete(again);
    }
    cJSON_Delete(json);
    free(text);
    return 0;
}
