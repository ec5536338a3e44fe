/* What is printed for everybody: a name that was registered is not in it, and it is a text. */
#include "fuzz.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "client/admin/redaction.h"

static const char name[] = "wolfgang";

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || c == '_';
}

/* As a word; in a longer one it is another. */
static bool shows_name(const char *text)
{
    for (const char *p = text; (p = strstr(p, name)); p++)
        if ((p == text || !is_letter(p[-1])) && !is_letter(p[sizeof name - 1]))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), out[512];
    struct redaction *r = redaction_new();

    PROMISE(r);
    redaction_hide(r, "user", name);
    redaction_hide_url(r, "https://login.wolfgang.example/");
    for (int foreign = 0; foreign < 2; foreign++) {
        redaction_apply(r, text, foreign, out, sizeof out);
        PROMISE(strlen(out) < sizeof out);
        PROMISE(!shows_name(out));
        redaction_apply(r, text, foreign, out, 8);
        PROMISE(strlen(out) < 8);
    }
    redaction_hide(r, "value", text);
    redaction_free(r);
    free(text);
    return 0;
}
