/* The arguments of kubectl, each with a NUL behind it (the last one may be cut); and
 * /proc/PID/stat, in which a process may have named itself anything. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"
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

static void read_stat(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct peer_process p;

    if (peer_process_parse(text, &p) == 0) {
        size_t length = strnlen(p.name, sizeof p.name);
        PROMISE(length < sizeof p.name);
        for (size_t i = 0, n; i < length; i += n) {
            n = p.name[i] == ' ' ? 1 : error_character(p.name + i, length - i);
            PROMISE(n > 0);
        }
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *arguments = fuzz_bytes(data, size);

    PROMISE(peer_process_arguments_read_manifest(arguments, size) == expected(arguments, size));
    free(arguments);
    read_stat(data, size);
    return 0;
}
