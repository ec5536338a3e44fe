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
#define FEW_CODES "\nExit codes: 0 done, 2 usage, 3 no daemon; kubetoken explain lists them.\n"
#define SOME_CODES                                                                                 \
    "\nExit codes: 0 done, 2 usage, 3 no daemon, 4 no such profile, 9 configuration;\n"            \
    "kubetoken explain lists them.\n"
#define TOKEN_CODES                                                                                \
    "\nExit codes: 0 done, 2 usage, 3 no daemon, 4 no such profile, 5 login needed,\n"             \
    "6 credentials refused, 7 provider unreachable, 8 token not valid,\n"                          \
    "9 configuration; kubetoken explain lists them.\n"

static const char top[] =
    "Usage: kubetoken COMMAND [OPTION]... [PROFILE]\n"
    "Fresh OpenID Connect id_tokens for kubectl and for scripts.\n"
    "\n"
    "  get         print a token; as kubectl's exec plugin, an ExecCredential\n"
    "  status      show profiles, states and times\n"
    "  inspect     a token in words: header, claims, checks\n"
    "  login       ask for the password, and hand it to the daemon\n"
    "  logout      forget token and typed password\n"
    "  refresh     ask the provider for a new token now\n"
    "  reload      read the configuration again\n"
    "  stop        end the daemon, unless it is systemd's\n"
    "  restart     end it, and start another with this environment\n"
    "  kubeconfig  print the kubeconfig user that runs kubetoken\n"
    "  explain     what an error's code means, and what to do\n"
    "  doctor      every link from the configuration to the API server's answer\n"
    "  version     show the versions of client and daemon\n"
    "  help        show this, or the help of a command\n"
    "\n"
    "PROFILE may be left out when there is one, or when default-profile names one.\n"
    "kubetoken COMMAND --help shows a command's options. See kubetoken(1),\n"
    "kubetoken.conf(5).\n";

static const char get[] =
    "Usage: kubetoken get [OPTION]... [PROFILE]\n"
    "Prints a token that is valid now; as kubectl's exec plugin, an ExecCredential.\n"
    "\n"
    "  -o, --output FORMAT exec, exec/v1, exec/v1beta1, token, header or json\n"
    "  --min-validity D    a token that lives at least D\n"
    "  --rejected          the API server rejected the last one: fetch another\n" TIMEOUT COMMON
        NAMED TOKEN_CODES;

static const char status[] =
    "Usage: kubetoken status [OPTION]... [PROFILE]\n"
    "Shows profiles, users, states, the time that tokens have left, the next renewal,\n"
    "and below it what is wrong and what to do.\n"
    "\n"
    "  -q, --quiet         print nothing; exit with the code of the worst profile\n"
    "  --json              for programs\n" TIMEOUT COMMON TOKEN_CODES;

static const char inspect[] =
    "Usage: kubetoken inspect [OPTION]... [PROFILE | -]\n"
    "Shows a token's header and claims, and what an API server would check; that of\n"
    "the profile, or with - one from stdin.\n"
    "\n"
    "  --json              for programs\n" TIMEOUT COMMON NAMED TOKEN_CODES;

static const char login[] =
    "Usage: kubetoken login [OPTION]... [PROFILE]\n"
    "Asks for the password, on the terminal or from stdin, and logs in with it. The\n"
    "daemon keeps it in memory until logout, its end, or password-lifetime.\n"
    "\n" TIMEOUT COMMON NAMED TOKEN_CODES;

static const char logout[] = "Usage: kubetoken logout [OPTION]... [PROFILE]\n"
                             "Forgets token, refresh token and typed password.\n"
                             "\n" TIMEOUT COMMON NAMED SOME_CODES;

static const char refresh[] =
    "Usage: kubetoken refresh [OPTION]... [PROFILE]\n"
    "Asks the provider for a new token now, also with a password that it refused.\n"
    "\n" TIMEOUT COMMON NAMED TOKEN_CODES;

static const char reload[] =
    "Usage: kubetoken reload [OPTION]...\n"
    "Reads the configuration again. With errors in it the former one stays in force.\n"
    "\n" TIMEOUT COMMON SOME_CODES;

static const char stop[] = "Usage: kubetoken stop [OPTION]...\n"
                           "Ends the daemon, unless systemd started it.\n"
                           "\n" TIMEOUT COMMON FEW_CODES;

static const char restart[] =
    "Usage: kubetoken restart [OPTION]...\n"
    "Ends the daemon, unless systemd started it, and starts another with this\n"
    "environment.\n"
    "\n" TIMEOUT COMMON FEW_CODES;

