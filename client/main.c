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

typedef int command(int argc, char **argv);

/* The places of functions, and of words, in a table would be written into it at each start of the
 * program, that of a `get` as well. */
static command *find(const char *name)
{
#define COMMAND(word, run)                                                                         \
    if (text_equal(name, word))                                                                    \
        return run;
    COMMAND("status", command_status)
    COMMAND("list", command_list)
    COMMAND("inspect", command_inspect)
    COMMAND("login", command_login)
    COMMAND("logout", command_simple)
    COMMAND("refresh", command_simple)
    COMMAND("reload", command_simple)
    COMMAND("share", command_share)
    COMMAND("unshare", command_share)
    COMMAND("stop", command_stop)
    COMMAND("restart", command_restart)
    COMMAND("kubeconfig", command_admin)
    COMMAND("init", command_admin)
    COMMAND("config", command_admin)
    COMMAND("import", command_admin)
    COMMAND("__complete", command_admin)
    COMMAND("log", command_admin)
    COMMAND("why", command_admin)
    COMMAND("explain", command_explain)
    COMMAND("doctor", command_admin)
    COMMAND("version", command_version)
    COMMAND("help", help)
#undef COMMAND
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

/* Apart from the pages of `get`. */
static __attribute__((noinline)) int other(int argc, char **argv)
{
    int code;

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
    command *run = find(argv[1]);
    if (!run && argv[1][0] == '-')
        return help_no_command(argv[1]);
    if (!run)
        return help_unknown_command(argv[1]);
    output_set_command(argv[1]);
    return help_asked(argc - 1, argv + 1, &code) ? code : run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    int code;

    /* Before anything else: kubectl waits for this one. */
    output_set_command("get");
    if (argc > 1 && text_equal(argv[1], "get")) {
        if (help_asked(argc - 1, argv + 1, &code))
            return code;
        _exit(command_get(argc - 1, argv + 1)); /* stdio has nothing that is to be written */
    }
    return other(argc, argv);
}
