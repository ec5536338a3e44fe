/* kube-apiserver's AuthenticationConfiguration. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "client/admin/authentication_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct authentication_config c;
    char *text = fuzz_text(data, size);

    authentication_config_read(text, size, &c);
    PROMISE(c.tree.root || c.n > 0);
    PROMISE(!c.is_unknown || authentication_config_loads(&c));
    for (unsigned i = 0; i < c.n && i < AUTHENTICATION_PROBLEMS_MAX; i++) {
        PROMISE(*c.problems[i].text);
        PROMISE(strlen(c.problems[i].path) < sizeof c.problems[i].path);
    }
    if (authentication_config_loads(&c) && !c.is_unknown) {
        const char *kind = authentication_config_text(c.tree.root, "kind");
        PROMISE(strcmp(kind, "AuthenticationConfiguration") == 0);
    }
    authentication_config_free(&c);
    free(text);
    return 0;
}
