#define _GNU_SOURCE
#include "common/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* \u0000, or a raw NUL: cJSON would silently end the string there. */
static bool holds_nul(const char *text, size_t length)
{
    if (memchr(text, '\0', length))
        return true;
    for (const char *p = text, *end = text + length;
         (p = memmem(p, (size_t)(end - p), "\\u0000", 6)); p += 6) {
        size_t slashes = 0; /* "\\\\u0000" is a backslash and text */
        while (p - slashes > text && p[-(long)slashes - 1] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return true;
    }
    return false;
}

cJSON *json_object(const char *text, size_t length)
{
    const char *end = NULL;

    if (length == 0 || holds_nul(text, length))
        return NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(text, length + 1, &end, 1);
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

unsigned json_count(const cJSON *object, const char *name)
{
    const cJSON *member;
    unsigned n = 0;

    cJSON_ArrayForEach (member, object)
        n += member->string && strcmp(member->string, name) == 0;
    return n;
}

const char *json_string(const cJSON *object, const char *name)
{
    const cJSON *member = json_get(object, name);
    return cJSON_IsString(member) ? member->valuestring : NULL;
}

/* RFC 8259 §6: no plus sign, no leading zero, digits on both sides of a point. */
static bool json_number_shaped(const char *p)
{
    p += *p == '-';
    size_t n = strspn(p, "0123456789");
    if (n == 0 || (n > 1 && *p == '0'))
        return false;
    p += n;
    if (*p == '.') {
        n = strspn(p + 1, "0123456789");
        if (n == 0)
            return false;
        p += 1 + n;
    }
    if (*p == 'e' || *p == 'E') {
        p += 1 + (p[1] == '+' || p[1] == '-');
        n = strspn(p, "0123456789");
        if (n == 0)
            return false;
        p += n;
    }
    return *p == '\0';
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
        char *end;
        if (!json_number_shaped(member->valuestring))
            return -EINVAL; /* strtod() alone takes blanks, +1, 0x10 and inf */
        seconds = strtod(member->valuestring, &end);
        if (*end)
            return -EINVAL;
    } else {
        return -EINVAL;
    }
    if (!isfinite(seconds) || fabs(seconds) >= 9007199254740992.0)
        return -EINVAL;
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
