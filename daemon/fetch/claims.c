#define _GNU_SOURCE
#include "daemon/fetch/claims.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

struct text {
    char *out;
    size_t size, used;
    bool cut;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *t, const char *format, ...)
{
    va_list ap;

    if (t->cut)
        return;
    va_start(ap, format);
    int n = vsnprintf(t->out + t->used, t->size - t->used, format, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < t->size - t->used) {
        t->used += (size_t)n;
        return;
    }
    t->cut = true;
    if (t->size >= 4)
        memcpy(t->out + t->size - 4, "...", 4);
}

/* Of one token alone, or of the moment. */
static bool is_passing(const char *name)
{
    static const char *const names[] = { "exp",     "iat",    "nbf",     "jti",    "auth_time",
                                         "nonce",   "sid",    "at_hash", "c_hash", "session_state",
                                         "rt_hash", "s_hash", "uti",     "aio",    "rh" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void say_value(struct text *t, const cJSON *value)
{
    char *printed = cJSON_IsString(value) ? NULL : cJSON_PrintUnformatted(value);

    say(t, "%s", cJSON_IsString(value) ? value->valuestring : printed ? printed : "?");
    cJSON_free(printed);
}

static bool holds(const cJSON *list, const cJSON *value)
{
    const cJSON *entry;

    cJSON_ArrayForEach (entry, list)
        if (cJSON_Compare(entry, value, true))
            return true;
    return false;
}

static void say_missing(struct text *t, const cJSON *of, const cJSON *in, const char *sign)
{
    const cJSON *entry;

    cJSON_ArrayForEach (entry, of)
        if (!holds(in, entry)) {
            say(t, " %s", sign);
            say_value(t, entry);
        }
}

static void say_change(struct text *t, const char *name, const cJSON *before, const cJSON *after)
{
    say(t, "%s%s:", t->used ? "; " : "", name);
    if (cJSON_IsArray(before) && cJSON_IsArray(after)) {
        say_missing(t, after, before, "+");
        say_missing(t, before, after, "-");
        return;
    }
    say(t, " ");
    if (before)
        say_value(t, before);
    say(t, "%s", before && after ? " -> " : before ? " is gone" : "is new, ");
    if (after)
        say_value(t, after);
}

/* Lists of the same entries in another order are the same: groups have none. */
static bool same(const cJSON *a, const cJSON *b)
{
    const cJSON *entry;

    if (!cJSON_IsArray(a) || !cJSON_IsArray(b))
        return cJSON_Compare(a, b, true);
    cJSON_ArrayForEach (entry, a)
        if (!holds(b, entry))
            return false;
    cJSON_ArrayForEach (entry, b)
        if (!holds(a, entry))
            return false;
    return true;
}

void claims_diff(const cJSON *before, const cJSON *after, char *out, size_t size)
{
    struct text t = { .out = out, .size = size };
    const cJSON *claim;

    out[0] = '\0';
    cJSON_ArrayForEach (claim, after) {
        const cJSON *old = json_get(before, claim->string);
        if (!is_passing(claim->string) && !(old && same(old, claim)))
            say_change(&t, claim->string, old, claim);
    }
    cJSON_ArrayForEach (claim, before)
        if (!is_passing(claim->string) && !json_get(after, claim->string))
            say_change(&t, claim->string, claim, NULL);
}
