/* Writes the table of errors into a manual page: copies stdin to stdout, and puts in anew what
 * stands between the comments
 *     .\" codes: rows           or     .\" codes: explained
 *     .\" codes: end
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/explain_text.h"
#include "common/error.h"

enum { COLUMNS = 100 };

/* The groups of the table, each by its first code. */
static const struct {
    enum error_code first;
    const char *title;
} groups[] = {
    { ERROR_USAGE, "The command line and the socket" },
    { ERROR_CONFIG, "Configuration and credentials" },
    { ERROR_REFUSED, "What the provider said of the credentials" },
    { ERROR_DNS, "The way to the provider" },
    { ERROR_PROVIDER_ERROR, "What came back" },
    { ERROR_NOT_VERIFIED, "Findings: the token is handed out, but somebody should know" },
    { ERROR_FETCHER, "Kubetoken itself" },
};

/* One line of text that roff takes for text: no request, no escape, options with a true minus. */
static void print_line(const char *text, size_t length)
{
    if (length > 0 && (*text == '.' || *text == '\''))
        fputs("\\&", stdout);
    for (size_t i = 0; i < length; i++) {
        char before = i > 0 ? text[i - 1] : ' ';
        if (text[i] == '\\')
            fputs("\\e", stdout);
        else if (text[i] == '-' && (before == ' ' || before == '-'))
            fputs("\\-", stdout);
        else
            putchar(text[i]);
    }
    putchar('\n');
}

/* Each sentence on lines of its own, as mdoc(7) wants it. */
static void print_text(const char *text)
{
    while (*text) {
        size_t length = strlen(text), end = 0;
        const char *stop = text;
        while ((stop = strpbrk(stop, ".?")) && stop[1] != ' ')
            stop++;
        if (stop)
            length = (size_t)(stop + 1 - text);
        if (length > COLUMNS)
            for (end = COLUMNS; end > 0 && text[end] != ' ';)
                end--;
        if (end == 0)
            end = length;
        print_line(text, end);
        text += end;
        text += *text == ' ';
    }
}

static void print_rows(void)
{
    for (int i = ERROR_NONE + 1; i < ERROR_MAX; i++) {
        enum error_code code = (enum error_code)i;
        printf(".It %s Ta %d Ta %s\n", error_name(code), error_exit_code(code),
               error_sentence(code));
    }
}

static void print_remedy(const char *label, const char *remedy)
{
    char text[256];

    if (!*remedy)
        return;
    snprintf(text, sizeof text, "%s: %s.", label, remedy);
    printf(".Pp\n");
    print_text(text);
}

static void print_entry(enum error_code code)
{
    char text[512];

    printf(".It Cm %s\n", error_name(code));
    snprintf(text, sizeof text, "Exit status %d: %s", error_exit_code(code), error_sentence(code));
    print_line(text, strlen(text));
    printf(".Pp\n");
    print_text(explain_text(code));
    print_remedy("What to do", error_remedy_for(code, ERROR_KEEPER_SYSTEMD));
    if (error_remedy_for(code, ERROR_KEEPER_NONE) != error_remedy_for(code, ERROR_KEEPER_SYSTEMD))
        print_remedy("Without systemd", error_remedy_for(code, ERROR_KEEPER_NONE));
}

static void print_explained(void)
{
    for (int i = ERROR_NONE + 1; i < ERROR_MAX; i++) {
        for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
            if ((int)groups[g].first == i)
                printf("%s.Ss %s\n.Bl -tag -width Ds\n", g > 0 ? ".El\n" : "", groups[g].title);
        print_entry((enum error_code)i);
    }
    printf(".El\n");
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    bool old = false;

    while (getline(&line, &size, stdin) > 0) {
        if (strcmp(line, ".\\\" codes: end\n") == 0)
            old = false;
        if (!old)
            fputs(line, stdout);
        if (strcmp(line, ".\\\" codes: rows\n") == 0)
            print_rows();
        else if (strcmp(line, ".\\\" codes: explained\n") == 0)
            print_explained();
        else
            continue;
        old = true;
    }
    free(line);
    if (old)
        fputs("codes: there is no \".\\\" codes: end\"\n", stderr);
    return old || fflush(stdout) != 0;
}
