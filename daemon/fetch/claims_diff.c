#define _GNU_SOURCE
#include "daemon/fetch/claims_diff.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/json.h"

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

static bool equal(const cJSON *a, const cJSON *b);

/* The same names with the same values, of which the last counts. */
static bool equal_members(const cJSON *a, const cJSON *b)
{
    const cJSON *member;

    cJSON_ArrayForEach (member, b)
        if (!json_get(a, member->string))
            return false;
    cJSON_ArrayForEach (member, a) {
        const cJSON *other = json_get(b, member->string);
        if (!other || (json_get(a, member->string) == member && !equal(member, other)))
            return false;
    }
    return true;
}

/* Not cJSON_Compare(): each level of an object doubles its time, and 1e999 equals nothing. The
 * depth is bounded by the parser. */
static bool equal(const cJSON *a, const cJSON *b)
{
    if ((a->type & 0xff) != (b->type & 0xff))
        return false;
    if (cJSON_IsNumber(a))
        return !(a->valuedouble < b->valuedouble || a->valuedouble > b->valuedouble);
    if (cJSON_IsString(a))
        return strcmp(a->valuestring, b->valuestring) == 0;
    if (cJSON_IsObject(a))
        return equal_members(a, b);
    for (a = a->child, b = b->child; a && b; a = a->next, b = b->next)
        if (!equal(a, b))
            return false;
    return !a && !b;
}

static bool holds(const cJSON *list, const cJSON *value)
{
    const cJSON *entry;

    cJSON_ArrayForEach (entry, list)
        if (equal(entry, value))
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

    if (equal(a, b)) /* the usual case, and quick where there are thousands */
        return true;
    if (!cJSON_IsArray(a) || !cJSON_IsArray(b))
        return false;
    cJSON_ArrayForEach (entry, a)
        if (!holds(b, entry))
            return false;
    cJSON_ArrayForEach (entry, b)
        if (!holds(a, entry))
            return false;
    return true;
}

/* Of two claims with one name the last counts, as in Go. */
static bool counts(const cJSON *claims, const cJSON *claim)
{
    return !is_passing(claim->string) && json_get(claims, claim->string) == claim;
}

void claims_diff(const cJSON *before, const cJSON *after, char *out, size_t size)
{
    struct text t = { .out = out, .size = size };
    const cJSON *claim;

    out[0] = '\0';
    cJSON_ArrayForEach (claim, after) {
        const cJSON *old = json_get(before, claim->string);
        if (counts(after, claim) && !(old && same(old, claim)))
            say_change(&t, claim->string, old, claim);
    }
    cJSON_ArrayForEach (claim, before)
        if (counts(before, claim) && !json_get(after, claim->string))
            say_change(&t, claim->string, claim, NULL);
}
