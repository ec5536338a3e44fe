/* What may stand at the end of a command line that is being typed, for bash, zsh, fish and, behind
 * `kubectl kubetoken`, for kubectl: the protocol of cobra's __complete. It starts nothing, and what
 * goes wrong is no candidate. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/admin/commands.h"
#include "client/admin/help_rows.h"
#include "client/admin/kubeconfig_paths.h"
#include "client/admin/yaml_tree.h"
#include "client/autostart.h"
#include "client/conversation.h"
#include "client/help.h"
#include "client/output.h"
#include "common/paths.h"
#include "common/printable.h"
#include "common/protocol.h"
#include "common/text.h"
#include "common/time.h"

/* Who types waits no longer for the names of profiles. */
static const uint64_t patience = 1 * USEC_PER_SEC;

enum { NAMES_MAX = 512 * 1024 };

/* The last line: what the shell adds of its own (cobra's ShellCompDirective). */
enum directive { DIRECTIVE_FILES = 0, DIRECTIVE_NOTHING = 4 };

/* The line: what stands before the word that is typed, and what a candidate has to begin with. */
struct typed {
    unsigned n;
    char **words; /* from the command's name on */
    const char *current;
    char head[HELP_ROWS_WORD + 2]; /* "--output=": the value is in the same word */
};

static void offer(const struct typed *typed, const char *candidate, const char *text)
{
    if (candidate[strcspn(candidate, "\t\n\r\033")] != '\0')
        return;                          /* would be another candidate, or speak to the terminal */
    int first = (int)strcspn(text, ";"); /* a shell has a line for it */
    char *line = NULL;
    if (asprintf(&line, "%s%s%s%.*s", typed->head, candidate, first ? "\t" : "", first, text) < 0)
        return;
    printable_hide(line, "\t");
    if (strncmp(line + strlen(typed->head), candidate, strlen(candidate)) == 0)
        puts(line);
    free(line);
}

/* ---- what there is ----------------------------------------------------------------------------
 */

static enum directive offer_commands(const struct typed *typed)
{
    const char *at = help_text("");
    struct help_row row;

    if (*typed->current == '-') {
        offer(typed, "--help", "show what kubetoken takes");
        offer(typed, "--version", "show the versions of client and daemon");
    }
    while (help_rows_command(&at, &row))
        offer(typed, row.name, row.text);
    return DIRECTIVE_NOTHING;
}

static enum directive offer_codes(const struct typed *typed)
{
    for (int i = ERROR_NONE + 1; i < ERROR_MAX; i++)
        offer(typed, error_name((enum error_code)i), error_sentence((enum error_code)i));
    return DIRECTIVE_NOTHING;
}

/* What kube-apiserver takes (its --oidc-signing-algs). */
static enum directive offer_algorithms(const struct typed *typed)
{
    static const char *const names[] = { "RS256", "RS384", "RS512", "ES256", "ES384",
                                         "ES512", "PS256", "PS384", "PS512" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        offer(typed, names[i], "");
    return DIRECTIVE_NOTHING;
}

/* As `status -o name` has them. */
static enum directive offer_profiles(const struct typed *typed)
{
    static char names[NAMES_MAX];
    struct line line = { .may_be_absent = true, .only_once = true };
    char *rest = names, *name;

    line_add(&line, "status name *");
    if (autostart_would_wake() || conversation_ask(&line, patience, names, sizeof names))
        return DIRECTIVE_NOTHING;
    while ((name = strsep(&rest, "\n")))
        if (*name)
            offer(typed, name, "");
    return DIRECTIVE_NOTHING;
}

/* Those that are open, by their folders. */
static enum directive offer_shares(const struct typed *typed)
{
    char path[PATHS_SOCKET_MAX];
    DIR *folder = paths_shares(path) == 0 ? opendir(path) : NULL;
    const struct dirent *entry;

    while (folder && (entry = readdir(folder)))
        if (protocol_share_valid(entry->d_name, strlen(entry->d_name)))
            offer(typed, entry->d_name, "");
    if (folder)
        closedir(folder);
    return DIRECTIVE_NOTHING;
}

static void offer_names(const struct typed *typed, const cJSON *entries)
{
    const cJSON *entry, *name;

    cJSON_ArrayForEach (entry, entries) {
        name = cJSON_GetObjectItemCaseSensitive(entry, "name");
        if (cJSON_IsString(name))
            offer(typed, name->valuestring, "");
    }
}

/* The names in a list of the kubeconfig: no kubectl is started for them. */
static enum directive offer_kubeconfig(const struct typed *typed, const char *list)
{
    static struct kubeconfig_paths paths;
    static char text[YAML_TREE_TEXT_MAX];
    struct yaml_tree tree;

