/* nsswitch.conf: the stub of systemd-resolved never asks for more than there was without it. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/resolver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    enum resolver_need plain = resolver_need_of(text, false), stub = resolver_need_of(text, true);

    PROMISE(stub <= plain);
    PROMISE(plain == RESOLVER_NONE || strstr(text, "hosts:"));
    PROMISE(resolver_is_asked(plain, "login.local") == (plain != RESOLVER_NONE));
    PROMISE(resolver_is_asked(plain, "login.example.com") == (plain == RESOLVER_ALL));
    free(text);
    return 0;
}
