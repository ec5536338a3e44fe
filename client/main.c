/* kubetoken - the command line: finds the command and runs it. */
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/help.h"
#include "client/output.h"
#include "common/descriptor.h"
#include "common/text.h"

static int help(int argc, char **argv)
{
    const char *text = help_text(argc > 1 ? argv[1] : "");

    if (argc > 2)
        return output_fail(ERROR_USAGE, "it takes one command");
    if (!text)
        return help_unknown_command(argv[1]);
    fputs(text, stdout);
    return output_done(0);
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "status", command_status },   { "list", command_list },
    { "inspect", command_inspect }, { "login", command_login },
    { "logout", command_simple },   { "refresh", command_simple },
    { "reload", command_simple },   { "stop", command_stop },
    { "restart", command_restart }, { "kubeconfig", command_admin },
    { "init", command_admin },      { "config", command_admin },
    { "import", command_admin },    { "__complete", command_admin },
    { "log", command_admin },       { "why", command_admin },
    { "explain", command_explain }, { "doctor", command_admin },
    { "version", command_version }, { "help", help },
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (text_equal(commands[i].name, name))
            return &commands[i];
    return NULL;
}

/* "--version" is "version". */
static const char *plain(const char *name)
{
    return text_equal(name, "--help") || text_equal(name, "--version") ? name + 2
           : text_equal(name, "-h")                                    ? "help"
           : text_equal(name, "-V")                                    ? "version"
                                                                       : name;
}

int main(int argc, char **argv)
{
    int code;

    output_set_command("get");
    /* Before anything else: kubectl waits for this one. */
    if (argc > 1 && text_equal(argv[1], "get")) {
        if (help_asked(argc - 1, argv + 1, &code))
            return code;
        _exit(command_get(argc - 1, argv + 1)); /* stdio has nothing that is to be written */
    }
    output_set_command("run");
    if (argc > 1 && text_equal(argv[1], "run")) /* finds all as the command is to find it */
        return help_asked(argc - 1, argv + 1, &code) ? code : command_run(argc - 1, argv + 1);
    output_set_command(NULL);
    descriptor_fill();
    output_heed_pipes();
    if (argc < 2) {
        fputs(help_text(""), stderr);
        return error_exit_code(ERROR_USAGE);
    }
    argv[1] = (char *)(uintptr_t)plain(argv[1]);
    const struct command *command = find(argv[1]);
    if (!command && argv[1][0] == '-')
        return help_no_command(argv[1]);
    if (!command)
        return help_unknown_command(argv[1]);
    output_set_command(command->name);
    return help_asked(argc - 1, argv + 1, &code) ? code : command->run(argc - 1, argv + 1);
}
