#define _GNU_SOURCE
#include "client/admin/config_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/heap.h"
#include "common/text.h"

/* ---- settings -------------------------------------------------------------------------------- */

static void free_setting(struct config_setting *setting)
{
    if (setting->value)
        explicit_bzero(setting->value, strlen(setting->value));
    free(setting->value);
    free(setting->key);
}

void config_settings_add(struct config_settings *to, const char *key, const char *value)
{
    struct config_setting *list = reallocarray(to->list, to->n + 1, sizeof *list);

    if (!list)
        return;
    to->list = list;
    list[to->n] = (struct config_setting){ strdup(key), strdup(value) };
    if (list[to->n].key && list[to->n].value)
        to->n++;
    else
        free_setting(&list[to->n]);
}

const char *config_settings_get(const struct config_settings *in, const char *key)
{
    for (size_t i = 0; i < in->n; i++)
        if (text_equal(in->list[i].key, key))
            return in->list[i].value;
    return NULL;
}

void config_settings_drop_at(struct config_settings *from, size_t i)
{
    free_setting(&from->list[i]);
    memmove(from->list + i, from->list + i + 1, (--from->n - i) * sizeof *from->list);
}

void config_settings_drop(struct config_settings *from, const char *key)
{
    for (size_t i = from->n; i > 0; i--)
        if (text_equal(from->list[i - 1].key, key))
            config_settings_drop_at(from, i - 1);
}

void config_settings_clear(struct config_settings *settings)
{
    for (size_t i = 0; i < settings->n; i++)
        free_setting(&settings->list[i]);
    free(settings->list);
    *settings = (struct config_settings){ 0 };
}

/* The place of that very setting, n: there is none. */
static size_t place_of(const struct config_settings *in, const struct config_setting *setting)
{
    for (size_t i = 0; i < in->n; i++)
        if (text_equal(in->list[i].key, setting->key) &&
            text_equal(in->list[i].value, setting->value))
            return i;
    return in->n;
}

static void copy(const struct config_settings *from, struct config_settings *ret)
{
    *ret = (struct config_settings){ 0 };
    for (size_t i = 0; i < from->n; i++)
        config_settings_add(ret, from->list[i].key, from->list[i].value);
}

bool config_settings_equal(const struct config_settings *a, const struct config_settings *b)
{
    struct config_settings rest;
    bool equal = a->n == b->n;

    copy(b, &rest);
    for (size_t i = 0; equal && i < a->n; i++) {
        size_t at = place_of(&rest, &a->list[i]);
        equal = at < rest.n;
        if (equal)
            config_settings_drop_at(&rest, at);
    }
    config_settings_clear(&rest);
    return equal;
}

/* ---- lines ----------------------------------------------------------------------------------- */

enum kind { KIND_OTHER, KIND_HEADER, KIND_SETTING };

struct line {
    const char *start;
    size_t length; /* with its newline */
    enum kind kind;
    struct config_setting setting; /* KIND_SETTING; on the heap */
    char *section;                 /* KIND_HEADER; on the heap */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* NULL: no memory. */
static char *trimmed(const char *from, const char *to)
{
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    return strndup(from, (size_t)(to - from));
}

/* "profile  x" and "profile x" are one. */
static char *section_name(const char *from, const char *to)
{
    static const char prefix[] = "profile ";
    size_t length = sizeof prefix - 1;
    char *name = trimmed(from, to);

    if (name && strncmp(name, prefix, length) == 0)
        memmove(name + length, name + length + strspn(name + length, " \t"),
                strlen(name + length + strspn(name + length, " \t")) + 1);
    return name;
}

/* Returns whether there was one. */
static bool next_line(const char **at, const char *end, struct line *ret)
{
    const char *from = *at;

    if (from == end)
        return false;
    const char *newline = memchr(from, '\n', (size_t)(end - from));
    const char *to = newline ? newline : end;
    *ret = (struct line){ .start = from, .length = (size_t)((newline ? to + 1 : to) - from) };
    *at = from + ret->length;
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    const char *equals = memchr(from, '=', (size_t)(to - from));
    if (from == to || *from == '#' || *from == ';')
        return true;
    if (*from == '[' && to[-1] == ']') {
        ret->section = section_name(from + 1, to - 1);
        ret->kind = ret->section ? KIND_HEADER : KIND_OTHER;
    } else if (equals) {
        ret->setting = (struct config_setting){ trimmed(from, equals), trimmed(equals + 1, to) };
        ret->kind = ret->setting.key && ret->setting.value ? KIND_SETTING : KIND_OTHER;
    }
    return true;
}

static void free_line(struct line *line)
{
    free_setting(&line->setting);
    free(line->section);
}

/* Behind the byte order mark that an editor may have put there. */
static const char *beginning(const char *text, size_t length)
{
    return length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text;
}

bool config_text_read(const char *text, size_t length, const char *section,
                      struct config_settings *ret, unsigned *ret_line)
{
    const char *at = beginning(text, length);
    bool found = false, inside = false;
    struct line line;

