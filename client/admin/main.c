/* kubetoken-admin - the commands of kubetoken that are too large for the program that every
 * kubectl starts. `kubetoken` runs it, with its own path as argv[0]. */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "client/admin/commands.h"
#include "client/autostart.h"
#include "client/help.h"
#include "client/output.h"
#include "common/descriptor.h"
#include "common/heap.h"
#include "common/text.h"

/* The folder of the program that was called: there its daemon is. Returns 0, or -1: too long. */
static int find_folder(const char *program, char out[PATH_MAX])
{
    const char *slash = strrchr(program, '/');
    size_t length = slash ? (size_t)(slash - program) : 0;

    if (length >= PATH_MAX)
        return -1;
    memcpy(out, program, length);
    out[length] = '\0';
    return 0;
}

/* For who calls it by itself. Returns whether that is all. */
static bool is_asked(const char *option)
{
    if (text_equal(option, "-h") || text_equal(option, "--help"))
        fputs("kubetoken-admin is run by kubetoken, for the larger of its commands; see "
              "kubetoken(1)\n",
              stdout);
    else if (text_equal(option, "-V") || text_equal(option, "--version"))
        fputs("kubetoken-admin " KUBETOKEN_VERSION "\n", stdout);
    else
        return false;
    return true;
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv, const char *folder);
} commands[] = {
    { "config", config_run }, { "__complete", complete_run },
    { "doctor", doctor_run }, { "import", import_run },
    { "init", init_run },     { "kubeconfig", kubeconfig_run },
    { "log", log_run },       { "why", why_run },
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (text_equal(commands[i].name, name))
            return &commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    static char folder[PATH_MAX];
    const char *name = argc > 1 ? argv[1] : "";
    const struct command *command = find(name);
    int code;

    descriptor_fill();
    prctl(PR_SET_DUMPABLE, 0); /* it reads passwords, and files that hold some */
    heap_lock();
    output_watch_memory(heap_lacked);
    output_heed_pipes();
    unsetenv("KUBERNETES_EXEC_INFO"); /* nobody's plugin */
    if (is_asked(name))
        return output_done(0);
    if (find_folder(argv[0], folder) < 0)
        return output_fail(ERROR_USAGE, "the path of kubetoken is too long");
    autostart_from(folder);
    if (!command)
        return output_fail(ERROR_USAGE, "kubetoken-admin is run by kubetoken");
    output_set_command(name);
    if (help_asked(argc - 1, argv + 1, &code))
        return code;
    code = command->run(argc - 1, argv + 1, folder);
    return output_lacks_memory() ? output_fail_for_memory() : code;
}
