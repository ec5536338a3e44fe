/* The commands that kubetoken-admin has: it is run in our place. */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/output.h"
#include "common/paths.h"

static const char program[] = "kubetoken-admin";

int command_admin(int argc, char **argv)
{
    char self[PATHS_MAX], path[PATHS_MAX], *rest[64];

    if (argc > 60)
        return output_fail(ERROR_USAGE, "too many arguments");
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - sizeof program);
    if (n <= 0)
        return output_fail(ERROR_INTERNAL, "/proc/self/exe cannot be read");
    self[n] = '\0';
    rest[0] = self; /* it finds kubetokend beside us */
    memcpy(rest + 1, argv, ((size_t)argc + 1) * sizeof *argv);
    memcpy(path, self, (size_t)n + 1);
    memcpy(strrchr(path, '/') + 1, program, sizeof program); /* in a build tree */
    execv(path, rest);
    execv(KUBETOKEN_LIBEXEC "/kubetoken-admin", rest);
    return output_fail(ERROR_INCOMPLETE, "there is no " KUBETOKEN_LIBEXEC "/kubetoken-admin");
}
