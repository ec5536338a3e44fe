#define _GNU_SOURCE
#include "daemon/fetch/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The length of the number that the text begins with, 0: none. RFC 8259 §6: no plus sign, no
 * leading zero, digits on both sides of a point. */
static size_t number_length(const char *text)
{
    const char *p = text + (*text == '-');
    size_t n = strspn(p, "0123456789");

    if (n == 0 || (n > 1 && *p == '0'))
        return 0;
    p += n;
    if (*p == '.') {
        n = strspn(p + 1, "0123456789");
        if (n == 0)
            return 0;
        p += 1 + n;
    }
    if (*p == 'e' || *p == 'E') {
        p += 1 + (p[1] == '+' || p[1] == '-');
        n = strspn(p, "0123456789");
        if (n == 0)
            return 0;
        p += n;
    }
    return (size_t)(p - text);
}

/* Whether the text is free of what cJSON takes and Go does not: control characters, raw in a
 * string or as white space, and numbers such as 01 or 1. (cJSON leaves them to strtod). And of
 * \u0000, at which cJSON would silently end the string. */
static bool is_strict(const char *text, size_t length)
{
    bool in_string = false;

    for (const char *p = text, *end = text + length; p < end; p++) {
        if ((unsigned char)*p < 0x20 && (in_string || !memchr("\t\n\r", *p, 3)))
            return false;
        if (in_string && *p == '\\') {
            p++; /* what is escaped ends no string; cJSON knows which escapes there are */
            if ((unsigned char)*p < 0x20 || strncmp(p, "u0000", 5) == 0)
                return false;
        } else if (*p == '"') {
            in_string = !in_string;
        } else if (!in_string && (*p == '-' || (*p >= '0' && *p <= '9'))) {
            size_t n = number_length(p);
            if (n == 0)
                return false;
            p += n - 1;
        }
    }
    return true;
}

/* The code unit that \uXXXX at p stands for, or -1. */
static int code_unit(const char *p)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    char digits[5] = "";

    if (strncmp(p, "\\u", 2) != 0 || strspn(p + 2, hex) < 4)
        return -1;
    memcpy(digits, p + 2, 4);
    return (int)strtol(digits, NULL, 16);
}

static bool is_among(int unit, int first)
{
    return unit >= first && unit < first + 0x400;
}

/* Halves of surrogate pairs become U+FFFD, as in Go; cJSON refuses them. JavaScript writes them
 * when it cuts a name in the middle of an emoji. */
static void mend_surrogates(char *p)
{
    while (*p) {
        int unit = code_unit(p);
        bool high = is_among(unit, 0xd800);
        if (high && is_among(code_unit(p + 6), 0xdc00)) {
            p += 12;
        } else if (high || is_among(unit, 0xdc00)) {
            memcpy(p + 2, "fffd", 4);
            p += 6;
        } else {
            p += 1 + (*p == '\\' && p[1]);
        }
    }
}

static cJSON *parse(const char *text, size_t length)
{
    const char *end = NULL;
    bool surrogates = strstr(text, "\\ud") || strstr(text, "\\uD");
    char *mended = surrogates ? malloc(length + 1) : NULL;
    cJSON *json = NULL;

    if (mended) {
        memcpy(mended, text, length + 1);
        mend_surrogates(mended);
    }
    if (mended || !surrogates)
        json = cJSON_ParseWithLengthOpts(mended ? mended : text, length + 1, &end, 1);
    if (mended)
        explicit_bzero(mended, length); /* it may hold tokens */
    free(mended);
    return json;
}

cJSON *json_object(const char *text, size_t length)
{
    if (length == 0 || !is_strict(text, length))
        return NULL;
    cJSON *json = parse(text, length);
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
        if (number_length(text) != strlen(text))
            return -EINVAL; /* strtod() alone takes blanks, +1, 0x10 and inf */
        seconds = strtod(text, NULL);
    } else {
        return -EINVAL;
    }
    if (!isfinite(seconds) || fabs(seconds) >= 0x1p61) /* two of them do not overflow */
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
