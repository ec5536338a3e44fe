/* A section of kubetoken.conf, changed. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "client/admin/config_text.h"

static const char section[] = "profile p";

static char *put(const char *text, size_t length, const struct config_settings *settings,
                 size_t *ret_length)
{
    char *out = config_text_put(text, length, section, settings, ret_length);

    PROMISE(out[*ret_length] == '\0');
    return out;
}

/* Without the section's settings both are the same, but for the end of the last line. */
static void check_rest(const char *text, size_t length, const char *out, size_t out_length)
{
    const struct config_settings none = { 0 };
    size_t a, b;
    char *before = put(text, length, &none, &a), *after = put(out, out_length, &none, &b);

    PROMISE(a == b || (b == a + 1 && text[length - 1] != '\n' && after[a] == '\n'));
    PROMISE(memcmp(before, after, a) == 0);
    free(before);
    free(after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_bytes(data, size);
    struct config_settings settings = { 0 }, there, again;
    size_t length, same_length;

    config_settings_add(&settings, "issuer", "https://i/");
    config_settings_add(&settings, "token-parameter", "a=1");
    config_settings_add(&settings, "token-parameter", "b=2");
    bool found = config_text_read(text, size, section, &there, NULL);
    char *out = put(text, size, &settings, &length);
    char *same = put(out, length, &settings, &same_length);
    PROMISE(length == same_length && memcmp(out, same, length) == 0);
    PROMISE(config_text_read(out, length, section, &again, NULL));
    PROMISE(found || config_settings_equal(&settings, &again)); /* else it may be there twice */
    if (found)
        check_rest(text, size, out, length);
    else
        PROMISE(length > size && memcmp(out, text, size) == 0);
    config_settings_clear(&settings);
    config_settings_clear(&there);
    config_settings_clear(&again);
    free(same);
    free(out);
    free(text);
    return 0;
}