    *ret = (struct config_settings){ 0 };
    for (unsigned number = 1; next_line(&at, text + length, &line); number++) {
        if (line.kind == KIND_HEADER) {
            inside = text_equal(line.section, section);
            if (inside && !found && ret_line)
                *ret_line = number;
            found |= inside;
        }
        if (line.kind == KIND_SETTING && inside)
            config_settings_add(ret, line.setting.key, line.setting.value);
        free_line(&line);
    }
    return found;
}

/* ---- the change ------------------------------------------------------------------------------ */

/* Where the section begins, and where what is to be added comes: behind its last key. Returns
 * whether it is there. */
static bool find(const char *text, size_t length, const char *section, size_t *ret_from,
                 size_t *ret_to)
{
    const char *at = beginning(text, length);
    bool found = false, inside = false;
    struct line line;

    while (next_line(&at, text + length, &line)) {
        bool header = line.kind == KIND_HEADER;
        if (header)
            inside = !found && text_equal(line.section, section);
        if (header && inside) {
            *ret_from = (size_t)(line.start - text);
            found = true;
        }
        if (inside && line.kind != KIND_OTHER)
            *ret_to = (size_t)(line.start - text) + line.length;
        free_line(&line);
    }
    return found;
}

static void put_setting(FILE *f, const struct config_setting *s)
{
    fprintf(f, "%s = %s\n", s->key, s->value);
}

/* The first of that key among them; n: none. */
static size_t place_of_key(const struct config_settings *in, const char *key)
{
    for (size_t i = 0; i < in->n; i++)
        if (text_equal(in->list[i].key, key))
            return i;
    return in->n;
}

/* Returns whether it was put as it stands. */
static bool put_line(FILE *f, const struct line *line, struct config_settings *left)
{
    size_t same = line->kind == KIND_SETTING ? place_of(left, &line->setting) : left->n;
    bool stays = line->kind != KIND_SETTING || same < left->n;

    if (stays)
        fwrite(line->start, 1, line->length, f);
    size_t at = line->kind != KIND_SETTING ? left->n
                : same < left->n           ? same
                                           : place_of_key(left, line->setting.key);
    if (!stays && at < left->n)
        put_setting(f, &left->list[at]);
    if (at < left->n)
        config_settings_drop_at(left, at);
    return stays;
}

/* The section as it stands, with what is left of the settings behind it. */
static void put_changed(FILE *f, const char *from, const char *to, struct config_settings *left)
{
    struct line line;
    bool ended = true;

    while (next_line(&from, to, &line)) {
        bool stays = put_line(f, &line, left);
        ended = !stays || line.start[line.length - 1] == '\n';
        free_line(&line);
    }
    if (!ended && left->n > 0)
        fputc('\n', f);
    for (size_t i = 0; i < left->n; i++)
        put_setting(f, &left->list[i]);
}

static void put_new(FILE *f, const char *text, size_t length, const char *section,
                    const struct config_settings *settings)
{
    fwrite(text, 1, length, f);
    if (beginning(text, length) != text + length)
        fputs(text[length - 1] == '\n' ? "\n" : "\n\n", f);
    fprintf(f, "[%s]\n", section);
    for (size_t i = 0; i < settings->n; i++)
        put_setting(f, &settings->list[i]);
}

/* The text, if nothing was lacking on the way to it. */
static char *only_whole(char *text, size_t *length)
{
    if (!heap_lacked())
        return text;
    if (text)
        explicit_bzero(text, *length);
    free(text);
    *length = 0;
    return NULL;
}

char *config_text_put(const char *text, size_t length, const char *section,
                      const struct config_settings *settings, size_t *ret_length)
{
    struct config_settings left;
    char *out = NULL;
    size_t from = 0, to = 0;
    FILE *f = open_memstream(&out, ret_length);

    *ret_length = 0;
    if (!f)
        return NULL;
    if (find(text, length, section, &from, &to)) {
        copy(settings, &left);
        fwrite(text, 1, from, f);
        put_changed(f, text + from, text + to, &left);
        fwrite(text + to, 1, length - to, f);
        config_settings_clear(&left);
    } else {
        put_new(f, text, length, section, settings);
    }
    if (fclose(f) != 0) {
        free(out);
        out = NULL;
    }
    return only_whole(out, ret_length);
}

/* ---- without it ------------------------------------------------------------------------------ */

static bool is_comment(const struct line *line)
{
    size_t blanks = strspn(line->start, " \t");

    return line->kind == KIND_OTHER && line->length > blanks && line->start[blanks] != '\n';
}

/* Where what goes ends, which begins with its header at `from`: comments before the next header are
 * of that one, and those behind a blank line at the end of the file are nobody's. */
static const char *end_of_section(const char *from, const char *end)
{
    const char *at = from, *comments = NULL;
    bool blank = false;
    struct line line;

    next_line(&at, end, &line);
    free_line(&line);
    while (next_line(&at, end, &line)) {
        enum kind kind = line.kind;
        bool comment = is_comment(&line);
        const char *start = line.start;
        free_line(&line);
        if (kind == KIND_HEADER)
            return comments ? comments : start;
        if (!comment)
            comments = NULL;
        else if (!comments)
            comments = start, blank = start[-1] == '\n' && start[-2] == '\n';
    }
    return comments && blank ? comments : end;
}

/* Up to the section, without the blank line that parts it from what stands before where nothing
 * comes behind. */
static size_t before_section(const char *text, size_t from, bool last)
{
    return last && from > 1 && text[from - 1] == '\n' && text[from - 2] == '\n' ? from - 1 : from;
}

char *config_text_drop(const char *text, size_t length, const char *section, size_t *ret_length)
{
    char *out = malloc(length + 1);
    size_t from, to;

    *ret_length = 0;
    if (!out)
        return NULL;
    memcpy(out, text, length);
    out[length] = '\0';
    while (find(out, length, section, &from, &to)) {
        size_t behind = (size_t)(end_of_section(out + from, out + length) - out);
        from = before_section(out, from, behind == length);
        memmove(out + from, out + behind, length - behind + 1);
        explicit_bzero(out + from + length - behind + 1, behind - from);
        length -= behind - from;
    }
    *ret_length = length;
    return only_whole(out, ret_length);
}

bool config_text_is_empty(const char *text, size_t length)
{
    const char *at = beginning(text, length);

    while (at < text + length && (is_blank(*at) || *at == '\n' || *at == '\r'))
        at++;
    return at == text + length;
}

char *config_text_profile(const char *text, size_t length, size_t n)
{
    static const char prefix[] = "profile ";
    const char *at = beginning(text, length);
    char *name = NULL;
    struct line line;

    while (!name && next_line(&at, text + length, &line)) {
        if (line.kind == KIND_HEADER && strncmp(line.section, prefix, sizeof prefix - 1) == 0 &&
            n-- == 0)
            name = strdup(line.section + sizeof prefix - 1);
        free_line(&line);
    }
    return name;
}