    if (kubeconfig_paths_find(NULL, &paths) < 0)
        return DIRECTIVE_NOTHING;
    for (unsigned i = 0; i < paths.n; i++) {
        struct stat st; /* a pipe would wait, or give another what it is read for */
        bool is_file = stat(paths.path[i], &st) == 0 && S_ISREG(st.st_mode);
        FILE *f = is_file ? fopen(paths.path[i], "re") : NULL;
        size_t length = f ? fread(text, 1, sizeof text, f) : 0;
        if (f)
            fclose(f);
        yaml_tree_read(text, length, NULL, NULL, &tree);
        offer_names(typed, cJSON_GetObjectItemCaseSensitive(tree.root, list));
        yaml_tree_free(&tree);
    }
    return DIRECTIVE_NOTHING;
}

/* ---- what may stand there ---------------------------------------------------------------------
 */

static enum directive offer_operand(const struct typed *typed, const char *what)
{
    if (text_equal(what, "PROFILE"))
        return offer_profiles(typed);
    if (text_equal(what, "NAME"))
        return offer_shares(typed);
    if (text_equal(what, "CODE"))
        return offer_codes(typed);
    if (text_equal(what, "COMMAND"))
        return offer_commands(typed);
    return DIRECTIVE_NOTHING;
}

static enum directive offer_value(const struct typed *typed, const struct help_row *option)
{
    static const struct {
        const char *option, *list;
    } lists[] = { { "--context", "contexts" }, { "--cluster", "clusters" }, { "--user", "users" } };
    char values[HELP_ROWS_VALUES][HELP_ROWS_WORD];

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (text_equal(option->name, lists[i].option))
            return offer_kubeconfig(typed, lists[i].list);
    if (text_equal(option->value, "PROFILE"))
        return offer_profiles(typed);
    if (text_equal(option->value, "ALG"))
        return offer_algorithms(typed);
    if (text_equal(option->value, "FILE") || text_equal(option->value, "F") ||
        text_equal(option->value, "PATH"))
        return DIRECTIVE_FILES;
    unsigned n = help_rows_values(option->text, values);
    for (unsigned i = 0; i < n; i++)
        offer(typed, values[i], "");
    return DIRECTIVE_NOTHING;
}

/* Whether a word is that option, alone or with its value behind it: "--output", "--output=json". */
static bool is_option(const char *word, const struct help_row *option)
{
    size_t length = strcspn(word, "=");

    return (*option->short_name && text_equal(word, option->short_name)) ||
           (length == strlen(option->name) && strncmp(word, option->name, length) == 0);
}

static bool find_option(const char *help, const char *word, struct help_row *ret)
{
    while (help_rows_option(&help, ret))
        if (is_option(word, ret))
            return true;
    return false;
}

static bool is_given(const struct typed *typed, const struct help_row *option)
{
    for (unsigned i = 1; i < typed->n; i++)
        if (is_option(typed->words[i], option))
            return true;
    return false;
}

static enum directive offer_options(const struct typed *typed, const char *help)
{
    struct help_row row;

    while (help_rows_option(&help, &row)) {
        if (is_given(typed, &row) && !strstr(row.text, "repeatable"))
            continue;
        if (*row.short_name)
            offer(typed, row.short_name, row.text);
        if (*row.name)
            offer(typed, row.name, row.text);
    }
    return DIRECTIVE_NOTHING;
}

/* Behind "--" stand names alone; of `run` that is another command's line. */
static enum directive complete_word(struct typed *typed, const char *help)
{
    struct help_row option = { 0 };
    bool is_value = false, only_names = false;
    char operand[HELP_ROWS_WORD];
    unsigned n = 0;

    for (unsigned i = 1; i < typed->n; i++) {
        const char *word = typed->words[i];
        if (is_value)
            is_value = false;
        else if (!only_names && text_equal(word, "--"))
            only_names = true;
        else if (!only_names && word[0] == '-' && word[1] != '\0')
            is_value = !strchr(word, '=') && find_option(help, word, &option) && *option.value;
        else
            n++;
    }
    if (is_value)
        return offer_value(typed, &option);
    if (!only_names && *typed->current == '-') {
        size_t length = strcspn(typed->current, "=");
        if (typed->current[length] != '=' || !find_option(help, typed->current, &option))
            return offer_options(typed, help);
        snprintf(typed->head, sizeof typed->head, "%s=", option.name);
        return *option.value ? offer_value(typed, &option) : DIRECTIVE_NOTHING;
    }
    if (only_names && help_rows_takes_command(help))
        return DIRECTIVE_FILES;
    help_rows_operand(help, n, operand);
    if (!*operand && help_rows_takes_command(help))
        offer(typed, "--", "and the command");
    return offer_operand(typed, operand);
}

int complete_run(int argc, char **argv, const char *folder)
{
    struct typed typed = { .current = argc > 1 ? argv[argc - 1] : "" };

    (void)folder;
    typed.words = argv + 1;
    typed.n = argc > 2 ? (unsigned)argc - 2 : 0;
    const char *help = typed.n > 0 ? help_text(typed.words[0]) : NULL;
    enum directive directive = help           ? complete_word(&typed, help)
                               : typed.n == 0 ? offer_commands(&typed)
                                              : DIRECTIVE_NOTHING;
    printf(":%d\n", directive);
    return output_done(0);
}
