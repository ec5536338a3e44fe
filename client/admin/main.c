/* kubetoken-admin - the commands of kubetoken that are too large for the program that every
 * kubectl starts. `kubetoken` runs it, with its own path as argv[0]. */
#include <stdlib.h>
#include <string.h>

#include "client/admin/doctor.h"
#include "client/output.h"
#include "common/descriptor.h"

int main(int argc, char **argv)
{
    descriptor_fill();
    unsetenv("KUBERNETES_EXEC_INFO"); /* nobody's plugin */
    if (argc > 1 && strcmp(argv[1], "doctor") == 0)
        return doctor_run(argc - 1, argv + 1, argv[0]);
    return output_fail(ERROR_USAGE, "kubetoken-admin is run by kubetoken");
}
