/* nsswitch.conf: the stub of systemd-resolved never asks for more than there was without it. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fetch/sandbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct job job = fuzz_job(), local = job;
    bool plain = sandbox_hosts_need_unix(text, false, &job);

    local.issuer = "https://login.local/";
    PROMISE(plain || !sandbox_hosts_need_unix(text, true, &job));
    PROMISE(!plain || sandbox_hosts_need_unix(text, false, &local));
    PROMISE(!plain || strstr(text, "hosts:"));
    free(text);
    return 0;
}
