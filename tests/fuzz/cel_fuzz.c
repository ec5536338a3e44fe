/* CEL: an expression, and behind a NUL the claims that it reads. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "client/admin/cel.h"

static void check(const char *text, const cJSON *value, enum cel_variable variable)
{
    char why[100] = "", out[120];
    struct cel *cel = cel_compile(text, variable, why, sizeof why);

    PROMISE(cel || *why);
    if (!cel)
        return;
    struct cel_outcome o = cel_foresee(cel, value);
    PROMISE(o.may != 0 && o.may < 16);
    PROMISE(!*o.reason || (o.may & CEL_FAILS));
    PROMISE(o.may != CEL_FAILS || !o.value);
    cel_describe(cel, value, out, sizeof out);
    PROMISE(strlen(out) < sizeof out);
    if (cel_is_beyond(cel))
        PROMISE(cel_type(cel) == CEL_UNKNOWN_TYPE && o.may == 15);
    cel_selects(cel, "email");
    cel_ends_in(cel, "split");
    PROMISE(!cel_free(cel));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    size_t length = strlen(text);
    cJSON *value = length < size ? cJSON_Parse(text + length + 1) : NULL;

    check(text, value, CEL_CLAIMS);
    check(text, value, CEL_USER);
    cJSON_Delete(value);
    free(text);
    return 0;
}
