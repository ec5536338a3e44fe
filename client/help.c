#include "client/help.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "client/output.h"
#include "common/text.h"

/* The options of a command are those that its text names: help_unknown_option() reads them there.
 * A test holds the texts against the parsers and the manual. */
#define COMMON "  -h, --help          show this\n  -V, --version       show the version\n"
#define TIMEOUT "  --timeout D         wait at most D (30s); a D is 30s, 5m or 1h30m\n"
#define NAMED "\nPROFILE may be left out when there is one, or when default-profile names one.\n"
#define SEE "See kubetoken(1).\n"
#define NO_CODES "\nExit codes: 0 done, 1 not written, 2 usage.\n" SEE
#define FEW_CODES "\nExit codes: 0 done, 2 usage, 3 no daemon; kubetoken explain lists them.\n" SEE
#define SOME_CODES                                                                                 \
    "\nExit codes: 0 done, 2 usage, 3 no daemon, 4 no such profile, 9 configuration;\n"            \
    "kubetoken explain lists them.\n" SEE
#define TOKEN_CODES                                                                                \
    "\nExit codes: 0 done, 2 usage, 3 no daemon, 4 no such profile, 5 login needed,\n"             \
    "6 credentials refused, 7 provider unreachable, 8 token not valid,\n"                          \
    "9 configuration; kubetoken explain lists them.\n" SEE

/* The texts one behind the other and the place of each, without a pointer, as explain_text.c. */
static const struct texts {
#define H(name, text) char name[sizeof text];
#include "client/help.inc"
#undef H
} texts = {
#define H(name, text) text,
#include "client/help.inc"
#undef H
};

static const struct {
    char name[12];
    unsigned short place;
} commands[] = {
#define H(name, text) { #name, offsetof(struct texts, name) },
#include "client/help.inc"
#undef H
};

enum { TOP, FIRST, END = sizeof commands / sizeof *commands };

const char *help_text(const char *command)
{
    if (!*command)
        return texts.top;
    for (size_t i = FIRST; i < END; i++)
        if (text_equal(commands[i].name, command))
            return (const char *)&texts + commands[i].place;
    return NULL;
}

bool help_asked(int argc, char **argv, int *ret_code)
{
    for (int i = 1; i < argc && !text_equal(argv[i], "--"); i++) {
        bool help = text_equal(argv[i], "-h") || text_equal(argv[i], "--help");
        if (!help && !text_equal(argv[i], "-V") && !text_equal(argv[i], "--version"))
            continue;
        if (!help_text(argv[0])) /* another command's line, which is being completed */
            return false;
        output_heed_pipes();
        fputs(help ? help_text(argv[0]) : "kubetoken " KUBETOKEN_VERSION "\n", stdout);
        *ret_code = output_done(0);
        return true;
    }
    return false;
}

static int fail_with(const char *what, const char *word, const char *nearest)
{
    char detail[200];

    if (nearest)
        snprintf(detail, sizeof detail, "%s %.60s; did you mean \"%s\"?", what, word, nearest);
    else
        snprintf(detail, sizeof detail, "%s %.60s", what, word);
    return output_fail(ERROR_USAGE, detail);
}

/* What is wrong with an option. */
static int fail_option(const char *option, const char *what)
{
    char detail[128];

    snprintf(detail, sizeof detail, "%.60s %.60s", option, what);
    return output_fail(ERROR_USAGE, detail);
}

/* The options that a text names in its left column, one after the other: the next behind at. */
static const char *next_option(const char *at, char out[32])
{
    while ((at = strchr(at, '-'))) {
        size_t length = strspn(at, "-abcdefghijklmnopqrstuvwxyzV");
        bool is_left = strncmp(at - 3, "\n  ", 3) == 0 || strncmp(at - 2, ", ", 2) == 0;
        if (is_left && length > 1 && length < 32) {
            memcpy(out, at, length);
            out[length] = '\0';
            return at + length;
        }
        at += length;
    }
    return NULL;
}

int help_unknown_option(const char *command, const char *option)
{
    const char *at = help_text(command);
    char name[32], best[32] = "", given[64];

    snprintf(given, sizeof given, "%.*s", (int)strcspn(option, "="), option);
    struct text_nearest nearest = text_nearest_to(given);
    while (at && (at = next_option(at, name)))
        if (text_nearest_try(&nearest, name))
            memcpy(best, name, sizeof best);
    bool is_known = text_equal(best, given);
    if (is_known && strchr(option, '='))
        return fail_option(given, "takes no value");
    return fail_with("unknown option", given, *best && !is_known ? best : NULL);
}

int help_value_missing(const char *option)
{
    return fail_option(option, "wants a value");
}

int help_unknown_command(const char *command)
{
    struct text_nearest nearest = text_nearest_to(command);
    char given[64];
    const char *best = NULL;

    snprintf(given, sizeof given, "\"%.60s\"", command);
    for (size_t i = FIRST; i < END; i++)
        if (text_nearest_try(&nearest, commands[i].name))
            best = commands[i].name;
    return fail_with("there is no command", given, best);
}

int help_no_command(const char *option)
{
    return fail_option(option, "stands before a command; options stand behind it");
}
