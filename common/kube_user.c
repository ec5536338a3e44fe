#include "common/kube_user.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void kube_user_name(char *out, size_t size, const char *claim, const char *prefix,
                    const char *issuer, const char *value)
{
    bool is_set = prefix && *prefix;

    if (!is_set && strcmp(claim, "email") != 0)
        snprintf(out, size, "%s#%s", issuer, value);
    else
        snprintf(out, size, "%s%s", is_set && strcmp(prefix, "-") != 0 ? prefix : "", value);
}