static const char kubeconfig[] =
    "Usage: kubetoken kubeconfig [OPTION]... [PROFILE]\n"
    "Prints the kubeconfig user that runs kubetoken.\n"
    "\n"
    "  --api-version V     v1, or v1beta1 for a kubectl before 1.22; by itself what\n"
    "                      the kubectl found takes\n" COMMON NAMED SOME_CODES;

static const char explain[] =
    "Usage: kubetoken explain [CODE | EXIT-CODE]\n"
    "Says what an error's code means, why it comes, and what to do; without one, all\n"
    "codes; with an exit code, those that have it.\n"
    "\n" COMMON;

static const char doctor[] =
    "Usage: kubetoken doctor [OPTION]... [PROFILE]\n"
    "Goes from the configuration to the API server's answer, and says of each link\n"
    "whether it holds, else what to do. What the API server was started with:\n"
    "\n"
    "  --authentication-config FILE  its AuthenticationConfiguration, - from stdin\n"
    "  --expect-issuer URL           --oidc-issuer-url\n"
    "  --expect-audience ID          --oidc-client-id (repeatable)\n"
    "  --expect-signing-alg ALG      --oidc-signing-algs (repeatable)\n"
    "  --expect-claim NAME=VALUE     --oidc-required-claim (repeatable)\n"
    "\n"
    "  --kubeconfig FILE   instead of kubectl's own\n"
    "  --refresh           a new token, also by a password that was refused\n"
    "  --redact            leave out names, hosts and paths: a report to paste\n"
    "  --json              for programs\n"
    "  --timeout D         for each step (30s); a D is 30s, 5m or 1h30m\n" COMMON
    "\nExit codes: 0 all holds, else that of the first error; kubetoken explain lists\n"
    "them.\n";

static const char version[] = "Usage: kubetoken version\n"
                              "Shows the versions of client and daemon.\n"
                              "\n" COMMON;

static const char help[] = "Usage: kubetoken help [COMMAND]\n"
                           "Shows what kubetoken, or one of its commands, takes.\n"
                           "\n" COMMON;

static const struct {
    char name[12];
    const char *text;
} texts[] = { { "get", get },         { "status", status },
              { "inspect", inspect }, { "login", login },
              { "logout", logout },   { "refresh", refresh },
              { "reload", reload },   { "stop", stop },
              { "restart", restart }, { "kubeconfig", kubeconfig },
              { "explain", explain }, { "doctor", doctor },
              { "version", version }, { "help", help } };

const char *help_text(const char *command)
{
    if (!*command)
        return top;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (text_equal(texts[i].name, command))
            return texts[i].text;
    return NULL;
}

int help_asked(int argc, char **argv, int *ret_code)
{
    for (int i = 1; i < argc && !text_equal(argv[i], "--"); i++) {
        bool asked = text_equal(argv[i], "-h") || text_equal(argv[i], "--help");
        if (asked)
            fputs(help_text(argv[0]), stdout);
        else if (text_equal(argv[i], "-V") || text_equal(argv[i], "--version"))
            fputs("kubetoken " KUBETOKEN_VERSION "\n", stdout);
        else
            continue;
        *ret_code = output_done(0);
        return 1;
    }
    return 0;
}

static int fail_with(const char *what, const char *word, const char *nearest)
{
    char detail[200];

    if (nearest)
        snprintf(detail, sizeof detail, "%s %.60s; did you mean %s?", what, word, nearest);
    else
        snprintf(detail, sizeof detail, "%s %.60s", what, word);
    return output_fail(ERROR_USAGE, detail);
}

/* The options that a text names, one after the other: the next "-x" or "--word" behind at. */
static const char *next_option(const char *at, char out[32])
{
    while ((at = strchr(at, '-'))) {
        size_t length = strspn(at, "-abcdefghijklmnopqrstuvwxyzV");
        bool begins = at[-1] == ' ' || at[-1] == '\n';
        if (begins && length > 1 && length < 32) {
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
    return fail_with("unknown option", given, *best ? best : NULL);
}

int help_value_missing(const char *option)
{
    char detail[64];

    snprintf(detail, sizeof detail, "%.40s wants a value", option);
    return output_fail(ERROR_USAGE, detail);
}

int help_unknown_command(const char *command)
{
    struct text_nearest nearest = text_nearest_to(command);
    const char *best = NULL;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (text_nearest_try(&nearest, texts[i].name))
            best = texts[i].name;
    return fail_with("there is no command", command, best);
}
