/* kubetoken-admin - the commands of kubetoken that are too large for the program that every
 * kubectl starts. `kubetoken` runs it, with its own path as argv[0]. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/commands.h"
#include "client/autostart.h"
#include "client/output.h"
#include "common/descriptor.h"
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

int main(int argc, char **argv)
{
    static char folder[PATH_MAX];

    descriptor_fill();
    unsetenv("KUBERNETES_EXEC_INFO"); /* nobody's plugin */
    if (argc < 2)
        return output_fail(ERROR_USAGE, "kubetoken-admin is run by kubetoken");
    if (find_folder(argv[0], folder) < 0)
        return output_fail(ERROR_USAGE, "the path of kubetoken is too long");
    autostart_from(folder);
    output_set_command(argv[1]);
    if (text_equal(argv[1], "doctor"))
        return doctor_run(argc - 1, argv + 1, folder);
    if (text_equal(argv[1], "kubeconfig"))
        return kubeconfig_run(argc - 1, argv + 1);
    return output_fail(ERROR_USAGE, "kubetoken-admin is run by kubetoken");
}
