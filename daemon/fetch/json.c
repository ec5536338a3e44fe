#define _GNU_SOURCE
#include "daemon/fetch/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/json_text.h"

static const char mark[] = "\xef\xbb\xbf";

bool json_has_mark(const char *text)
{
    return strncmp(text, mark, sizeof mark - 1) == 0;
}

cJSON *json_object(const char *text, size_t length)
{
    size_t bom = json_has_mark(text) ? sizeof mark - 1 : 0;
    size_t room = json_text_room(text, length);
    char *ready = malloc(room);
    cJSON *json = NULL;

    if (ready && json_text_ready(text + bom, length - bom, ready))
        json = cJSON_ParseWithOpts(ready, NULL, true);
    if (ready)
        explicit_bzero(ready, room); /* it may hold tokens */
    free(ready);
    if (json && !cJSON_IsObject(json)) {
        cJSON_Delete(json);
        return NULL;
    }
    return json;
}

const cJSON *json_get(const cJSON *object, const char *name)
{
    const cJSON *found = NULL, *member;

    cJSON_ArrayForEach (member, object)
        if (member->string && strcmp(member->string, name) == 0)
            found = member;
    return found;
}

/* Behind U+017F and U+212A, which Go takes for the letters s and k. */
static const char *fold(const char *p, char *ret)
{
    static const struct {
        char utf8[4], letter;
    } odd[] = { { "\u017f", 's' }, { "\u212a", 'k' } };

    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        size_t n = strlen(odd[i].utf8);
        if (strncmp(p, odd[i].utf8, n) == 0) {
            *ret = odd[i].letter;
            return p + n;
        }
    }
    *ret = *p >= 'A' && *p <= 'Z' ? (char)(*p + 'a' - 'A') : *p;
    return p + 1;
}

bool json_same_name(const char *a, const char *b)
{
    char x, y;

    do {
        a = fold(a, &x);
        b = fold(b, &y);
    } while (x == y && x);
    return x == y;
}

const cJSON *json_get_as_go(const cJSON *object, const char *name)
{
    const cJSON *found = NULL, *member;

    cJSON_ArrayForEach (member, object)
        if (member->string && json_same_name(member->string, name))
            found = member;
    return found;
}

unsigned json_count(const cJSON *object, const char *name)
{
    const cJSON *member;
    unsigned n = 0;

    cJSON_ArrayForEach (member, object)
        n += member->string && strcmp(member->string, name) == 0;
    return n;
}

const char *json_twice(const cJSON *object)
{
    const cJSON *member;

    cJSON_ArrayForEach (member, object)
        if (member->string && json_count(object, member->string) > 1)
            return member->string;
    return NULL;
}

const char *json_string(const cJSON *object, const char *name)
{
    const cJSON *member = json_get(object, name);
    return cJSON_IsString(member) ? member->valuestring : NULL;
}

int json_seconds(const cJSON *object, const char *name, int64_t *ret)
{
    const cJSON *member = json_get(object, name);
    double seconds;

    if (!member)
        return 0;
    if (cJSON_IsNumber(member)) {
        seconds = member->valuedouble;
    } else if (cJSON_IsString(member) && *member->valuestring) {
        const char *text = member->valuestring;
        if (json_text_number(text) != strlen(text))
            return -EINVAL; /* strtod() alone takes blanks, +1, 0x10 and inf */
        seconds = strtod(text, NULL);
    } else {
        return -EINVAL;
    }
    if (!isfinite(seconds))
        return -EINVAL;
    if (fabs(seconds) >= 0x1p61)
        *ret = seconds > 0 && seconds < 0x1p63 ? JSON_SECONDS_MOST : -JSON_SECONDS_MOST;
    else
        *ret = (int64_t)seconds;
    return 1;
}

bool json_holds(const cJSON *member, const char *string)
{
    const cJSON *entry;

    if (cJSON_IsString(member))
        return strcmp(member->valuestring, string) == 0;
    if (!cJSON_IsArray(member))
        return false;
    cJSON_ArrayForEach (entry, member)
        if (cJSON_IsString(entry) && strcmp(entry->valuestring, string) == 0)
            return true;
    return false;
}
