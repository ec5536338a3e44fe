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

static void check_section(const char *a, size_t a_length, const char *b, size_t b_length,
                          const char *name)
{
    struct config_settings before, after;
    bool was = config_text_read(a, a_length, name, &before, NULL);

    PROMISE(config_text_read(b, b_length, name, &after, NULL) == was);
    PROMISE(config_settings_equal(&before, &after));
    config_settings_clear(&before);
    config_settings_clear(&after);
}

/* The section is gone, and nothing else. */
static void check_drop(const char *text, size_t length, bool found)
{
    struct config_settings none;
    size_t left;
    char *out = config_text_drop(text, length, section, &left);

    PROMISE(out[left] == '\0' && !config_text_read(out, left, section, &none, NULL));
    PROMISE(found ? left < length : left == length && memcmp(out, text, length) == 0);
    check_section(text, length, out, left, "defaults");
    check_section(text, length, out, left, "profile q");
    free(out);
}

/* What was added goes without a trace, but for the newline that the last line lacked. */
static void check_way_back(const char *text, size_t length, const char *put, size_t put_length)
{
    size_t left;
    char *out = config_text_drop(put, put_length, section, &left);

    PROMISE(left == length || (left == length + 1 && out[length] == '\n'));
    PROMISE(memcmp(out, text, length) == 0);
    free(out);
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
    check_drop(text, size, found);
    check_drop(out, length, true);
    if (found) {
        check_rest(text, size, out, length);
    } else {
        PROMISE(length > size && memcmp(out, text, size) == 0);
        check_way_back(text, size, out, length);
    }
    config_settings_clear(&settings);
    config_settings_clear(&there);
    config_settings_clear(&again);
    free(same);
    free(out);
    free(text);
    return 0;
}
