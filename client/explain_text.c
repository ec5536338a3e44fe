#include "client/explain_text.h"

#include <stddef.h>

/* The texts one behind the other and the place of each, without a pointer: nothing has to be
 * relocated when the client starts, and its `get` touches no page of them. */
static const struct texts {
    char NONE[1];
#define E(code, text) char code[sizeof text];
#include "client/explanations.inc"
#undef E
} texts = {
    "",
#define E(code, text) text,
#include "client/explanations.inc"
#undef E
};

static const unsigned short places[ERROR_MAX] = {
    [ERROR_NONE] = 0,
#define E(code, text) [ERROR_##code] = offsetof(struct texts, code),
#include "client/explanations.inc"
#undef E
};

const char *explain_text(enum error_code code)
{
    return (const char *)&texts + places[(unsigned)code < ERROR_MAX ? code : ERROR_INTERNAL];
}
