/* The arguments of kubectl, each with a NUL behind it (the last one may be cut). */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/peer_process.h"

/* The same by copies with a NUL. */
static bool expected(const char *arguments, size_t length)
{
    bool found = false, named = false;

    for (size_t at = 0; at < length;) {
        char *one = fuzz_text((const uint8_t *)arguments + at, length - at);
        found |= named && strcmp(one, "-") == 0;
        found |= strcmp(one, "-f-") == 0 || strcmp(one, "-f=-") == 0 ||
                 strcmp(one, "--filename=-") == 0;
        named = strcmp(one, "-f") == 0 || strcmp(one, "--filename") == 0;
        at += strlen(one) + 1;
        free(one);
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *arguments = fuzz_bytes(data, size);

    PROMISE(peer_process_arguments_read_manifest(arguments, size) == expected(arguments, size));
    free(arguments);
    return 0;
}
