/* A command line of the configuration. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/secret_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = fuzz_text(data, size), **argv = secret_command_split(line);
    size_t whole = 0;

    if (argv) {
        PROMISE(argv[0] && *argv[0]);
        for (size_t i = 0; argv[i]; i++) {
            PROMISE(argv[i] == argv[0] + whole); /* one behind the other */
            whole += strlen(argv[i]) + 1;
        }
        PROMISE(whole <= strlen(line) + 1);
        free(argv[0]);
        free(argv);
    } else if (!strpbrk(line, "'\"")) {
        PROMISE(line[strspn(line, " \t")] == '\0');
    }
    free(line);
    return 0;
}
