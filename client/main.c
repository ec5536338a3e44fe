/* kubetoken - the command line: finds the command and runs it. */
#include <stdio.h>
#include <string.h>

#include "client/commands.h"
#include "client/output.h"
#include "common/descriptor.h"
#include "common/text.h"

static const char usage[] =
    "Usage: kubetoken COMMAND [OPTION]... [PROFILE]\n"
    "Fresh OpenID Connect id_tokens for kubectl and for scripts.\n"
    "\n"
    "  get         print a token; as kubectl's exec plugin, an ExecCredential\n"
    "                -o FORMAT          exec, exec/v1, exec/v1beta1, token, header, json\n"
    "                --min-validity D   a token that lives at least D\n"
    "                --timeout D        wait at most D (30s)\n"
    "                --rejected         the API server rejected the last one: fetch another\n"
    "  status      show profiles, states and times      --json\n"
    "  inspect     a token in words: header, claims, checks; - takes one from stdin   --json\n"
    "  login       ask for the password, and hand it to the daemon\n"
    "  logout      forget token and typed password\n"
    "  refresh     ask the provider for a new token now\n"
    "  reload      read the configuration again\n"
    "  stop        end the daemon, unless it is systemd's\n"
    "  restart     end it, and start another with this environment\n"
    "  kubeconfig  print the kubeconfig user that runs kubetoken   --api-version v1|v1beta1\n"
    "  explain     what an error's code means, and what to do; without one, all codes\n"
    "  doctor      every link from the configuration to the API server's answer   --json\n"
    "                --expect-issuer URL, --expect-audience ID, --expect-claim NAME=VALUE\n"
    "                                   what the API server was started with\n"
    "                --kubeconfig FILE  instead of kubectl's own\n"
    "                --refresh          a new token, also by a password that was refused\n"
    "  version     show the versions of client and daemon\n"
    "  help        show this\n"
    "\n"
    "PROFILE may be left out when there is one, or when default-profile names one.\n"
    "See kubetoken(1), kubetoken.conf(5).\n";

static int help(int argc, char **argv)
{
    (void)argc, (void)argv;
    fputs(usage, stdout);
    return output_done(0);
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "status", command_status },
    { "inspect", command_inspect },
    { "login", command_login },
    { "logout", command_simple },
    { "refresh", command_simple },
    { "reload", command_simple },
    { "stop", command_stop },
    { "restart", command_restart },
    { "kubeconfig", command_admin },
    { "explain", command_explain },
    { "doctor", command_admin },
    { "version", command_version },
    { "--version", command_version },
    { "help", help },
    { "--help", help },
    { "-h", help },
};

int main(int argc, char **argv)
{
    /* Before anything else: kubectl waits for this one. */
    if (argc > 1 && text_equal(argv[1], "get") && !(argc > 2 && text_equal(argv[2], "--help")))
        return command_get(argc - 1, argv + 1);
    descriptor_fill();
    if (argc < 2) {
        fputs(usage, stderr);
        return error_exit_code(ERROR_USAGE);
    }
    if (argc > 2 && text_equal(argv[2], "--help"))
        return help(0, NULL);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(argc - 1, argv + 1);

    char detail[128];
    snprintf(detail, sizeof detail, "there is no command \"%s\"", argv[1]);
    return output_fail(ERROR_USAGE, detail);
}
