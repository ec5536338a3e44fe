/* kubetoken explain: what a code means and what to do. Asks no daemon. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "client/commands.h"
#include "client/explain_text.h"
#include "client/help.h"
#include "client/output.h"
#include "common/text.h"
#include "common/wrap.h"

static void print_row(enum error_code code)
{
    printf("%-18s  %d  %s\n", error_name(code), error_exit_code(code), error_sentence(code));
}

/* All codes, or those with that exit code. Returns how many. */
static int list(int exit_code)
{
    int n = 0;

    for (int i = ERROR_NONE + 1; i < ERROR_MAX; i++) {
        if (exit_code >= 0 && error_exit_code((enum error_code)i) != exit_code)
            continue;
        print_row((enum error_code)i);
        n++;
    }
    return n;
}

/* Longer lines are no easier to read. */
static size_t prose_columns(void)
{
    size_t columns = output_columns();

    return columns < WRAP_COLUMNS ? columns : WRAP_COLUMNS;
}

static void print_remedy(const char *label, const char *remedy)
{
    char text[256];

    snprintf(text, sizeof text, "%s: %s", label, remedy);
    printf("\n");
    wrap_remedy(stdout, text, 0, 0, prose_columns());
}

static void print_code(enum error_code code)
{
    const char *remedy = error_remedy_for(code, ERROR_KEEPER_SYSTEMD);
    const char *other = error_remedy_for(code, ERROR_KEEPER_NONE);

    printf("%s: %s\n\n", error_name(code), error_sentence(code));
    wrap_print(stdout, explain_text(code), 0, 0, prose_columns());
    if (*remedy)
        print_remedy("What to do", remedy);
    if (remedy != other)
        print_remedy("Without systemd", other);
    printf("\nExit code: %d\n", error_exit_code(code));
}

/* What the API server's answers are here. */
static enum error_code code_of_http(const char *status)
{
    return text_equal(status, "401")   ? ERROR_UNAUTHORIZED
           : text_equal(status, "403") ? ERROR_FORBIDDEN
           : text_equal(status, "431") ? ERROR_TOKEN_LONG
                                       : ERROR_NONE;
}

static int fail_unknown(const char *name)
{
    struct text_nearest nearest = text_nearest_to(name);
    const char *best = error_name(code_of_http(name));
    char detail[200];

    for (int i = ERROR_NONE + 1; i < ERROR_MAX; i++)
        if (text_nearest_try(&nearest, error_name((enum error_code)i)))
            best = error_name((enum error_code)i);
    if (!text_equal(best, error_name(ERROR_NONE)))
        snprintf(detail, sizeof detail, "there is no code \"%.40s\"; did you mean \"%s\"?", name,
                 best);
    else
        snprintf(detail, sizeof detail, "there is no code \"%.40s\"; kubetoken explain lists them",
                 name);
    return output_fail(ERROR_USAGE, detail);
}

int command_explain(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (argc > 1 && name[0] == '-')
        return help_unknown_option("explain", name);
    if (argc > 2)
        return output_fail(ERROR_USAGE, "it takes one code");
    enum error_code code = error_from_name(name, strlen(name));
    /* kubectl shows the exit code alone */
    int is_digit = name[0] >= '0' && name[0] <= '9' && name[1] == '\0';

    if (argc == 1)
        list(-1);
    else if (is_digit && list(name[0] - '0') > 0)
        ;
    else if (code == ERROR_INTERNAL && strcmp(name, error_name(code)) != 0)
        return fail_unknown(name);
    else
        print_code(code);
    return output_done(0);
}
