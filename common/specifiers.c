#define _GNU_SOURCE
#include "common/specifiers.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_ROOM = 256 };

static bool is_name(const char *text)
{
    if (!text || !*text || strlen(text) >= NAME_ROOM)
        return false;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

/* False: nobody knows it. */
static bool find_name(char out[NAME_ROOM])
{
    FILE *users = fopen("/etc/passwd", "re");
    const struct passwd *u = NULL;

    while (users && (u = fgetpwent(users)) && u->pw_uid != geteuid())
        ;
    const char *name = u ? u->pw_name : NULL;
    if (!is_name(name))
        name = getenv("USER");
    if (!is_name(name))
        name = getenv("LOGNAME");
    bool found = is_name(name);
    snprintf(out, NAME_ROOM, "%s", found ? name : "");
    if (users)
        fclose(users);
    return found;
}

/* What the letter stands for, or NULL. */
static const char *value_of(char letter, char room[NAME_ROOM])
{
    const char *home = getenv("HOME");

    switch (letter) {
    case 'u':
        return find_name(room) ? room : NULL;
    case 'h':
        return home && *home == '/' ? home : NULL;
    case 'U':
        snprintf(room, NAME_ROOM, "%u", (unsigned)geteuid());
        return room;
    default:
        return "%";
    }
}

/* Returns -ENOENT where nobody knows what *ret_letter stands for. */
static int write_values(FILE *f, const char *text, char *ret_letter)
{
    char room[NAME_ROOM];
    const char *value = "";

    while (value && *text) {
        size_t plain = strcspn(text, "%");
        fwrite(text, 1, plain, f);
        text += plain;
        if (*text != '%')
            continue;
        bool known = text[1] && strchr("uUh%", text[1]);
        *ret_letter = text[1];
        value = known ? value_of(text[1], room) : "%"; /* of printf's, date's or a password's */
        fputs(value ? value : "", f);
        text += known ? 2 : 1;
    }
    return value ? 0 : -ENOENT;
}

char *specifiers_expand(const char *text, int *ret_error, char *ret_letter)
{
    char *out = NULL;
    size_t length;

    FILE *f = open_memstream(&out, &length);
    *ret_error = f ? write_values(f, text, ret_letter) : -ENOMEM;
    if (f && (ferror(f) | fclose(f) | !out)) /* it may close well and have nothing */
        *ret_error = -ENOMEM;
    if (*ret_error == 0)
        return out;
    free(out);
    return NULL;
}

char *specifiers_escape(const char *text)
{
    char *copy = malloc(2 * strlen(text) + 1), *to = copy;

    if (!copy)
        return NULL;
    for (; *text; text++) {
        *to++ = *text;
        if (*text == '%')
            *to++ = '%';
    }
    *to = '\0';
    return copy;
}
