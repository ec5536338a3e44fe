/* What a renewal changed. The input is one letter for the room, then two sets of claims, one
 * line each. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/claims_diff.h"
#include "daemon/fetch/json.h"

/* Whether there is a difference; what is said of it fits. */
static bool differ(const cJSON *before, const cJSON *after, size_t room)
{
    char *out = malloc(room);

    PROMISE(out);
    memset(out, 'x', room);
    claims_diff(before, after, out, room);
    PROMISE(memchr(out, '\0', room));
    bool differs = *out || room == 1;
    free(out);
    return differs;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t room = data[0] == 'w' ? RESULT_DETAIL_MAX + 1 : data[0] % 64 + 1U;
    char *text = fuzz_text(data + 1, size - 1), *second = strchr(text, '\n');

    if (second)
        *second++ = '\0';
    cJSON *a = json_object(text, strlen(text));
    cJSON *b = second ? json_object(second, strlen(second)) : NULL;
    if (a && b) {
        bool there = differ(a, b, room), back = differ(b, a, room);
        PROMISE(there == back);
        PROMISE(room == 1 || (!differ(a, a, room) && !differ(b, b, room)));
    }
    cJSON_Delete(a);
    cJSON_Delete(b);
    free(text);
    return 0;
}
