#define _GNU_SOURCE
#include "client/admin/yaml_print.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool yaml_print_is_plain(const char *text)
{
    static const char *const words[] = {
        "true", "false", "yes", "no", "on", "off", "y", "n", "null"
    };
    static const char others[] = "-_./@+=";

    if (!isalpha((unsigned char)text[*text == '-']))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0)
            return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr(others, *text))
            return false;
    return true;
}

/* A text, number or word that takes one line. */
static void print_scalar(FILE *out, const cJSON *value, bool quotes)
{
    if (cJSON_IsString(value) && !quotes && yaml_print_is_plain(value->valuestring)) {
        fputs(value->valuestring, out);
        return;
    }
    char *text = cJSON_PrintUnformatted(value); /* JSON is YAML */
    fputs(text ? text : "null", out);
    cJSON_free(text);
}

/* ---- in brackets ----------------------------------------------------------------------------- */

void yaml_print_flow_key(FILE *out, const char *key, const struct yaml_style *style)
{
    const cJSON name = { .type = cJSON_String, .valuestring = (char *)(uintptr_t)key };

    print_scalar(out, &name, style->quotes);
    fputs(style->compact ? ":" : ": ", out);
}

static void print_break(FILE *out, int level, const struct yaml_style *style)
{
    fprintf(out, "%s%s", style->newline, style->base);
    while (level-- > 0)
        fputs(style->step, out);
}

static void print_flow(FILE *out, const cJSON *value, int level, const struct yaml_style *style)
{
    bool is_list = cJSON_IsArray(value), many = style->many && value->child;

    if (!is_list && !cJSON_IsObject(value)) {
        print_scalar(out, value, style->quotes);
        return;
    }
    fputc(is_list ? '[' : '{', out);
    for (const cJSON *child = value->child; child; child = child->next) {
        if (many)
            print_break(out, level + 1, style);
        if (!is_list)
            yaml_print_flow_key(out, child->string, style);
        print_flow(out, child, level + 1, style);
        if (child->next)
            fputs(many || style->compact ? "," : ", ", out);
    }
    if (many)
        print_break(out, level, style);
    fputc(is_list ? ']' : '}', out);
}

void yaml_print_flow(FILE *out, const cJSON *value, const struct yaml_style *style)
{
    print_flow(out, value, 0, style);
}

/* ---- in lines -------------------------------------------------------------------------------- */

static void print_indent(FILE *out, unsigned column, const struct yaml_style *style)
{
    fprintf(out, "%s%*s", style->newline, (int)column, "");
}

/* Whether it reads well as lines behind a "|": whole lines, of which the first does not begin with
 * a blank. */
static bool is_lines(const cJSON *value)
{
    const char *text = cJSON_IsString(value) ? value->valuestring : "";
    size_t length = strlen(text);

    if (length < 2 || text[length - 1] != '\n' || text[length - 2] == '\n' || isspace(*text))
        return false;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if ((*p < ' ' && *p != '\n') || *p >= 0x7F)
            return false;
    return true;
}

static void print_lines(FILE *out, const char *text, unsigned column,
                        const struct yaml_style *style)
{
    fputc('|', out);
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length > 0)
            print_indent(out, column, style);
        else
            fputs(style->newline, out);
        fwrite(text, 1, length, out);
        text += length + 1;
    }
}

static bool has_maps(const cJSON *list)
{
    for (const cJSON *item = list->child; item; item = item->next)
        if (cJSON_IsObject(item) || cJSON_IsArray(item))
            return true;
    return false;
}

static void print_member(FILE *out, const cJSON *value, unsigned column,
                         const struct yaml_style *style)
{
    const cJSON name = { .type = cJSON_String, .valuestring = value->string };
    const struct yaml_style flow = { .newline = style->newline };
    unsigned inner = column + (cJSON_IsArray(value) ? style->list_offset : style->unit);

    print_scalar(out, &name, false);
    fputc(':', out);
    if ((cJSON_IsObject(value) && value->child) || (cJSON_IsArray(value) && has_maps(value))) {
        print_indent(out, inner, style);
        yaml_print_block(out, value, inner, style);
        return;
    }
    fputc(' ', out);
    if (is_lines(value))
        print_lines(out, value->valuestring, column + style->unit, style);
    else
        yaml_print_flow(out, value, &flow);
}

void yaml_print_block(FILE *out, const cJSON *value, unsigned column,
                      const struct yaml_style *style)
{
    bool is_list = cJSON_IsArray(value);

    if (!value->child) {
        fputs(is_list ? "[]" : "{}", out);
        return;
    }
    for (const cJSON *child = value->child; child; child = child->next) {
        if (child != value->child)
            print_indent(out, column, style);
        if (!is_list) {
            print_member(out, child, column, style);
            continue;
        }
        fprintf(out, "-%*s", (int)style->item_step - 1, "");
        if (cJSON_IsObject(child) || cJSON_IsArray(child))
            yaml_print_block(out, child, column + style->item_step, style);
        else
            print_scalar(out, child, false);
    }
}
